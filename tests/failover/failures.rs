//! Every way to fail: the standby takes over, then the cold one is started, and it all comes back by itself.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::ensure;
use libtest_mimic::Trial;
use xtask::lab::{Backend, Lab, LabOptions, ServerOptions, Topology, vip};
use xtask::load::{Failure, Outcome};
use xtask::wait;

use crate::support::journal::{events, in_order, wait_event};
use crate::support::scene::{
    LIMIT, Test, backend, configure, connect, counter, datagram, datagrams_come_back, keep_backends, load,
    options, scene, scene_in, start_daemon, wait_active, wait_answers, wait_backend, wait_outage, whoami,
};

/// How a backend fails, and how that is undone.
struct Fault {
    inflict: fn(&Lab, Backend) -> anyhow::Result<()>,
    undo: fn(&Lab, Backend) -> anyhow::Result<()>,
}

const KILL: Fault = Fault {
    inflict: Lab::kill_server,
    undo: |lab, backend| lab.start_server(backend, &ServerOptions::default()),
};
const HANG: Fault = Fault { inflict: Lab::hang_server, undo: Lab::resume_server };
const CUT: Fault = Fault { inflict: Lab::cut_link, undo: Lab::restore_link };
const SILENCE: Fault = Fault { inflict: Lab::silence, undo: Lab::unsilence };

pub(crate) fn trials() -> Vec<Trial> {
    let one_arm = || LabOptions { topology: Topology::OneArm, ..options() };
    let faults: [(&str, Test); 4] = [
        ("killed_servers_are_replaced", |lab| the_whole_story(lab, &KILL)),
        ("hanging_servers_are_replaced", |lab| the_whole_story(lab, &HANG)),
        ("cut_off_servers_are_replaced", |lab| the_whole_story(lab, &CUT)),
        ("silent_servers_are_replaced", |lab| the_whole_story(lab, &SILENCE)),
    ];
    let mut trials: Vec<Trial> = faults.into_iter().map(|(name, test)| scene(name, test)).collect();
    trials
        .push(scene_in("killed_servers_are_replaced_one_arm", one_arm(), |lab| the_whole_story(lab, &KILL)));
    trials.push(scene("an_outage_is_rejected_at_once", an_outage_is_rejected_at_once));
    trials.push(scene("an_outage_is_dropped_if_that_is_wanted", an_outage_is_dropped_if_that_is_wanted));
    trials.push(scene("one_miss_is_suspected_and_cleared", one_miss_is_suspected_and_cleared));
    trials
}

fn the_whole_story(lab: &Lab, fault: &Fault) -> anyhow::Result<()> {
    configure(lab, |config| {
        // Both services share the cold machine: only one of them may take it down.
        if let Some(cold) = config["service"][1]["backend"][2].as_object_mut() {
            cold.remove("stop");
        }
    })?;
    start_daemon(lab)?;
    let client = load(lab, Duration::from_millis(5))?;
    wait_answers(&client, Backend::Primary, 20)?;

    (fault.inflict)(lab, Backend::Primary)?;
    wait_answers(&client, Backend::Standby, 20)?;
    wait_active(lab, Backend::Standby)?;
    ensure!(whoami(lab, vip())? == "standby");
    datagrams_come_back(lab, vip(), &[1, 1000])?;

    (fault.inflict)(lab, Backend::Standby)?;
    wait_answers(&client, Backend::Cold, 20)?;
    wait_active(lab, Backend::Cold)?;
    datagrams_come_back(lab, vip(), &[1, 1000])?;

    (fault.undo)(lab, Backend::Primary)?;
    wait_answers(&client, Backend::Primary, 20)?;
    wait::until_true("the cold backend is stopped", LIMIT, || Ok(!lab.server_runs(Backend::Cold)?))?;
    (fault.undo)(lab, Backend::Standby)?;
    wait_backend(lab, Backend::Standby, "is eligible", |state| state["eligible"] == true)?;
    drop(client);

    the_log_tells_it(lab)
}

