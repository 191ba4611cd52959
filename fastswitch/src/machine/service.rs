//! The state machine of one service: takes heartbeats, script results and the time, decides who is active.
//!
//! Every input ends in [`Machine::evaluate`], which compares what is with what should be; nothing else switches
//! on its own account.

use std::time::Duration;

use super::drain::Drain;
use super::health::Move;
use super::launch::Launcher;
use super::spec::{Failback, Service, Tier};
use super::{
    BackendId, Cause, DrainEnd, Effect, Event, Health, Launched, Outcome, Position, State, Time, TraceId,
};

/// Whether automation acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freeze {
    /// It does.
    No,
    /// Not before this moment.
    Until(Time),
    /// Not before it is told to.
    Indefinitely,
}

/// What an earlier daemon, or the command line without one, left behind.
#[derive(Debug, Clone)]
pub struct Restored {
    /// Where packets go; `None`: this service is new. `active` is `None` if that backend left the configuration.
    pub position: Option<Position>,
    /// Why the active backend is active.
    pub cause: Cause,
    /// When the draining backend, if there is one, has had its time.
    pub drained_by: Time,
    /// Whether automation acts.
    pub freeze: Freeze,
    /// By backend: whether it is in maintenance.
    pub maintenance: Vec<bool>,
    /// By backend: what is known of its start.
    pub launched: Vec<Option<Launched>>,
}

impl Restored {
    /// Nothing was left behind.
    #[must_use]
    pub fn nothing(backends: usize) -> Self {
        Self {
            position: None,
            cause: Cause::Initial,
            drained_by: Time::default(),
            freeze: Freeze::No,
            maintenance: vec![false; backends],
            launched: vec![None; backends],
        }
    }
}

/// A command that was not carried out, each reason in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub Vec<String>);

/// What heartbeats, the operator and scripts have made of one backend.
#[derive(Debug, Clone)]
pub(super) struct BackendState {
    pub(super) health: Health,
    pub(super) maintenance: bool,
    pub(super) launcher: Launcher,
    /// Since when it has been eligible without a break.
    pub(super) eligible_since: Option<Time>,
}

/// The state machine of one service.
#[derive(Debug, Clone)]
pub struct Machine {
    pub(super) spec: Service,
    pub(super) backends: Vec<BackendState>,
    pub(super) position: Position,
    pub(super) cause: Cause,
    pub(super) freeze: Freeze,
    /// The trouble being dealt with, from the first missed heartbeat of the active backend until it is over.
    pub(super) incident: Option<TraceId>,
    /// The time of the last input: what was due by then is done.
    pub(super) now: Time,
    pub(super) drain: Drain,
    seed: u64,
    traces: u64,
}

impl Machine {
    /// A machine that goes on where `restored` ends. Its first effects make the switch word agree.
    ///
    /// `seed` makes trace ids unique between runs of the daemon; it decides nothing else.
    pub fn new(spec: Service, restored: &Restored, seed: u64, now: Time, effects: &mut Vec<Effect>) -> Self {
        let backends = (0..spec.backends.len())
            .map(|index| BackendState {
                health: Health::new(now),
                maintenance: restored.maintenance.get(index).copied().unwrap_or(false),
                launcher: Launcher::new(),
                eligible_since: None,
            })
            .collect();
        let mut machine = Self {
            spec,
            backends,
            position: restored.position.unwrap_or(Position {
                active: None,
                draining: None,
                outage: false,
                epoch: 0,
            }),
            cause: restored.cause,
            freeze: restored.freeze,
            incident: None,
            now,
            drain: Drain::new(now, restored.drained_by),
            seed,
            traces: 0,
        };
        if machine.position.active.is_none() {
            let cause = if restored.position.is_some() { Cause::Reconfigured } else { Cause::Initial };
            let first = machine.preference().into_iter().find(|&id| !machine.state(id).maintenance);
            if let Some(first) = first {
                machine.switch_to(first, cause, Duration::ZERO, None, effects);
            }
        }
        for (index, launched) in restored.launched.iter().enumerate() {
            if let Some(launched) = *launched
                && index < machine.backends.len()
            {
                machine.resume(BackendId(index), launched, now);
            }
        }
        machine.evaluate(now, effects);
        machine
    }

    /// A heartbeat round has ended.
    pub fn heartbeat(&mut self, id: BackendId, outcome: Outcome, now: Time, effects: &mut Vec<Effect>) {
        let Some(heartbeat) = self.spec.backends.get(id.0).map(|backend| &backend.heartbeat) else { return };
        let (fall, rise) = (heartbeat.fall, heartbeat.rise);
        let is_active = self.position.active == Some(id);
        let was = self.state(id).health.state();
        match self.state_mut(id).health.record(now, outcome, fall, rise) {
            Move::None => {}
            Move::Suspected => {
                if let Some(failure) = self.state(id).health.failure().filter(|_| is_active).cloned() {
                    self.open_incident();
                    self.tell(self.incident, Event::Suspected { backend: id, failure }, effects);
                }
            }
            Move::Cleared => {
                if is_active {
                    self.tell(self.incident, Event::Cleared { backend: id }, effects);
                }
            }
            Move::Changed => self.health_changed(id, was, now, effects),
        }
        self.evaluate(now, effects);
    }

