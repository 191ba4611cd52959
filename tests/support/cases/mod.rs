//! The packet table. A case is a short story; a step says what came by which arm, and everything that follows.

mod answers;
mod connections;
mod dsr;
mod fragments;
mod full_nat;
mod icmp_errors;
mod ipv6;
mod left_alone;
mod to_backends;
mod to_clients;
mod too_big;

use std::net::IpAddr;

use fastswitch_common::{abi::NO_SERVICE, reason::Reason};

use super::{
    frame::{Address, Body, Frame, flag, icmp, tcp, udp, v4},
    gateway::{
        Arm, BACKENDS_ARM, CLIENT, CLIENT_MAC, CLIENTS_ARM, DEAD_ENDS, Gateway, LOST, LOST_PORT, LOST_VIP,
        NAMES, NAMES_PRIMARY, NAMES_VIP, NEAR, NEAR_BACKEND, NEAR_BACKEND_MAC, NEAR_VIP, OWN_ADDRESS,
        PRIMARY, PRIMARY_MAC, PRIMARY_MAC_IN_FIB, SILENT, SILENT_NAMES, SILENT_NAMES_VIP, SILENT_SERVICE_VIP,
        SILENT_VIP, SMALL_MTU, STANDBY_MAC, UNRESOLVED_CLIENT, VIP, WEB, WEB_PRIMARY, WEB_STANDBY, WEB_VIP,
        from_backend, from_client,
    },
};

/// `enum xdp_action` of the kernel.
pub mod action {
    pub const ABORTED: u32 = 0;
    pub const DROP: u32 = 1;
    pub const PASS: u32 = 2;
    pub const TX: u32 = 3;
    pub const REDIRECT: u32 = 4;
}

/// A story of packets.
pub struct Case {
    pub name: String,
    pub steps: Vec<Step>,
}

/// One event of it.
pub enum Step {
    /// The daemon, or the world, does something.
    Do(fn(&mut Gateway)),
    /// A packet comes.
    Packet {
        arm: Arm,
        frame: Vec<u8>,
        action: u32,
        out: Vec<u8>,
        slot: u32,
        reason: Reason,
        /// Bytes counted as forwarded and as replied.
        forwarded: usize,
        replied: usize,
    },
}

/// Every case.
pub fn all() -> Vec<Case> {
    let parts = [
        to_backends::forwarding(),
        to_backends::fib(),
        to_clients::replies(),
        to_clients::direct(),
        answers::outages(),
        answers::echo(),
        left_alone::strangers(),
        left_alone::broken(),
        ipv6::all(),
        dsr::all(),
        full_nat::all(),
        connections::all(),
        too_big::all(),
        icmp_errors::all(),
        fragments::all(),
    ];
    parts.into_iter().flatten().collect()
}

fn case(name: impl Into<String>, steps: impl IntoIterator<Item = Step>) -> Case {
    Case { name: name.into(), steps: steps.into_iter().collect() }
}

fn packet(arm: Arm, frame: Vec<u8>, action: u32, out: Vec<u8>, slot: u32, reason: Reason) -> Step {
    Step::Packet { arm, frame, action, out, slot, reason, forwarded: 0, replied: 0 }
}

/// Untouched, to the kernel.
fn pass(arm: Arm, frame: &Frame, slot: u32, reason: Reason) -> Step {
    packet(arm, frame.bytes(), action::PASS, frame.bytes(), slot, reason)
}

/// Untouched, discarded.
fn drop(arm: Arm, frame: &Frame, slot: u32, reason: Reason) -> Step {
    packet(arm, frame.bytes(), action::DROP, frame.bytes(), slot, reason)
}

/// The reset that refuses `frame`, whose data is `length` bytes of sequence space.
fn refused(frame: &Frame, vip: Address, length: u32) -> Frame {
    let Body::Tcp { seq: theirs, from: port, .. } = &frame.body else { panic!("not TCP") };
    tcp(vip, (frame.from, *port), flag::RST | flag::ACK, b"").macs(CLIENTS_ARM, CLIENT_MAC).with(|reset| {
        if let Body::Tcp { seq, ack, window, .. } = &mut reset.body {
            (*seq, *ack, *window) = (0, theirs.wrapping_add(length), 0);
        }
    })
}