fn the_log_tells_it(lab: &Lab) -> anyhow::Result<()> {
    // Written by a thread that may lag behind the status.
    wait_event(lab, "stopped", Some("cold"))?;
    let told = in_order(
        lab,
        &[
            "suspected primary",
            "down primary",
            "switched standby",
            "suspected standby",
            "down standby",
            "outage_began",
            "starting cold",
            "ready cold",
            "switched cold",
            "outage_ended cold",
            "up primary",
            "switched primary",
            "stopping cold",
            "stopped cold",
        ],
    );
    let order = told?;
    let trace = |index: usize| order[index]["trace_id"].as_str().unwrap_or_default().to_owned();
    for incident in [0..3, 3..10] {
        let traces: Vec<String> = incident.map(trace).collect();
        ensure!(!traces[0].is_empty() && traces.iter().all(|other| *other == traces[0]), "{traces:?}");
    }
    ensure!(trace(0) != trace(3), "two incidents have the same trace id");
    ensure!(order[2]["cause"] == "failover" && order[11]["cause"] == "failback", "{order:?}");
    ensure!(order[2]["level"] == "ERROR" && order[11]["level"] == "INFO", "{order:?}");
    let epochs: Vec<u64> =
        [2, 8, 11].into_iter().filter_map(|index| order[index]["epoch"].as_u64()).collect();
    ensure!(epochs.len() == 3 && epochs.is_sorted_by(|before, after| before < after), "{epochs:?}");
    Ok(())
}

/// Not only new attempts: also one that the dead backend's machine has left waiting is told in the end.
fn an_outage_is_rejected_at_once(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, |config| keep_backends(config, 2))?;
    start_daemon(lab)?;
    for dead in [Backend::Primary, Backend::Standby] {
        lab.silence(dead)?;
    }
    wait_outage(lab)?;
    // A patience that silence would exhaust.
    let patience = Duration::from_secs(30);
    ensure!(connect(lab, vip(), patience)? == Err(ErrorKind::ConnectionRefused));
    ensure!(datagram(lab, vip(), b"anybody?", patience)? == Err(ErrorKind::ConnectionRefused));
    let client = load(lab, Duration::from_millis(5))?;
    let refused = |outcome: &Outcome| *outcome == Outcome::Failure(Failure::Refused);
    wait::until_true("100 refusals", LIMIT, || Ok(client.attempts().len() >= 100))?;
    let attempts = client.finish()?;
    ensure!(attempts.iter().all(|attempt| refused(&attempt.outcome)), "{attempts:?}");
    ensure!(counter(lab, "asr", "outage_reset")? > attempts.len() as u64);
    // The end of the outage is no failback: whoever comes first serves.
    lab.unsilence(Backend::Standby)?;
    wait_active(lab, Backend::Standby)?;
    ensure!(whoami(lab, vip())? == "standby");
    Ok(())
}

fn an_outage_is_dropped_if_that_is_wanted(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, |config| {
        keep_backends(config, 1);
        for service in [0, 1] {
            config["service"][service]["on_outage"] = "drop".into();
        }
    })?;
    start_daemon(lab)?;
    lab.kill_server(Backend::Primary)?;
    wait_outage(lab)?;
    let moment = Duration::from_millis(300);
    ensure!(connect(lab, vip(), moment)? == Err(ErrorKind::TimedOut));
    ensure!(datagram(lab, vip(), b"anybody?", moment)? == Err(ErrorKind::WouldBlock));
    for service in ["asr", "asr-udp"] {
        ensure!(counter(lab, service, "outage_dropped")? > 0);
    }
    lab.start_server(Backend::Primary, &ServerOptions::default())?;
    wait_active(lab, Backend::Primary)?;
    ensure!(whoami(lab, vip())? == "primary");
    Ok(())
}

/// A server that is held up for less than `fall` heartbeats stays active, and the log says so.
fn one_miss_is_suspected_and_cleared(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, |config| {
        for service in [0, 1] {
            config["service"][service]["heartbeat"]["fall"] = 1000.into();
        }
    })?;
    start_daemon(lab)?;
    lab.hang_server(Backend::Primary)?;
    wait_event(lab, "suspected", Some("primary"))?;
    lab.resume_server(Backend::Primary)?;
    wait_event(lab, "cleared", Some("primary"))?;
    let order = in_order(lab, &["suspected primary", "cleared primary"])?;
    ensure!(order[0]["trace_id"] == order[1]["trace_id"], "{order:?}");
    ensure!(events(lab, "asr")?.iter().all(|event| event["event"] != "down"));
    ensure!(backend(lab, "asr", Backend::Primary)?["role"] == "active");
    Ok(())
}
