//! Room for what a rarely called function is given: not on the stack, of which there are 512 bytes for a whole chain of
//! calls.

use aya_ebpf::{macros::map, maps::PerCpuArray};
use fastswitch_common::parse::Segment;

use crate::maps::HANDED;

#[map]
static SCRATCH: PerCpuArray<Segment> = PerCpuArray::with_max_entries(1, 0);

/// Leaves `segment` to the program that goes on.
#[inline(always)]
pub(crate) fn hand_on(segment: &Segment) {
    if let Some(place) = HANDED.get_ptr_mut(0) {
        // SAFETY: this CPU's own entry, and no program interrupts this one on its CPU.
        unsafe { *place = *segment };
    }
}

/// The segment that the program before has left. `None` cannot be.
#[inline(always)]
pub(crate) fn handed_on() -> Option<&'static Segment> {
    // SAFETY: as above; it was written whole before this program was jumped to.
    HANDED.get_ptr(0).map(|place| unsafe { &*place })
}

/// A copy of `segment`; the one before is gone. `None` cannot be.
#[inline(always)]
pub(crate) fn copy(segment: &Segment) -> Option<&'static Segment> {
    let place = place()?;
    *place = *segment;
    Some(place)
}

/// The room itself, whatever is in it. `None` cannot be.
#[inline(always)]
pub(crate) fn place() -> Option<&'static mut Segment> {
    let place = SCRATCH.get_ptr_mut(0)?;
    // SAFETY: this CPU's own entry, no program interrupts this one on its CPU, and no function keeps what it is given.
    Some(unsafe { &mut *place })
}
