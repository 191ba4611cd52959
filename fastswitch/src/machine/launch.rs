//! Life of a warm or cold backend between nothing, its start script, serving, and its stop script.

use std::time::Duration;

use super::{Time, TraceId};

/// First pause after a failed start; doubled by each further one.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Longest pause between two attempts to start a backend.
pub const RETRY_PAUSE_MAX: Duration = Duration::from_secs(60);

/// Where a warm or cold backend is in its life. Hot ones stay `Idle`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Launch {
    /// Not started by us.
    Idle,
    /// Its start script runs, or has ended well and heartbeats are awaited.
    Starting { began: Began, trace: TraceId, script_runs: bool },
    /// Started by us and answered its heartbeats. Its start script may still run (it does as it polls for itself).
    Running { since: Time, trace: TraceId, script_runs: bool },
    /// To be stopped, once its start script, if it was told to end, has ended and automation is not frozen.
    Ending { trace: TraceId, reason: &'static str, script_runs: bool },
    /// The stop script runs.
    Stopping { trace: TraceId },
    /// The last attempt failed; not again before then.
    Pausing { until: Time },
}

/// When a start began, which may have been before this machine's time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Began {
    at: Time,
    /// How long ago that was, at that moment.
    age: Duration,
}

impl Began {
    pub(super) fn ago(age: Duration, now: Time) -> Self {
        Self { at: now, age }
    }

    /// How long ago it was at `now`.
    pub(super) fn elapsed(self, now: Time) -> Duration {
        self.age.saturating_add(now.since(self.at))
    }

    /// When it will have been `limit` ago.
    pub(super) fn reaches(self, limit: Duration) -> Time {
        self.at + limit.saturating_sub(self.age)
    }
}

/// What is known of a start at the daemon's own start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launched {
    /// The start script runs or has ended, and nothing has undone it. Whether it has worked is for heartbeats to say.
    Started {
        /// How long ago the start script began.
        age: Duration,
        /// The incident that asked for it.
        trace: TraceId,
        /// Whether the script still runs.
        script_runs: bool,
    },
    /// The stop script had begun.
    Stopping {
        /// The incident that asked for it.
        trace: TraceId,
        /// Whether the script still runs.
        script_runs: bool,
    },
}

/// A warm or cold backend's launch and the row of failed attempts behind it.
#[derive(Debug, Clone)]
pub(super) struct Launcher {
    pub(super) launch: Launch,
    /// Failed attempts in a row. To have answered once does not end the row: it may die of its first load each time.
    pub(super) failures: u32,
    /// What the last failed attempt failed of.
    pub(super) error: Option<String>,
}

impl Launcher {
    pub(super) fn new() -> Self {
        Self { launch: Launch::Idle, failures: 0, error: None }
    }

    /// Ends the row of failures if none has come since then, for long enough.
    pub(super) fn forgive(&mut self, since: Time, now: Time) {
        if now.since(since) >= RETRY_PAUSE_MAX {
            self.failures = 0;
        }
    }

    /// Somebody says that what made it fail is mended.
    pub(super) fn mended(&mut self) {
        self.failures = 0;
        if let Launch::Pausing { .. } = self.launch {
            self.launch = Launch::Idle;
        }
    }

    /// How long to wait before the next attempt.
    pub(super) fn pause(&self) -> Duration {
        let doublings = self.failures.saturating_sub(1).min(16);
        RETRY_PAUSE.saturating_mul(1 << doublings).min(RETRY_PAUSE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let mut launcher = Launcher::new();
        let seconds: Vec<u64> = (1..=8)
            .map(|failures| {
                launcher.failures = failures;
                launcher.pause().as_secs()
            })
            .collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        launcher.failures = u32::MAX;
        assert_eq!(launcher.pause(), RETRY_PAUSE_MAX);
    }
}
