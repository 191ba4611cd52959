//! One network namespace: made and removed by `ip netns`, entered by setns alone.
//!
//! Never entered by `ip netns exec`: that remounts /sys and so hides bpffs.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use nix::sched::{CloneFlags, setns};
use nix::unistd::Pid;

use crate::shell;

/// A named network namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    pub(super) fn named(name: String) -> Namespace {
        Namespace { name }
    }

    /// Its name, as `ip netns list` gives it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that stands for it.
    pub fn path(&self) -> PathBuf {
        Path::new(super::trace::NAMESPACES).join(&self.name)
    }

    /// Whether there is one.
    pub fn exists(&self) -> bool {
        self.path().exists()
    }

    /// A command that will run in it.
    ///
    /// # Errors
    /// When there is no such namespace.
    pub fn command(&self, program: impl AsRef<OsStr>) -> anyhow::Result<Command> {
        let namespace = self.open()?;
        let mut command = Command::new(program);
        // SAFETY: between fork and exec only setns(2) is called, which is async-signal-safe; the file is the closure's.
        unsafe {
            command.pre_exec(move || Ok(setns(&namespace, CloneFlags::CLONE_NEWNET)?));
        }
        Ok(command)
    }

    /// Runs `job` on a thread of its own in this namespace; sockets made there belong to it for ever.
    ///
    /// # Errors
    /// When the namespace cannot be entered, or when `job` panics.
    pub fn within<T: Send>(&self, job: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.enter()?;
                Ok(job())
            });
            thread.join().map_err(|_| anyhow::anyhow!("a job in namespace {} panicked", self.name))?
        })
    }

    /// Moves the calling thread into it, for good.
    ///
    /// # Errors
    /// When there is no such namespace, or without privilege.
    pub fn enter(&self) -> anyhow::Result<()> {
        setns(self.open()?, CloneFlags::CLONE_NEWNET)
            .with_context(|| format!("cannot enter the network namespace {}", self.name))
    }

    pub(super) fn add(&self) -> anyhow::Result<()> {
        shell::ip(["netns", "add", &self.name])?;
        self.ip(["link", "set", "lo", "up"])
    }

    pub(super) fn delete(&self) -> anyhow::Result<()> {
        shell::ip(["netns", "delete", &self.name]).map(drop)
    }

    /// `ip` with these arguments, inside.
    pub(super) fn ip<const N: usize>(&self, args: [&str; N]) -> anyhow::Result<()> {
        shell::ip(["-n", &self.name].into_iter().chain(args)).map(drop)
    }

    /// The processes inside, zombies not counted.
    pub(super) fn pids(&self) -> anyhow::Result<Vec<Pid>> {
        let output = shell::ip(["netns", "pids", &self.name])?;
        let text = String::from_utf8_lossy(&output.stdout);
        text.split_whitespace()
            .map(|pid| {
                Ok(Pid::from_raw(pid.parse().with_context(|| format!("`ip netns pids` said {pid:?}"))?))
            })
            .collect()
    }

    fn open(&self) -> anyhow::Result<File> {
        File::open(self.path()).with_context(|| format!("no network namespace {}; is the lab up?", self.name))
    }
}
