//! Parts of fragmented packets, to backends and back: later parts go the way of the first.

use super::*;
use crate::support::gateway::{
    CLIENT6, LINK_MTU, NAMES6, NAMES6_PRIMARY, NAMES6_VIP, SHARED, SHARED_VIP, SHARED6, SHARED6_VIP, VIP6,
    WEB6, WEB6_PRIMARY, WEB6_VIP,
};

const CLIENT6_PORT: Address = (CLIENT6, 40000);
/// Bytes that each part carries.
const PART: usize = 24;

fn datagram(from: Address, to: Address) -> Frame {
    udp(from, to, b"a question that does not fit into a single packet of this network")
}

fn segment(from: Address, to: Address) -> Frame {
    tcp(from, to, flag::ACK, b"a question that does not fit into a single packet of this network")
}

/// Each part of `frame` becomes the same part of `out`.
fn forwarded(id: u32, frame: &Frame, out: &Frame, slot: u32) -> Vec<Step> {
    let pairs = frame.parts(id, PART).into_iter().zip(out.parts(id, PART));
    pairs.map(|(part, out)| forward(&part, &out, slot, Reason::Forwarded)).collect()
}

fn replied(id: u32, frame: &Frame, vip: Address, slot: u32) -> Vec<Step> {
    let out = frame.clone().renamed_source(vip, CLIENTS_ARM, CLIENT_MAC);
    let pairs = frame.parts(id, PART).into_iter().zip(out.parts(id, PART));
    pairs.map(|(part, out)| reply(&part, &out, slot, Reason::Replied)).collect()
}

fn renamed(frame: &Frame, backend: Address) -> Frame {
    frame.clone().renamed_destination(backend, BACKENDS_ARM, PRIMARY_MAC)
}

fn left(arm: Arm, parts: &[Frame], slot: u32, reasons: &[Reason]) -> Vec<Step> {
    assert_eq!(parts.len(), reasons.len());
    parts.iter().zip(reasons).map(|(part, reason)| pass(arm, part, slot, *reason)).collect()
}

pub(super) fn all() -> Vec<Case> {
    let mut cases = followed();
    cases.extend(refused_by_service());
    cases.extend(not_followed());
    cases
}

