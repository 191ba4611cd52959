//! Messages of the XDP program itself, on request only. The level is a constant to the verifier, which removes every
//! message below it, so that nothing of this costs anything by default.

use aya::Ebpf;
use aya_log::EbpfLogger;
use log::{Log, Metadata, Record};
use tokio::io::unix::AsyncFd;
use tracing::Level;

/// The level as the program has it; 0 removes all messages.
pub(super) fn code(level: Option<Level>) -> u8 {
    let level = level.map(|level| match level {
        Level::ERROR => aya_log::Level::Error,
        Level::WARN => aya_log::Level::Warn,
        Level::INFO => aya_log::Level::Info,
        Level::DEBUG => aya_log::Level::Debug,
        Level::TRACE => aya_log::Level::Trace,
    });
    level.map_or(0, |level| level as u8)
}

/// Whoever asks for these messages wants to see them, whatever the log's own level.
struct ToLog;

impl Log for ToLog {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &Record<'_>) {
        tracing::info!(level = %record.level(), "XDP program: {}", record.args());
    }

    fn flush(&self) {}
}

/// Logs the program's messages until the runtime ends.
pub(super) fn follow(ebpf: &mut Ebpf) {
    let logger = match EbpfLogger::init_with_logger(ebpf, ToLog) {
        Ok(logger) => logger,
        Err(error) => {
            tracing::warn!(%error, "messages of the XDP program cannot be read");
            return;
        }
    };
    tokio::spawn(async move {
        // SAFETY: the logger owns its map's descriptor for as long as it lives, and flushing does not change it.
        let mut logger = match unsafe { AsyncFd::register(logger) } {
            Ok(logger) => logger,
            Err(error) => {
                tracing::warn!(%error, "messages of the XDP program cannot be waited for");
                return;
            }
        };
        while let Ok(mut ready) = logger.readable_mut().await {
            ready.get_inner_mut().flush();
            ready.clear_ready();
        }
    });
}
