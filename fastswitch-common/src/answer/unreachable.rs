//! ICMP errors about a packet that is not sent on: port unreachable, fragmentation needed, packet too big.

use network_types::icmp::Icmpv4Hdr;

use super::header;
use crate::{
    abi::protocol,
    address::Address,
    checksum,
    packet::{Ethernet, Macs, Packet},
    parse::{self, Family, IP},
};

/// Bytes quoted of what the IP packet carries: ports, and what TCP knows a segment by (RFC 792).
const QUOTED: usize = 8;
/// Bytes quoted at most of an IPv6 packet: its header, some extension headers, the beginning of what it carries.
const QUOTED_V6: usize = 128;

/// Why a packet is not sent on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Why {
    /// Nobody is there to take it.
    Port,
    /// It is larger than this, in bytes of an IP packet.
    TooBig(u16),
}

impl Why {
    /// Type and code, and the four bytes after the checksum (RFC 792, RFC 1191, 4; RFC 4443, 3.1 and 3.2).
    #[inline(always)]
    const fn message(self, family: Family) -> ([u8; 2], [u8; 4]) {
        match (self, family) {
            (Self::Port, Family::V4) => ([3, 3], [0; 4]),
            (Self::Port, Family::V6) => ([1, 4], [0; 4]),
            (Self::TooBig(mtu), family) => {
                let [high, low] = mtu.to_be_bytes();
                match family {
                    Family::V4 => ([3, 4], [0, 0, high, low]),
                    Family::V6 => ([2, 0], [0, 0, high, low]),
                }
            }
        }
    }
}

/// Such an ICMP error in the making. It is longer at the front than the packet that it is about: read that with
/// [`Unreachable::read`], make [`Unreachable::growth`] bytes of room before it, then [`Unreachable::write`].
#[derive(Clone, Copy, Debug)]
pub struct Unreachable {
    family: Family,
    why: Why,
    macs: Macs,
    from: Address,
    to: Address,
    /// Sum over what is quoted.
    sum: u64,
    quoted: usize,
}

impl Unreachable {
    /// Takes what the error needs from a packet of this `family`, whose TCP or UDP header is at `header` bytes of the
    /// frame. `None` as in [`crate::rewrite::hand_over`].
    #[inline(always)]
    #[must_use]
    pub fn read(packet: &Packet<'_>, family: Family, header: u16, why: Why) -> Option<Self> {
        let macs = packet.get::<Ethernet>(0)?.macs().back();
        // In the name of whom it was for: that is somebody whom its sender expects to hear of.
        let (to, from) = parse::addresses(packet, IP, family)?;
        let (sum, quoted) = match family {
            // The quoted IPv4 header counts too, but a valid one adds up to nothing. (An invalid one makes an answer
            // that nobody believes, which is right.)
            Family::V4 => {
                let [a, b, c, d, e, f, g, h] = *packet.get::<[u8; QUOTED]>(usize::from(header))?;
                (checksum::sum([[a, b], [c, d], [e, f], [g, h]]), usize::from(header) - IP + QUOTED)
            }
            Family::V6 => {
                let quoted = (usize::from(header) - IP + QUOTED).min(QUOTED_V6);
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
        Some(Self { family, why, macs, from, to, sum, quoted })
    }

    /// Who gets it.
    #[inline(always)]
    #[must_use]
    pub const fn to(&self) -> Address {
        self.to
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

    /// Writes the headers in front of the packet. `None` if there is no room.
    #[inline(always)]
    #[must_use]
    pub fn write(&self, packet: &mut Packet<'_>) -> Option<()> {
        let (ether_type, protocol) = match self.family {
            Family::V4 => (Ethernet::IPV4, protocol::ICMP),
            Family::V6 => (Ethernet::IPV6, protocol::ICMPV6),
        };
        *packet.get_mut::<Ethernet>(0)? = Ethernet::new(self.macs, ether_type);
        let len = Icmpv4Hdr::LEN + self.quoted;
        header::write(packet, self.family, len, protocol, self.from, self.to)?;
        let pseudo = match self.family {
            // ICMP of IPv4 has no pseudo header.
            Family::V4 => 0,
            Family::V6 => header::pseudo(self.family, len, protocol, self.from, self.to),
        };
        let ([type_, code], data) = self.why.message(self.family);
        let [a, b, c, d] = data;
        let own = checksum::sum([[type_, code], [a, b], [c, d]]);
        let check = checksum::finish(self.sum + pseudo + own);
        *packet.get_mut::<Icmpv4Hdr>(IP + header::len(self.family))? = Icmpv4Hdr { type_, code, check, data };
        Some(())
    }
}
