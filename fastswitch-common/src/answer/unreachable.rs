//! ICMP port unreachable, in either family.

use network_types::icmp::Icmpv4Hdr;

use super::header;
use crate::{
    abi::protocol,
    address::Address,
    checksum,
    packet::{Ethernet, Macs, Packet},
    parse::{Family, IP, Segment},
};

/// Bytes of a UDP header, quoted after the IP header.
const QUOTED: usize = 8;
/// Bytes quoted at most of an IPv6 packet: its header, some extension headers, a UDP header.
const QUOTED_V6: usize = 128;

/// An ICMP port unreachable in the making. It is longer at the front than the datagram that it answers: read that
/// with [`Unreachable::read`], make [`Unreachable::growth`] bytes of room before it, then [`Unreachable::write`].
#[derive(Clone, Copy, Debug)]
pub struct Unreachable {
    family: Family,
    macs: Macs,
    from: Address,
    to: Address,
    /// Sum over what is quoted.
    sum: u64,
    quoted: usize,
}

impl Unreachable {
    /// Takes from a datagram what the answer needs. `None` as in [`crate::rewrite::hand_over`].
    #[inline(always)]
    #[must_use]
    pub fn read(packet: &Packet<'_>, segment: &Segment) -> Option<Self> {
        let macs = packet.get::<Ethernet>(0)?.macs().back();
        let (from, to) = (segment.destination.address, segment.source.address);
        let (sum, quoted) = match segment.family {
            // The quoted IPv4 header counts too, but a valid one adds up to nothing. (An invalid one makes an answer
            // that nobody believes, which is right.)
            Family::V4 => {
                let [a, b, c, d, e, f, g, h] = *packet.get::<[u8; QUOTED]>(usize::from(segment.header))?;
                (checksum::sum([[a, b], [c, d], [e, f], [g, h]]), usize::from(segment.header) - IP + QUOTED)
            }
            Family::V6 => {
                let quoted = (usize::from(segment.header) - IP + QUOTED).min(QUOTED_V6);
                let mut sum = 0;
                for at in (0..QUOTED_V6).step_by(2) {
                    if at >= quoted {
                        break;
                    }
                    sum += checksum::sum([*packet.get::<[u8; 2]>(IP + at)?]);
                }
                (sum, quoted)
            }
        };
        Some(Self { family: segment.family, macs, from, to, sum, quoted })
    }

    /// Bytes to add in front of the frame.
    #[inline(always)]
    #[must_use]
    pub const fn growth(&self) -> usize {
        header::len(self.family) + Icmpv4Hdr::LEN
    }

    /// Length of the finished frame in bytes; what follows is to be cut off.
    #[inline(always)]
    #[must_use]
    pub const fn frame_len(&self) -> usize {
        IP + self.growth() + self.quoted
    }

    /// Writes the headers in front of the datagram. `None` if there is no room.
    #[inline(always)]
    #[must_use]
    pub fn write(&self, packet: &mut Packet<'_>) -> Option<()> {
        // RFC 792; RFC 4443, 3.1.
        let (ether_type, protocol, type_, code) = match self.family {
            Family::V4 => (Ethernet::IPV4, protocol::ICMP, 3, 3),
            Family::V6 => (Ethernet::IPV6, protocol::ICMPV6, 1, 4),
        };
        *packet.get_mut::<Ethernet>(0)? = Ethernet::new(self.macs, ether_type);
        let len = Icmpv4Hdr::LEN + self.quoted;
        header::write(packet, self.family, len, protocol, self.from, self.to)?;
        let pseudo = match self.family {
            // ICMP of IPv4 has no pseudo header.
            Family::V4 => 0,
            Family::V6 => header::pseudo(self.family, len, protocol, self.from, self.to),
        };
        let check = checksum::finish(self.sum + pseudo + checksum::sum([[type_, code]]));
        *packet.get_mut::<Icmpv4Hdr>(IP + header::len(self.family))? =
            Icmpv4Hdr { type_, code, check, data: [0; 4] };
        Some(())
    }
}
