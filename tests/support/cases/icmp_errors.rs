//! ICMP errors about packets of services, to backends and to clients.

use fastswitch_common::word::SwitchWord;

use super::*;
use crate::support::{
    frame::v6,
    gateway::{
        CLIENT6, LINK_MTU, NAMES6, NAMES6_PRIMARY, NAMES6_VIP, OWN_ADDRESS6, PRIMARY6, SHARED, SHARED_VIP,
        SHARED6, SHARED6_VIP, VIP6, WEB6, WEB6_PRIMARY, WEB6_STANDBY, WEB6_VIP,
    },
};

const CLIENT6_PORT: Address = (CLIENT6, 40000);
/// Routers on the way to clients, and to backends.
const FAR: IpAddr = v4([192, 0, 2, 254]);
const FAR6: IpAddr = v6(0x77, 0xfe);
const NEAR_ROUTER: IpAddr = v4([10, 2, 0, 254]);
/// Type, code, rest: fragmentation needed, packet too big; port unreachable; time exceeded.
type Message = (u8, u8, [u8; 4]);
const FRAGMENTATION: Message = (3, 4, [0, 0, 4, 0xb0]);
const TOO_BIG: Message = (2, 0, [0, 0, 5, 0]);
const PORT: Message = (3, 3, [0; 4]);
const PORT6: Message = (1, 4, [0; 4]);
const TIME: Message = (11, 0, [0; 4]);
const TIME6: Message = (3, 0, [0; 4]);

/// About `quoted`, of which it has so many bytes after the IP header.
fn error(from: IpAddr, message: Message, quoted: &Frame, len: usize) -> Frame {
    let (type_, code, rest) = message;
    let mut packet = quoted.packet();
    packet.truncate(quoted.header_len() + len);
    icmp(from, quoted.from, type_, code, rest, &packet)
}

/// What a client got from a VIP, as the backend had sent it, and the other way round.
fn segment(from: Address, to: Address) -> Frame {
    tcp(from, to, flag::ACK, &[5; 60]).with(|frame| (frame.ttl, frame.id) = (61, 4711))
}

fn datagram(from: Address, to: Address) -> Frame {
    udp(from, to, &[5; 61]).with(|frame| (frame.ttl, frame.id, frame.fragment) = (61, 4711, 0))
}

fn unchecked(from: Address, to: Address) -> Frame {
    datagram(from, to).with(|frame| {
        if let Body::Udp { checksum, .. } = &mut frame.body {
            *checksum = false;
        }
    })
}

/// The error about `seen` as one about `sent`, which it was before, or is from now on.
fn renamed(from: IpAddr, message: Message, seen: &Frame, sent: &Frame, len: usize) -> Frame {
    error(from, message, sent, len).with(|frame| {
        frame.ttl -= 1;
        // Half of a checksum cannot be mended, and nobody can check it.
        if let (Body::Tcp { .. }, Body::Icmp { payload, .. }, 17) = (&seen.body, &mut frame.body, len) {
            payload[seen.header_len() + 16] = seen.packet()[seen.header_len() + 16];
        }
    })
}

/// Comes with a quote of `seen`, goes on to the primary with one of `sent`.
fn to_backend(from: IpAddr, message: Message, seen: &Frame, sent: &Frame, len: usize, slot: u32) -> Step {
    let frame = from_client(error(from, message, seen, len));
    let out = renamed(from, message, seen, sent, len).macs(BACKENDS_ARM, PRIMARY_MAC);
    forward(&frame, &out, slot, Reason::IcmpErrorForwarded)
}

/// Comes with a quote of `seen`, goes on to the client, in the name of the VIP, with one of `sent`.
fn to_client(from: IpAddr, message: Message, seen: &Frame, sent: &Frame, len: usize, slot: u32) -> Step {
    let frame = from_backend(error(from, message, seen, len));
    let out = renamed(sent.to, message, seen, sent, len).macs(CLIENTS_ARM, CLIENT_MAC);
    reply(&frame, &out, slot, Reason::IcmpErrorReplied)
}

pub(super) fn all() -> Vec<Case> {
    let mut cases = forwarded();
    cases.extend(not_forwarded());
    cases.extend(replied());
    cases.extend(not_replied());
    cases.push(strangers());
    cases
}

