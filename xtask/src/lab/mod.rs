//! The lab: a client, the gateway, a primary, a hot standby and a cold machine, each a network namespace of this machine.
//!
//! A [`Lab`] is removed, with every process in it, when it is dropped or when its owner ends in any other way. Labs of
//! different names do not see each other, although addresses and interface names are the same in each.

mod address;
pub mod command;
mod config;
mod daemon;
mod keeper;
mod netns;
mod process;
mod receiver;
mod servers;
mod trace;
mod wiring;

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::privilege;
use crate::programs::Programs;
use crate::transfer::Transfer;
use keeper::Keeper;

pub use address::{
    Backend, CLIENT, CLIENT6, GATEWAY_BACKENDS, GATEWAY_BACKENDS6, GATEWAY_CLIENTS, GATEWAY_CLIENTS6, Host,
    PORT, PREFIX, PREFIX6, USUAL_VIPS, VIP, VIP6, vip, vip6,
};
pub use config::add_ipv6;
pub use netns::Namespace;
pub use servers::ServerOptions;
pub use trace::Trace;
pub use wiring::{Topology, Wire};

/// How a lab is made.
#[derive(Clone, Debug)]
pub struct LabOptions {
    /// Part of every name that the lab leaves on the machine: 1 to 32 of a-z, 0-9 and `-`.
    pub name: String,
    /// How the machines are joined.
    pub topology: Topology,
    /// Of every interface, in bytes; IPv6 needs 1280 at least.
    pub mtu: u32,
    /// How long the cold backend's server loads its model.
    pub cold_load_time: Duration,
}

impl LabOptions {
    /// The usual lab under this name.
    pub fn named(name: impl Into<String>) -> LabOptions {
        LabOptions {
            name: name.into(),
            topology: Topology::default(),
            mtu: 1500,
            cold_load_time: Duration::from_secs(2),
        }
    }

    /// The usual lab under a name that no other process chooses.
    pub fn unique() -> LabOptions {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        LabOptions::named(format!("t{}-{number}", std::process::id()))
    }

    /// The same with this topology.
    pub fn topology(self, topology: Topology) -> LabOptions {
        LabOptions { topology, ..self }
    }
}

/// A lab that is up.
pub struct Lab {
    trace: Trace,
    facts: Facts,
    programs: Programs,
    processes: Mutex<process::Children>,
    /// None for a lab that somebody else owns, or that stays.
    keeper: Option<Keeper>,
}

/// What another process must know of a lab; kept in its folder.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Facts {
    topology: Topology,
}

impl Lab {
    /// Makes the lab: namespaces, wires, addresses, folders, scripts and a configuration, but no server and no daemon.
    ///
    /// # Errors
    /// When a lab of this name exists, without privilege, or when a step fails; then nothing of it stays.
    pub fn up(options: &LabOptions) -> anyhow::Result<Lab> {
        anyhow::ensure!(privilege::is_root(), "network namespaces need root");
        let trace = Trace::of(&options.name)?;
        let programs = Programs::find()?;
        if let Some(path) = trace.present().first() {
            anyhow::bail!(
                "{} exists; is a lab {name} up? remove it: cargo xtask lab down --name {name}",
                path.display(),
                name = options.name
            );
        }
        // Making the folder takes the name: of two at the same time one fails here.
        let run_dir = trace.run_dir();
        std::fs::create_dir(&run_dir).with_context(|| format!("cannot make {}", run_dir.display()))?;
        let keeper = Keeper::start(&programs.xtask, &trace).inspect_err(|_| {
            // Empty so far, and without a keeper nobody else would do it; the error in flight matters more than another.
            let _ = std::fs::remove_dir(&run_dir);
        })?;
        let facts = Facts { topology: options.topology };
        let lab = Lab { trace, facts, programs, processes: Mutex::default(), keeper: Some(keeper) };
        lab.set_up(options).with_context(|| format!("setting up lab {}", options.name))?;
        Ok(lab)
    }

    fn set_up(&self, options: &LabOptions) -> anyhow::Result<()> {
        std::fs::write(self.facts_file(), serde_json::to_vec(&self.facts)?)?;
        wiring::build(&self.trace, options.topology, options.mtu)?;
        for folder in [self.log_dir(), self.state_dir(), self.data_dir()] {
            std::fs::create_dir(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
        }
        self.write_scripts(options.cold_load_time)?;
        self.write_config(|_| ())
    }

    /// A lab that is up already; dropping this leaves it up.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn attach(name: &str) -> anyhow::Result<Lab> {
        let trace = Trace::of(name)?;
        let file = trace.run_dir().join("lab.json");
        let text = std::fs::read(&file).with_context(|| {
            format!("no lab {name} ({}); `cargo xtask lab list` lists them", file.display())
        })?;
        let facts =
            serde_json::from_slice(&text).with_context(|| format!("cannot read {}", file.display()))?;
        Ok(Lab { trace, facts, programs: Programs::find()?, processes: Mutex::default(), keeper: None })
    }

    /// Lets the lab stay when its owner ends, until [`Trace::remove`].
    ///
    /// # Errors
    /// When its keeper cannot be told.
    pub fn leave_up(mut self) -> anyhow::Result<()> {
        self.keeper.take().map_or(Ok(()), Keeper::leave)
    }

    /// Removes the lab; dropping it does the same, but can only print an error.
    ///
    /// # Errors
    /// What could not be removed.
    pub fn down(mut self) -> anyhow::Result<()> {
        self.remove()
    }

