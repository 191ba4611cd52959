//! Mode `full_nat`: both ends are renamed, by flows that begin, prove themselves, end, and run out of ports and room.

use fastswitch_common::word::SwitchWord;

use super::*;
use crate::support::gateway::{
    CLIENT6, FLOW_ENTRIES, FULL, FULL_PRIMARY, FULL_STANDBY, FULL_VIP, FULL6, FULL6_PRIMARY, FULL6_VIP,
    OWN_ADDRESS6, TIGHT, TIGHT_BACKEND, TIGHT_PORTS, TIGHT_VIP, source_port,
};

const CLIENT6_PORT: Address = (CLIENT6, 40000);

/// A segment of the client's port to the service.
fn from(port: u16, flags: u8) -> Frame {
    from_client(tcp((CLIENT, port), FULL_VIP, flags, b""))
}

/// The same as the primary gets it.
fn at_primary(frame: Frame, port: u16) -> Frame {
    frame.renamed((OWN_ADDRESS, source_port(port)), FULL_PRIMARY, BACKENDS_ARM, PRIMARY_MAC)
}

fn at_standby(frame: Frame, port: u16) -> Frame {
    frame.renamed((OWN_ADDRESS, source_port(port)), FULL_STANDBY, BACKENDS_ARM, STANDBY_MAC)
}

/// A segment of the primary to the gateway's port that stands for the client's.
fn back(port: u16, flags: u8) -> Frame {
    from_backend(tcp(FULL_PRIMARY, (OWN_ADDRESS, source_port(port)), flags, b""))
}

/// The same as the client gets it.
fn at_client(frame: Frame, port: u16) -> Frame {
    frame.renamed(FULL_VIP, (CLIENT, port), CLIENTS_ARM, CLIENT_MAC)
}

fn sends(port: u16, flags: u8) -> Step {
    forward(&from(port, flags), &at_primary(from(port, flags), port), FULL, Reason::Forwarded)
}

fn answers(port: u16, flags: u8) -> Step {
    reply(&back(port, flags), &at_client(back(port, flags), port), FULL, Reason::Replied)
}

/// A connection that both ends have opened.
fn opened(port: u16) -> [Step; 3] {
    [sends(port, flag::SYN), answers(port, flag::SYN | flag::ACK), sends(port, flag::ACK)]
}

/// The reset that tells the client of a connection that nobody knows.
fn unknown(frame: &Frame) -> Frame {
    let Body::Tcp { ack: waited_for, from: port, .. } = &frame.body else { panic!("not TCP") };
    let reset = tcp(FULL_VIP, (frame.from, *port), flag::RST, b"").macs(CLIENTS_ARM, CLIENT_MAC);
    reset.with(|reset| {
        if let Body::Tcp { seq, ack, window, .. } = &mut reset.body {
            (*seq, *ack, *window) = (*waited_for, 0, 0);
        }
    })
}

fn switch_to_standby() -> Step {
    Step::Do(|gateway| gateway.switch(FULL, Some(1), false))
}

pub(super) fn all() -> Vec<Case> {
    [connections(), datagrams(), switches(), limits()].into_iter().flatten().collect()
}

