//! IPv6, mode `nat`: the same stories, and what only IPv6 has.

use fastswitch_common::word::SwitchWord;

use super::*;
use crate::support::{
    frame::v6,
    gateway::{
        CLIENT6, DEAD_ENDS6, LOST6, LOST6_VIP, NAMES6, NAMES6_PRIMARY, NAMES6_VIP, OWN_ADDRESS6, PRIMARY6,
        SMALL_MTU6, UNRESOLVED_CLIENT6, VIP6, WEB6, WEB6_PRIMARY, WEB6_STANDBY, WEB6_VIP,
    },
};

const CLIENT_PORT: Address = (CLIENT6, 40000);
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const AUTHENTICATION: u8 = 51;
const OPTIONS: u8 = 60;

fn syn() -> Frame {
    from_client(tcp(CLIENT_PORT, WEB6_VIP, flag::SYN, b""))
}

pub(super) fn data() -> Frame {
    from_client(tcp(CLIENT_PORT, WEB6_VIP, flag::ACK, b"odd"))
}

fn query() -> Frame {
    from_client(udp(CLIENT_PORT, NAMES6_VIP, b"question"))
}

fn web(frame: &Frame) -> Step {
    let out = frame.clone().renamed_destination(WEB6_PRIMARY, BACKENDS_ARM, PRIMARY_MAC);
    forward(frame, &out, WEB6, Reason::Forwarded)
}

fn names(frame: &Frame) -> Step {
    let out = frame.clone().renamed_destination(NAMES6_PRIMARY, BACKENDS_ARM, PRIMARY_MAC);
    forward(frame, &out, NAMES6, Reason::Forwarded)
}

fn standby(frame: &Frame) -> Step {
    let out = frame.clone().renamed_destination(WEB6_STANDBY, BACKENDS_ARM, STANDBY_MAC);
    forward(frame, &out, WEB6, Reason::ForwardedFib)
}

fn replied(frame: &Frame, vip: Address, slot: u32) -> Step {
    let out = frame.clone().renamed_source(vip, CLIENTS_ARM, CLIENT_MAC);
    reply(frame, &out, slot, Reason::Replied)
}

/// An extension header of one unit of eight bytes, whose bytes four and five are these.
fn extension(type_: u8, third: u8, fourth: u8) -> (u8, Vec<u8>) {
    (type_, vec![0, third, fourth, 0, 0, 0, 1])
}

pub(super) fn all() -> Vec<Case> {
    [forwarding(), replies(), answers(), extensions(), broken()].into_iter().flatten().collect()
}

