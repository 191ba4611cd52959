//! What an operator may ask for. A command is carried out at once or refused with every reason.

use super::service::{Freeze, Machine, Refused};
use super::{BackendId, Cause, Effect, Event, State, Time};

impl Machine {
    /// Makes `to` active. `force` overrides its not being eligible.
    ///
    /// # Errors
    /// Refused with each [`super::Hold`] of the backend.
    pub fn switch(
        &mut self,
        to: BackendId,
        force: bool,
        now: Time,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refused> {
        let holds = self.holds(to, now);
        if !holds.is_empty() && !force {
            return Err(Refused(holds.iter().map(ToString::to_string).collect()));
        }
        if self.position.active != Some(to) || self.position.outage {
            let cause = if holds.is_empty() { Cause::Operator } else { Cause::Forced };
            let trace = self.fresh_trace();
            self.switch_to(to, cause, Some(trace), effects);
        }
        self.evaluate(now, effects);
        Ok(())
    }

    /// Returns to the most preferred eligible hot backend, and lets automation fail back again. Tells where to.
    ///
    /// # Errors
    /// Refused if a more preferred backend exists but none of them is eligible.
    pub fn failback(&mut self, now: Time, effects: &mut Vec<Effect>) -> Result<Option<BackendId>, Refused> {
        let preferred: Vec<BackendId> = self.preferred_to_active().collect();
        let Some(&target) = preferred.iter().find(|&&id| self.is_eligible(id)) else {
            if preferred.is_empty() {
                return Ok(self.position.active);
            }
            let reasons = preferred.iter().flat_map(|&id| {
                let name = self.spec.backends[id.0].name.clone();
                self.holds(id, now).into_iter().map(move |hold| format!("{name}: {hold}"))
            });
            return Err(Refused(reasons.collect()));
        };
        let trace = self.fresh_trace();
        self.switch_to(target, Cause::Failback, Some(trace), effects);
        self.evaluate(now, effects);
        Ok(Some(target))
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
    /// Refused for the active backend if no other is eligible.
    pub fn set_maintenance(
        &mut self,
        id: BackendId,
        on: bool,
        now: Time,
        effects: &mut Vec<Effect>,
    ) -> Result<(), Refused> {
        if self.state(id).maintenance == on {
            return Ok(());
        }
        if on && self.position.active == Some(id) && self.state(id).health.state() != State::Down {
            let others = self.preference().into_iter().filter(|&other| other != id);
            let Some(target) = others.into_iter().find(|&other| self.is_eligible(other)) else {
                return Err(Refused(vec![
                    "it is active and no other backend is eligible to take over".to_owned(),
                ]));
            };
            let trace = self.fresh_trace();
            self.switch_to(target, Cause::Maintenance, Some(trace), effects);
        }
        self.state_mut(id).maintenance = on;
        self.tell(None, Event::Maintenance { backend: id, on }, effects);
        self.evaluate(now, effects);
        Ok(())
    }
}
