//! Any inputs in any order, sensible or not: no rule is ever broken.

use std::time::Duration;

use fastswitch::machine::spec::{Failback, Service};
use fastswitch::machine::{BackendId, Cause, Failure, Freeze, Outcome, Position, ScriptKind, Time, TraceId};
use proptest::prelude::*;

use super::memory::{Memory, Record};
use super::services::service;
use super::watch::{Input, Watched};

/// Enough for every kind of company.
const MOST_BACKENDS: usize = 5;

/// Something happens, to the backend of that number if there are so many.
#[derive(Debug, Clone)]
enum Happening {
    /// Heartbeat rounds in a row.
    Rounds(usize, Outcome, usize),
    /// Time passes until the deadline.
    Deadline,
    /// The script that runs ends.
    ScriptEnds(usize, bool),
    /// News of a script that does not run.
    Stray(usize, ScriptKind),
    Switch(usize, bool),
    Drain(usize, Duration),
    Left(u64, bool),
    Failback,
    Freeze(Option<Duration>),
    Unfreeze,
    Maintenance(usize, bool),
    Restart,
}

/// One of everything that can happen, what happens often more often.
fn happening() -> impl Strategy<Value = Happening> {
    let backend = 0_usize..16;
    let outcome = prop_oneof![
        8 => Just(Outcome::Success { rtt: Duration::from_micros(200) }),
        8 => Just(Outcome::Failure(Failure::Timeout)),
        1 => Just(Outcome::Stalled),
    ];
    let kind = prop_oneof![Just(ScriptKind::Start), Just(ScriptKind::Stop)];
    prop_oneof![
        24 => (backend.clone(), outcome, 1_usize..4).prop_map(|(id, outcome, rounds)| Happening::Rounds(id, outcome, rounds)),
        8 => Just(Happening::Deadline),
        8 => (backend.clone(), any::<bool>()).prop_map(|(id, ok)| Happening::ScriptEnds(id, ok)),
        1 => (backend.clone(), kind).prop_map(|(id, kind)| Happening::Stray(id, kind)),
        3 => (backend.clone(), any::<bool>()).prop_map(|(id, force)| Happening::Switch(id, force)),
        2 => (backend.clone(), 0_u64..20).prop_map(|(id, s)| Happening::Drain(id, Duration::from_secs(s))),
        2 => (0_u64..3, any::<bool>()).prop_map(|(left, settled)| Happening::Left(left, settled)),
        1 => Just(Happening::Failback),
        1 => proptest::option::of((0_u64..20).prop_map(Duration::from_secs)).prop_map(Happening::Freeze),
        2 => Just(Happening::Unfreeze),
        3 => (backend, any::<bool>()).prop_map(|(id, on)| Happening::Maintenance(id, on)),
        2 => Just(Happening::Restart),
    ]
}

/// What passes between two happenings: mostly little, sometimes nothing, sometimes much.
fn pause() -> impl Strategy<Value = Duration> {
    prop_oneof![
        2 => Just(Duration::ZERO),
        6 => (1_u64..300).prop_map(Duration::from_millis),
        1 => (1_u64..90).prop_map(Duration::from_secs),
    ]
}

pub(crate) fn any_service() -> impl Strategy<Value = Service> {
    let kind =
        prop_oneof![2 => Just("hot"), 2 => Just("cold stop"), 1 => Just("cold"), 1 => Just("warm stop")];
    let backend = (kind, 1_u32..4, 1_u32..4, 1_u64..20);
    let failback = prop_oneof![
        Just(Failback::Manual),
        (0_u64..12).prop_map(|delay| Failback::Auto { delay: Duration::from_secs(delay) })
    ];
    let drain = prop_oneof![Just(Duration::ZERO), (1_u64..10).prop_map(Duration::from_secs)];
    (proptest::collection::vec(backend, 1..=MOST_BACKENDS), failback, drain).prop_map(
        |(backends, failback, drain)| {
            let line = |(index, (kind, fall, rise, ready)): (usize, &(&str, u32, u32, u64))| {
                let kind = if index == 0 || *kind == "hot" { "" } else { kind };
                format!("b{index} {kind} fall={fall} rise={rise} ready={ready}")
            };
            let lines: Vec<String> = backends.iter().enumerate().map(line).collect();
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            Service { failback, drain, ..service(&lines) }
        },
    )
}

/// When somebody begins where something was left behind.
const LATER: Time = Time(Duration::from_secs(100));

