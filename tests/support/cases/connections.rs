//! The table of connections: what is counted, and where each belongs while something drains.

use fastswitch_common::word::SwitchWord;

use super::*;
use crate::support::{
    connections::established,
    gateway::{CLIENT6, SHARED, SHARED_VIP, STANDBY, WEB6, WEB6_PRIMARY, WEB6_STANDBY, WEB6_VIP},
};

/// A service with two backends, and how its packets get there.
#[derive(Clone, Copy)]
struct Front {
    slot: u32,
    client: IpAddr,
    vip: Address,
    /// In mode `dsr` none.
    backends: Option<[Address; 2]>,
}

const NAT: Front =
    Front { slot: WEB, client: CLIENT, vip: WEB_VIP, backends: Some([WEB_PRIMARY, WEB_STANDBY]) };
const NAT6: Front =
    Front { slot: WEB6, client: CLIENT6, vip: WEB6_VIP, backends: Some([WEB6_PRIMARY, WEB6_STANDBY]) };
const DSR: Front = Front { slot: SHARED, client: CLIENT, vip: SHARED_VIP, backends: None };

/// Sequence number of every SYN.
const SYN_AT: u32 = 0xffff_fffe;

impl Front {
    /// A client's segment, `offset` behind its SYN.
    fn segment(self, port: u16, flags: u8, offset: u32) -> Frame {
        from_client(tcp((self.client, port), self.vip, flags, b"")).with(|frame| {
            if let Body::Tcp { seq, .. } = &mut frame.body {
                *seq = SYN_AT.wrapping_add(offset);
            }
        })
    }

    /// It reaches this backend.
    fn to(self, backend: usize, frame: &Frame) -> Step {
        let mac = [PRIMARY_MAC, STANDBY_MAC][backend];
        let reason = [Reason::Forwarded, Reason::ForwardedFib][backend];
        let out = match self.backends {
            Some(backends) => frame.clone().renamed_destination(backends[backend], BACKENDS_ARM, mac),
            None => frame.clone().macs(BACKENDS_ARM, mac),
        };
        forward(frame, &out, self.slot, reason)
    }

    fn syn(self, port: u16, backend: usize) -> Step {
        self.to(backend, &self.segment(port, flag::SYN, 0))
    }

    fn ack(self, port: u16, backend: usize) -> Step {
        self.to(backend, &self.segment(port, flag::ACK, 1))
    }

    fn fin(self, port: u16, backend: usize) -> Step {
        self.to(backend, &self.segment(port, flag::FIN | flag::ACK, 1))
    }

    fn reset(self, port: u16, backend: usize) -> Step {
        self.to(backend, &self.segment(port, flag::RST, 1))
    }

    /// A segment of this backend reaches the client.
    fn from(self, backend: usize, port: u16, flags: u8) -> Step {
        let from = self.backends.map_or(self.vip, |backends| backends[backend]);
        let frame = from_backend(tcp(from, (self.client, port), flags, b""));
        reply(&frame, &to_client(frame.clone(), self.vip), self.slot, Reason::Replied)
    }

    fn opened(self, port: u16, backend: usize) -> [Step; 2] {
        [self.syn(port, backend), self.ack(port, backend)]
    }
}

const fn web(active: u8, draining: Option<u8>, epoch: u32) -> SwitchWord {
    SwitchWord::new(Some(active), draining, false, epoch)
}

const TO_STANDBY: Step = Step::Do(|gateway| {
    for slot in [WEB, WEB6, SHARED] {
        gateway.store(slot, web(1, Some(0), 5));
    }
});
const BACK_TO_PRIMARY: Step = Step::Do(|gateway| {
    for slot in [WEB, WEB6, SHARED] {
        gateway.store(slot, web(0, Some(1), 6));
    }
});
const THERE_AGAIN: Step = Step::Do(|gateway| gateway.store(WEB, web(1, Some(0), 7)));
const OVER: Step = Step::Do(|gateway| gateway.store(WEB, web(1, None, 8)));

const NONE: Step = Step::Do(|gateway| assert_eq!(established(gateway), []));
const PRIMARY_HAS_ONE: Step = Step::Do(|gateway| assert_eq!(backends(gateway), [0]));
const STANDBY_HAS_ONE: Step = Step::Do(|gateway| assert_eq!(backends(gateway), [1]));
const EACH_HAS_ONE: Step = Step::Do(|gateway| assert_eq!(backends(gateway), [0, 1]));

