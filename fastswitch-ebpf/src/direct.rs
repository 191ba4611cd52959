//! From a client to a backend's own address, through the gateway: remembered, so that the replies stay untouched.

use core::ptr;

use fastswitch_common::{
    abi::{Flow, Origin},
    parse::Segment,
};

use crate::{
    maps::{BACKENDS, DIRECT, DIRECT_SEEN},
    scratch,
};

/// Remembers the flow of `segment` to the backend `origin`.
#[inline(never)]
pub(crate) fn remember(segment: &Segment, origin: &Origin) {
    let flow = Flow { client: segment.source, server: segment.destination };
    // Looking an entry up makes it young again.
    if DIRECT.get_ptr(flow).is_none() {
        // Failure means that this flow's replies are taken for the service's; there is no better answer to a full table.
        let _ = DIRECT.insert(flow, 1, 0);
    }
    if let Some(seen) = DIRECT_SEEN.get_ptr_mut(origin.row) {
        // SAFETY: in bounds; an aligned word, written whole, and only ever from zero to one.
        unsafe {
            if ptr::read_volatile(seen) == 0 {
                ptr::write_volatile(seen, 1);
            }
        }
    }
}

/// Whether `segment` of the backend `origin` answers such a flow.
#[inline(always)]
pub(crate) fn is_answer(segment: &Segment, origin: &Origin) -> bool {
    let seen = DIRECT_SEEN.get(origin.row).is_some_and(|seen| *seen != 0);
    seen && scratch::copy(segment).is_some_and(answers)
}

#[inline(never)]
fn answers(segment: &Segment) -> bool {
    DIRECT.get_ptr(Flow { client: segment.destination, server: segment.source }).is_some()
}

/// A flow to a VIP, which `segment` begins, supersedes one of the same client port to the own address of the backend in
/// `row`.
#[inline(always)]
pub(crate) fn forget(segment: &Segment, row: u32) {
    if DIRECT_SEEN.get(row).is_none_or(|seen| *seen == 0) {
        return;
    }
    if let Some(backend) = BACKENDS.get(row) {
        // Nothing to forget is the usual case.
        let _ = DIRECT.remove(Flow { client: segment.source, server: backend.endpoint });
    }
}
