//! Waiting for a condition, instead of for a while.

use std::time::{Duration, Instant};

use crate::interrupt::{self, Interrupted};

const POLL: Duration = Duration::from_millis(10);

/// Polls `probe` until it gives a value; `what` names the awaited thing in the error.
///
/// # Errors
/// When `limit` has passed, when `probe` fails, or when the process was interrupted.
pub fn until<T>(
    what: &str,
    limit: Duration,
    probe: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    poll(what, limit, interrupt::check, probe)
}

/// Like [`until`], for a condition without a value.
///
/// # Errors
/// As [`until`].
pub fn until_true(
    what: &str,
    limit: Duration,
    mut probe: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    until(what, limit, || Ok(probe()?.then_some(())))
}

/// Like [`until_true`], but goes on when the process was interrupted: for cleaning up.
///
/// # Errors
/// When `limit` has passed, or when `probe` fails.
pub fn until_done(
    what: &str,
    limit: Duration,
    mut probe: impl FnMut() -> anyhow::Result<bool>,
) -> anyhow::Result<()> {
    poll(what, limit, || Ok(()), || Ok(probe()?.then_some(())))
}

fn poll<T>(
    what: &str,
    limit: Duration,
    go_on: impl Fn() -> Result<(), Interrupted>,
    mut probe: impl FnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<T> {
    let start = Instant::now();
    loop {
        if let Some(value) = probe()? {
            return Ok(value);
        }
        go_on()?;
        if start.elapsed() > limit {
            anyhow::bail!("waited {} in vain: {what}", humantime::format_duration(limit));
        }
        std::thread::sleep(POLL);
    }
}
