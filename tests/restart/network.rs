//! The network under a running daemon changes.

use anyhow::ensure;
use libtest_mimic::Trial;
use xtask::lab::{Backend, GATEWAY_BACKENDS, Host, Lab, PREFIX, VIP, vip};
use xtask::{shell, wait};

use crate::support::scene::{
    LIMIT, datagrams_come_back, gateway_has, ip, make_eth1, program, scene, start_daemon, wait_backend,
    whoami,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        scene("a_vip_that_was_taken_off_is_put_back", a_vip_that_was_taken_off_is_put_back),
        scene("an_interface_that_comes_anew_is_attached_to", an_interface_that_comes_anew_is_attached_to),
        scene("a_backend_with_a_new_mac_is_found", a_backend_with_a_new_mac_is_found),
    ]
}

fn a_vip_that_was_taken_off_is_put_back(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    ip(lab, Host::Gw, &format!("address delete {VIP}/32 dev eth0"))?;
    wait::until_true("the VIP is back", LIMIT, || gateway_has(lab, VIP))?;
    ensure!(whoami(lab, vip())? == "primary");
    Ok(())
}

fn an_interface_that_comes_anew_is_attached_to(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    ip(lab, Host::Gw, "link delete eth1")?;
    wait_backend(lab, Backend::Primary, "is down", |state| state["health"] == "down")?;
    make_eth1(lab)?;
    ip(lab, Host::Gw, &format!("address add {GATEWAY_BACKENDS}/{PREFIX} dev eth1"))?;
    wait_backend(lab, Backend::Primary, "is up again", |state| state["health"] == "up")?;
    wait::until_true("the program is on it", LIMIT, || Ok(program(lab, "eth1")?.is_some()))?;
    wait::until_true("status says so", LIMIT, || Ok(lab.status()?["interfaces"][1]["xdp"] == "native"))?;
    wait_backend(lab, Backend::Primary, "is active again", |state| state["role"] == "active")?;
    ensure!(whoami(lab, vip())? == "primary");
    datagrams_come_back(lab, vip(), &[1, 1000])
}

/// As when a machine is replaced by another one at the same address.
fn a_backend_with_a_new_mac_is_found(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    ensure!(whoami(lab, vip())? == "primary");
    ip(lab, Host::Primary, "link set eth0 down")?;
    wait_backend(lab, Backend::Primary, "is down", |state| state["health"] == "down")?;
    ip(lab, Host::Primary, "link set eth0 address 02:00:00:00:77:10")?;
    ip(lab, Host::Primary, "link set eth0 up")?;
    // The way back, lost with the link.
    ip(lab, Host::Primary, &format!("route replace default via {GATEWAY_BACKENDS}"))?;
    // Its neighbours learn the new address from the first word that it says.
    let gateway = GATEWAY_BACKENDS.to_string();
    shell::run(lab.command(Host::Primary, "ping")?.args(["-c", "1", "-W", "10", &gateway]))?;
    wait_backend(lab, Backend::Primary, "is up and active", |state| {
        state["health"] == "up" && state["role"] == "active"
    })?;
    ensure!(whoami(lab, vip())? == "primary");
    datagrams_come_back(lab, vip(), &[1, 1000])
}
