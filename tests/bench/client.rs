//! What a client sees that opens a new connection each millisecond: of failures, and of planned switches.

use std::time::Duration;

use xtask::lab::{Backend, Host, ServerOptions, vip};
use xtask::load::{Attempt, LoadClient, LoadOptions, Summary, outage};

use crate::bed::{Bed, HOT};
use crate::progress::Progress;
use crate::sample::Samples;
use crate::table::{Reach, Row};

const EVERY: Duration = Duration::from_millis(1);
/// For one request. Longer only makes rounds longer: what a failure swallowed is not answered before TCP tries again,
/// after a second.
const PATIENCE: Duration = Duration::from_millis(500);
/// For what takes milliseconds on an idle machine.
const SOON: Duration = Duration::from_secs(30);
/// Without disturbance, before and after something happens.
const STEADY: Duration = Duration::from_millis(200);
const ROUNDS: usize = 20;
const SWITCHES: usize = 10;

/// How the primary is lost.
#[derive(Clone, Copy)]
enum Loss {
    Killed,
    Cut,
}

impl Loss {
    fn happen(self, bed: &Bed) -> anyhow::Result<()> {
        match self {
            Loss::Killed => bed.lab.kill_server(Backend::Primary),
            Loss::Cut => bed.lab.cut_link(Backend::Primary),
        }
    }

    fn end(self, bed: &Bed) -> anyhow::Result<()> {
        match self {
            Loss::Killed => bed.lab.start_server(Backend::Primary, &ServerOptions::default()),
            Loss::Cut => bed.lab.restore_link(Backend::Primary),
        }
    }
}

/// The primary is killed, and its link is cut.
pub(crate) fn outages() -> anyhow::Result<Vec<Row>> {
    let bed = Bed::with_quick_heartbeats()?;
    Ok(vec![
        outages_by(&bed, Loss::Killed, "outage, primary killed, p99 of 20")?.at_most(60.0),
        outages_by(&bed, Loss::Cut, "outage, primary's link cut, p99 of 20")?.at_most(60.0),
    ])
}

fn outages_by(bed: &Bed, loss: Loss, figure: &'static str) -> anyhow::Result<Row> {
    let progress = Progress::of(figure);
    let mut outages = Samples::default();
    for round in 1..=ROUNDS {
        outages.push(outage_by(bed, loss)?.as_secs_f64() * 1e3);
        loss.end(bed)?;
        bed.wait_eligible(Backend::Primary)?;
        bed.switch(Backend::Primary)?;
        progress.round(round, ROUNDS)?;
    }
    Ok(Row::percentile(figure, "ms", &outages, 99).against(format!("p50 {:.1} ms", outages.median())))
}

/// The longest time without an answer around one loss of the primary.
fn outage_by(bed: &Bed, loss: Loss) -> anyhow::Result<Duration> {
    let client = start(bed)?;
    steady(&client, Backend::Primary)?;
    let lost = client.now();
    loss.happen(bed)?;
    steady(&client, Backend::Standby)?;
    let end = client.now();
    Ok(outage(&client.finish()?, lost, end))
}

/// Planned switches.
pub(crate) fn planned() -> anyhow::Result<Vec<Row>> {
    let figure = "planned switches, requests that failed";
    let progress = Progress::of(figure);
    let bed = Bed::with_quick_heartbeats()?;
    let client = start(&bed)?;
    steady(&client, Backend::Primary)?;
    for (number, backend) in HOT.into_iter().rev().cycle().take(SWITCHES).enumerate() {
        bed.switch(backend)?;
        steady(&client, backend)?;
        progress.round(number + 1, SWITCHES)?;
    }
    let end = client.now();
    let attempts = client.finish()?;
    let summary = Summary::of(&attempts, Duration::ZERO, end + PATIENCE);
    let rate = attempts.len() as f64 / end.as_secs_f64();
    let failed = summary.failed() as f64;
    Ok(vec![Row {
        figure,
        unit: "failed",
        measured: failed,
        spread: [failed, failed],
        against: format!("{} requests, {rate:.0} each second", attempts.len()),
        reach: Reach::AtMost(0.0),
    }])
}

fn start(bed: &Bed) -> anyhow::Result<LoadClient> {
    let options = LoadOptions { timeout: PATIENCE, ..LoadOptions::new(vip(), EVERY) };
    LoadClient::start(bed.lab.namespace(Host::Client), options)
}

/// Waits until `backend` has answered for a while.
fn steady(client: &LoadClient, backend: Backend) -> anyhow::Result<()> {
    let by = |attempt: &Attempt| attempt.answered_by(backend.name());
    let first = client.wait_for(backend.name(), client.now(), SOON, by)?;
    client.wait_for(backend.name(), first.start + STEADY, SOON, by).map(drop)
}
