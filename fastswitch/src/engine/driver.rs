//! Executes what the machines want.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Instant;

use fastswitch_common::abi::Port;
use fastswitch_common::word::NextHopWord;
use tokio::runtime::Handle;

use super::census::{Census, Found};
use super::clock::{Clock, unix_now};
use super::deadlines::Deadlines;
use super::network::{self, Picture, VipPlace};
use super::ports::Ports;
use super::scripts::Scripts;
use super::sources::Sources;
use crate::dataplane::{Dataplane, DataplaneError, Target, cause_code};
use crate::machine::spec::Spec;
use crate::machine::{BackendId, Effect, Freeze, Machine, ScriptKind, ServiceId, TraceId};
use crate::net::{Interface, Net};
use crate::probe::{Prober, Report};
use crate::runner::{Finished, Job};
use crate::telemetry::events;

/// The machines and everything that their effects reach.
pub(super) struct Driver {
    pub(super) spec: Spec,
    pub(super) machines: Vec<Machine>,
    pub(super) dataplane: Dataplane,
    pub(super) clock: Clock,
    pub(super) interfaces: Vec<Interface>,
    pub(super) ports: Ports,
    pub(super) sources: Sources,
    pub(super) next_hops: BTreeMap<IpAddr, NextHopWord>,
    /// What about the interfaces somebody should change.
    pub(super) obstacles: Vec<String>,
    pub(super) vips: Vec<VipPlace>,
    /// Why processes of this machine cannot use the VIPs, though they are to.
    pub(super) no_local_clients: Option<String>,
    pub(super) scripts: Scripts,
    pub(super) net: Net,
    pub(super) background: Handle,
    pub(super) deadlines: Deadlines,
    pub(super) census: Census,
    /// Heartbeats end with the driver.
    pub(super) prober: Option<Prober>,
}

impl Driver {
    /// When [`Driver::meet_deadlines`] is next needed.
    pub(super) fn deadline(&self) -> Option<tokio::time::Instant> {
        self.deadlines.first().map(|(time, _)| self.clock.instant(time))
    }

    pub(super) fn meet_deadlines(&mut self) {
        let now = self.clock.now();
        while let Some((due, service)) = self.deadlines.first()
            && due <= now
        {
            self.with_machine(service, |machine, effects| machine.tick(now, effects));
        }
    }

    pub(super) fn heartbeat(&mut self, report: Report) {
        let now = self.clock.now();
        self.with_machine(report.service, |machine, effects| {
            machine.heartbeat(report.backend, report.outcome, now, effects);
        });
    }

    pub(super) fn script_finished(&mut self, finished: Finished) {
        let now = self.clock.now();
        self.with_machine(finished.service, |machine, effects| {
            machine.script_finished(finished.backend, finished.kind, finished.outcome, now, effects);
        });
    }

    pub(super) fn connections_left(&mut self, found: &Found) {
        let now = self.clock.now();
        self.with_machine(found.service, |machine, effects| {
            machine.connections_left(found.left, now, effects);
        });
    }

    /// Gives a machine an input and carries out what follows.
    pub(super) fn with_machine<T>(
        &mut self,
        service: ServiceId,
        input: impl FnOnce(&mut Machine, &mut Vec<Effect>) -> T,
    ) -> T {
        let decided = Instant::now();
        let mut effects = Vec::new();
        let result = input(&mut self.machines[service.0], &mut effects);
        self.execute(service, effects, decided);
        self.deadlines.set(service, self.machines[service.0].deadline());
        result
    }

    /// Carries effects out, in order. `decided` is when the input arrived.
    pub(super) fn execute(&mut self, service: ServiceId, effects: Vec<Effect>, decided: Instant) {
        let mut stored_after = None;
        for effect in effects {
            let noted = match effect {
                Effect::Store(position) => {
                    self.dataplane.store(service, position);
                    stored_after = Some(decided.elapsed());
                    Ok(())
                }
                Effect::NoteCause(cause) => self.dataplane.update_service(service, |info| {
                    info.cause = cause_code(cause);
                    if stored_after.is_some() {
                        info.since = unix_now();
                    }
                }),
                Effect::NoteDrain(drain) => {
                    let drain = u64::try_from(drain.as_nanos()).unwrap_or(u64::MAX);
                    let drained_by = unix_now().saturating_add(drain);
                    self.dataplane.update_service(service, |info| info.drained_by = drained_by)
                }
                Effect::Start { backend, trace, reason } => {
                    self.run_script(service, backend, ScriptKind::Start, trace, reason);
                    Ok(())
                }
                Effect::Stop { backend, trace, reason } => {
                    self.run_script(service, backend, ScriptKind::Stop, trace, reason);
                    Ok(())
                }
                Effect::Abort { backend } => {
                    self.scripts.abort(service, backend);
                    Ok(())
                }
                Effect::Forget { backend } => {
                    let spec = &self.spec.services[service.0];
                    self.scripts.forget(&spec.name, &spec.backends[backend.0].name);
                    Ok(())
                }
                Effect::Event { trace, event } => {
                    events::log(&self.spec.services[service.0], trace, &event, stored_after);
                    Ok(())
                }
            };
            report(noted);
        }
    }

    /// Keeps an operator's freeze where a later daemon finds it.
    pub(super) fn note_freeze(&mut self, service: ServiceId) {
        let frozen_until = match self.machines[service.0].freeze() {
            Freeze::No => 0,
            Freeze::Until(until) => self.clock.to_unix(until),
            Freeze::Indefinitely => u64::MAX,
        };
        report(self.dataplane.update_service(service, |info| info.frozen_until = frozen_until));
    }