fn forwarded() -> Vec<Case> {
    let web = (segment(WEB_VIP, CLIENT_PORT), segment(WEB_PRIMARY, CLIENT_PORT));
    let web6 = (segment(WEB6_VIP, CLIENT6_PORT), segment(WEB6_PRIMARY, CLIENT6_PORT));
    let names = (datagram(NAMES_VIP, CLIENT_PORT), datagram(NAMES_PRIMARY, CLIENT_PORT));
    let names6 = (datagram(NAMES6_VIP, CLIENT6_PORT), datagram(NAMES6_PRIMARY, CLIENT6_PORT));
    let bare = (unchecked(NAMES_VIP, CLIENT_PORT), unchecked(NAMES_PRIMARY, CLIENT_PORT));
    let clothed = |frame: &Frame| {
        frame.clone().with(|frame| match frame.from {
            IpAddr::V4(_) => frame.options = vec![1; 40],
            IpAddr::V6(_) => frame.extensions = vec![(60, [&[2][..], &[0; 22]].concat())],
        })
    };
    let part = |frame: &Frame| frame.parts(9, 48)[0].clone();
    vec![
        case(
            "icmp error: to the backend, of TCP, from 8 quoted bytes to all of them",
            [8, 16, 17, 18, 20, 80].into_iter().flat_map(|len| {
                [
                    to_backend(FAR, FRAGMENTATION, &web.0, &web.1, len, WEB),
                    to_backend(FAR6, TOO_BIG, &web6.0, &web6.1, len, WEB6),
                ]
            }),
        ),
        case(
            "icmp error: to the backend, of UDP, with and without a checksum",
            [8, 9, 40].into_iter().flat_map(|len| {
                [
                    to_backend(CLIENT, PORT, &names.0, &names.1, len, NAMES),
                    to_backend(CLIENT6, PORT6, &names6.0, &names6.1, len, NAMES6),
                    to_backend(CLIENT, PORT, &bare.0, &bare.1, len, NAMES),
                ]
            }),
        ),
        case(
            "icmp error: to the backend, of every kind",
            [
                to_backend(FAR, TIME, &web.0, &web.1, 8, WEB),
                to_backend(FAR, (3, 1, [0; 4]), &web.0, &web.1, 8, WEB),
                to_backend(FAR, (12, 0, [20, 0, 0, 0]), &web.0, &web.1, 8, WEB),
                to_backend(FAR6, TIME6, &web6.0, &web6.1, 8, WEB6),
                to_backend(FAR6, (1, 0, [0; 4]), &web6.0, &web6.1, 8, WEB6),
                to_backend(FAR6, (4, 1, [0, 0, 0, 40]), &web6.0, &web6.1, 8, WEB6),
            ],
        ),
        case(
            "icmp error: what it quotes has options, extension headers, or was the first part of more",
            [
                to_backend(FAR, TIME, &clothed(&web.0), &clothed(&web.1), 20, WEB),
                to_backend(FAR6, TIME6, &clothed(&web6.0), &clothed(&web6.1), 20, WEB6),
                to_backend(FAR, FRAGMENTATION, &part(&names.0), &part(&names.1), 8, NAMES),
                to_backend(FAR6, TOO_BIG, &part(&names6.0), &part(&names6.1), 30, NAMES6),
            ],
        ),
        case("icmp error: itself with options, extension headers and padding", {
            let dressed = |frame: Frame| {
                frame.with(|frame| {
                    frame.padding = vec![9; 5];
                    match frame.from {
                        IpAddr::V4(_) => frame.options = vec![1; 40],
                        IpAddr::V6(_) => frame.extensions = vec![(60, [&[2][..], &[0; 22]].concat())],
                    }
                })
            };
            let step = |from, message, (seen, sent): &(Frame, Frame), slot| {
                let frame = dressed(from_client(error(from, message, seen, 8)));
                let out = dressed(error(from, message, sent, 8)).macs(BACKENDS_ARM, PRIMARY_MAC);
                let out = out.with(|frame| frame.ttl -= 1);
                forward(&frame, &out, slot, Reason::IcmpErrorForwarded)
            };
            [step(FAR, TIME, &web, WEB), step(FAR6, TIME6, &web6, WEB6)]
        }),
        case("icmp error: in mode dsr as it is", {
            let step = |from, message, seen: &Frame, slot| {
                // No hop, so that a TTL of 1 suffices.
                let frame = from_client(error(from, message, seen, 8)).with(|frame| frame.ttl = 1);
                let out = frame.clone().macs(BACKENDS_ARM, PRIMARY_MAC);
                forward(&frame, &out, slot, Reason::IcmpErrorForwarded)
            };
            [
                step(FAR, FRAGMENTATION, &segment(SHARED_VIP, CLIENT_PORT), SHARED),
                step(FAR6, TOO_BIG, &datagram(SHARED6_VIP, CLIENT6_PORT), SHARED6),
            ]
        }),
        case("icmp error: to the active backend, by the FIB where need be", {
            let step = |from, message, seen: Address, sent: Address, client, slot| {
                let frame = from_client(error(from, message, &segment(seen, client), 20));
                let out = error(from, message, &segment(sent, client), 20).macs(BACKENDS_ARM, STANDBY_MAC);
                forward(&frame, &out.with(|frame| frame.ttl -= 1), slot, Reason::IcmpErrorForwarded)
            };
            [
                Step::Do(|gateway| gateway.switch(WEB, Some(1), false)),
                Step::Do(|gateway| gateway.switch(WEB6, Some(1), false)),
                step(FAR, FRAGMENTATION, WEB_VIP, WEB_STANDBY, CLIENT_PORT, WEB),
                step(FAR6, TOO_BIG, WEB6_VIP, WEB6_STANDBY, CLIENT6_PORT, WEB6),
            ]
        }),
        case(
            "icmp error: to the draining backend about what was open there",
            [
                Step::Do(|gateway| gateway.store(WEB, SwitchWord::new(Some(1), Some(0), false, 5))),
                to_backend(FAR, FRAGMENTATION, &web.0, &web.1, 8, WEB),
            ],
        ),
    ]
}

