//! Connections that last: how many there are, and where they go when another backend becomes active.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Context as _, ensure};
use fastswitch_common::checksum;
use libtest_mimic::Trial;
use serde_json::Value;
use socket2::{Domain, Protocol, Socket, Type};
use xtask::lab::{Backend, Host, Lab, add_ipv6, vip, vip6};
use xtask::wait;

use crate::support::held::Held;
use crate::support::journal::{wait_event, wait_events};
use crate::support::said::{done, refused};
use crate::support::scene::{LIMIT, backend, configure, counter, scene, service, start_daemon, whoami};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        scene("long_connections_survive_a_drain_there_and_back", there_and_back),
        scene("long_connections_over_ipv6_drain_too", over_ipv6),
        scene("a_drain_ends_when_its_time_is_up", time_is_up),
        scene("a_drain_begun_without_a_daemon_is_ended_by_the_next", without_a_daemon),
        scene("connections_are_counted_through_a_flood_of_syns", counted_through_a_flood),
    ]
}

/// Waits until a service has so many connections, the backends so many of them.
fn wait_counts(lab: &Lab, of: &str, primary: u64, standby: u64) -> anyhow::Result<()> {
    wait::until_true(&format!("{of}: {primary} at the primary, {standby} at the standby"), LIMIT, || {
        let counts = [Backend::Primary, Backend::Standby].map(|name| backend(lab, of, name));
        let [at_primary, at_standby] = counts;
        Ok(at_primary?["connections"] == primary
            && at_standby?["connections"] == standby
            && service(lab, of)?["connections"] == primary + standby)
    })
}

fn draining(lab: &Lab) -> anyhow::Result<Value> {
    Ok(service(lab, "asr")?["draining"].clone())
}

fn there_and_back(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    let old = Held::open(lab, vip(), 20)?;
    old.are_with(Backend::Primary)?;
    wait_counts(lab, "asr", 20, 0)?;
    ensure!(draining(lab)?.is_null() && service(lab, "asr-udp")?["connections"].is_null());

    let said = done(lab, &["switch", "asr", "standby", "--drain", "10m"])?;
    ensure!(said.starts_with("asr: standby is active; primary keeps its connections until "), "{said}");
    let young = Held::open(lab, vip(), 5)?;
    young.are_with(Backend::Standby)?;
    old.are_with(Backend::Primary)?;
    wait_counts(lab, "asr", 20, 5)?;
    let state = draining(lab)?;
    ensure!(state["backend"] == "primary" && state["connections_left"] == 20, "{state}");
    ensure!(state["until"].is_string() && service(lab, "asr")?["active"] == "standby", "{state}");
    let text = done(lab, &["status", "asr"])?;
    ensure!(text.contains("; primary drains until ") && text.contains(", connections left: 20"), "{text}");

    for (back, other) in [(Backend::Primary, "standby"), (Backend::Standby, "primary")] {
        done(lab, &["switch", "asr", back.name(), "--drain", "10m"])?;
        ensure!(whoami(lab, vip())? == back.name() && draining(lab)?["backend"] == other);
        old.are_with(Backend::Primary)?;
        young.are_with(Backend::Standby)?;
    }
    drop(old);
    let drained = wait_event(lab, "drained", Some("primary"))?;
    ensure!(drained["end"] == "empty" && drained["left"] == 0, "{drained}");
    ensure!(draining(lab)?.is_null());
    young.are_with(Backend::Standby)?;
    wait_counts(lab, "asr", 0, 5)?;
    drop(young);
    wait_counts(lab, "asr", 0, 0)?;
    let udp = refused(lab, &["switch", "asr-udp", "standby", "--drain", "10m"])?;
    ensure!(udp.contains("there is nothing to drain"), "{udp}");
    Ok(())
}

fn over_ipv6(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, add_ipv6)?;
    start_daemon(lab)?;
    let old = Held::open(lab, vip6(), 3)?;
    old.are_with(Backend::Primary)?;
    done(lab, &["switch", "asr6", "standby", "--drain", "10m"])?;
    let young = Held::open(lab, vip6(), 2)?;
    young.are_with(Backend::Standby)?;
    old.are_with(Backend::Primary)?;
    wait_counts(lab, "asr6", 3, 2)?;
    done(lab, &["failback", "asr6", "--drain", "10m"])?;
    old.are_with(Backend::Primary)?;
    young.are_with(Backend::Standby)
}

fn time_is_up(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    let old = Held::open(lab, vip(), 4)?;
    old.are_with(Backend::Primary)?;
    done(lab, &["switch", "asr", "standby", "--drain", "10m"])?;
    old.are_with(Backend::Primary)?;
    wait::until_true("somebody has looked what is left", LIMIT, || {
        Ok(draining(lab)?["connections_left"] == 4)
    })?;
    // Time enough to look once more.
    done(lab, &["switch", "asr", "standby", "--drain", "2s"])?;
    let drained = wait_event(lab, "drained", Some("primary"))?;
    ensure!(drained["end"] == "time_up" && drained["left"] == 4, "{drained}");
    old.are_reset()?;
    wait_counts(lab, "asr", 0, 0)?;
    // And at once, for whoever does not want to wait.
    let old = Held::open(lab, vip(), 4)?;
    old.are_with(Backend::Standby)?;
    done(lab, &["switch", "asr", "primary", "--drain", "0s"])?;
    ensure!(draining(lab)?.is_null());
    old.are_reset()
}

