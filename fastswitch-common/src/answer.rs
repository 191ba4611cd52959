//! Answers that the gateway gives in a VIP's name: echo replies, TCP resets, ICMP port unreachable. Each goes
//! back where the packet came from.
//!
//! Refuses to answer senders that are no single station ([`allowed`]) and to decide whether an answer is due.

use network_types::{bitfield::BitfieldU16, icmp::Icmpv4Hdr, ip::Ipv4Hdr, tcp::TcpHdr};

use crate::{
    abi::protocol,
    checksum::{self, Delta},
    packet::{Ethernet, Macs, Packet},
    parse::{Echo, IPV4, Segment},
};

/// TTL of what we send ourselves.
const TTL: u8 = 64;
const DONT_FRAGMENT: [u8; 2] = [0x40, 0];
/// Bytes of a UDP header, quoted in an ICMP error after the IPv4 header.
const QUOTED: usize = 8;

/// Whether a packet from `source` may be answered: not if that is no address of one station (RFC 1122, 3.2.2).
#[inline(always)]
#[must_use]
pub const fn allowed(source: [u8; 4]) -> bool {
    matches!(source[0], 1..=126 | 128..=223)
}

/// Turns an echo request into its reply, in place. `None` as in [`crate::rewrite::rename`].
#[inline(always)]
#[must_use]
pub fn echo(packet: &mut Packet<'_>, echo: &Echo) -> Option<()> {
    let ethernet = packet.get_mut::<Ethernet>(0)?;
    ethernet.set_macs(ethernet.macs().back());

    let ip = packet.get_mut::<Ipv4Hdr>(IPV4)?;
    core::mem::swap(&mut ip.src_addr, &mut ip.dst_addr);
    ip.check = Delta::default().word([ip.ttl, ip.proto], [TTL, ip.proto]).apply(ip.check);
    ip.ttl = TTL;

    let icmp = packet.get_mut::<Icmpv4Hdr>(echo.header)?;
    icmp.check = Delta::default().word([icmp.type_, icmp.code], [0, 0]).apply(icmp.check);
    icmp.type_ = 0;
    icmp.code = 0;
    Some(())
}

/// Bytes of a frame that [`reset`] has written.
pub const RESET_LEN: usize = IPV4 + Ipv4Hdr::LEN + TcpHdr::LEN;

/// Turns a TCP segment without ACK into the reset that refuses it (RFC 9293, 3.5.2): the first [`RESET_LEN`] bytes,
/// the rest of the frame is to be cut off. `None` as in [`crate::rewrite::rename`].
#[inline(always)]
#[must_use]
pub fn reset(packet: &mut Packet<'_>, segment: &Segment) -> Option<()> {
    let tcp = packet.get::<TcpHdr>(segment.header)?;
    let headers = segment.header - IPV4 + usize::from(tcp.doff()) * 4;
    let payload = u32::from(segment.total_len).wrapping_sub(headers as u32);
    let flags = u32::from(tcp.syn() + tcp.fin());
    let acknowledged = u32::from_be_bytes(tcp.seq).wrapping_add(payload).wrapping_add(flags).to_be_bytes();

    let ethernet = packet.get_mut::<Ethernet>(0)?;
    ethernet.set_macs(ethernet.macs().back());
    let (from, to) = (segment.destination, segment.source);
    let total_len = (Ipv4Hdr::LEN + TcpHdr::LEN) as u16;
    *packet.get_mut::<Ipv4Hdr>(IPV4)? = ipv4(total_len, protocol::TCP, from.address, to.address);

    // Data offset, then RST and ACK.
    let flags = [0x50, 0x14];
    let [a, b] = halves(from.address);
    let [c, d] = halves(to.address);
    let [e, f] = halves(acknowledged);
    let pseudo = [[0, protocol::TCP], (TcpHdr::LEN as u16).to_be_bytes()];
    let check = checksum::of([a, b, c, d, pseudo[0], pseudo[1], from.port, to.port, e, f, flags]);
    *packet.get_mut::<TcpHdr>(IPV4 + Ipv4Hdr::LEN)? = TcpHdr {
        source: from.port,
        dest: to.port,
        seq: [0; 4],
        ack_seq: acknowledged,
        _bitfield_align_1: [],
        _bitfield_1: BitfieldU16::new(flags),
        window: [0; 2],
        check,
        urg_ptr: [0; 2],
    };
    Some(())
}

