//! The backends' servers: starting, ending, pausing.

use std::net::SocketAddr;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::{Backend, Lab};
use crate::{http, wait};

/// For a server to listen.
const START: Duration = Duration::from_secs(30);
const PROBE: Duration = Duration::from_secs(1);

/// What a server is told.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// How long it loads its model.
    pub load_time: Duration,
    /// Its version.
    pub version: String,
    /// Where it listens besides the backend's own addresses.
    pub also: Vec<SocketAddr>,
}

impl Default for ServerOptions {
    fn default() -> Self {
        ServerOptions { load_time: Duration::ZERO, version: "v1".to_owned(), also: Vec::new() }
    }
}

impl Lab {
    /// Starts a backend's server and waits until it listens; it may still be loading.
    ///
    /// # Errors
    /// When it runs already, or does not listen in time.
    pub fn start_server(&self, backend: Backend, options: &ServerOptions) -> anyhow::Result<()> {
        if let Some(pid) = self.pid(backend.host(), backend.name())? {
            anyhow::bail!("{}'s server runs already (process {pid})", backend.name());
        }
        let mut command = self.command(backend.host(), &self.programs.xtask)?;
        command
            .args(["server", "--name", backend.name()])
            .args(["--listen", &backend.address().to_string(), "--listen", &backend.address6().to_string()])
            .args(["--load-time", &humantime::format_duration(options.load_time).to_string()])
            .args(["--version", &options.version, "--data"])
            .arg(self.data_dir());
        for address in &options.also {
            command.args(["--listen", &address.to_string()]);
        }
        self.start(backend.name(), &mut command)?;
        wait::until_true(&format!("{}'s server listens", backend.name()), START, || {
            let listens = self.health(backend)?.is_some();
            if !listens && !self.server_runs(backend)? {
                anyhow::bail!("{}'s server ended:\n{}", backend.name(), self.log_tail(backend.name()));
            }
            Ok(listens)
        })
    }

    /// Waits until a backend's server is ready, seen from its own machine.
    ///
    /// # Errors
    /// When it is not ready in `limit`.
    pub fn wait_healthy(&self, backend: Backend, limit: Duration) -> anyhow::Result<()> {
        let what = format!("{}'s server is healthy", backend.name());
        wait::until_true(&what, limit, || Ok(self.health(backend)? == Some(200)))
    }

    /// Whether a backend's server runs, whoever started it.
    ///
    /// # Errors
    /// When the lab is gone.
    pub fn server_runs(&self, backend: Backend) -> anyhow::Result<bool> {
        Ok(self.pid(backend.host(), backend.name())?.is_some())
    }

    /// Kills a server at once (SIGKILL); its machine refuses connections then.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill_server(&self, backend: Backend) -> anyhow::Result<()> {
        self.end(backend.host(), backend.name(), Signal::SIGKILL).map(drop)
    }

    /// Ends a server in order (SIGTERM).
    ///
    /// # Errors
    /// When it does not run, or does not end.
    pub fn stop_server(&self, backend: Backend) -> anyhow::Result<()> {
        self.end(backend.host(), backend.name(), Signal::SIGTERM).map(drop)
    }

    /// Hangs a server (SIGSTOP): its machine accepts connections, and nothing answers.
    ///
    /// # Errors
    /// When it does not run.
    pub fn hang_server(&self, backend: Backend) -> anyhow::Result<()> {
        self.signal(backend.host(), backend.name(), Signal::SIGSTOP)
    }

    /// Undoes [`Lab::hang_server`].
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume_server(&self, backend: Backend) -> anyhow::Result<()> {
        self.signal(backend.host(), backend.name(), Signal::SIGCONT)
    }

    /// The status of a server's `/health`, asked on its own machine; `None` when nothing answers.
    fn health(&self, backend: Backend) -> anyhow::Result<Option<u16>> {
        let response = self.within(backend.host(), || http::get(backend.address(), "/health", PROBE))?;
        Ok(response.ok().map(|(status, _)| status))
    }
}
