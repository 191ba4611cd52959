//! ICMP errors: what they quote is renamed with what carries them, or their receiver would not know its own packet.

use network_types::{icmp::Icmpv4Hdr, ip::Ipv4Hdr};

use super::{End, hand_over, outside, readdress};
use crate::{
    abi::{Endpoint, protocol},
    packet::{Macs, Packet},
    parse::{Family, IcmpError, NOWHERE},
};

/// Renames one `end` of `error` to the address of `name`, which is of its family, and the other end of what it quotes to
/// the address and port; takes one from its TTL and addresses the frame by `macs`. `None` as in [`hand_over`].
#[inline(always)]
#[must_use]
pub fn rename_error(
    packet: &mut Packet<'_>,
    error: &IcmpError,
    end: End,
    name: Endpoint,
    macs: Macs,
) -> Option<()> {
    hand_over(packet, macs)?;
    let family = error.outer.family;
    let outer = outside(packet, family, end, name.address, 1)?;
    let (quoted, quoted_port) = match end {
        End::Source => (End::Destination, error.quoted_header + 2),
        End::Destination => (End::Source, error.quoted_header),
    };
    let ip = usize::from(error.quoted_ip);
    let address = readdress(packet, ip, family, quoted, name.address)?;
    let mut all = match family {
        Family::V4 => {
            let ip = packet.get_mut::<Ipv4Hdr>(ip)?;
            let new = address.apply(ip.check);
            address.word(core::mem::replace(&mut ip.check, new), new)
        }
        // The address outside counts too, by the pseudo header.
        Family::V6 => address.and(outer),
    };
    let port = packet.get_mut::<[u8; 2]>(usize::from(quoted_port))?;
    let old = core::mem::replace(port, name.port());
    all = all.word(old, name.port());
    if error.quoted_check != NOWHERE {
        let segment = address.word(old, name.port());
        let check = packet.get_mut::<[u8; 2]>(usize::from(error.quoted_check))?;
        let new = match name.protocol() {
            protocol::UDP => segment.apply_udp(*check),
            _ => segment.apply(*check),
        };
        all = all.word(core::mem::replace(check, new), new);
    }
    let icmp = packet.get_mut::<Icmpv4Hdr>(usize::from(error.outer.header))?;
    icmp.check = all.apply(icmp.check);
    Some(())
}
