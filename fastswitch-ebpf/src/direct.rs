//! From a client to a backend's own address, through the gateway: remembered, so that the replies stay untouched.

use core::ptr;

use fastswitch_common::{
    abi::{self, Flow, Origin},
    parse::Segment,
    reason::Reason,
};

use crate::{
    maps::{DIRECT, DIRECT_SEEN},
    verdict::Verdict,
};

/// Remembers the flow of `segment` to the backend `origin` and lets it pass.
#[inline(always)]
pub(crate) fn remember(segment: &Segment, origin: &Origin) -> Verdict {
    let flow = Flow::between(segment.source, segment.destination);
    // Looking an entry up makes it young again.
    if DIRECT.get_ptr(flow).is_none() {
        // Failure means that this flow's replies are taken for the service's; there is no better answer to a full table.
        let _ = DIRECT.insert(flow, 1, 0);
    }
    if let Some(seen) = DIRECT_SEEN.get_ptr_mut(abi::row(origin.slot, origin.backend)) {
        // SAFETY: in bounds; an aligned word, written whole, and only ever from zero to one.
        unsafe {
            if ptr::read_volatile(seen) == 0 {
                ptr::write_volatile(seen, 1);
            }
        }
    }
    Verdict::stays(origin.slot, Reason::Direct)
}
