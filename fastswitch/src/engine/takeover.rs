//! From what an earlier daemon left to packets that are forwarded as configured. What may be refused comes first, and
//! what the configuration no longer has goes last, so that a start that fails can be given back.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::mpsc;

use super::driver::Driver;
use super::error::StartError;
use super::network;
use crate::dataplane::{Adopted, Before};
use crate::machine::spec::Spec;
use crate::machine::{BackendId, Effect, Freeze, Launched, Machine, Restored, ServiceId};
use crate::net::Assigned;
use crate::probe::{Prober, Report, Target};
use crate::runner::{Recovered, State};

/// Makes packets be forwarded as configured; if that fails, as they were before.
pub(super) fn take_over(
    driver: &mut Driver,
    recovered: &[Recovered],
    reports: &mpsc::Sender<Report>,
) -> Result<(), StartError> {
    let before = driver.dataplane.before()?;
    let mut assigned = BTreeSet::new();
    driver.begin(recovered, reports, &mut assigned).inspect_err(|_| driver.give_back(&before, &assigned))
}

impl Driver {
    /// `assigned` gets the VIPs that this start puts on an interface.
    fn begin(
        &mut self,
        recovered: &[Recovered],
        reports: &mpsc::Sender<Report>,
        assigned: &mut BTreeSet<IpAddr>,
    ) -> Result<(), StartError> {
        self.attach(&network::targets(&self.interfaces))?;
        self.dataplane.prepare(&self.spec)?;
        let picture = self.background.block_on(network::picture(&self.net, &self.spec))?;
        self.store_next_hops(&picture)?;
        self.store_sources(&picture)?;
        self.note_obstacles(picture.obstacles);
        let born = self.birth(recovered);
        self.dataplane.commit(&self.spec)?;
        self.place_vips(assigned)?;
        let prober = Prober::spawn(probe_targets(&self.spec), reports);
        self.prober = Some(prober.map_err(StartError::system("start the heartbeats"))?);

        // Nothing fails the start from here on; scripts, which nobody can take back, come last.
        if let Err(error) = self.retire() {
            tracing::error!(%error, "some of what this configuration does not have is left; the next start tries again");
        }
        self.serve_local_clients();
        for (service, effects) in born {
            self.execute(service, effects, Instant::now());
        }
        // Also those that were there: a neighbour may have learned another host's address in the meantime.
        network::announce(self.vips.clone());
        Ok(())
    }

    /// Leaves everything as it was before a start that failed.
    fn give_back(&mut self, before: &Before, assigned: &BTreeSet<IpAddr>) {
        if let Err(error) = self.background.block_on(network::remove_vips(&self.net, assigned)) {
            tracing::error!(%error, vips = ?assigned, "VIPs of a failed start are left: `ip address delete VIP dev DEV`");
        }
        if let Err(error) = self.dataplane.give_back(before) {
            tracing::error!(%error, "a failed start could not be undone: start again with the configuration before");
        }
        self.background.block_on(network::await_bare(&self.net, &self.interfaces));
    }

    /// Makes the machines, each where its service was left. Returns what they want beyond their switch words.
    fn birth(&mut self, recovered: &[Recovered]) -> Vec<(ServiceId, Vec<Effect>)> {
        let now = self.clock.now();
        let seed = RandomState::new().hash_one(SystemTime::now());
        let adopted = self.dataplane.adopted().to_vec();
        let mut born = Vec::new();
        for (index, service) in self.spec.services.clone().into_iter().enumerate() {
            let id = ServiceId(index);
            let mut restored = match adopted.get(index) {
                Some(Some(adopted)) => self.restored(adopted),
                _ => Restored::nothing(service.backends.len()),
            };
            for record in recovered.iter().filter(|record| record.service == id) {
                if let Some(launched) = restored.launched.get_mut(record.backend.0) {
                    *launched = Some(launched_of(record));
                }
            }
            let mut effects = Vec::new();
            // Trace ids differ between services too.
            let seed = seed.wrapping_add(index as u64);
            self.machines.push(Machine::new(service, &restored, seed, now, &mut effects));
            // The word may also still name a draining backend that this configuration does not have.
            self.dataplane.store(id, self.machines[index].position());
            self.deadlines.set(id, self.machines[index].deadline());
            born.push((id, effects));
        }
        born
    }

    fn restored(&self, adopted: &Adopted) -> Restored {
        let freeze = match adopted.frozen_until {
            0 => Freeze::No,
            u64::MAX => Freeze::Indefinitely,
            unix => Freeze::Until(self.clock.at_unix(unix)),
        };
        Restored {
            position: Some(adopted.position),
            cause: adopted.cause,
            drained_by: self.clock.at_unix(adopted.drained_by),
            freeze,
            maintenance: adopted.maintenance.clone(),
            launched: vec![None; adopted.maintenance.len()],
        }
    }