/// An ICMP port unreachable in the making. It is longer at the front than the datagram that it answers: read that
/// with [`Unreachable::read`], make [`Unreachable::GROWTH`] bytes of room before it, then [`Unreachable::write`].
#[derive(Clone, Copy, Debug)]
pub struct Unreachable {
    macs: Macs,
    from: [u8; 4],
    to: [u8; 4],
    check: [u8; 2],
    frame_len: usize,
}

impl Unreachable {
    /// Bytes to add in front of the frame.
    pub const GROWTH: usize = Ipv4Hdr::LEN + Icmpv4Hdr::LEN;

    /// Takes from a datagram what the answer needs. `None` as in [`crate::rewrite::rename`].
    #[inline(always)]
    #[must_use]
    pub fn read(packet: &Packet<'_>, segment: &Segment) -> Option<Self> {
        let macs = packet.get::<Ethernet>(0)?.macs().back();
        let udp = packet.get::<[u8; QUOTED]>(segment.header)?;
        // The quoted IPv4 header counts too, but a valid one adds up to nothing. (An invalid one makes an answer
        // that nobody believes, which is right.)
        let check = checksum::of([
            Self::TYPE_AND_CODE,
            [udp[0], udp[1]],
            [udp[2], udp[3]],
            [udp[4], udp[5]],
            [udp[6], udp[7]],
        ]);
        let (from, to) = (segment.destination.address, segment.source.address);
        Some(Self { macs, from, to, check, frame_len: segment.header + Self::GROWTH + QUOTED })
    }

    /// Length of the finished frame in bytes; what follows is to be cut off.
    #[inline(always)]
    #[must_use]
    pub const fn frame_len(&self) -> usize {
        self.frame_len
    }

    /// Writes the headers in front of the datagram. `None` if there is no room.
    #[inline(always)]
    #[must_use]
    pub fn write(&self, packet: &mut Packet<'_>) -> Option<()> {
        *packet.get_mut::<Ethernet>(0)? = Ethernet::ipv4(self.macs);
        let total_len = (self.frame_len - IPV4) as u16;
        *packet.get_mut::<Ipv4Hdr>(IPV4)? = ipv4(total_len, protocol::ICMP, self.from, self.to);
        let [type_, code] = Self::TYPE_AND_CODE;
        *packet.get_mut::<Icmpv4Hdr>(IPV4 + Ipv4Hdr::LEN)? =
            Icmpv4Hdr { type_, code, check: self.check, data: [0; 4] };
        Some(())
    }

    const TYPE_AND_CODE: [u8; 2] = [3, 3];
}

/// An IPv4 header without options.
#[inline(always)]
fn ipv4(total_len: u16, proto: u8, from: [u8; 4], to: [u8; 4]) -> Ipv4Hdr {
    let (vihl, tot_len) = (0x45, total_len.to_be_bytes());
    let [a, b] = halves(from);
    let [c, d] = halves(to);
    let check = checksum::of([[vihl, 0], tot_len, DONT_FRAGMENT, [TTL, proto], a, b, c, d]);
    Ipv4Hdr {
        vihl,
        tos: 0,
        tot_len,
        id: [0; 2],
        frags: DONT_FRAGMENT,
        ttl: TTL,
        proto,
        check,
        src_addr: from,
        dst_addr: to,
    }
}

#[inline(always)]
const fn halves(word: [u8; 4]) -> [[u8; 2]; 2] {
    [[word[0], word[1]], [word[2], word[3]]]
}
