//! What an operator may ask for. A command is carried out at once or refused with every reason; refused, it is no input.

use std::time::Duration;

use super::service::{Freeze, Machine, Refused};
use super::{BackendId, Cause, Effect, Event, State, Time};

impl Machine {
    /// Makes `to` active, or keeps it active: automation leaves an operator's choice alone while it can serve. `force`
    /// overrides its not being eligible, until it is eligible or, once up, goes down. `drain` is for how long the backend
    /// before keeps its connections, if not for as long as usual; where `to` is active already, for how long what drains
    /// still does.
    ///
    /// # Errors
    /// Refused with each [`super::Hold`] of the backend, or for a drain where nothing can drain.
    pub fn switch(
        &mut self,
        to: BackendId,
        force: bool,
        drain: Option<Duration>,
        now: Time,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refused> {
        self.now = now;
        self.may_drain(drain)?;
        let holds = self.holds(to, now);
        if !holds.is_empty() && !force {
            return Err(Refused(holds.iter().map(ToString::to_string).collect()));
        }
        let cause = if holds.is_empty() { Cause::Operator } else { Cause::Forced };
        if self.position.active != Some(to) || self.position.outage {
            let trace = self.fresh_trace();
            self.switch_to(to, cause, drain.unwrap_or(self.spec.drain), Some(trace), effects);
        } else {
            self.note_cause(cause, effects);
            if let Some(drain) = drain {
                self.change_drain(drain, effects);
            }
        }
        self.evaluate(now, effects);
        Ok(())
    }

    /// Returns to the most preferred eligible hot backend, and lets automation fail back again. Tells where to. `drain` is
    /// as for [`Machine::switch`].
    ///
    /// # Errors
    /// Refused if a more preferred backend exists but none of them is eligible, or for a drain where nothing can drain.
    pub fn failback(
        &mut self,
        drain: Option<Duration>,
        now: Time,
        effects: &mut Vec<Effect>,
    ) -> Result<Option<BackendId>, Refused> {
        self.now = now;
        self.may_drain(drain)?;
        let preferred: Vec<BackendId> = self.preferred_to_active().collect();
        if let Some(&target) = preferred.iter().find(|&&id| self.is_eligible(id)) {
            let trace = self.fresh_trace();
            self.switch_to(target, Cause::Failback, drain.unwrap_or(self.spec.drain), Some(trace), effects);
        } else if !preferred.is_empty() {
            let reasons = preferred.iter().flat_map(|&id| {
                let name = &self.spec.backends[id.0].name;
                self.holds(id, now).into_iter().map(move |hold| format!("{name}: {hold}"))
            });
            return Err(Refused(reasons.collect()));
        } else if let Some(drain) = drain {
            self.change_drain(drain, effects);
        }
        self.evaluate(now, effects);
        Ok(self.position.active)
    }

    /// Keeps automation from acting; [`Freeze::No`] lets it act again.
    pub fn set_freeze(&mut self, freeze: Freeze, now: Time, effects: &mut Vec<Effect>) {
        let was = std::mem::replace(&mut self.freeze, freeze);
        match (was, freeze) {
            (Freeze::No, Freeze::No) => {}
            (_, Freeze::No) => self.tell(None, Event::Unfrozen, effects),
            (_, Freeze::Until(_) | Freeze::Indefinitely) => self.tell(None, Event::Frozen, effects),
        }
        self.evaluate(now, effects);
    }

    /// Puts a backend into maintenance or takes it out. The active one is switched away from first.
    ///
    /// # Errors
    /// Refused for the active backend, unless it is down, if no other is eligible.
    pub fn set_maintenance(
        &mut self,
        id: BackendId,
        on: bool,
        now: Time,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refused> {
        self.now = now;
        if self.state(id).maintenance != on {
            if on && self.position.active == Some(id) {
                self.leave(id, effects)?;
            }
            let backend = self.state_mut(id);
            backend.maintenance = on;
            if !on {
                backend.launcher.mended();
            }
            self.tell(None, Event::Maintenance { backend: id, on }, effects);
        }
        self.evaluate(now, effects);
        Ok(())
    }

    /// Refuses a drain of what has no connections.
    fn may_drain(&self, drain: Option<Duration>) -> Result<(), Refused> {
        if self.has_connections() || drain.is_none_or(|drain| drain.is_zero()) {
            return Ok(());
        }
        Err(Refused(vec!["datagrams belong to no connection: there is nothing to drain".to_owned()]))
    }

    /// Switches away from the active backend, which is to be put into maintenance.
    fn leave(&mut self, active: BackendId, effects: &mut Vec<Effect>) -> Result<(), Refused> {
        let target = self.preference().into_iter().find(|&id| id != active && self.is_eligible(id));
        if let Some(target) = target {
            let trace = self.fresh_trace();
            self.switch_to(target, Cause::Maintenance, self.spec.drain, Some(trace), effects);
        } else if self.state(active).health.state() != State::Down {
            let why = "it is active and no other backend is eligible to take over";
            return Err(Refused(vec![why.to_owned()]));
        } else if self.cause == Cause::Forced {
            self.note_cause(Cause::Operator, effects);
        }
        Ok(())
    }
}
