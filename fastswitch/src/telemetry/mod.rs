//! How the daemon tells what happens: log lines now, one vocabulary for whatever else listens.
//!
//! It refuses to delay anybody, and to let a log that cannot be written end anything: lines are written to standard
//! error by a thread of its own, and lost if need be.

pub mod events;
mod outlet;
pub mod reasons;
pub mod report;

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use tracing_subscriber::EnvFilter;

use outlet::Outlet;

/// Longest wait at the end for the last lines to be written.
const PATIENCE: Duration = Duration::from_secs(1);

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The log. When it goes, the last lines are written, if anybody takes them within a second.
#[derive(Debug)]
pub struct Log {
    outlet: Outlet,
}

impl Log {
    /// Writes a text as it is.
    pub fn say(&self, text: &str) {
        // An outlet takes or counts whatever it is given.
        let _ = self.outlet.clone().write_all(format!("{text}\n").as_bytes());
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.outlet.flush(PATIENCE);
    }
}

/// Starts logging to standard error. `FASTSWITCH_LOG` sets levels (for example `debug`, `fastswitch::probe=trace`).
///
/// # Errors
/// The system has no thread for it.
pub fn start(format: LogFormat) -> io::Result<Log> {
    let outlet = Outlet::spawn(io::stderr(), |lines| {
        tracing::warn!(lines, "lines of the log are lost: whoever takes them was too slow, or failed");
    })?;
    let filter = EnvFilter::try_from_env("FASTSWITCH_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let writer = outlet.clone();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || writer.clone())
        // It would print them itself, and panic if it cannot.
        .log_internal_errors(false);
    match format {
        LogFormat::Text => {
            let colour = io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            builder.with_ansi(colour).with_target(false).init();
        }
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    // What a panic prints by itself waits for standard error, and with it the thread that panics.
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = std::backtrace::Backtrace::capture();
        tracing::error!(%panic, %backtrace, "a thread of the daemon panicked: please report it");
    }));
    Ok(Log { outlet })
}
