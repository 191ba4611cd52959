//! ICMP errors: messages that a packet was not delivered, which quote its beginning (RFC 792; RFC 4443, 2.4 c).

use network_types::{
    icmp::Icmpv4Hdr,
    ip::{Ipv4Hdr, Ipv6Hdr},
};

use super::{Family, IP, NOWHERE, OFFSET, Outer, addresses, extension};
use crate::{
    abi::{Endpoint, protocol},
    packet::Packet,
    reason::Reason,
};

/// Types of errors: destination unreachable, time exceeded, parameter problem.
const TYPES: [u8; 3] = [3, 11, 12];
/// Types of errors of IPv6: destination unreachable, packet too big, time exceeded, parameter problem.
const TYPES_V6: [u8; 4] = [1, 2, 3, 4];
/// Bytes of a TCP or UDP header that have to be quoted at least (RFC 792).
const LEAST: usize = 8;
/// Where the checksum is in a TCP header, and in a UDP header.
const TCP_CHECK: usize = 16;
const UDP_CHECK: usize = 6;

/// An ICMP error about a TCP segment or UDP datagram, sent to whom that came from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct IcmpError {
    /// What carries it.
    pub outer: Outer,
    /// Who sent the quoted packet.
    pub quoted_source: Endpoint,
    /// Whom the quoted packet was for.
    pub quoted_destination: Endpoint,
    /// Offset of the quoted IP header in the frame, in bytes.
    pub quoted_ip: u16,
    /// Offset of the quoted TCP or UDP header in the frame, in bytes.
    pub quoted_header: u16,
    /// Offset of its checksum in the frame, in bytes; [`NOWHERE`] if that is not quoted.
    pub quoted_check: u16,
}

/// Whether an ICMP message of this type is an error that concerns connections.
#[inline(always)]
pub(super) fn is_error(family: Family, type_: u8) -> bool {
    match family {
        Family::V4 => TYPES.contains(&type_),
        Family::V6 => TYPES_V6.contains(&type_),
    }
}

/// Reads an error of which [`super::parse`] has found `outer`.
///
/// # Errors
/// [`Reason::NotOurs`] if what it quotes is too short, or no beginning of a segment or datagram of the one it is sent to.
#[inline(always)]
pub fn icmp_error(packet: &Packet<'_>, outer: &Outer) -> Result<IcmpError, Reason> {
    let end = IP + usize::from(outer.total_len);
    let ip = usize::from(outer.header) + Icmpv4Hdr::LEN;
    let (from, to) = addresses(packet, ip, outer.family).ok_or(Reason::NotOurs)?;
    let (protocol, header) = quoted(packet, outer.family, ip, end)?;
    // An IPv4 address in IPv6 is none, as outside.
    let mixed = outer.family == Family::V6 && to.is_v4();
    if from != outer.destination || mixed || header + LEAST > end {
        return Err(Reason::NotOurs);
    }
    let check = header
        + match protocol {
            protocol::TCP => TCP_CHECK,
            protocol::UDP => UDP_CHECK,
            _ => return Err(Reason::NotOurs),
        };
    let [source, destination] = *packet.get::<[[u8; 2]; 2]>(header).ok_or(Reason::NotOurs)?;
    Ok(IcmpError {
        outer: *outer,
        quoted_source: Endpoint::from_wire(from, source, protocol),
        quoted_destination: Endpoint::from_wire(to, destination, protocol),
        quoted_ip: ip as u16,
        quoted_header: header as u16,
        quoted_check: if check + 2 <= end { check as u16 } else { NOWHERE },
    })
}

/// What the packet quoted at `ip` carries, and the offset of its header. Of a fragmented packet it must be the first part.
#[inline(always)]
fn quoted(packet: &Packet<'_>, family: Family, ip: usize, end: usize) -> Result<(u8, usize), Reason> {
    match family {
        Family::V4 => {
            let quoted = packet.get::<Ipv4Hdr>(ip).ok_or(Reason::NotOurs)?;
            let header_len = usize::from(quoted.vihl & 0x0f) * 4;
            let later = u16::from_be_bytes(quoted.frags) & OFFSET != 0;
            if quoted.vihl >> 4 != 4 || header_len < Ipv4Hdr::LEN || later {
                return Err(Reason::NotOurs);
            }
            Ok((quoted.proto, ip + header_len))
        }
        Family::V6 => {
            let quoted = packet.get::<Ipv6Hdr>(ip).ok_or(Reason::NotOurs)?;
            if quoted.vcf[0] >> 4 != 6 {
                return Err(Reason::NotOurs);
            }
            let body = extension::first_body(packet, quoted.next_hdr, ip + Ipv6Hdr::LEN, end);
            body.map(|body| (body.protocol, body.header)).ok_or(Reason::NotOurs)
        }
    }
}
