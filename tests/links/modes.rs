//! Where the XDP program runs: in the driver, or behind it.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;

use anyhow::{Context as _, ensure};
use fastswitch_common::abi::ABI;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use xtask::lab::{
    Backend, CLIENT, GATEWAY_BACKENDS, GATEWAY_BACKENDS6, Host, Lab, LabOptions, PREFIX, PREFIX6, Topology,
    VIP, add_ipv6, vip, vip6,
};
use xtask::{shell, wait};

use crate::support::capture::Capture;
use crate::support::journal::lines;
use crate::support::pcap::Payload;
use crate::support::said::{done, refused};
use crate::support::scene::{
    LIMIT, configure, connect, counter, datagram, datagrams_come_back, ip, keep_backends, list, make_eth1,
    nothing_is_left, options, ping, program, scene, scene_in, start_daemon, wait_outage, whoami,
};

const FILE: u64 = 5_000_000;
const SIZES: [usize; 4] = [0, 1, 999, 1452];

pub(crate) fn trials() -> Vec<Trial> {
    let one_arm = || LabOptions { topology: Topology::OneArm, ..options() };
    vec![
        scene("generic_mode_two_arm", generic_mode),
        scene_in("generic_mode_one_arm", one_arm(), generic_mode),
        scene("a_driver_without_native_mode_makes_all_generic", a_driver_without_native_mode),
        scene("another_mode_at_a_restart", another_mode_at_a_restart),
        scene("a_start_that_fails_puts_the_mode_back", a_start_that_fails_puts_the_mode_back),
    ]
}

/// The mode of each of the gateway's interfaces, in the kernel's own words.
fn modes(lab: &Lab, interfaces: &[&str]) -> anyhow::Result<Vec<&'static str>> {
    let mode = |interface: &&str| -> anyhow::Result<&'static str> {
        let output = lab.exec(Host::Gw, "ip", ["-j", "link", "show", "dev", interface])?;
        let links: Value = serde_json::from_slice(&output.stdout)?;
        Ok(match links[0]["xdp"]["mode"].as_u64() {
            None => "none",
            Some(1) => "native",
            Some(2) => "generic",
            Some(_) => "other",
        })
    };
    interfaces.iter().map(mode).collect()
}

/// The configuration with this mode.
fn configure_mode(lab: &Lab, mode: &str, interfaces: &[&str]) -> anyhow::Result<()> {
    configure(lab, |config| {
        add_ipv6(config);
        config["gateway"] = json!({ "interfaces": interfaces, "xdp_mode": mode });
    })
}

/// Files, datagrams, pings and what the gateway answers itself, over both families.
fn everything_works(lab: &Lab) -> anyhow::Result<()> {
    for target in [vip(), vip6()] {
        lab.transfer(Host::Client, target, FILE, LIMIT)?;
        datagrams_come_back(lab, target, &SIZES)?;
    }
    ensure!(ping(lab, 3)?.contains(" 0% packet loss"));
    // By its own address too, in between.
    ensure!(whoami(lab, Backend::Standby.address())? == "standby");
    Ok(())
}

fn generic_mode(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, |config| {
        add_ipv6(config);
        keep_backends(config, 2);
        config["gateway"]["xdp_mode"] = "generic".into();
    })?;
    start_daemon(lab)?;
    let interfaces = lab.topology().interfaces();
    ensure!(modes(lab, interfaces)?.iter().all(|mode| *mode == "generic"));
    let (at_client, at_backend) =
        (Capture::start(lab, Host::Client, CLIENT)?, Capture::start(lab, Host::Primary, CLIENT)?);
    everything_works(lab)?;
    ensure!(counter(lab, "asr", "forwarded")? > 100 && counter(lab, "asr6", "replied")? > 100);

    for daemon_runs in [true, false] {
        if !daemon_runs {
            lab.kill_daemon()?;
        }
        let status = lab.status()?;
        for interface in list(&status["interfaces"]) {
            // It is what was asked for: no reason to warn.
            ensure!(interface["xdp"] == "generic" && interface["generic_because"].is_null(), "{status}");
        }
        ensure!(list(&status["warnings"]).len() == usize::from(!daemon_runs), "{status}");
        ensure!(whoami(lab, vip())? == "primary");
    }

    start_daemon(lab)?;
    for backend in [Backend::Primary, Backend::Standby] {
        lab.kill_server(backend)?;
    }
    wait_outage(lab)?;
    for target in [vip(), vip6()] {
        ensure!(connect(lab, target, LIMIT)? == Err(std::io::ErrorKind::ConnectionRefused));
        ensure!(datagram(lab, target, b"anybody?", LIMIT)? == Err(std::io::ErrorKind::ConnectionRefused));
    }
    // Every checksum is right: the captures verify each.
    let unreachable = at_client
        .finish(|packets| packets.iter().any(|packet| matches!(packet.payload, Payload::Icmp(3, 3, _))))?;
    ensure!(unreachable.iter().all(|packet| {
        [packet.source.ip(), packet.destination.ip()].contains(&VIP.into())
            || packet.source.ip() == Backend::Standby.ip()
            || packet.destination.ip() == Backend::Standby.ip()
    }));
    ensure!(at_backend.finish(|_| true)?.len() > 100);
    lab.stop_daemon()?;
    done(lab, &["detach"])?;
    nothing_is_left(lab)
}

