//! What becomes of packets: bytes, addresses, checksums, TTL, counters.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;
use serde_json::Value;
use socket2::{Domain, Socket, Type};
use xtask::lab::{Backend, CLIENT, CLIENT6, Host, Lab, LabOptions, Topology, VIP, vip};
use xtask::{http, wait};

use crate::support::capture::Capture;
use crate::support::pcap::{self, Packet, Payload};
use crate::support::scene::{
    LIMIT, configure, connect, counter, datagram, datagrams_come_back, keep_backends, list, load,
    nothing_failed, options, ping, scene, scene_in, service, start_daemon, transfer, wait_active,
    wait_answers, wait_outage, whoami,
};

/// A port of the VIP that no backend has.
const OTHER_PORT: u16 = 80;
/// Sizes of datagrams: empty, odd, and as large as fits into one packet.
const SIZES: [usize; 5] = [0, 1, 2, 999, 1472];

pub(crate) fn trials() -> Vec<Trial> {
    let one_arm = || LabOptions { topology: Topology::OneArm, ..options() };
    vec![
        scene("captured_packets_are_right_two_arm", captured_packets_are_right),
        scene_in("captured_packets_are_right_one_arm", one_arm(), captured_packets_are_right),
        scene("large_transfers_arrive_whole_two_arm", large_transfers_arrive_whole),
        scene_in("large_transfers_arrive_whole_one_arm", one_arm(), large_transfers_arrive_whole),
        scene("own_addresses_stay_usable_two_arm", own_addresses_stay_usable),
        scene_in("own_addresses_stay_usable_one_arm", one_arm(), own_addresses_stay_usable),
        scene("counters_agree_with_what_was_sent", counters_agree_with_what_was_sent),
        Trial::test("the_capture_check_sees_wrong_checksums", || {
            Ok(the_capture_check_sees_wrong_checksums()?)
        }),
    ]
}

/// The VIP's port is another than the backends': both are rewritten.
fn captured_packets_are_right(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, |config| {
        for service in [0, 1] {
            config["service"][service]["port"] = OTHER_PORT.into();
        }
        keep_backends(config, 1);
    })?;
    start_daemon(lab)?;
    let target = SocketAddr::from((VIP, OTHER_PORT));
    let at_client = Capture::start(lab, Host::Client, CLIENT)?;
    let at_backend = Capture::start(lab, Host::Primary, Backend::Primary.ip())?;
    ensure!(whoami(lab, target)? == "primary");
    transfer(lab, target, 1 << 20)?;
    datagrams_come_back(lab, target, &SIZES)?;
    ensure!(ping(lab, 3)?.contains(" 0% packet loss"));
    // Nobody serves: the gateway itself answers.
    lab.kill_server(Backend::Primary)?;
    wait_outage(lab)?;
    ensure!(connect(lab, target, LIMIT)? == Err(std::io::ErrorKind::ConnectionRefused));
    ensure!(datagram(lab, target, b"anybody?", LIMIT)? == Err(std::io::ErrorKind::ConnectionRefused));
    // Each is complete with what came last.
    let client = at_client.finish(|packets| unreachable(packets).is_some())?;
    let backend = at_backend.finish(|packets| {
        let datagram = |packet: &&Packet| packet.source.ip() == CLIENT && packet.payload == Payload::Udp;
        packets.iter().filter(datagram).count() == SIZES.len()
    })?;
    client_sees_the_vip_only(&client)?;
    backend_sees_the_client(&backend)?;
    outage_answers(&client)
}

