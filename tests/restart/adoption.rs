//! A daemon goes on where the one before was killed, or where the command line without a daemon has left things.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;
use nix::sys::signal::Signal;
use serde_json::json;
use xtask::lab::{Backend, Lab, LabOptions, ServerOptions, vip};
use xtask::wait;

use crate::support::journal::{events, lines, wait_event};
use crate::support::said::{done, refused};
use crate::support::scene::{
    LIMIT, backend, configure, keep_tcp, list, load, nothing_failed, options, program, scene, scene_in,
    service, start_daemon, wait_active, wait_answers, wait_backend, whoami,
};
use crate::support::stream::Stream;

pub(crate) fn trials() -> Vec<Trial> {
    let slow = || LabOptions { cold_load_time: Duration::from_secs(3), ..options() };
    vec![
        scene("a_restart_loses_no_packet", a_restart_loses_no_packet),
        scene("the_standby_stays_active", the_standby_stays_active),
        scene("what_is_set_without_a_daemon_is_honoured", what_is_set_without_a_daemon_is_honoured),
        scene_in("a_cold_start_survives_its_daemon", slow(), a_cold_start_survives_its_daemon),
        scene("a_stop_survives_its_daemon", a_stop_survives_its_daemon),
        scene("a_daemon_that_is_held_up_blames_nobody", a_daemon_that_is_held_up_blames_nobody),
        scene("a_second_daemon_is_refused", a_second_daemon_is_refused),
    ]
}

/// The pinned links, by inode: a link that was made anew has another one.
fn links(lab: &Lab) -> anyhow::Result<Vec<(PathBuf, u64)>> {
    let mut links = Vec::new();
    for version in fs::read_dir(lab.pin_dir())? {
        for pin in fs::read_dir(version?.path())? {
            let pin = pin?;
            if pin.file_name().to_string_lossy().starts_with("link-") {
                links.push((pin.path(), pin.metadata()?.ino()));
            }
        }
    }
    links.sort();
    ensure!(links.len() == lab.topology().interfaces().len(), "{links:?}");
    Ok(links)
}

fn a_restart_loses_no_packet(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    let (requests, datagrams) = (load(lab, Duration::from_millis(1))?, Stream::start(lab)?);
    let traffic_goes_on = || {
        wait_answers(&requests, Backend::Primary, 200)?;
        datagrams.wait_answers(200)
    };
    traffic_goes_on()?;
    let (first_links, first_program) = (links(lab)?, program(lab, "eth0")?.context("no program on eth0")?);

    lab.kill_daemon()?;
    traffic_goes_on()?;
    let status = lab.status()?;
    ensure!(status["daemon"] == "absent" && status["services"][0]["active"] == "primary", "{status}");

    start_daemon(lab)?;
    traffic_goes_on()?;
    ensure!(links(lab)? == first_links, "the link was made anew");
    let second_program = program(lab, "eth0")?.context("no program on eth0")?;
    ensure!(second_program != first_program, "the program was not replaced");
    ensure!(service(lab, "asr")?["epoch"] == 1, "{}", service(lab, "asr")?);

    let status = lab.stop_daemon()?.context("not our own daemon")?;
    ensure!(status.success(), "SIGTERM ended the daemon with {status}");
    traffic_goes_on()?;
    ensure!(program(lab, "eth0")? == Some(second_program) && links(lab)? == first_links);
    // Several in a row, each killed as soon as it answers.
    for _ in 0..3 {
        lab.start_daemon(&["--log-format", "json"])?;
        lab.kill_daemon()?;
    }
    traffic_goes_on()?;
    datagrams.nothing_lost()?;
    nothing_failed(requests)?;
    Ok(())
}

