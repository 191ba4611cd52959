//! A machine under watch: carries its effects out, restarts it, and holds each step against the invariants.

use std::fmt::Write as _;
use std::time::Duration;

use fastswitch::machine::spec::Service;
use fastswitch::machine::{BackendId, Effect, Freeze, Left, Machine, Outcome, Refused, ScriptKind, Time};

use super::invariants::{self, Step};
use super::memory::Memory;
use super::model::Model;
use super::services::line;
use super::words::{place, words};

/// Everything that can happen to a machine. Times are those of the wall clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    Beat(BackendId, Outcome),
    Tick,
    ScriptEnded(BackendId, ScriptKind, Result<(), String>),
    Switch(BackendId, bool),
    /// A switch that says for how long the backend before keeps its connections.
    Drain(BackendId, Duration),
    Failback,
    /// Somebody has counted what the draining backend still has, and says whether all has settled.
    Left(u64, bool),
    Freeze(Freeze),
    Maintenance(BackendId, bool),
    /// The daemon ends, and another one begins.
    Restart,
}

/// How a machine answers.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) effects: Vec<Effect>,
    /// Why a command was refused.
    pub(crate) refused: Option<Vec<String>>,
}

/// A machine, what outlives it, and what should be true of it.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) service: Service,
    pub(crate) memory: Memory,
    pub(crate) model: Model,
    machine: Machine,
    /// The wall clock at its birth, when its own time began.
    born: Time,
    births: u64,
    now: Time,
    /// All that has happened, for whoever has to understand a failure.
    log: Vec<(Time, Input, Answer)>,
}

impl Watched {
    /// A service that is new at `now`. The answer is that to its birth.
    pub(crate) fn new(service: Service, now: Time) -> (Self, Answer) {
        Self::left_behind(service.clone(), Memory::new(service.backends.len()), now)
    }

    /// A service of which an earlier daemon left something behind.
    pub(crate) fn left_behind(service: Service, memory: Memory, now: Time) -> (Self, Answer) {
        let machine =
            Machine::new(service.clone(), &memory.restored(now), 0, Time::default(), &mut Vec::new());
        let model = Model::new(&memory);
        let mut watched =
            Self { service, memory, model, machine, born: now, births: 0, now, log: Vec::new() };
        let answer = watched.input(Input::Restart, now);
        (watched, answer)
    }

    /// When the machine asks for [`Input::Tick`].
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.machine.deadline().map(|due| self.born + due.0)
    }

    /// What people see.
    pub(crate) fn view(&self) -> fastswitch::machine::View {
        self.machine.view(self.own(self.now))
    }

    /// Lets something happen at `now`.
    pub(crate) fn input(&mut self, input: Input, now: Time) -> Answer {
        assert!(now >= self.now, "time goes forward");
        self.now = now;
        let before = self.memory.clone();
        let mut effects = Vec::new();
        let outcome = self.hand_over(&input, &mut effects);
        let refused = outcome.err().map(|Refused(reasons)| reasons);
        self.log.push((now, input.clone(), Answer { effects: effects.clone(), refused: refused.clone() }));
        let earlier = self.model.clone();
        for effect in &effects {
            if let Err(wrong) = self.memory.carry_out(effect, now) {
                self.fail(&wrong);
            }
        }
        if refused.is_none() && !self.memory.is_frozen(now) {
            self.memory.freeze = Freeze::No;
        }
        self.model.follow(&effects, now);
        let step = Step {
            service: &self.service,
            input: &input,
            effects: &effects,
            refused: refused.is_some(),
            before: &before,
            after: &self.memory,
            earlier: &earlier,
            model: &self.model,
            machine: &self.machine,
            now,
            own_now: self.own(now),
            // Most inputs of a simulation are heartbeats that change nothing.
            thoroughly: !effects.is_empty()
                || !matches!(input, Input::Beat(..))
                || self.log.len().is_multiple_of(16),
        };
        if let Err(wrong) = invariants::check(&step) {
            self.fail(&wrong);
        }
        self.model.note_eligibility(now);
        Answer { effects, refused }
    }

    /// Gives the machine its input, and the model what it says to everybody.
    fn hand_over(&mut self, input: &Input, effects: &mut Vec<Effect>) -> Result<(), Refused> {
        let now = self.own(self.now);
        match input {
            Input::Beat(id, outcome) => {
                self.model.round(*id, outcome, &self.service);
                self.machine.heartbeat(*id, outcome.clone(), now, effects);
                Ok(())
            }
            Input::Tick => {
                self.machine.tick(now, effects);
                Ok(())
            }
            Input::ScriptEnded(id, kind, outcome) => {
                if self.memory.script(*id) == Some(*kind) {
                    self.memory.script_ended(*id);
                }
                self.machine.script_finished(*id, *kind, outcome.clone(), now, effects);
                Ok(())
            }
            Input::Switch(to, force) => self.machine.switch(*to, *force, None, now, effects),
            Input::Drain(to, drain) => self.machine.switch(*to, false, Some(*drain), now, effects),
            Input::Failback => self.machine.failback(None, now, effects).map(|_| ()),
            Input::Left(connections, settled) => {
                let left = Left {
                    epoch: self.machine.position().epoch,
                    connections: *connections,
                    settled: *settled,
                };
                self.machine.connections_left(left, now, effects);
                Ok(())
            }
            Input::Freeze(freeze) => {
                self.memory.freeze = *freeze;
                let freeze = match *freeze {
                    Freeze::Until(until) => Freeze::Until(self.own(until)),
                    other => other,
                };
                self.machine.set_freeze(freeze, now, effects);
                Ok(())
            }
            Input::Maintenance(id, on) => {
                self.machine.set_maintenance(*id, *on, now, effects)?;
                self.memory.maintenance[id.0] = *on;
                self.model.maintenance(*id, *on);
                Ok(())
            }
            Input::Restart => {
                self.memory.daemon_ended();
                self.born = self.now;
                self.births += 1;
                self.model = Model::new(&self.memory);
                let restored = self.memory.restored(self.now);
                let now = self.own(self.now);
                self.machine = Machine::new(self.service.clone(), &restored, self.births, now, effects);
                Ok(())
            }
        }
    }

    /// The machine's own time.
    fn own(&self, now: Time) -> Time {
        Time(now.since(self.born))
    }

    /// Ends the test with the whole story.
    pub(crate) fn fail(&self, wrong: &str) -> ! {
        let (mut told, mut quiet) = (String::new(), 0);
        let is_quiet =
            |input: &Input, effects: &[Effect]| matches!(input, Input::Beat(..)) && effects.is_empty();
        for (now, input, Answer { effects, refused }) in &self.log {
            if is_quiet(input, effects) {
                quiet += 1;
                continue;
            }
            if quiet > 0 {
                writeln!(told, "          ({quiet} quiet heartbeats)").unwrap();
                quiet = 0;
            }
            let effects: Vec<String> =
                effects.iter().map(|effect| words(&self.service, effect, &mut |_| String::new())).collect();
            let refused = refused.as_ref().map_or(String::new(), |reasons| format!("refused: {reasons:?} "));
            let seconds = now.0.as_secs_f64();
            writeln!(told, "{seconds:9.3} {input:?} | {refused}{}", effects.join(", ")).unwrap();
        }
        let place = self.memory.position.map_or(String::new(), |position| place(&self.service, position));
        let cause = self.memory.cause.name();
        let service: Vec<String> = self.service.backends.iter().map(line).collect();
        panic!("{wrong}\n{told}now {place} ({cause})\n{:?}\n{}", self.service.failback, service.join("\n"));
    }
}