fn client_sees_the_vip_only(packets: &[Packet]) -> anyhow::Result<()> {
    let foreign = packets.iter().find(|packet| {
        let hosts = [packet.source.ip(), packet.destination.ip()];
        !hosts.contains(&CLIENT.into()) || !hosts.contains(&VIP.into())
    });
    ensure!(foreign.is_none(), "at the client: {foreign:?}");
    let (tcp, udp) = (replies(packets, is_tcp), replies(packets, |payload| *payload == Payload::Udp));
    ensure!(tcp.len() > 100, "{} segments came back", tcp.len());
    ensure!(udp.len() == SIZES.len(), "{} datagrams came back", udp.len());
    for packet in tcp.iter().chain(&udp) {
        ensure!(packet.source.port() == OTHER_PORT, "{packet:?}");
    }
    let reset = |packet: &&&Packet| matches!(packet.payload, Payload::Tcp(flags) if flags & RST != 0);
    for packet in tcp.iter().filter(|packet| !reset(packet)).chain(&udp) {
        ensure!(packet.ttl == 63, "a backend's 64, less one: {packet:?}");
    }
    let echoes = replies(packets, |payload| matches!(payload, Payload::Icmp(0, 0, _)));
    ensure!(echoes.len() == 3 && echoes.iter().all(|echo| echo.ttl == 64), "{echoes:?}");
    Ok(())
}

fn backend_sees_the_client(packets: &[Packet]) -> anyhow::Result<()> {
    let of_vip =
        packets.iter().find(|packet| [packet.source.ip(), packet.destination.ip()].contains(&VIP.into()));
    ensure!(of_vip.is_none(), "at the backend: {of_vip:?}");
    let from_client: Vec<&Packet> = packets.iter().filter(|packet| packet.source.ip() == CLIENT).collect();
    ensure!(from_client.len() > 100, "{} packets of the client", from_client.len());
    for packet in from_client {
        ensure!(packet.destination == Backend::Primary.address(), "{packet:?}");
        ensure!(packet.ttl == 63, "the client's 64, less one: {packet:?}");
    }
    Ok(())
}

fn outage_answers(packets: &[Packet]) -> anyhow::Result<()> {
    let refused =
        |payload: &Payload| matches!(payload, Payload::Tcp(flags) if flags & (RST | ACK) == RST | ACK);
    let refused = replies(packets, refused);
    ensure!(!refused.is_empty(), "no reset");
    let (packet, quoted) = unreachable(packets).context("no port unreachable")?;
    ensure!(packet.source.ip() == VIP && packet.destination.ip() == CLIENT, "{packet:?}");
    // The quoted beginning of the client's own packet, by which its kernel finds the socket.
    ensure!(quoted.get(12..20) == Some(&[CLIENT.octets(), VIP.octets()].concat()[..]), "{quoted:02x?}");
    ensure!(quoted.get(22..24) == Some(&OTHER_PORT.to_be_bytes()[..]), "{quoted:02x?}");
    Ok(())
}

/// The message that nobody listens, and what it quotes.
fn unreachable(packets: &[Packet]) -> Option<(&Packet, &Vec<u8>)> {
    packets.iter().find_map(|packet| match &packet.payload {
        Payload::Icmp(3, 3, quoted) => Some((packet, quoted)),
        _ => None,
    })
}

const RST: u8 = 0x04;
const ACK: u8 = 0x10;

fn is_tcp(payload: &Payload) -> bool {
    matches!(payload, Payload::Tcp(_))
}

fn replies(packets: &[Packet], is_it: impl Fn(&Payload) -> bool) -> Vec<&Packet> {
    packets.iter().filter(|packet| packet.source.ip() == VIP && is_it(&packet.payload)).collect()
}

fn large_transfers_arrive_whole(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    transfer(lab, vip(), 20_000_000)?;
    datagrams_come_back(lab, vip(), &SIZES)
}