fn the_standby_stays_active(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, |config| {
        for service in
            config["service"].as_array_mut().into_iter().flatten().filter_map(|of| of.as_object_mut())
        {
            service.insert("failback".to_owned(), "manual".into());
            service.remove("failback_delay");
        }
    })?;
    start_daemon(lab)?;
    lab.kill_server(Backend::Primary)?;
    wait_active(lab, Backend::Standby)?;
    let before = service(lab, "asr")?;
    lab.kill_daemon()?;
    lab.start_server(Backend::Primary, &ServerOptions::default())?;
    let requests = load(lab, Duration::from_millis(5))?;
    start_daemon(lab)?;
    wait_backend(lab, Backend::Primary, "is eligible", |state| state["eligible"] == true)?;
    wait_answers(&requests, Backend::Standby, 100)?;
    ensure!(nothing_failed(requests)?.answers.keys().eq(["standby"]));
    let after = service(lab, "asr")?;
    for key in ["active", "epoch", "since", "reason"] {
        ensure!(after[key] == before[key], "{key}: {before} became {after}");
    }
    Ok(())
}

fn what_is_set_without_a_daemon_is_honoured(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, keep_tcp)?;
    start_daemon(lab)?;
    lab.kill_daemon()?;
    done(lab, &["switch", "asr", "standby"])?;
    ensure!(whoami(lab, vip())? == "standby");
    done(lab, &["maint", "asr", "cold", "on"])?;
    done(lab, &["freeze", "asr"])?;
    let cold = refused(lab, &["switch", "asr", "cold"])?;
    ensure!(cold.contains("in maintenance"), "{cold}");

    start_daemon(lab)?;
    let state = service(lab, "asr")?;
    ensure!(state["frozen"] == true && state["active"] == "standby" && state["epoch"] == 2, "{state}");
    ensure!(state["reason"] == "switched by an operator", "{state}");
    ensure!(backend(lab, "asr", Backend::Cold)?["maintenance"] == true);
    lab.kill_server(Backend::Standby)?;
    wait_backend(lab, Backend::Standby, "is down", |state| state["health"] == "down")?;
    ensure!(service(lab, "asr")?["active"] == "standby", "it was to stay frozen");

    lab.kill_daemon()?;
    done(lab, &["unfreeze", "asr"])?;
    done(lab, &["maint", "asr", "cold", "off"])?;
    lab.start_daemon(&["--log-format", "json"])?;
    wait_active(lab, Backend::Primary)?;
    ensure!(backend(lab, "asr", Backend::Cold)?["maintenance"] == false);
    Ok(())
}

/// Makes the cold backend's script of this kind note each of its runs.
fn count_runs(lab: &Lab, kind: &str, script: &Path, rest: &str) -> anyhow::Result<PathBuf> {
    let runs = lab.run_dir().join(format!("{kind}.runs"));
    let counting = lab.run_dir().join(format!("{kind}.sh"));
    let (noted, script) = (runs.display(), script.display());
    fs::write(&counting, format!("#!/bin/sh\necho run >>'{noted}'\n{rest}\nexec '{script}'\n"))?;
    fs::set_permissions(&counting, fs::Permissions::from_mode(0o755))?;
    configure(lab, |config| {
        keep_tcp(config);
        config["service"][0]["backend"][2][kind]["command"] = json!([counting]);
    })?;
    Ok(runs)
}

fn a_cold_start_survives_its_daemon(lab: &Lab) -> anyhow::Result<()> {
    let runs = count_runs(lab, "start", &lab.start_script(), "")?;
    start_daemon(lab)?;
    lab.kill_server(Backend::Primary)?;
    lab.kill_server(Backend::Standby)?;
    let starting = wait_event(lab, "starting", Some("cold"))?;
    wait::until_true("the script runs", LIMIT, || Ok(runs.exists()))?;
    lab.kill_daemon()?;
    // Twice, for the second has nothing in memory of the first.
    lab.start_daemon(&["--log-format", "json"])?;
    lab.kill_daemon()?;
    lab.start_daemon(&["--log-format", "json"])?;
    wait_active(lab, Backend::Cold)?;
    ensure!(whoami(lab, vip())? == "cold");
    ensure!(fs::read_to_string(&runs)? == "run\n", "it was started more than once");
    let ready = wait_event(lab, "ready", Some("cold"))?;
    ensure!(ready["trace_id"] == starting["trace_id"], "{starting} and {ready}");

    // It is known to be ours: back at the primary, it is stopped.
    lab.kill_daemon()?;
    lab.start_daemon(&["--log-format", "json"])?;
    lab.start_server(Backend::Primary, &ServerOptions::default())?;
    wait_active(lab, Backend::Primary)?;
    wait_event(lab, "stopped", Some("cold"))?;
    ensure!(!lab.server_runs(Backend::Cold)?);
    Ok(())
}

