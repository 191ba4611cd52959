//! Parts of fragmented packets: the first has ports, and what tells which others belong to it.

use network_types::{
    ip::{Ipv4Hdr, Ipv6Hdr},
    tcp::TcpHdr,
    udp::UdpHdr,
};

use super::{Body, Family, IP, NOWHERE, OFFSET, Outer, Segment, Start, extension, transport};
use crate::{
    abi::{Endpoint, Fragmented, Ports, protocol},
    packet::Packet,
    reason::Reason,
};

/// A part of a fragmented packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragment {
    /// What the parts of the packet have in common.
    pub of: Fragmented,
    /// The ports, and whether the packet may start something, if this is its first part.
    pub first: Option<First>,
}

/// What only the first part of a packet says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct First {
    /// Between which ports it goes.
    pub ports: Ports,
    /// As [`Segment::header`].
    pub header: u16,
    /// As [`Segment::opens`].
    pub opens: bool,
    /// As [`Segment::ends`].
    pub ends: bool,
}

/// Reads a fragment of which [`super::parse`] has found `outer`.
///
/// # Errors
/// [`Reason::Fragment`] if it is the first of what is neither TCP nor UDP, or has less than their whole header
/// (RFC 1858, 3).
#[inline(always)]
pub fn fragment(packet: &Packet<'_>, outer: &Outer) -> Result<Fragment, Reason> {
    let end = IP + usize::from(outer.total_len);
    let of = |id, protocol| Fragmented {
        source: outer.source,
        destination: outer.destination,
        id: u32::from_ne_bytes(id),
        protocol,
    };
    match outer.family {
        Family::V4 => {
            let ip = packet.get::<Ipv4Hdr>(IP).ok_or(Reason::Fragment)?;
            let header = usize::from(outer.header);
            let body = Body { protocol: ip.proto, header, len: end.wrapping_sub(header) };
            let is_first = u16::from_be_bytes(ip.frags) & OFFSET == 0;
            let first = if is_first { Some(first(packet, &body)?) } else { None };
            let [a, b] = ip.id;
            Ok(Fragment { of: of([a, b, 0, 0], u32::from(ip.proto)), first })
        }
        Family::V6 => {
            let ip = packet.get::<Ipv6Hdr>(IP).ok_or(Reason::Fragment)?;
            let extension::End::Fragment(header, at) =
                extension::walk(packet, ip.next_hdr, IP + Ipv6Hdr::LEN, end)?
            else {
                return Err(Reason::Fragment);
            };
            let first = if header.is_first {
                let body = extension::first_body(packet, header.next, at + extension::FRAGMENT_LEN, end);
                Some(first(packet, &body.ok_or(Reason::Fragment)?)?)
            } else {
                None
            };
            let [[a, b], [c, d]] = header.id;
            // More extension headers may follow in the first part, which says nothing of TCP or UDP then.
            Ok(Fragment { of: of([a, b, c, d], 0), first })
        }
    }
}

#[inline(always)]
fn first(packet: &Packet<'_>, body: &Body) -> Result<First, Reason> {
    let least = match body.protocol {
        protocol::TCP => TcpHdr::LEN,
        protocol::UDP => UdpHdr::LEN,
        _ => return Err(Reason::Fragment),
    };
    if body.len < least {
        return Err(Reason::Fragment);
    }
    // It says how long the whole is.
    let whole = Body { len: usize::from(u16::MAX), ..*body };
    let Start { ports, opens, ends } = transport(packet, &whole).map_err(|_| Reason::Fragment)?;
    let ports =
        Ports { source: ports.source, destination: ports.destination, protocol: body.protocol, _pad: [0; 3] };
    Ok(First { ports, header: body.header as u16, opens, ends })
}

impl Outer {
    /// The part of a fragmented packet as a segment between `ports`; `first`, if it is that.
    #[inline(always)]
    #[must_use]
    pub fn segment(&self, ports: Ports, first: Option<First>) -> Segment {
        Segment {
            family: self.family,
            source: Endpoint::from_wire(self.source, ports.source, ports.protocol),
            destination: Endpoint::from_wire(self.destination, ports.destination, ports.protocol),
            header: first.map_or(NOWHERE, |first| first.header),
            total_len: self.total_len,
            ttl: self.ttl,
            tos: self.tos,
            opens: first.is_some_and(|first| first.opens),
            ends: first.is_some_and(|first| first.ends),
        }
    }
}
