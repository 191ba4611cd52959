//! After a planned switch: connections that were open go on with the backend before, for as long as the daemon says.
//!
//! A connection is remembered only if it opens meanwhile; every other one is an old one. So outside of a drain no packet
//! is looked up, and inside it only the memory of the new connections can run out.

use fastswitch_common::{
    abi::{Flow, protocol},
    parse::Segment,
    word::SwitchWord,
};

use crate::maps::OPENED;

/// The backend for a packet of a service whose `active` backend has taken over from a draining one.
#[inline(never)]
pub(crate) fn backend(segment: &Segment, word: SwitchWord, active: u8, draining: u8) -> u8 {
    // Datagrams belong to no connection.
    if segment.source.protocol() != protocol::TCP {
        return active;
    }
    let flow = Flow { client: segment.source, server: segment.destination };
    if segment.opens {
        // Without room the connection would be taken for an old one and reset: as without a drain.
        let _ = OPENED.insert(flow, word.epoch(), 0);
        return active;
    }
    // SAFETY: an aligned number, written whole.
    match unsafe { OPENED.get(flow) } {
        Some(epoch) if *epoch == word.epoch() => active,
        _ => draining,
    }
}
