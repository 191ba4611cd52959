//! Ctrl-C, SIGTERM and SIGHUP as an error that unwinds, so that guards clean up. Refuses to end the process itself.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

static SEEN: AtomicBool = AtomicBool::new(false);

/// The user, or the system, asked this process to end.
#[derive(Debug)]
pub struct Interrupted;

impl std::fmt::Display for Interrupted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("interrupted")
    }
}

impl std::error::Error for Interrupted {}

/// From here on the signals no longer end the process: [`check`] reports them.
///
/// # Errors
/// When the handlers cannot be installed.
pub fn install() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let [mut int, mut term, mut hup] = {
        // Registered before this returns, so that a signal right afterwards is not lost.
        let _entered = runtime.enter();
        let listen = |kind| signal(kind).context("no signal handler");
        [listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?, listen(SignalKind::hangup())?]
    };
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    _ = int.recv() => {}
                    _ = term.recv() => {}
                    _ = hup.recv() => {}
                }
                SEEN.store(true, Ordering::Relaxed);
            }
        });
    })?;
    Ok(())
}

/// # Errors
/// [`Interrupted`] once a signal has come.
pub fn check() -> Result<(), Interrupted> {
    if SEEN.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
}
