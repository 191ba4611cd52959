//! What becomes of a packet, and the one place that turns it into counters and an XDP action.

use core::ptr;

use aya_ebpf::{Global, bindings::xdp_action, helpers::bpf_redirect, programs::XdpContext};
use fastswitch_common::{
    abi::{self, NO_ROW, NO_SERVICE, Traffic, program},
    reason::{Fate, REASONS, Reason},
};

use crate::{
    answer, ctx, go_on,
    maps::{BACKEND_TRAFFIC, COUNTERS, VERDICT},
};

/// As [`abi::WATCHED`] says: a constant, but for who loads the program.
#[unsafe(no_mangle)]
static WATCHED: Global<u8> = Global::new(0);

/// What becomes of a packet.
pub(crate) struct Verdict {
    /// Service slot, or `NO_SERVICE`.
    pub slot: u32,
    /// Row of the backend that it is for or from, or `NO_ROW`.
    pub row: u32,
    /// Why, and thereby what.
    pub reason: Reason,
    /// Index of the interface that the packet leaves by, if it does.
    pub egress: u32,
}

impl Verdict {
    /// A packet of no service that stays.
    #[inline(always)]
    pub(crate) const fn no_service(reason: Reason) -> Self {
        Self::stays(NO_SERVICE, NO_ROW, reason)
    }

    /// A packet that leaves by no interface.
    #[inline(always)]
    pub(crate) const fn stays(slot: u32, row: u32, reason: Reason) -> Self {
        Self { slot, row, reason, egress: 0 }
    }

    /// As [`Verdict::finish`], after the answer if one is due.
    #[inline(always)]
    pub(crate) fn carry_out(&self, ctx: &XdpContext) -> u32 {
        if answer::is_due(self.reason) {
            answer::note_verdict(self);
            return go_on(ctx, program::ANSWER);
        }
        self.finish(ctx)
    }

    /// Counts the packet and gives the kernel its action.
    #[inline(always)]
    pub(crate) fn finish(&self, ctx: &XdpContext) -> u32 {
        let (action, forwarded, replied) = match self.reason.fate() {
            Fate::Pass => (xdp_action::XDP_PASS, 0, 0),
            Fate::Drop => (xdp_action::XDP_DROP, 0, 0),
            Fate::Forward => {
                let len = ctx::frame_len(ctx);
                self.count_traffic(|of| &mut of.forwarded, len);
                (self.send(ctx), len, 0)
            }
            Fate::Reply => {
                let len = ctx::frame_len(ctx);
                self.count_traffic(|of| &mut of.replied, len);
                (self.send(ctx), 0, len)
            }
            Fate::Answer => (xdp_action::XDP_TX, 0, 0),
            Fate::Abort => (xdp_action::XDP_ABORTED, 0, 0),
        };
        // The compiler knows that a reason is in bounds, the verifier has to see it.
        // SAFETY: a reason is one byte.
        let reason = unsafe { (&raw const self.reason).cast::<u8>().read_volatile() };
        if let Some(counters) = COUNTERS.get_ptr_mut(self.slot) {
            // SAFETY: this CPU's own row, and no program interrupts this one on its CPU.
            let counters = unsafe { &mut *counters };
            if let Some(packets) = counters.packets.get_mut(usize::from(reason) % REASONS) {
                *packets += 1;
            }
            counters.bytes_forwarded += forwarded;
            counters.bytes_replied += replied;
        }
        if WATCHED.load() != 0 {
            self.show(reason);
        }
        action
    }

    #[inline(always)]
    fn count_traffic(&self, direction: impl FnOnce(&mut abi::BackendTraffic) -> &mut Traffic, bytes: u64) {
        if let Some(traffic) = BACKEND_TRAFFIC.get_ptr_mut(self.row) {
            // SAFETY: as above.
            let traffic = direction(unsafe { &mut *traffic });
            traffic.packets += 1;
            traffic.bytes += bytes;
        }
    }

    /// For whoever watches.
    #[inline(always)]
    fn show(&self, reason: u8) {
        if let Some(place) = VERDICT.get_ptr_mut(0) {
            let verdict =
                abi::Verdict { slot: self.slot, row: self.row, reason: reason.into(), egress: self.egress };
            // SAFETY: in bounds; who watches runs one packet at a time.
            unsafe { ptr::write(place, verdict) };
        }
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