/// The port unreachable that refuses `frame`.
fn unreachable(frame: &Frame) -> Frame {
    let quoted = frame.header_len() + 8;
    let (type_, code, quoted) = if frame.from.is_ipv4() { (3, 3, quoted) } else { (1, 4, quoted.min(128)) };
    icmp(frame.to, frame.from, type_, code, [0; 4], &frame.packet()[..quoted]).macs(CLIENTS_ARM, CLIENT_MAC)
}

/// The message that `frame` does not fit into `mtu` bytes, back to its sender.
fn too_big(frame: &Frame, mtu: usize) -> Frame {
    let quoted = frame.header_len() + 8;
    let (type_, code, quoted) = if frame.from.is_ipv4() { (3, 4, quoted) } else { (2, 0, quoted.min(128)) };
    let [high, low] = (mtu as u16).to_be_bytes();
    icmp(frame.to, frame.from, type_, code, [0, 0, high, low], &frame.packet()[..quoted])
        .macs(frame.to_mac, frame.from_mac)
}

/// Untouched bytes that need not be a frame, to the kernel, as nobody's.
fn pass_bytes(bytes: &[u8], reason: Reason) -> Step {
    packet(Arm::Clients, bytes.to_vec(), action::PASS, bytes.to_vec(), NO_SERVICE, reason)
}

/// From the clients' arm out of the other, counted as forwarded.
fn forward(frame: &Frame, out: &Frame, slot: u32, reason: Reason) -> Step {
    let (frame, out) = (frame.bytes(), out.bytes());
    let forwarded = out.len();
    Step::Packet {
        arm: Arm::Clients,
        frame,
        action: action::REDIRECT,
        out,
        slot,
        reason,
        forwarded,
        replied: 0,
    }
}

/// From the backends' arm out of the other, counted as replied.
fn reply(frame: &Frame, out: &Frame, slot: u32, reason: Reason) -> Step {
    let (frame, out) = (frame.bytes(), out.bytes());
    let replied = out.len();
    Step::Packet {
        arm: Arm::Backends,
        frame,
        action: action::REDIRECT,
        out,
        slot,
        reason,
        forwarded: 0,
        replied,
    }
}

/// Answered, on the clients' arm.
fn answer(frame: &Frame, out: &Frame, slot: u32, reason: Reason) -> Step {
    answer_at(Arm::Clients, frame, out, slot, reason)
}

/// Answered, on the arm it came by.
fn answer_at(arm: Arm, frame: &Frame, out: &Frame, slot: u32, reason: Reason) -> Step {
    packet(arm, frame.bytes(), action::TX, out.bytes(), slot, reason)
}

const CLIENT_PORT: Address = (CLIENT, 40000);
const ELSEWHERE: IpAddr = v4([192, 0, 2, 1]);

fn syn(vip: Address) -> Frame {
    from_client(tcp(CLIENT_PORT, vip, flag::SYN, b""))
}

fn data(vip: Address) -> Frame {
    from_client(tcp(CLIENT_PORT, vip, flag::ACK, b"odd"))
}

fn query() -> Frame {
    from_client(udp(CLIENT_PORT, NAMES_VIP, b"question"))
}

fn to_primary(frame: Frame) -> Frame {
    frame.renamed_destination(WEB_PRIMARY, BACKENDS_ARM, PRIMARY_MAC)
}

fn to_names(frame: Frame) -> Frame {
    frame.renamed_destination(NAMES_PRIMARY, BACKENDS_ARM, PRIMARY_MAC)
}

fn to_standby(frame: Frame) -> Frame {
    frame.renamed_destination(WEB_STANDBY, BACKENDS_ARM, STANDBY_MAC)
}

fn to_client(frame: Frame, vip: Address) -> Frame {
    frame.renamed_source(vip, CLIENTS_ARM, CLIENT_MAC)
}
