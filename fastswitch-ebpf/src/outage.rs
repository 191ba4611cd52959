//! New connections while no backend can serve.

use aya_ebpf::programs::XdpContext;
use fastswitch_common::{
    abi::{Service, on_outage, protocol},
    answer::{self, Unreachable},
    packet::Packet,
    parse::Segment,
    reason::Reason,
};

use crate::{ctx, verdict::Verdict};

/// Gives `segment`, which opens a connection, the answer that `service` is configured for.
#[inline(always)]
pub(crate) fn answer(ctx: &XdpContext, packet: Packet<'_>, segment: &Segment, service: &Service) -> Verdict {
    let reason = if service.on_outage != on_outage::REJECT || !answer::allowed(segment.source.address) {
        Reason::OutageDropped
    } else if segment.source.protocol == protocol::TCP {
        reset(ctx, packet, segment).unwrap_or(Reason::Impossible)
    } else {
        unreachable(ctx, packet, segment).unwrap_or(Reason::Impossible)
    };
    Verdict::stays(service.slot, reason)
}

#[inline(always)]
fn reset(ctx: &XdpContext, mut packet: Packet<'_>, segment: &Segment) -> Option<Reason> {
    answer::reset(&mut packet, segment)?;
    ctx::truncate(ctx, packet, answer::RESET_LEN)?;
    Some(Reason::OutageReset)
}

#[inline(always)]
fn unreachable(ctx: &XdpContext, packet: Packet<'_>, segment: &Segment) -> Option<Reason> {
    let answer = Unreachable::read(&packet, segment)?;
    let mut packet = ctx::grow_front(ctx, packet, Unreachable::GROWTH)?;
    answer.write(&mut packet)?;
    ctx::truncate(ctx, packet, answer.frame_len())?;
    Some(Reason::OutageUnreachable)
}
