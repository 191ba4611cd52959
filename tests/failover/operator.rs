//! What an operator asks for while everything runs.

use std::time::Duration;

use anyhow::ensure;
use libtest_mimic::Trial;
use serde_json::json;
use xtask::lab::{Backend, Lab, ServerOptions, vip};
use xtask::shell;

use crate::support::journal::in_order;
use crate::support::scene::{
    backend, configure, load, nothing_failed, scene, service, start_daemon, wait_active, wait_answers,
    wait_backend, wait_services, whoami,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        scene("a_planned_switch_fails_no_request", a_planned_switch_fails_no_request),
        scene("failback_waits_for_its_command", failback_waits_for_its_command),
        scene("a_frozen_service_stays_where_it_is", a_frozen_service_stays_where_it_is),
        scene("maintenance_moves_the_service", maintenance_moves_the_service),
    ]
}

/// Runs the command, which succeeds.
fn command(lab: &Lab, args: &[&str]) -> anyhow::Result<String> {
    let output = shell::run(lab.command(xtask::lab::Host::Gw, "fastswitch")?.args(args))?;
    Ok(String::from_utf8(output.stdout)?)
}

fn a_planned_switch_fails_no_request(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    let client = load(lab, Duration::from_millis(1))?;
    wait_answers(&client, Backend::Primary, 100)?;
    for _ in 0..5 {
        for to in [Backend::Standby, Backend::Primary] {
            let said = command(lab, &["switch", "asr", to.name()])?;
            ensure!(said == format!("asr: {} is active\n", to.name()), "{said}");
            wait_answers(&client, to, 50)?;
        }
    }
    nothing_failed(client)?;
    let service = service(lab, "asr")?;
    ensure!(service["epoch"] == 11 && service["reason"] == "switched by an operator", "{service}");
    Ok(())
}

fn failback_waits_for_its_command(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, |config| {
        for service in [0, 1] {
            config["service"][service]["failback"] = "manual".into();
            if let Some(service) = config["service"][service].as_object_mut() {
                service.remove("failback_delay");
            }
        }
    })?;
    start_daemon(lab)?;
    lab.kill_server(Backend::Primary)?;
    wait_active(lab, Backend::Standby)?;
    let refused = lab.fastswitch(["failback", "asr"])?;
    ensure!(refused.status.code() == Some(1), "{refused:?}");
    let said = String::from_utf8(refused.stderr)?;
    ensure!(said.contains("primary: down: connection refused"), "{said}");

    lab.start_server(Backend::Primary, &ServerOptions::default())?;
    wait_backend(lab, Backend::Primary, "is eligible", |state| state["eligible"] == true)?;
    let client = load(lab, Duration::from_millis(5))?;
    wait_answers(&client, Backend::Standby, 100)?;
    ensure!(command(lab, &["failback", "asr"])? == "asr: primary is active\n");
    wait_answers(&client, Backend::Primary, 10)?;
    ensure!(command(lab, &["failback", "asr-udp"])? == "asr-udp: primary is active\n");
    wait_active(lab, Backend::Primary)?;
    let order = in_order(lab, &["switched standby", "up primary", "switched primary"])?;
    ensure!(order[2]["cause"] == "failback", "{order:?}");
    Ok(())
}

fn a_frozen_service_stays_where_it_is(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    command(lab, &["freeze", "asr"])?;
    lab.kill_server(Backend::Primary)?;
    // The other service, which is not frozen, shows that the failure has been noticed.
    wait_services(lab, "the other one has switched", |service| {
        service["name"] == "asr" || service["active"] == "standby"
    })?;
    wait_backend(lab, Backend::Primary, "is down", |state| state["health"] == "down")?;
    let frozen = service(lab, "asr")?;
    ensure!(frozen["active"] == "primary" && frozen["frozen"] == true, "{frozen}");
    command(lab, &["unfreeze", "asr"])?;
    wait_active(lab, Backend::Standby)?;
    command(lab, &["freeze", "asr", "--for", "1s"])?;
    wait_services(lab, "it thaws by itself", |service| service["frozen"] == false)
}

fn maintenance_moves_the_service(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    for service in ["asr", "asr-udp"] {
        command(lab, &["maint", service, "primary", "on"])?;
    }
    wait_active(lab, Backend::Standby)?;
    ensure!(whoami(lab, vip())? == "standby");
    let state = backend(lab, "asr", Backend::Primary)?;
    ensure!(state["maintenance"] == true && state["hold"] == json!(["in maintenance"]), "{state}");
    for service in ["asr", "asr-udp"] {
        command(lab, &["maint", service, "primary", "off"])?;
    }
    wait_active(lab, Backend::Primary)
}