fn followed() -> Vec<Case> {
    let to_names = from_client(datagram(CLIENT_PORT, NAMES_VIP));
    let to_names6 = from_client(datagram(CLIENT6_PORT, NAMES6_VIP));
    let to_web = from_client(segment(CLIENT_PORT, WEB_VIP));
    let to_web6 = from_client(segment(CLIENT6_PORT, WEB6_VIP));
    let shared = from_client(segment(CLIENT_PORT, SHARED_VIP));
    let shared6 = from_client(datagram(CLIENT6_PORT, SHARED6_VIP));
    let handed = |frame: &Frame| frame.clone().macs(BACKENDS_ARM, PRIMARY_MAC);
    let unchecked = to_names.clone().with(|frame| {
        if let Body::Udp { checksum, .. } = &mut frame.body {
            *checksum = false;
        }
    });
    let with_options = to_names.clone().with(|frame| {
        (frame.options, frame.padding, frame.tos) = (vec![1; 8], vec![7; 6], 4);
    });
    vec![
        case(
            "fragment: of datagrams and segments to backends",
            [
                forwarded(1, &to_names, &renamed(&to_names, NAMES_PRIMARY), NAMES),
                forwarded(2, &to_web, &renamed(&to_web, WEB_PRIMARY), WEB),
                forwarded(3, &to_names6, &renamed(&to_names6, NAMES6_PRIMARY), NAMES6),
                forwarded(4, &to_web6, &renamed(&to_web6, WEB6_PRIMARY), WEB6),
            ]
            .into_iter()
            .flatten(),
        ),
        case(
            "fragment: in mode dsr",
            [
                forwarded(1, &shared, &handed(&shared), SHARED),
                forwarded(2, &shared6, &handed(&shared6), SHARED6),
                replied(3, &from_backend(segment(SHARED_VIP, CLIENT_PORT)), SHARED_VIP, SHARED),
                replied(4, &from_backend(datagram(SHARED6_VIP, CLIENT6_PORT)), SHARED6_VIP, SHARED6),
            ]
            .into_iter()
            .flatten(),
        ),
        case(
            "fragment: of replies",
            [
                replied(1, &from_backend(datagram(NAMES_PRIMARY, CLIENT_PORT)), NAMES_VIP, NAMES),
                replied(2, &from_backend(segment(WEB_STANDBY, CLIENT_PORT)), WEB_VIP, WEB),
                replied(3, &from_backend(datagram(NAMES6_PRIMARY, CLIENT6_PORT)), NAMES6_VIP, NAMES6),
                replied(4, &from_backend(segment(WEB6_PRIMARY, CLIENT6_PORT)), WEB6_VIP, WEB6),
            ]
            .into_iter()
            .flatten(),
        ),
        case(
            "fragment: no UDP checksum stays none; options, padding, TOS",
            [
                forwarded(1, &unchecked, &renamed(&unchecked, NAMES_PRIMARY), NAMES),
                forwarded(2, &with_options, &renamed(&with_options, NAMES_PRIMARY), NAMES),
            ]
            .into_iter()
            .flatten(),
        ),
        case("fragment: several packets at once, told apart by id and protocol", {
            let mut steps: Vec<Vec<Step>> = vec![
                forwarded(7, &to_names, &renamed(&to_names, NAMES_PRIMARY), NAMES),
                forwarded(7, &to_web, &renamed(&to_web, WEB_PRIMARY), WEB),
                forwarded(8, &to_names, &renamed(&to_names, NAMES_PRIMARY), NAMES),
                forwarded(0x0700_0000, &to_names6, &renamed(&to_names6, NAMES6_PRIMARY), NAMES6),
                forwarded(7, &to_web6, &renamed(&to_web6, WEB6_PRIMARY), WEB6),
            ];
            let mut mixed = vec![];
            while steps.iter().any(|steps| !steps.is_empty()) {
                mixed.extend(steps.iter_mut().filter(|steps| !steps.is_empty()).map(|steps| steps.remove(0)));
            }
            mixed
        }),
        case("fragment: an id that is used again leads to where its newest packet goes", {
            let other = from_client(datagram((CLIENT, 50000), NAMES_VIP));
            let first = forwarded(9, &to_names, &renamed(&to_names, NAMES_PRIMARY), NAMES);
            [first, forwarded(9, &other, &renamed(&other, NAMES_PRIMARY), NAMES)].into_iter().flatten()
        }),
        case("fragment: IPv6 with extension headers before and after the fragment header", {
            // What is behind the fragment header is in the first part only.
            let inside = |frame: &Frame| {
                let datagram = frame.packet().split_off(40);
                let payload = [&[17, 0, 1, 4, 0, 0, 0, 0][..], &datagram].concat();
                frame.clone().with(|frame| {
                    frame.extensions = vec![(0, vec![0, 1, 4, 0, 0, 0, 0])];
                    frame.body = Body::Other { protocol: 60, payload };
                })
            };
            forwarded(5, &inside(&to_names6), &inside(&renamed(&to_names6, NAMES6_PRIMARY)), NAMES6)
        }),
        case("fragment: the switch word decides for each", {
            let mut steps = forwarded(1, &to_web, &renamed(&to_web, WEB_PRIMARY), WEB);
            steps.insert(1, Step::Do(|gateway| gateway.switch(WEB, Some(1), false)));
            let standby = self::to_standby(to_web.clone()).parts(1, PART);
            let parts = to_web.parts(1, PART);
            let to_standby =
                |index: usize| forward(&parts[index], &standby[index], WEB, Reason::ForwardedFib);
            steps.truncate(2);
            steps.extend((1..parts.len()).map(to_standby));
            steps
        }),
    ]
}

fn refused_by_service() -> Vec<Case> {
    let query = from_client(datagram(CLIENT_PORT, NAMES_VIP));
    let parts = query.parts(1, PART);
    let large = from_client(udp(CLIENT_PORT, NAMES_VIP, &[7; 4000])).parts(2, 1504);
    let large6 = from_client(udp(CLIENT6_PORT, NAMES6_VIP, &[7; 4000])).parts(2, 1504);
    assert!(large[0].packet().len() > LINK_MTU && large.len() == 3);
    let last = |frame: &Frame| {
        renamed(&from_client(udp(CLIENT_PORT, NAMES_VIP, &[7; 4000])), NAMES_PRIMARY)
            .parts(2, 1504)
            .pop()
            .map(|out| forward(frame, &out, NAMES, Reason::Forwarded))
            .expect("three parts")
    };
    vec![
        case(
            "fragment: in an outage the first part is answered, the others are not",
            [
                Step::Do(|gateway| gateway.switch(NAMES, None, true)),
                answer(&parts[0], &unreachable(&parts[0]), NAMES, Reason::OutageUnreachable),
                drop(Arm::Clients, &parts[1], NAMES, Reason::NoBackend),
                drop(Arm::Clients, &parts[2], NAMES, Reason::NoBackend),
            ],
        ),
        case("fragment: a TTL of 1 stays", {
            let parts = query.with(|frame| frame.ttl = 1).parts(1, PART);
            left(Arm::Clients, &parts, NAMES, &[Reason::TtlExpired; 4])
        }),
        case(
            "fragment: too big, the first part is answered, the others are not",
            [
                answer(&large[0], &too_big(&large[0], LINK_MTU), NAMES, Reason::TooBig),
                drop(Arm::Clients, &large[1], NAMES, Reason::FibTooBig),
                last(&large[2]),
                answer(&large6[0], &too_big(&large6[0], LINK_MTU), NAMES6, Reason::TooBig),
                drop(Arm::Clients, &large6[1], NAMES6, Reason::FibTooBig),
            ],
        ),
        case("fragment: between a client and a backend's own address", {
            let there = from_client(datagram(CLIENT_PORT, NAMES_PRIMARY)).parts(3, PART);
            let back = from_backend(datagram(NAMES_PRIMARY, CLIENT_PORT)).parts(3, PART);
            let mut steps = vec![pass(Arm::Clients, &there[0], NAMES, Reason::Direct)];
            steps.extend(there[1..].iter().map(|part| pass(Arm::Clients, part, NO_SERVICE, Reason::NotOurs)));
            steps.extend(back.iter().map(|part| pass(Arm::Backends, part, NAMES, Reason::Direct)));
            steps
        }),
    ]
}