    /// Keeps an operator's maintenance where a later daemon finds it.
    pub(super) fn note_maintenance(&mut self, service: ServiceId, backend: BackendId, on: bool) {
        report(self.dataplane.update_backend(service, backend, |info| info.maintenance = u8::from(on)));
    }

    fn run_script(
        &mut self,
        service: ServiceId,
        backend: BackendId,
        kind: ScriptKind,
        trace: TraceId,
        reason: &str,
    ) {
        let spec = &self.spec.services[service.0];
        let of = &spec.backends[backend.0];
        let script = match kind {
            ScriptKind::Start => &of.start,
            ScriptKind::Stop => &of.stop,
        };
        let Some(script) = script.clone() else { return };
        let job = Job {
            service,
            backend,
            service_name: spec.name.clone(),
            backend_name: of.name.clone(),
            address: of.address,
            kind,
            script,
            reason: reason.to_owned(),
            trace,
        };
        self.scripts.run(job);
    }

    /// Puts the program on interfaces, and says where it runs.
    pub(super) fn attach(&mut self, targets: &[Target]) -> Result<(), DataplaneError> {
        for attached in self.dataplane.attach(targets, self.spec.gateway.xdp_mode)? {
            let (interface, mode) = (&attached.name, attached.choice.place().name());
            let adopted = attached.before.is_some();
            tracing::info!(interface, mode, adopted, "XDP program attached");
            if let Some(before) = attached.before.filter(|before| *before != attached.choice.place()) {
                let before = before.name();
                tracing::warn!(
                    interface,
                    before,
                    mode,
                    "taken off and attached anew, for another mode: packets went past"
                );
            }
            if let Some(warning) = attached.choice.warning(interface) {
                tracing::warn!(interface, "{warning}");
            }
        }
        Ok(())
    }

    /// Takes a new picture of the network in: next hops, and interfaces that came back without our program.
    pub(super) fn network_changed(&mut self, picture: Picture) {
        report(self.store_next_hops(&picture));
        report(self.store_sources(&picture));
        let bare = picture.interfaces.iter().any(|interface| interface.xdp.is_none());
        if bare {
            let targets: Vec<Target> = network::targets(&picture.interfaces);
            match self.attach(&targets) {
                Ok(()) => tracing::warn!("an interface was without the XDP program; attached again"),
                Err(error) => tracing::error!(%error, "an interface is without the XDP program"),
            }
        }
        self.note_obstacles(picture.obstacles);
        self.interfaces = picture.interfaces;
        self.keep_vips();
    }

    /// Logs what is new of `obstacles`; `status` shows all as long as they last.
    pub(super) fn note_obstacles(&mut self, obstacles: Vec<String>) {
        for obstacle in obstacles.iter().filter(|obstacle| !self.obstacles.contains(obstacle)) {
            tracing::warn!("{obstacle}");
        }
        self.obstacles = obstacles;
    }

    /// Stores the next-hop words that differ from what is stored.
    pub(super) fn store_next_hops(&mut self, picture: &Picture) -> Result<(), DataplaneError> {
        let hops = || picture.next_hops.iter().filter_map(|(&ip, hop)| Some((ip, hop, picture.port(hop)?)));
        let ports: Vec<Port> = hops().map(|(_, _, port)| port).collect();
        self.ports.update(&mut self.dataplane, &ports)?;
        let words: BTreeMap<IpAddr, NextHopWord> =
            hops().map(|(ip, hop, port)| (ip, self.ports.word(&port, hop.mac.0))).collect();
        for (service_index, service) in self.spec.services.iter().enumerate() {
            for (index, backend) in service.backends.iter().enumerate() {
                let address = backend.address.ip();
                let word = words.get(&address).copied().unwrap_or(NextHopWord::UNKNOWN);
                if self.next_hops.get(&address) != Some(&word) {
                    self.dataplane.store_next_hop(ServiceId(service_index), BackendId(index), word);
                }
            }
        }
        let backends = self.spec.services.iter().flat_map(|service| &service.backends);
        self.next_hops = backends
            .map(|backend| backend.address.ip())
            .map(|address| (address, words.get(&address).copied().unwrap_or(NextHopWord::UNKNOWN)))
            .collect();
        Ok(())
    }

    /// Stores from which addresses backends in mode full_nat are spoken to.
    pub(super) fn store_sources(&mut self, picture: &Picture) -> Result<(), DataplaneError> {
        self.sources.store(&mut self.dataplane, &self.spec, &picture.own_addresses)
    }

    /// Puts VIPs back that somebody took off (a network manager, an interface that came anew).
    fn keep_vips(&self) {
        let (net, mut places, interfaces) = (self.net.clone(), self.vips.clone(), self.interfaces.clone());
        if places.is_empty() {
            return;
        }
        for place in &mut places {
            if let Some(now) = interfaces.iter().find(|interface| interface.name == place.interface.name) {
                place.interface = now.clone();
            }
        }
        self.background.spawn(async move {
            match network::assign(&net, &places).await {
                Ok(new) if new.is_empty() => {}
                Ok(new) => {
                    tracing::warn!(vips = new.len(), "VIPs were gone from their interfaces; assigned again");
                    network::announce(new);
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot make sure that the VIPs are on their interfaces");
                }
            }
        });
    }
}

/// An error that must not stop the daemon: what it concerns goes on as it is.
fn report(outcome: Result<(), DataplaneError>) {
    if let Err(error) = outcome {
        tracing::error!(%error, "the maps do not take what was decided");
    }
}
