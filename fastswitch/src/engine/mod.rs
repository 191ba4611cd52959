//! The driver: starts everything, then moves inputs to the machines and their effects to the world.
//!
//! It is the only module that sees all others. It refuses to decide: a choice that is not mechanical belongs in
//! `machine`.

mod census;
mod clock;
mod deadlines;
mod driver;
mod error;
mod network;
mod obstacles;
mod ports;
mod requests;
mod scripts;
mod sources;
mod startup;
mod status;
mod takeover;

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::control::{Asked, SocketFile};
use crate::probe::Report;
use crate::runner::Finished;

use census::Found;
use driver::Driver;
pub use error::StartError;
use network::Picture;

/// Heartbeat outcomes handled before anything else gets its turn.
const REPORTS_PER_TURN: usize = 256;

/// Where everything is.
#[derive(Debug, Clone)]
pub struct Options {
    /// The configuration file.
    pub config: PathBuf,
    /// Where maps and links are pinned.
    pub pin_dir: PathBuf,
    /// The control socket.
    pub socket: PathBuf,
    /// What must survive a restart and is not in the maps.
    pub state_dir: PathBuf,
    /// Which messages of the XDP program itself to log.
    pub packet_log: Option<tracing::Level>,
}

/// Runs the daemon until SIGTERM or SIGINT. Packets go on being forwarded after it ends.
///
/// # Errors
/// Why it did not start; nothing is changed then.
pub fn run(options: &Options) -> Result<(), StartError> {
    // Everything that may be slow runs on threads of its own; this thread only decides.
    let background = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("background")
        .enable_all()
        .build()
        .map_err(StartError::system("start threads"))?;
    let engine = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(StartError::system("start the engine"))?;
    // Before the start: a signal in its midst waits, and ends a daemon that knows all that it has made.
    let signals = engine.block_on(async { Signals::new() }).map_err(StartError::system("watch signals"))?;
    let (driver, inputs) = startup::start(options, background.handle())?;
    engine.block_on(turn(driver, inputs, signals));
    Ok(())
}

/// Takes the program off every interface and removes every pin and every VIP that a daemon had assigned. Returns those
/// VIPs.
///
/// # Errors
/// A daemon holds the pins, the system refuses, or VIPs of another version may be left.
pub fn detach(pin_dir: &Path) -> Result<BTreeSet<IpAddr>, StartError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(StartError::system("start threads"))?;
    startup::remove_everything(pin_dir, runtime.handle())
}

/// What the engine listens to, most urgent first.
struct Inputs {
    reports: mpsc::Receiver<Report>,
    scripts: mpsc::UnboundedReceiver<Finished>,
    pictures: mpsc::Receiver<Picture>,
    asked: mpsc::Receiver<Asked>,
    found: mpsc::Receiver<Found>,
    /// Where they ask: gone with this, while the pins' lock is still held.
    _socket: SocketFile,
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn any(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

/// The one loop. Each turn waits for any input, then gives every kind of input its share, in order of urgency.
async fn turn(mut driver: Driver, mut inputs: Inputs, mut signals: Signals) {
    loop {
        let deadline = driver.deadline();
        tokio::select! {
            biased;
            signal = signals.any() => {
                tracing::info!(signal, "stopping; packets go on being forwarded");
                return;
            }
            Some(report) = inputs.reports.recv() => driver.heartbeat(report),
            () = sleep_until(deadline) => {}
            Some(finished) = inputs.scripts.recv() => driver.script_finished(finished),
            Some(picture) = inputs.pictures.recv() => driver.network_changed(picture),
            Some(asked) = inputs.asked.recv() => driver.answer(asked),
            Some(found) = inputs.found.recv() => driver.connections_left(&found),
        }
        for _ in 0..REPORTS_PER_TURN {
            let Ok(report) = inputs.reports.try_recv() else { break };
            driver.heartbeat(report);
        }
        driver.meet_deadlines();
        if let Ok(finished) = inputs.scripts.try_recv() {
            driver.script_finished(finished);
        }
        if let Ok(picture) = inputs.pictures.try_recv() {
            driver.network_changed(picture);
        }
        if let Ok(asked) = inputs.asked.try_recv() {
            driver.answer(asked);
        }
        if let Ok(found) = inputs.found.try_recv() {
            driver.connections_left(&found);
        }
    }
}

async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
