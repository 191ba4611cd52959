//! After a planned switch: connections of the backend before go on there, for as long as the daemon says.

use aya_ebpf::programs::XdpContext;
use fastswitch_common::{
    abi::{self, protocol},
    parse::Segment,
};

use crate::connections;

/// The backend for a packet of the service in `slot`, whose `active` backend has taken over from a draining one.
///
/// A connection of which nothing is known is older than what is known, and so belongs to the draining one. One of any
/// other backend has had its time, or its backend has failed: it goes to the active one, which ends it.
#[inline(never)]
pub(crate) fn backend(ctx: &XdpContext, segment: &Segment, slot: u32, active: u8, draining: u8) -> u8 {
    // Datagrams belong to no connection.
    if segment.source.protocol() != protocol::TCP {
        return active;
    }
    let draining_row = abi::row(slot, draining);
    if connections::row(ctx, segment, draining_row) == Some(draining_row) { draining } else { active }
}
