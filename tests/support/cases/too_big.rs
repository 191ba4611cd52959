//! Packets that do not fit the way out, in both directions, families and modes.

use super::*;
use crate::support::gateway::{
    CLIENT6, LINK_MTU, NAMES6, NAMES6_PRIMARY, NAMES6_VIP, SHARED, SHARED_VIP, SHARED6, SHARED6_VIP, WEB6,
    WEB6_VIP,
};

const CLIENT6_PORT: Address = (CLIENT6, 40000);

/// A packet of `len` bytes.
fn segment(from: Address, to: Address, len: usize) -> Frame {
    let headers = if from.0.is_ipv4() { 40 } else { 60 };
    tcp(from, to, flag::ACK, &vec![7; len - headers])
}

/// A packet of `len` bytes.
fn datagram(from: Address, to: Address, len: usize) -> Frame {
    let headers = if from.0.is_ipv4() { 28 } else { 48 };
    udp(from, to, &vec![7; len - headers])
}

fn told(frame: &Frame, slot: u32) -> Step {
    answer(frame, &too_big(frame, LINK_MTU), slot, Reason::TooBig)
}

pub(super) fn all() -> Vec<Case> {
    vec![to_backends(), to_backends_dsr(), in_any_clothes(), to_clients(), nobody_to_tell()]
}

fn to_backends() -> Case {
    let fits = from_client(segment(CLIENT_PORT, WEB_VIP, LINK_MTU));
    let fits6 = from_client(datagram(CLIENT6_PORT, NAMES6_VIP, LINK_MTU));
    let out6 = fits6.clone().renamed_destination(NAMES6_PRIMARY, BACKENDS_ARM, PRIMARY_MAC);
    case(
        "too big: for the next hop that the daemon keeps, by one byte",
        [
            forward(&fits, &to_primary(fits.clone()), WEB, Reason::Forwarded),
            told(&from_client(segment(CLIENT_PORT, WEB_VIP, LINK_MTU + 1)), WEB),
            told(&from_client(datagram(CLIENT_PORT, NAMES_VIP, LINK_MTU + 1)), NAMES),
            forward(&fits6, &out6, NAMES6, Reason::Forwarded),
            told(&from_client(datagram(CLIENT6_PORT, NAMES6_VIP, LINK_MTU + 1)), NAMES6),
            told(&from_client(segment(CLIENT6_PORT, WEB6_VIP, 3000)), WEB6),
        ],
    )
}

fn to_backends_dsr() -> Case {
    let fits = from_client(segment(CLIENT_PORT, SHARED_VIP, LINK_MTU));
    let out = fits.clone().macs(BACKENDS_ARM, PRIMARY_MAC);
    case(
        "too big: in mode dsr",
        [
            forward(&fits, &out, SHARED, Reason::Forwarded),
            told(&from_client(segment(CLIENT_PORT, SHARED_VIP, LINK_MTU + 1)), SHARED),
            told(&from_client(datagram(CLIENT6_PORT, SHARED6_VIP, LINK_MTU + 1)), SHARED6),
        ],
    )
}

/// What is around a packet does not count, what is in it is quoted.
fn in_any_clothes() -> Case {
    let padded =
        from_client(segment(CLIENT_PORT, WEB_VIP, LINK_MTU)).with(|frame| frame.padding = vec![9; 60]);
    let large = || from_client(segment(CLIENT_PORT, WEB_VIP, LINK_MTU + 1));
    let many = (0..6).map(|_| (60, [&[3][..], &[0; 30]].concat())).collect::<Vec<_>>();
    case(
        "too big: padding does not count; options, extension headers, may-fragment and a TTL of 2 are quoted",
        [
            forward(&padded, &to_primary(padded.clone()), WEB, Reason::Forwarded),
            told(&large().with(|frame| (frame.options, frame.padding) = (vec![1; 40], vec![9; 5])), WEB),
            told(&large().with(|frame| (frame.fragment, frame.ttl, frame.tos) = (0, 2, 0x10)), WEB),
            told(
                &from_client(segment(CLIENT6_PORT, WEB6_VIP, LINK_MTU)).with(|frame| frame.extensions = many),
                WEB6,
            ),
        ],
    )
}

fn to_clients() -> Case {
    let told = |frame: &Frame, slot| {
        answer_at(Arm::Backends, frame, &too_big(frame, LINK_MTU), slot, Reason::TooBig)
    };
    let fits = from_backend(segment(WEB_PRIMARY, CLIENT_PORT, LINK_MTU));
    case(
        "too big: replies of every mode and family",
        [
            reply(&fits, &to_client(fits.clone(), WEB_VIP), WEB, Reason::Replied),
            told(&from_backend(segment(WEB_PRIMARY, CLIENT_PORT, LINK_MTU + 1)), WEB),
            told(&from_backend(datagram(NAMES6_PRIMARY, CLIENT6_PORT, LINK_MTU + 1)), NAMES6),
            told(&from_backend(segment(SHARED_VIP, CLIENT_PORT, LINK_MTU + 1)), SHARED),
            told(&from_backend(datagram(SHARED6_VIP, CLIENT6_PORT, LINK_MTU + 1)), SHARED6),
        ],
    )
}

fn nobody_to_tell() -> Case {
    let from = |address| from_client(segment((address, 4), WEB_VIP, LINK_MTU + 1));
    case(
        "too big: from senders that are no single station",
        [[224, 0, 0, 1], [255; 4], [0; 4], [127, 0, 0, 1]]
            .map(v4)
            .map(|address| drop(Arm::Clients, &from(address), WEB, Reason::FibTooBig)),
    )
}
