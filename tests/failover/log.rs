//! Whoever reads the daemon's log, or fails to, has no part in what it does.

use std::fs::File;
use std::io::{BufRead as _, BufReader, PipeReader, PipeWriter, Write as _, pipe};

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;
use nix::fcntl::{FcntlArg, fcntl};
use serde_json::Value;
use xtask::lab::{Backend, Lab, ServerOptions, vip};

use crate::support::scene::{scene, wait_active, wait_backend, whoami};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        scene("a_log_that_nobody_reads_stops_nothing", a_log_that_nobody_reads_stops_nothing),
        scene("a_log_that_cannot_be_written_stops_nothing", a_log_that_cannot_be_written_stops_nothing),
    ]
}

/// A pipe that is full.
fn full_pipe() -> anyhow::Result<(PipeReader, PipeWriter)> {
    let (reader, mut writer) = pipe()?;
    let size = fcntl(&writer, FcntlArg::F_SETPIPE_SZ(4096))?;
    writer.write_all(&vec![b'\n'; size.try_into()?])?;
    Ok((reader, writer))
}

/// The whole way, which is also a way to have many lines logged.
fn fails_over_and_back(lab: &Lab) -> anyhow::Result<()> {
    for backend in [Backend::Primary, Backend::Standby] {
        wait_backend(lab, backend, "is eligible", |state| state["eligible"] == true)?;
    }
    lab.kill_server(Backend::Primary)?;
    wait_active(lab, Backend::Standby)?;
    ensure!(whoami(lab, vip())? == "standby");
    lab.start_server(Backend::Primary, &ServerOptions::default())?;
    wait_active(lab, Backend::Primary)
}

fn ends_in_order(lab: &Lab) -> anyhow::Result<()> {
    let status = lab.stop_daemon()?.context("the daemon is no child")?;
    ensure!(status.success(), "the daemon ended with {status}");
    Ok(())
}

fn a_log_that_nobody_reads_stops_nothing(lab: &Lab) -> anyhow::Result<()> {
    let (reader, writer) = full_pipe()?;
    lab.start_daemon_onto(&["--log-format", "json"], writer)?;
    fails_over_and_back(lab)?;
    // Whoever reads at last, finds everything up to the end.
    let reading = std::thread::spawn(move || {
        BufReader::new(reader).lines().map_while(Result::ok).filter(|line| !line.is_empty()).collect()
    });
    ends_in_order(lab)?;
    let lines: Vec<String> = reading.join().map_err(|_| anyhow::anyhow!("the reader panicked"))?;
    let lines: Vec<Value> = lines.iter().map(|line| serde_json::from_str(line)).collect::<Result<_, _>>()?;
    let switched = lines.iter().filter(|line| line["event"] == "switched" && line["service"] == "asr");
    let order: Vec<&Value> = switched.map(|line| &line["backend"]).collect();
    ensure!(order.ends_with(&[&"standby".into(), &"primary".into()]), "{order:?}");
    ensure!(lines.last().is_some_and(|line| line["signal"] == "SIGTERM"), "{lines:?}");

    // Nor does the end wait for a reader.
    let (_reader, writer) = full_pipe()?;
    lab.start_daemon_onto(&[], writer)?;
    ends_in_order(lab)
}

fn a_log_that_cannot_be_written_stops_nothing(lab: &Lab) -> anyhow::Result<()> {
    lab.start_daemon_onto(&[], File::options().write(true).open("/dev/full")?)?;
    fails_over_and_back(lab)?;
    ends_in_order(lab)?;
    let (reader, writer) = pipe()?;
    drop(reader);
    lab.start_daemon_onto(&[], writer)?;
    fails_over_and_back(lab)?;
    ends_in_order(lab)
}
