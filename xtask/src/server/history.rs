//! Completed jobs, one JSON line each, in a file that survives the server and may be shared by several.
//!
//! Only ever appended to, one write per job: a server killed in the middle costs at most its own last line.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

/// One completed job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Job {
    /// Unique over all servers and their runs.
    pub(super) id: String,
    /// What was "heard".
    pub(super) text: String,
    /// Name of the server that did it.
    pub(super) backend: String,
    /// Bytes of the request's body.
    pub(super) bytes: u64,
    /// How long it was to take.
    pub(super) seconds: f64,
    /// End, in ms since the Unix epoch.
    pub(super) finished_ms: u128,
}

pub(super) struct History {
    path: PathBuf,
    file: File,
}

impl History {
    pub(super) fn open(folder: &Path) -> anyhow::Result<History> {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
        let path = folder.join("history.jsonl");
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(History { path, file })
    }

    pub(super) fn append(&self, job: &Job) -> io::Result<()> {
        // The newline leads: a line that another server was killed in then ends here, not in the middle of this one.
        let mut line = b"\n".to_vec();
        serde_json::to_writer(&mut line, job)?;
        (&self.file).write_all(&line)
    }

    /// Every completed job, oldest first; lines that were cut short are left out.
    pub(super) fn read(&self) -> io::Result<Vec<Job>> {
        let text = std::fs::read(&self.path)?;
        Ok(text.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }
}

pub(super) fn unix_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(id: &str) -> Job {
        Job { id: id.into(), text: "t".into(), backend: "b".into(), bytes: 1, seconds: 0.5, finished_ms: 7 }
    }

    #[test]
    fn outlives_the_server_and_its_unfinished_line() {
        let folder = tempfile::tempdir().unwrap();
        History::open(folder.path()).unwrap().append(&job("one")).unwrap();
        let mut file = OpenOptions::new().append(true).open(folder.path().join("history.jsonl")).unwrap();
        file.write_all(b"\n{\"id\":\"cut").unwrap();
        let history = History::open(folder.path()).unwrap();
        history.append(&job("two")).unwrap();
        assert_eq!(history.read().unwrap(), [job("one"), job("two")]);
    }
}
