//! What the gateway of [`super::gateway`] must do with any bytes whatsoever: a second opinion, written over slices
//! and addresses in the plainest way, with state in ordinary collections. Shares no code with the data path.
//!
//! It knows one thing less: instead of checksums it states that whoever summed up to nothing before does so after
//! ([`Expected::check`]).

use std::collections::{HashMap, HashSet};

use fastswitch_common::{abi::NO_SERVICE, reason::Reason};

use super::{
    cases::action,
    frame::{Address, sum},
    gateway::{
        Arm, BACKENDS_ARM, CLIENT, CLIENT_MAC, CLIENTS_ARM, DEAD_ENDS, LOST, LOST_PORT, LOST_VIP, NAMES,
        NAMES_PRIMARY, NAMES_VIP, NEAR, NEAR_BACKEND, NEAR_BACKEND_MAC, NEAR_VIP, Outcome, PRIMARY,
        PRIMARY_MAC, PRIMARY_MAC_IN_FIB, SILENT, SILENT_NAMES, SILENT_NAMES_VIP, SILENT_SERVICE_VIP,
        SILENT_VIP, STANDBY, STANDBY_MAC, VIP, WEB, WEB_PRIMARY, WEB_STANDBY, WEB_VIP,
    },
};

/// The arm that leads to a station, and its MAC address.
type Way = (Arm, [u8; 6]);

/// A service of the gateway in its first state: backend 0 active.
struct Service {
    slot: u32,
    vip: Address,
    protocol: u8,
    /// Each with the next hop that the daemon keeps.
    backends: Vec<(Address, Option<Way>)>,
}

/// What must have happened to a packet.
#[derive(Debug)]
pub struct Expected {
    pub action: u32,
    pub slot: u32,
    pub reason: Reason,
    bytes: Vec<u8>,
    /// Where the checksums are that may have changed: of the IPv4 header, and of what it carries.
    checks: Option<(usize, usize)>,
}

/// The gateway.
pub struct Model {
    services: Vec<Service>,
    /// Flows that use a backend's own address: client, backend, protocol.
    direct: HashSet<(Address, Address, u8)>,
    /// The way back to clients: arm, station, MAC address of the gateway that it used.
    learned: HashMap<[u8; 4], (Arm, [u8; 6], [u8; 6])>,
}

/// A TCP segment or UDP datagram.
struct Segment {
    from: Address,
    to: Address,
    protocol: u8,
    /// Offset in the frame.
    at: usize,
    ttl: u8,
    opens: bool,
    packet_len: usize,
}

enum Read {
    NotOurs,
    Malformed,
    Fragment,
    Echo(usize),
    Segment(Segment),
}

impl Model {
    /// As a gateway starts.
    pub fn new() -> Self {
        let known = Some((Arm::Backends, PRIMARY_MAC));
        let service = |slot, vip, protocol, backends| Service { slot, vip, protocol, backends };
        let lost = DEAD_ENDS.iter().map(|(address, _)| ((*address, LOST_PORT), None)).collect();
        let services = vec![
            service(WEB, WEB_VIP, 6, vec![(WEB_PRIMARY, known), (WEB_STANDBY, None)]),
            service(NAMES, NAMES_VIP, 17, vec![(NAMES_PRIMARY, known)]),
            service(SILENT, SILENT_SERVICE_VIP, 6, vec![((PRIMARY, 8081), known)]),
            service(NEAR, NEAR_VIP, 6, vec![(NEAR_BACKEND, Some((Arm::Clients, NEAR_BACKEND_MAC)))]),
            service(LOST, LOST_VIP, 6, lost),
            service(SILENT_NAMES, SILENT_NAMES_VIP, 17, vec![((PRIMARY, 5354), known)]),
        ];
        Self { services, direct: HashSet::new(), learned: HashMap::new() }
    }

