//! Extension headers of IPv6 (RFC 8200, 4): what stands between the IPv6 header and what it carries.

use network_types::ip::Ipv6Hdr;

use super::{Body, IP};
use crate::{abi::protocol, packet::Packet, reason::Reason};

/// Headers in a row that are read; more belong to nobody who means well.
const MOST: usize = 6;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// Follows the headers, of which the first is of type `next`, to what is not one of them; `end` is the offset at which
/// the IPv6 packet ends. `None` if they make the packet a fragment.
///
/// # Errors
/// [`Reason::Malformed`] if they reach beyond the packet, [`Reason::NotOurs`] if they are too many, or of a kind that
/// hides what comes after, or say that the packet has another destination before it.
#[inline(always)]
pub(super) fn walk(packet: &Packet<'_>, mut next: u8, end: usize) -> Result<Option<Body>, Reason> {
    let mut at = IP + Ipv6Hdr::LEN;
    for _ in 0..MOST {
        if !matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION_OPTIONS) {
            break;
        }
        // Every one of them is at least this long.
        let header = packet.get::<[u8; 8]>(at).ok_or(Reason::Malformed)?;
        let len = match next {
            FRAGMENT => {
                // Offset and the flag for more to come; without either it is whole (RFC 6946).
                if header[2] | header[3] & 0xf9 != 0 {
                    return Ok(None);
                }
                8
            }
            ROUTING if header[3] != 0 => return Err(Reason::NotOurs),
            _ => 8 + usize::from(header[1]) * 8,
        };
        next = header[0];
        at += len;
    }
    match next {
        protocol::TCP | protocol::UDP | protocol::ICMPV6 => {}
        _ => return Err(Reason::NotOurs),
    }
    let len = end.checked_sub(at).ok_or(Reason::Malformed)?;
    Ok(Some(Body { protocol: next, header: at, len }))
}
