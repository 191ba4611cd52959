//! Effects in few words, for tables and for the log of a failure.

use fastswitch::machine::spec::Service;
use fastswitch::machine::{BackendId, Effect, Event, Position, State, TraceId};

/// An effect in words; a trace id follows as `#` and what `trace_name` makes of it, unless that is empty.
pub(crate) fn words(
    service: &Service,
    effect: &Effect,
    trace_name: &mut dyn FnMut(TraceId) -> String,
) -> String {
    let name = |id: &BackendId| service.backends[id.0].name.as_str();
    let (words, trace) = match effect {
        Effect::Store(position) => (format!("store {}", place(service, *position)), None),
        Effect::NoteCause(cause) => (format!("cause {}", cause.name()), None),
        Effect::NoteDrain(drain) => (format!("drain {}", drain.as_secs_f64()), None),
        Effect::Start { backend, trace, .. } => (format!("START {}", name(backend)), Some(*trace)),
        Effect::Abort { backend } => (format!("ABORT {}", name(backend)), None),
        Effect::Stop { backend, trace, .. } => (format!("STOP {}", name(backend)), Some(*trace)),
        Effect::Forget { backend } => (format!("forget {}", name(backend)), None),
        Effect::Event { trace, event } => (event_words(service, event), *trace),
    };
    match trace.map(trace_name).filter(|trace| !trace.is_empty()) {
        Some(trace) => format!("{words} #{trace}"),
        None => words,
    }
}

/// Where packets go: a name, and `!` in an outage.
pub(crate) fn place(service: &Service, position: Position) -> String {
    let active = position.active.map_or("nobody", |id| &service.backends[id.0].name);
    let draining = position.draining.map_or(String::new(), |id| format!("<{}", service.backends[id.0].name));
    format!("{active}{}{draining}", if position.outage { "!" } else { "" })
}

fn event_words(service: &Service, event: &Event) -> String {
    let name = |id: &BackendId| service.backends[id.0].name.as_str();
    match event {
        Event::Suspected { backend, .. } => format!("{} suspected", name(backend)),
        Event::Cleared { backend } => format!("{} cleared", name(backend)),
        Event::Health { backend, state, .. } => format!("{} {}", name(backend), state_word(*state)),
        Event::Switched { from, to, .. } => {
            format!("switched {}>{}", from.as_ref().map_or("nobody", name), name(to))
        }
        Event::Drained { backend, end, left } => {
            let left = left.map_or(String::new(), |left| format!(", {left} left"));
            format!("{} drained ({}{left})", name(backend), end.name())
        }
        Event::OutageBegan { .. } => "outage began".to_owned(),
        Event::OutageEnded { .. } => "outage ended".to_owned(),
        Event::Starting { backend, attempt } => format!("{} attempt {attempt}", name(backend)),
        Event::StartDone { backend } => format!("{} script done", name(backend)),
        Event::Ready { backend, after } => format!("{} ready after {}", name(backend), after.as_secs_f64()),
        Event::StartFailed { backend, why, pause } => {
            format!("{} failed ({why}) pause {}", name(backend), pause.as_secs())
        }
        Event::StartAborted { backend } => format!("{} aborted", name(backend)),
        Event::Stopping { backend } => format!("{} stopping", name(backend)),
        Event::Stopped { backend, error: None } => format!("{} stopped", name(backend)),
        Event::Stopped { backend, error: Some(error) } => format!("{} stopped ({error})", name(backend)),
        Event::Frozen => "frozen".to_owned(),
        Event::Unfrozen => "unfrozen".to_owned(),
        Event::Maintenance { backend, on } => {
            format!("{} maintenance {}", name(backend), if *on { "on" } else { "off" })
        }
    }
}

fn state_word(state: State) -> &'static str {
    match state {
        State::Unknown => "unknown",
        State::Up => "up",
        State::Down => "down",
    }
}
