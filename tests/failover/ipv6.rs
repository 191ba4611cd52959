//! Services over IPv6 beside those over IPv4, with real processes: bytes, addresses, checksums, failover, restart.

use std::io::ErrorKind;
use std::time::Duration;

use anyhow::ensure;
use libtest_mimic::Trial;
use xtask::lab::{Backend, CLIENT6, Host, Lab, LabOptions, Topology, VIP6, add_ipv6, vip, vip6};

use crate::support::capture::Capture;
use crate::support::pcap::{Packet, Payload};
use crate::support::scene::{
    LIMIT, configure, connect, counter, datagram, datagrams_come_back, gateway_has, keep_backends, load_at,
    nothing_failed, nothing_is_left, options, ping_at, scene, scene_in, start_daemon, wait_active,
    wait_answers, wait_outage, whoami,
};

/// Sizes of datagrams: empty, odd, and as large as fits into one packet.
const SIZES: [usize; 5] = [0, 1, 2, 999, 1452];
/// Length of a file that fills many windows.
const FILE: u64 = 5_000_000;

pub(crate) fn trials() -> Vec<Trial> {
    let one_arm = || LabOptions { topology: Topology::OneArm, ..options() };
    vec![
        scene("ipv6_from_start_to_detach_two_arm", from_start_to_detach),
        scene_in("ipv6_from_start_to_detach_one_arm", one_arm(), from_start_to_detach),
        scene("ipv6_packets_are_right_two_arm", captured_packets_are_right),
        scene_in("ipv6_packets_are_right_one_arm", one_arm(), captured_packets_are_right),
        scene("ipv6_goes_on_without_the_daemon", goes_on_without_the_daemon),
    ]
}

fn from_start_to_detach(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, |config| {
        add_ipv6(config);
        keep_backends(config, 2);
    })?;
    start_daemon(lab)?;
    for target in [vip(), vip6()] {
        ensure!(whoami(lab, target)? == "primary");
        lab.transfer(Host::Client, target, FILE, LIMIT)?;
    }
    datagrams_come_back(lab, vip6(), &SIZES)?;
    ensure!(ping_at(lab, VIP6, 3)?.contains(" 0% packet loss"));
    // By its own address too, in between.
    ensure!(whoami(lab, Backend::Standby.address6())? == "standby");

    lab.kill_server(Backend::Primary)?;
    wait_active(lab, Backend::Standby)?;
    for target in [vip(), vip6()] {
        ensure!(whoami(lab, target)? == "standby");
    }
    lab.kill_server(Backend::Standby)?;
    wait_outage(lab)?;
    ensure!(connect(lab, vip6(), LIMIT)? == Err(ErrorKind::ConnectionRefused));
    ensure!(datagram(lab, vip6(), b"anybody?", LIMIT)? == Err(ErrorKind::ConnectionRefused));
    ensure!(
        counter(lab, "asr6", "outage_reset")? == 1 && counter(lab, "asr6-udp", "outage_unreachable")? == 1
    );

    ensure!(gateway_has(lab, VIP6)?);
    lab.stop_daemon()?;
    lab.fastswitch(["detach"])?;
    nothing_is_left(lab)
}

/// Both ends see whom they are to see, and every checksum is right: the capture verifies each.
fn captured_packets_are_right(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, |config| {
        add_ipv6(config);
        keep_backends(config, 1);
    })?;
    start_daemon(lab)?;
    let at_client = Capture::start(lab, Host::Client, CLIENT6)?;
    let at_backend = Capture::start(lab, Host::Primary, Backend::Primary.ip6())?;
    lab.transfer(Host::Client, vip6(), 1 << 20, LIMIT)?;
    datagrams_come_back(lab, vip6(), &SIZES)?;
    ping_at(lab, VIP6, 3)?;
    lab.kill_server(Backend::Primary)?;
    wait_outage(lab)?;
    ensure!(connect(lab, vip6(), LIMIT)? == Err(ErrorKind::ConnectionRefused));
    ensure!(datagram(lab, vip6(), b"anybody?", LIMIT)? == Err(ErrorKind::ConnectionRefused));

    let unreachable = |packet: &Packet| matches!(packet.payload, Payload::Icmp(1, 4, _));
    let client = at_client.finish(|packets| packets.iter().any(unreachable))?;
    let of_client = |packet: &&Packet| packet.source.ip() == CLIENT6;
    let datagram = |packet: &&Packet| of_client(packet) && packet.payload == Payload::Udp;
    let backend = at_backend.finish(|packets| packets.iter().filter(datagram).count() == SIZES.len())?;

    let stranger = client.iter().find(|packet| {
        let hosts = [packet.source.ip(), packet.destination.ip()];
        !hosts.contains(&CLIENT6.into()) || !hosts.contains(&VIP6.into())
    });
    ensure!(stranger.is_none(), "at the client: {stranger:?}");
    let of_vip = |packet: &Packet| [packet.source.ip(), packet.destination.ip()].contains(&VIP6.into());
    ensure!(!backend.iter().any(of_vip), "the backend sees the VIP");
    let from_client: Vec<&Packet> = backend.iter().filter(of_client).collect();
    ensure!(from_client.len() > 100, "{} packets of the client", from_client.len());
    for packet in from_client {
        ensure!(packet.destination == Backend::Primary.address6(), "{packet:?}");
        ensure!(packet.ttl == 63, "the client's 64, less one: {packet:?}");
    }
    let echoes = client.iter().filter(|packet| matches!(packet.payload, Payload::Icmp(129, 0, _)));
    ensure!(echoes.count() == 3);
    Ok(())
}

fn goes_on_without_the_daemon(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, |config| {
        add_ipv6(config);
        keep_backends(config, 2);
    })?;
    start_daemon(lab)?;
    lab.fastswitch(["switch", "asr6", "standby"])?;
    let client = load_at(lab, vip6(), Duration::from_millis(2))?;
    wait_answers(&client, Backend::Standby, 50)?;
    lab.kill_daemon()?;
    wait_answers(&client, Backend::Standby, 50)?;
    start_daemon(lab)?;
    wait_answers(&client, Backend::Standby, 50)?;
    nothing_failed(client)?;

    // Without a daemon the command line stores the word; nothing drains then.
    lab.kill_daemon()?;
    lab.fastswitch(["switch", "asr6", "primary"])?;
    let client = load_at(lab, vip6(), Duration::from_millis(2))?;
    wait_answers(&client, Backend::Primary, 50)?;
    start_daemon(lab)?;
    wait_answers(&client, Backend::Primary, 50)?;
    nothing_failed(client).map(drop)
}
