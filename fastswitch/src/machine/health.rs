//! What heartbeats say of one backend: rise, fall and the state between them.

use std::num::NonZeroU32;
use std::time::Duration;

use super::{Failure, Outcome, Time};

/// What heartbeats say of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Not yet known: neither a success nor `fall` failures so far.
    Unknown,
    /// Answers.
    Up,
    /// Does not.
    Down,
}

/// Health of one backend.
#[derive(Debug, Clone)]
pub struct Health {
    state: State,
    since: Time,
    /// Consecutive outcomes that speak against `state`.
    against: u32,
    failure: Option<Failure>,
    rtt: Option<Duration>,
    stalled: u64,
}

/// How an outcome moved the health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    /// Not at all.
    None,
    /// The first failure of a row.
    Suspected,
    /// A success that ended such a row.
    Cleared,
    /// To another state.
    Changed,
}

impl Health {
    /// Nothing known yet.
    #[must_use]
    pub fn new(now: Time) -> Self {
        Self { state: State::Unknown, since: now, against: 0, failure: None, rtt: None, stalled: 0 }
    }

    /// What heartbeats say.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// Since when they say so.
    #[must_use]
    pub fn since(&self) -> Time {
        self.since
    }

    /// Why the last failed heartbeat failed; none after a success.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// Round-trip time of the last success.
    #[must_use]
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt
    }

    /// Rounds that did not count because this process was held up.
    #[must_use]
    pub fn stalled(&self) -> u64 {
        self.stalled
    }

    /// A row of failures has begun that has not led anywhere yet.
    pub(super) fn is_suspected(&self) -> bool {
        self.state != State::Down && self.against > 0
    }

    /// Down, and the last round has not made it look better.
    pub(super) fn is_silent(&self) -> bool {
        self.state == State::Down && self.against == 0
    }

    /// Takes a round's outcome in. From `Unknown` one success is enough, since there is no failure to outweigh.
    pub(super) fn record(&mut self, now: Time, outcome: Outcome, fall: NonZeroU32, rise: NonZeroU32) -> Move {
        match outcome {
            Outcome::Stalled => {
                self.stalled += 1;
                Move::None
            }
            Outcome::Success { rtt } => {
                self.rtt = Some(rtt);
                self.failure = None;
                match self.state {
                    State::Unknown => self.become_state(State::Up, now),
                    State::Up if self.against > 0 => {
                        self.against = 0;
                        Move::Cleared
                    }
                    State::Up => Move::None,
                    State::Down => self.count(now, rise, State::Up),
                }
            }
            Outcome::Failure(failure) => {
                self.failure = Some(failure);
                match self.state {
                    State::Down => {
                        self.against = 0;
                        Move::None
                    }
                    State::Unknown | State::Up => self.count(now, fall, State::Down),
                }
            }
        }
    }

    fn count(&mut self, now: Time, limit: NonZeroU32, next: State) -> Move {
        self.against += 1;
        if self.against >= limit.get() {
            self.become_state(next, now)
        } else if self.against == 1 && next == State::Down {
            Move::Suspected
        } else {
            Move::None
        }
    }

    fn become_state(&mut self, state: State, now: Time) -> Move {
        self.state = state;
        self.since = now;
        self.against = 0;
        Move::Changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THREE: NonZeroU32 = NonZeroU32::new(3).unwrap();
    const TWO: NonZeroU32 = NonZeroU32::new(2).unwrap();

    fn run(health: &mut Health, outcomes: &str) -> Vec<Move> {
        outcomes
            .chars()
            .map(|letter| {
                let outcome = match letter {
                    '+' => Outcome::Success { rtt: Duration::from_micros(200) },
                    '-' => Outcome::Failure(Failure::Timeout),
                    _ => Outcome::Stalled,
                };
                health.record(Time::default(), outcome, THREE, TWO)
            })
            .collect()
    }

    #[test]
    fn one_success_ends_the_unknown() {
        let mut health = Health::new(Time::default());
        assert_eq!(run(&mut health, "+"), [Move::Changed]);
        assert_eq!(health.state(), State::Up);
    }

    #[test]
    fn fall_counts_only_consecutive_failures() {
        let mut health = Health::new(Time::default());
        run(&mut health, "+--+--+--");
        assert_eq!(health.state(), State::Up);
        assert_eq!(run(&mut health, "-"), [Move::Changed]);
        assert_eq!(health.state(), State::Down);
    }

    #[test]
    fn rise_counts_only_consecutive_successes() {
        let mut health = Health::new(Time::default());
        run(&mut health, "---+-+-");
        assert_eq!(health.state(), State::Down);
        run(&mut health, "++");
        assert_eq!(health.state(), State::Up);
    }

    #[test]
    fn stalled_rounds_neither_count_nor_break_a_row() {
        let mut health = Health::new(Time::default());
        run(&mut health, "+--ssss");
        assert_eq!((health.state(), health.stalled()), (State::Up, 4));
        run(&mut health, "-");
        assert_eq!(health.state(), State::Down);
    }

    #[test]
    fn suspicion_begins_and_clears_once() {
        let mut health = Health::new(Time::default());
        assert_eq!(run(&mut health, "+--+"), [Move::Changed, Move::Suspected, Move::None, Move::Cleared]);
    }
}
