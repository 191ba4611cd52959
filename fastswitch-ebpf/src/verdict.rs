//! What becomes of a packet, and the one place that turns it into counters and an XDP action.

use aya_ebpf::{bindings::xdp_action, helpers::bpf_redirect, programs::XdpContext};
use fastswitch_common::{
    abi::NO_SERVICE,
    reason::{Fate, REASONS, Reason},
};

use crate::{ctx, maps::COUNTERS};

/// What becomes of a packet.
pub(crate) struct Verdict {
    /// Service slot, or `NO_SERVICE`.
    pub slot: u32,
    /// Why, and thereby what.
    pub reason: Reason,
    /// Index of the interface that the packet leaves by, if it does.
    pub egress: u32,
}

impl Verdict {
    /// A packet of no service that stays.
    #[inline(always)]
    pub(crate) const fn no_service(reason: Reason) -> Self {
        Self::stays(NO_SERVICE, reason)
    }

    /// A packet that leaves by no interface.
    #[inline(always)]
    pub(crate) const fn stays(slot: u32, reason: Reason) -> Self {
        Self { slot, reason, egress: 0 }
    }

    /// Counts the packet and gives the kernel its action.
    #[inline(always)]
    pub(crate) fn carry_out(&self, ctx: &XdpContext) -> u32 {
        let (action, forwarded, replied) = match self.reason.fate() {
            Fate::Pass => (xdp_action::XDP_PASS, 0, 0),
            Fate::Drop => (xdp_action::XDP_DROP, 0, 0),
            Fate::Forward => (self.send(ctx), ctx::frame_len(ctx), 0),
            Fate::Reply => (self.send(ctx), 0, ctx::frame_len(ctx)),
            Fate::Answer => (xdp_action::XDP_TX, 0, 0),
            Fate::Abort => (xdp_action::XDP_ABORTED, 0, 0),
        };
        if let Some(counters) = COUNTERS.get_ptr_mut(self.slot) {
            // SAFETY: this CPU's own row, and no program interrupts this one on its CPU.
            let counters = unsafe { &mut *counters };
            // The compiler knows that a reason is in bounds, the verifier has to see it.
            // SAFETY: a reason is one byte.
            let reason = unsafe { (&raw const self.reason).cast::<u8>().read_volatile() };
            if let Some(packets) = counters.packets.get_mut(usize::from(reason) % REASONS) {
                *packets += 1;
            }
            counters.bytes_forwarded += forwarded;
            counters.bytes_replied += replied;
        }
        action
    }

    #[inline(always)]
    fn send(&self, ctx: &XdpContext) -> u32 {
        if self.egress == ctx::ingress(ctx) {
            xdp_action::XDP_TX
        } else {
            // SAFETY: takes numbers only; an interface that is gone makes the kernel drop the packet.
            unsafe { bpf_redirect(self.egress, 0) as u32 }
        }
    }
}