fn connections() -> Vec<Case> {
    let lost = from(40001, flag::ACK);
    let resets = from(40001, flag::RST);
    vec![
        case(
            "full_nat: a connection opens, goes on, and ends",
            opened(40000).into_iter().chain([
                answers(40000, flag::ACK),
                sends(40000, flag::FIN | flag::ACK),
                answers(40000, flag::FIN | flag::ACK),
                sends(40000, flag::ACK),
                // The port is used once more.
                sends(40000, flag::SYN),
            ]),
        ),
        case(
            "full_nat: an attempt is repeated, refused, and repeated",
            [
                sends(40000, flag::SYN),
                sends(40000, flag::SYN),
                answers(40000, flag::RST | flag::ACK),
                sends(40000, flag::SYN),
            ],
        ),
        case(
            "full_nat: options, payload and padding go along",
            [{
                let full = from(40000, flag::SYN).with(|frame| {
                    (frame.options, frame.padding) = (vec![1; 12], vec![7; 9]);
                    if let Body::Tcp { payload, .. } = &mut frame.body {
                        *payload = b"fast open".to_vec();
                    }
                });
                forward(&full, &at_primary(full.clone(), 40000), FULL, Reason::Forwarded)
            }],
        ),
        case(
            "full_nat: a connection that nobody knows is reset, a reset is not",
            [
                answer(&lost, &unknown(&lost), FULL, Reason::FlowUnknown),
                pass(Arm::Clients, &resets, FULL, Reason::NoFlow),
            ],
        ),
        case(
            "full_nat: a backend speaks to others than clients",
            [
                pass(
                    Arm::Backends,
                    &from_backend(tcp(FULL_PRIMARY, (OWN_ADDRESS, 50000), flag::ACK, b"")),
                    NO_SERVICE,
                    Reason::NoFlow,
                ),
                pass(
                    Arm::Clients,
                    &from_client(tcp(CLIENT_PORT, FULL_PRIMARY, flag::SYN, b"")),
                    NO_SERVICE,
                    Reason::NoFlow,
                ),
            ],
        ),
        case(
            "full_nat: too few hops left",
            [
                sends(40000, flag::SYN),
                pass(
                    Arm::Clients,
                    &from(40000, flag::ACK).with(|frame| frame.ttl = 1),
                    FULL,
                    Reason::TtlExpired,
                ),
                pass(
                    Arm::Backends,
                    &back(40000, flag::ACK).with(|frame| frame.ttl = 1),
                    FULL,
                    Reason::TtlExpired,
                ),
            ],
        ),
    ]
}

fn datagrams() -> Vec<Case> {
    let query = || from_client(udp(CLIENT6_PORT, FULL6_VIP, b"question"));
    let from_gateway = (OWN_ADDRESS6, source_port(40000));
    let at_backend = |frame: Frame| frame.renamed(from_gateway, FULL6_PRIMARY, BACKENDS_ARM, PRIMARY_MAC);
    let response = || from_backend(udp(FULL6_PRIMARY, from_gateway, b"answer"));
    let at_client = |frame: Frame| frame.renamed(FULL6_VIP, CLIENT6_PORT, CLIENTS_ARM, CLIENT_MAC);
    let asks = || forward(&query(), &at_backend(query()), FULL6, Reason::Forwarded);
    let responds = || reply(&response(), &at_client(response()), FULL6, Reason::Replied);
    let bare = |frame: Frame| {
        frame.with(|frame| {
            if let Body::Udp { checksum, .. } = &mut frame.body {
                *checksum = false;
            }
        })
    };
    let extended =
        |frame: Frame| frame.with(|frame| frame.extensions = vec![(60, vec![0, 1, 4, 0, 0, 0, 0])]);
    vec![
        case("full_nat: datagrams to and fro", [asks(), asks(), responds(), asks(), responds(), asks()]),
        case(
            "full_nat: no checksum stays none, extension headers stay",
            [
                forward(&bare(query()), &at_backend(bare(query())), FULL6, Reason::Forwarded),
                forward(&extended(query()), &at_backend(extended(query())), FULL6, Reason::Forwarded),
            ],
        ),
        case(
            "full_nat: an outage is answered, for a flow that there is too",
            [
                asks(),
                responds(),
                asks(),
                Step::Do(|gateway| gateway.switch(FULL6, Some(0), true)),
                answer(&query(), &unreachable(&query()), FULL6, Reason::OutageUnreachable),
            ],
        ),
    ]
}

