//! Answers to senders whose packets are not sent on: resets and ICMP errors.
//!
//! Whoever decides that one is due leaves with its reason; the packet is then turned into the answer by a program of its own,
//! so that no other has the code, its stack and its paths.

use aya_ebpf::programs::XdpContext;
use fastswitch_common::{
    abi::{Due, Service, on_outage, protocol},
    answer::{self, Unreachable, Why},
    parse::{self, Content, Family, NOWHERE, Segment},
    reason::Reason,
};

use crate::{ctx, maps::DUE, verdict::Verdict};

#[inline(always)]
fn due() -> Option<&'static mut Due> {
    // SAFETY: this CPU's own entry, and no program interrupts this one on its CPU.
    DUE.get_ptr_mut(0).map(|due| unsafe { &mut *due })
}

/// Whether `reason` means that an answer is due.
#[inline(always)]
pub(crate) const fn is_due(reason: Reason) -> bool {
    matches!(reason, Reason::OutageReset | Reason::OutageUnreachable | Reason::FlowUnknown | Reason::TooBig)
}

/// What becomes of `segment`, which opens a connection while no backend of `service` can serve.
#[inline(always)]
pub(crate) fn outage(segment: &Segment, service: &Service) -> Reason {
    if service.on_outage != on_outage::REJECT || !answer::allowed(segment.source.address) {
        Reason::OutageDropped
    } else if segment.source.protocol() == protocol::TCP {
        Reason::OutageReset
    } else {
        note(segment, 0);
        Reason::OutageUnreachable
    }
}

/// What becomes of `segment`, which does not fit into `mtu` bytes. Parts of fragmented packets but the first, and ICMP errors,
/// are not answered (RFC 1122, 3.2.2; RFC 4443, 2.4 e).
#[inline(always)]
pub(crate) fn too_big(segment: &Segment, mtu: u16) -> Reason {
    if segment.header == NOWHERE {
        return Reason::FibTooBig;
    }
    note(segment, mtu);
    Reason::TooBig
}

#[inline(always)]
fn note(segment: &Segment, mtu: u16) {
    if let Some(due) = due() {
        due.mtu = mtu;
        due.header = segment.header;
        due.is_v4 = u32::from(matches!(segment.family, Family::V4));
    }
}

/// Notes for whom the answer is counted.
#[inline(always)]
pub(crate) fn note_verdict(verdict: &Verdict) {
    if let Some(due) = due() {
        (due.slot, due.row, due.reason) = (verdict.slot, verdict.row, verdict.reason as u32);
    }
}

/// Turns the packet into the answer that is due.
#[inline(always)]
pub(crate) fn give(ctx: &XdpContext) -> Verdict {
    let Some(due) = due() else {
        return Verdict::no_service(Reason::Impossible);
    };
    let (answered, told, otherwise) = match due.reason {
        reason if reason == Reason::TooBig as u32 => (Reason::TooBig, error(ctx, due), Reason::FibTooBig),
        reason if reason == Reason::OutageUnreachable as u32 => {
            (Reason::OutageUnreachable, error(ctx, due), Reason::OutageDropped)
        }
        reason if reason == Reason::OutageReset as u32 => {
            (Reason::OutageReset, reset(ctx), Reason::OutageDropped)
        }
        _ => (Reason::FlowUnknown, reset(ctx), Reason::Impossible),
    };
    let reason = match told {
        Some(true) => answered,
        Some(false) => otherwise,
        None => Reason::Impossible,
    };
    Verdict::stays(due.slot, due.row, reason)
}

/// Turns the packet into the reset that refuses it; not a part of a fragmented one.
#[inline(never)]
fn reset(ctx: &XdpContext) -> Option<bool> {
    let mut packet = ctx::packet(ctx);
    let Ok(Content::Segment(segment)) = parse::parse(&packet) else {
        return Some(false);
    };
    answer::reset(&mut packet, &segment)?;
    ctx::truncate(ctx, packet, answer::reset_len(segment.family))?;
    Some(true)
}

/// Turns the packet into an error; not if its sender is no single station.
#[inline(never)]
fn error(ctx: &XdpContext, due: &Due) -> Option<bool> {
    let packet = ctx::packet(ctx);
    let family = if due.is_v4 == 0 { Family::V6 } else { Family::V4 };
    let why = if due.reason == Reason::TooBig as u32 { Why::TooBig(due.mtu) } else { Why::Port };
    let error = Unreachable::read(&packet, family, due.header, why)?;
    if !answer::allowed(error.to()) {
        return Some(false);
    }
    let mut packet = ctx::grow_front(ctx, packet, error.growth())?;
    error.write(&mut packet)?;
    ctx::truncate(ctx, packet, error.frame_len())?;
    Some(true)
}