    /// What must happen to `bytes` that come by `arm`.
    pub fn receive(&mut self, arm: Arm, bytes: &[u8]) -> Expected {
        let segment = match read(bytes) {
            Read::Segment(segment) => segment,
            Read::NotOurs => return pass(bytes, NO_SERVICE, Reason::NotOurs),
            Read::Malformed => return pass(bytes, NO_SERVICE, Reason::Malformed),
            Read::Fragment if is_vip(&bytes[30..34]) => return pass(bytes, NO_SERVICE, Reason::Fragment),
            Read::Fragment => return pass(bytes, NO_SERVICE, Reason::NotOurs),
            Read::Echo(at) => return echo(bytes, at),
        };
        let serves = |service: &&Service| (service.vip, service.protocol) == (segment.to, segment.protocol);
        if let Some(service) = self.services.iter().find(serves) {
            let (slot, (backend, hop)) = (service.slot, service.backends[0]);
            return self.forward(arm, bytes, &segment, slot, backend, hop);
        }
        let has = |service: &&Service, backend: Address| {
            service.protocol == segment.protocol && service.backends.iter().any(|(at, _)| *at == backend)
        };
        if let Some(service) = self.services.iter().find(|service| has(service, segment.from)) {
            let (slot, vip) = (service.slot, service.vip);
            return self.reply(arm, bytes, &segment, slot, vip);
        }
        if let Some(service) = self.services.iter().find(|service| has(service, segment.to)) {
            self.direct.insert((segment.from, segment.to, segment.protocol));
            return pass(bytes, service.slot, Reason::Direct);
        }
        pass(bytes, NO_SERVICE, Reason::NotOurs)
    }

    fn forward(
        &mut self,
        arm: Arm,
        bytes: &[u8],
        segment: &Segment,
        slot: u32,
        backend: Address,
        hop: Option<Way>,
    ) -> Expected {
        if segment.ttl <= 1 {
            return pass(bytes, slot, Reason::TtlExpired);
        }
        let (reason, egress, station) = match hop {
            Some((egress, station)) => (Reason::Forwarded, egress, station),
            None => match fib(backend.0, segment.packet_len) {
                Ok((egress, station)) => (Reason::ForwardedFib, egress, station),
                Err(reason) => return refused(bytes, slot, reason),
            },
        };
        if segment.opens {
            let (theirs, ours) = (mac(&bytes[6..12]), mac(&bytes[..6]));
            self.learned.insert(segment.from.0, (arm, theirs, ours));
            self.direct.remove(&(segment.from, backend, segment.protocol));
        }
        let mut out = sent(bytes, own_mac(egress), station);
        out[30..34].copy_from_slice(&backend.0);
        out[segment.at + 2..segment.at + 4].copy_from_slice(&backend.1.to_be_bytes());
        sent_by(arm, egress, out, segment, slot, reason)
    }

    fn reply(&self, arm: Arm, bytes: &[u8], segment: &Segment, slot: u32, vip: Address) -> Expected {
        if self.direct.contains(&(segment.to, segment.from, segment.protocol)) {
            return pass(bytes, slot, Reason::Direct);
        }
        if segment.ttl <= 1 {
            return pass(bytes, slot, Reason::TtlExpired);
        }
        let client = segment.to.0;
        let (reason, egress, station, own) = match fib(client, segment.packet_len) {
            Ok((egress, station)) => (Reason::Replied, egress, station, own_mac(egress)),
            Err(Reason::FibNotForwarded) => return pass(bytes, slot, Reason::ToGateway),
            Err(Reason::FibNoNeighbour) => match self.learned.get(&client) {
                Some((egress, station, own)) => (Reason::RepliedLearned, *egress, *station, *own),
                None => return refused(bytes, slot, Reason::FibNoNeighbour),
            },
            Err(reason) => return refused(bytes, slot, reason),
        };
        let mut out = sent(bytes, own, station);
        out[26..30].copy_from_slice(&vip.0);
        out[segment.at..segment.at + 2].copy_from_slice(&vip.1.to_be_bytes());
        sent_by(arm, egress, out, segment, slot, reason)
    }
}

