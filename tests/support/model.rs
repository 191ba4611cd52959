//! What the gateway of [`super::gateway`] must do with any bytes whatsoever: a second opinion, written over slices
//! and addresses in the plainest way, with state in ordinary collections. Shares no code with the data path.
//!
//! It knows one thing less: instead of checksums it states that whoever summed up to nothing before does so after
//! ([`Expected::check`]).

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use fastswitch_common::{abi::NO_SERVICE, reason::Reason};

use super::{
    cases::action,
    frame::{Address, octets, sum, v4},
    gateway::{
        Arm, BACKENDS_ARM, CLIENT, CLIENT_MAC, CLIENT6, CLIENTS_ARM, DEAD_ENDS, DEAD_ENDS6, LOST, LOST_PORT,
        LOST_VIP, LOST6, LOST6_VIP, NAMES, NAMES_PRIMARY, NAMES_VIP, NAMES6, NAMES6_PRIMARY, NAMES6_VIP,
        NEAR, NEAR_BACKEND, NEAR_BACKEND_MAC, NEAR_VIP, Outcome, PRIMARY, PRIMARY_MAC, PRIMARY_MAC_IN_FIB,
        PRIMARY6, SHARED, SHARED_VIP, SHARED6, SHARED6_VIP, SILENT, SILENT_NAMES, SILENT_NAMES_VIP,
        SILENT_SERVICE_VIP, SILENT_VIP, STANDBY, STANDBY_MAC, STANDBY6, VIP, VIP6, WEB, WEB_PRIMARY,
        WEB_STANDBY, WEB_VIP, WEB6, WEB6_PRIMARY, WEB6_STANDBY, WEB6_VIP,
    },
};

/// The arm that leads to a station, and its MAC address.
type Way = (Arm, [u8; 6]);

/// A service of the gateway in its first state: backend 0 active.
#[derive(Clone)]
struct Service {
    slot: u32,
    vip: Address,
    protocol: u8,
    /// Backends get packets as they are, and answer as the VIP.
    dsr: bool,
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
    /// Where the checksums are that may have changed: of an IPv4 header, and of what the packet carries.
    checks: Vec<Check>,
}

/// A checksum of a frame: its offset, and whether it is that of the IPv4 header.
#[derive(Clone, Copy, Debug)]
struct Check {
    at: usize,
    of_ipv4: bool,
}

/// The gateway.
pub struct Model {
    services: Vec<Service>,
    /// Flows that use a backend's own address: client, backend, protocol.
    direct: HashSet<(Address, Address, u8)>,
    /// The way back to clients: arm, station, MAC address of the gateway that it used.
    learned: HashMap<IpAddr, (Arm, [u8; 6], [u8; 6])>,
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
    Fragment(IpAddr),
    /// From and to whom, and where its header is.
    Echo(IpAddr, IpAddr, usize),
    Segment(Segment),
}

impl Model {
    /// As a gateway starts.
    pub fn new() -> Self {
        let known = Some((Arm::Backends, PRIMARY_MAC));
        let service = |slot, vip, protocol, backends| Service { slot, vip, protocol, dsr: false, backends };
        let dsr = |slot, vip, protocol, backends| Service { slot, vip, protocol, dsr: true, backends };
        let lost = DEAD_ENDS.iter().map(|(address, _)| ((*address, LOST_PORT), None)).collect();
        let lost6 = DEAD_ENDS6.iter().map(|(address, _)| ((*address, LOST_PORT), None)).collect();
        let services = vec![
            service(WEB, WEB_VIP, 6, vec![(WEB_PRIMARY, known), (WEB_STANDBY, None)]),
            service(NAMES, NAMES_VIP, 17, vec![(NAMES_PRIMARY, known)]),
            service(SILENT, SILENT_SERVICE_VIP, 6, vec![((PRIMARY, 8081), known)]),
            service(NEAR, NEAR_VIP, 6, vec![(NEAR_BACKEND, Some((Arm::Clients, NEAR_BACKEND_MAC)))]),
            service(LOST, LOST_VIP, 6, lost),
            service(SILENT_NAMES, SILENT_NAMES_VIP, 17, vec![((PRIMARY, 5354), known)]),
            service(WEB6, WEB6_VIP, 6, vec![(WEB6_PRIMARY, known), (WEB6_STANDBY, None)]),
            service(NAMES6, NAMES6_VIP, 17, vec![(NAMES6_PRIMARY, known)]),
            dsr(SHARED, SHARED_VIP, 6, vec![((PRIMARY, 8443), known)]),
            dsr(SHARED6, SHARED6_VIP, 17, vec![((PRIMARY6, 443), known)]),
            service(LOST6, LOST6_VIP, 6, lost6),
        ];
        Self { services, direct: HashSet::new(), learned: HashMap::new() }
    }

