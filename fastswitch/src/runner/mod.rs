//! Start and stop scripts of warm and cold backends.
//!
//! It owns the processes of these scripts, their output, and on disk what is known of each backend that a script
//! touched, so that nothing is started twice, whenever the daemon is killed and restarted. It refuses to decide when a
//! script runs and whether a backend is ready: `machine` does, by its heartbeats.
//!
//! A script is its process and the members of its process group. One that succeeds may leave processes in the
//! background; one that fails by itself may as well, and the `stop` script's business they are. A script that is timed
//! out or aborted is ended with its whole group; only what moved to a session of its own escapes.

mod output;
mod process;
mod record;
mod supervise;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::{Notify, mpsc};

pub use self::record::State;
use self::record::Store;
use self::supervise::Task;
use crate::machine::spec::Script;
use crate::machine::{BackendId, ScriptKind, ServiceId, TraceId};

/// A script to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The service; only handed back.
    pub service: ServiceId,
    /// Which of its backends; only handed back.
    pub backend: BackendId,
    /// The service's name: in the script's environment, in the log, and on disk.
    pub service_name: String,
    /// The backend's name; likewise.
    pub backend_name: String,
    /// Where the backend serves.
    pub address: SocketAddr,
    /// Which of its scripts.
    pub kind: ScriptKind,
    /// What to run and for how long at most.
    pub script: Script,
    /// Why, in words for the script and the log.
    pub reason: String,
    /// The incident that it belongs to.
    pub trace: TraceId,
}

/// The end of a script.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// As in the [`Job`].
    pub service: ServiceId,
    /// As in the [`Job`].
    pub backend: BackendId,
    /// As in the [`Job`].
    pub kind: ScriptKind,
    /// As in the [`Job`].
    pub trace: TraceId,
    /// Success, or what went wrong: `exit status 3`, `killed by signal 9`, `timed out after 30s`, `aborted`, or why it
    /// could not be run. How a script ended that an earlier daemon had started cannot be known; that is taken for
    /// success, since the heartbeats decide anyway.
    pub outcome: Result<(), String>,
}

/// What an earlier daemon knew of a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recovered {
    /// The service, as the daemon knows it now.
    pub service: ServiceId,
    /// The backend, as the daemon knows it now.
    pub backend: BackendId,
    /// The service's name.
    pub service_name: String,
    /// The backend's name.
    pub backend_name: String,
    /// How far it came.
    pub state: State,
    /// The incident that the script belonged to.
    pub trace: TraceId,
    /// When `state` began.
    pub since: SystemTime,
    /// Whether the script still runs. If so, it is watched again, and a [`Finished`] follows.
    pub running: bool,
}

/// Why the runner refuses.
#[derive(Debug, thiserror::Error)]
pub enum RunnerError {
    /// The directory for records and output cannot be used.
    #[error("cannot use {path} for the records of start and stop scripts: {source}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// A record cannot be removed.
    #[error("cannot remove {path}: {source}")]
    Record {
        /// The record.
        path: PathBuf,
        /// The system's words.
        source: io::Error,
    },
    /// One script at a time.
    #[error(
        "a script of backend {backend:?} of service {service:?} is still running; wait for its end or abort it"
    )]
    Busy {
        /// The service's name.
        service: String,
        /// The backend's name.
        backend: String,
    },
}

/// Runs scripts, one at a time for each backend. They outlive it.
#[derive(Debug)]
pub struct Runner {
    shared: Arc<Shared>,
}

/// What the runner and the tasks that watch its scripts share.
#[derive(Debug)]
struct Shared {
    store: Store,
    finished: mpsc::UnboundedSender<Finished>,
    running: Mutex<HashMap<(ServiceId, BackendId), Running>>,
}

/// A script that runs now.
#[derive(Debug)]
struct Running {
    service_name: String,
    backend_name: String,
    abort: Arc<Notify>,
}

impl Shared {
    fn running(&self) -> MutexGuard<'_, HashMap<(ServiceId, BackendId), Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Runner {
    /// Uses `<state_dir>/scripts`, which it makes if need be. The end of every script goes to `finished`.
    ///
    /// # Errors
    /// [`RunnerError::Directory`].
    pub fn open(state_dir: &Path, finished: mpsc::UnboundedSender<Finished>) -> Result<Self, RunnerError> {
        let path = state_dir.join("scripts");
        let store = Store::open(path.clone()).map_err(|source| RunnerError::Directory { path, source })?;
        Ok(Self { shared: Arc::new(Shared { store, finished, running: Mutex::default() }) })
    }

