//! Starting, retiring and retrying warm and cold backends.

use std::time::Duration;

use super::launch::{Began, Launch};
use super::service::{Freeze, Machine};
use super::spec::Tier;
use super::{BackendId, Cause, Effect, Event, Launched, Position, ScriptKind, State, Time, TraceId};

const RETURNED: &str = "no longer needed";
const CLEAN_UP: &str = "clearing away a failed start";
const MAINTENANCE: &str = "put into maintenance";

impl Machine {
    /// A script has ended; `Err` says how it failed.
    pub fn script_finished(
        &mut self,
        id: BackendId,
        kind: ScriptKind,
        outcome: Result<(), String>,
        now: Time,
        effects: &mut Vec<Effect>,
    ) {
        if id.0 >= self.backends.len() {
            return;
        }
        match (self.state(id).launcher.launch.clone(), kind) {
            (Launch::Starting { began, trace, .. }, ScriptKind::Start) => match outcome {
                Ok(()) => {
                    self.state_mut(id).launcher.launch =
                        Launch::Starting { began, trace, script_runs: false };
                    self.tell(Some(trace), Event::StartDone { backend: id }, effects);
                }
                Err(why) => self.start_failed(id, trace, why, false, now, effects),
            },
            (Launch::Running { since, trace, .. }, ScriptKind::Start) => {
                // It answers its heartbeats, whatever its script says.
                self.state_mut(id).launcher.launch = Launch::Running { since, trace, script_runs: false };
                self.tell(Some(trace), Event::StartDone { backend: id }, effects);
            }
            (Launch::Ending { trace, reason, .. }, ScriptKind::Start) => {
                self.state_mut(id).launcher.launch = Launch::Ending { trace, reason, script_runs: false };
            }
            (Launch::Stopping { trace }, ScriptKind::Stop) => {
                self.tell(Some(trace), Event::Stopped { backend: id, error: outcome.err() }, effects);
                self.settle(id, now, effects);
            }
            // An answer to a question that nobody asks any more.
            _ => {}
        }
        self.evaluate(now, effects);
    }

    /// Takes up what an earlier daemon had begun.
    pub(super) fn resume(&mut self, id: BackendId, launched: Launched, now: Time) {
        let serving = Position { active: Some(id), outage: false, ..self.position };
        self.state_mut(id).launcher.launch = match launched {
            Launched::Started { trace, script_runs, .. } if self.position == serving => {
                Launch::Running { since: now, trace, script_runs }
            }
            Launched::Started { age, trace, script_runs } => {
                self.incident = Some(trace);
                Launch::Starting { began: Began::ago(age, now), trace, script_runs }
            }
            Launched::Stopping { trace, script_runs: true } => Launch::Stopping { trace },
            // Nobody saw how it ended: once more does no harm, not at all might.
            Launched::Stopping { trace, script_runs: false } => {
                Launch::Ending { trace, reason: RETURNED, script_runs: false }
            }
        };
    }

    /// A backend answers its heartbeats: if it was being started, that has worked.
    pub(super) fn ready(&mut self, id: BackendId, now: Time, effects: &mut Vec<Effect>) {
        let launcher = &mut self.state_mut(id).launcher;
        if let Launch::Starting { began, trace, script_runs } = launcher.launch {
            launcher.launch = Launch::Running { since: now, trace, script_runs };
            launcher.error = None;
            self.tell(Some(trace), Event::Ready { backend: id, after: began.elapsed(now) }, effects);
        }
    }

    /// Starts the next warm or cold backend, unless one is being started already: of those that have failed least often
    /// the most preferred.
    pub(super) fn launch(&mut self, now: Time, effects: &mut Vec<Effect>) {
        for id in self.preference() {
            if self.tier(id) == Tier::Hot {
                continue;
            }
            let is_down = self.state(id).health.state() == State::Down;
            let launcher = &mut self.state_mut(id).launcher;
            match launcher.launch {
                Launch::Starting { .. } => return,
                Launch::Running { since, trace, script_runs } if is_down => {
                    launcher.forgive(since, now);
                    self.start_failed(id, trace, "stopped answering".to_owned(), script_runs, now, effects);
                }
                Launch::Pausing { until } => launcher.forgive(until, now),
                _ => {}
            }
        }
        let startable = self.preference().into_iter().filter(|&id| {
            let backend = self.state(id);
            let ready_to_try = match backend.launcher.launch {
                Launch::Idle => true,
                Launch::Pausing { until } => now >= until,
                _ => false,
            };
            // Unknown: its first heartbeats may still show that it runs already.
            ready_to_try
                && !backend.maintenance
                && backend.health.state() == State::Down
                && self.spec.backends[id.0].start.is_some()
        });
        // Two that fail slowly must not keep a third from its turn: each other's starts outlast their pauses.
        let next = startable.min_by_key(|&id| self.state(id).launcher.failures);
        let Some(id) = next else { return };
        self.open_incident();
        let trace = self.incident.unwrap_or_else(|| self.fresh_trace());
        let launcher = &mut self.state_mut(id).launcher;
        launcher.launch =
            Launch::Starting { began: Began::ago(Duration::ZERO, now), trace, script_runs: true };
        let attempt = launcher.failures.saturating_add(1);
        effects.push(Effect::Start { backend: id, trace, reason: "no hot backend can serve" });
        self.tell(Some(trace), Event::Starting { backend: id, attempt }, effects);
    }

