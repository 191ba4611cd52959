//! The one place where the daemon reads clocks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::time::{ClockId, clock_gettime};

use crate::machine::Time;

/// Monotonic time for decisions, wall-clock time for people.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    origin: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { origin: Instant::now() }
    }

    pub(super) fn now(self) -> Time {
        Time(self.origin.elapsed())
    }

    /// The runtime's moment for a machine's.
    pub(super) fn instant(self, time: Time) -> tokio::time::Instant {
        tokio::time::Instant::from_std(self.origin.checked_add(time.0).unwrap_or_else(far_future))
    }

    /// The moment at which the wall clock shows `unix` nanoseconds; `now` if it has passed.
    pub(super) fn at_unix(self, unix: u64) -> Time {
        self.now() + Duration::from_nanos(unix.saturating_sub(unix_now()))
    }

    /// What the wall clock will show at `time`, in nanoseconds since the Unix epoch.
    pub(super) fn to_unix(self, time: Time) -> u64 {
        let ahead = u64::try_from(time.since(self.now()).as_nanos()).unwrap_or(u64::MAX);
        unix_now().saturating_add(ahead)
    }
}

/// A deadline that is never met within the life of a daemon.
fn far_future() -> Instant {
    Instant::now() + Duration::from_secs(365 * 24 * 3600)
}

/// Nanoseconds of the monotonic clock, which is also the XDP program's.
pub(super) fn monotonic() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).map(Duration::from).unwrap_or_default();
    u64::try_from(now.as_nanos()).unwrap_or(u64::MAX)
}

/// Nanoseconds since the Unix epoch.
pub(super) fn unix_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
