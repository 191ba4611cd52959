//! From a configuration file to a running driver. Everything that can be refused is refused before the first change.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::clock::Clock;
use super::deadlines::Deadlines;
use super::driver::Driver;
use super::error::StartError;
use super::network::{self, VipPlace};
use super::ports::Ports;
use super::scripts::Scripts;
use super::{Inputs, Options};
use crate::dataplane::{self, Adopted, Dataplane};
use crate::machine::spec::Spec;
use crate::machine::{BackendId, Freeze, Launched, Machine, Restored, ServiceId};
use crate::net::{Interface, Net, Watch};
use crate::probe::{Prober, Target};
use crate::runner::{Finished, Recovered, Runner, State};
use crate::{config, control};

/// Inputs that may wait for the engine, of each kind. Enough for a stall; heartbeats beyond it wait in the prober.
const WAITING: usize = 4096;

/// What was found before the first change.
struct Checked {
    spec: Spec,
    net: Net,
    interfaces: Vec<Interface>,
    vips: Vec<VipPlace>,
    runner: Runner,
    finished: mpsc::UnboundedSender<Finished>,
}

/// Starts everything.
pub(super) fn start(options: &Options, background: &Handle) -> Result<(Driver, Inputs), StartError> {
    let spec = config::load(&options.config)?;
    let _context = background.enter();
    let net = Net::new()?;
    // Subscribed before the first look, so that nothing is missed in between.
    let events = Watch::new()?;
    let interfaces = background.block_on(network::interfaces(&net, &spec))?;
    warn_of(&spec, &interfaces);
    dataplane::check_foreign(&options.pin_dir, &network::targets(&interfaces))?;
    background.block_on(network::check_neighbours(&net, &spec))?;
    let vips = background.block_on(network::vip_places(&net, &spec, &interfaces))?;
    background.block_on(network::check_conflicts(&net, &spec, &vips))?;
    let (finished, scripts) = mpsc::unbounded_channel();
    let runner = Runner::open(&options.state_dir, finished.clone())?;

    // Only what this start makes is undone if it fails, so only where there was nothing.
    let first = !dataplane::is_pinned(&options.pin_dir);
    let checked = Checked { spec, net, interfaces, vips, runner, finished };
    begin(options, background, checked, events, scripts).inspect_err(|_| {
        if first {
            undo(options, background);
        }
    })
}

/// From the first change to a daemon that runs.
fn begin(
    options: &Options,
    background: &Handle,
    checked: Checked,
    events: Watch,
    scripts: mpsc::UnboundedReceiver<Finished>,
) -> Result<(Driver, Inputs), StartError> {
    let dataplane = Dataplane::open(&options.pin_dir, &checked.spec, options.packet_log)?;
    // Needs the lock that was taken just now, and may be refused, so before anything that packets meet.
    let (questions, asked) = mpsc::channel(64);
    let socket = control::serve(&options.socket, questions)?;
    let mut driver = take_over(background, checked, dataplane)?;
    let (reports, heartbeats) = mpsc::channel(WAITING);
    let prober = Prober::spawn(probe_targets(&driver.spec), &reports);
    driver.prober = Some(prober.map_err(StartError::system("start the heartbeats"))?);
    let (pictures, changes) = mpsc::channel(1);
    background.spawn(network::watch(driver.net.clone(), events, driver.spec.clone(), pictures));
    tracing::info!(
        services = driver.spec.services.len(),
        interfaces = driver.spec.gateway.interfaces.join(","),
        pins = %options.pin_dir.display(),
        "running"
    );
    Ok((driver, Inputs { reports: heartbeats, scripts, pictures: changes, asked, _socket: socket }))
}

