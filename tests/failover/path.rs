//! What the way between clients and backends does to packets: MTUs smaller than the ends believe, ICMP errors of routers
//! and backends, fragments.

use std::io::ErrorKind;
use std::net::IpAddr;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;
use serde_json::json;
use xtask::lab::{
    Backend, CLIENT, CLIENT6, GATEWAY_BACKENDS, GATEWAY_BACKENDS6, Host, Lab, LabOptions, PORT, Topology,
    VIP, VIP6, Wire, add_ipv6, vip, vip6,
};
use xtask::wait;

use crate::support::scene::{
    LIMIT, configure, counter, datagram, datagrams_come_back, ip, keep_backends, options, scene, scene_in,
    start_daemon,
};

/// Length of a file that fills many windows.
const FILE: u64 = 3_000_000;
/// Of the wires and routes that are narrow.
const MTU: u32 = 1400;
/// What makes a TCP believe in the usual MTU none the less: the segments that it asks for.
const BELIEVED: &str = "advmss 1440";

pub(crate) fn trials() -> Vec<Trial> {
    let one_arm = || LabOptions { topology: Topology::OneArm, ..options() };
    vec![
        scene("path_narrow_wire_to_the_backends", narrow_wire_to_the_backends),
        scene("path_narrow_route_to_the_backends", narrow_route_to_the_backends),
        scene("path_narrow_wire_to_the_client", narrow_wire_to_the_client),
        scene("path_router_before_the_backends", router_before_the_backends),
        scene_in("path_router_before_the_client", one_arm(), router_before_the_client),
        scene("path_nobody_at_the_port", nobody_at_the_port),
        scene("path_fragments_two_arm", fragments),
        scene_in("path_fragments_one_arm", one_arm(), fragments),
    ]
}

fn both_families(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, |config| {
        add_ipv6(config);
        keep_backends(config, 2);
    })?;
    start_daemon(lab)
}

/// The wire becomes narrow while everything runs; the backends ask for segments as before.
fn narrow_wire_to_the_backends(lab: &Lab) -> anyhow::Result<()> {
    both_families(lab)?;
    for target in [vip(), vip6()] {
        lab.transfer(Host::Client, target, FILE, LIMIT)?;
    }
    expect(lab, "too_big", false)?;
    for backend in [Backend::Primary, Backend::Standby] {
        let narrow = format!("mtu {MTU} {BELIEVED}");
        ip(lab, backend.host(), &format!("route change default via {GATEWAY_BACKENDS} {narrow}"))?;
        ip(lab, backend.host(), &format!("-6 route change default via {GATEWAY_BACKENDS6} {narrow}"))?;
    }
    lab.set_mtu(Wire::Gateway, MTU)?;
    for target in [vip(), vip6()] {
        lab.transfer(Host::Client, target, FILE, LIMIT)?;
    }
    expect(lab, "too_big", true)
}

/// The route of one backend is narrow, and no longer when it is gone.
fn narrow_route_to_the_backends(lab: &Lab) -> anyhow::Result<()> {
    let (primary, primary6) = (Backend::Primary.ip(), Backend::Primary.ip6());
    ip(lab, Host::Gw, &format!("route add {primary} dev eth1 mtu {MTU}"))?;
    ip(lab, Host::Gw, &format!("-6 route add {primary6} dev eth1 mtu {MTU}"))?;
    both_families(lab)?;
    for target in [vip(), vip6()] {
        lab.transfer(Host::Client, target, FILE, LIMIT)?;
    }
    expect(lab, "too_big", true)
}

/// Here the backends hear that their packets are too big.
fn narrow_wire_to_the_client(lab: &Lab) -> anyhow::Result<()> {
    lab.set_mtu(Wire::Client, MTU)?;
    ip(lab, Host::Client, &format!("route add {VIP} dev eth0 {BELIEVED}"))?;
    ip(lab, Host::Client, &format!("-6 route add {VIP6} dev eth0 {BELIEVED}"))?;
    both_families(lab)?;
    for target in [vip(), vip6()] {
        lab.transfer(Host::Client, target, FILE, LIMIT)?;
    }
    expect(lab, "too_big", true)
}