/// The backends of all connections, by number.
fn backends(gateway: &Gateway) -> Vec<u32> {
    let mut backends: Vec<u32> = established(gateway).iter().map(|(_, row)| row % 16).collect();
    backends.sort_unstable();
    backends
}

pub(super) fn all() -> Vec<Case> {
    let mut cases = vec![];
    for (name, front) in [("nat", NAT), ("nat, IPv6", NAT6), ("dsr", DSR)] {
        cases.extend(life(name, front));
        cases.extend(drain(name, front));
    }
    for (name, front) in [("nat", NAT), ("nat, IPv6", NAT6)] {
        cases.push(case(
            format!("connections: {name}: over when both ends have said so"),
            front.opened(1, 0).into_iter().chain([
                front.fin(1, 0),
                PRIMARY_HAS_ONE,
                front.from(0, 1, flag::FIN | flag::ACK),
                NONE,
                // The last acknowledgement is none of a new one.
                front.to(0, &front.segment(1, flag::ACK, 2)),
                NONE,
            ]),
        ));
        cases.push(case(
            format!("connections: {name}: over when both ends have said so, the backend first"),
            front.opened(1, 0).into_iter().chain([
                front.from(0, 1, flag::FIN | flag::ACK),
                front.ack(1, 0),
                PRIMARY_HAS_ONE,
                front.fin(1, 0),
                NONE,
            ]),
        ));
    }
    cases.push(case(
        "connections: dsr: the client's FIN ends it, for the backend's is not seen",
        DSR.opened(1, 0)
            .into_iter()
            .chain([DSR.from(0, 1, flag::FIN | flag::ACK), PRIMARY_HAS_ONE])
            .chain([DSR.fin(1, 0), NONE]),
    ));
    cases.extend(guesses());
    cases.extend(special_drains());
    cases
}

fn life(name: &str, front: Front) -> Vec<Case> {
    vec![
        case(
            format!("connections: {name}: established by the segment after the SYN"),
            [front.syn(1, 0), NONE, front.from(0, 1, flag::SYN | flag::ACK), NONE, front.ack(1, 0)]
                .into_iter()
                .chain([PRIMARY_HAS_ONE, front.ack(1, 0), front.syn(2, 0), PRIMARY_HAS_ONE]),
        ),
        case(
            format!("connections: {name}: established by a FIN, if nothing else has come"),
            [front.syn(1, 0), front.fin(1, 0)].into_iter().chain(match front.backends {
                Some(_) => vec![PRIMARY_HAS_ONE],
                None => vec![NONE],
            }),
        ),
        case(
            format!("connections: {name}: a reset of the client ends it"),
            front.opened(1, 0).into_iter().chain([front.reset(1, 0), NONE, front.ack(1, 0), NONE]),
        ),
        case(
            format!("connections: {name}: a reset of the backend ends it"),
            front.opened(1, 0).into_iter().chain([front.from(0, 1, flag::RST), NONE, front.ack(1, 0), NONE]),
        ),
        case(
            format!("connections: {name}: what no SYN has begun is none"),
            [front.ack(1, 0), front.fin(2, 0), front.reset(3, 0), front.from(0, 1, flag::FIN), NONE],
        ),
        case(
            format!("connections: {name}: the same port once more is another one"),
            front
                .opened(1, 0)
                .into_iter()
                .chain([front.reset(1, 0), NONE])
                .chain(front.opened(1, 0))
                .chain([PRIMARY_HAS_ONE]),
        ),
    ]
}

fn drain(name: &str, front: Front) -> Vec<Case> {
    vec![
        case(
            format!("drain: {name}: old connections stay, new ones go to the active backend"),
            front
                .opened(1, 0)
                .into_iter()
                .chain([TO_STANDBY, front.ack(1, 0)])
                .chain(front.opened(2, 1))
                .chain([EACH_HAS_ONE, front.ack(1, 0), front.ack(2, 1), front.fin(1, 0), front.fin(2, 1)]),
        ),
        case(
            format!("drain: {name}: one that is half open at the switch goes on with its backend"),
            [front.syn(1, 0), front.syn(2, 0), TO_STANDBY, front.ack(1, 0), PRIMARY_HAS_ONE]
                .into_iter()
                // Its SYN was lost behind the gateway, or its answer.
                .chain([front.syn(2, 0), front.ack(2, 0)]),
        ),
        case(
            format!("drain: {name}: a new attempt from the port of a half-open one is new"),
            [front.syn(1, 0), TO_STANDBY, {
                let again = front.segment(1, flag::SYN, 1000);
                front.to(1, &again)
            }]
            .into_iter()
            .chain([front.to(1, &front.segment(1, flag::ACK, 1001)), STANDBY_HAS_ONE]),
        ),
        case(
            format!("drain: {name}: there, back and there again, each stays where it is"),
            front.opened(1, 0).into_iter().chain([TO_STANDBY]).chain(front.opened(2, 1)).chain([
                BACK_TO_PRIMARY,
                front.ack(1, 0),
                front.ack(2, 1),
                front.syn(3, 0),
                front.ack(3, 0),
                front.ack(2, 1),
            ]),
        ),
        case(
            format!("drain: {name}: the last segments of a connection belong to its backend"),
            front.opened(1, 0).into_iter().chain([TO_STANDBY]).chain(front.opened(2, 1)).chain([
                front.reset(2, 1),
                front.to(1, &front.segment(2, flag::ACK, 2)),
                front.reset(1, 0),
                NONE,
                BACK_TO_PRIMARY,
                front.to(0, &front.segment(1, flag::ACK, 2)),
                front.to(1, &front.segment(2, flag::ACK, 2)),
            ]),
        ),
    ]
}

