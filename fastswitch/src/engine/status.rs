//! The state of everything, as wire types.

use super::clock::Clock;
use super::driver::Driver;
use super::obstacles;
use crate::control::wire;
use crate::machine::spec::{Mode, Protocol};
use crate::machine::{BackendId, BackendView, Freeze, ServiceId, State, View};
use crate::net::{Interface, XdpMode};
use crate::telemetry::report;

impl Driver {
    /// The state of everything, of these services, without counts of connections.
    pub(super) fn status(&self, services: &[ServiceId]) -> wire::Status {
        wire::Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            daemon: wire::Daemon::Running,
            interfaces: self.interface_states(),
            services: services.iter().map(|id| self.service_state(*id)).collect(),
            other_counters: self
                .dataplane
                .other_counters()
                .map(|counters| report::reasons(&counters))
                .unwrap_or_default(),
            warnings: self.warnings(),
        }
    }

    fn interface_states(&self) -> Vec<wire::Interface> {
        let state = |name: &String| {
            let interface = self.interfaces.iter().find(|interface| interface.name == *name);
            let xdp = match interface.and_then(|interface| interface.xdp.as_ref()).map(|xdp| xdp.mode) {
                None => "none",
                Some(XdpMode::Native) => "native",
                Some(XdpMode::Generic) => "generic",
                Some(XdpMode::Offloaded) => "offloaded",
                Some(XdpMode::Multi) => "multi",
            };
            let generic_because = interface.and_then(|interface| self.generic_because(interface));
            wire::Interface { name: name.clone(), xdp: xdp.to_owned(), generic_because }
        };
        self.spec.gateway.interfaces.iter().map(state).collect()
    }

    /// Why the program is in generic mode there although nobody asked for that.
    fn generic_because(&self, interface: &Interface) -> Option<String> {
        self.dataplane.choice(interface.ifindex)?.warning(&interface.name)
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for name in &self.spec.gateway.interfaces {
            match self.interfaces.iter().find(|interface| interface.name == *name) {
                None => warnings.push(format!("interface {name} is gone")),
                Some(interface) if !interface.up => warnings.push(format!("interface {name} is down")),
                Some(interface) => {
                    warnings.extend(self.generic_because(interface));
                    warnings.extend(obstacles::not_forwarded(&self.spec, name));
                }
            }
        }
        warnings.extend_from_slice(&self.obstacles);
        warnings.extend(self.no_local_clients.clone());
        warnings
    }

    fn service_state(&self, id: ServiceId) -> wire::Service {
        let spec = &self.spec.services[id.0];
        let view = self.machines[id.0].view(self.clock.now());
        let info = self.dataplane.service_info(id).ok();
        let name = |id: BackendId| spec.backends[id.0].name.clone();
        let target = view.position.active.map(name);
        let backends = (0..).map(BackendId).zip(&spec.backends).zip(&view.backends);
        let mut state = wire::Service {
            name: spec.name.clone(),
            vip: spec.vip.to_string(),
            port: spec.port,
            protocol: spec.protocol.name().to_owned(),
            mode: spec.mode.name().to_owned(),
            active: target.clone().filter(|_| !view.position.outage),
            target,
            draining: view.draining.map(|draining| wire::Draining {
                backend: name(draining.backend),
                until: report::rfc3339(self.clock.to_unix(draining.until)),
                connections_left: draining.left,
            }),
            epoch: view.position.epoch,
            since: info.and_then(|info| report::rfc3339(info.since)),
            frozen: view.freeze != Freeze::No,
            frozen_until: thaw(view.freeze, self.clock),
            reason: reason(&view),
            connections: None,
            counters: self
                .dataplane
                .counters(id)
                .map(|counters| report::service_counters(&counters))
                .unwrap_or_default(),
            backends: backends
                .map(|((backend_id, backend), view)| wire::Backend {
                    name: backend.name.clone(),
                    address: backend.address.to_string(),
                    tier: backend.tier.name().to_owned(),
                    role: view.role.name().to_owned(),
                    health: health(view).to_owned(),
                    maintenance: view.maintenance,
                    eligible: view.holds.is_empty(),
                    hold: view.holds.iter().map(ToString::to_string).collect(),
                    rtt_us: view.rtt.map(|rtt| u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX)),
                    stalled_rounds: view.stalled,
                    counters: self
                        .dataplane
                        .backend_traffic(id, backend_id)
                        .map(report::backend_counters)
                        .unwrap_or_default(),
                    connections: None,
                })
                .collect(),
        };
        // Counted by a sweep of its own, a moment ago.
        if (spec.mode, spec.protocol) == (Mode::FullNat, Protocol::Tcp) {
            let backends = (0..spec.backends.len()).map(BackendId);
            state.count(backends.map(|backend| u64::from(self.dataplane.flows(id, backend))));
        }
        state
    }
}

fn thaw(freeze: Freeze, clock: Clock) -> Option<String> {
    match freeze {
        Freeze::Until(until) => report::rfc3339(clock.to_unix(until)),
        Freeze::No | Freeze::Indefinitely => None,
    }
}

fn health(view: &BackendView) -> &'static str {
    match view.health {
        State::Unknown => "unknown",
        State::Up => "up",
        State::Down => "down",
    }
}

fn reason(view: &View) -> String {
    if view.position.outage {
        return "no backend can serve".to_owned();
    }
    view.cause.describe().to_owned()
}