fn a_stop_survives_its_daemon(lab: &Lab) -> anyhow::Result<()> {
    let go = lab.run_dir().join("go");
    let wait = format!("while [ ! -e '{}' ]; do sleep 0.1; done", go.display());
    let runs = count_runs(lab, "stop", &lab.stop_script(), &wait)?;
    start_daemon(lab)?;
    lab.kill_server(Backend::Primary)?;
    lab.kill_server(Backend::Standby)?;
    wait_active(lab, Backend::Cold)?;
    lab.start_server(Backend::Primary, &ServerOptions::default())?;
    wait_active(lab, Backend::Primary)?;
    wait::until_true("the stop script runs", LIMIT, || Ok(runs.exists()))?;
    lab.kill_daemon()?;
    lab.start_daemon(&["--log-format", "json"])?;
    ensure!(backend(lab, "asr", Backend::Cold)?["role"] == "stopping");
    fs::write(&go, "")?;
    wait_event(lab, "stopped", Some("cold"))?;
    ensure!(fs::read_to_string(&runs)? == "run\n", "it was stopped more than once");
    ensure!(!lab.server_runs(Backend::Cold)?);
    Ok(())
}

/// A single failed heartbeat would do it here.
fn a_daemon_that_is_held_up_blames_nobody(lab: &Lab) -> anyhow::Result<()> {
    const TIMEOUT: Duration = Duration::from_millis(500);
    configure(lab, |config| {
        for service in [0, 1] {
            let heartbeat = &mut config["service"][service]["heartbeat"];
            heartbeat["interval"] = "2ms".into();
            heartbeat["timeout"] = format!("{}ms", TIMEOUT.as_millis()).into();
            heartbeat["fall"] = 1.into();
        }
    })?;
    start_daemon(lab)?;
    let before = events(lab, "asr")?.len();
    // Several times, for not every stop falls between a question and its answer.
    for _ in 0..10 {
        lab.signal_daemon(Signal::SIGSTOP)?;
        // Not a wait for anything: the time that passes is what happens here.
        std::thread::sleep(TIMEOUT * 6 / 5);
        lab.signal_daemon(Signal::SIGCONT)?;
        if backend(lab, "asr", Backend::Primary)?["stalled_rounds"].as_u64() > Some(0) {
            break;
        }
    }
    ensure!(service(lab, "asr")?["epoch"] == 1, "{}", service(lab, "asr")?);
    // And it still notices what really happens.
    lab.kill_server(Backend::Primary)?;
    wait_active(lab, Backend::Standby)?;
    let events = events(lab, "asr")?.split_off(before);
    let blamed: Vec<_> = events.iter().filter(|event| event["event"] == "down").collect();
    ensure!(blamed.len() == 1 && blamed[0]["backend"] == "primary", "{blamed:?}");
    ensure!(blamed[0]["failure"] != "no answer in time", "{blamed:?}");
    Ok(())
}

fn a_second_daemon_is_refused(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    let pid = lab.daemon_pid()?.context("no daemon")?;
    let before = (links(lab)?, program(lab, "eth0")?);
    let config = lab.config_file();
    let config = config.to_str().context("path")?;
    let other = lab.run_dir().join("other.sock");
    let other = other.to_str().context("path")?;
    for socket in [&[][..], &["--socket", other]] {
        let mut args = vec!["run", "-c", config];
        args.extend(socket);
        let said = refused(lab, &args)?;
        ensure!(said.contains(&format!("another fastswitch daemon (process {pid})")), "{said}");
    }
    ensure!((links(lab)?, program(lab, "eth0")?) == before, "the second one has changed something");
    ensure!(lab.status()?["daemon"] == "running" && whoami(lab, vip())? == "primary");
    let epochs: Vec<_> =
        list(&lab.status()?["services"]).iter().map(|service| service["epoch"].clone()).collect();
    ensure!(epochs == [1, 1], "{epochs:?}");
    ensure!(lines(lab)?.iter().all(|line| line["level"] != "ERROR"));
    Ok(())
}