/// The standby's machine plays the router to the primary. It knows nothing of the VIP; the client must believe it.
fn router_before_the_backends(lab: &Lab) -> anyhow::Result<()> {
    let (primary, primary6) = (Backend::Primary.ip(), Backend::Primary.ip6());
    let (router, router6) = (Backend::Standby.ip(), Backend::Standby.ip6());
    play_router(lab, Host::Standby, &[(primary.into(), router.into()), (primary6.into(), router6.into())])?;
    both_families(lab)?;
    for target in [vip(), vip6()] {
        lab.transfer(Host::Client, target, FILE, LIMIT)?;
    }
    expect(lab, "icmp_error_replied", true)?;
    expect(lab, "icmp_error_forwarded", false)
}

/// The cold backend's machine plays the router to the client. It knows nothing of backends; they must believe it.
fn router_before_the_client(lab: &Lab) -> anyhow::Result<()> {
    let (router, router6) = (Backend::Cold.ip(), Backend::Cold.ip6());
    play_router(lab, Host::Cold, &[(CLIENT.into(), router.into()), (CLIENT6.into(), router6.into())])?;
    both_families(lab)?;
    for target in [vip(), vip6()] {
        lab.transfer(Host::Client, target, FILE, LIMIT)?;
    }
    expect(lab, "icmp_error_forwarded", true)?;
    expect(lab, "icmp_error_replied", false)
}

/// Sends the gateway's packets to each first address by way of the second, which is `host`'s; its route on is narrow.
fn play_router(lab: &Lab, host: Host, routes: &[(IpAddr, IpAddr)]) -> anyhow::Result<()> {
    let forwarding = ["net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"];
    xtask::shell::run(lab.command(host, "sysctl")?.args(["-q", "-w"]).args(forwarding))?;
    let out = *lab.topology().interfaces().last().context("no interface")?;
    for (to, router) in routes {
        let family = if to.is_ipv4() { "-4" } else { "-6" };
        // On the link, although the client's subnet is another.
        ip(lab, host, &format!("{family} route replace {to} dev eth0 mtu {MTU}"))?;
        ip(lab, Host::Gw, &format!("{family} route replace {to} via {router} dev {out}"))?;
        // Nobody asks for the router's MAC address otherwise before the program needs it.
        let reached =
            || Ok(lab.exec(Host::Gw, "ping", ["-c1", "-W1", &router.to_string()])?.status.success());
        wait::until_true("the gateway knows the router", LIMIT, reached)?;
    }
    Ok(())
}

/// A backend's own port unreachable comes to the client under the VIP's name.
fn nobody_at_the_port(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, |config| {
        let udp = &mut config["service"][1];
        udp["heartbeat"]["port"] = json!(PORT);
        udp["backend"][0]["address"] = json!(format!("{}:9", Backend::Primary.ip()));
        add_ipv6(config);
        keep_backends(config, 2);
    })?;
    start_daemon(lab)?;
    for target in [vip(), vip6()] {
        let answer = datagram(lab, target, b"anybody?", LIMIT)?;
        ensure!(answer == Err(ErrorKind::ConnectionRefused), "{target}: {answer:?}");
    }
    for service in ["asr-udp", "asr6-udp"] {
        ensure!(counter(lab, service, "icmp_error_replied")? == 1, "{service}");
    }
    Ok(())
}

fn fragments(lab: &Lab) -> anyhow::Result<()> {
    both_families(lab)?;
    for target in [vip(), vip6()] {
        datagrams_come_back(lab, target, &[1472, 1473, 4000, 9001, 40_000])?;
    }
    for service in ["asr-udp", "asr6-udp"] {
        let (there, back) = (counter(lab, service, "forwarded")?, counter(lab, service, "replied")?);
        ensure!(there > 30 && there == back, "{service}: {there} parts there, {back} back");
    }
    Ok(())
}

/// Whether both TCP services have counted something under `reason`.
fn expect(lab: &Lab, reason: &str, some: bool) -> anyhow::Result<()> {
    for service in ["asr", "asr6"] {
        let count = counter(lab, service, reason)?;
        ensure!((count > 0) == some, "{service} has counted {count} as {reason}");
    }
    Ok(())
}