fn forwarding() -> Vec<Case> {
    let mut cases = vec![
        case("ipv6 forward: TCP to another port, SYN and data", [web(&syn()), web(&data())]),
        case("ipv6 forward: UDP", [names(&query())]),
        case(
            "ipv6 forward: traffic class, TCP options, padding",
            [web(&data().with(|frame| {
                (frame.tos, frame.padding) = (0xb8, vec![7; 20]);
                if let Body::Tcp { options, .. } = &mut frame.body {
                    options.extend([1; 40]);
                }
            }))],
        ),
        case(
            "ipv6 forward: a full frame",
            [web(&from_client(tcp(CLIENT_PORT, WEB6_VIP, flag::ACK, &[0xa5; 1440])))],
        ),
        case(
            "ipv6 forward: hop limit 2 leaves, 1 and 0 stay",
            [
                web(&syn().with(|frame| frame.ttl = 2)),
                pass(Arm::Clients, &syn().with(|frame| frame.ttl = 1), WEB6, Reason::TtlExpired),
                pass(Arm::Clients, &syn().with(|frame| frame.ttl = 0), WEB6, Reason::TtlExpired),
            ],
        ),
        case(
            "ipv6 forward: the switch word decides, packet by packet",
            [
                Step::Do(|gateway| gateway.switch(WEB6, Some(1), false)),
                standby(&data()),
                Step::Do(|gateway| gateway.switch(WEB6, Some(0), false)),
                web(&data()),
            ],
        ),
        case("ipv6 forward: what was open stays with the draining backend", {
            let other = from_client(tcp((CLIENT6, 50_001), WEB6_VIP, flag::SYN, b""));
            [
                Step::Do(|gateway| gateway.store(WEB6, SwitchWord::new(Some(1), Some(0), false, 5))),
                web(&data()),
                standby(&other),
                standby(&from_client(tcp((CLIENT6, 50_001), WEB6_VIP, flag::ACK, b"x"))),
            ]
        }),
        case("ipv6 forward: UDP checksum that comes out as zero is written as ones", {
            let frame = |word: u16| from_client(udp(CLIENT_PORT, NAMES6_VIP, &word.to_be_bytes()));
            let ones = |frame: &Frame| {
                let out = frame.clone().renamed_destination(NAMES6_PRIMARY, BACKENDS_ARM, PRIMARY_MAC);
                out.bytes()[60..62] == [0xff, 0xff]
            };
            [names(&(0..=u16::MAX).map(frame).find(ones).expect("one of all words does"))]
        }),
        case(
            "ipv6: another port, protocol or address is a stranger's",
            [(VIP6, 81), (v6(1, 0x101), 80), NAMES6_VIP].map(|to| {
                pass(
                    Arm::Clients,
                    &from_client(tcp(CLIENT_PORT, to, flag::SYN, b"")),
                    NO_SERVICE,
                    Reason::NotOurs,
                )
            }),
        ),
        case("ipv6: an IPv4 address in IPv6 clothes is nobody's", {
            let IpAddr::V4(vip) = VIP else { panic!("not IPv4") };
            let mapped = IpAddr::V6(vip.to_ipv6_mapped());
            [pass(
                Arm::Clients,
                &from_client(tcp(CLIENT_PORT, (mapped, 80), flag::SYN, b"")),
                NO_SERVICE,
                Reason::NotOurs,
            )]
        }),
    ];
    const POINT: [fn(&mut Gateway); DEAD_ENDS6.len()] = [
        |gateway| gateway.switch(LOST6, Some(0), false),
        |gateway| gateway.switch(LOST6, Some(1), false),
        |gateway| gateway.switch(LOST6, Some(2), false),
        |gateway| gateway.switch(LOST6, Some(3), false),
        |gateway| gateway.switch(LOST6, Some(4), false),
        |gateway| gateway.switch(LOST6, Some(5), false),
    ];
    for ((backend, reason), point) in DEAD_ENDS6.into_iter().zip(POINT) {
        let payload = if reason == Reason::TooBig { vec![0; SMALL_MTU6 - 59] } else { vec![] };
        let frame = from_client(tcp(CLIENT_PORT, LOST6_VIP, flag::ACK, &payload));
        let step = match reason {
            Reason::TooBig => answer(&frame, &too_big(&frame, SMALL_MTU6), LOST6, reason),
            Reason::FibNotForwarded => pass(Arm::Clients, &frame, LOST6, reason),
            _ => drop(Arm::Clients, &frame, LOST6, reason),
        };
        cases.push(case(format!("ipv6 fib: {} to {backend}", reason.name()), [Step::Do(point), step]));
    }
    cases
}

fn replies() -> Vec<Case> {
    let answer = from_backend(tcp(WEB6_PRIMARY, CLIENT_PORT, flag::SYN | flag::ACK, b""));
    let late = from_backend(tcp(WEB6_STANDBY, CLIENT_PORT, flag::ACK, b"late"));
    let lost = (UNRESOLVED_CLIENT6, 40000);
    let to_lost = from_backend(udp(NAMES6_PRIMARY, lost, b"a"));
    let there = from_client(tcp(CLIENT_PORT, WEB6_PRIMARY, flag::SYN, b""));
    let back = from_backend(tcp(WEB6_PRIMARY, CLIENT_PORT, flag::ACK, b"direct"));
    vec![
        case(
            "ipv6 reply: of the active backend, of another, over UDP",
            [
                replied(&answer, WEB6_VIP, WEB6),
                replied(&late, WEB6_VIP, WEB6),
                replied(&from_backend(udp(NAMES6_PRIMARY, CLIENT_PORT, b"answer")), NAMES6_VIP, NAMES6),
            ],
        ),
        case(
            "ipv6 reply: to the gateway itself",
            [pass(
                Arm::Backends,
                &from_backend(tcp(WEB6_PRIMARY, (OWN_ADDRESS6, 50000), flag::ACK, b"pong")),
                WEB6,
                Reason::ToGateway,
            )],
        ),
        case(
            "ipv6 reply: another port of the backend's machine is not the service's",
            [pass(
                Arm::Backends,
                &from_backend(tcp((PRIMARY6, 22), CLIENT_PORT, flag::ACK, b"ssh")),
                NO_SERVICE,
                Reason::NotOurs,
            )],
        ),
        case("ipv6 reply: to a client without a neighbour entry, by the way its datagram came", {
            let query = from_client(udp(lost, NAMES6_VIP, b"q"));
            let out = to_lost.clone().renamed_source(NAMES6_VIP, CLIENTS_ARM, CLIENT_MAC);
            [
                drop(Arm::Backends, &to_lost, NAMES6, Reason::FibNoNeighbour),
                names(&query),
                reply(&to_lost, &out, NAMES6, Reason::RepliedLearned),
            ]
        }),
        case(
            "ipv6 direct: a backend's own address works, until the VIP is used from the same port",
            [
                pass(Arm::Clients, &there, WEB6, Reason::Direct),
                pass(Arm::Backends, &back, WEB6, Reason::Direct),
                web(&syn()),
                replied(&back, WEB6_VIP, WEB6),
            ],
        ),
    ]
}