    /// Puts VIPs on their interfaces. That they are ours to remove is noted before: whoever dies in between leaves none
    /// that nobody knows of.
    fn place_vips(&mut self, assigned: &mut BTreeSet<IpAddr>) -> Result<(), StartError> {
        let mut ours = self.dataplane.assigned_vips().clone();
        // Without assign_vip, those still in use stay, but are somebody else's to keep from now on.
        ours.retain(|_, _| self.spec.gateway.assign_vip);
        let missing = self.background.block_on(network::missing(&self.net, &self.vips))?;
        ours.extend(missing.iter().map(|place| (place.vip, place.interface.ifindex)));
        self.note_vips(&ours)?;
        for place in missing {
            let (vip, interface) = (place.vip, &place.interface);
            match self.background.block_on(self.net.assign(vip, interface.ifindex))? {
                Assigned::New => {
                    tracing::info!(%vip, interface = interface.name, "VIP assigned");
                    assigned.insert(vip);
                }
                // Somebody else was faster, and keeps it.
                Assigned::Present => {
                    ours.remove(&vip);
                    self.note_vips(&ours)?;
                }
            }
        }
        Ok(())
    }

    /// What clients get does not depend on it, so nor does the start.
    fn serve_local_clients(&mut self) {
        let wanted = self.spec.gateway.local_clients;
        match self.dataplane.serve_local_clients(wanted) {
            Ok(()) if wanted => tracing::info!("processes of this gateway itself can use the VIPs"),
            Ok(()) => {}
            Err(error) => {
                let problem = format!("processes of this gateway itself cannot use the VIPs: {error}");
                tracing::warn!("{problem}");
                // The rest is the verifier's.
                self.no_local_clients = problem.lines().next().map(str::to_owned);
            }
        }
    }

    fn note_vips(&mut self, ours: &BTreeMap<IpAddr, u32>) -> Result<(), StartError> {
        for (index, service) in self.spec.services.iter().enumerate() {
            let vip_ifindex = ours.get(&service.vip).copied().unwrap_or(0);
            self.dataplane.update_service(ServiceId(index), |info| info.vip_ifindex = vip_ifindex)?;
        }
        self.sources.note(&mut self.dataplane, ours)?;
        Ok(())
    }

    /// Takes away what the configuration no longer has: VIPs first, for their notes go with the rest.
    fn retire(&mut self) -> Result<(), StartError> {
        let wanted = network::wanted_addresses(&self.spec);
        let old =
            self.dataplane.assigned_vips().keys().filter(|vip| !wanted.contains(vip)).copied().collect();
        self.background.block_on(network::remove_vips(&self.net, &old))?;
        for vip in old {
            tracing::info!(%vip, "VIP removed: it is not one of this configuration's");
        }
        self.sources.retire(&mut self.dataplane)?;
        self.dataplane.settle(&self.spec, &network::targets(&self.interfaces))?;
        Ok(())
    }
}

fn launched_of(record: &Recovered) -> Launched {
    let trace = record.trace;
    match record.state {
        State::Starting | State::Started => {
            let age = SystemTime::now().duration_since(record.since).unwrap_or(Duration::ZERO);
            Launched::Started { age, trace, script_runs: record.running }
        }
        State::Stopping => Launched::Stopping { trace, script_runs: record.running },
    }
}

fn probe_targets(spec: &Spec) -> Vec<Target> {
    let mut targets = Vec::new();
    for (service, of) in spec.services.iter().enumerate() {
        for (backend, of) in of.backends.iter().enumerate() {
            targets.push(Target {
                service: ServiceId(service),
                backend: BackendId(backend),
                address: of.address.ip(),
                heartbeat: of.heartbeat.clone(),
            });
        }
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::TraceId;

    #[test]
    fn a_record_becomes_what_the_machine_resumes() {
        let record = |state, running| Recovered {
            service: ServiceId(0),
            backend: BackendId(1),
            service_name: "asr".to_owned(),
            backend_name: "cold".to_owned(),
            state,
            trace: TraceId(7),
            since: SystemTime::now(),
            running,
        };
        let trace = TraceId(7);
        assert_eq!(
            launched_of(&record(State::Stopping, true)),
            Launched::Stopping { trace, script_runs: true }
        );
        assert!(matches!(
            launched_of(&record(State::Starting, true)),
            Launched::Started { script_runs: true, age, .. } if age < Duration::from_secs(60)
        ));
    }
}
