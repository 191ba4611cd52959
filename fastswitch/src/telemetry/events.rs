//! Events as log lines. The level says who has to wake up: `error` for what clients feel, `warn` for what takes a
//! spare away, `info` for the rest.

use std::time::Duration;

use crate::machine::spec::Service;
use crate::machine::{BackendId, Cause, Event, State, TraceId};

/// Logs an event of a service. `stored_after`: how long after its input the switch word was stored, if it was.
pub fn log(service: &Service, trace: Option<TraceId>, event: &Event, stored_after: Option<Duration>) {
    let trace_id = trace.map(tracing::field::display);
    let name = |id: &BackendId| service.backends.get(id.0).map_or("?", |backend| backend.name.as_str());
    let of = service.name.as_str();
    // A sentence about a backend, and the same in fields.
    macro_rules! say {
        ($level:ident, $event:literal, $id:expr, $text:expr $(, $($field:tt)+)?) => {{
            let backend = name($id);
            tracing::$level!(
                service = of, backend, event = $event, $($($field)+,)? trace_id, "{of}: {backend} {}", $text
            );
        }};
    }
    match event {
        Event::Suspected { backend, failure } => {
            say!(info, "suspected", backend, "missed a heartbeat", %failure);
        }
        Event::Cleared { backend } => say!(info, "cleared", backend, "answers again"),
        Event::Health { backend, state: State::Up, .. } => say!(info, "up", backend, "is up"),
        Event::Health { backend, failure, .. } => {
            let failure = failure.as_ref().map(tracing::field::display);
            say!(warn, "down", backend, "is down", failure);
        }
        Event::Switched { from, to, cause, epoch } => {
            let from = from.as_ref().map(name);
            let stored_us = stored_after.map(micros);
            let cause_name = cause.name();
            if *cause == Cause::Failover {
                say!(error, "switched", to, "is active now", from, cause = cause_name, epoch, stored_us);
            } else {
                say!(info, "switched", to, "is active now", from, cause = cause_name, epoch, stored_us);
            }
        }
        Event::Drained { backend, end, left } => {
            let (text, end) = ("no longer keeps connections from before the switch", end.name());
            say!(info, "drained", backend, text, end, left);
        }
        Event::OutageBegan { last } => {
            let last = last.as_ref().map(name);
            tracing::error!(
                service = of,
                event = "outage_began",
                last,
                on_outage = service.on_outage.name(),
                trace_id,
                "{of}: no backend can serve; new connections get the on_outage answer"
            );
        }
        Event::OutageEnded { backend } => say!(info, "outage_ended", backend, "serves; the outage is over"),
        Event::Starting { backend, attempt } => {
            say!(warn, "starting", backend, "is being started", attempt);
        }
        Event::StartDone { backend } => {
            say!(info, "start_done", backend, "start script ended; its heartbeats decide when it is ready");
        }
        Event::Ready { backend, after } => {
            say!(info, "ready", backend, "is ready", after_s = after.as_secs_f64());
        }
        Event::StartFailed { backend, why, pause } => {
            say!(error, "start_failed", backend, "could not be started", why, pause_s = pause.as_secs_f64());
        }
        Event::StartAborted { backend } => {
            say!(info, "start_aborted", backend, "is no longer needed; its start is given up");
        }
        Event::Stopping { backend } => say!(info, "stopping", backend, "is being stopped"),
        Event::Stopped { backend, error: None } => say!(info, "stopped", backend, "is stopped"),
        Event::Stopped { backend, error: Some(error) } => {
            say!(error, "stopped", backend, "stop script failed: see that nothing of it still runs", error);
        }
        Event::Frozen => tracing::warn!(service = of, event = "frozen", "{of}: automation is frozen"),
        Event::Unfrozen => tracing::info!(service = of, event = "unfrozen", "{of}: automation acts"),
        Event::Maintenance { backend, on } => {
            let text = if *on { "is in maintenance" } else { "is out of maintenance" };
            say!(info, "maintenance", backend, text, on);
        }
    }
}

/// Microseconds, to the nanosecond. Divided last, which leaves no digits of rounding behind.
fn micros(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microseconds_have_three_decimals() {
        for (nanos, printed) in
            [(24_957, "24.957"), (0, "0"), (1_100, "1.1"), (12_345_678_901, "12345678.901")]
        {
            assert_eq!(micros(Duration::from_nanos(nanos)).to_string(), printed);
        }
    }
}
