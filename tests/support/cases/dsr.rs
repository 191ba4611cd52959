//! Mode `dsr`: packets reach a backend as they are, and its answers pass as they are.

use fastswitch_common::word::SwitchWord;

use super::*;
use crate::support::gateway::{CLIENT6, PRIMARY6, SHARED, SHARED_VIP, SHARED6, SHARED6_VIP};

const CLIENT6_PORT: Address = (CLIENT6, 40000);

fn syn() -> Frame {
    super::syn(SHARED_VIP)
}

fn query() -> Frame {
    from_client(udp(CLIENT6_PORT, SHARED6_VIP, b"question"))
}

/// To the station of this MAC address behind the backends' arm, nothing else changed.
fn handed_to(frame: &Frame, mac: [u8; 6]) -> Frame {
    frame.clone().macs(BACKENDS_ARM, mac)
}

/// Back to the client, one hop further, nothing else changed.
fn passed_on(frame: &Frame) -> Frame {
    frame.clone().macs(CLIENTS_ARM, CLIENT_MAC).with(|frame| frame.ttl -= 1)
}

pub(super) fn all() -> Vec<Case> {
    let to_primary =
        |frame: Frame, slot| forward(&frame, &handed_to(&frame, PRIMARY_MAC), slot, Reason::Forwarded);
    let to_standby =
        |frame: Frame, slot| forward(&frame, &handed_to(&frame, STANDBY_MAC), slot, Reason::ForwardedFib);
    let answer6 = from_backend(udp(SHARED6_VIP, CLIENT6_PORT, b"answer"));
    let answer4 = from_backend(tcp(SHARED_VIP, CLIENT_PORT, flag::ACK, b"answer"));
    vec![
        case(
            "dsr: only the MAC addresses change",
            [
                to_primary(syn(), SHARED),
                to_primary(super::data(SHARED_VIP), SHARED),
                to_primary(query(), SHARED6),
            ],
        ),
        case(
            "dsr: options, extension headers, padding and no UDP checksum are nobody's business",
            [
                to_primary(
                    syn().with(|frame| (frame.options, frame.padding) = (vec![1; 12], vec![7; 9])),
                    SHARED,
                ),
                to_primary(
                    query().with(|frame| frame.extensions = vec![(60, vec![0, 1, 4, 0, 0, 0, 0])]),
                    SHARED6,
                ),
                to_primary(
                    query().with(|frame| {
                        if let Body::Udp { checksum, .. } = &mut frame.body {
                            *checksum = false;
                        }
                    }),
                    SHARED6,
                ),
            ],
        ),
        case(
            "dsr: no hop, so that a TTL of 1 suffices",
            [
                to_primary(syn().with(|frame| frame.ttl = 1), SHARED),
                to_primary(query().with(|frame| frame.ttl = 1), SHARED6),
            ],
        ),
        case(
            "dsr: the switch word decides, and the FIB knows the way to a backend without a next hop",
            [
                Step::Do(|gateway| gateway.switch(SHARED, Some(1), false)),
                Step::Do(|gateway| gateway.switch(SHARED6, Some(1), false)),
                to_standby(syn(), SHARED),
                to_standby(query(), SHARED6),
            ],
        ),
        case(
            "dsr: what was open stays with the draining backend",
            [
                Step::Do(|gateway| gateway.store(SHARED, SwitchWord::new(Some(1), Some(0), false, 5))),
                to_primary(super::data(SHARED_VIP), SHARED),
                to_standby(syn(), SHARED),
                to_standby(super::data(SHARED_VIP), SHARED),
            ],
        ),
        case(
            "dsr: answers that come through the gateway go on to the client",
            [
                reply(&answer4, &passed_on(&answer4), SHARED, Reason::Replied),
                reply(&answer6, &passed_on(&answer6), SHARED6, Reason::Replied),
                pass(Arm::Backends, &answer4.clone().with(|frame| frame.ttl = 1), SHARED, Reason::TtlExpired),
            ],
        ),
        case(
            "dsr: a backend's own address is its own",
            [
                pass(
                    Arm::Backends,
                    &from_backend(tcp((PRIMARY, 8443), CLIENT_PORT, flag::ACK, b"")),
                    NO_SERVICE,
                    Reason::NotOurs,
                ),
                pass(
                    Arm::Clients,
                    &from_client(udp(CLIENT6_PORT, (PRIMARY6, 443), b"")),
                    NO_SERVICE,
                    Reason::NotOurs,
                ),
            ],
        ),
        case(
            "dsr: outages are answered",
            [
                Step::Do(|gateway| gateway.switch(SHARED, Some(0), true)),
                answer(&syn(), &refused(&syn(), SHARED_VIP, 1), SHARED, Reason::OutageReset),
                Step::Do(|gateway| gateway.switch(SHARED6, None, true)),
                answer(&query(), &unreachable(&query()), SHARED6, Reason::OutageUnreachable),
            ],
        ),
    ]
}