    /// A deadline has passed, or nothing in particular has happened.
    pub fn tick(&mut self, now: Time, effects: &mut Vec<Effect>) {
        self.evaluate(now, effects);
    }

    /// When [`Machine::tick`] is next needed, if no input comes before; later than the last input.
    #[must_use]
    pub fn deadline(&self) -> Option<Time> {
        let thaw = match self.freeze {
            Freeze::Until(until) => Some(until),
            Freeze::No | Freeze::Indefinitely => None,
        };
        let failback = self.failback_delay().and_then(|delay| {
            self.preferred_to_active()
                .filter_map(|id| self.state(id).eligible_since.map(|since| since + delay))
                .filter(|&due| due > self.now)
                .min()
        });
        let drained = self.position.draining.map(|_| self.drain.until());
        [thaw, failback, drained, self.launch_deadline()].into_iter().flatten().min()
    }

    /// What is wanted.
    #[must_use]
    pub fn spec(&self) -> &Service {
        &self.spec
    }

    /// Where packets go.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Whether automation acts.
    #[must_use]
    pub fn freeze(&self) -> Freeze {
        self.freeze
    }

    /// Compares what is with what should be, and acts.
    pub(super) fn evaluate(&mut self, now: Time, effects: &mut Vec<Effect>) {
        self.now = now;
        self.thaw(now, effects);
        self.end_drain(effects);
        let acts = self.freeze == Freeze::No;
        if acts {
            self.review_launches(now, effects);
        }
        self.note_eligibility(now);
        if let Some(active) = self.position.active.filter(|&active| self.serves(active)) {
            self.end_outage(active, effects);
        }
        if acts {
            self.choose(now, effects);
        }
        if self.cause == Cause::Forced && self.position.active.is_some_and(|active| self.is_eligible(active))
        {
            // Nothing needs to be overridden any more.
            self.note_cause(Cause::Operator, effects);
        }
        self.close_incident();
    }

    /// A backend is up or down now: tells so, and what that means for an operator's choice and for a start.
    fn health_changed(&mut self, id: BackendId, was: State, now: Time, effects: &mut Vec<Effect>) {
        let is_active = self.position.active == Some(id);
        let health = &self.state(id).health;
        let (state, failure) = (health.state(), health.failure().cloned());
        if is_active && state == State::Down {
            self.open_incident();
        }
        self.tell(self.incident, Event::Health { backend: id, state, failure }, effects);
        if state == State::Up {
            self.ready(id, now, effects);
        }
        if is_active && was == State::Up && self.cause == Cause::Forced {
            self.note_cause(Cause::Operator, effects);
        }
    }

    /// Sees to it that the right backend is active, and that nothing else runs for long.
    fn choose(&mut self, now: Time, effects: &mut Vec<Effect>) {
        if self.position.active.is_some_and(|active| self.serves(active)) {
            self.consider_failback(now, effects);
        } else if let Some(best) = self.best() {
            self.switch_to(best, Cause::Failover, Duration::ZERO, self.incident, effects);
        } else if self.is_lost() {
            self.begin_outage(effects);
            self.launch(now, effects);
        }
        if !self.position.outage {
            self.retire_unneeded(now, effects);
        }
    }

    /// Whether the active backend may go on serving: up, not yet known to be down, or an operator's own choice
    /// against the heartbeats.
    fn serves(&self, active: BackendId) -> bool {
        let backend = self.state(active);
        match backend.health.state() {
            _ if self.cause == Cause::Forced => true,
            _ if backend.maintenance => false,
            State::Up => true,
            State::Unknown => !self.position.outage,
            State::Down => false,
        }
    }

    /// Whether it is certain that nothing serves (after a restart within an outage it is not, for a moment).
    fn is_lost(&self) -> bool {
        self.position.active.is_none_or(|active| {
            let backend = self.state(active);
            backend.maintenance || backend.health.state() == State::Down
        })
    }

    /// Most preferred eligible backend.
    fn best(&self) -> Option<BackendId> {
        self.preference().into_iter().find(|&id| self.is_eligible(id))
    }

    /// Backends in the order in which they are taken: the hot ones first, each kind in the configured order.
    pub(super) fn preference(&self) -> Vec<BackendId> {
        let ids = || (0..self.spec.backends.len()).map(BackendId);
        let is_hot = |id: &BackendId| self.tier(*id) == Tier::Hot;
        ids().filter(is_hot).chain(ids().filter(|id| !is_hot(id))).collect()
    }

