//! `cargo xtask test`: every check and every test, one step after the other, with the totals at the end.
//!
//! A failed step does not keep the others from running. What a step does is in `steps`, what its output says in `tally`.

mod steps;
mod tally;

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::{setup, shell};
use steps::Work;
use tally::Tally;

/// How long a step that has ended may keep us waiting for the end of its output: a process that a test left behind
/// holds it open.
const PATIENCE: Duration = Duration::from_secs(1);

/// Options of `cargo xtask test`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these steps (fmt, tidy, clippy, clippy-bpf, build, unit, the name of a test program, doctest, doc), or only
    /// tests whose name contains one of these.
    filters: Vec<String>,
    /// Only what needs neither privilege nor much time: fmt, tidy, unit.
    #[arg(long, conflicts_with = "filters")]
    fast: bool,
}

/// How a step went.
struct Outcome {
    name: String,
    took: Duration,
    tally: Tally,
}

/// Runs the steps that `args` selects.
///
/// # Errors
/// When a step failed, or the machine lacks something that could not be installed.
pub fn main(args: &Args) -> anyhow::Result<()> {
    setup::ensure(setup::Level::Test)?;
    let steps = steps::select(steps::all()?, &args.filters, args.fast);
    anyhow::ensure!(!steps.is_empty(), "nothing to run is called so");
    let count = steps.len();
    let mut outcomes = Vec::new();
    for (index, step) in steps.into_iter().enumerate() {
        println!("\n=== {} ({}/{count})", step.name, index + 1);
        let start = Instant::now();
        let tally = run(step.work).unwrap_or_else(|error| {
            println!("{error:#}");
            Tally::check(false)
        });
        let outcome = Outcome { name: step.name, took: start.elapsed(), tally };
        println!("=== {}", outcome.line());
        outcomes.push(outcome);
    }
    summarise(&outcomes)
}

/// Prints every step's line and, alone on the last one, the totals.
fn summarise(outcomes: &[Outcome]) -> anyhow::Result<()> {
    let took: Duration = outcomes.iter().map(|outcome| outcome.took).sum();
    println!("\n=== all steps, {:.0} s; a check without tests of its own counts as one", took.as_secs_f64());
    for outcome in outcomes {
        println!("{}", outcome.line());
    }
    let total: Tally = outcomes.iter().map(|outcome| outcome.tally).sum();
    println!("\n{total}");
    let failed: Vec<_> = outcomes
        .iter()
        .filter(|outcome| outcome.tally.failed > 0)
        .map(|outcome| outcome.name.as_str())
        .collect();
    anyhow::ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

impl Outcome {
    fn line(&self) -> String {
        let word = if self.tally.failed > 0 { "FAILED" } else { "ok" };
        format!("{:<16} {word:<7} {:>6.1} s   {}", self.name, self.took.as_secs_f64(), self.tally)
    }
}

fn run(work: Work) -> anyhow::Result<Tally> {
    match work {
        Work::Here(check) => check().map(|()| Tally::check(true)),
        Work::Check(mut command) => {
            println!("{}", shell::line(&command));
            let status =
                command.stdin(Stdio::null()).status().map_err(|error| shell::not_started(&command, error))?;
            Ok(Tally::check(status.success()))
        }
        Work::Tests { commands, quiet, may_be_empty } => {
            let tallies: anyhow::Result<Vec<Tally>> =
                commands.into_iter().map(|command| run_tests(command, quiet)).collect();
            let tally: Tally = tallies?.into_iter().sum();
            anyhow::ensure!(may_be_empty || tally != Tally::default(), "no test ran");
            Ok(tally)
        }
    }
}

/// Runs test programs, passes on what they say (with `quiet` without a line per passed test), and counts.
fn run_tests(mut command: Command, quiet: bool) -> anyhow::Result<Tally> {
    println!("{}", shell::line(&command));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| shell::not_started(&command, error))?;
    let output = child.stdout.take().context("the tests' output is not connected")?;
    let tally = follow(&mut child, &lines(output), quiet)?;
    let status = child.wait().context("waiting for the tests failed")?;
    Ok(tally.judge(status.success(), std::env::var_os("CI").is_some()))
}

fn follow(child: &mut Child, lines: &Receiver<String>, quiet: bool) -> anyhow::Result<Tally> {
    let mut tally = Tally::default();
    loop {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                tally.read(&line);
                if !quiet || tally::is_worth_showing(&line) {
                    println!("{line}");
                }
            }
            Err(RecvTimeoutError::Timeout) => {
                if child.try_wait().context("waiting for the tests failed")?.is_some() {
                    return Ok(tally);
                }
            }
            Err(RecvTimeoutError::Disconnected) => return Ok(tally),
        }
    }
}

/// The lines of `output` as they come.
fn lines(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut line = Vec::new();
        while output.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if sender.send(text).is_err() {
                return;
            }
            line.clear();
        }
    });
    receiver
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn tests_of(script: &str) -> Tally {
        run_tests(shell(script), false).unwrap()
    }

    #[test]
    fn counts_what_the_tests_say() {
        let tally =
            tests_of("echo 'test result: ok. 3 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out'");
        assert_eq!((tally.passed, tally.failed, tally.skipped), (3, 0, 0));
    }

    #[test]
    fn tests_that_die_have_failed() {
        let tally = tests_of("echo 'running 3 tests'; kill -9 $$");
        assert_eq!((tally.passed, tally.failed, tally.skipped), (0, 1, 0));
    }

    #[test]
    fn a_process_left_behind_does_not_hold_us_up() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        tests_of(&format!("sleep 600 2>&- & echo $! > {}", file.display()));
        let pid = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
        // It would have ended before us, had we waited for it.
        kill(Pid::from_raw(pid), Signal::SIGKILL).unwrap();
    }
}
