//! The program under test on the lab's gateway: the daemon, and its command line.

use std::ffi::OsStr;
use std::process::{Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;

use super::{Host, Lab};
use crate::{shell, wait};

const NAME: &str = "daemon";
const START: Duration = Duration::from_secs(60);

impl Lab {
    /// Starts the daemon on the lab's configuration, with further arguments after `run -c FILE`, and waits until it
    /// answers.
    ///
    /// # Errors
    /// When it ends instead, or does not answer: with what it logged.
    pub fn start_daemon(&self, args: &[&str]) -> anyhow::Result<()> {
        let mut command = self.daemon_command(args)?;
        self.start(NAME, &mut command)?;
        self.await_daemon(&command)
    }

    /// The same, with a log that goes somewhere else.
    ///
    /// # Errors
    /// When it ends instead, or does not answer.
    pub fn start_daemon_onto(&self, args: &[&str], log: impl Into<Stdio>) -> anyhow::Result<()> {
        let mut command = self.daemon_command(args)?;
        self.start_onto(NAME, &mut command, log)?;
        self.await_daemon(&command)
    }

    /// Whether the daemon runs.
    ///
    /// # Errors
    /// When the lab is gone.
    pub fn daemon_runs(&self) -> anyhow::Result<bool> {
        Ok(self.daemon_pid()?.is_some())
    }

    /// The daemon's process, `None` when it does not run.
    ///
    /// # Errors
    /// When the lab is gone.
    pub fn daemon_pid(&self) -> anyhow::Result<Option<Pid>> {
        self.pid(Host::Gw, NAME)
    }

    /// Ends the daemon in order (SIGTERM); the status is known when this process started it.
    ///
    /// # Errors
    /// When it does not run, or does not end.
    pub fn stop_daemon(&self) -> anyhow::Result<Option<ExitStatus>> {
        self.end(Host::Gw, NAME, Signal::SIGTERM)
    }

    /// Kills the daemon (SIGKILL).
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill_daemon(&self) -> anyhow::Result<()> {
        self.end(Host::Gw, NAME, Signal::SIGKILL).map(drop)
    }

    /// Sends any other signal to the daemon.
    ///
    /// # Errors
    /// When it does not run.
    pub fn signal_daemon(&self, signal: Signal) -> anyhow::Result<()> {
        self.signal(Host::Gw, NAME, signal)
    }

    /// Runs `fastswitch` on the gateway with these arguments to its end, against the lab's daemon and pins.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn fastswitch<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> anyhow::Result<Output> {
        shell::output(&mut self.fastswitch_command(args)?)
    }

    /// What `fastswitch status --json` says.
    ///
    /// # Errors
    /// When it fails, or prints anything but JSON.
    pub fn status(&self) -> anyhow::Result<Value> {
        let output = shell::run(&mut self.fastswitch_command(["status", "--json"])?)?;
        serde_json::from_slice(&output.stdout).context("`fastswitch status --json` printed something else")
    }

    /// The end of a log, for messages.
    pub fn log_tail(&self, name: &str) -> String {
        let text = std::fs::read(self.log_file(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }

    fn daemon_command(&self, args: &[&str]) -> anyhow::Result<Command> {
        let mut command = self.fastswitch_command(["run", "-c"])?;
        command.arg(self.config_file()).args(args);
        Ok(command)
    }

    fn await_daemon(&self, command: &Command) -> anyhow::Result<()> {
        let what = format!("the daemon answers; see {}", self.log_file(NAME).display());
        wait::until_true(&what, START, || {
            let running = self.status().is_ok_and(|status| status["daemon"] == "running");
            if !running && !self.daemon_runs()? {
                let (line, log) = (shell::line(command), self.log_tail(NAME));
                anyhow::bail!("the daemon ended: `{line}`; the end of its log:\n{log}");
            }
            Ok(running)
        })
    }

    fn fastswitch_command<I: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = I>,
    ) -> anyhow::Result<Command> {
        let mut command = self.command(Host::Gw, &self.programs.fastswitch)?;
        command.args(args);
        Ok(command)
    }
}
