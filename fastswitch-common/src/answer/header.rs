//! IP headers of what the gateway sends itself, and what they add to the checksums behind them.

use network_types::ip::{Ipv4Hdr, Ipv6Hdr};

use crate::{
    address::Address,
    checksum,
    packet::Packet,
    parse::{ADDRESSES_V4, ADDRESSES_V6, Family, IP},
};

/// TTL, or hop limit.
pub(super) const TTL: u8 = 64;
const DONT_FRAGMENT: [u8; 2] = [0x40, 0];

/// Bytes of a header without options.
#[inline(always)]
pub(super) const fn len(family: Family) -> usize {
    match family {
        Family::V4 => Ipv4Hdr::LEN,
        Family::V6 => Ipv6Hdr::LEN,
    }
}

/// Writes the header of a packet that carries `len` bytes of `protocol`. `None` if there is no room.
///
/// Field by field: a whole header would be put together on the stack first.
#[inline(always)]
pub(super) fn write(
    packet: &mut Packet<'_>,
    family: Family,
    len: usize,
    protocol: u8,
    from: Address,
    to: Address,
) -> Option<()> {
    match family {
        Family::V4 => {
            let ([a, b], [c, d]) = (from.pairs_v4(), to.pairs_v4());
            *packet.get_mut::<[[u8; 2]; 4]>(IP + ADDRESSES_V4)? = [a, b, c, d];
            let (vihl, tot_len) = (0x45, ((Ipv4Hdr::LEN + len) as u16).to_be_bytes());
            let fixed = checksum::sum([[vihl, 0], tot_len, DONT_FRAGMENT, [TTL, protocol]]);
            let ip = packet.get_mut::<Ipv4Hdr>(IP)?;
            (ip.vihl, ip.tos, ip.tot_len, ip.id) = (vihl, 0, tot_len, [0; 2]);
            (ip.frags, ip.ttl, ip.proto) = (DONT_FRAGMENT, TTL, protocol);
            ip.check = checksum::finish(fixed + checksum::sum_of([from.words()[3], to.words()[3]]));
        }
        Family::V6 => {
            *packet.get_mut::<[[u8; 2]; 8]>(IP + ADDRESSES_V6)? = from.pairs_v6();
            *packet.get_mut::<[[u8; 2]; 8]>(IP + ADDRESSES_V6 + 16)? = to.pairs_v6();
            let ip = packet.get_mut::<Ipv6Hdr>(IP)?;
            (ip.vcf, ip.payload_len) = ([0x60, 0, 0, 0], (len as u16).to_be_bytes());
            (ip.next_hdr, ip.hop_limit) = (protocol, TTL);
        }
    }
    Some(())
}

/// Sum over the pseudo header (RFC 9293, 3.1; RFC 8200, 8.1) of `len` bytes of `protocol`.
#[inline(always)]
pub(super) fn pseudo(family: Family, len: usize, protocol: u8, from: Address, to: Address) -> u64 {
    let rest = checksum::sum([[0, protocol], (len as u16).to_be_bytes()]);
    match family {
        Family::V4 => rest + checksum::sum_of([from.words()[3], to.words()[3]]),
        Family::V6 => rest + checksum::sum_of(from.words()) + checksum::sum_of(to.words()),
    }
}
