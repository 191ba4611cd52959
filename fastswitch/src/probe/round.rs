//! The rounds of one target: when they begin, and what a round without an answer says.
//!
//! It owns the cadence and the judgement. It refuses to know how an answer is got.

use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::miss::Miss;
use super::question::{Question, Tools};
use super::watch::Watch;
use super::{Report, Target};
use crate::machine::Outcome;
use crate::machine::spec::Heartbeat;

/// All rounds of one target.
pub(super) struct Rounds {
    pub(super) target: Target,
    pub(super) question: Question,
    pub(super) first: Instant,
    pub(super) tools: Rc<Tools>,
    pub(super) watch: Rc<Watch>,
    pub(super) reports: mpsc::Sender<Report>,
}

impl Rounds {
    /// Asks round after round until nobody wants the reports.
    pub(super) async fn run(self) {
        let mut due = self.first;
        let mut short = false;
        loop {
            self.tools.clock.sleep_until(due).await;
            let outcome = self.round(due, &mut short).await;
            let report = Report { service: self.target.service, backend: self.target.backend, outcome };
            if self.reports.send(report).await.is_err() {
                return;
            }
            due = next(due, self.target.heartbeat.interval, Instant::now());
        }
    }

    /// One round, which should have begun at `due`; `short` is whether the one before lacked the means to ask.
    async fn round(&self, due: Instant, short: &mut bool) -> Outcome {
        let begin = Instant::now();
        let deadline = begin + self.target.heartbeat.timeout;
        let result = self.question.ask(&self.tools, deadline).await;
        let end = Instant::now();
        let was_short = std::mem::replace(short, matches!(result, Err(Miss::Shortage(_))));
        match result {
            Ok(answered) => Outcome::Success { rtt: answered - begin },
            Err(Miss::Shortage(error)) => {
                if !was_short {
                    tracing::warn!(
                        address = %self.target.address,
                        %error,
                        "this host lacks the means for a heartbeat; until it has them, the backend's failure would go unseen"
                    );
                }
                Outcome::Stalled
            }
            Err(Miss::Failure(failure)) => {
                let patience = patience(&self.target.heartbeat);
                let late = (begin - due).max(end.saturating_duration_since(deadline));
                if late > patience || self.watch.held_up(due, end, patience) {
                    Outcome::Stalled
                } else {
                    Outcome::Failure(failure)
                }
            }
        }
    }
}

/// The longest hold-up of this process that a failed round may have seen and still count. Beyond the interval it does
/// not, nor beyond the timeout, which a hold-up can use up just as well.
pub(super) fn patience(heartbeat: &Heartbeat) -> Duration {
    heartbeat.interval.min(heartbeat.timeout)
}

/// The round after the one due at `due`: on the same grid of `interval`, and those already missed at `now` left out.
fn next(due: Instant, interval: Duration, now: Instant) -> Instant {
    let late = now.saturating_duration_since(due).as_nanos();
    let missed = late / interval.as_nanos().max(1);
    let skipped =
        u32::try_from(missed).map_or(now.saturating_duration_since(due), |missed| interval * missed);
    due + skipped + interval
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_keep_to_their_grid_and_missed_ones_are_left_out() {
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let interval = Duration::from_millis(100);
        assert_eq!(next(at(0), interval, at(0)), at(100));
        assert_eq!(next(at(0), interval, at(30)), at(100));
        assert_eq!(next(at(0), interval, at(100)), at(200), "the tick that is due now would come late");
        assert_eq!(next(at(0), interval, at(1030)), at(1100), "no burst after a pause");
    }
}
