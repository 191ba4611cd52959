//! What is known of each backend that a script touched, on disk.
//!
//! It owns the files `<service>.<backend>.json`: written whole or not at all, before anything that they announce is
//! done. It refuses to believe a file that it cannot read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::supervise::Task;
use crate::machine::{BackendId, ScriptKind, ServiceId, TraceId};

/// How far a backend came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The start script was about to run, runs, or failed.
    Starting,
    /// The start script succeeded.
    Started,
    /// The stop script was about to run, runs, or failed. When it succeeds, the record goes.
    Stopping,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) service: String,
    pub(super) backend: String,
    pub(super) state: State,
    trace: String,
    /// Nanoseconds since 1970 (UTC), when `state` began.
    since: u64,
    /// Time limit of the script, in nanoseconds.
    timeout: u64,
    /// The script's process, once there is one.
    pub(super) process: Option<Identity>,
}

/// Tells a process from every other one, also after a reboot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    /// Process id, which is also its process group's.
    pub(super) pid: i32,
    /// When it began, in clock ticks since boot.
    pub(super) began: u64,
    /// The kernel's id of this boot.
    pub(super) boot: String,
}

impl Record {
    /// What is to be known before the script of `task` runs.
    pub(super) fn intent(task: &Task) -> Self {
        Self {
            service: task.service_name.clone(),
            backend: task.backend_name.clone(),
            state: match task.kind {
                ScriptKind::Start => State::Starting,
                ScriptKind::Stop => State::Stopping,
            },
            trace: task.trace.to_string(),
            since: nanoseconds(task.since.duration_since(UNIX_EPOCH).unwrap_or_default()),
            timeout: nanoseconds(task.timeout),
            process: None,
        }
    }

    /// What is to be known after a successful start at `now`.
    pub(super) fn started(task: &Task, now: SystemTime) -> Self {
        let since = nanoseconds(now.duration_since(UNIX_EPOCH).unwrap_or_default());
        Self { state: State::Started, since, ..Self::intent(task) }
    }

    /// The script that was announced, unless none is under way.
    pub(super) fn task(&self, service: ServiceId, backend: BackendId) -> Option<Task> {
        let kind = match self.state {
            State::Starting => ScriptKind::Start,
            State::Stopping => ScriptKind::Stop,
            State::Started => return None,
        };
        Some(Task {
            service,
            backend,
            service_name: self.service.clone(),
            backend_name: self.backend.clone(),
            kind,
            trace: self.trace(),
            since: self.since(),
            timeout: Duration::from_nanos(self.timeout),
        })
    }

    pub(super) fn trace(&self) -> TraceId {
        // Checked when it was read.
        TraceId(u128::from_str_radix(&self.trace, 16).unwrap_or_default())
    }

    pub(super) fn since(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.since)
    }
}

/// The directory of the records and of the scripts' output.
#[derive(Debug, Clone)]
pub(super) struct Store {
    directory: PathBuf,
}

impl Store {
    /// Makes the directory if need be.
    pub(super) fn open(directory: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&directory)?;
        Ok(Self { directory })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// The record of a backend.
    pub(super) fn path(&self, service: &str, backend: &str) -> PathBuf {
        self.directory.join(format!("{}.{}.json", file_name(service), file_name(backend)))
    }

    /// The output of a script.
    pub(super) fn output(&self, task: &Task) -> PathBuf {
        let (service, backend) = (file_name(&task.service_name), file_name(&task.backend_name));
        self.directory.join(format!("{service}.{backend}.{}.log", task.kind.name()))
    }

    /// Replaces a backend's record; afterwards it is on disk, whatever happens.
    pub(super) fn write(&self, record: &Record) -> io::Result<()> {
        let path = self.path(&record.service, &record.backend);
        let temporary = path.with_extension("tmp");
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&temporary)?;
        file.write_all(&serde_json::to_vec(record)?)?;
        file.sync_all()?;
        fs::rename(&temporary, &path)?;
        File::open(&self.directory)?.sync_all()
    }

    /// All records. One that cannot be read is moved aside.
    pub(super) fn load(&self) -> io::Result<Vec<Record>> {
        let mut records = Vec::new();
        for entry in fs::read_dir(&self.directory)? {
            let path = entry?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match self.read(&path) {
                Ok(record) => records.push(record),
                Err(error) => set_aside(&path, &error),
            }
        }
        records.sort_by(|a, b| (&a.service, &a.backend).cmp(&(&b.service, &b.backend)));
        Ok(records)
    }

    fn read(&self, path: &Path) -> io::Result<Record> {
        let record: Record = serde_json::from_slice(&fs::read(path)?)?;
        if u128::from_str_radix(&record.trace, 16).is_err() {
            return Err(io::Error::other(format!("trace {:?} is not hexadecimal", record.trace)));
        }
        if self.path(&record.service, &record.backend) != path {
            let Record { service, backend, .. } = record;
            return Err(io::Error::other(format!("it is about backend {backend:?} of service {service:?}")));
        }
        Ok(record)
    }
}

/// Removes a record; one that is not there is removed already.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn set_aside(path: &Path, error: &io::Error) {
    let aside = path.with_extension("json.corrupt");
    let moved = fs::rename(path, &aside);
    tracing::warn!(
        path = %path.display(), %error, moved = moved.is_ok(),
        "this record of a start or stop script cannot be read and is moved aside as *.corrupt; \
         its backend is taken for not started"
    );
}

/// A name as part of a file name: what is not a letter, digit, `-` or `_` as `%` and its bytes in hexadecimal.
fn file_name(name: &str) -> String {
    name.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
            other => format!("%{other:02x}"),
        })
        .collect()
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