fn answers() -> Vec<Case> {
    let ping = |to| from_client(icmp(CLIENT6, to, 128, 0, [1, 2, 3, 4], b"are you there?"));
    let pong = icmp(VIP6, CLIENT6, 129, 0, [1, 2, 3, 4], b"are you there?").macs(CLIENTS_ARM, CLIENT_MAC);
    let not_ours = |frame: &Frame| pass(Arm::Clients, frame, NO_SERVICE, Reason::NotOurs);
    let no_station = [IpAddr::V6(std::net::Ipv6Addr::LOCALHOST), IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED)];
    let multicast = IpAddr::V6(std::net::Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1));
    let outage = Step::Do(|gateway| gateway.switch(WEB6, Some(0), true));
    let refuse =
        |frame: Frame, length| answer(&frame, &refused(&frame, WEB6_VIP, length), WEB6, Reason::OutageReset);
    let unreached = |frame: Frame| answer(&frame, &unreachable(&frame), NAMES6, Reason::OutageUnreachable);
    vec![
        case(
            "ipv6 echo: a VIP answers, with hop limit 1 too; others are left alone",
            [
                answer(&ping(VIP6), &pong, NO_SERVICE, Reason::EchoAnswered),
                answer(&ping(VIP6).with(|frame| frame.ttl = 1), &pong, NO_SERVICE, Reason::EchoAnswered),
                not_ours(&ping(OWN_ADDRESS6)),
                not_ours(&from_client(icmp(CLIENT6, VIP6, 129, 0, [0; 4], b"unasked"))),
                not_ours(&from_client(icmp(CLIENT6, VIP6, 8, 0, [0; 4], b"of IPv4"))),
            ],
        ),
        case(
            "ipv6 echo: behind an extension header",
            [answer(
                &ping(VIP6).with(|frame| frame.extensions = vec![extension(OPTIONS, 1, 4)]),
                &pong.clone().with(|frame| frame.extensions = vec![extension(OPTIONS, 1, 4)]),
                NO_SERVICE,
                Reason::EchoAnswered,
            )],
        ),
        case(
            "ipv6: neighbour discovery is the kernel's",
            [135, 136].map(|type_| not_ours(&from_client(icmp(CLIENT6, VIP6, type_, 0, [0; 4], &[0; 24])))),
        ),
        case(
            "ipv6 echo: senders that are no single station get no answer",
            no_station
                .into_iter()
                .chain([multicast])
                .map(|from| not_ours(&from_client(icmp(from, VIP6, 128, 0, [0; 4], b"")))),
        ),
        case(
            "ipv6 outage: a SYN is reset, what is under way goes on",
            [
                outage,
                refuse(syn(), 1),
                refuse(
                    from_client(tcp(CLIENT_PORT, WEB6_VIP, flag::SYN | flag::FIN, b"fast open")).with(
                        |frame| {
                            frame.extensions = vec![extension(HOP_BY_HOP, 1, 4), extension(OPTIONS, 1, 4)];
                            frame.padding = vec![9; 13];
                        },
                    ),
                    11,
                ),
                web(&data()),
            ],
        ),
        case(
            "ipv6 outage: a datagram is unreachable",
            [
                Step::Do(|gateway| gateway.switch(NAMES6, None, false)),
                unreached(query()),
                unreached(query().with(|frame| frame.extensions = vec![extension(OPTIONS, 1, 4)])),
                unreached(query().with(|frame| {
                    frame.extensions = vec![(OPTIONS, [&[19, 1, 154][..], &[0; 156]].concat())];
                })),
            ],
        ),
        case(
            "ipv6 outage: senders that are no single station get silence",
            [Step::Do(|gateway| gateway.switch(WEB6, None, true))].into_iter().chain(no_station.map(
                |from| {
                    let frame = from_client(tcp((from, 4), WEB6_VIP, flag::SYN, b""));
                    drop(Arm::Clients, &frame, WEB6, Reason::OutageDropped)
                },
            )),
        ),
    ]
}