fn guesses() -> Vec<Case> {
    let guess = NAT.segment(1, flag::SYN, 0x4000_0000);
    vec![
        case(
            "connections: a forged SYN takes none away, and no drain moves one to its backend",
            NAT.opened(1, 0).into_iter().chain([
                TO_STANDBY,
                NAT.to(1, &guess),
                NAT.ack(1, 0),
                NAT.ack(1, 0),
                PRIMARY_HAS_ONE,
            ]),
        ),
        case(
            "connections: a segment far from its SYN establishes nothing",
            [NAT.syn(1, 0), NAT.to(0, &NAT.segment(1, flag::ACK, 0x1_0001)), NONE, NAT.syn(2, 0)]
                .into_iter()
                .chain([NAT.to(0, &NAT.segment(2, flag::ACK, 0x1_0000)), PRIMARY_HAS_ONE]),
        ),
        case("connections: a flood of SYNs changes no count", {
            let flood = (0..200).map(|port| NAT.syn(20_000 + port, 0));
            let known = || NAT.opened(1, 0).into_iter().chain([PRIMARY_HAS_ONE]);
            known().chain(flood).chain([PRIMARY_HAS_ONE, NAT.ack(1, 0), NAT.reset(1, 0), NONE])
        }),
    ]
}

fn special_drains() -> Vec<Case> {
    let unknown = |port: u16, backend: usize| NAT.to(backend, &NAT.segment(port, flag::ACK, 77));
    vec![
        case(
            "drain: what nobody knows is the draining backend's, and stays so",
            [TO_STANDBY, unknown(1, 0), NONE, BACK_TO_PRIMARY, unknown(1, 0), unknown(2, 1), THERE_AGAIN]
                .into_iter()
                .chain([unknown(1, 0), unknown(2, 1), NONE]),
        ),
        case(
            "drain: afterwards all are the active backend's, which ends those it does not know",
            NAT.opened(1, 0).into_iter().chain([TO_STANDBY]).chain(NAT.opened(2, 1)).chain([
                OVER,
                NAT.ack(2, 1),
                NAT.ack(1, 1),
                EACH_HAS_ONE,
                NAT.from(1, 1, flag::RST),
                STANDBY_HAS_ONE,
            ]),
        ),
        case(
            "drain: one of a third backend goes to the active one",
            NAT.opened(1, 0).into_iter().chain([
                Step::Do(|gateway| gateway.store(WEB, web(1, Some(7), 5))),
                NAT.ack(1, 1),
                NAT.syn(2, 1),
            ]),
        ),
        case(
            "drain: goes on in an outage, which new connections are told of",
            NAT.opened(1, 0).into_iter().chain([
                Step::Do(|gateway| gateway.store(WEB, SwitchWord::new(Some(1), Some(0), true, 5))),
                answer(&syn(WEB_VIP), &refused(&syn(WEB_VIP), WEB_VIP, 1), WEB, Reason::OutageReset),
                NAT.ack(1, 0),
            ]),
        ),
        case("drain: a client's connection to the VIP is none to the backend's own address", {
            let own = from_client(tcp((CLIENT, 1), (STANDBY, 80), flag::SYN, b""));
            NAT.opened(1, 0).into_iter().chain([
                TO_STANDBY,
                pass(Arm::Clients, &own, WEB, Reason::Direct),
                PRIMARY_HAS_ONE,
                NAT.ack(1, 0),
            ])
        }),
    ]
}
