//! Extension headers of IPv6 (RFC 8200, 4): what stands between the IPv6 header and what it carries.

use super::Body;
use crate::{abi::protocol, packet::Packet, reason::Reason};

/// Headers in a row that are read; more belong to nobody who means well.
const MOST: usize = 6;

const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const DESTINATION_OPTIONS: u8 = 60;

/// Where the headers lead.
pub(super) enum End {
    /// To what the packet carries.
    Body(Body),
    /// To this header, at this offset, which makes the packet a fragment.
    Fragment(Fragment, usize),
}

/// A fragment header (RFC 8200, 4.5).
pub(super) struct Fragment {
    /// Type of the header, or of the body, after it.
    pub(super) next: u8,
    /// Whether the packet's beginning is here.
    pub(super) is_first: bool,
    /// Identification, as on the wire.
    pub(super) id: [[u8; 2]; 2],
}

/// Bytes of a fragment header.
pub(super) const FRAGMENT_LEN: usize = 8;

/// What a packet carries, be it whole or the first part of one; `None` where [`walk`] fails, and for a later part.
#[inline(always)]
pub(super) fn first_body(packet: &Packet<'_>, next: u8, at: usize, end: usize) -> Option<Body> {
    let (next, at) = match walk(packet, next, at, end).ok()? {
        End::Body(body) => return Some(body),
        End::Fragment(fragment, at) if fragment.is_first => (fragment.next, at + FRAGMENT_LEN),
        End::Fragment(..) => return None,
    };
    match walk(packet, next, at, end).ok()? {
        End::Body(body) => Some(body),
        End::Fragment(..) => None,
    }
}

/// Follows the headers, of which the first is of type `next` and `at` bytes into the frame, to what is not one of them;
/// `end` is the offset at which the IPv6 packet ends.
///
/// # Errors
/// [`Reason::Malformed`] if they reach beyond the packet, [`Reason::NotOurs`] if they are too many, or of a kind that
/// hides what comes after, or say that the packet has another destination before it.
#[inline(always)]
pub(super) fn walk(packet: &Packet<'_>, mut next: u8, mut at: usize, end: usize) -> Result<End, Reason> {
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
                    let id = [[header[4], header[5]], [header[6], header[7]]];
                    let is_first = header[2] | header[3] & 0xf8 == 0;
                    return Ok(End::Fragment(Fragment { next: header[0], is_first, id }, at));
                }
                FRAGMENT_LEN
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
    Ok(End::Body(Body { protocol: next, header: at, len }))
}
