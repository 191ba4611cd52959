//! Counts of passed, failed and skipped tests, read from what test programs print.

use std::fmt;
use std::iter::Sum;

/// How many tests ended in which way.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Tally {
    pub(super) passed: u64,
    pub(super) failed: u64,
    pub(super) skipped: u64,
}

impl Tally {
    /// That of a check without tests of its own.
    pub(super) fn check(passed: bool) -> Tally {
        Tally { passed: passed.into(), failed: (!passed).into(), skipped: 0 }
    }

    /// Adds what the closing line of a test program says; ignores every other line.
    pub(super) fn read(&mut self, line: &str) {
        let Some(counts) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". ")) else {
            return;
        };
        for count in counts.1.split("; ") {
            let Some((number, word)) = count.split_once(' ') else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match word {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }

    /// What counts in the end. `success`: how the programs exited, for those that failed without saying so, by not
    /// compiling or by being killed. `ci`: what is skipped where everything can run has failed.
    pub(super) fn judge(self, success: bool, ci: bool) -> Tally {
        let mut judged = self;
        if ci {
            judged.failed += judged.skipped;
            judged.skipped = 0;
        }
        if !success && judged.failed == 0 {
            judged.failed = 1;
        }
        judged
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Tally>>(tallies: I) -> Tally {
        tallies.fold(Tally::default(), |sum, tally| Tally {
            passed: sum.passed + tally.passed,
            failed: sum.failed + tally.failed,
            skipped: sum.skipped + tally.skipped,
        })
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Whether a line says more than that one of many tests passed.
pub(super) fn is_worth_showing(line: &str) -> bool {
    let passed = line.starts_with("test ") && line.ends_with("... ok");
    !(passed || line.is_empty() || line.starts_with("running "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(passed: u64, failed: u64, skipped: u64) -> Tally {
        Tally { passed, failed, skipped }
    }

    #[test]
    fn closing_lines_add_up() {
        let mut counted = Tally::default();
        for line in [
            "running 3 tests",
            "test failed ... 9 passed; 9 failed",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s",
            "test result: FAILED. 4 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s",
            "test result: ",
            "test result: ok. many passed",
        ] {
            counted.read(line);
        }
        assert_eq!(counted, tally(7, 2, 1));
    }

    #[test]
    fn a_silent_failure_counts() {
        assert_eq!(tally(3, 0, 0).judge(false, false), tally(3, 1, 0));
        assert_eq!(tally(3, 2, 0).judge(false, false), tally(3, 2, 0));
        assert_eq!(tally(3, 0, 1).judge(true, false), tally(3, 0, 1));
    }

    #[test]
    fn in_ci_nothing_may_be_skipped() {
        assert_eq!(tally(3, 0, 2).judge(true, true), tally(3, 2, 0));
    }

    #[test]
    fn lines_of_passed_tests_are_hidden() {
        assert!(!is_worth_showing("test machine::tests::a ... ok"));
        assert!(is_worth_showing("test machine::tests::a ... FAILED"));
        assert!(is_worth_showing("test machine::tests::a ... ignored, needs root"));
        assert!(is_worth_showing("test result: ok. 3 passed; 0 failed"));
        assert!(is_worth_showing("thread 'a' panicked at src/lib.rs:1:1:"));
    }
}
