//! Sends a segment on under another address: new source or destination, one less TTL, new MAC addresses, and
//! every checksum that covers them.
//!
//! Refuses to decide where to; works on segments that [`crate::parse`] found whole.

use network_types::{ip::Ipv4Hdr, tcp::TcpHdr, udp::UdpHdr};

use crate::{
    abi::protocol,
    checksum::Delta,
    packet::{Ethernet, Macs, Packet},
    parse::{IPV4, Segment},
};

/// Which end of a segment is renamed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The sender.
    Source,
    /// The receiver.
    Destination,
}

/// Renames one `end` of `segment` to `address` and `port` and addresses the frame by `macs`.
///
/// `None` if the packet is not the one that `segment` was read from; it is of no use then.
#[inline(always)]
#[must_use]
pub fn rename(
    packet: &mut Packet<'_>,
    segment: &Segment,
    end: End,
    address: [u8; 4],
    port: [u8; 2],
    macs: Macs,
) -> Option<()> {
    packet.get_mut::<Ethernet>(0)?.set_macs(macs);

    let ip = packet.get_mut::<Ipv4Hdr>(IPV4)?;
    let old = match end {
        End::Source => core::mem::replace(&mut ip.src_addr, address),
        End::Destination => core::mem::replace(&mut ip.dst_addr, address),
    };
    let ttl = ip.ttl.checked_sub(1)?;
    let addresses = Delta::default().address(old, address);
    ip.check = addresses.word([ip.ttl, ip.proto], [ttl, ip.proto]).apply(ip.check);
    ip.ttl = ttl;

    // The address counts in the transport checksum too, by its pseudo header.
    match segment.source.protocol {
        protocol::TCP => {
            let tcp = packet.get_mut::<TcpHdr>(segment.header)?;
            let old = match end {
                End::Source => core::mem::replace(&mut tcp.source, port),
                End::Destination => core::mem::replace(&mut tcp.dest, port),
            };
            tcp.check = addresses.word(old, port).apply(tcp.check);
        }
        protocol::UDP => {
            let udp = packet.get_mut::<UdpHdr>(segment.header)?;
            let old = match end {
                End::Source => core::mem::replace(&mut udp.src, port),
                End::Destination => core::mem::replace(&mut udp.dst, port),
            };
            udp.check = addresses.word(old, port).apply_udp(udp.check);
        }
        _ => return None,
    }
    Some(())
}