    /// Runs a script; call it within a Tokio runtime. A [`Finished`] follows, also when it cannot be started.
    ///
    /// # Errors
    /// [`RunnerError::Busy`] while a script of the same backend runs; no [`Finished`] comes for this one then.
    pub fn run(&self, job: Job) -> Result<(), RunnerError> {
        let task = Task::new(&job, SystemTime::now());
        let abort = self.reserve(&task)?;
        tokio::spawn(supervise::run(Arc::clone(&self.shared), task, job, abort));
        Ok(())
    }

    /// Ends the script of a backend, if one runs: SIGTERM to its process group, SIGKILL after two seconds. Its
    /// [`Finished`] says `aborted`, unless it had just ended by itself.
    pub fn abort(&self, service: ServiceId, backend: BackendId) {
        if let Some(running) = self.shared.running().get(&(service, backend)) {
            running.abort.notify_one();
        }
    }

    /// Forgets what is known of a backend: it is taken for not started from now on.
    ///
    /// # Errors
    /// [`RunnerError::Busy`] while its script runs, [`RunnerError::Record`] when the record cannot be removed.
    pub fn forget(&self, service_name: &str, backend_name: &str) -> Result<(), RunnerError> {
        let names =
            |running: &Running| running.service_name == service_name && running.backend_name == backend_name;
        if self.shared.running().values().any(names) {
            return Err(busy(service_name, backend_name));
        }
        let path = self.shared.store.path(service_name, backend_name);
        record::remove(&path).map_err(|source| RunnerError::Record { path, source })
    }

    /// What an earlier daemon knew; call it once, within a Tokio runtime, before the first [`Self::run`]. `find` gives
    /// the ids of a service's and a backend's name; what it does not know stays on disk and is left out, with a
    /// warning. So is a record that cannot be read, moved aside as `*.corrupt`.
    ///
    /// # Errors
    /// [`RunnerError::Directory`].
    pub fn recover(
        &self,
        find: impl Fn(&str, &str) -> Option<(ServiceId, BackendId)>,
    ) -> Result<Vec<Recovered>, RunnerError> {
        let store = &self.shared.store;
        let records = store
            .load()
            .map_err(|source| RunnerError::Directory { path: store.directory().to_owned(), source })?;
        let mut recovered = Vec::new();
        for record in records {
            let Some((service, backend)) = find(&record.service, &record.backend) else {
                tracing::warn!(
                    service = record.service, backend = record.backend, state = ?record.state,
                    "a start or stop script ran for a backend that is no longer configured; what it left is yours"
                );
                continue;
            };
            let task = record.task(service, backend);
            let process = task.as_ref().and_then(|task| process::find(&record, task));
            recovered.push(Recovered {
                service,
                backend,
                service_name: record.service.clone(),
                backend_name: record.backend.clone(),
                state: record.state,
                trace: record.trace(),
                since: record.since(),
                running: process.is_some(),
            });
            if let (Some(task), Some(process)) = (task, process) {
                let abort = self.reserve(&task)?;
                tokio::spawn(supervise::adopt(Arc::clone(&self.shared), task, process, abort));
            }
        }
        Ok(recovered)
    }

    /// Makes the backend of `task` busy.
    fn reserve(&self, task: &Task) -> Result<Arc<Notify>, RunnerError> {
        let mut running = self.shared.running();
        let key = (task.service, task.backend);
        if running.contains_key(&key) {
            return Err(busy(&task.service_name, &task.backend_name));
        }
        let abort = Arc::new(Notify::new());
        let (service_name, backend_name) = (task.service_name.clone(), task.backend_name.clone());
        running.insert(key, Running { service_name, backend_name, abort: Arc::clone(&abort) });
        Ok(abort)
    }
}

fn busy(service: &str, backend: &str) -> RunnerError {
    RunnerError::Busy { service: service.to_owned(), backend: backend.to_owned() }
}