/// Puts the gateway's eth1 under a bridge, whose driver has no native mode.
fn bridge(lab: &Lab) -> anyhow::Result<()> {
    let ip = |words: &str| ip(lab, Host::Gw, words);
    ip("address flush dev eth1")?;
    ip("link add br0 type bridge mcast_snooping 0")?;
    ip("link set eth1 master br0")?;
    ip("link set br0 up")?;
    ip(&format!("address add {GATEWAY_BACKENDS}/{PREFIX} dev br0"))?;
    ip(&format!("address add {GATEWAY_BACKENDS6}/{PREFIX6} dev br0 nodad"))
}

fn a_driver_without_native_mode(lab: &Lab) -> anyhow::Result<()> {
    const INTERFACES: [&str; 2] = ["eth0", "br0"];
    bridge(lab)?;
    configure_mode(lab, "native", &INTERFACES)?;
    let config = lab.config_file();
    let run = ["run", "-c", config.to_str().context("path")?];
    let said = refused(lab, &run)?;
    for part in ["interface br0 in native mode", "not supported", "xdp_mode = \"generic\""] {
        ensure!(said.contains(part), "`{part}` is not in: {said}");
    }
    wait::until_true("nothing is left", LIMIT, || Ok(modes(lab, &INTERFACES)? == ["none", "none"]))?;
    nothing_is_left(lab)?;

    configure_mode(lab, "auto", &INTERFACES)?;
    start_daemon(lab)?;
    ensure!(modes(lab, &INTERFACES)? == ["generic", "generic"]);
    // The kernel joins packets below the bridge until it is told not to.
    let status = lab.status()?;
    ensure!(
        list(&status["warnings"])
            .iter()
            .any(|warning| warning.to_string().contains("ethtool -K eth1 gro off")),
        "{status}"
    );
    shell::run(lab.command(Host::Gw, "ethtool")?.args(["-K", "eth1", "gro", "off"]))?;
    wait::until_true("the warning ends", LIMIT, || {
        Ok(!lab.status()?["warnings"].to_string().contains("gro off"))
    })?;
    everything_works(lab)?;
    says_why(lab)?;
    let warned = |interface: &str| -> anyhow::Result<usize> {
        let is_it = |line: &Value| {
            line["level"] == "WARN"
                && line["interface"] == interface
                && line.to_string().contains("generic mode")
        };
        Ok(lines(lab)?.iter().filter(|line| is_it(line)).count())
    };
    ensure!((warned("br0")?, warned("eth0")?) == (1, 1), "not once each");

    // Nothing is taken off to try again, and a later daemon, or none, still knows why.
    let before = links(lab)?;
    lab.kill_daemon()?;
    says_why(lab)?;
    start_daemon(lab)?;
    says_why(lab)?;
    ensure!(links(lab)? == before, "a link was made anew");
    // A start that is refused leaves it so.
    lab.kill_daemon()?;
    configure_mode(lab, "native", &INTERFACES)?;
    ensure!(refused(lab, &run)?.contains("interface br0 in native mode"));
    ensure!(modes(lab, &INTERFACES)? == ["generic", "generic"] && whoami(lab, vip())? == "primary");
    says_why(lab)?;

    // Without the bridge there is no reason any more.
    configure(lab, |config| {
        config["gateway"] = json!({ "interfaces": ["eth0"] });
        for service in config["service"].as_array_mut().into_iter().flatten() {
            service["mode"] = "nat".into();
        }
    })?;
    start_daemon(lab)?;
    ensure!(modes(lab, &["eth0"])? == ["native"]);
    wait::until_true("the bridge is bare", LIMIT, || Ok(modes(lab, &["br0"])? == ["none"]))?;
    ensure!(list(&lab.status()?["warnings"]).is_empty(), "{}", lab.status()?);
    Ok(())
}