fn not_followed() -> Vec<Case> {
    let (unmatched, nothing) = (Reason::FragmentUnmatched, Reason::Fragment);
    let query = from_client(datagram(CLIENT_PORT, NAMES_VIP));
    let parts = query.parts(1, PART);
    let out = renamed(&query, NAMES_PRIMARY).parts(1, PART);
    let cut = |frame: Frame, len| left(Arm::Clients, &frame.parts(6, len), NO_SERVICE, &[nothing, unmatched]);
    let ping = |client, vip, type_| from_client(icmp(client, vip, type_, 0, [0; 4], &[0; 30]));
    vec![
        case(
            "fragment: before the first part has come by",
            [
                pass(Arm::Clients, &parts[1], NO_SERVICE, unmatched),
                forward(&parts[0], &out[0], NAMES, Reason::Forwarded),
                forward(&parts[1], &out[1], NAMES, Reason::Forwarded),
            ],
        ),
        case(
            "fragment: a first part without the whole header is no beginning",
            [
                cut(from_client(tcp(CLIENT_PORT, WEB_VIP, flag::SYN, b"")), 16),
                cut(from_client(tcp(CLIENT6_PORT, WEB6_VIP, flag::SYN, b"")), 16),
            ]
            .into_iter()
            .flatten(),
        ),
        case("fragment: headers that contradict themselves", {
            let damaged = |frame: Frame, at: usize, byte: u8| {
                frame.parts(6, PART)[0].clone().with(|frame| {
                    if let Body::Other { payload, .. } = &mut frame.body {
                        payload[at] = byte;
                    }
                })
            };
            [
                damaged(from_client(segment(CLIENT_PORT, WEB_VIP)), 12, 0x40),
                damaged(from_client(datagram(CLIENT_PORT, NAMES_VIP)), 5, 7),
                damaged(from_client(segment(CLIENT6_PORT, WEB6_VIP)), 12, 0x40),
            ]
            .map(|part| pass(Arm::Clients, &part, NO_SERVICE, nothing))
        }),
        case(
            "fragment: of what is neither TCP nor UDP",
            [
                left(Arm::Clients, &ping(CLIENT, VIP, 8).parts(1, 32), NO_SERVICE, &[nothing, unmatched]),
                left(Arm::Clients, &ping(CLIENT6, VIP6, 128).parts(1, 32), NO_SERVICE, &[nothing, unmatched]),
            ]
            .into_iter()
            .flatten(),
        ),
        case("fragment: of nobody", {
            let ours = [Reason::NotOurs, unmatched, unmatched, unmatched];
            let theirs = [Reason::NotOurs; 4];
            [
                (Arm::Clients, datagram(CLIENT_PORT, (VIP, 81)), &ours),
                (Arm::Clients, datagram(CLIENT_PORT, (ELSEWHERE, 53)), &theirs),
                (Arm::Backends, datagram((PRIMARY, 22), CLIENT_PORT), &theirs),
            ]
            .into_iter()
            .flat_map(|(arm, frame, reasons)| {
                left(arm, &from_client(frame).parts(1, PART), NO_SERVICE, reasons)
            })
            .collect::<Vec<_>>()
        }),
        case(
            "fragment: the reserved and the don't-fragment bit make none",
            [0x4000, 0x8000, 0].map(|bits| {
                let frame = syn(WEB_VIP).with(|frame| frame.fragment = bits);
                forward(&frame, &to_primary(frame.clone()), WEB, Reason::Forwarded)
            }),
        ),
    ]
}
