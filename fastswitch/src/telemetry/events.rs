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
    macro_rules! line {
        ($level:ident, $event:literal, $id:expr, $($rest:tt)+) => {
            tracing::$level!(service = of, trace_id, event = $event, backend = name($id), $($rest)+)
        };
    }
    match event {
        Event::Suspected { backend, failure } => {
            line!(info, "suspected", backend, %failure, "missed a heartbeat");
        }
        Event::Cleared { backend } => line!(info, "cleared", backend, "answers again"),
        Event::Health { backend, state: State::Up, .. } => line!(info, "up", backend, "is up"),
        Event::Health { backend, failure, .. } => {
            let failure = failure.as_ref().map(tracing::field::display);
            line!(warn, "down", backend, failure, "is down");
        }
        Event::Switched { from, to, cause, epoch } => {
            let from = from.as_ref().map(name);
            let stored_us = stored_after.map(|after| after.as_secs_f64() * 1e6);
            if matches!(cause, Cause::Failover) {
                line!(error, "switched", to, from, cause = cause.name(), epoch, stored_us, "is active now");
            } else {
                line!(info, "switched", to, from, cause = cause.name(), epoch, stored_us, "is active now");
            }
        }
        Event::OutageBegan { last } => {
            let last = last.as_ref().map(name);
            tracing::error!(
                service = of,
                trace_id,
                event = "outage_began",
                last,
                on_outage = ?service.on_outage,
                "no backend can serve; new connections get the on_outage answer"
            );
        }
        Event::OutageEnded { backend } => {
            line!(info, "outage_ended", backend, "can serve; the outage is over");
        }
        Event::Starting { backend, attempt } => {
            line!(warn, "starting", backend, attempt, "start script begins");
        }
        Event::StartDone { backend } => {
            line!(info, "start_done", backend, "start script ended well; waiting for heartbeats");
        }
        Event::Ready { backend, after } => {
            line!(info, "ready", backend, after_s = after.as_secs_f64(), "is ready");
        }
        Event::StartFailed { backend, why, pause } => {
            line!(error, "start_failed", backend, why, pause_s = pause.as_secs_f64(), "start failed");
        }
        Event::StartAborted { backend } => {
            line!(info, "start_aborted", backend, "start given up: no longer needed");
        }
        Event::Stopping { backend } => line!(info, "stopping", backend, "stop script begins"),
        Event::Stopped { backend, error: None } => line!(info, "stopped", backend, "stop script ended well"),
        Event::Stopped { backend, error: Some(error) } => {
            line!(error, "stopped", backend, error, "stop script failed: see that nothing of it still runs");
        }
        Event::Frozen => {
            tracing::warn!(service = of, event = "frozen", "automation is frozen");
        }
        Event::Unfrozen => {
            tracing::info!(service = of, event = "unfrozen", "automation acts");
        }
        Event::Maintenance { backend, on } => line!(info, "maintenance", backend, on, "maintenance"),
    }
}
