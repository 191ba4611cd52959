//! Scenarios as tables: one line per input, `SECONDS INPUT | EFFECT, EFFECT, ..`; all effects, in their order.
//!
//! Inputs: `NAME +--~` (heartbeat rounds one after the other: healthy, failed, stalled), `tick` (at the deadline that the
//! machine has asked for), `start NAME ok|failed`, `stop NAME ok|failed` (a script has ended), `switch NAME [force|drain
//! SECONDS]`, `left CONNECTIONS [unsettled]` (of the draining backend), `failback`, `freeze [SECONDS]`, `unfreeze`, `maint NAME on|off`, `restart`.
//! Effects: see [`super::words`]; `refused (WHY; WHY)` comes first.

use std::collections::HashMap;
use std::time::Duration;

use fastswitch::machine::spec::Service;
use fastswitch::machine::{Failure, Freeze, Outcome, ScriptKind, Time};

use super::memory::Memory;
use super::services::id_of;
use super::watch::{Answer, Input, Watched};
use super::words::words;

/// A machine that a table is played on.
pub(crate) struct Play {
    pub(crate) watched: Watched,
    /// What names trace ids in the order of their appearance: `a`, `b`, ..; none: they are left out.
    traces: Option<HashMap<u128, char>>,
}

/// Plays a table from the birth of a service.
pub(crate) fn play(service: Service, table: &str) -> Play {
    let mut play = Play::new(service);
    play.on(table);
    play
}

impl Play {
    pub(crate) fn new(service: Service) -> Self {
        Self { watched: Watched::new(service, Time::default()).0, traces: None }
    }

    /// A service of which something was left behind, at its first moment; and what the machine did then.
    pub(crate) fn left_behind(service: Service, memory: Memory, now: Time) -> (Self, String) {
        let (watched, answer) = Watched::left_behind(service, memory, now);
        let mut play = Self { watched, traces: None };
        let said = play.say(&answer);
        (play, said)
    }

    /// Shows trace ids from here on.
    pub(crate) fn traced(mut self) -> Self {
        self.traces = Some(HashMap::new());
        self
    }

    /// Plays on.
    pub(crate) fn on(&mut self, table: &str) {
        let mut wrong = false;
        let mut played = String::new();
        for line in table.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (left, expected) = line.split_once('|').unwrap_or((line, ""));
            let (seconds, input) = left.trim().split_once(' ').unwrap();
            let now = Time(Duration::from_secs_f64(seconds.parse().unwrap()));
            let got = self.line(now, input.trim());
            let is_right = got == expected.trim();
            wrong |= !is_right;
            played += &format!("{} {} | {got}\n", if is_right { ' ' } else { '>' }, left.trim());
        }
        assert!(!wrong, "the table differs in the lines marked:\n{played}");
    }

    fn line(&mut self, now: Time, input: &str) -> String {
        let words: Vec<&str> = input.split_whitespace().collect();
        let id = |name: &str| id_of(&self.watched.service, name);
        let ended = |name: &str, kind, how: &str| {
            let outcome = if how == "ok" { Ok(()) } else { Err("exit 1".to_owned()) };
            Input::ScriptEnded(id(name), kind, outcome)
        };
        let input = match words[..] {
            ["tick"] => {
                assert_eq!(self.watched.deadline(), Some(now), "the deadline before the tick at {now:?}");
                Input::Tick
            }
            ["start", name, how] => ended(name, ScriptKind::Start, how),
            ["stop", name, how] => ended(name, ScriptKind::Stop, how),
            ["switch", name] => Input::Switch(id(name), false),
            ["switch", name, "force"] => Input::Switch(id(name), true),
            ["switch", name, "drain", seconds] => {
                Input::Drain(id(name), Duration::from_secs(seconds.parse().unwrap()))
            }
            ["failback"] => Input::Failback,
            ["left", connections] => Input::Left(connections.parse().unwrap(), true),
            ["left", connections, "unsettled"] => Input::Left(connections.parse().unwrap(), false),
            ["freeze"] => Input::Freeze(Freeze::Indefinitely),
            ["freeze", seconds] => {
                Input::Freeze(Freeze::Until(now + Duration::from_secs(seconds.parse().unwrap())))
            }
            ["unfreeze"] => Input::Freeze(Freeze::No),
            ["maint", name, how] => Input::Maintenance(id(name), how == "on"),
            ["restart"] => Input::Restart,
            [name, rounds] => {
                let id = id(name);
                let mut answer = Answer { effects: Vec::new(), refused: None };
                for letter in rounds.chars() {
                    let outcome = match letter {
                        '+' => Outcome::Success { rtt: Duration::from_micros(200) },
                        '-' => Outcome::Failure(Failure::Timeout),
                        '~' => Outcome::Stalled,
                        other => panic!("`{other}` is no round"),
                    };
                    answer.effects.extend(self.watched.input(Input::Beat(id, outcome), now).effects);
                }
                return self.say(&answer);
            }
            _ => panic!("`{input}` is no input"),
        };
        let answer = self.watched.input(input, now);
        self.say(&answer)
    }

    fn say(&mut self, answer: &Answer) -> String {
        let refused = answer.refused.iter().map(|reasons| format!("refused ({})", reasons.join("; ")));
        let traces = &mut self.traces;
        let mut trace_name = |trace: fastswitch::machine::TraceId| match traces {
            None => String::new(),
            Some(names) => {
                let next = char::from(b'a' + u8::try_from(names.len()).unwrap());
                names.entry(trace.0).or_insert(next).to_string()
            }
        };
        let service = &self.watched.service;
        let effects = answer.effects.iter().map(|effect| words(service, effect, &mut trace_name));
        refused.chain(effects).collect::<Vec<_>>().join(", ")
    }
}
