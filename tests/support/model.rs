//! What the gateway of [`super::gateway`] must do with any bytes whatsoever: a second opinion, written over slices
//! and addresses in the plainest way, with state in ordinary collections. Shares no code with the data path.
//!
//! It knows one thing less: instead of checksums it states that whoever summed up to nothing before does so after
//! ([`Expected::check`]).

mod expected;
mod read;

use std::{
    collections::{HashMap, HashSet},
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use fastswitch_common::{abi::NO_SERVICE, reason::Reason};

use super::{
    cases::action,
    frame::{Address, icmp, octets},
    gateway::{
        Arm, BACKENDS_ARM, CLIENT, CLIENT_MAC, CLIENT6, CLIENTS_ARM, DEAD_ENDS, DEAD_ENDS6, LINK_MTU, LOST,
        LOST_PORT, LOST_VIP, LOST6, LOST6_VIP, NAMES, NAMES_PRIMARY, NAMES_VIP, NAMES6, NAMES6_PRIMARY,
        NAMES6_VIP, NEAR, NEAR_BACKEND, NEAR_BACKEND_MAC, NEAR_VIP, PRIMARY, PRIMARY_MAC, PRIMARY_MAC_IN_FIB,
        PRIMARY6, SHARED, SHARED_VIP, SHARED6, SHARED6_VIP, SILENT, SILENT_NAMES, SILENT_NAMES_VIP,
        SILENT_SERVICE_VIP, SILENT_VIP, SMALL_MTU, SMALL_MTU6, STANDBY, STANDBY_MAC, STANDBY6, VIP, VIP6,
        WEB, WEB_PRIMARY, WEB_STANDBY, WEB_VIP, WEB6, WEB6_PRIMARY, WEB6_STANDBY, WEB6_VIP,
    },
};

pub use expected::Expected;
use expected::{Check, checks};
use read::{IcmpError, Part, PartContent, Read, Segment, ends, read};

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

/// The gateway.
pub struct Model {
    services: Vec<Service>,
    /// Flows that use a backend's own address: client, backend, protocol.
    direct: HashSet<(Address, Address, u8)>,
    /// The way back to clients: arm, station, MAC address of the gateway that it used.
    learned: HashMap<IpAddr, (Arm, [u8; 6], [u8; 6])>,
    /// Ports and protocol of fragmented packets.
    fragments: HashMap<read::Key, (u16, u16, u8)>,
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
        Self { services, direct: HashSet::new(), learned: HashMap::new(), fragments: HashMap::new() }
    }

    /// What must happen to `bytes` that come by `arm`.
    pub fn receive(&mut self, arm: Arm, bytes: &[u8]) -> Expected {
        match read(bytes) {
            Read::Segment(segment) => self.segment(arm, bytes, &segment),
            Read::NotOurs => pass(bytes, NO_SERVICE, Reason::NotOurs),
            Read::Malformed => pass(bytes, NO_SERVICE, Reason::Malformed),
            Read::Fragment(part) => self.fragment(arm, bytes, part),
            Read::Echo(from, to, at) => echo(bytes, from, to, at),
            Read::IcmpError(error) => self.icmp_error(arm, bytes, &error),
        }
    }

    fn segment(&mut self, arm: Arm, bytes: &[u8], segment: &Segment) -> Expected {
        if let Some(service) = self.of_vip(segment.to, segment.protocol) {
            return self.forward(arm, bytes, segment, &service);
        }
        if let Some(service) = self.of_backend(segment.from, segment.protocol) {
            return self.reply(arm, bytes, segment, service.slot, service.vip);
        }
        if let Some(service) = self.of_backend(segment.to, segment.protocol) {
            self.direct.insert((segment.from, segment.to, segment.protocol));
            return pass(bytes, service.slot, Reason::Direct);
        }
        pass(bytes, NO_SERVICE, Reason::NotOurs)
    }

    /// The service at a VIP.
    fn of_vip(&self, vip: Address, protocol: u8) -> Option<Service> {
        self.services.iter().find(|service| (service.vip, service.protocol) == (vip, protocol)).cloned()
    }

    /// The service that a backend answers for from here.
    fn of_backend(&self, backend: Address, protocol: u8) -> Option<Service> {
        let answers = |service: &&Service| {
            let has = if service.dsr {
                service.vip == backend
            } else {
                service.backends.iter().any(|(at, _)| *at == backend)
            };
            service.protocol == protocol && has
        };
        self.services.iter().find(answers).cloned()
    }

    fn fragment(&mut self, arm: Arm, bytes: &[u8], part: Part) -> Expected {
        let concerns = is_vip(part.key.0) || is_vip(part.key.1);
        let left = |reason| pass(bytes, NO_SERVICE, if concerns { reason } else { Reason::NotOurs });
        match part.content {
            PartContent::NoBeginning => left(Reason::Fragment),
            PartContent::Beginning(segment) => {
                let known = self.of_vip(segment.to, segment.protocol).is_some()
                    || self.of_backend(segment.from, segment.protocol).is_some();
                if known {
                    let ports = (segment.from.1, segment.to.1, segment.protocol);
                    self.fragments.insert(part.key, ports);
                }
                self.segment(arm, bytes, &segment)
            }
            PartContent::Later { ttl, packet_len } => {
                let (from, to, ..) = part.key;
                let Some((from_port, to_port, protocol)) = self.fragments.get(&part.key).copied() else {
                    return left(Reason::FragmentUnmatched);
                };
                let (from, to) = ((from, from_port), (to, to_port));
                let segment = Segment { from, to, protocol, at: None, ttl, opens: false, packet_len };
                self.segment(arm, bytes, &segment)
            }
        }
    }

    fn icmp_error(&self, arm: Arm, bytes: &[u8], error: &IcmpError) -> Expected {
        let IcmpError { from, to, protocol, ttl, packet_len, .. } = *error;
        if let Some(service) = self.of_vip(from, protocol) {
            let (slot, (backend, hop)) = (service.slot, service.backends[0]);
            if ttl <= 1 && !service.dsr {
                return pass(bytes, slot, Reason::TtlExpired);
            }
            let (egress, station) = match way(hop, backend.0, packet_len) {
                Ok((_, egress, station)) => (egress, station),
                Err(reason) => return refused(bytes, slot, reason, None),
            };
            let reason = Reason::IcmpErrorForwarded;
            if service.dsr {
                let out = [&station[..], &own_mac(egress), &bytes[12..]].concat();
                return sent_by(arm, egress, out, vec![], slot, reason);
            }
            let mut out = sent(bytes, own_mac(egress), station);
            rename(&mut out, 0, false, backend.0);
            rename(&mut out, error.quoted - 14, true, backend.0);
            out[error.at..error.at + 2].copy_from_slice(&backend.1.to_be_bytes());
            return sent_by(arm, egress, out, error.checks(bytes), slot, reason);
        }
        let Some(service) = self.of_backend(to, protocol) else {
            return pass(bytes, NO_SERVICE, Reason::NotOurs);
        };
        let (slot, vip) = (service.slot, service.vip);
        if self.direct.contains(&(from, to, protocol)) {
            return pass(bytes, slot, Reason::Direct);
        }
        if ttl <= 1 {
            return pass(bytes, slot, Reason::TtlExpired);
        }
        let (_, egress, station, own) = match self.way_to_client(from.0, packet_len) {
            Ok(way) => way,
            Err(reason) => return refused(bytes, slot, reason, None),
        };
        let mut out = sent(bytes, own, station);
        rename(&mut out, 0, true, vip.0);
        rename(&mut out, error.quoted - 14, false, vip.0);
        out[error.at + 2..error.at + 4].copy_from_slice(&vip.1.to_be_bytes());
        sent_by(arm, egress, out, error.checks(bytes), slot, Reason::IcmpErrorReplied)
    }

    fn forward(&mut self, arm: Arm, bytes: &[u8], segment: &Segment, service: &Service) -> Expected {
        let (slot, dsr, (backend, hop)) = (service.slot, service.dsr, service.backends[0]);
        if segment.ttl <= 1 && !dsr {
            return pass(bytes, slot, Reason::TtlExpired);
        }
        let (reason, egress, station) = match way(hop, backend.0, segment.packet_len) {
            Ok(way) => way,
            Err(reason) => return refused(bytes, slot, reason, segment.at),
        };
        if segment.opens {
            let (theirs, ours) = (mac(&bytes[6..12]), mac(&bytes[..6]));
            self.learned.insert(segment.from.0, (arm, theirs, ours));
            self.direct.remove(&(segment.from, backend, segment.protocol));
        }
        if dsr {
            let out = [&station[..], &own_mac(egress), &bytes[12..]].concat();
            return sent_by(arm, egress, out, vec![], slot, reason);
        }
        let mut out = sent(bytes, own_mac(egress), station);
        rename(&mut out, 0, false, backend.0);
        if let Some(at) = segment.at {
            out[at + 2..at + 4].copy_from_slice(&backend.1.to_be_bytes());
        }
        sent_by(arm, egress, out, segment.checks(bytes), slot, reason)
    }

    fn reply(&self, arm: Arm, bytes: &[u8], segment: &Segment, slot: u32, vip: Address) -> Expected {
        if self.direct.contains(&(segment.to, segment.from, segment.protocol)) {
            return pass(bytes, slot, Reason::Direct);
        }
        if segment.ttl <= 1 {
            return pass(bytes, slot, Reason::TtlExpired);
        }
        let (reason, egress, station, own) = match self.way_to_client(segment.to.0, segment.packet_len) {
            Ok(way) => way,
            Err(reason) => return refused(bytes, slot, reason, segment.at),
        };
        let mut out = sent(bytes, own, station);
        rename(&mut out, 0, true, vip.0);
        if let Some(at) = segment.at {
            out[at..at + 2].copy_from_slice(&vip.1.to_be_bytes());
        }
        sent_by(arm, egress, out, segment.checks(bytes), slot, reason)
    }

    /// By which arm, to which station, from which MAC address.
    fn way_to_client(
        &self,
        client: IpAddr,
        packet_len: usize,
    ) -> Result<(Reason, Arm, [u8; 6], [u8; 6]), Reason> {
        match fib(client, packet_len) {
            Ok((egress, station)) => Ok((Reason::Replied, egress, station, own_mac(egress))),
            Err(Reason::FibNotForwarded) => Err(Reason::ToGateway),
            Err(Reason::FibNoNeighbour) => match self.learned.get(&client) {
                Some((egress, station, own)) => Ok((Reason::RepliedLearned, *egress, *station, *own)),
                None => Err(Reason::FibNoNeighbour),
            },
            Err(reason) => Err(reason),
        }
    }
}