/// What may have been left behind, also by a configuration with other tiers; for the first so many backends.
fn any_memory() -> impl Strategy<Value = Memory> {
    let kind = prop_oneof![Just(ScriptKind::Start), Just(ScriptKind::Stop)];
    let record = (kind, any::<bool>(), 0_u64..100).prop_map(|(kind, running, since)| Record {
        kind,
        running,
        aborted: false,
        trace: TraceId(7),
        since: Time(Duration::from_secs(since)),
    });
    let cause = prop_oneof![
        Just(Cause::Initial),
        Just(Cause::Failover),
        Just(Cause::Failback),
        Just(Cause::Operator),
        Just(Cause::Forced),
        Just(Cause::Maintenance),
        Just(Cause::Reconfigured),
    ];
    let freeze = prop_oneof![
        2 => Just(Freeze::No),
        1 => Just(Freeze::Indefinitely),
        1 => (50_u64..150).prop_map(|until| Freeze::Until(Time(Duration::from_secs(until)))),
    ];
    let one = |chance| proptest::option::weighted(chance, (0_usize..MOST_BACKENDS).prop_map(BackendId));
    let (active, draining) = (one(0.8), (one(0.3), 90_u64..130));
    let records = proptest::collection::vec(proptest::option::weighted(0.4, record), MOST_BACKENDS);
    let maintenance = proptest::collection::vec(proptest::bool::weighted(0.2), MOST_BACKENDS);
    (active, draining, any::<bool>(), any::<u32>(), cause, freeze, records, maintenance).prop_map(
        |(active, (draining, drained_by), outage, epoch, cause, freeze, records, maintenance)| Memory {
            // Force leaves no outage behind.
            position: Some(Position {
                active,
                draining: draining.filter(|_| draining != active),
                outage: outage && cause != Cause::Forced,
                epoch,
            }),
            cause,
            drained_by: Time(Duration::from_secs(drained_by)),
            freeze,
            maintenance,
            records,
        },
    )
}

fn cut(mut memory: Memory, backends: usize) -> Memory {
    let position = memory.position.as_mut().unwrap();
    position.active = position.active.filter(|active| active.0 < backends);
    position.draining = position.draining.filter(|draining| draining.0 < backends);
    memory.maintenance.truncate(backends);
    memory.records.truncate(backends);
    memory
}

fn run(mut watched: Watched, mut now: Time, schedule: &[(Duration, Happening)]) {
    let count = watched.service.backends.len();
    for (pause, happening) in schedule {
        now = now + *pause;
        let id = |number: &usize| BackendId(number % count);
        let input = match happening {
            Happening::Rounds(number, outcome, rounds) => {
                for _ in 0..*rounds {
                    watched.input(Input::Beat(id(number), outcome.clone()), now);
                }
                continue;
            }
            Happening::Deadline => {
                now = watched.deadline().map_or(now, |due| due.max(now));
                Input::Tick
            }
            Happening::ScriptEnds(number, ok) => {
                let Some(kind) = watched.memory.script(id(number)) else { continue };
                Input::ScriptEnded(id(number), kind, if *ok { Ok(()) } else { Err("exit 1".to_owned()) })
            }
            Happening::Stray(number, kind) => {
                if watched.memory.script(id(number)) == Some(*kind) {
                    continue;
                }
                Input::ScriptEnded(id(number), *kind, Ok(()))
            }
            Happening::Switch(number, force) => Input::Switch(id(number), *force),
            Happening::Drain(number, drain) => Input::Drain(id(number), *drain),
            Happening::Left(connections, settled) => Input::Left(*connections, *settled),
            Happening::Failback => Input::Failback,
            Happening::Freeze(None) => Input::Freeze(Freeze::Indefinitely),
            Happening::Freeze(Some(duration)) => Input::Freeze(Freeze::Until(now + *duration)),
            Happening::Unfreeze => Input::Freeze(Freeze::No),
            Happening::Maintenance(number, on) => Input::Maintenance(id(number), *on),
            Happening::Restart => Input::Restart,
        };
        watched.input(input, now);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, max_shrink_iters: 20_000, ..ProptestConfig::default() })]

    #[test]
    fn no_schedule_breaks_a_rule(
        service in any_service(),
        schedule in proptest::collection::vec((pause(), happening()), 1..80),
    ) {
        run(Watched::new(service, Time::default()).0, Time::default(), &schedule);
    }

    #[test]
    fn nothing_left_behind_breaks_a_rule(
        service in any_service(),
        memory in any_memory(),
        schedule in proptest::collection::vec((pause(), happening()), 1..40),
    ) {
        let memory = cut(memory, service.backends.len());
        run(Watched::left_behind(service, memory, LATER).0, LATER, &schedule);
    }
}
