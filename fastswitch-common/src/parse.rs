//! What a frame carries, as far as the switch is concerned: Ethernet, IPv4 with options, IPv6 with extension headers,
//! TCP, UDP, echo requests, ICMP errors.
//!
//! Refuses to interpret anything whose headers do not hold together, and changes nothing.

mod extension;
mod fragment;
mod icmp_error;

use network_types::{
    icmp::Icmpv4Hdr,
    ip::{Ipv4Hdr, Ipv6Hdr},
    tcp::TcpHdr,
    udp::UdpHdr,
};

pub use fragment::{First, Fragment, fragment};
pub use icmp_error::{IcmpError, icmp_error};

use crate::{
    abi::{Endpoint, protocol},
    address::Address,
    packet::{Ethernet, Packet},
    reason::Reason,
};

/// `type_` of an ICMP echo request.
pub(crate) const ECHO_REQUEST: u8 = 8;
/// `type_` of an ICMPv6 echo request (RFC 4443, 4.1).
pub(crate) const ECHO_REQUEST_V6: u8 = 128;
/// Where the IP header starts.
pub(crate) const IP: usize = Ethernet::LEN;
/// Where the addresses are in an IPv4 packet.
pub(crate) const ADDRESSES_V4: usize = 12;
/// Where the addresses are in an IPv6 packet.
pub(crate) const ADDRESSES_V6: usize = 8;
/// Offset and more-fragments; don't-fragment and the reserved bit make no fragment.
const FRAGMENT: u16 = 0x3fff;
/// The offset alone.
const OFFSET: u16 = 0x1fff;
/// Where data offset and flags are in a TCP header.
const TCP_FLAGS: usize = 12;
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// No offset of a header.
pub const NOWHERE: u16 = 0;

/// Version of the Internet Protocol.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// Content that may concern the switch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    /// A whole TCP segment or UDP datagram.
    Segment(Segment),
    /// An echo request.
    Echo(Echo),
    /// An ICMP message that a packet was not delivered; [`icmp_error()`] reads on.
    IcmpError(Outer),
    /// Any part of a fragmented packet; [`fragment()`] reads on.
    Fragment(Outer),
}

/// A whole TCP segment or UDP datagram.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// What carries it.
    pub family: Family,
    /// Who sends it.
    pub source: Endpoint,
    /// Whom it is for.
    pub destination: Endpoint,
    /// Offset of the TCP or UDP header in the frame, in bytes; [`NOWHERE`] if the packet has none of its own. (Two bytes,
    /// so that the verifier sees that it is small.)
    pub header: u16,
    /// Length of the IP packet, in bytes.
    pub total_len: u16,
    /// Time to live, or hop limit, as it arrived.
    pub ttl: u8,
    /// Type of service, or traffic class.
    pub tos: u8,
    /// Whether it may start something: a UDP datagram, or a TCP segment with SYN and neither ACK nor RST.
    pub opens: bool,
    /// Whether it is a TCP segment with FIN or RST.
    pub ends: bool,
}

/// What a TCP segment does to its connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Control {
    /// Its sequence number.
    pub sequence: u32,
    /// Whether it has SYN: its sender begins.
    pub syn: bool,
    /// Whether it has FIN: its sender sends no more.
    pub fin: bool,
    /// Whether it has RST: the connection is over.
    pub rst: bool,
}

/// An echo request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Echo {
    /// What carries it.
    pub family: Family,
    /// Who asks.
    pub source: Address,
    /// Who is asked.
    pub destination: Address,
    /// Offset of the ICMP header in the frame, in bytes.
    pub header: u16,
}

/// An IP header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outer {
    /// Which.
    pub family: Family,
    /// Who sends it.
    pub source: Address,
    /// Whom it is for.
    pub destination: Address,
    /// Offset in the frame of what it carries, in bytes.
    pub header: u16,
    /// Length of the IP packet, in bytes.
    pub total_len: u16,
    /// Time to live, or hop limit, as it arrived.
    pub ttl: u8,
    /// Type of service, or traffic class.
    pub tos: u8,
}

/// What an IP packet carries.
#[derive(Clone, Copy)]
struct Body {
    /// One of [`protocol`], or anything else.
    protocol: u8,
    /// Offset of its header in the frame, in bytes.
    header: usize,
    /// Bytes from there to the end of the IP packet.
    len: usize,
}

struct Ports {
    source: [u8; 2],
    destination: [u8; 2],
}

/// What the beginning of a TCP or UDP header says.
struct Start {
    ports: Ports,
    opens: bool,
    ends: bool,
}

