//! Echo requests to a VIP.

use aya_ebpf::programs::XdpContext;
use fastswitch_common::{answer, parse::Echo, reason::Reason};

use crate::{ctx, maps::is_vip};

/// Turns the packet, which is `echo`, into its answer, if it is for a VIP.
#[inline(never)]
pub(crate) fn answer(ctx: &XdpContext, echo: &Echo) -> Reason {
    if !is_vip(&echo.destination) || !answer::allowed(echo.source) {
        return Reason::NotOurs;
    }
    match answer::echo(&mut ctx::packet(ctx), echo) {
        Some(()) => Reason::EchoAnswered,
        None => Reason::Impossible,
    }
}