    /// Moves on what needs no other backend for that: gives up starts that take too long or are in maintenance, stops
    /// what has ended. Heartbeats come before the time: the first healthy one counts, and after a restart it may long have
    /// been there.
    pub(super) fn review_launches(&mut self, now: Time, effects: &mut Vec<Effect>) {
        for index in 0..self.backends.len() {
            let id = BackendId(index);
            let limit = self.spec.backends[index].ready_timeout;
            let backend = self.state(id);
            match backend.launcher.launch {
                Launch::Ending { .. } => self.stop_if_ended(id, now, effects),
                _ if backend.maintenance
                    && !(self.cause == Cause::Forced && self.position.active == Some(id)) =>
                {
                    self.retire(id, MAINTENANCE, now, effects);
                }
                Launch::Starting { began, trace, script_runs }
                    if backend.health.is_silent() && began.elapsed(now) >= limit =>
                {
                    let why = format!("no healthy heartbeat within {limit:?}");
                    self.start_failed(id, trace, why, script_runs, now, effects);
                }
                _ => {}
            }
        }
    }

    /// The earliest moment at which a start expires or may be tried again.
    pub(super) fn launch_deadline(&self) -> Option<Time> {
        let deadline = |(index, backend): (usize, &super::service::BackendState)| match backend
            .launcher
            .launch
        {
            Launch::Starting { began, .. } => Some(began.reaches(self.spec.backends[index].ready_timeout)),
            Launch::Pausing { until } if self.position.outage => Some(until),
            _ => None,
        };
        self.backends.iter().enumerate().filter_map(deadline).filter(|&due| due > self.now).min()
    }

    /// Stops what was started and is not, or no longer, the active backend. Not before that one is known to be up: an
    /// operator may have forced a dead one, or nobody has asked it since a restart.
    pub(super) fn retire_unneeded(&mut self, now: Time, effects: &mut Vec<Effect>) {
        let Some(active) = self.position.active.filter(|&id| self.state(id).health.state() == State::Up)
        else {
            return;
        };
        for index in 0..self.backends.len() {
            if BackendId(index) != active {
                self.retire(BackendId(index), RETURNED, now, effects);
            }
        }
    }

    fn retire(&mut self, id: BackendId, reason: &'static str, now: Time, effects: &mut Vec<Effect>) {
        if self.position.draining == Some(id) {
            return;
        }
        let launcher = &mut self.state_mut(id).launcher;
        let (trace, script_runs) = match launcher.launch {
            Launch::Starting { trace, script_runs, .. } => (trace, script_runs),
            Launch::Running { since, trace, script_runs } => {
                launcher.forgive(since, now);
                (trace, script_runs)
            }
            Launch::Idle | Launch::Ending { .. } | Launch::Stopping { .. } | Launch::Pausing { .. } => return,
        };
        self.end(id, trace, reason, script_runs, now, effects);
        if script_runs {
            self.tell(Some(trace), Event::StartAborted { backend: id }, effects);
        }
    }

    fn start_failed(
        &mut self,
        id: BackendId,
        trace: TraceId,
        why: String,
        script_runs: bool,
        now: Time,
        effects: &mut Vec<Effect>,
    ) {
        let launcher = &mut self.state_mut(id).launcher;
        launcher.failures = launcher.failures.saturating_add(1);
        launcher.error = Some(why.clone());
        let pause = launcher.pause();
        self.tell(Some(trace), Event::StartFailed { backend: id, why, pause }, effects);
        self.end(id, trace, CLEAN_UP, script_runs, now, effects);
    }

    fn end(
        &mut self,
        id: BackendId,
        trace: TraceId,
        reason: &'static str,
        script_runs: bool,
        now: Time,
        effects: &mut Vec<Effect>,
    ) {
        self.state_mut(id).launcher.launch = Launch::Ending { trace, reason, script_runs };
        if script_runs {
            effects.push(Effect::Abort { backend: id });
        }
        self.stop_if_ended(id, now, effects);
    }

    /// Runs the stop script, if there is one, of a start that is to be undone and whose script has ended.
    fn stop_if_ended(&mut self, id: BackendId, now: Time, effects: &mut Vec<Effect>) {
        let Launch::Ending { trace, reason, script_runs: false } = self.state(id).launcher.launch else {
            return;
        };
        if self.freeze != Freeze::No {
            return;
        }
        if self.spec.backends[id.0].stop.is_none() {
            self.settle(id, now, effects);
            return;
        }
        self.state_mut(id).launcher.launch = Launch::Stopping { trace };
        effects.push(Effect::Stop { backend: id, trace, reason });
        self.tell(Some(trace), Event::Stopping { backend: id }, effects);
    }

    /// Nothing of this backend runs any more.
    fn settle(&mut self, id: BackendId, now: Time, effects: &mut Vec<Effect>) {
        let launcher = &mut self.state_mut(id).launcher;
        launcher.launch = if launcher.failures == 0 {
            Launch::Idle
        } else {
            Launch::Pausing { until: now + launcher.pause() }
        };
        effects.push(Effect::Forget { backend: id });
    }
}