/// Reads the headers of `packet`.
///
/// # Errors
/// [`Reason::NotOurs`] if it is of no interest or sent to a group of stations, [`Reason::Malformed`]
/// if it is cut short or contradicts itself.
#[inline(always)]
pub fn parse(packet: &Packet<'_>) -> Result<Content, Reason> {
    match family(packet)? {
        Family::V4 => ipv4(packet),
        Family::V6 => ipv6(packet),
    }
}

/// The first part of [`parse`], for who has code of its own for each family.
///
/// # Errors
/// As [`parse`].
#[inline(always)]
pub fn family(packet: &Packet<'_>) -> Result<Family, Reason> {
    let ethernet = packet.get::<Ethernet>(0).ok_or(Reason::Malformed)?;
    match ethernet.ether_type {
        _ if ethernet.is_to_a_group() => Err(Reason::NotOurs),
        Ethernet::IPV4 => Ok(Family::V4),
        Ethernet::IPV6 => Ok(Family::V6),
        _ => Err(Reason::NotOurs),
    }
}

/// The second part of [`parse`], where the first has said IPv4.
///
/// # Errors
/// As [`parse`].
#[inline(always)]
pub fn ipv4(packet: &Packet<'_>) -> Result<Content, Reason> {
    let ip = packet.get::<Ipv4Hdr>(IP).ok_or(Reason::Malformed)?;
    let header_len = usize::from(ip.vihl & 0x0f) * 4;
    let total_len = u16::from_be_bytes(ip.tot_len);
    // What the IPv4 packet holds besides its header; frames may be longer (padding), never shorter.
    let Some(len) = usize::from(total_len).checked_sub(header_len) else {
        return Err(Reason::Malformed);
    };
    let contradiction = ip.vihl >> 4 != 4 || header_len < Ipv4Hdr::LEN;
    if contradiction || IP + usize::from(total_len) > packet.len() {
        return Err(Reason::Malformed);
    }

    let (from, to) = addresses(packet, IP, Family::V4).ok_or(Reason::Malformed)?;
    let body = Body { protocol: ip.proto, header: IP + header_len, len };
    let outer = Outer {
        family: Family::V4,
        source: from,
        destination: to,
        header: body.header as u16,
        total_len,
        ttl: ip.ttl,
        tos: ip.tos,
    };
    if u16::from_be_bytes(ip.frags) & FRAGMENT != 0 {
        return Ok(Content::Fragment(outer));
    }
    if body.protocol == protocol::ICMP {
        return icmp(packet, &body, outer);
    }
    let Start { ports, opens, ends } = transport(packet, &body)?;
    Ok(Content::Segment(Segment {
        family: Family::V4,
        source: Endpoint::from_wire(from, ports.source, body.protocol),
        destination: Endpoint::from_wire(to, ports.destination, body.protocol),
        header: body.header as u16,
        total_len,
        ttl: ip.ttl,
        tos: ip.tos,
        opens,
        ends,
    }))
}

/// The second part of [`parse`], where the first has said IPv6.
///
/// # Errors
/// As [`parse`].
#[inline(always)]
pub fn ipv6(packet: &Packet<'_>) -> Result<Content, Reason> {
    let ip = packet.get::<Ipv6Hdr>(IP).ok_or(Reason::Malformed)?;
    let payload_len = u16::from_be_bytes(ip.payload_len);
    let total_len = Ipv6Hdr::LEN + usize::from(payload_len);
    if ip.vcf[0] >> 4 != 6 || IP + total_len > packet.len() {
        return Err(Reason::Malformed);
    }

    let (from, to) = addresses(packet, IP, Family::V6).ok_or(Reason::Malformed)?;
    // Such an address on the wire is none of IPv4's (RFC 4291, 2.5.5.2), and must not be taken for one.
    if from.is_v4() || to.is_v4() {
        return Err(Reason::NotOurs);
    }
    let outer = Outer {
        family: Family::V6,
        source: from,
        destination: to,
        header: (IP + Ipv6Hdr::LEN) as u16,
        // More than a u16 holds is a jumbogram (RFC 2675), whose payload length is zero.
        total_len: total_len as u16,
        ttl: ip.hop_limit,
        tos: ip.vcf[0] << 4 | ip.vcf[1] >> 4,
    };
    let body = match ip.next_hdr {
        protocol::TCP | protocol::UDP | protocol::ICMPV6 => {
            Body { protocol: ip.next_hdr, header: IP + Ipv6Hdr::LEN, len: usize::from(payload_len) }
        }
        first => match extension::walk(packet, first, IP + Ipv6Hdr::LEN, IP + total_len)? {
            extension::End::Body(body) => body,
            extension::End::Fragment(..) => return Ok(Content::Fragment(outer)),
        },
    };
    if body.protocol == protocol::ICMPV6 {
        return icmp(packet, &body, outer);
    }
    let Start { ports, opens, ends } = transport(packet, &body)?;
    Ok(Content::Segment(Segment {
        family: Family::V6,
        source: Endpoint::from_wire(from, ports.source, body.protocol),
        destination: Endpoint::from_wire(to, ports.destination, body.protocol),
        header: body.header as u16,
        total_len: outer.total_len,
        ttl: outer.ttl,
        tos: outer.tos,
        opens,
        ends,
    }))
}