fn extensions() -> Vec<Case> {
    let with = |extensions: Vec<(u8, Vec<u8>)>| syn().with(|frame| frame.extensions = extensions);
    let not_ours = |frame: &Frame| pass(Arm::Clients, frame, NO_SERVICE, Reason::NotOurs);
    let long = (OPTIONS, [&[2, 1, 18][..], &[0; 20]].concat());
    vec![
        case(
            "ipv6 extension: each kind, several, long ones",
            [
                web(&with(vec![extension(HOP_BY_HOP, 1, 4)])),
                web(&with(vec![extension(ROUTING, 4, 0)])),
                web(&with(vec![extension(HOP_BY_HOP, 1, 4), extension(OPTIONS, 1, 4), long.clone(), long])),
                names(&query().with(|frame| frame.extensions = vec![extension(OPTIONS, 1, 4)])),
            ],
        ),
        case(
            "ipv6 extension: six are read, seven are not",
            [6, 7].map(|count| {
                let frame = with(vec![extension(OPTIONS, 1, 4); count]);
                if count == 6 { web(&frame) } else { not_ours(&frame) }
            }),
        ),
        case(
            "ipv6 extension: with a way still to go, it is for somebody else",
            [not_ours(&with(vec![extension(ROUTING, 4, 1)]))],
        ),
        case(
            "ipv6 extension: what hides the rest is left alone",
            [not_ours(&with(vec![extension(AUTHENTICATION, 0, 0)]))],
        ),
        case(
            "ipv6 extension: nothing follows",
            [not_ours(&from_client(Frame::new(
                CLIENT6,
                VIP6,
                Body::Other { protocol: 59, payload: vec![] },
            )))],
        ),
        case(
            "ipv6 extension: a fragment header on a whole packet makes no fragment",
            [web(&with(vec![extension(FRAGMENT, 0, 0)]))],
        ),
    ]
}

fn broken() -> Vec<Case> {
    const IP: usize = 14;
    let poke = |frame: Frame, at: usize, value: u8| {
        let mut bytes = frame.bytes();
        bytes[at] = value;
        pass_bytes(&bytes, Reason::Malformed)
    };
    let optional = || syn().with(|frame| frame.extensions = vec![extension(OPTIONS, 1, 4)]);
    let mut cases = vec![
        case("ipv6 malformed: version", [0x00, 0x40, 0x50, 0x70].map(|byte| poke(data(), IP, byte))),
        case(
            "ipv6 malformed: payload length beyond the frame, or too small",
            [
                poke(data(), IP + 4, 1),
                poke(data(), IP + 5, 24),
                poke(syn(), IP + 5, 19),
                poke(query(), IP + 5, 7),
            ],
        ),
        case("ipv6 malformed: an extension header beyond the packet", [poke(optional(), IP + 41, 9)]),
        case("ipv6 malformed: TCP data offset", [0x00, 0x40, 0x60].map(|byte| poke(syn(), IP + 52, byte))),
        case("ipv6 malformed: UDP length", [0, 7, 17, 255].map(|len| poke(query(), IP + 45, len))),
    ];
    let ping = from_client(icmp(CLIENT6, VIP6, 128, 0, [0; 4], b"12345678"));
    for (name, frame) in [("TCP", data()), ("UDP", query()), ("ICMP", ping), ("options", optional())] {
        let whole = frame.bytes();
        let steps = (14..whole.len()).map(|len| pass_bytes(&whole[..len], Reason::Malformed));
        cases.push(case(format!("ipv6 malformed: {name} cut short anywhere"), steps));
    }
    cases
}
