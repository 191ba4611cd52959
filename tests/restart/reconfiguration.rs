//! Another configuration at the next start: what is left of the old one is taken over or taken away.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use xtask::lab::{Backend, Lab, PORT, VIP, vip};

use crate::support::said::done;
use crate::support::scene::{
    backend, configure, connect, counter, datagrams_come_back, gateway_has, keep_tcp, list, scene, service,
    start_daemon, wait_active, whoami,
};
use crate::support::stream::Stream;

/// For nothing to answer.
const MOMENT: std::time::Duration = std::time::Duration::from_millis(300);

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        scene("backends_come_go_and_change_places", backends_come_go_and_change_places),
        scene("an_active_backend_that_is_removed_is_replaced", an_active_backend_that_is_removed_is_replaced),
        scene("a_backend_that_comes_back_is_counted_anew", a_backend_that_comes_back_is_counted_anew),
        scene("services_come_and_go", services_come_and_go),
        scene("a_vip_moves", a_vip_moves),
    ]
}

/// Writes the configuration with these backends of each service, and restarts the daemon, which is killed if it runs.
fn restart_with(lab: &Lab, backends: &[usize]) -> anyhow::Result<()> {
    configure(lab, |config| {
        for service in config["service"].as_array_mut().into_iter().flatten() {
            let chosen = backends.iter().map(|&index| service["backend"][index].clone()).collect();
            service["backend"] = Value::Array(chosen);
            service["failback"] = "manual".into();
            service.as_object_mut().map(|service| service.remove("failback_delay"));
        }
    })?;
    if lab.daemon_runs()? {
        lab.kill_daemon()?;
    }
    start_daemon(lab)
}

fn names(lab: &Lab) -> anyhow::Result<Vec<String>> {
    let service = service(lab, "asr")?;
    let name = |backend: &Value| backend["name"].as_str().unwrap_or_default().to_owned();
    Ok(list(&service["backends"]).iter().map(name).collect())
}

fn backends_come_go_and_change_places(lab: &Lab) -> anyhow::Result<()> {
    const PRIMARY: usize = 0;
    const STANDBY: usize = 1;
    const COLD: usize = 2;
    restart_with(lab, &[PRIMARY])?;
    let datagrams = Stream::start(lab)?;
    let cases: [(&[usize], &[&str]); 4] = [
        (&[PRIMARY, STANDBY, COLD], &["primary", "standby", "cold"]),
        (&[STANDBY, PRIMARY], &["standby", "primary"]),
        (&[STANDBY, COLD, PRIMARY], &["standby", "cold", "primary"]),
        (&[PRIMARY], &["primary"]),
    ];
    for (backends, expected) in cases {
        restart_with(lab, backends)?;
        ensure!(names(lab)? == expected, "{:?}", names(lab)?);
        let state = service(lab, "asr")?;
        ensure!(state["active"] == "primary" && state["epoch"] == 1, "{state}");
        ensure!(whoami(lab, vip())? == "primary");
        datagrams.wait_answers(20)?;
    }
    datagrams.nothing_lost()
}

fn an_active_backend_that_is_removed_is_replaced(lab: &Lab) -> anyhow::Result<()> {
    restart_with(lab, &[0, 1, 2])?;
    let datagrams = Stream::start(lab)?;
    datagrams.wait_answers(20)?;
    restart_with(lab, &[1, 2])?;
    wait_active(lab, Backend::Standby)?;
    let state = service(lab, "asr")?;
    ensure!(state["epoch"] == 2 && names(lab)? == ["standby", "cold"], "{state}");
    ensure!(state["reason"] == "the one before left the configuration", "{state}");
    ensure!(whoami(lab, vip())? == "standby");
    datagrams.nothing_lost()
}

/// Whatever its row has counted before.
fn a_backend_that_comes_back_is_counted_anew(lab: &Lab) -> anyhow::Result<()> {
    let forwarded = |of: Backend| {
        let state = backend(lab, "asr-udp", of)?;
        state["counters"]["forwarded_packets"].as_u64().with_context(|| format!("no counter in {state}"))
    };
    restart_with(lab, &[0, 1])?;
    datagrams_come_back(lab, vip(), &[1, 2, 3])?;
    ensure!(forwarded(Backend::Primary)? == 3);
    restart_with(lab, &[0, 1])?;
    ensure!(forwarded(Backend::Primary)? == 3, "a restart changes nothing");
    restart_with(lab, &[1])?;
    datagrams_come_back(lab, vip(), &[1, 2])?;
    restart_with(lab, &[1, 0])?;
    ensure!(forwarded(Backend::Primary)? == 0 && forwarded(Backend::Standby)? == 2);
    ensure!(counter(lab, "asr-udp", "forwarded")? == 5, "the service goes on");
    for service in ["asr", "asr-udp"] {
        done(lab, &["switch", service, "primary"])?;
    }
    datagrams_come_back(lab, vip(), &[1])?;
    ensure!(forwarded(Backend::Primary)? == 1);
    Ok(())
}

fn services_come_and_go(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    datagrams_come_back(lab, vip(), &[1])?;
    configure(lab, keep_tcp)?;
    lab.kill_daemon()?;
    start_daemon(lab)?;
    ensure!(list(&lab.status()?["services"]).len() == 1);
    ensure!(whoami(lab, vip())? == "primary" && gateway_has(lab, VIP)?);
    lab.kill_daemon()?;
    ensure!(list(&lab.status()?["services"]).len() == 1, "the pinned maps still have it");
    configure(lab, |_| ())?;
    start_daemon(lab)?;
    datagrams_come_back(lab, vip(), &[1])
}

fn a_vip_moves(lab: &Lab) -> anyhow::Result<()> {
    const OTHER: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 101);
    start_daemon(lab)?;
    ensure!(whoami(lab, vip())? == "primary" && gateway_has(lab, VIP)?);
    configure(lab, |config| {
        for service in [0, 1] {
            config["service"][service]["vip"] = json!(OTHER);
        }
    })?;
    lab.kill_daemon()?;
    start_daemon(lab)?;
    ensure!(gateway_has(lab, OTHER)? && !gateway_has(lab, VIP)?);
    let other = SocketAddr::from((OTHER, PORT));
    ensure!(whoami(lab, other)? == "primary");
    datagrams_come_back(lab, other, &[1])?;
    ensure!(connect(lab, vip(), MOMENT)?.is_err(), "the old VIP still answers");
    Ok(())
}
