//! Answers what operators ask over the control socket.

use std::time::Duration;

use super::driver::Driver;
use crate::control::Asked;
use crate::control::wire::{Invalid, Request, Response};
use crate::machine::{BackendId, Draining, Freeze, Refused, ServiceId};
use crate::telemetry::report;

impl Driver {
    /// Carries a request out and answers it.
    pub(super) fn answer(&mut self, asked: Asked) {
        let response = match asked.request {
            Request::Status { service } => match self.services(service.as_deref()) {
                // Completed and answered elsewhere.
                Ok(ids) => return self.census.complete(self.status(&ids), ids, asked.answer),
                Err(invalid) => Err(invalid),
            },
            Request::Switch { service, backend, force, drain_ms } => {
                self.switch(&service, &backend, force, drain_ms.map(Duration::from_millis))
            }
            Request::Failback { service, drain_ms } => {
                self.failback(&service, drain_ms.map(Duration::from_millis))
            }
            Request::Freeze { service, for_ms } => self.freeze(&service, for_ms.map(Duration::from_millis)),
            Request::Unfreeze { service } => self.unfreeze(&service),
            Request::Maint { service, backend, on } => self.maint(&service, &backend, on),
        };
        // Whoever asked may be gone by now.
        let _ = asked.answer.send(response.unwrap_or_else(Response::from));
    }

    fn switch(
        &mut self,
        name: &str,
        to: &str,
        force: bool,
        drain: Option<Duration>,
    ) -> Result<Response, Invalid> {
        let now = self.clock.now();
        let (service, backend) = self.find(name, to)?;
        let outcome = self
            .with_machine(service, |machine, effects| machine.switch(backend, force, drain, now, effects));
        let done = format!("{name}: {to} is active{}", self.drains(service, drain));
        Ok(done_or_refused(outcome, done, format!("{name}: cannot switch to {to}")))
    }

    fn failback(&mut self, name: &str, drain: Option<Duration>) -> Result<Response, Invalid> {
        let now = self.clock.now();
        let service = self.find_service(name)?;
        let outcome = self.with_machine(service, |machine, effects| machine.failback(drain, now, effects));
        let active = outcome.as_ref().ok().copied().flatten();
        let active = active.map_or("no backend", |id| &self.spec.services[service.0].backends[id.0].name);
        let done = format!("{name}: {active} is active{}", self.drains(service, drain));
        Ok(done_or_refused(outcome.map(|_| ()), done, format!("{name}: cannot fail back")))
    }

    fn freeze(&mut self, name: &str, duration: Option<Duration>) -> Result<Response, Invalid> {
        let service = self.find_service(name)?;
        let (freeze, until) = match duration {
            Some(duration) => (Freeze::Until(self.clock.now() + duration), " for the time given"),
            None => (Freeze::Indefinitely, " until `unfreeze`"),
        };
        self.set_freeze(service, freeze);
        Ok(Response::Done { message: format!("{name}: automation is frozen{until}") })
    }

    fn unfreeze(&mut self, name: &str) -> Result<Response, Invalid> {
        let service = self.find_service(name)?;
        self.set_freeze(service, Freeze::No);
        Ok(Response::Done { message: format!("{name}: automation acts") })
    }

    fn maint(&mut self, name: &str, of: &str, on: bool) -> Result<Response, Invalid> {
        let now = self.clock.now();
        let (service, backend) = self.find(name, of)?;
        let outcome =
            self.with_machine(service, |machine, effects| machine.set_maintenance(backend, on, now, effects));
        if outcome.is_ok() {
            self.note_maintenance(service, backend, on);
        }
        let state = if on { "in maintenance" } else { "out of maintenance" };
        let refused = format!("{name}: cannot put {of} into maintenance");
        Ok(done_or_refused(outcome, format!("{name}: {of} is {state}"), refused))
    }

    /// What drains, for whoever has asked for it, to follow upon who is active.
    fn drains(&self, service: ServiceId, asked: Option<Duration>) -> String {
        let draining = self.machines[service.0].draining().filter(|_| asked.is_some());
        let Some(Draining { backend, until, .. }) = draining else { return String::new() };
        let backend = &self.spec.services[service.0].backends[backend.0].name;
        let until = report::rfc3339(self.clock.to_unix(until)).unwrap_or_default();
        format!("; {backend} keeps its connections until {until}")
    }

    /// All services, or the one of this name.
    fn services(&self, only: Option<&str>) -> Result<Vec<ServiceId>, Invalid> {
        match only {
            Some(name) => Ok(vec![self.find_service(name)?]),
            None => Ok((0..self.machines.len()).map(ServiceId).collect()),
        }
    }

    fn set_freeze(&mut self, service: ServiceId, freeze: Freeze) {
        let now = self.clock.now();
        self.with_machine(service, |machine, effects| machine.set_freeze(freeze, now, effects));
        self.note_freeze(service);
    }

    fn find_service(&self, name: &str) -> Result<ServiceId, Invalid> {
        let names = || self.spec.services.iter().map(|service| service.name.as_str());
        names()
            .position(|other| other == name)
            .map(ServiceId)
            .ok_or_else(|| Invalid::no_such("service", name, names()))
    }

    fn find(&self, service: &str, backend: &str) -> Result<(ServiceId, BackendId), Invalid> {
        let id = self.find_service(service)?;
        let names = || self.spec.services[id.0].backends.iter().map(|backend| backend.name.as_str());
        let position = names().position(|other| other == backend);
        let unknown = || Invalid::no_such(&format!("backend of {service}"), backend, names());
        position.map(|position| (id, BackendId(position))).ok_or_else(unknown)
    }
}

fn done_or_refused(outcome: Result<(), Refused>, done: String, refused: String) -> Response {
    match outcome {
        Ok(()) => Response::Done { message: done },
        Err(Refused(reasons)) => Response::Refused { message: refused, reasons },
    }
}