fn switches() -> Vec<Case> {
    let data = || from(40000, flag::ACK);
    let to_standby = |port, flags| {
        forward(&from(port, flags), &at_standby(from(port, flags), port), FULL, Reason::ForwardedFib)
    };
    vec![
        case(
            "full_nat: connections of a backend that does not serve any more are reset at once, new ones go on",
            opened(40000).into_iter().chain([
                switch_to_standby(),
                answer(&data(), &unknown(&data()), FULL, Reason::FlowUnknown),
                to_standby(40000, flag::SYN),
                to_standby(40001, flag::SYN),
            ]),
        ),
        case(
            "full_nat: what was open stays with the draining backend, there and back",
            opened(40000).into_iter().chain([
                Step::Do(|gateway| gateway.store(FULL, SwitchWord::new(Some(1), Some(0), false, 5))),
                sends(40000, flag::ACK),
                to_standby(40001, flag::SYN),
                to_standby(40001, flag::ACK),
                Step::Do(|gateway| gateway.store(FULL, SwitchWord::new(Some(0), Some(1), false, 6))),
                sends(40000, flag::ACK),
                to_standby(40001, flag::ACK),
                answers(40000, flag::ACK),
                Step::Do(|gateway| gateway.store(FULL, SwitchWord::new(Some(0), None, false, 7))),
                sends(40000, flag::ACK),
            ]),
        ),
        case(
            "full_nat: an outage is answered, and what is open goes on",
            opened(40000).into_iter().chain([
                Step::Do(|gateway| gateway.switch(FULL, Some(0), true)),
                answer(
                    &from(40001, flag::SYN),
                    &refused(&from(40001, flag::SYN), FULL_VIP, 1),
                    FULL,
                    Reason::OutageReset,
                ),
                sends(40000, flag::ACK),
                Step::Do(|gateway| gateway.switch(FULL, None, true)),
                answer(&data(), &unknown(&data()), FULL, Reason::FlowUnknown),
            ]),
        ),
    ]
}

fn limits() -> Vec<Case> {
    let near = |port: u16, flags| from_client(tcp((CLIENT, port), TIGHT_VIP, flags, b""));
    let own = v4([10, 1, 0, 1]);
    let tight = |port: u16, flags, source: u16| Step::Packet {
        arm: Arm::Clients,
        frame: near(port, flags).bytes(),
        action: action::TX,
        out: near(port, flags).renamed((own, source), TIGHT_BACKEND, CLIENTS_ARM, NEAR_BACKEND_MAC).bytes(),
        slot: TIGHT,
        reason: Reason::Forwarded,
        forwarded: near(port, flags).bytes().len(),
        replied: 0,
    };
    let answered = |port: u16, flags, source: u16| {
        let answer = tcp(TIGHT_BACKEND, (own, source), flags, b"").macs(NEAR_BACKEND_MAC, CLIENTS_ARM);
        let out = answer.clone().renamed(TIGHT_VIP, (CLIENT, port), CLIENTS_ARM, CLIENT_MAC);
        Step::Packet {
            arm: Arm::Clients,
            frame: answer.bytes(),
            action: action::TX,
            out: out.bytes(),
            slot: TIGHT,
            reason: Reason::Replied,
            forwarded: 0,
            replied: out.bytes().len(),
        }
    };
    // Client ports that the gateway's four stand for in the same order.
    let (first, source) = (40_000, 60_000);
    let ports = (0..TIGHT_PORTS).map(move |n| (first + n, source + n));
    let all_open = || {
        ports.clone().flat_map(|(client, source)| {
            [
                tight(client, flag::SYN, source),
                answered(client, flag::SYN | flag::ACK, source),
                tight(client, flag::ACK, source),
            ]
        })
    };
    let one_more = near(first + TIGHT_PORTS, flag::SYN);
    let room = (FLOW_ENTRIES / 2) as u16;
    vec![
        case("full_nat: one arm suffices", all_open().take(3)),
        case(
            "full_nat: no port is free",
            all_open().chain([drop(Arm::Clients, &one_more, TIGHT, Reason::PortsExhausted)]),
        ),
        case(
            "full_nat: an attempt yields its port",
            all_open()
                .take(9)
                .chain([
                    tight(first + 3, flag::SYN, source + 3),
                    tight(first + TIGHT_PORTS + 3, flag::SYN, source + 3),
                ])
                .collect::<Vec<_>>(),
        ),
        case(
            "full_nat: with the table full, flows go on without being safe",
            (0..room).flat_map(|n| opened(30_000 + n)).chain([
                sends(41_000, flag::SYN),
                answers(41_000, flag::SYN | flag::ACK),
                forward(
                    &from(41_000, flag::ACK),
                    &at_primary(from(41_000, flag::ACK), 41_000),
                    FULL,
                    Reason::FlowsFull,
                ),
                answers(41_000, flag::ACK),
            ]),
        ),
    ]
}
