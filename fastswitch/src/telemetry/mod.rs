//! How the daemon tells what happens: log lines now, one vocabulary for whatever else listens.
//!
//! It refuses to delay anybody: logging writes to standard error and nothing else.

pub mod events;
pub mod report;

use tracing_subscriber::EnvFilter;

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts logging to standard error. `FASTSWITCH_LOG` sets levels (for example `debug`, `fastswitch::probe=trace`).
pub fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_env("FASTSWITCH_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => {
            let colour = std::io::IsTerminal::is_terminal(&std::io::stderr())
                && std::env::var_os("NO_COLOR").is_none();
            builder.with_ansi(colour).with_target(false).init();
        }
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}
