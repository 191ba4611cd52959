//! Cold starts that do not go smoothly.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::ensure;
use libtest_mimic::Trial;
use serde_json::json;
use xtask::lab::{Backend, Lab, LabOptions, ServerOptions, vip};
use xtask::wait;

use crate::support::journal::{events, in_order, lines, wait_event, wait_events};
use crate::support::scene::{
    LIMIT, backend, configure, keep_tcp, options, scene, scene_in, start_daemon, wait_active, whoami,
};

/// Longer than any test waits.
const NEVER: Duration = Duration::from_secs(3600);

pub(crate) fn trials() -> Vec<Trial> {
    let slow = || LabOptions { cold_load_time: NEVER, ..options() };
    vec![
        scene("start_scripts_know_what_they_start", start_scripts_know_what_they_start),
        scene_in("recovery_wins_over_a_cold_start", slow(), recovery_wins_over_a_cold_start),
        scene("failed_starts_are_tried_again", failed_starts_are_tried_again),
        scene("a_failed_start_goes_to_the_next_one", a_failed_start_goes_to_the_next_one),
        scene_in("a_start_that_takes_too_long_fails", slow(), a_start_that_takes_too_long_fails),
        scene_in("a_script_that_takes_too_long_is_ended", slow(), a_script_that_takes_too_long_is_ended),
    ]
}

fn kill_hot(lab: &Lab) -> anyhow::Result<()> {
    lab.kill_server(Backend::Primary)?;
    lab.kill_server(Backend::Standby)
}

/// Writes a script of this test.
fn script(lab: &Lab, name: &str, body: &str) -> anyhow::Result<PathBuf> {
    let path = lab.run_dir().join(name);
    fs::write(&path, format!("#!/bin/sh\n{body}\n"))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
    Ok(path)
}

fn start_scripts_know_what_they_start(lab: &Lab) -> anyhow::Result<()> {
    let environment = lab.run_dir().join("environment");
    let body = format!(
        "env | grep ^FASTSWITCH >'{}'; echo to stdout; echo to stderr >&2; exec '{}'",
        environment.display(),
        lab.start_script().display()
    );
    let start = script(lab, "start.sh", &body)?;
    configure(lab, |config| {
        keep_tcp(config);
        config["service"][0]["backend"][2]["start"]["command"] = json!([start]);
    })?;
    start_daemon(lab)?;
    kill_hot(lab)?;
    wait_active(lab, Backend::Cold)?;
    ensure!(whoami(lab, vip())? == "cold");

    let starting = wait_event(lab, "starting", Some("cold"))?;
    let trace = starting["trace_id"].as_str().unwrap_or_default();
    let environment = fs::read_to_string(environment)?;
    let expected = [
        "FASTSWITCH_SERVICE=asr".to_owned(),
        "FASTSWITCH_BACKEND=cold".to_owned(),
        format!("FASTSWITCH_ADDRESS={}", Backend::Cold.address()),
        format!("FASTSWITCH_TRACE_ID={trace}"),
        "FASTSWITCH_REASON=no hot backend can serve".to_owned(),
    ];
    for variable in expected {
        ensure!(environment.lines().any(|line| line == variable), "{variable} is not in\n{environment}");
    }
    for text in ["to stdout", "to stderr"] {
        wait::until_true("its output is in the log", LIMIT, || {
            let of_it = |line: &serde_json::Value| line["line"] == text && line["trace_id"] == trace;
            Ok(lines(lab)?.iter().any(of_it))
        })?;
    }
    Ok(())
}

fn recovery_wins_over_a_cold_start(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, keep_tcp)?;
    start_daemon(lab)?;
    kill_hot(lab)?;
    wait_event(lab, "starting", Some("cold"))?;
    wait::until_true("the cold server loads", LIMIT, || lab.server_runs(Backend::Cold))?;
    lab.start_server(Backend::Primary, &ServerOptions::default())?;
    wait_active(lab, Backend::Primary)?;
    ensure!(whoami(lab, vip())? == "primary");
    wait_event(lab, "stopped", Some("cold"))?;
    let expected = [
        "outage_began",
        "starting cold",
        "up primary",
        "switched primary",
        "outage_ended primary",
        "start_aborted cold",
        "stopping cold",
        "stopped cold",
    ];
    in_order(lab, &expected)?;
    ensure!(!lab.server_runs(Backend::Cold)?, "the stop script has left it running");
    let state = backend(lab, "asr", Backend::Cold)?;
    ensure!(state["role"] == "cold" && state["hold"] == json!(["not started"]), "{state}");
    Ok(())
}

