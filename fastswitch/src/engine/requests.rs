//! Answers what operators ask over the control socket.

use std::time::Duration;

use super::driver::Driver;
use crate::control::Asked;
use crate::control::wire::{Invalid, Request, Response};
use crate::machine::{BackendId, Freeze, Refused, ServiceId};

impl Driver {
    /// Carries a request out and answers it.
    pub(super) fn answer(&mut self, asked: Asked) {
        let response = self.carry_out(asked.request).unwrap_or_else(Response::from);
        // Whoever asked may be gone by now.
        let _ = asked.answer.send(response);
    }

    fn carry_out(&mut self, request: Request) -> Result<Response, Invalid> {
        let now = self.clock.now();
        match request {
            Request::Status { service } => {
                let only = service.map(|name| self.find_service(&name)).transpose()?;
                Ok(Response::Status(self.status(only)))
            }
            Request::Switch { service: name, backend: to, force } => {
                let (service, backend) = self.find(&name, &to)?;
                let outcome = self
                    .with_machine(service, |machine, effects| machine.switch(backend, force, now, effects));
                Ok(done_or_refused(
                    outcome,
                    format!("{name}: {to} is active"),
                    format!("{name}: cannot switch to {to}"),
                ))
            }
            Request::Failback { service: name } => {
                let service = self.find_service(&name)?;
                let outcome = self.with_machine(service, |machine, effects| machine.failback(now, effects));
                let active = outcome.as_ref().ok().copied().flatten();
                let active =
                    active.map_or("no backend", |id| &self.spec.services[service.0].backends[id.0].name);
                let message = format!("{name}: {active} is active");
                Ok(done_or_refused(outcome.map(|_| ()), message, format!("{name}: cannot fail back")))
            }
            Request::Freeze { service: name, for_ms } => {
                let service = self.find_service(&name)?;
                let (freeze, until) = match for_ms {
                    Some(ms) => (Freeze::Until(now + Duration::from_millis(ms)), " for the time given"),
                    None => (Freeze::Indefinitely, " until `unfreeze`"),
                };
                self.freeze(service, freeze);
                Ok(Response::Done { message: format!("{name}: automation is frozen{until}") })
            }
            Request::Unfreeze { service: name } => {
                let service = self.find_service(&name)?;
                self.freeze(service, Freeze::No);
                Ok(Response::Done { message: format!("{name}: automation acts") })
            }
            Request::Maint { service: name, backend: of, on } => {
                let (service, backend) = self.find(&name, &of)?;
                let outcome = self.with_machine(service, |machine, effects| {
                    machine.set_maintenance(backend, on, now, effects)
                });
                if outcome.is_ok() {
                    self.note_maintenance(service, backend, on);
                }
                let state = if on { "in maintenance" } else { "out of maintenance" };
                Ok(done_or_refused(
                    outcome,
                    format!("{name}: {of} is {state}"),
                    format!("{name}: cannot put {of} into maintenance"),
                ))
            }
        }
    }

    fn freeze(&mut self, service: ServiceId, freeze: Freeze) {
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
