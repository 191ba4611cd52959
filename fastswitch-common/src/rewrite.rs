//! Sends a segment, or an ICMP error about one, on: under another address, one hop further, or as it is to another
//! station; with every checksum that covers what changes.
//!
//! Refuses to decide where to; works on segments that [`crate::parse`] found whole.

mod icmp_error;

use network_types::{
    ip::{Ipv4Hdr, Ipv6Hdr},
    tcp::TcpHdr,
    udp::UdpHdr,
};

use crate::{
    abi::{Endpoint, protocol},
    address::Address,
    checksum::Delta,
    flow::Direction,
    packet::{Ethernet, Macs, Packet},
    parse::{ADDRESSES_V4, ADDRESSES_V6, Family, IP, NOWHERE, Segment},
};

pub use icmp_error::rename_error;

/// Which end of a segment is renamed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The sender.
    Source,
    /// The receiver.
    Destination,
}

/// Addresses the frame by `macs` and leaves the packet as it is.
///
/// `None` if the packet is not the one that a segment was read from; it is of no use then.
#[inline(always)]
#[must_use]
pub fn hand_over(packet: &mut Packet<'_>, macs: Macs) -> Option<()> {
    packet.get_mut::<Ethernet>(0)?.set_macs(macs);
    Some(())
}

/// Renames one `end` of `segment` to the address and port of `name`, which is of its family, takes one from its TTL and
/// addresses the frame by `macs`. `None` as in [`hand_over`].
#[inline(always)]
#[must_use]
pub fn rename(
    packet: &mut Packet<'_>,
    segment: &Segment,
    end: End,
    name: Endpoint,
    macs: Macs,
) -> Option<()> {
    hand_over(packet, macs)?;
    let addresses = outside(packet, segment.family, end, name.address, 1)?;
    transport(packet, segment, end, name.port(), addresses)
}

/// Changes the port of one `end`, if it is in this packet; `addresses` is what the change of addresses does to checksums,
/// which counts here too, by the pseudo header.
#[inline(always)]
fn transport(
    packet: &mut Packet<'_>,
    segment: &Segment,
    end: End,
    port: [u8; 2],
    addresses: Delta,
) -> Option<()> {
    if segment.header == NOWHERE {
        return Some(());
    }
    match segment.source.protocol() {
        protocol::TCP => {
            let tcp = packet.get_mut::<TcpHdr>(usize::from(segment.header))?;
            let old = match end {
                End::Source => core::mem::replace(&mut tcp.source, port),
                End::Destination => core::mem::replace(&mut tcp.dest, port),
            };
            tcp.check = addresses.word(old, port).apply(tcp.check);
        }
        protocol::UDP => {
            let udp = packet.get_mut::<UdpHdr>(usize::from(segment.header))?;
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

/// Renames both ends of `segment` to those of `names`, which are of its family, takes one from its TTL and addresses the
/// frame by `macs`. `None` as in [`hand_over`].
#[inline(always)]
#[must_use]
pub fn rename_both(packet: &mut Packet<'_>, segment: &Segment, names: &Direction, macs: Macs) -> Option<()> {
    rename(packet, segment, End::Source, names.source, macs)?;
    let addresses = outside(packet, segment.family, End::Destination, names.destination.address, 0)?;
    transport(packet, segment, End::Destination, names.destination.port(), addresses)
}

/// Changes an address of the packet, and takes `hops` from its TTL; gives what the change of the address does to checksums.
#[inline(always)]
fn outside(packet: &mut Packet<'_>, family: Family, end: End, address: Address, hops: u8) -> Option<Delta> {
    let delta = readdress(packet, IP, family, end, address)?;
    match family {
        Family::V4 => {
            let ip = packet.get_mut::<Ipv4Hdr>(IP)?;
            let ttl = ip.ttl.checked_sub(hops)?;
            ip.check = delta.word([ip.ttl, ip.proto], [ttl, ip.proto]).apply(ip.check);
            ip.ttl = ttl;
        }
        Family::V6 => {
            let ip = packet.get_mut::<Ipv6Hdr>(IP)?;
            ip.hop_limit = ip.hop_limit.checked_sub(hops)?;
        }
    }
    Some(delta)
}

/// Changes an address in the IP header at `ip`; gives what that does to checksums.
#[inline(always)]
fn readdress(
    packet: &mut Packet<'_>,
    ip: usize,
    family: Family,
    end: End,
    address: Address,
) -> Option<Delta> {
    match family {
        Family::V4 => {
            let at = match end {
                End::Source => ip + ADDRESSES_V4,
                End::Destination => ip + ADDRESSES_V4 + 4,
            };
            let old = core::mem::replace(packet.get_mut::<[[u8; 2]; 2]>(at)?, address.pairs_v4());
            let ([.., old], [.., new]) = (Address::from_pairs_v4(old).words(), address.words());
            Some(Delta::default().words([old], [new]))
        }
        Family::V6 => {
            let at = match end {
                End::Source => ip + ADDRESSES_V6,
                End::Destination => ip + ADDRESSES_V6 + 16,
            };
            let old = core::mem::replace(packet.get_mut::<[[u8; 2]; 8]>(at)?, address.pairs_v6());
            Some(Delta::default().words(Address::from_pairs_v6(old).words(), address.words()))
        }
    }
}