fn failed_starts_are_tried_again(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, keep_tcp)?;
    start_daemon(lab)?;
    let (model, away) = (lab.run_dir().join("model"), lab.run_dir().join("model.away"));
    fs::rename(&model, &away)?;
    kill_hot(lab)?;
    let failures = wait_events(lab, "start_failed", Some("cold"), 2)?;
    let pauses: Vec<f64> = failures.iter().filter_map(|failure| failure["pause_s"].as_f64()).collect();
    ensure!(pauses[1] > pauses[0], "pauses do not grow: {pauses:?}");
    ensure!(failures.iter().all(|failure| failure["why"] == "exit status 1"), "{failures:?}");
    fs::rename(&away, &model)?;
    wait_active(lab, Backend::Cold)?;
    let attempts = wait_events(lab, "starting", Some("cold"), 3)?;
    let numbers: Vec<u64> = attempts.iter().filter_map(|start| start["attempt"].as_u64()).collect();
    ensure!(numbers.iter().copied().eq(1..=numbers.len() as u64), "{numbers:?}");
    Ok(())
}

fn a_failed_start_goes_to_the_next_one(lab: &Lab) -> anyhow::Result<()> {
    let broken = script(lab, "broken.sh", "echo the disk is gone >&2; exit 7")?;
    configure(lab, |config| {
        keep_tcp(config);
        let backends = config["service"][0]["backend"].as_array_mut();
        let broken = json!({
            "name": "broken", "address": "10.77.2.99:7860", "tier": "cold", "start": { "command": [broken] },
        });
        backends.into_iter().for_each(|backends| backends.insert(2, broken.clone()));
    })?;
    start_daemon(lab)?;
    // One of which nothing is known yet would be left for later.
    wait_event(lab, "down", Some("broken"))?;
    kill_hot(lab)?;
    wait_active(lab, Backend::Cold)?;
    ensure!(whoami(lab, vip())? == "cold");
    let order = in_order(lab, &["starting broken", "start_failed broken", "starting cold", "switched cold"])?;
    ensure!(order[1]["why"] == "exit status 7", "{order:?}");
    ensure!(
        lines(lab)?.iter().any(|line| line["line"] == "the disk is gone"),
        "its output is not in the log"
    );
    Ok(())
}

/// The script ends at once, but heartbeats never find the server ready.
fn a_start_that_takes_too_long_fails(lab: &Lab) -> anyhow::Result<()> {
    let start = script(lab, "start.sh", &format!("'{}' >/dev/null 2>&1 &", lab.start_script().display()))?;
    configure(lab, |config| {
        keep_tcp(config);
        let cold = &mut config["service"][0]["backend"][2];
        cold["start"]["command"] = json!([start]);
        cold["ready_timeout"] = "1s".into();
    })?;
    start_daemon(lab)?;
    kill_hot(lab)?;
    let failed = wait_event(lab, "start_failed", Some("cold"))?;
    ensure!(failed["why"] == "no healthy heartbeat within 1s", "{failed}");
    wait_events(lab, "starting", Some("cold"), 2)?;
    in_order(
        lab,
        &["starting cold", "start_done cold", "start_failed cold", "stopping cold", "starting cold"],
    )?;
    ensure!(
        events(lab, "asr")?.iter().all(|event| event["event"] != "switched" || event["backend"] != "cold")
    );
    Ok(())
}

fn a_script_that_takes_too_long_is_ended(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, |config| {
        keep_tcp(config);
        config["service"][0]["backend"][2]["start"]["timeout"] = "1s".into();
    })?;
    start_daemon(lab)?;
    kill_hot(lab)?;
    let failed = wait_event(lab, "start_failed", Some("cold"))?;
    ensure!(failed["why"] == "timed out after 1s", "{failed}");
    wait_event(lab, "stopped", Some("cold"))?;
    Ok(())
}