impl Expected {
    /// Bytes that must have been counted as forwarded and as replied.
    pub fn counted_bytes(&self) -> (usize, usize) {
        match self.reason {
            Reason::Forwarded | Reason::ForwardedFib => (self.bytes.len(), 0),
            Reason::Replied | Reason::RepliedLearned => (0, self.bytes.len()),
            _ => (0, 0),
        }
    }

    /// Says how the outcome for a packet that came as `before` differs from this, if it does.
    pub fn check(&self, before: &[u8], outcome: &Outcome) -> Result<(), String> {
        if outcome.action != self.action {
            return Err(format!("action {} instead of {}", outcome.action, self.action));
        }
        let mut after = outcome.bytes.clone();
        if after.len() != self.bytes.len() {
            return Err(format!("{} bytes instead of {}", after.len(), self.bytes.len()));
        }
        if let Some((ip, inner)) = self.checks {
            for (name, at, residue) in
                [("IPv4", ip, ip_residue as fn(&[u8]) -> u16), ("inner", inner, inner_residue)]
            {
                let none = before[23] == 17 && name == "inner" && before[at..at + 2] == [0, 0];
                let zero = after[at..at + 2] == [0, 0];
                if none != zero && before[23] == 17 && name == "inner" {
                    return Err("a UDP checksum came or went".to_owned());
                }
                if !none && residue(before) != residue(&after) {
                    return Err(format!("{name} checksum: sums up to {:#06x}", residue(&after)));
                }
            }
            for at in [ip, inner] {
                after[at..at + 2].copy_from_slice(&self.bytes[at..at + 2]);
            }
        }
        if after != self.bytes {
            return Err(format!("bytes are   {after:02x?}\nshould be {:02x?}", self.bytes));
        }
        Ok(())
    }
}

fn read(bytes: &[u8]) -> Read {
    if bytes[0] & 1 == 1 || bytes[12..14] != [8, 0] {
        return Read::NotOurs;
    }
    let ip = &bytes[14..];
    if ip.len() < 20 {
        return Read::Malformed;
    }
    let (header_len, packet_len) =
        (usize::from(ip[0] & 15) * 4, usize::from(ip[2]) << 8 | usize::from(ip[3]));
    if ip[0] >> 4 != 4 || header_len < 20 || packet_len < header_len || ip.len() < packet_len {
        return Read::Malformed;
    }
    if ip[6] & 0x3f != 0 || ip[7] != 0 {
        return Read::Fragment;
    }
    let inner = &ip[header_len..packet_len];
    let opens = match ip[9] {
        1 if inner.len() < 8 => return Read::Malformed,
        1 if inner[..2] == [8, 0] => return Read::Echo(14 + header_len),
        6 if inner.len() < 20 || inner[12] >> 4 < 5 || inner.len() < usize::from(inner[12] >> 4) * 4 => {
            return Read::Malformed;
        }
        6 => inner[13] & 0x16 == 0x02,
        17 => {
            let len = inner.get(4..6).map_or(0, |len| usize::from(len[0]) << 8 | usize::from(len[1]));
            if len < 8 || len > inner.len() || inner.len() < 8 {
                return Read::Malformed;
            }
            true
        }
        _ => return Read::NotOurs,
    };
    let address = |at: usize| [ip[at], ip[at + 1], ip[at + 2], ip[at + 3]];
    let port = |at: usize| u16::from_be_bytes([inner[at], inner[at + 1]]);
    Read::Segment(Segment {
        from: (address(12), port(0)),
        to: (address(16), port(2)),
        protocol: ip[9],
        at: 14 + header_len,
        ttl: ip[8],
        opens,
        packet_len,
    })
}