    fn remove(&mut self) -> anyhow::Result<()> {
        let Some(keeper) = self.keeper.take() else { return Ok(()) };
        let removed = keeper.remove().or_else(|_| self.trace.remove());
        // Whatever is left of them are zombies of this process.
        self.children().reap();
        removed
    }

    /// The lab's name.
    pub fn name(&self) -> &str {
        self.trace.name()
    }

    /// How its machines are joined.
    pub fn topology(&self) -> Topology {
        self.facts.topology
    }

    /// The namespace of a host.
    pub fn namespace(&self, host: Host) -> Namespace {
        self.trace.namespace(host)
    }

    /// Folder of everything the lab writes.
    pub fn run_dir(&self) -> PathBuf {
        self.trace.run_dir()
    }

    /// Folder of the daemon's pins.
    pub fn pin_dir(&self) -> PathBuf {
        self.trace.pin_dir()
    }

    /// Folder of the daemon's state.
    pub fn state_dir(&self) -> PathBuf {
        self.run_dir().join("state")
    }

    /// The daemon's control socket.
    pub fn socket(&self) -> PathBuf {
        self.run_dir().join("control.sock")
    }

    /// Folder that the backends share, with the history of their jobs.
    pub fn data_dir(&self) -> PathBuf {
        self.run_dir().join("data")
    }

    /// Folder of the logs of servers, scripts and daemon.
    pub fn log_dir(&self) -> PathBuf {
        self.run_dir().join("log")
    }

    fn facts_file(&self) -> PathBuf {
        self.run_dir().join("lab.json")
    }

    /// A command that will run on `host`, where `fastswitch` finds the lab's daemon and is on the path.
    ///
    /// # Errors
    /// When the host is gone.
    pub fn command(&self, host: Host, program: impl AsRef<OsStr>) -> anyhow::Result<Command> {
        let mut command = self.namespace(host).command(program)?;
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::iter::once(self.programs.folder().to_owned()).chain(std::env::split_paths(&path));
        command
            .env("PATH", std::env::join_paths(folders).context("a folder in PATH has a colon in its name")?)
            .env("FASTSWITCH_PIN_DIR", self.pin_dir())
            .env("FASTSWITCH_SOCKET", self.socket())
            .env("FASTSWITCH_STATE_DIR", self.state_dir());
        Ok(command)
    }

    /// Runs a command on `host` to its end; what it ends with is the caller's to judge.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn exec<I: AsRef<OsStr>>(
        &self,
        host: Host,
        program: impl AsRef<OsStr>,
        args: impl IntoIterator<Item = I>,
    ) -> anyhow::Result<std::process::Output> {
        crate::shell::output(self.command(host, program)?.args(args))
    }

    /// Runs `job` on a thread of its own on `host`; sockets made there belong to it for ever.
    ///
    /// # Errors
    /// When the host is gone, or when `job` panics.
    pub fn within<T: Send>(&self, host: Host, job: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
        self.namespace(host).within(job)
    }

    /// Sends a file of so many bytes from `host` to the server at `target`, and gets another one from there; both must
    /// arrive as they were sent.
    ///
    /// # Errors
    /// When they do not, or when a connection hangs for `patience`.
    pub fn transfer(
        &self,
        host: Host,
        target: SocketAddr,
        bytes: u64,
        patience: Duration,
    ) -> anyhow::Result<()> {
        let upload = Transfer { target, bytes, seed: 1, patience };
        let download = Transfer { seed: 2, ..upload };
        self.within(host, || upload.upload().and_then(|()| download.download()))?
    }

    /// Puts an XDP program on an interface of a host that is not `fastswitch`'s and passes everything.
    ///
    /// # Errors
    /// When the interface has one already.
    pub fn occupy(&self, host: Host, interface: &str) -> anyhow::Result<()> {
        // Not among the daemon's pins.
        let directory = format!("{}-foreign", self.pin_dir().display());
        receiver::accept_xdp(&self.namespace(host), interface, directory.as_ref())
    }

    /// Pulls the cable between a backend and the switch.
    ///
    /// # Errors
    /// When the lab is gone.
    pub fn cut_link(&self, backend: Backend) -> anyhow::Result<()> {
        wiring::set_link(&self.trace, backend, false)
    }

    /// Undoes [`Lab::cut_link`].
    ///
    /// # Errors
    /// When the lab is gone.
    pub fn restore_link(&self, backend: Backend) -> anyhow::Result<()> {
        wiring::set_link(&self.trace, backend, true)
    }

    /// Makes the switch drop all that a backend sends and gets, while its link stays up.
    ///
    /// # Errors
    /// When the lab is gone.
    pub fn silence(&self, backend: Backend) -> anyhow::Result<()> {
        wiring::set_forwarding(&self.trace, backend, false)
    }

    /// Undoes [`Lab::silence`].
    ///
    /// # Errors
    /// When the lab is gone.
    pub fn unsilence(&self, backend: Backend) -> anyhow::Result<()> {
        wiring::set_forwarding(&self.trace, backend, true)
    }

    /// Sets the MTU of both ends of a wire, 1280 bytes at least: below, the kernel takes IPv6 off.
    ///
    /// # Errors
    /// When it is smaller, or the lab is gone.
    pub fn set_mtu(&self, wire: Wire, mtu: u32) -> anyhow::Result<()> {
        wiring::set_mtu(&self.trace, self.topology(), wire, mtu)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            eprintln!("lab {}: {error:#}", self.name());
        }
    }
}