    /// Hot backends that are preferred to the active one.
    pub(super) fn preferred_to_active(&self) -> impl Iterator<Item = BackendId> + '_ {
        let active = self.position.active;
        self.preference()
            .into_iter()
            .take_while(move |&id| Some(id) != active)
            .filter(|&id| self.tier(id) == Tier::Hot)
    }

    /// The delay after which a failback may happen by itself; an operator's choice is never undone that way.
    fn failback_delay(&self) -> Option<Duration> {
        match (self.spec.failback, self.cause) {
            (Failback::Manual, _) | (_, Cause::Operator | Cause::Forced) => None,
            (Failback::Auto { delay }, _) => Some(delay),
        }
    }

    fn consider_failback(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let Some(delay) = self.failback_delay() else { return };
        let ripe = self
            .preferred_to_active()
            .find(|&id| self.state(id).eligible_since.is_some_and(|since| now.since(since) >= delay));
        if let Some(target) = ripe {
            let trace = self.fresh_trace();
            self.switch_to(target, Cause::Failback, self.spec.drain, Some(trace), effects);
        }
    }

    /// Makes `to` active. After a planned switch the backend before keeps its connections for `drain`.
    pub(super) fn switch_to(
        &mut self,
        to: BackendId,
        cause: Cause,
        drain: Duration,
        trace: Option<TraceId>,
        effects: &mut Vec<Effect>,
    ) {
        // What is due comes first, so that what is told of the switch is the last word.
        self.end_drain(effects);
        let from = self.position.active;
        let trace = trace.unwrap_or_else(|| self.fresh_trace());
        let was_outage = self.position.outage;
        let (draining, begins) = self.drain_after(to, cause, drain);
        let superseded = self.position.draining.filter(|&before| before != to && draining != Some(before));
        let left = self.drain.left();
        self.store(Position { active: Some(to), draining, outage: false, ..self.position }, effects);
        self.note_cause(cause, effects);
        if let Some(drain) = begins {
            self.begin_drain(drain, effects);
        }
        let epoch = self.position.epoch;
        self.tell(Some(trace), Event::Switched { from, to, cause, epoch }, effects);
        if was_outage {
            self.tell(Some(trace), Event::OutageEnded { backend: to }, effects);
        }
        if let Some(backend) = superseded {
            self.tell(Some(trace), Event::Drained { backend, end: DrainEnd::Superseded, left }, effects);
        }
    }

    pub(super) fn note_cause(&mut self, cause: Cause, effects: &mut Vec<Effect>) {
        self.cause = cause;
        effects.push(Effect::NoteCause(cause));
    }

    fn begin_outage(&mut self, effects: &mut Vec<Effect>) {
        if self.position.outage {
            return;
        }
        let last = self.position.active;
        self.store(Position { outage: true, ..self.position }, effects);
        self.open_incident();
        self.tell(self.incident, Event::OutageBegan { last }, effects);
    }

    fn end_outage(&mut self, active: BackendId, effects: &mut Vec<Effect>) {
        if self.position.outage {
            self.store(Position { outage: false, ..self.position }, effects);
            self.tell(self.incident, Event::OutageEnded { backend: active }, effects);
        }
    }

    pub(super) fn store(&mut self, position: Position, effects: &mut Vec<Effect>) {
        self.position = Position { epoch: self.position.epoch.wrapping_add(1), ..position };
        // Before everything else that this input has led to: the word is what clients wait for.
        let stores = effects.iter().take_while(|effect| matches!(effect, Effect::Store(_))).count();
        effects.insert(stores, Effect::Store(self.position));
    }

    fn thaw(&mut self, now: Time, effects: &mut Vec<Effect>) {
        if matches!(self.freeze, Freeze::Until(until) if now >= until) {
            self.freeze = Freeze::No;
            self.tell(None, Event::Unfrozen, effects);
        }
    }

    fn note_eligibility(&mut self, now: Time) {
        for index in 0..self.backends.len() {
            let id = BackendId(index);
            let eligible = self.is_eligible(id);
            let since = &mut self.state_mut(id).eligible_since;
            match (eligible, *since) {
                (true, None) => *since = Some(now),
                (false, Some(_)) => *since = None,
                (true, Some(_)) | (false, None) => {}
            }
        }
    }

    pub(super) fn open_incident(&mut self) {
        if self.incident.is_none() {
            self.incident = Some(self.fresh_trace());
        }
    }

    fn close_incident(&mut self) {
        let quiet = self.position.active.is_some_and(|active| {
            let health = &self.state(active).health;
            health.state() != State::Down && !health.is_suspected()
        });
        if quiet && !self.position.outage {
            self.incident = None;
        }
    }

    pub(super) fn fresh_trace(&mut self) -> TraceId {
        self.traces += 1;
        TraceId(u128::from(self.seed) << 64 | u128::from(self.traces))
    }

    pub(super) fn tell(&self, trace: Option<TraceId>, event: Event, effects: &mut Vec<Effect>) {
        effects.push(Effect::Event { trace, event });
    }

    pub(super) fn tier(&self, id: BackendId) -> Tier {
        self.spec.backends[id.0].tier
    }

    pub(super) fn state(&self, id: BackendId) -> &BackendState {
        &self.backends[id.0]
    }

    pub(super) fn state_mut(&mut self, id: BackendId) -> &mut BackendState {
        &mut self.backends[id.0]
    }
}
