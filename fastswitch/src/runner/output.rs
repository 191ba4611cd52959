//! The output of a script: in a file, from which it comes into the log while the script runs.
//!
//! A file rather than a pipe: the script outlives the daemon without writing into the void, and what it leaves in the
//! background keeps its standard output. It owns that file's beginning and its size while the script runs. It refuses
//! to let a flood of output hurt: in the log, lines beyond the limit are counted and left out; on disk, the file starts
//! anew when it is too long. What the script leaves in the background is no longer looked after: it had better log
//! elsewhere.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::supervise::Task;

/// Between two looks at the file.
pub(super) const LOOK: Duration = Duration::from_millis(100);
/// Longest line in the log, in bytes.
const MAX_LINE: usize = 4096;
/// Most lines in the log for each look.
const MAX_LINES: usize = 100;
/// Most that is read in one look, in bytes.
const MAX_READ: u64 = 1 << 20;
/// Longest file, in bytes, give or take what is written between two looks.
const MAX_FILE: u64 = 16 << 20;

/// Copies new lines of a script's output into the log.
#[derive(Debug)]
pub(super) struct Tail {
    task: Task,
    path: PathBuf,
    file: File,
    line: Vec<u8>,
    cut: bool,
    left: usize,
    lines_left_out: u64,
    bytes_left_out: u64,
}

/// Makes the file for a new run. A new one, not the old one emptied: what an earlier run left in the background may
/// still write there.
pub(super) fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().append(true).create_new(true).open(path)
}

impl Tail {
    /// Begins at `from`.
    pub(super) fn open(path: PathBuf, from: SeekFrom, task: Task) -> io::Result<Self> {
        // Writable, to start it anew.
        let mut file = OpenOptions::new().read(true).write(true).open(&path)?;
        file.seek(from)?;
        let (line, cut, left) = (Vec::new(), false, MAX_LINES);
        Ok(Self { task, path, file, line, cut, left, lines_left_out: 0, bytes_left_out: 0 })
    }

    /// Copies what is new.
    pub(super) fn copy(&mut self) -> io::Result<()> {
        self.left = MAX_LINES;
        let mut new = Vec::new();
        (&self.file).take(MAX_READ).read_to_end(&mut new)?;
        for piece in new.split_inclusive(|&byte| byte == b'\n') {
            self.take(piece);
        }
        let (length, position) = (self.file.metadata()?.len(), self.file.stream_position()?);
        if length > MAX_FILE {
            // Both ends append, so the script's next line is the first one.
            self.file.set_len(0)?;
            self.file.rewind()?;
            self.bytes_left_out += length.saturating_sub(position);
        }
        Ok(())
    }

    /// Copies the rest and says how much was left out.
    pub(super) fn finish(mut self) -> io::Result<()> {
        self.copy()?;
        if !self.line.is_empty() {
            self.end_line();
        }
        let unread = self.file.metadata()?.len().saturating_sub(self.file.stream_position()?);
        self.bytes_left_out += unread;
        if self.lines_left_out + self.bytes_left_out > 0 {
            tracing::warn!(
                service = self.task.service_name,
                backend = self.task.backend_name,
                action = self.task.kind.name(),
                trace_id = %self.task.trace,
                lines = self.lines_left_out,
                bytes = self.bytes_left_out,
                path = %self.path.display(),
                "the script wrote too much: these lines, and these unread bytes, are left out here"
            );
        }
        Ok(())
    }

    /// Takes a line, or the part of it that is there.
    fn take(&mut self, piece: &[u8]) {
        let (text, ends) = match piece.split_last() {
            Some((b'\n', text)) => (text, true),
            _ => (piece, false),
        };
        let room = MAX_LINE - self.line.len();
        self.cut |= text.len() > room;
        self.line.extend_from_slice(&text[..text.len().min(room)]);
        if ends {
            self.end_line();
        }
    }

    fn end_line(&mut self) {
        if self.left == 0 {
            self.lines_left_out += 1;
        } else {
            self.left -= 1;
            let task = &self.task;
            tracing::info!(
                service = task.service_name,
                backend = task.backend_name,
                action = task.kind.name(),
                trace_id = %task.trace,
                cut = self.cut.then_some(true),
                // A text, not as it displays: its control bytes are escaped in either form of the log.
                line = &*String::from_utf8_lossy(&self.line),
                "script output"
            );
        }
        self.line.clear();
        self.cut = false;
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};
    use std::time::SystemTime;

    use super::*;
    use crate::machine::{BackendId, ScriptKind, ServiceId, TraceId};

    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn control_bytes_do_not_get_into_the_log() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("output");
        create(&path).unwrap().write_all(b"null \0 bell \x07 back \r red \x1b[31m \xff\n").unwrap();
        let task = Task {
            service: ServiceId(0),
            backend: BackendId(0),
            service_name: "asr".to_owned(),
            backend_name: "cold".to_owned(),
            kind: ScriptKind::Start,
            trace: TraceId(7),
            since: SystemTime::now(),
            timeout: Duration::ZERO,
        };
        let log = Log::default();
        let writer = log.clone();
        let text = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(text, || {
            Tail::open(path, SeekFrom::Start(0), task).unwrap().finish().unwrap();
        });
        let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
        assert!(!logged.trim_end().contains(char::is_control), "{logged:?}");
        assert!(logged.contains(r"null \0 bell \u{7} back \r red \u{1b}[31m"), "{logged}");
    }
}
