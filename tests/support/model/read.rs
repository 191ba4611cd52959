//! What any bytes say, read over slices.

use std::net::{IpAddr, Ipv6Addr};

use super::{
    super::frame::{Address, v4},
    expected::{Check, Covers, checks},
    is_ipv4,
};

pub(super) enum Read {
    NotOurs,
    Malformed,
    Fragment(Part),
    /// From and to whom, and where its header is.
    Echo(IpAddr, IpAddr, usize),
    IcmpError(IcmpError),
    Segment(Segment),
}

/// A TCP segment or UDP datagram.
pub(super) struct Segment {
    pub(super) from: Address,
    pub(super) to: Address,
    pub(super) protocol: u8,
    /// Offset of its header in the frame; a later part of a fragmented packet has none.
    pub(super) at: Option<usize>,
    pub(super) ttl: u8,
    pub(super) opens: bool,
    pub(super) packet_len: usize,
}

/// What parts of a fragmented packet have in common: addresses, identification, protocol if it counts.
pub(super) type Key = (IpAddr, IpAddr, u32, u8);

/// A part of a fragmented packet.
pub(super) struct Part {
    pub(super) key: Key,
    pub(super) content: PartContent,
}

pub(super) enum PartContent {
    /// The first, with all of the header.
    Beginning(Segment),
    /// The first, without.
    NoBeginning,
    Later {
        ttl: u8,
        packet_len: usize,
    },
}

/// An ICMP error to the sender of the packet that it quotes.
pub(super) struct IcmpError {
    /// Who sent the quoted packet, to whom, and what it is.
    pub(super) from: Address,
    pub(super) to: Address,
    pub(super) protocol: u8,
    /// Offsets in the frame: of the ICMP message, the quoted IP header, the quoted TCP or UDP header.
    pub(super) message: usize,
    pub(super) quoted: usize,
    pub(super) at: usize,
    pub(super) ttl: u8,
    pub(super) packet_len: usize,
}

impl Segment {
    /// Its checksums; a later part of a fragmented packet has only that of IPv4.
    pub(super) fn checks(&self, bytes: &[u8]) -> Vec<Check> {
        let Some(at) = self.at else {
            let mut checks = checks(bytes, 0, false);
            checks.pop();
            return checks;
        };
        checks(bytes, at + check_at(self.protocol), self.protocol == 17)
    }
}

impl IcmpError {
    /// Its checksums, and those that it quotes.
    pub(super) fn checks(&self, bytes: &[u8]) -> Vec<Check> {
        let mut checks = checks(bytes, self.message + 2, false);
        if is_ipv4(bytes) {
            let covers = Covers::Ipv4(self.quoted);
            checks.push(Check { at: self.quoted + 10, covers, optional: false });
        }
        let (at, end) = (self.at + check_at(self.protocol), 14 + self.packet_len);
        if at + 2 <= end {
            let covers = Covers::Body(self.at, end, Some(self.quoted));
            checks.push(Check { at, covers, optional: self.protocol == 17 });
        }
        checks
    }
}

fn check_at(protocol: u8) -> usize {
    if protocol == 6 { 16 } else { 6 }
}

pub(super) fn read(bytes: &[u8]) -> Read {
    if bytes[0] & 1 == 1 {
        return Read::NotOurs;
    }
    match bytes[12..14] {
        [8, 0] => read_ipv4(bytes),
        [0x86, 0xdd] => read_ipv6(bytes),
        _ => Read::NotOurs,
    }
}

/// Sender and receiver of a frame that has them.
pub(super) fn ends(bytes: &[u8]) -> (IpAddr, IpAddr) {
    addresses(&bytes[14..], is_ipv4(bytes))
}

fn addresses(ip: &[u8], is_ipv4: bool) -> (IpAddr, IpAddr) {
    let four = |at: usize| v4([ip[at], ip[at + 1], ip[at + 2], ip[at + 3]]);
    let six =
        |at: usize| IpAddr::V6(Ipv6Addr::from(<[u8; 16]>::try_from(&ip[at..at + 16]).expect("16 bytes")));
    if is_ipv4 { (four(12), four(16)) } else { (six(8), six(24)) }
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
    let (from, to) = addresses(ip, true);
    let (at, ttl) = (14 + header_len, ip[8]);
    let inner = &ip[header_len..packet_len];
    if ip[6] & 0x3f != 0 || ip[7] != 0 {
        let key = (from, to, u32::from(ip[4]) << 8 | u32::from(ip[5]), ip[9]);
        let is_first = ip[6] & 0x1f == 0 && ip[7] == 0;
        let first = is_first.then_some((ip[9], inner));
        return part(key, first, at, ttl, packet_len);
    }
    if ip[9] == 1 {
        return read_icmp(bytes, inner, (from, to), at, ttl, packet_len);
    }
    read_inner(ip[9], inner, (from, to), at, ttl, packet_len, true)
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
    let (from, to) = addresses(ip, false);
    if is_mapped(from) || is_mapped(to) {
        return Read::NotOurs;
    }
    let ttl = ip[7];
    match walk(bytes, ip[6], 54, 14 + packet_len) {
        Walk::Broken => Read::Malformed,
        Walk::Unknown => Read::NotOurs,
        Walk::Fragment { header, at } => {
            let id = header[4..8].iter().fold(0, |id, byte| id << 8 | u32::from(*byte));
            let key = (from, to, id, 0);
            let is_first = header[2] == 0 && header[3] & 0xf8 == 0;
            if !is_first {
                return part(key, None, 0, ttl, packet_len);
            }
            match walk(bytes, header[0], at + 8, 14 + packet_len) {
                Walk::Body { protocol, at } => {
                    part(key, Some((protocol, &bytes[at..14 + packet_len])), at, ttl, packet_len)
                }
                _ => Read::Fragment(Part { key, content: PartContent::NoBeginning }),
            }
        }
        Walk::Body { protocol: 58, at } => {
            read_icmp(bytes, &bytes[at..14 + packet_len], (from, to), at, ttl, packet_len)
        }
        Walk::Body { protocol, at } => {
            read_inner(protocol, &bytes[at..14 + packet_len], (from, to), at, ttl, packet_len, true)
        }
    }
}