/// The routing table of the gateway, to anywhere.
fn fib(to: [u8; 4], packet_len: usize) -> Result<Way, Reason> {
    match to {
        CLIENT => Ok((Arm::Clients, CLIENT_MAC)),
        [10, 1, 0, 20] => Ok((Arm::Clients, NEAR_BACKEND_MAC)),
        PRIMARY => Ok((Arm::Backends, PRIMARY_MAC_IN_FIB)),
        STANDBY => Ok((Arm::Backends, STANDBY_MAC)),
        [10, 9, 4, _] if packet_len <= super::gateway::SMALL_MTU => Ok((Arm::Backends, STANDBY_MAC)),
        // Own and broadcast addresses. (The network's own address is unicast to the FIB, and has no neighbour.)
        [10, 1 | 2, 0, 1 | 255] => Err(Reason::FibNotForwarded),
        [10, 1 | 2, 0, _] => Err(Reason::FibNoNeighbour),
        [10, 9, third, _] if (1..=5).contains(&third) => {
            let dead_end = DEAD_ENDS.iter().find(|(address, _)| address[..3] == to[..3]);
            Err(dead_end.map_or(Reason::Impossible, |(_, reason)| *reason))
        }
        _ => Err(Reason::FibNotForwarded),
    }
}

fn echo(bytes: &[u8], at: usize) -> Expected {
    let one_station = matches!(bytes[26], 1..=223) && bytes[26] != 127;
    if !is_vip(&bytes[30..34]) || !one_station {
        return pass(bytes, NO_SERVICE, Reason::NotOurs);
    }
    let mut out =
        [&bytes[6..12], &bytes[..6], &bytes[12..26], &bytes[30..34], &bytes[26..30], &bytes[34..]].concat();
    (out[22], out[at]) = (64, 0);
    let (slot, reason) = (NO_SERVICE, Reason::EchoAnswered);
    Expected { action: action::TX, slot, reason, bytes: out, checks: Some((24, at + 2)) }
}

fn pass(bytes: &[u8], slot: u32, reason: Reason) -> Expected {
    Expected { action: action::PASS, slot, reason, bytes: bytes.to_vec(), checks: None }
}

fn refused(bytes: &[u8], slot: u32, reason: Reason) -> Expected {
    let passes = [Reason::FibTooBig, Reason::FibNotForwarded, Reason::FibUnsupported].contains(&reason);
    let action = if passes { action::PASS } else { action::DROP };
    Expected { action, ..pass(bytes, slot, reason) }
}

/// The frame between two stations, one hop further.
fn sent(bytes: &[u8], from: [u8; 6], to: [u8; 6]) -> Vec<u8> {
    let mut out = [&to[..], &from, &bytes[12..]].concat();
    out[22] -= 1;
    out
}

fn sent_by(arm: Arm, egress: Arm, bytes: Vec<u8>, segment: &Segment, slot: u32, reason: Reason) -> Expected {
    let action = if arm == egress { action::TX } else { action::REDIRECT };
    let check = segment.at + if segment.protocol == 6 { 16 } else { 6 };
    Expected { action, slot, reason, bytes, checks: Some((24, check)) }
}

/// What the IPv4 header of a frame sums up to; in one's complement all ones are zero.
fn ip_residue(bytes: &[u8]) -> u16 {
    sum(&bytes[14..14 + usize::from(bytes[14] & 15) * 4]) % 0xffff
}

/// What the body of the IPv4 packet of a frame sums up to, with its pseudo header if it has one.
fn inner_residue(bytes: &[u8]) -> u16 {
    let packet_len = usize::from(bytes[16]) << 8 | usize::from(bytes[17]);
    let inner = &bytes[14 + usize::from(bytes[14] & 15) * 4..14 + packet_len];
    let pseudo = if bytes[23] == 1 { &[][..] } else { &bytes[26..34] };
    sum(&[pseudo, inner].concat()) % 0xffff
}

fn is_vip(address: &[u8]) -> bool {
    address == VIP || address == SILENT_VIP
}

fn own_mac(arm: Arm) -> [u8; 6] {
    match arm {
        Arm::Clients => CLIENTS_ARM,
        Arm::Backends => BACKENDS_ARM,
    }
}

fn mac(bytes: &[u8]) -> [u8; 6] {
    std::array::from_fn(|at| bytes[at])
}