/// Clients talk to a backend's own address through the gateway, which is also what backends are watched by.
fn own_addresses_stay_usable(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    // What asks the VIP leaves these ports alone: to the backend, the same port would be the same connection.
    let ports = || 10_000..10_200;
    lab.within(Host::Client, || std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "20000 65535"))??;
    let client = load(lab, Duration::from_millis(2))?;
    for backend in [Backend::Primary, Backend::Standby] {
        transfer(lab, backend.address(), 1 << 20)?;
        datagrams_come_back(lab, backend.address(), &SIZES)?;
        transfer(lab, backend.address6(), 1 << 20)?;
        datagrams_come_back(lab, backend.address6(), &[0, 1, 1452])?;
        for port in ports() {
            let name = lab.within(Host::Client, || whoami_from(port, backend.address()))?;
            let name = name.with_context(|| format!("{backend:?} was asked from port {port}"))?;
            ensure!(name == backend.name(), "{backend:?} was asked, {name} answered");
        }
    }
    wait_answers(&client, Backend::Primary, 100)?;
    nothing_failed(client)?;
    one_port_asks_both(lab)?;
    for name in ["asr", "asr-udp"] {
        let service = service(lab, name)?;
        ensure!(service["active"] == "primary" && service["epoch"] == 1, "{service}");
        ensure!(list(&service["backends"])[..2].iter().all(|state| state["health"] == "up"), "{service}");
    }
    ensure!(counter(lab, "asr", "direct")? > 0 && counter(lab, "asr", "to_gateway")? > 0);
    Ok(())
}

/// Who answers at this address, asked from this port.
fn whoami_from(port: u16, target: SocketAddr) -> anyhow::Result<String> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)).into())?;
    socket.connect_timeout(&target.into(), LIMIT)?;
    socket.set_read_timeout(Some(LIMIT))?;
    let mut stream = TcpStream::from(socket);
    stream.write_all(http::request(target, "/whoami").as_bytes())?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response)?;
    let (_, name) = http::parse(&response).context("no whole answer")?;
    Ok(name.to_owned())
}

/// The same port of the client asks the VIP and the backend itself in turn; each answers under its own name.
fn one_port_asks_both(lab: &Lab) -> anyhow::Result<()> {
    let own = Backend::Primary.address();
    lab.within(Host::Client, || {
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?;
        socket.set_read_timeout(Some(LIMIT))?;
        for target in [vip(), own, own, vip(), own, vip(), vip()] {
            socket.send_to(b"who?", target)?;
            let answer = socket.recv_from(&mut [0; 100]);
            let (_, from) = answer.with_context(|| format!("{target} was asked"))?;
            ensure!(from == target, "{target} was asked, {from} answered");
        }
        // TCP: one connection to each is open at the same time.
        let mut open = Vec::new();
        for target in [vip(), own] {
            open.push(TcpStream::connect_timeout(&target, LIMIT)?);
            let (status, name) = http::get(target, "/whoami", LIMIT)?;
            ensure!(status == 200 && name == "primary");
        }
        Ok(())
    })?
}

fn counters_agree_with_what_was_sent(lab: &Lab) -> anyhow::Result<()> {
    // Ethernet, IPv4 and UDP.
    const HEADERS: u64 = 14 + 20 + 8;
    // No cold one: the outage stays.
    configure(lab, |config| keep_backends(config, 2))?;
    start_daemon(lab)?;
    datagrams_come_back(lab, vip(), &[100; 50])?;
    let counters = service(lab, "asr-udp")?["counters"].clone();
    let expected = [("packets", 100), ("forwarded", 50), ("replied", 50), ("bytes", 100 * (HEADERS + 100))];
    for (name, count) in expected {
        ensure!(counters[name] == count, "{name} is to be {count}: {counters}");
    }

    let attempts: usize = {
        let client = load(lab, Duration::from_millis(1))?;
        wait_answers(&client, Backend::Primary, 100)?;
        nothing_failed(client)?.attempts
    };
    let counters = service(lab, "asr")?["counters"].clone();
    // Of each connection at least SYN, ACK, request, FIN; and SYN-ACK, answer, FIN.
    ensure!(counters["forwarded"].as_u64() >= Some(4 * attempts as u64), "{attempts} attempts: {counters}");
    ensure!(counters["replied"].as_u64() >= Some(3 * attempts as u64), "{attempts} attempts: {counters}");

    let before = other(lab, "echo_answered")?;
    ping(lab, 7)?;
    ensure!(other(lab, "echo_answered")? == before + 7);

    lab.kill_server(Backend::Primary)?;
    wait_active(lab, Backend::Standby)?;
    lab.kill_server(Backend::Standby)?;
    wait_outage(lab)?;
    for _ in 0..5 {
        ensure!(connect(lab, vip(), LIMIT)? == Err(std::io::ErrorKind::ConnectionRefused));
        ensure!(datagram(lab, vip(), b"", LIMIT)? == Err(std::io::ErrorKind::ConnectionRefused));
    }
    ensure!(counter(lab, "asr", "outage_reset")? == 5, "{}", service(lab, "asr")?);
    ensure!(counter(lab, "asr-udp", "outage_unreachable")? == 5, "{}", service(lab, "asr-udp")?);
    wait::until_true("the counters outlive the daemon", LIMIT, || {
        if lab.daemon_runs()? {
            lab.kill_daemon()?;
        }
        Ok(counter(lab, "asr", "outage_reset")? == 5)
    })
}

