//! Random conversations through a service in mode `full_nat`, and a plain model of its flows: who is known by which
//! addresses, which backend a flow belongs to, what that means for the next segment. Shares no code with the data path.

use std::collections::HashMap;

use fastswitch_common::{abi::NO_SERVICE, reason::Reason};
use proptest::{collection::vec, prelude::*};

use super::{
    cases::action,
    frame::{Body, Frame, flag, tcp},
    gateway::{
        BACKENDS_ARM, CLIENT, CLIENT_MAC, CLIENTS_ARM, FULL, FULL_PRIMARY, FULL_STANDBY, FULL_VIP,
        OWN_ADDRESS, PRIMARY_MAC, STANDBY_MAC, from_backend, from_client, source_port,
    },
};

/// Ports that clients use; the gateway has one of its own for each.
const PORTS: std::ops::Range<u16> = 40_000..40_004;

/// Something that happens.
#[derive(Clone, Debug)]
pub enum Event {
    /// A segment of the client's port, with these flags.
    Client { port: u16, flags: u8, payload: Vec<u8> },
    /// A segment of a backend to the gateway's port that stands for the client's.
    Backend { backend: u8, port: u16, flags: u8, payload: Vec<u8> },
    /// This backend is active, another one drains or none, there is an outage or not.
    Switch { active: u8, drains: bool, outage: bool },
}

/// What must come of a segment.
#[derive(Debug, PartialEq, Eq)]
pub struct Expected {
    pub action: u32,
    pub slot: u32,
    pub reason: Reason,
    pub out: Vec<u8>,
}

/// A conversation.
pub fn conversation() -> impl Strategy<Value = Vec<Event>> {
    let flags = || {
        prop_oneof![
            3 => Just(flag::SYN),
            6 => Just(flag::ACK),
            2 => Just(flag::FIN | flag::ACK),
            1 => Just(flag::RST),
            2 => Just(flag::SYN | flag::ACK),
        ]
    };
    let payload = || vec(any::<u8>(), 0..8);
    let client =
        (PORTS, flags(), payload()).prop_map(|(port, flags, payload)| Event::Client { port, flags, payload });
    let backend = (0..2u8, PORTS, flags(), payload())
        .prop_map(|(backend, port, flags, payload)| Event::Backend { backend, port, flags, payload });
    let switch = (0..2u8, any::<bool>(), prop::bool::weighted(0.2))
        .prop_map(|(active, drains, outage)| Event::Switch { active, drains, outage });
    vec(prop_oneof![8 => client, 6 => backend, 1 => switch], 1..40)
}

/// The service as the gateway starts.
pub struct Model {
    active: u8,
    draining: Option<u8>,
    outage: bool,
    /// By the client's port: the backend that the flow was opened with.
    flows: HashMap<u16, u8>,
    /// By backend and the client's port: whether a segment of the backend finds its client.
    answers: HashMap<(u8, u16), bool>,
}

impl Model {
    pub fn new() -> Self {
        Self { active: 0, draining: None, outage: false, flows: HashMap::new(), answers: HashMap::new() }
    }

    /// What an operator or a failure changes.
    pub fn switch(&mut self, active: u8, drains: bool, outage: bool) {
        self.active = active;
        self.draining = drains.then_some(1 - active);
        self.outage = outage;
    }

    /// What must come of a segment of a client.
    pub fn client(&mut self, port: u16, frame: &Frame) -> Expected {
        let Body::Tcp { flags, .. } = frame.body else { panic!("not TCP") };
        let opens = flags & (flag::SYN | flag::ACK | flag::RST) == flag::SYN;
        let backend = match self.flows.get(&port) {
            Some(backend) if self.serves(*backend, opens) => *backend,
            _ if opens && self.outage => return refused(frame, Reason::OutageReset),
            _ if opens => {
                if let Some(before) = self.flows.insert(port, self.active) {
                    self.answers.remove(&(before, port));
                }
                self.answers.insert((self.active, port), true);
                self.active
            }
            _ if flags & flag::RST != 0 => {
                return Expected {
                    action: action::PASS,
                    slot: FULL,
                    reason: Reason::NoFlow,
                    out: frame.bytes(),
                };
            }
            _ => return refused(frame, Reason::FlowUnknown),
        };
        let (at, mac, reason) = match backend {
            0 => (FULL_PRIMARY, PRIMARY_MAC, Reason::Forwarded),
            _ => (FULL_STANDBY, STANDBY_MAC, Reason::ForwardedFib),
        };
        let out = frame.clone().renamed((OWN_ADDRESS, source_port(port)), at, BACKENDS_ARM, mac);
        Expected { action: action::REDIRECT, slot: FULL, reason, out: out.bytes() }
    }

    /// What must come of a segment of a backend.
    pub fn backend(&self, backend: u8, port: u16, frame: &Frame) -> Expected {
        if self.answers.contains_key(&(backend, port)) {
            let out = frame.clone().renamed(FULL_VIP, (CLIENT, port), CLIENTS_ARM, CLIENT_MAC);
            return Expected {
                action: action::REDIRECT,
                slot: FULL,
                reason: Reason::Replied,
                out: out.bytes(),
            };
        }
        Expected { action: action::PASS, slot: NO_SERVICE, reason: Reason::NoFlow, out: frame.bytes() }
    }

    fn serves(&self, backend: u8, opens: bool) -> bool {
        if opens {
            return backend == self.active && !self.outage;
        }
        backend == self.active || Some(backend) == self.draining
    }
}

/// A segment of a client's port to the service.
pub fn of_client(port: u16, flags: u8, payload: &[u8]) -> Frame {
    from_client(tcp((CLIENT, port), FULL_VIP, flags, payload))
}

/// A segment of a backend to the gateway's port that stands for the client's.
pub fn of_backend(backend: u8, port: u16, flags: u8, payload: &[u8]) -> Frame {
    let at = if backend == 0 { FULL_PRIMARY } else { FULL_STANDBY };
    from_backend(tcp(at, (OWN_ADDRESS, source_port(port)), flags, payload))
}

/// The reset of RFC 9293, 3.10.7.1.
fn refused(frame: &Frame, reason: Reason) -> Expected {
    let Body::Tcp { seq: theirs, ack: waited_for, flags, from, payload, .. } = &frame.body else {
        panic!("not TCP")
    };
    let length = payload.len() as u32 + u32::from(flags & (flag::SYN | flag::FIN) != 0);
    let (sequence, acknowledged, flags) = if flags & flag::ACK == 0 {
        (0, theirs.wrapping_add(length), flag::RST | flag::ACK)
    } else {
        (*waited_for, 0, flag::RST)
    };
    let reset = tcp(FULL_VIP, (CLIENT, *from), flags, b"").macs(CLIENTS_ARM, CLIENT_MAC).with(|reset| {
        if let Body::Tcp { seq, ack, window, .. } = &mut reset.body {
            (*seq, *ack, *window) = (sequence, acknowledged, 0);
        }
    });
    Expected { action: action::TX, slot: FULL, reason, out: reset.bytes() }
}
