//! From the decision to the changed switch word, by the daemon's own account of real switches.

use std::io::{Read as _, Seek as _, SeekFrom};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use crate::bed::{Bed, HOT};
use crate::progress::Progress;
use crate::sample::Samples;
use crate::table::Row;

const BLOCKS: usize = 20;
/// Switches of a block, half of them to either backend.
const BLOCK: usize = 100;
/// Between two switches: as in life, nothing of the last one is in the CPU's caches by right.
const PAUSE: Duration = Duration::from_millis(1);

/// One service.
pub(crate) fn stored() -> anyhow::Result<Vec<Row>> {
    let figure = "from decision to changed word, p99";
    let progress = Progress::of(figure);
    let bed = Bed::with_services(1, "nat")?;
    let mut times = Samples::default();
    for block in 1..=BLOCKS {
        times.extend(switches(&bed)?);
        progress.round(block, BLOCKS)?;
    }
    let against = format!("p50 {:.1} us of {} switches", times.median(), times.len());
    Ok(vec![Row::percentile(figure, "us", &times, 99).against(against).at_most(10.0)])
}

/// The median of `many` services, next to that of `one`.
pub(crate) fn stored_of_many(one: &Bed, many: &Bed) -> anyhow::Result<Row> {
    let figure = "1,000 services, not one: switch time";
    let progress = Progress::of(figure);
    let (mut ones, mut more) = (Samples::default(), Samples::default());
    for block in 1..=BLOCKS {
        let time = switches(one)?.median();
        ones.push(time);
        more.push((switches(many)?.median() / time - 1.0) * 100.0);
        progress.round(block, BLOCKS)?;
    }
    let row = Row::percentile(figure, "% longer", &more, 50);
    Ok(row.against(format!("one: {:.2} us", ones.median())).at_most(10.0))
}

/// Switches back and forth, and gives how long each took, in us.
fn switches(bed: &Bed) -> anyhow::Result<Samples> {
    let file = bed.lab.log_file("daemon");
    let mut log = std::fs::File::open(&file).with_context(|| format!("cannot read {}", file.display()))?;
    log.seek(SeekFrom::End(0))?;
    for backend in HOT.into_iter().rev().cycle().take(BLOCK) {
        bed.switch(backend)?;
        std::thread::sleep(PAUSE);
    }
    let mut text = String::new();
    log.read_to_string(&mut text)?;
    let times: Samples = text.lines().filter_map(stored_us).collect();
    anyhow::ensure!(times.len() == BLOCK, "{BLOCK} switches, but {} in {}", times.len(), file.display());
    Ok(times)
}

/// Of a line of the log, if it tells of a switch.
fn stored_us(line: &str) -> Option<f64> {
    let line: Value = serde_json::from_str(line).ok()?;
    if line["event"] == "switched" { line["stored_us"].as_f64() } else { None }
}