    /// What must happen to `bytes` that come by `arm`.
    pub fn receive(&mut self, arm: Arm, bytes: &[u8]) -> Expected {
        let segment = match read(bytes) {
            Read::Segment(segment) => segment,
            Read::NotOurs => return pass(bytes, NO_SERVICE, Reason::NotOurs),
            Read::Malformed => return pass(bytes, NO_SERVICE, Reason::Malformed),
            Read::Fragment(to) if is_vip(to) => return pass(bytes, NO_SERVICE, Reason::Fragment),
            Read::Fragment(_) => return pass(bytes, NO_SERVICE, Reason::NotOurs),
            Read::Echo(from, to, at) => return echo(bytes, from, to, at),
        };
        let serves = |service: &&Service| (service.vip, service.protocol) == (segment.to, segment.protocol);
        if let Some(service) = self.services.iter().find(serves) {
            let service = service.clone();
            return self.forward(arm, bytes, &segment, &service);
        }
        let has = |service: &&Service, backend: Address| {
            let answers = if service.dsr {
                service.vip == backend
            } else {
                service.backends.iter().any(|(at, _)| *at == backend)
            };
            service.protocol == segment.protocol && answers
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

    fn forward(&mut self, arm: Arm, bytes: &[u8], segment: &Segment, service: &Service) -> Expected {
        let (slot, dsr, (backend, hop)) = (service.slot, service.dsr, service.backends[0]);
        if segment.ttl <= 1 && !dsr {
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
        if dsr {
            let out = [&station[..], &own_mac(egress), &bytes[12..]].concat();
            return Expected { checks: vec![], ..sent_by(arm, egress, out, segment, slot, reason) };
        }
        let mut out = sent(bytes, own_mac(egress), station);
        rename(&mut out, false, backend.0);
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
        rename(&mut out, true, vip.0);
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
        for Check { at, of_ipv4 } in self.checks.iter().copied() {
            let residue = if of_ipv4 { ip_residue } else { inner_residue };
            let optional = !of_ipv4 && protocol(before) == 17;
            let none = optional && before[at..at + 2] == [0, 0];
            if optional && none != (after[at..at + 2] == [0, 0]) {
                return Err("a UDP checksum came or went".to_owned());
            }
            if !none && residue(before) != residue(&after) {
                return Err(format!("checksum at {at}: sums up to {:#06x}", residue(&after)));
            }
            after[at..at + 2].copy_from_slice(&self.bytes[at..at + 2]);
        }
        if after != self.bytes {
            return Err(format!("bytes are   {after:02x?}\nshould be {:02x?}", self.bytes));
        }
        Ok(())
    }
}

fn read(bytes: &[u8]) -> Read {
    if bytes[0] & 1 == 1 {
        return Read::NotOurs;
    }
    match bytes[12..14] {
        [8, 0] => read_ipv4(bytes),
        [0x86, 0xdd] => read_ipv6(bytes),
        _ => Read::NotOurs,
    }
}

fn read_ipv4(bytes: &[u8]) -> Read {
    let ip = &bytes[14..];
    if ip.len() < 20 {
        return Read::Malformed;
    }
    let (header_len, packet_len) =
        (usize::from(ip[0] & 15) * 4, usize::from(ip[2]) << 8 | usize::from(ip[3]));
    if ip[0] >> 4 != 4 || header_len < 20 || packet_len < header_len || ip.len() < packet_len {
        return Read::Malformed;
    }
    let address = |at: usize| v4([ip[at], ip[at + 1], ip[at + 2], ip[at + 3]]);
    let (from, to) = (address(12), address(16));
    if ip[6] & 0x3f != 0 || ip[7] != 0 {
        return Read::Fragment(to);
    }
    let inner = &ip[header_len..packet_len];
    if ip[9] == 1 {
        return read_echo(inner, 8, from, to, 14 + header_len);
    }
    read_inner(ip[9], inner, from, to, 14 + header_len, ip[8], packet_len)
}

fn read_ipv6(bytes: &[u8]) -> Read {
    let ip = &bytes[14..];
    if ip.len() < 40 {
        return Read::Malformed;
    }
    let packet_len = 40 + (usize::from(ip[4]) << 8 | usize::from(ip[5]));
    if ip[0] >> 4 != 6 || ip.len() < packet_len {
        return Read::Malformed;
    }
    let address = |at: usize| Ipv6Addr::from(<[u8; 16]>::try_from(&ip[at..at + 16]).expect("16 bytes"));
    let (from, to) = (address(8), address(24));
    if from.to_ipv4_mapped().is_some() || to.to_ipv4_mapped().is_some() {
        return Read::NotOurs;
    }
    let (mut type_, mut at, mut read) = (ip[6], 40, 0);
    while [0, 43, 44, 60].contains(&type_) && read < 6 {
        // Within the frame is enough to be read; within the packet is judged at the end.
        let Some(header) = ip.get(at..at + 8) else { return Read::Malformed };
        if type_ == 44 {
            if header[2] != 0 || header[3] & 0xf9 != 0 {
                return Read::Fragment(to.into());
            }
            at += 8;
        } else if type_ == 43 && header[3] != 0 {
            return Read::NotOurs;
        } else {
            at += 8 + 8 * usize::from(header[1]);
        }
        (type_, read) = (header[0], read + 1);
    }
    if ![6, 17, 58].contains(&type_) {
        return Read::NotOurs;
    }
    if at > packet_len {
        return Read::Malformed;
    }
    let inner = &ip[at..packet_len];
    if type_ == 58 {
        return read_echo(inner, 128, from.into(), to.into(), 14 + at);
    }
    read_inner(type_, inner, from.into(), to.into(), 14 + at, ip[7], packet_len)
}

fn read_echo(inner: &[u8], request: u8, from: IpAddr, to: IpAddr, at: usize) -> Read {
    match inner {
        _ if inner.len() < 8 => Read::Malformed,
        [type_, 0, ..] if *type_ == request => Read::Echo(from, to, at),
        _ => Read::NotOurs,
    }
}

fn read_inner(
    protocol: u8,
    inner: &[u8],
    from: IpAddr,
    to: IpAddr,
    at: usize,
    ttl: u8,
    packet_len: usize,
) -> Read {
    let opens = match protocol {
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
    let port = |at: usize| u16::from_be_bytes([inner[at], inner[at + 1]]);
    Read::Segment(Segment { from: (from, port(0)), to: (to, port(2)), protocol, at, ttl, opens, packet_len })
}

/// The routing table of the gateway, to anywhere.
fn fib(to: IpAddr, packet_len: usize) -> Result<Way, Reason> {
    match to {
        IpAddr::V4(to) => fib4(to, packet_len),
        IpAddr::V6(to) => fib6(to),
    }
}

fn fib4(to: Ipv4Addr, packet_len: usize) -> Result<Way, Reason> {
    let address = IpAddr::V4(to);
    match to.octets() {
        _ if address == CLIENT => Ok((Arm::Clients, CLIENT_MAC)),
        [10, 1, 0, 20] => Ok((Arm::Clients, NEAR_BACKEND_MAC)),
        _ if address == PRIMARY => Ok((Arm::Backends, PRIMARY_MAC_IN_FIB)),
        _ if address == STANDBY => Ok((Arm::Backends, STANDBY_MAC)),
        [10, 9, 4, _] if packet_len <= SMALL_MTU => Ok((Arm::Backends, STANDBY_MAC)),
        // Own and broadcast addresses. (The network's own address is unicast to the FIB, and has no neighbour.)
        [10, 1 | 2, 0, 1 | 255] => Err(Reason::FibNotForwarded),
        [10, 1 | 2, 0, _] => Err(Reason::FibNoNeighbour),
        [10, 9, third @ 1..=5, _] => {
            let dead_end = DEAD_ENDS.iter().find(|(end, _)| octets(*end)[..3] == [10, 9, third]);
            Err(dead_end.map_or(Reason::Impossible, |(_, reason)| *reason))
        }
        _ => Err(Reason::FibNotForwarded),
    }
}

fn fib6(to: Ipv6Addr) -> Result<Way, Reason> {
    let address = IpAddr::V6(to);
    match to.segments() {
        _ if address == CLIENT6 => Ok((Arm::Clients, CLIENT_MAC)),
        _ if address == PRIMARY6 => Ok((Arm::Backends, PRIMARY_MAC_IN_FIB)),
        _ if address == STANDBY6 => Ok((Arm::Backends, STANDBY_MAC)),
        // Own addresses, and those of the subnets' routers (RFC 4291, 2.6.1).
        [0xfd00, 1 | 2, 0, 0, 0, 0, 0, 0 | 1] => Err(Reason::FibNotForwarded),
        [0xfd00, 1 | 2, 0, 0, ..] => Err(Reason::FibNoNeighbour),
        [0xfd00, 0x91, 0, 0, ..] => Err(Reason::FibBlackhole),
        [0xfd00, 0x92, 0, 0, ..] => Err(Reason::FibUnreachable),
        [0xfd00, 0x93, 0, 0, ..] => Err(Reason::FibProhibited),
        [0xfd00, 0x94, 0, 0, ..] => Ok((Arm::Backends, STANDBY_MAC)),
        _ => Err(Reason::FibNotForwarded),
    }
}

fn echo(bytes: &[u8], from: IpAddr, to: IpAddr, at: usize) -> Expected {
    let one_station = match from {
        IpAddr::V4(from) => matches!(from.octets()[0], 1..=223) && !from.is_loopback(),
        IpAddr::V6(from) => !from.is_unspecified() && !from.is_loopback() && !from.is_multicast(),
    };
    if !is_vip(to) || !one_station {
        return pass(bytes, NO_SERVICE, Reason::NotOurs);
    }
    let mut out = [&bytes[6..12], &bytes[..6], &bytes[12..]].concat();
    rename(&mut out, true, to);
    rename(&mut out, false, from);
    out[if to.is_ipv4() { 22 } else { 21 }] = 64;
    out[at] = if to.is_ipv4() { 0 } else { 129 };
    let (slot, reason) = (NO_SERVICE, Reason::EchoAnswered);
    Expected { action: action::TX, slot, reason, checks: checks(&out, at + 2), bytes: out }
}

fn pass(bytes: &[u8], slot: u32, reason: Reason) -> Expected {
    Expected { action: action::PASS, slot, reason, bytes: bytes.to_vec(), checks: vec![] }
}

fn refused(bytes: &[u8], slot: u32, reason: Reason) -> Expected {
    if reason == Reason::TooBig {
        return too_big(bytes, slot);
    }
    let passes = [Reason::FibNotForwarded, Reason::FibUnsupported].contains(&reason);
    let action = if passes { action::PASS } else { action::DROP };
    Expected { action, ..pass(bytes, slot, reason) }
}

/// The frame between two stations, one hop further.
fn sent(bytes: &[u8], from: [u8; 6], to: [u8; 6]) -> Vec<u8> {
    let mut out = [&to[..], &from, &bytes[12..]].concat();
    out[if is_ipv4(bytes) { 22 } else { 21 }] -= 1;
    out
}

/// Another source, or destination, in the IP header of a frame.
fn rename(bytes: &mut [u8], source: bool, address: IpAddr) {
    let (first, len) = if is_ipv4(bytes) { (26, 4) } else { (22, 16) };
    let at = if source { first } else { first + len };
    bytes[at..at + len].copy_from_slice(&octets(address));
}

fn sent_by(arm: Arm, egress: Arm, bytes: Vec<u8>, segment: &Segment, slot: u32, reason: Reason) -> Expected {
    let action = if arm == egress { action::TX } else { action::REDIRECT };
    let check = segment.at + if segment.protocol == 6 { 16 } else { 6 };
    Expected { action, slot, reason, checks: checks(&bytes, check), bytes }
}

/// The checksum at `inner`, and that of the IP header if it has one.
fn checks(bytes: &[u8], inner: usize) -> Vec<Check> {
    let inner = Check { at: inner, of_ipv4: false };
    if is_ipv4(bytes) { vec![Check { at: 24, of_ipv4: true }, inner] } else { vec![inner] }
}

/// What the IPv4 header of a frame sums up to; in one's complement all ones are zero.
fn ip_residue(bytes: &[u8]) -> u16 {
    sum(&bytes[14..14 + usize::from(bytes[14] & 15) * 4]) % 0xffff
}

/// What the body of the IP packet of a frame sums up to, with its pseudo header if it has one. Extension headers count
/// as well: nobody changes them.
fn inner_residue(bytes: &[u8]) -> u16 {
    let start = if is_ipv4(bytes) { 14 + usize::from(bytes[14] & 15) * 4 } else { 54 };
    let packet = &bytes[start..packet_end(bytes)];
    let addresses = if is_ipv4(bytes) { &bytes[26..34] } else { &bytes[22..54] };
    let pseudo = if is_ipv4(bytes) && bytes[23] == 1 { &[][..] } else { addresses };
    sum(&[pseudo, packet].concat()) % 0xffff
}

fn packet_end(bytes: &[u8]) -> usize {
    let word = |at: usize| usize::from(bytes[at]) << 8 | usize::from(bytes[at + 1]);
    if is_ipv4(bytes) { 14 + word(16) } else { 54 + word(18) }
}

/// What a packet carries that carries something.
fn protocol(bytes: &[u8]) -> u8 {
    match read(bytes) {
        Read::Segment(segment) => segment.protocol,
        _ => 0,
    }
}

fn is_ipv4(bytes: &[u8]) -> bool {
    bytes[12..14] == [8, 0]
}

fn is_vip(address: IpAddr) -> bool {
    [VIP, SILENT_VIP, VIP6].contains(&address)
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
