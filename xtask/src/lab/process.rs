//! Long-running processes on the lab's hosts, each under a name: its log, its pid file, its end.
//!
//! They are found by pid file, so that those which a script or another process started are found, too. Only a process
//! that really runs on the host in question gets a signal.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{Host, Lab};
use crate::{shell, wait};

/// For a process that got a signal to be gone.
const END: Duration = Duration::from_secs(30);

/// Those processes of the lab that are children of this one.
#[derive(Default)]
pub(super) struct Children(HashMap<String, Child>);

impl Children {
    /// Waits for all of them; they must be dead or dying.
    pub(super) fn reap(&mut self) {
        for (_, mut child) in self.0.drain() {
            // One that cannot be waited for is nobody's zombie.
            let _ = child.wait();
        }
    }
}

impl Lab {
    /// Starts a process that goes on beyond this call; its output goes to [`Lab::log_file`].
    pub(super) fn start(&self, name: &str, command: &mut Command) -> anyhow::Result<()> {
        let log = self.log_file(name);
        let log = File::options().create(true).append(true).open(&log);
        let log = log.with_context(|| format!("cannot write {}", self.log_file(name).display()))?;
        self.start_onto(name, command.stdout(log.try_clone()?), log)
    }

    /// Starts a process that goes on beyond this call, with this standard error.
    pub(super) fn start_onto(
        &self,
        name: &str,
        command: &mut Command,
        stderr: impl Into<Stdio>,
    ) -> anyhow::Result<()> {
        // A group of its own: Ctrl-C in the terminal is for the lab's owner, who ends everything in order.
        command.stdin(Stdio::null()).stderr(stderr).process_group(0);
        let child = command.spawn().map_err(|error| shell::not_started(command, error))?;
        std::fs::write(self.pid_file(name), format!("{}\n", child.id()))?;
        if let Some(mut earlier) = self.children().0.insert(name.to_owned(), child) {
            // Ended already, or it would hold the address that the new one wants.
            let _ = earlier.try_wait();
        }
        Ok(())
    }

    /// The log of a server (its backend's name), of the daemon (`daemon`) or of the scripts (`script`).
    pub fn log_file(&self, name: &str) -> PathBuf {
        self.log_dir().join(format!("{name}.log"))
    }

    /// The process that runs under this name, `None` when there is none.
    pub(super) fn pid(&self, host: Host, name: &str) -> anyhow::Result<Option<Pid>> {
        let Ok(text) = std::fs::read_to_string(self.pid_file(name)) else { return Ok(None) };
        let Ok(pid) = text.trim().parse() else { return Ok(None) };
        let pid = Pid::from_raw(pid);
        Ok(self.namespace(host).pids()?.contains(&pid).then_some(pid))
    }

    /// Sends a signal to the process of this name.
    pub(super) fn signal(&self, host: Host, name: &str, signal: Signal) -> anyhow::Result<()> {
        let pid = self.pid(host, name)?.with_context(|| format!("{name} does not run"))?;
        kill(pid, signal).with_context(|| format!("cannot send {signal} to {name} ({pid})"))
    }

    /// Sends a signal that ends the process, and waits for the end. The status is known of own children only.
    pub(super) fn end(&self, host: Host, name: &str, signal: Signal) -> anyhow::Result<Option<ExitStatus>> {
        self.signal(host, name, signal)?;
        let what = format!("{name} ends after {signal}");
        wait::until_done(&what, END, || Ok(self.pid(host, name)?.is_none()))?;
        match self.children().0.remove(name) {
            Some(mut child) => Ok(Some(child.wait()?)),
            None => Ok(None),
        }
    }

    pub(super) fn children(&self) -> MutexGuard<'_, Children> {
        self.processes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn pid_file(&self, name: &str) -> PathBuf {
        self.run_dir().join(format!("{name}.pid"))
    }
}