/// Sender and receiver in the IP header at `ip`.
#[inline(always)]
pub(crate) fn addresses(packet: &Packet<'_>, ip: usize, family: Family) -> Option<(Address, Address)> {
    match family {
        Family::V4 => {
            let [a, b, c, d] = *packet.get::<[[u8; 2]; 4]>(ip + ADDRESSES_V4)?;
            Some((Address::from_pairs_v4([a, b]), Address::from_pairs_v4([c, d])))
        }
        Family::V6 => {
            let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] =
                *packet.get::<[[u8; 2]; 16]>(ip + ADDRESSES_V6)?;
            let from = Address::from_pairs_v6([a, b, c, d, e, f, g, h]);
            Some((from, Address::from_pairs_v6([i, j, k, l, m, n, o, p])))
        }
    }
}

/// Ports of a TCP segment or UDP datagram, and whether it may start or end something.
#[inline(always)]
fn transport(packet: &Packet<'_>, body: &Body) -> Result<Start, Reason> {
    if !matches!(body.protocol, protocol::TCP | protocol::UDP) {
        return Err(Reason::NotOurs);
    }
    // Both begin alike. Read in one place: the compiler would make one of two anyway, by pointers that the verifier
    // does not follow.
    let start = packet.get::<UdpHdr>(body.header).ok_or(Reason::Malformed)?;
    let ports = Ports { source: start.src, destination: start.dst };
    let (least, len, flags) = if body.protocol == protocol::TCP {
        packet.get::<TcpHdr>(body.header).ok_or(Reason::Malformed)?;
        let [offset, flags] = *packet.get::<[u8; 2]>(body.header + TCP_FLAGS).ok_or(Reason::Malformed)?;
        (TcpHdr::LEN, usize::from(offset >> 4) * 4, flags)
    } else {
        // Each datagram may be the first.
        (UdpHdr::LEN, usize::from(u16::from_be_bytes(start.len)), SYN)
    };
    if len < least || len > body.len {
        return Err(Reason::Malformed);
    }
    Ok(Start { ports, opens: flags & (SYN | RST | ACK) == SYN, ends: flags & (FIN | RST) != 0 })
}

/// What `segment`, which is TCP, does to its connection. `None` if the packet is not the one that it was read from.
#[inline(always)]
#[must_use]
pub fn control(packet: &Packet<'_>, segment: &Segment) -> Option<Control> {
    let header = usize::from(segment.header);
    let sequence = u32::from_be_bytes(packet.get::<TcpHdr>(header)?.seq);
    let [_, flags] = *packet.get::<[u8; 2]>(header + TCP_FLAGS)?;
    let has = |flag: u8| flags & flag != 0;
    Some(Control { sequence, syn: has(SYN), fin: has(FIN), rst: has(RST) })
}

#[inline(always)]
fn icmp(packet: &Packet<'_>, body: &Body, outer: Outer) -> Result<Content, Reason> {
    let icmp = packet.get::<Icmpv4Hdr>(body.header).ok_or(Reason::Malformed)?;
    if body.len < Icmpv4Hdr::LEN {
        return Err(Reason::Malformed);
    }
    let request = match outer.family {
        Family::V4 => ECHO_REQUEST,
        Family::V6 => ECHO_REQUEST_V6,
    };
    let Outer { family, source, destination, .. } = outer;
    let header = body.header as u16;
    match (icmp.type_, icmp.code) {
        (type_, 0) if type_ == request => Ok(Content::Echo(Echo { family, source, destination, header })),
        (type_, _) if icmp_error::is_error(family, type_) => {
            Ok(Content::IcmpError(Outer { header, ..outer }))
        }
        _ => Err(Reason::NotOurs),
    }
}