enum Walk {
    Broken,
    Unknown,
    Fragment { header: [u8; 8], at: usize },
    Body { protocol: u8, at: usize },
}

/// Along extension headers of IPv6. Within the frame is enough to be read; within the packet, up to `end`, is judged last.
fn walk(bytes: &[u8], mut type_: u8, mut at: usize, end: usize) -> Walk {
    let mut read = 0;
    while [0, 43, 44, 60].contains(&type_) && read < 6 {
        let Some(header) = bytes.get(at..at + 8) else { return Walk::Broken };
        if type_ == 44 {
            if header[2] != 0 || header[3] & 0xf9 != 0 {
                return Walk::Fragment { header: header.try_into().expect("8 bytes"), at };
            }
            at += 8;
        } else if type_ == 43 && header[3] != 0 {
            return Walk::Unknown;
        } else {
            at += 8 + 8 * usize::from(header[1]);
        }
        (type_, read) = (header[0], read + 1);
    }
    match type_ {
        6 | 17 | 58 if at > end => Walk::Broken,
        6 | 17 | 58 => Walk::Body { protocol: type_, at },
        _ => Walk::Unknown,
    }
}

/// A part with this key; of the first one, what it carries.
fn part(key: Key, first: Option<(u8, &[u8])>, at: usize, ttl: u8, packet_len: usize) -> Read {
    let content = match first {
        None => PartContent::Later { ttl, packet_len },
        Some((protocol, inner)) => {
            match read_inner(protocol, inner, (key.0, key.1), at, ttl, packet_len, false) {
                Read::Segment(segment) => PartContent::Beginning(segment),
                _ => PartContent::NoBeginning,
            }
        }
    };
    Read::Fragment(Part { key, content })
}

fn read_icmp(
    bytes: &[u8],
    inner: &[u8],
    (from, to): (IpAddr, IpAddr),
    at: usize,
    ttl: u8,
    packet_len: usize,
) -> Read {
    if inner.len() < 8 {
        return Read::Malformed;
    }
    let (request, errors) = if to.is_ipv4() { (8, &[3, 11, 12][..]) } else { (128, &[1, 2, 3, 4][..]) };
    match inner {
        [type_, 0, ..] if *type_ == request => Read::Echo(from, to, at),
        [type_, ..] if errors.contains(type_) => {
            let error = read_quoted(bytes, to, at, ttl, packet_len);
            error.map_or(Read::NotOurs, Read::IcmpError)
        }
        _ => Read::NotOurs,
    }
}

fn read_quoted(bytes: &[u8], to: IpAddr, message: usize, ttl: u8, packet_len: usize) -> Option<IcmpError> {
    let (quoted, end) = (message + 8, 14 + packet_len);
    // Bytes behind the packet may be read, if only what counts in the end is inside.
    let ip = bytes.get(quoted..quoted + if to.is_ipv4() { 20 } else { 40 })?;
    let (protocol, at) = if to.is_ipv4() {
        let header_len = usize::from(ip[0] & 15) * 4;
        let is_first = ip[6] & 0x1f == 0 && ip[7] == 0;
        (ip[0] >> 4 == 4 && header_len >= 20 && is_first).then_some((ip[9], quoted + header_len))?
    } else {
        let mut walked = walk(bytes, ip[6], quoted + 40, end);
        if let Walk::Fragment { header, at } = walked
            && header[2] == 0
            && header[3] & 0xf8 == 0
        {
            walked = walk(bytes, header[0], at + 8, end);
        }
        let Walk::Body { protocol, at } = walked else { return None };
        (ip[0] >> 4 == 6).then_some((protocol, at))?
    };
    let (sender, receiver) = addresses(ip, to.is_ipv4());
    if sender != to || is_mapped(receiver) || at + 8 > end || ![6, 17].contains(&protocol) {
        return None;
    }
    let port = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let (from, to) = ((sender, port(at)), (receiver, port(at + 2)));
    Some(IcmpError { from, to, protocol, message, quoted, at, ttl, packet_len })
}

fn is_mapped(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.to_ipv4_mapped().is_some())
}

/// A segment or datagram, `whole` or the first part of one, which says how long the whole is.
fn read_inner(
    protocol: u8,
    inner: &[u8],
    (from, to): (IpAddr, IpAddr),
    at: usize,
    ttl: u8,
    packet_len: usize,
    whole: bool,
) -> Read {
    let most = if whole { inner.len() } else { usize::MAX };
    let opens = match protocol {
        6 if inner.len() < 20 || inner[12] >> 4 < 5 || most < usize::from(inner[12] >> 4) * 4 => {
            return Read::Malformed;
        }
        6 => inner[13] & 0x16 == 0x02,
        17 => {
            let len = inner.get(4..6).map_or(0, |len| usize::from(len[0]) << 8 | usize::from(len[1]));
            if len < 8 || len > most || inner.len() < 8 {
                return Read::Malformed;
            }
            true
        }
        _ => return Read::NotOurs,
    };
    let port = |at: usize| u16::from_be_bytes([inner[at], inner[at + 1]]);
    let (from, to) = ((from, port(0)), (to, port(2)));
    Read::Segment(Segment { from, to, protocol, at: Some(at), ttl, opens, packet_len })
}
