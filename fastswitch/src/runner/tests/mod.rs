//! Real scripts, in directories of their own.

mod recovery;
mod running;

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::{Finished, Job, Runner};
use crate::machine::spec::Script;
use crate::machine::{BackendId, ScriptKind, ServiceId, TraceId};

/// How long a condition may take to come true on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(60);

const IDS: (ServiceId, BackendId) = (ServiceId(3), BackendId(5));

/// A runner and what its scripts come to.
struct Lab {
    directory: TempDir,
    runner: Runner,
    finished: mpsc::UnboundedReceiver<Finished>,
}

impl Lab {
    fn new() -> Self {
        Self::on(tempfile::tempdir().unwrap())
    }

    fn on(directory: TempDir) -> Self {
        let (sender, finished) = mpsc::unbounded_channel();
        let runner = Runner::open(directory.path(), sender).unwrap();
        Self { directory, runner, finished }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    async fn finished(&mut self) -> Finished {
        timeout(LIMIT, self.finished.recv()).await.expect("it ends").unwrap()
    }

    /// Runs `text` as a start script to its end.
    async fn outcome(&mut self, text: &str) -> Result<(), String> {
        self.runner.run(self.job(text)).unwrap();
        self.finished().await.outcome
    }

    fn trace(&self) -> TraceId {
        trace(self.directory.path())
    }

    fn job(&self, text: &str) -> Job {
        job(self.directory.path(), text)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.file("scripts/asr.cold.start.log")).unwrap()
    }

    fn record(&self) -> Option<serde_json::Value> {
        let text = std::fs::read(self.file("scripts/asr.cold.json")).ok()?;
        Some(serde_json::from_slice(&text).unwrap())
    }
}

/// A start script: `text`, with `$1` as its directory.
fn job(directory: &Path, text: &str) -> Job {
    let command = ["/bin/sh", "-c", text, "script", directory.to_str().unwrap()];
    Job {
        service: IDS.0,
        backend: IDS.1,
        service_name: "asr".to_owned(),
        backend_name: "cold".to_owned(),
        address: "192.0.2.7:7860".parse().unwrap(),
        kind: ScriptKind::Start,
        script: Script { command: command.map(str::to_owned).to_vec(), timeout: LIMIT },
        reason: "primary and standby are down".to_owned(),
        trace: trace(directory),
    }
}

/// An incident of this directory's own: the scripts of tests that run at the same time must not be taken for each other.
fn trace(directory: &Path) -> TraceId {
    let mut hasher = DefaultHasher::new();
    directory.hash(&mut hasher);
    TraceId(hasher.finish().into())
}

/// Waits until `condition` holds.
async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !condition() {
        assert!(Instant::now() < deadline, "not within {LIMIT:?}: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

/// The process ids in a file, one each line.
fn pids(path: &Path) -> Vec<i32> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

/// Whether a process exists and is no zombie.
fn lives(pid: &i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