/// Makes packets be forwarded as configured.
fn take_over(background: &Handle, checked: Checked, mut dataplane: Dataplane) -> Result<Driver, StartError> {
    let Checked { spec, net, interfaces, vips, runner, finished } = checked;
    dataplane.prepare(&spec)?;
    let recovered = runner.recover(|service, backend| spec.find(service, backend))?;
    let ports = Ports::adopt(&dataplane)?;
    let adopted = dataplane.adopted().to_vec();
    let targets = network::targets(&interfaces);
    let mut driver = Driver {
        machines: Vec::new(),
        clock: Clock::start(),
        interfaces,
        ports,
        next_hops: BTreeMap::new(),
        vips,
        scripts: Scripts::start(runner, finished, background),
        net,
        background: background.clone(),
        deadlines: Deadlines::default(),
        prober: None,
        dataplane,
        spec,
    };
    let picture = background.block_on(network::picture(&driver.net, &driver.spec))?;
    driver.store_next_hops(&picture)?;
    driver.birth(&adopted, &recovered);
    driver.dataplane.commit(&driver.spec)?;
    for attached in driver.dataplane.attach(&targets)? {
        let (interface, adopted) = (attached.name, attached.adopted);
        tracing::info!(interface, adopted, "XDP program attached, native mode");
    }
    driver.place_vips()?;
    Ok(driver)
}

impl Driver {
    /// Makes the machines, each where its service was left.
    fn birth(&mut self, adopted: &[Option<Adopted>], recovered: &[Recovered]) {
        let now = self.clock.now();
        let seed = RandomState::new().hash_one(SystemTime::now());
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
            self.execute(id, effects, Instant::now());
            // The word may still name a draining backend that this configuration does not have.
            self.dataplane.store(id, self.machines[index].position());
            self.deadlines.set(id, self.machines[index].deadline());
        }
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
            freeze,
            maintenance: adopted.maintenance.clone(),
            launched: vec![None; adopted.maintenance.len()],
        }
    }

    /// Puts VIPs on their interfaces, notes which are ours to remove, and removes those of an older configuration.
    fn place_vips(&mut self) -> Result<(), StartError> {
        let mut ours = self.dataplane.assigned_vips().clone();
        let wanted: BTreeSet<IpAddr> = self.spec.services.iter().map(|service| service.vip).collect();
        for vip in ours.keys().filter(|vip| !wanted.contains(vip)) {
            self.background.block_on(network::remove_vip(&self.net, *vip))?;
            tracing::info!(%vip, "VIP removed: it is not one of this configuration's");
        }
        // Without assign_vip, those still in use stay, but are somebody else's to keep from now on.
        ours.retain(|vip, _| wanted.contains(vip) && self.spec.gateway.assign_vip);
        for place in self.background.block_on(network::assign(&self.net, &self.vips))? {
            tracing::info!(vip = %place.vip, interface = place.interface.name, "VIP assigned");
            ours.insert(place.vip, place.interface.ifindex);
        }
        for (index, service) in self.spec.services.iter().enumerate() {
            let vip_ifindex = ours.get(&service.vip).copied().unwrap_or(0);
            self.dataplane.update_service(ServiceId(index), |info| info.vip_ifindex = vip_ifindex)?;
        }
        // Also those that were there: a neighbour may have learned another host's address in the meantime.
        network::announce(self.vips.clone());
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

/// Says what will keep packets from being forwarded, with the command that mends it.
fn warn_of(spec: &Spec, interfaces: &[Interface]) {
    for interface in interfaces {
        for warning in network::not_forwarded(spec, &interface.name) {
            tracing::warn!(interface = interface.name, "{warning}");
        }
        if !interface.up {
            tracing::warn!(interface = interface.name, "is down: ip link set {} up", interface.name);
        }
    }
}

/// Removes what a failed first start has made.
fn undo(options: &Options, background: &Handle) {
    if let Err(error) = remove_everything(&options.pin_dir, background) {
        tracing::warn!(%error, "a failed start could not be undone: run `fastswitch detach`");
    }
}

/// Takes the program off every interface, removes every pin and every VIP that a daemon had assigned. Returns the VIPs.
pub(super) fn remove_everything(pin_dir: &Path, runtime: &Handle) -> Result<BTreeSet<IpAddr>, StartError> {
    let vips = dataplane::detach(pin_dir)?;
    let _context = runtime.enter();
    let net = Net::new()?;
    for vip in &vips {
        runtime.block_on(network::remove_vip(&net, *vip))?;
    }
    Ok(vips)
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
