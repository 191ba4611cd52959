//! Heartbeats: asks every backend, round after round, whether it is healthy, and reports each round's outcome.
//!
//! It owns the sockets, the cadence and the judgement of a single round, on threads of its own, so that load on the
//! rest of the daemon delays no round. It refuses to count rounds (`fall` and `rise` belong to `machine`), to
//! remember what a backend said before, and to decide anything.
//!
//! A failed round is reported as [`Outcome::Stalled`] where it says nothing about the backend: this process was held
//! up (`watch`), or this host lacked the means to ask (`miss`).

mod clock;
mod echo;
mod http;
mod miss;
mod packet;
mod question;
mod round;
mod tcp;
#[cfg(test)]
mod tests;
mod udp;
mod watch;
mod worker;

use std::io;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::thread::JoinHandle;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::sync::{mpsc, oneshot};

use crate::machine::spec::Heartbeat;
use crate::machine::{BackendId, Outcome, ServiceId};

/// Descriptors that the rest of the daemon may need beside one for each target.
const OTHER_DESCRIPTORS: u64 = 512;

/// Rounds per second that leave a thread idle most of the time: an HTTP round takes some 50 us.
const ROUNDS_PER_THREAD: f64 = 8000.0;

/// A backend to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The service it belongs to; only handed back.
    pub service: ServiceId,
    /// Which of the service's backends; only handed back.
    pub backend: BackendId,
    /// Where to ask.
    pub address: IpAddr,
    /// What to ask and how often.
    pub heartbeat: Heartbeat,
}

/// What one round found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// As in the [`Target`].
    pub service: ServiceId,
    /// As in the [`Target`].
    pub backend: BackendId,
    /// What was found out.
    pub outcome: Outcome,
}

/// The running heartbeats of a set of targets. They end when it is dropped.
#[derive(Debug)]
pub struct Prober {
    _threads: Vec<Thread>,
}

impl Prober {
    /// Starts asking all `targets`, first rounds spread over each one's interval: on one thread, or on several where
    /// there are more rounds than one can bear.
    ///
    /// When `reports` is full, rounds wait for room instead of being lost or piling up; give it a few places for each
    /// target. When it is closed, the rounds end.
    ///
    /// # Errors
    /// `InvalidInput` for a path that no HTTP request can carry, otherwise the system's refusal of a thread, its
    /// timer, or (with an ICMP heartbeat, which needs CAP_NET_RAW) the raw socket.
    pub fn spawn(targets: Vec<Target>, reports: &mpsc::Sender<Report>) -> io::Result<Self> {
        allow_descriptors(targets.len());
        let mut shares = vec![Vec::new(); threads(&targets)];
        let count = shares.len();
        for (position, target) in targets.into_iter().enumerate() {
            shares[position % count].push(target);
        }
        let threads = shares
            .into_iter()
            .map(|share| Thread::spawn(share, reports.clone()))
            .collect::<io::Result<_>>()?;
        Ok(Self { _threads: threads })
    }
}

/// A thread that asks its share of the targets until it is dropped.
#[derive(Debug)]
struct Thread {
    stop: Option<oneshot::Sender<()>>,
    handle: Option<JoinHandle<()>>,
}

impl Thread {
    fn spawn(targets: Vec<Target>, reports: mpsc::Sender<Report>) -> io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let (ready, readiness) = std::sync::mpsc::sync_channel(1);
        let handle = std::thread::Builder::new()
            .name("prober".to_owned())
            .spawn(move || worker::run(&targets, &reports, stopped, &ready))?;
        let thread = Self { stop: Some(stop), handle: Some(handle) };
        match readiness.recv() {
            Ok(started) => started.map(|()| thread),
            Err(_) => Err(io::Error::other("the prober thread ended while it was starting")),
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // A closed channel is the wish to stop.
        drop(self.stop.take());
        if self.handle.take().is_some_and(|handle| handle.join().is_err()) {
            tracing::error!("a prober thread had panicked");
        }
    }
}

/// How many threads `targets` need; no more than there are processors.
fn threads(targets: &[Target]) -> usize {
    let rounds = targets.iter().map(|target| target.heartbeat.interval.as_secs_f64().recip()).sum::<f64>();
    let processors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    ((rounds / ROUNDS_PER_THREAD).ceil() as usize).clamp(1, processors)
}

/// Raises the soft limit of open files when one for each target would not fit into it: its usual 1024 is meant for
/// programs that use `select`. Only as far as needed, because the scripts that the daemon starts inherit it.
fn allow_descriptors(targets: usize) {
    let needed = targets as u64 + OTHER_DESCRIPTORS;
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft < needed { setrlimit(Resource::RLIMIT_NOFILE, needed.min(hard), hard) } else { Ok(()) }
    });
    if let Err(error) = raised {
        tracing::warn!(needed, %error, "cannot raise the limit of open files (RLIMIT_NOFILE) for the heartbeats");
    }
}
