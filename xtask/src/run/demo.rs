//! The story, played by itself: both hot backends die, the cold one is started, the primary comes back.
//!
//! A client opens a new connection each few milliseconds all the while; what it saw is the result.

use std::process::ExitCode;
use std::time::Duration;

use crate::lab::{Backend, Host, Lab, ServerOptions, vip};
use crate::load::{Attempt, Failure, LoadClient, LoadOptions, Outcome, Summary};
use crate::say::{Unread, say};
use crate::wait;

const EVERY: Duration = Duration::from_millis(5);
/// A phase in which nothing happens, so that the next one starts from something.
const STEADY: usize = 200;
/// For what takes milliseconds on an idle machine.
const SOON: Duration = Duration::from_secs(15);
/// For what waits for a start script, a model or a delay.
const LATER: Duration = Duration::from_secs(60);

/// Plays it. Success when each step was seen.
///
/// # Errors
/// The first step that was not seen, after the account of those that were.
pub(super) fn play(lab: &Lab) -> anyhow::Result<ExitCode> {
    say(format!("A client opens a new connection to {} each {} ms.\n", vip(), EVERY.as_millis()))?;
    let client = LoadClient::start(lab.namespace(Host::Client), LoadOptions::new(vip(), EVERY))?;
    let mut story = Story { lab, client, phases: Vec::new() };
    let told = story.tell();
    let end = story.client.now();
    let attempts = story.client.finish()?;
    say(format!("\n{}", table(&story.phases, end, &attempts)))?;
    told?;
    say("Each step was seen.")?;
    Ok(ExitCode::SUCCESS)
}

struct Phase {
    name: &'static str,
    start: Duration,
}

struct Story<'a> {
    lab: &'a Lab,
    client: LoadClient,
    phases: Vec<Phase>,
}

impl Story<'_> {
    fn tell(&mut self) -> anyhow::Result<()> {
        self.begin("all is well")?;
        self.answers_from(Backend::Primary, SOON)?;

        self.begin("primary killed")?;
        self.lab.kill_server(Backend::Primary)?;
        self.answers_from(Backend::Standby, SOON)?;

        self.begin("standby killed too")?;
        self.lab.kill_server(Backend::Standby)?;
        let refused = |attempt: &Attempt| attempt.outcome == Outcome::Failure(Failure::Refused);
        let seen = self.client.wait_for("a connection rejected", self.phase_start(), SOON, refused)?;
        self.say(&format!("connections are rejected at once ({:.1} ms)", millis(seen.latency)))?;
        self.answers_from(Backend::Cold, LATER)?;

        self.begin("primary started again")?;
        self.lab.start_server(Backend::Primary, &ServerOptions::default())?;
        self.answers_from(Backend::Primary, LATER)?;
        wait::until_true("the cold backend is stopped", LATER, || {
            Ok(!self.lab.server_runs(Backend::Cold)?)
        })?;
        self.say("the cold backend's server was stopped")?;

        self.begin("standby started again")?;
        self.lab.start_server(Backend::Standby, &ServerOptions::default())?;
        wait::until_true("the standby is up again", LATER, || {
            let status = self.lab.status()?;
            let up = |backend: &serde_json::Value| backend["name"] == "standby" && backend["health"] == "up";
            Ok(status["services"][0]["backends"].as_array().is_some_and(|backends| backends.iter().any(up)))
        })?;
        self.say("the standby stands by")?;
        self.answers_from(Backend::Primary, SOON)
    }

    fn begin(&mut self, name: &'static str) -> Result<(), Unread> {
        let start = self.client.now();
        self.phases.push(Phase { name, start });
        self.say(&name.to_uppercase())
    }

    /// Waits for the backend's first answer in this phase, and then for a number of them.
    fn answers_from(&self, backend: Backend, limit: Duration) -> anyhow::Result<()> {
        let name = backend.name();
        let by = |attempt: &Attempt| attempt.answered_by(name);
        let first = self.client.wait_for(&format!("an answer from {name}"), self.phase_start(), limit, by)?;
        let outage = Summary::of(&self.client.attempts(), self.phase_start(), first.end()).outage;
        self.say(&format!("{name} answers; {:.0} ms without an answer at most", millis(outage)))?;
        wait::until_true(&format!("{STEADY} answers from {name}"), limit, || {
            let attempts = self.client.attempts();
            let since = attempts.iter().filter(|attempt| attempt.start >= first.start && by(attempt));
            Ok(since.count() >= STEADY)
        })
    }

    fn phase_start(&self) -> Duration {
        self.phases.last().map_or(Duration::ZERO, |phase| phase.start)
    }

    fn say(&self, what: &str) -> Result<(), Unread> {
        say(format!("{:8.3} s  {what}", self.client.now().as_secs_f64()))
    }
}

/// What the client saw in each phase.
fn table(phases: &[Phase], end: Duration, attempts: &[Attempt]) -> String {
    let mut text = format!(
        "{:22} {:>8} {:>7} {:>10} {:>7} {:>7}  {}\n",
        "what the client saw", "requests", "failed", "outage ms", "p50 ms", "p99 ms", "answers; failures"
    );
    let ends = phases.iter().skip(1).map(|phase| phase.start).chain([end]);
    for (phase, end) in phases.iter().zip(ends) {
        let summary = Summary::of(attempts, phase.start, end);
        text += &format!(
            "{:22} {:>8} {:>7} {:>10.0} {:>7.1} {:>7.1}  {}\n",
            phase.name,
            summary.attempts,
            summary.failed(),
            millis(summary.outage),
            millis(summary.median),
            millis(summary.p99),
            outcomes(&summary),
        );
    }
    text
}

fn outcomes(summary: &Summary) -> String {
    let answers: Vec<String> =
        summary.answers.iter().map(|(name, count)| format!("{name} {count}")).collect();
    let failures: Vec<String> =
        summary.failures.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    if failures.is_empty() {
        answers.join(", ")
    } else {
        format!("{}; {}", answers.join(", "), failures.join(", "))
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