/// A counter of packets that belong to no service.
fn other(lab: &Lab, name: &str) -> anyhow::Result<u64> {
    let status: Value = lab.status()?;
    Ok(status["other_counters"][name].as_u64().unwrap_or(0))
}

/// Datagrams of one byte, from RFC 768, 791 and 8200 by hand: the checker takes them as they are, and no other bit in
/// the place of one of theirs, except in what IPv6 leaves to nobody to verify.
fn the_capture_check_sees_wrong_checksums() -> anyhow::Result<()> {
    let ipv4: [u8; 29] = [
        0x45, 0, 0, 29, 0, 1, 0, 0, 64, 17, 0x66, 0xcd, 10, 0, 0, 1, 10, 0, 0, 2, // IPv4
        0x12, 0x34, 0, 80, 0, 9, 0x98, 0x55, 0x41, // UDP
    ];
    let ipv6: [u8; 49] = [
        0x60, 0, 0, 0, 0, 9, 17, 64, // IPv6
        0xfd, 0x77, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10, // from the client
        0xfd, 0x77, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, // to the VIP
        0x12, 0x34, 0, 80, 0, 9, 0xb0, 0x56, 0x41, // UDP
    ];
    verified([8, 0], &ipv4, SocketAddr::from(([10, 0, 0, 1], 0x1234)), &[])?;
    // Traffic class, flow label, hop limit.
    let free = [4..32, 56..64].into_iter().flatten().collect::<Vec<usize>>();
    verified([0x86, 0xdd], &ipv6, SocketAddr::from((CLIENT6, 0x1234)), &free)
}

/// Checks that the packet is read, and refused with any bit wrong that is not `free`.
fn verified(kind: [u8; 2], packet: &[u8], source: SocketAddr, free: &[usize]) -> anyhow::Result<()> {
    let frame = |packet: &[u8]| [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2][..], &kind, packet].concat();
    let read = pcap::read(&file(&frame(packet)))?;
    ensure!(read.len() == 1 && read[0].source == source, "{read:?}");
    for bit in (0..packet.len() * 8).filter(|bit| !free.contains(bit)) {
        let mut wrong = packet.to_owned();
        wrong[bit / 8] ^= 0x80 >> (bit % 8);
        ensure!(pcap::read(&file(&frame(&wrong))).is_err(), "bit {bit} of {packet:02x?} may be wrong");
    }
    Ok(())
}

fn file(frame: &[u8]) -> Vec<u8> {
    let mut file = 0xa1b2_c3d4_u32.to_ne_bytes().to_vec();
    file.extend([2, 0, 4, 0]);
    file.extend([0; 12]);
    file.extend(1_u32.to_ne_bytes());
    file.extend([0; 8]);
    let length = (frame.len() as u32).to_ne_bytes();
    file.extend([length, length].concat());
    file.extend(frame);
    file
}
