//! The monotonic clock as of the last timer tick, which is exact enough for seconds and costs little.

use aya_ebpf::helpers::bpf_ktime_get_coarse_ns;

/// Nanoseconds.
#[inline(always)]
pub(crate) fn nanoseconds() -> u64 {
    // SAFETY: takes nothing, reads a clock.
    unsafe { bpf_ktime_get_coarse_ns() }
}

/// Seconds.
#[inline(always)]
pub(crate) fn seconds() -> u32 {
    (nanoseconds() / 1_000_000_000) as u32
}
