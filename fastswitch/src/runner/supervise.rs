//! One script from its announcement to its end.
//!
//! It owns the order of things: recorded before it is started, recorded again before its end is told. It refuses to
//! run what it could not record.

use std::io::{self, SeekFrom};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::output::{self, Tail};
use super::process::{self, Process};
use super::record::{self, Record, Store};
use super::{Finished, Job, Shared};
use crate::machine::{BackendId, ScriptKind, ServiceId, TraceId};

/// What is to be known of a script while it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Task {
    pub(super) service: ServiceId,
    pub(super) backend: BackendId,
    pub(super) service_name: String,
    pub(super) backend_name: String,
    pub(super) kind: ScriptKind,
    pub(super) trace: TraceId,
    pub(super) since: SystemTime,
    pub(super) timeout: Duration,
}

impl Task {
    /// The script of `job`, which begins at `since`.
    pub(super) fn new(job: &Job, since: SystemTime) -> Self {
        Self {
            service: job.service,
            backend: job.backend,
            service_name: job.service_name.clone(),
            backend_name: job.backend_name.clone(),
            kind: job.kind,
            trace: job.trace,
            since,
            timeout: job.script.timeout,
        }
    }
}

/// Runs a new script.
pub(super) async fn run(shared: Arc<Shared>, task: Task, job: Job, abort: Arc<Notify>) {
    tracing::info!(
        service = task.service_name,
        backend = task.backend_name,
        action = task.kind.name(),
        trace_id = %task.trace,
        reason = job.reason,
        command = ?job.script.command,
        "script starts"
    );
    let outcome = match begin(&shared.store, &task, job).await {
        Ok(process) => attend(&shared.store, &task, process, SeekFrom::Start(0), &abort).await,
        Err(why) => Err(why),
    };
    conclude(&shared, task, outcome).await;
}

/// Goes on with a script that an earlier daemon started.
pub(super) async fn adopt(shared: Arc<Shared>, task: Task, process: Process, abort: Arc<Notify>) {
    tracing::info!(
        service = task.service_name,
        backend = task.backend_name,
        action = task.kind.name(),
        trace_id = %task.trace,
        output = %shared.store.output(&task).display(),
        "script still runs; earlier output is in its file"
    );
    let outcome = attend(&shared.store, &task, process, SeekFrom::End(0), &abort).await;
    conclude(&shared, task, outcome).await;
}

/// Announces the script on disk, then starts it.
async fn begin(store: &Store, task: &Task, job: Job) -> Result<Process, String> {
    let (store, task) = (store.clone(), task.clone());
    off_the_loop(move || {
        let mut record = Record::intent(&task);
        store.write(&record).map_err(|error| {
            format!("not run, because {} cannot be written: {error}", store.directory().display())
        })?;
        let path = store.output(&task);
        let output =
            output::create(&path).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        let process = Process::start(&task, &job, &output)?;
        // Only makes it easier to find.
        match process.identity() {
            Ok(identity) => {
                record.process = Some(identity);
                warn_unless_written(&task, store.write(&record));
            }
            Err(error) => warn_unless_written(&task, Err(error)),
        }
        Ok(process)
    })
    .await
}

/// Waits for the end of a script, whichever comes first: its own, its time limit's, or an abort. Its output comes into
/// the log beginning at `output`.
async fn attend(
    store: &Store,
    task: &Task,
    process: Process,
    output: SeekFrom,
    abort: &Notify,
) -> Result<(), String> {
    let mut tail = Tail::open(store.output(task), output, task.clone());
    let mut look = interval(output::LOOK);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // A clock that was set back must not give it more time than it ever had.
    let spent = SystemTime::now().duration_since(task.since).unwrap_or_default();
    let limit = sleep(task.timeout.saturating_sub(spent));
    tokio::pin!(limit);
    let forced = loop {
        tokio::select! {
            biased;
            () = process.ended() => break None,
            () = abort.notified() => break Some("aborted".to_owned()),
            () = &mut limit => {
                break Some(format!("timed out after {}", humantime::format_duration(task.timeout)));
            }
            _ = look.tick() => tail = tail.and_then(|mut tail| tail.copy().map(|()| tail)),
        }
    };
    if forced.is_some() {
        process.terminate().await;
    }
    if let Err(error) = tail.and_then(Tail::finish) {
        tracing::warn!(path = %store.output(task).display(), %error, "cannot read the output of a script");
    }
    let status = process.reap();
    match forced {
        Some(why) => Err(why),
        None => status.map_or(Ok(()), process::judge),
    }
}

/// Records how it came out, and tells.
async fn conclude(shared: &Shared, task: Task, outcome: Result<(), String>) {
    if outcome.is_ok() {
        let (store, task) = (shared.store.clone(), task.clone());
        off_the_loop(move || {
            let recorded = match task.kind {
                ScriptKind::Start => store.write(&Record::started(&task, SystemTime::now())),
                ScriptKind::Stop => record::remove(&store.path(&task.service_name, &task.backend_name)),
            };
            warn_unless_written(&task, recorded);
            Ok(())
        })
        .await
        .unwrap_or_else(|error| tracing::error!(error, "a record of a script is lost"));
    }
    let Task { service, backend, kind, trace, .. } = task;
    let (action, error) = (kind.name(), outcome.as_ref().err());
    tracing::info!(
        service = task.service_name, backend = task.backend_name, action, trace_id = %trace, error, "script ended"
    );
    shared.running().remove(&(service, backend));
    // Without a receiver the daemon is ending.
    let _ = shared.finished.send(Finished { service, backend, kind, trace, outcome });
}

fn warn_unless_written(task: &Task, written: io::Result<()>) {
    if let Err(error) = written {
        tracing::warn!(
            service = task.service_name, backend = task.backend_name, %error,
            "the record of a script cannot be brought up to date; a restart of the daemon will take it for \
             less far than it is"
        );
    }
}

/// Does what waits for the disk where nobody else has to wait for it.
async fn off_the_loop<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(error.to_string()))
}