fn not_forwarded() -> Vec<Case> {
    let about = |len| from_client(error(FAR, FRAGMENTATION, &tcp(WEB_VIP, CLIENT_PORT, 0, &[5; 1500]), len));
    vec![
        case(
            "icmp error: no backend at all",
            [
                Step::Do(|gateway| gateway.switch(WEB, None, true)),
                drop(Arm::Clients, &about(8), WEB, Reason::NoBackend),
            ],
        ),
        case(
            "icmp error: TTL 1 stays",
            [pass(Arm::Clients, &about(8).with(|frame| frame.ttl = 1), WEB, Reason::TtlExpired)],
        ),
        case(
            "icmp error: too big itself is not answered",
            [drop(Arm::Clients, &about(LINK_MTU - 47), WEB, Reason::FibTooBig)],
        ),
    ]
}

fn replied() -> Vec<Case> {
    let names = (datagram(CLIENT_PORT, NAMES_PRIMARY), datagram(CLIENT_PORT, NAMES_VIP));
    let names6 = (datagram(CLIENT6_PORT, NAMES6_PRIMARY), datagram(CLIENT6_PORT, NAMES6_VIP));
    let web = (segment(CLIENT_PORT, WEB_STANDBY), segment(CLIENT_PORT, WEB_VIP));
    let web6 = (segment(CLIENT6_PORT, WEB6_PRIMARY), segment(CLIENT6_PORT, WEB6_VIP));
    let bare = (unchecked(CLIENT_PORT, NAMES_PRIMARY), unchecked(CLIENT_PORT, NAMES_VIP));
    let shared = segment(CLIENT_PORT, SHARED_VIP);
    let shared6 = datagram(CLIENT6_PORT, SHARED6_VIP);
    vec![
        case(
            "icmp error: a backend that has nobody at the port, to the client",
            [8, 9, 69].into_iter().flat_map(|len| {
                [
                    to_client(PRIMARY, PORT, &names.0, &names.1, len, NAMES),
                    to_client(PRIMARY6, PORT6, &names6.0, &names6.1, len, NAMES6),
                    to_client(PRIMARY, PORT, &bare.0, &bare.1, len, NAMES),
                ]
            }),
        ),
        case(
            "icmp error: a router before the backends, to the client",
            [8, 16, 17, 18, 20, 80].into_iter().flat_map(|len| {
                [
                    to_client(NEAR_ROUTER, FRAGMENTATION, &web.0, &web.1, len, WEB),
                    to_client(v6(2, 0xfe), TOO_BIG, &web6.0, &web6.1, len, WEB6),
                    to_client(NEAR_ROUTER, TIME, &web.0, &web.1, len, WEB),
                    to_client(v6(2, 0xfe), TIME6, &web6.0, &web6.1, len, WEB6),
                ]
            }),
        ),
        case(
            "icmp error: in mode dsr, to the client",
            [
                to_client(VIP, (3, 2, [0; 4]), &shared, &shared, 20, SHARED),
                to_client(VIP6, PORT6, &shared6, &shared6, 20, SHARED6),
            ],
        ),
        case("icmp error: to a client without a neighbour entry, by the way its packets came", {
            let lost = (UNRESOLVED_CLIENT, 40000);
            let query = from_client(udp(lost, NAMES_VIP, b"q"));
            let (seen, sent) = (datagram(lost, NAMES_PRIMARY), datagram(lost, NAMES_VIP));
            let frame = from_backend(error(PRIMARY, PORT, &seen, 8));
            [
                drop(Arm::Backends, &frame, NAMES, Reason::FibNoNeighbour),
                forward(&query, &to_names(query.clone()), NAMES, Reason::Forwarded),
                to_client(PRIMARY, PORT, &seen, &sent, 8, NAMES),
            ]
        }),
    ]
}