/// To a backend, whose next hop the daemon may keep.
fn way(hop: Option<Way>, backend: IpAddr, packet_len: usize) -> Result<(Reason, Arm, [u8; 6]), Reason> {
    match hop {
        Some(_) if packet_len > LINK_MTU => Err(Reason::TooBig),
        Some((egress, station)) => Ok((Reason::Forwarded, egress, station)),
        None => fib(backend, packet_len).map(|(egress, station)| (Reason::ForwardedFib, egress, station)),
    }
}

/// The routing table of the gateway, to anywhere.
fn fib(to: IpAddr, packet_len: usize) -> Result<Way, Reason> {
    let way = match to {
        IpAddr::V4(to) => fib4(to),
        IpAddr::V6(to) => fib6(to),
    };
    match way {
        Ok(_) | Err(Reason::FibNoNeighbour) if packet_len > mtu(to) => Err(Reason::TooBig),
        way => way,
    }
}

/// Of the way to there.
fn mtu(to: IpAddr) -> usize {
    match octets(to)[..] {
        [10, 9, 4, _] => SMALL_MTU,
        [0xfd, 0, 0, 0x94, ..] => SMALL_MTU6,
        _ => LINK_MTU,
    }
}

fn fib4(to: Ipv4Addr) -> Result<Way, Reason> {
    let address = IpAddr::V4(to);
    match to.octets() {
        _ if address == CLIENT => Ok((Arm::Clients, CLIENT_MAC)),
        [10, 1, 0, 20] => Ok((Arm::Clients, NEAR_BACKEND_MAC)),
        _ if address == PRIMARY => Ok((Arm::Backends, PRIMARY_MAC_IN_FIB)),
        _ if address == STANDBY => Ok((Arm::Backends, STANDBY_MAC)),
        [10, 9, 4, _] => Ok((Arm::Backends, STANDBY_MAC)),
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
    if !is_vip(to) || !is_one_station(from) {
        return pass(bytes, NO_SERVICE, Reason::NotOurs);
    }
    let mut out = [&bytes[6..12], &bytes[..6], &bytes[12..]].concat();
    rename(&mut out, 0, true, to);
    rename(&mut out, 0, false, from);
    out[if to.is_ipv4() { 22 } else { 21 }] = 64;
    out[at] = if to.is_ipv4() { 0 } else { 129 };
    let (slot, reason) = (NO_SERVICE, Reason::EchoAnswered);
    Expected { action: action::TX, slot, reason, checks: checks(&out, at + 2, false), bytes: out }
}

fn pass(bytes: &[u8], slot: u32, reason: Reason) -> Expected {
    Expected { action: action::PASS, slot, reason, bytes: bytes.to_vec(), checks: vec![] }
}

/// What cannot go its way; `at` is where its TCP or UDP header is, if it has one.
fn refused(bytes: &[u8], slot: u32, reason: Reason, at: Option<usize>) -> Expected {
    let passes = [Reason::FibNotForwarded, Reason::FibUnsupported, Reason::ToGateway].contains(&reason);
    match (reason, at) {
        (Reason::TooBig, Some(at)) => too_big(bytes, slot, at),
        (Reason::TooBig, None) => Expected { action: action::DROP, ..pass(bytes, slot, Reason::FibTooBig) },
        _ if passes => pass(bytes, slot, reason),
        _ => Expected { action: action::DROP, ..pass(bytes, slot, reason) },
    }
}

/// Answered by an ICMP error that quotes the packet up to eight bytes of its body.
fn too_big(bytes: &[u8], slot: u32, at: usize) -> Expected {
    let (from, to) = ends(bytes);
    if !is_one_station(from) {
        return refused(bytes, slot, Reason::TooBig, None);
    }
    let quoted = if from.is_ipv4() { at - 14 + 8 } else { (at - 14 + 8).min(128) };
    let (type_, code) = if from.is_ipv4() { (3, 4) } else { (2, 0) };
    // Only the table has larger packets to other stations than those on the links.
    let [high, low] = (LINK_MTU as u16).to_be_bytes();
    let answer = icmp(to, from, type_, code, [0, 0, high, low], &bytes[14..14 + quoted]);
    let out = answer.macs(mac(&bytes[..6]), mac(&bytes[6..12])).bytes();
    Expected { action: action::TX, slot, reason: Reason::TooBig, bytes: out, checks: vec![] }
}

/// The frame between two stations, one hop further.
fn sent(bytes: &[u8], from: [u8; 6], to: [u8; 6]) -> Vec<u8> {
    let mut out = [&to[..], &from, &bytes[12..]].concat();
    out[if is_ipv4(bytes) { 22 } else { 21 }] -= 1;
    out
}

/// Another source, or destination, in the IP header that is so many bytes behind the usual place.
fn rename(bytes: &mut [u8], behind: usize, source: bool, address: IpAddr) {
    let (first, len) = if is_ipv4(bytes) { (26, 4) } else { (22, 16) };
    let at = behind + if source { first } else { first + len };
    bytes[at..at + len].copy_from_slice(&octets(address));
}

fn sent_by(arm: Arm, egress: Arm, bytes: Vec<u8>, checks: Vec<Check>, slot: u32, reason: Reason) -> Expected {
    let action = if arm == egress { action::TX } else { action::REDIRECT };
    Expected { action, slot, reason, checks, bytes }
}

fn is_ipv4(bytes: &[u8]) -> bool {
    bytes[12..14] == [8, 0]
}

fn is_one_station(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => matches!(address.octets()[0], 1..=223) && !address.is_loopback(),
        IpAddr::V6(address) => !address.is_unspecified() && !address.is_loopback() && !address.is_multicast(),
    }
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
