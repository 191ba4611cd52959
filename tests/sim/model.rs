//! Health and eligibility once more, by the rules' words instead of the machine's code.

use std::time::Duration;

use fastswitch::machine::spec::{Heartbeat, Service};
use fastswitch::machine::{BackendId, Effect, Event, Outcome, RETRY_PAUSE_MAX, ScriptKind, State, Time};

use super::memory::Memory;

/// What is true of one backend.
#[derive(Debug, Clone)]
pub(crate) struct Backend {
    pub(crate) health: State,
    /// The rounds since the last change of mind, without those that say nothing: whether each was a success.
    rounds: Vec<bool>,
    pub(crate) maintenance: bool,
    /// Its start is being undone.
    pub(crate) in_transit: bool,
    /// Started, and neither ready nor given up.
    pub(crate) starting: bool,
    /// When its last start became ready.
    pub(crate) ready_at: Option<Time>,
    /// The pause that its last failure has led to, as long as the next failure counts as one more.
    pub(crate) pause: Option<Duration>,
    /// When that pause ends.
    pub(crate) resting_until: Option<Time>,
    pub(crate) eligible_since: Option<Time>,
}

impl Backend {
    pub(crate) fn is_eligible(&self) -> bool {
        self.health == State::Up && !self.maintenance && !self.in_transit
    }

    /// A start begins to be undone, if it was not already.
    fn undo(&mut self, now: Time) {
        if !self.in_transit && self.has_run_long(now) {
            self.pause = None;
        }
        (self.in_transit, self.starting) = (true, false);
    }

    /// The pause that its last failure has led to, unless that was long ago.
    pub(crate) fn last_pause(&self, now: Time) -> Option<Duration> {
        let is_old = self.resting_until.is_some_and(|until| now.since(until) >= RETRY_PAUSE_MAX);
        self.pause.filter(|_| !is_old)
    }

    pub(crate) fn may_start(&self, now: Time) -> bool {
        let busy = self.in_transit || self.starting || self.maintenance;
        !busy && self.health == State::Down && self.resting_until.is_none_or(|until| now >= until)
    }

    pub(crate) fn has_run_long(&self, now: Time) -> bool {
        self.ready_at.is_some_and(|ready| now.since(ready) >= RETRY_PAUSE_MAX)
    }

    fn round(&mut self, outcome: &Outcome, heartbeat: &Heartbeat) {
        match outcome {
            Outcome::Success { .. } => self.rounds.push(true),
            Outcome::Failure(_) => self.rounds.push(false),
            Outcome::Stalled => return,
        }
        let row = |kind| self.rounds.iter().rev().take_while(|&&round| round == kind).count();
        let (fallen, risen) =
            (row(false) >= heartbeat.fall.get() as usize, row(true) >= heartbeat.rise.get() as usize);
        let next = match self.health {
            State::Unknown if self.rounds.last() == Some(&true) => State::Up,
            State::Unknown | State::Up if fallen => State::Down,
            State::Down if risen => State::Up,
            same => same,
        };
        if next != self.health {
            self.health = next;
            self.rounds.clear();
        }
    }
}

/// What is true of all backends.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) backends: Vec<Backend>,
}

impl Model {
    /// What a daemon that is born with this memory may know.
    pub(crate) fn new(memory: &Memory) -> Self {
        let backend = |(index, record): (usize, &Option<super::memory::Record>)| Backend {
            health: State::Unknown,
            rounds: Vec::new(),
            maintenance: memory.maintenance[index],
            in_transit: record.is_some_and(|record| record.kind == ScriptKind::Stop),
            starting: false,
            ready_at: None,
            pause: None,
            resting_until: None,
            eligible_since: None,
        };
        Self { backends: memory.records.iter().enumerate().map(backend).collect() }
    }

    pub(crate) fn of(&self, id: BackendId) -> &Backend {
        &self.backends[id.0]
    }

    pub(crate) fn round(&mut self, id: BackendId, outcome: &Outcome, service: &Service) {
        self.backends[id.0].round(outcome, &service.backends[id.0].heartbeat);
    }

    /// Takes in what the machine has said.
    pub(crate) fn follow(&mut self, effects: &[Effect], now: Time) {
        for effect in effects {
            match *effect {
                Effect::Start { backend, .. } => {
                    let backend = &mut self.backends[backend.0];
                    backend.pause = backend.last_pause(now);
                    (backend.starting, backend.resting_until, backend.ready_at) = (true, None, None);
                }
                Effect::Abort { backend } | Effect::Stop { backend, .. } => {
                    self.backends[backend.0].undo(now);
                }
                Effect::Forget { backend } => {
                    let backend = &mut self.backends[backend.0];
                    backend.undo(now);
                    backend.in_transit = false;
                    backend.resting_until = backend.pause.map(|pause| now + pause);
                }
                Effect::Event { event: Event::StartFailed { backend, pause, .. }, .. } => {
                    let backend = &mut self.backends[backend.0];
                    (backend.in_transit, backend.starting, backend.pause) = (true, false, Some(pause));
                }
                Effect::Event { event: Event::Ready { backend, .. }, .. } => {
                    self.backends[backend.0].starting = false;
                    self.backends[backend.0].ready_at = Some(now);
                }
                Effect::Store(_) | Effect::NoteCause(_) | Effect::NoteDrain(_) | Effect::Event { .. } => {}
            }
        }
    }

    pub(crate) fn maintenance(&mut self, id: BackendId, on: bool) {
        let backend = &mut self.backends[id.0];
        if backend.maintenance && !on {
            // What made its start fail is mended.
            (backend.pause, backend.resting_until) = (None, None);
        }
        backend.maintenance = on;
    }

    pub(crate) fn note_eligibility(&mut self, now: Time) {
        for backend in &mut self.backends {
            backend.eligible_since =
                if backend.is_eligible() { backend.eligible_since.or(Some(now)) } else { None };
        }
    }
}
