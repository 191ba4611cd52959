//! From a configuration file to a running driver. Everything that can be refused is refused before the first change.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::census::{self, Census, Found};
use super::clock::Clock;
use super::deadlines::Deadlines;
use super::driver::Driver;
use super::error::StartError;
use super::network::{self, VipPlace};
use super::obstacles;
use super::ports::Ports;
use super::scripts::Scripts;
use super::sources::Sources;
use super::{Inputs, Options, takeover};
use crate::dataplane::{self, Dataplane, Detached};
use crate::machine::spec::Spec;
use crate::net::{Interface, Net, Watch};
use crate::runner::{Finished, Runner};
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
    dataplane::check(&options.pin_dir, &network::targets(&interfaces))?;
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
    let recovered = checked.runner.recover(|service, backend| checked.spec.find(service, backend))?;
    let (left, found) = mpsc::channel(WAITING);
    let mut driver = driver(background, checked, dataplane, left)?;
    let (reports, heartbeats) = mpsc::channel(WAITING);
    takeover::take_over(&mut driver, &recovered, &reports)?;
    let (pictures, changes) = mpsc::channel(1);
    background.spawn(network::watch(driver.net.clone(), events, driver.spec.clone(), pictures));
    tracing::info!(
        services = driver.spec.services.len(),
        interfaces = driver.spec.gateway.interfaces.join(","),
        pins = %options.pin_dir.display(),
        "running"
    );
    Ok((driver, Inputs { reports: heartbeats, scripts, pictures: changes, asked, found, _socket: socket }))
}

/// A driver that has done nothing yet.
fn driver(
    background: &Handle,
    checked: Checked,
    dataplane: Dataplane,
    left: mpsc::Sender<Found>,
) -> Result<Driver, StartError> {
    let Checked { spec, net, interfaces, vips, runner, finished } = checked;
    let rows = census::rows(&spec, |service| dataplane.rows(service));
    let census = Census::start(dataplane.connections()?, rows, left);
    Ok(Driver {
        machines: Vec::new(),
        clock: Clock::start(),
        interfaces,
        ports: Ports::adopt(&dataplane)?,
        sources: background.block_on(Sources::adopt(&dataplane, &spec, &net))?,
        next_hops: BTreeMap::new(),
        obstacles: Vec::new(),
        vips,
        no_local_clients: None,
        scripts: Scripts::start(runner, finished, background),
        net,
        background: background.clone(),
        deadlines: Deadlines::default(),
        census: census.map_err(StartError::system("count connections"))?,
        prober: None,
        dataplane,
        spec,
    })
}

/// Says what will keep packets from being forwarded, with the command that mends it.
fn warn_of(spec: &Spec, interfaces: &[Interface]) {
    for interface in interfaces {
        for warning in obstacles::not_forwarded(spec, &interface.name) {
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
    let Detached { vips, unknown } = dataplane::detach(pin_dir)?;
    let _context = runtime.enter();
    let net = Net::new()?;
    runtime.block_on(network::remove_vips(&net, &vips))?;
    unknown.map_or(Ok(vips), |unknown| Err(unknown.into()))
}