/// `status` does, as text and as JSON.
fn says_why(lab: &Lab) -> anyhow::Result<()> {
    let status = lab.status()?;
    let because = |index: usize| status["interfaces"][index]["generic_because"].as_str().unwrap_or_default();
    let names: Vec<&Value> = list(&status["interfaces"]).iter().map(|interface| &interface["name"]).collect();
    for (index, name) in names.into_iter().enumerate() {
        ensure!(status["interfaces"][index]["xdp"] == "generic", "{status}");
        let parts: &[&str] =
            if name == "br0" { &["not supported", "ethtool -K br0 lro off"] } else { &["another interface"] };
        for part in parts {
            ensure!(because(index).contains(part), "`{part}` is not in: {status}");
        }
    }
    let text = done(lab, &["status"])?;
    ensure!(text.contains("eth0 generic") && text.contains("WARNING: br0 is in generic mode"), "{text}");
    Ok(())
}

/// The pinned links, by inode.
fn links(lab: &Lab) -> anyhow::Result<Vec<u64>> {
    let pins = lab.pin_dir().join(format!("v{ABI}"));
    let mut inodes = Vec::new();
    for name in ["link-eth0", "link-br0"] {
        inodes.push(fs::metadata(pins.join(name))?.ino());
    }
    Ok(inodes)
}

fn another_mode_at_a_restart(lab: &Lab) -> anyhow::Result<()> {
    const INTERFACES: [&str; 2] = ["eth0", "eth1"];
    start_daemon(lab)?;
    for (mode, expected) in [
        ("auto", "native"),
        ("generic", "generic"),
        ("native", "native"),
        ("generic", "generic"),
        ("auto", "native"),
    ] {
        lab.kill_daemon()?;
        configure_mode(lab, mode, &INTERFACES)?;
        start_daemon(lab)?;
        ensure!(modes(lab, &INTERFACES)? == [expected; 2], "{mode}");
        everything_works(lab)?;
        ensure!(list(&lab.status()?["warnings"]).is_empty(), "{}", lab.status()?);
    }
    let moved: Vec<Value> = lines(lab)?
        .into_iter()
        .filter(|line| line["before"].is_string() && line["level"] == "WARN")
        .collect();
    ensure!(moved.len() == 8, "two interfaces, four times: {moved:?}");

    // One that comes anew is attached to in the mode that the others are in.
    lab.kill_daemon()?;
    configure_mode(lab, "generic", &INTERFACES)?;
    start_daemon(lab)?;
    let eth1: Vec<IpAddr> = vec![GATEWAY_BACKENDS.into(), GATEWAY_BACKENDS6.into()];
    anew(lab, &eth1)?;
    wait::until_true("the program is on it", LIMIT, || Ok(modes(lab, &INTERFACES)? == ["generic"; 2]))?;
    everything_works(lab)
}

/// Deletes the gateway's eth1 and makes it again.
fn anew(lab: &Lab, addresses: &[IpAddr]) -> anyhow::Result<()> {
    ip(lab, Host::Gw, "link delete eth1")?;
    make_eth1(lab)?;
    for address in addresses {
        let prefix = if address.is_ipv4() { PREFIX } else { PREFIX6 };
        let nodad = if address.is_ipv4() { "" } else { "nodad" };
        ip(lab, Host::Gw, &format!("address add {address}/{prefix} dev eth1 {nodad}"))?;
    }
    for backend in [Backend::Primary, Backend::Standby] {
        crate::support::scene::wait_backend(lab, backend, "is up", |state| state["health"] == "up")?;
    }
    Ok(())
}

/// The VIP cannot be put on eth0, which is found out after the program was put there.
fn a_start_that_fails_puts_the_mode_back(lab: &Lab) -> anyhow::Result<()> {
    const INTERFACES: [&str; 2] = ["eth0", "eth1"];
    start_daemon(lab)?;
    lab.kill_daemon()?;
    let before = program(lab, "eth0")?;
    ensure!(before.is_some());
    shell::run(lab.command(Host::Gw, "sysctl")?.args(["-qw", "net.ipv6.conf.eth0.disable_ipv6=1"]))?;
    configure_mode(lab, "generic", &INTERFACES)?;
    let config = lab.config_file();
    let said = refused(lab, &["run", "-c", config.to_str().context("path")?])?;
    ensure!(said.contains("disable_ipv6"), "{said}");
    ensure!(modes(lab, &INTERFACES)? == ["native"; 2] && whoami(lab, vip())? == "primary");
    let status = lab.status()?;
    ensure!(list(&status["interfaces"]).iter().all(|interface| interface["xdp"] == "native"), "{status}");

    // And where there was no program, none is left.
    done(lab, &["detach"])?;
    refused(lab, &["run", "-c", config.to_str().context("path")?])?;
    wait::until_true("nothing is left", LIMIT, || Ok(modes(lab, &INTERFACES)? == ["none"; 2]))?;
    nothing_is_left(lab)
}