fn not_replied() -> Vec<Case> {
    let left = |frame: Frame, slot, reason| pass(Arm::Backends, &from_backend(frame), slot, reason);
    let there = from_client(udp(CLIENT_PORT, NAMES_PRIMARY, b"q"));
    vec![
        case(
            "icmp error: about the gateway's own heartbeats",
            [
                left(error(PRIMARY, PORT, &datagram((OWN_ADDRESS, 9), NAMES_PRIMARY), 8), NAMES, {
                    Reason::ToGateway
                }),
                left(error(PRIMARY6, PORT6, &datagram((OWN_ADDRESS6, 9), NAMES6_PRIMARY), 8), NAMES6, {
                    Reason::ToGateway
                }),
            ],
        ),
        case(
            "icmp error: about a packet to a backend's own address",
            [
                pass(Arm::Clients, &there, NAMES, Reason::Direct),
                left(error(PRIMARY, PORT, &datagram(CLIENT_PORT, NAMES_PRIMARY), 8), NAMES, Reason::Direct),
            ],
        ),
        case("icmp error: to the client with TTL 1 stays", {
            let frame = error(PRIMARY, PORT, &datagram(CLIENT_PORT, NAMES_PRIMARY), 8);
            [left(frame.with(|frame| frame.ttl = 1), NAMES, Reason::TtlExpired)]
        }),
        case("icmp error: to the client, too big itself, is not answered", {
            let seen = udp(CLIENT_PORT, NAMES_PRIMARY, &[5; 1500]);
            let frame = from_backend(error(PRIMARY, PORT, &seen, LINK_MTU - 47));
            [drop(Arm::Backends, &frame, NAMES, Reason::FibTooBig)]
        }),
    ]
}

fn strangers() -> Case {
    let web = segment(WEB_VIP, CLIENT_PORT);
    let web6 = segment(WEB6_VIP, CLIENT6_PORT);
    let mapped = |address: IpAddr| match address {
        IpAddr::V4(address) => IpAddr::V6(address.to_ipv6_mapped()),
        IpAddr::V6(_) => address,
    };
    let later = datagram(NAMES_VIP, CLIENT_PORT).parts(1, 24)[1].clone();
    let later6 = datagram(NAMES6_VIP, CLIENT6_PORT).parts(1, 24)[1].clone();
    let ping = icmp(VIP, CLIENT, 8, 0, [0; 4], &[0; 30]);
    let poke = |mut frame: Frame, at: usize, byte: u8| {
        if let Body::Icmp { payload, .. } = &mut frame.body {
            payload[at] = byte;
        }
        frame
    };
    let frames = [
        // Another port, another protocol, another receiver than who sent the quoted packet.
        error(FAR, TIME, &segment((VIP, 81), CLIENT_PORT), 8),
        error(FAR, TIME, &segment(NAMES_VIP, CLIENT_PORT), 8),
        error(FAR, TIME, &segment(CLIENT_PORT, WEB_VIP), 8),
        error(FAR, TIME, &web, 8).with(|frame| frame.to = OWN_ADDRESS),
        error(FAR6, TIME6, &web6, 8).with(|frame| frame.to = OWN_ADDRESS6),
        error(PRIMARY, PORT, &datagram(CLIENT_PORT, (PRIMARY, 22)), 8),
        // Source quench, redirect; no error at all.
        error(FAR, (4, 0, [0; 4]), &web, 8),
        error(FAR, (5, 1, [10, 1, 0, 1]), &web, 8),
        error(FAR6, (137, 0, [0; 4]), &web6, 8),
        // What says too little, or nothing, of ports.
        error(FAR, TIME, &web, 7),
        error(FAR6, TIME6, &web6, 7),
        error(FAR, FRAGMENTATION, &later, 16),
        error(FAR6, TOO_BIG, &later6, 16),
        error(FAR, TIME, &ping, 20),
        poke(error(FAR, TIME, &web, 8), 0, 0x55),
        poke(error(FAR, TIME, &web, 8), 0, 0x44),
        poke(error(FAR6, TIME6, &web6, 8), 0, 0x40),
        icmp(FAR, VIP, 11, 0, [0; 4], b""),
        icmp(FAR6, VIP6, 3, 0, [0; 4], &[0x60; 39]),
        // IPv4 in IPv6 clothes.
        error(FAR6, PORT6, &udp(CLIENT6_PORT, (mapped(PRIMARY), 5353), b"q"), 8),
    ];
    case(
        "icmp error: of no service, of no interest, or not understood",
        frames.map(|frame| pass(Arm::Clients, &from_client(frame), NO_SERVICE, Reason::NotOurs)),
    )
}
