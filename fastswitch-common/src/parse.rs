//! What a frame carries, as far as the switch is concerned: Ethernet, IPv4 with options, TCP, UDP, ICMP echo.
//!
//! Refuses to interpret anything whose headers do not hold together, and changes nothing.

use network_types::{icmp::Icmpv4Hdr, ip::Ipv4Hdr, tcp::TcpHdr, udp::UdpHdr};

use crate::{
    abi::{Endpoint, protocol},
    packet::{Ethernet, Packet},
    reason::Reason,
};

/// `type_` of an ICMP echo request.
const ECHO_REQUEST: u8 = 8;
/// Where the IPv4 header starts.
pub(crate) const IPV4: usize = Ethernet::LEN;
/// Don't-fragment and the reserved bit, which do not make a fragment; as a mask over the first byte.
const NO_FRAGMENT_FLAGS: u8 = 0xc0;

/// Content that may concern the switch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Content {
    /// A whole TCP segment or UDP datagram.
    Segment(Segment),
    /// An ICMP echo request.
    Echo(Echo),
    /// Any part of a fragmented packet to this address.
    Fragment([u8; 4]),
}

/// A whole TCP segment or UDP datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Segment {
    /// Who sends it.
    pub source: Endpoint,
    /// Whom it is for.
    pub destination: Endpoint,
    /// Offset of the TCP or UDP header in the frame, in bytes.
    pub header: usize,
    /// Length of the IPv4 packet, in bytes.
    pub total_len: u16,
    /// Time to live, as it arrived.
    pub ttl: u8,
    /// Type of service.
    pub tos: u8,
    /// Whether it may start something: a UDP datagram, or a TCP segment with SYN and neither ACK nor RST.
    pub opens: bool,
}

/// An ICMP echo request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Echo {
    /// Who asks.
    pub source: [u8; 4],
    /// Who is asked.
    pub destination: [u8; 4],
    /// Offset of the ICMP header in the frame, in bytes.
    pub header: usize,
}

/// Reads a frame.
///
/// # Errors
/// [`Reason::NotOurs`] if it carries nothing of [`Content`] or was sent to a group of stations, [`Reason::Malformed`]
/// if it is cut short or contradicts itself.
#[inline(always)]
pub fn parse(packet: &Packet<'_>) -> Result<Content, Reason> {
    let ethernet = packet.get::<Ethernet>(0).ok_or(Reason::Malformed)?;
    if ethernet.ether_type != Ethernet::IPV4 || ethernet.is_to_a_group() {
        return Err(Reason::NotOurs);
    }

    let ip = packet.get::<Ipv4Hdr>(IPV4).ok_or(Reason::Malformed)?;
    let header_len = usize::from(ip.vihl & 0x0f) * 4;
    let total_len = u16::from_be_bytes(ip.tot_len);
    // What the IPv4 packet holds besides its header; frames may be longer (padding), never shorter.
    let Some(payload_len) = usize::from(total_len).checked_sub(header_len) else {
        return Err(Reason::Malformed);
    };
    let contradiction = ip.vihl >> 4 != 4 || header_len < Ipv4Hdr::LEN;
    if contradiction || IPV4 + usize::from(total_len) > packet.len() {
        return Err(Reason::Malformed);
    }

    if ip.frags[0] & !NO_FRAGMENT_FLAGS | ip.frags[1] != 0 {
        return Ok(Content::Fragment(ip.dst_addr));
    }

    let header = IPV4 + header_len;
    let (ports, opens) = match ip.proto {
        protocol::TCP => {
            let tcp = packet.get::<TcpHdr>(header).ok_or(Reason::Malformed)?;
            let tcp_len = usize::from(tcp.doff()) * 4;
            if tcp_len < TcpHdr::LEN || tcp_len > payload_len {
                return Err(Reason::Malformed);
            }
            ([tcp.source, tcp.dest], tcp.syn() != 0 && tcp.ack() == 0 && tcp.rst() == 0)
        }
        protocol::UDP => {
            let udp = packet.get::<UdpHdr>(header).ok_or(Reason::Malformed)?;
            let udp_len = usize::from(u16::from_be_bytes(udp.len));
            if udp_len < UdpHdr::LEN || udp_len > payload_len {
                return Err(Reason::Malformed);
            }
            ([udp.src, udp.dst], true)
        }
        protocol::ICMP => {
            let icmp = packet.get::<Icmpv4Hdr>(header).ok_or(Reason::Malformed)?;
            if payload_len < Icmpv4Hdr::LEN {
                return Err(Reason::Malformed);
            }
            if icmp.type_ != ECHO_REQUEST || icmp.code != 0 {
                return Err(Reason::NotOurs);
            }
            return Ok(Content::Echo(Echo { source: ip.src_addr, destination: ip.dst_addr, header }));
        }
        _ => return Err(Reason::NotOurs),
    };

    Ok(Content::Segment(Segment {
        source: Endpoint { address: ip.src_addr, port: ports[0], protocol: ip.proto, _pad: 0 },
        destination: Endpoint { address: ip.dst_addr, port: ports[1], protocol: ip.proto, _pad: 0 },
        header,
        total_len,
        ttl: ip.ttl,
        tos: ip.tos,
        opens,
    }))
}
