//! Whether this thread was held up: stopped, starved of CPU, or its machine paused.
//!
//! It owns a tick that is due several times within the shortest interval, and remembers each time that it came too
//! late. It refuses to guess why.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use super::clock::Clock;

/// Finer ticks than this would cost more than they tell.
const FINEST_TICK: Duration = Duration::from_micros(500);

/// Between two wake-ups of this thread, longer than it may be.
#[derive(Debug, Clone, Copy)]
struct Gap {
    from: Instant,
    to: Instant,
}

impl Gap {
    /// Whether it was longer than `patience` and touches the time since `since`.
    fn spoils(&self, since: Instant, patience: Duration) -> bool {
        self.to > since && self.to - self.from > patience
    }
}

/// Remembers hold-ups of this thread.
pub(super) struct Watch {
    shortest: Duration,
    longest: Duration,
    awake: Cell<Instant>,
    gaps: RefCell<Vec<Gap>>,
}

impl Watch {
    /// Hold-ups of `shortest` and more matter to somebody, for as long as a round may take: `longest`.
    pub(super) fn new(shortest: Duration, longest: Duration, now: Instant) -> Self {
        Self { shortest, longest, awake: Cell::new(now), gaps: RefCell::default() }
    }

    /// Ticks; never ends while the runtime lives.
    pub(super) async fn run(&self, clock: &Clock) {
        let tick = (self.shortest / 4).max(FINEST_TICK);
        loop {
            clock.sleep_until(self.awake.get() + tick).await;
            self.wake(Instant::now());
        }
    }

    /// The thread was seen to run at `now`.
    fn wake(&self, now: Instant) {
        let gap = Gap { from: self.awake.replace(now), to: now };
        if gap.to - gap.from > self.shortest {
            let mut gaps = self.gaps.borrow_mut();
            gaps.retain(|gap| now - gap.to <= self.longest);
            gaps.push(gap);
        }
    }

    /// Whether the thread was held up for longer than `patience` in one go at any time from `since` until `now`.
    pub(super) fn held_up(&self, since: Instant, now: Instant, patience: Duration) -> bool {
        // The hold-up that has just ended may not have been noted yet.
        let latest = Gap { from: self.awake.get(), to: now };
        latest.spoils(since, patience) || self.gaps.borrow().iter().any(|gap| gap.spoils(since, patience))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_gap_spoils_the_rounds_that_it_touches() {
        let start = Instant::now();
        let at = |ms: u32| start + MS * ms;
        let watch = Watch::new(MS * 10, MS * 100, start);
        [5, 10, 40, 45, 50].into_iter().for_each(|ms| watch.wake(at(ms)));

        assert!(watch.held_up(at(35), at(50), MS * 10), "it began before the round");
        assert!(watch.held_up(at(5), at(50), MS * 10), "it was in the midst of the round");
        assert!(!watch.held_up(at(40), at(50), MS * 10), "it was over when the round began");
        assert!(!watch.held_up(at(5), at(50), MS * 30), "a longer interval bears it");
    }

    #[test]
    fn a_gap_counts_before_it_is_noted() {
        let start = Instant::now();
        let watch = Watch::new(MS * 10, MS * 100, start);
        assert!(!watch.held_up(start, start + MS * 10, MS * 10));
        assert!(watch.held_up(start, start + MS * 11, MS * 10));
    }

    #[test]
    fn gaps_that_no_round_can_touch_are_forgotten() {
        let start = Instant::now();
        let watch = Watch::new(MS * 10, MS * 100, start);
        (1..1000).for_each(|n| watch.wake(start + MS * 20 * n));
        assert!(watch.gaps.borrow().len() <= 7);
    }
}
