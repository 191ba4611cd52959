//! Mode `dsr`, over both families: backends hold the VIP, packets reach them as the client sent them.

use anyhow::ensure;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use xtask::lab::{
    Backend, CLIENT, Host, Lab, LabOptions, ServerOptions, Topology, VIP, VIP6, add_ipv6, vip, vip6,
};

use crate::support::capture::Capture;
use crate::support::pcap::{Packet, Payload};
use crate::support::scene::{
    LIMIT, configure, counter, datagrams_come_back, keep_backends, list, options, scene, scene_in, service,
    start_daemon, wait_active, whoami,
};

const HOT: [Backend; 2] = [Backend::Primary, Backend::Standby];
const FILE: u64 = 5_000_000;

pub(crate) fn trials() -> Vec<Trial> {
    let one_arm = || LabOptions { topology: Topology::OneArm, ..options() };
    vec![
        scene("dsr_two_arm", shared_vip),
        scene_in("dsr_one_arm", one_arm(), shared_vip),
        scene_in("dsr_a_backend_that_answers_for_the_vip_is_found_out", one_arm(), loud_backend),
        scene("dsr_a_backend_behind_a_router_is_found_out", backend_behind_a_router),
    ]
}

fn shared_vip(lab: &Lab) -> anyhow::Result<()> {
    share_vip(lab, true)?;
    configure(lab, all_dsr)?;
    start_daemon(lab)?;
    ensure!(service(lab, "asr")?["mode"] == "dsr");
    let at_backend = Capture::start(lab, Host::Primary, VIP)?;
    for target in [vip(), vip6()] {
        ensure!(whoami(lab, target)? == "primary");
        lab.transfer(Host::Client, target, FILE, LIMIT)?;
        datagrams_come_back(lab, target, &[0, 1, 999, 1452])?;
    }
    let seen = at_backend.finish(|packets| packets.iter().any(|packet| packet.payload == Payload::Udp))?;
    let from_client: Vec<&Packet> = seen.iter().filter(|packet| packet.source.ip() == CLIENT).collect();
    ensure!(from_client.len() > 100, "{} packets", from_client.len());
    for packet in from_client {
        ensure!(packet.destination == vip() && packet.ttl == 64, "only the MAC addresses change: {packet:?}");
    }
    // In fragments, whose checksums no capture can verify one by one.
    for target in [vip(), vip6()] {
        datagrams_come_back(lab, target, &[4000])?;
    }
    // The backends' default route is the gateway, so that answers come through it.
    ensure!(counter(lab, "asr", "replied")? > 100 && counter(lab, "asr6", "replied")? > 100);

    lab.kill_server(Backend::Primary)?;
    wait_active(lab, Backend::Standby)?;
    for target in [vip(), vip6()] {
        ensure!(whoami(lab, target)? == "standby");
        lab.transfer(Host::Client, target, FILE, LIMIT)?;
    }
    Ok(())
}

/// As long as backends answer ARP for the VIP, clients would find them instead of the gateway.
fn loud_backend(lab: &Lab) -> anyhow::Result<()> {
    share_vip(lab, false)?;
    configure(lab, all_dsr)?;
    let refused = lab.fastswitch(["run", "-c", &lab.config_file().to_string_lossy()])?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(refused.status.code() == Some(1), "{said}");
    ensure!(said.contains("10.77.1.100 is taken") && said.contains("arp_ignore"), "{said}");
    Ok(())
}

fn backend_behind_a_router(lab: &Lab) -> anyhow::Result<()> {
    let router = Backend::Standby.ip().to_string();
    xtask::shell::run(lab.command(Host::Gw, "ip")?.args(["route", "add", "10.99.0.0/24", "via", &router]))?;
    configure(lab, |config| {
        all_dsr(config);
        config["service"][0]["backend"][0]["address"] = json!("10.99.0.5:7860");
    })?;
    let refused = lab.fastswitch(["run", "-c", &lab.config_file().to_string_lossy()])?;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    ensure!(refused.status.code() == Some(2), "{said}");
    ensure!(said.contains("primary (10.99.0.5) is behind router 10.77.2.11"), "{said}");
    Ok(())
}

fn all_dsr(config: &mut Value) {
    add_ipv6(config);
    keep_backends(config, 2);
    let count = list(&config["service"]).len();
    for index in 0..count {
        config["service"][index]["mode"] = json!("dsr");
    }
}

/// Gives the hot backends the VIPs, as the documentation says, and servers that answer there too.
fn share_vip(lab: &Lab, quiet: bool) -> anyhow::Result<()> {
    for backend in HOT {
        lab.stop_server(backend)?;
        let run = |program: &str, args: &[&str]| -> anyhow::Result<()> {
            xtask::shell::run(lab.command(backend.host(), program)?.args(args)).map(drop)
        };
        if quiet {
            run(
                "sysctl",
                &["-q", "-w", "net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2"],
            )?;
        }
        run("ip", &["link", "set", "lo", "up"])?;
        run("ip", &["address", "add", &format!("{VIP}/32"), "dev", "lo"])?;
        run("ip", &["address", "add", &format!("{VIP6}/128"), "dev", "lo", "nodad"])?;
        lab.start_server(backend, &ServerOptions { also: vec![vip(), vip6()], ..ServerOptions::default() })?;
        lab.wait_healthy(backend, LIMIT)?;
    }
    Ok(())
}