fn without_a_daemon(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    let old = Held::open(lab, vip(), 3)?;
    old.are_with(Backend::Primary)?;
    lab.kill_daemon()?;
    let said = done(lab, &["switch", "asr", "standby", "--drain", "1ms"])?;
    ensure!(said.contains("primary keeps its connections until ") && said.contains("no daemon"), "{said}");
    old.are_with(Backend::Primary)?;
    ensure!(whoami(lab, vip())? == "standby");
    wait_counts(lab, "asr", 3, 0)?;
    let state = draining(lab)?;
    ensure!(state["backend"] == "primary" && state["connections_left"] == 3, "{state}");
    start_daemon(lab)?;
    let drained = wait_event(lab, "drained", Some("primary"))?;
    ensure!(drained["end"] == "time_up" && draining(lab)?.is_null(), "{drained}");
    old.are_reset()?;

    // A drain that is not over goes on.
    let old = Held::open(lab, vip(), 3)?;
    old.are_with(Backend::Standby)?;
    done(lab, &["switch", "asr", "primary", "--drain", "10m"])?;
    let before = draining(lab)?;
    lab.kill_daemon()?;
    start_daemon(lab)?;
    let after = draining(lab)?;
    ensure!(after["backend"] == "standby", "{before} became {after}");
    old.are_with(Backend::Standby)?;
    drop(old);
    wait_events(lab, "drained", Some("standby"), 1)?;
    Ok(())
}

fn counted_through_a_flood(lab: &Lab) -> anyhow::Result<()> {
    /// More than are remembered of those that are half open.
    const SYNS: u32 = 100_000;
    start_daemon(lab)?;
    let held = Held::open(lab, vip(), 12)?;
    held.are_with(Backend::Primary)?;
    wait_counts(lab, "asr", 12, 0)?;
    let before = counter(lab, "asr", "forwarded")?;
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let sent = lab.within(Host::Client, || flood(vip(), SYNS));
            over.store(true, Ordering::Release);
            sent
        });
        let mut looks = 0;
        while !over.load(Ordering::Acquire) || looks == 0 {
            let state = service(lab, "asr")?;
            ensure!(state["connections"] == 12, "in the flood: {state}");
            looks += 1;
        }
        flood.join().ok().context("the flood panicked")??.context("the flood")
    })?;
    wait::until_true("the flood has arrived", LIMIT, || {
        Ok(counter(lab, "asr", "forwarded")? - before >= u64::from(SYNS) * 9 / 10)
    })?;
    ensure!(service(lab, "asr")?["connections"] == 12, "{}", service(lab, "asr")?);
    held.are_with(Backend::Primary)?;
    drop(held);
    wait_counts(lab, "asr", 0, 0)
}

/// Sends so many SYNs, each from another address that nobody has.
fn flood(target: SocketAddr, count: u32) -> io::Result<()> {
    let SocketAddr::V4(to) = target else { return Err(io::ErrorKind::Unsupported.into()) };
    // IPPROTO_RAW: the packet has its IP header.
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255)))?;
    for number in 0..count {
        let from =
            SocketAddrV4::new(Ipv4Addr::from(0x0a58_0000 + (number & 0xffff)), 1024 + (number >> 16) as u16);
        let packet = syn(from, to, number);
        // A full queue is the sender's own: it goes on with the next.
        match socket.send_to(&packet, &target.into()) {
            Ok(_) => {}
            Err(error) if error.raw_os_error() == Some(nix::libc::ENOBUFS) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A SYN with its IPv4 header, of which the kernel fills in length and checksum.
fn syn(from: SocketAddrV4, to: SocketAddrV4, sequence: u32) -> Vec<u8> {
    let (source, destination) = (from.ip().octets(), to.ip().octets());
    let ip = [&[0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6, 0, 0][..], &source, &destination].concat();
    let tcp = |check: [u8; 2]| {
        let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()].concat();
        let rest = [&[0; 4][..], &[5 << 4, 0x02, 0xff, 0xff], &check, &[0, 0]].concat();
        [ports, sequence.to_be_bytes().to_vec(), rest].concat()
    };
    let covered = [&source[..], &destination, &[0, 6, 0, 20], &tcp([0, 0])].concat();
    let words = covered.chunks_exact(2).map(|pair| [pair[0], pair[1]]);
    let sum = words.map(|pair| checksum::sum([pair])).sum();
    [ip, tcp(checksum::finish(sum))].concat()
}
