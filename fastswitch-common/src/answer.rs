//! Answers that the gateway gives in a VIP's name: echo replies, TCP resets, ICMP errors. Each goes back
//! where the packet came from.
//!
//! Refuses to answer senders that are no single station ([`allowed`]) and to decide whether an answer is due.

mod header;
mod unreachable;

use network_types::{
    icmp::Icmpv4Hdr,
    ip::{Ipv4Hdr, Ipv6Hdr},
    tcp::TcpHdr,
};

use crate::{
    abi::protocol,
    address::Address,
    checksum::{self, Delta},
    packet::{Ethernet, Packet},
    parse::{ECHO_REQUEST, ECHO_REQUEST_V6, Echo, Family, IP, Segment},
};

pub use unreachable::{Unreachable, Why};

/// `type_` of an ICMP echo reply (RFC 792).
const ECHO_REPLY: u8 = 0;
/// `type_` of an ICMPv6 echo reply (RFC 4443, 4.2).
const ECHO_REPLY_V6: u8 = 129;

/// Whether a packet from `source` may be answered: not if that is no address of one station (RFC 1122, 3.2.2; RFC 4443,
/// 2.4 e).
#[inline(always)]
#[must_use]
pub const fn allowed(source: Address) -> bool {
    if source.is_v4() {
        return matches!(source.v4_octets()[0], 1..=126 | 128..=223);
    }
    let [a, b, c, d] = source.words();
    let loopback_or_unspecified = a == 0 && b == 0 && c == 0 && u32::from_be(d) <= 1;
    let multicast = a.to_ne_bytes()[0] == 0xff;
    !loopback_or_unspecified && !multicast
}

/// Turns an echo request into its reply, in place. `None` as in [`crate::rewrite::hand_over`].
#[inline(always)]
#[must_use]
pub fn echo(packet: &mut Packet<'_>, echo: &Echo) -> Option<()> {
    let ethernet = packet.get_mut::<Ethernet>(0)?;
    ethernet.set_macs(ethernet.macs().back());
    // Swapped addresses change no checksum.
    let (request, reply) = match echo.family {
        Family::V4 => {
            let ip = packet.get_mut::<Ipv4Hdr>(IP)?;
            core::mem::swap(&mut ip.src_addr, &mut ip.dst_addr);
            ip.check = Delta::default().word([ip.ttl, ip.proto], [header::TTL, ip.proto]).apply(ip.check);
            ip.ttl = header::TTL;
            (ECHO_REQUEST, ECHO_REPLY)
        }
        Family::V6 => {
            let ip = packet.get_mut::<Ipv6Hdr>(IP)?;
            core::mem::swap(&mut ip.src_addr, &mut ip.dst_addr);
            ip.hop_limit = header::TTL;
            (ECHO_REQUEST_V6, ECHO_REPLY_V6)
        }
    };
    let icmp = packet.get_mut::<Icmpv4Hdr>(usize::from(echo.header))?;
    icmp.check = Delta::default().word([request, 0], [reply, 0]).apply(icmp.check);
    icmp.type_ = reply;
    Some(())
}

/// Bytes of a frame that [`reset`] has written.
#[inline(always)]
#[must_use]
pub const fn reset_len(family: Family) -> usize {
    IP + header::len(family) + TcpHdr::LEN
}

/// Turns a TCP segment without RST into the reset that refuses it (RFC 9293, 3.10.7.1): the first [`reset_len`] bytes,
/// the rest of the frame is to be cut off. `None` as in [`crate::rewrite::hand_over`].
#[inline(always)]
#[must_use]
pub fn reset(packet: &mut Packet<'_>, segment: &Segment) -> Option<()> {
    let tcp = packet.get::<TcpHdr>(usize::from(segment.header))?;
    let headers = usize::from(segment.header) - IP + usize::from(tcp.doff()) * 4;
    let payload = u32::from(segment.total_len).wrapping_sub(headers as u32);
    let flags = u32::from(tcp.syn() + tcp.fin());
    // Data offset, then RST, with ACK where theirs says no number that they wait for.
    let (seq, ack_seq, flags) = match tcp.ack() {
        0 => {
            let end = u32::from_be_bytes(tcp.seq).wrapping_add(payload).wrapping_add(flags);
            ([0; 4], end.to_be_bytes(), [0x50, 0x14])
        }
        _ => (tcp.ack_seq, [0; 4], [0x50, 0x04]),
    };

    let ethernet = packet.get_mut::<Ethernet>(0)?;
    ethernet.set_macs(ethernet.macs().back());
    let (from, to) = (segment.destination, segment.source);
    header::write(packet, segment.family, TcpHdr::LEN, protocol::TCP, from.address, to.address)?;

    let at = IP + header::len(segment.family);
    let ([a, b], [c, d]) = (halves(seq), halves(ack_seq));
    // Up to the window, then checksum and urgent pointer: a whole header would be put together on the stack first.
    let fields = [from.port(), to.port(), a, b, c, d, flags, [0; 2]];
    let pseudo = header::pseudo(segment.family, TcpHdr::LEN, protocol::TCP, from.address, to.address);
    *packet.get_mut::<[[u8; 2]; 8]>(at)? = fields;
    *packet.get_mut::<[[u8; 2]; 2]>(at + 16)? = [checksum::finish(checksum::sum(fields) + pseudo), [0; 2]];
    Some(())
}

#[inline(always)]
const fn halves(word: [u8; 4]) -> [[u8; 2]; 2] {
    [[word[0], word[1]], [word[2], word[3]]]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_single_stations_are_answered() {
        let v6 = |first: u8, last: u8| {
            let mut octets = [0; 16];
            (octets[0], octets[15]) = (first, last);
            Address::v6(octets)
        };
        for station in
            [Address::v4([10, 0, 0, 1]), Address::v4([223, 1, 1, 1]), v6(0xfd, 1), v6(0xfe, 9), v6(0, 2)]
        {
            assert!(allowed(station), "{station:?}");
        }
        for none in [[0, 0, 0, 0], [127, 0, 0, 1], [224, 0, 0, 1], [255; 4]].map(Address::v4) {
            assert!(!allowed(none), "{none:?}");
        }
        for none in [v6(0, 0), v6(0, 1), v6(0xff, 2)] {
            assert!(!allowed(none), "{none:?}");
        }
    }
}
