//! New connections while no backend can serve.

use aya_ebpf::programs::XdpContext;
use fastswitch_common::{
    abi::{on_outage, protocol},
    answer::{self, Why},
    parse::Segment,
    reason::Reason,
};

use crate::{ctx, unreachable};

/// Gives `segment`, which opens a connection, the answer `on_outage` that its service is configured for.
#[inline(never)]
pub(crate) fn answer(ctx: &XdpContext, segment: &Segment, on_outage: u8) -> Reason {
    if on_outage != on_outage::REJECT || !answer::allowed(segment.source.address) {
        Reason::OutageDropped
    } else if segment.source.protocol() == protocol::TCP {
        reset(ctx, segment).map_or(Reason::Impossible, |()| Reason::OutageReset)
    } else {
        unreachable(ctx, segment).unwrap_or(Reason::Impossible)
    }
}

/// Turns `segment`, which has no RST, into the reset that refuses it. `None` if the kernel does not cut it off.
#[inline(never)]
pub(crate) fn reset(ctx: &XdpContext, segment: &Segment) -> Option<()> {
    let mut packet = ctx::packet(ctx);
    answer::reset(&mut packet, segment)?;
    ctx::truncate(ctx, packet, answer::reset_len(segment.family))
}

#[inline(never)]
fn unreachable(ctx: &XdpContext, segment: &Segment) -> Option<Reason> {
    let told = unreachable::error(ctx, segment.family, segment.header, Why::Port)?;
    Some(if told { Reason::OutageUnreachable } else { Reason::OutageDropped })
}
