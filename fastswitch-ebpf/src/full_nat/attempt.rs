//! Flows that begin. Until the client has gone on after an answer, a flow is an attempt, kept where a flood of attempts
//! displaces nothing but attempts.
//!
//! A program of its own: it makes an entry, or gives the client an answer, and leaves everything else to that of the mode.
#![expect(
    clippy::needless_borrows_for_generic_args,
    reason = "by value, it would be copied to the stack first"
)]

use aya_ebpf::programs::XdpContext;
use fastswitch_common::{
    abi::{NO_ROW, Service, protocol},
    flow::{Direction, Translation, state, toward},
    parse::Segment,
    reason::Reason,
};

use super::{control, is_served, ports, word};
use crate::{
    answer, ctx, forward,
    maps::{ATTEMPTS, FLOWS},
    recent,
    verdict::Verdict,
};

/// Makes sure that there is an entry for `segment` to go on by: then `None`. Otherwise what becomes of it.
#[inline(always)]
pub(crate) fn settle(ctx: &XdpContext, segment: &Segment) -> Option<Verdict> {
    if keep(segment) {
        return None;
    }
    let Some(service) = recent::service(segment) else {
        return Some(Verdict::no_service(Reason::NoFlow));
    };
    let refused = if segment.opens { open(ctx, segment, &service) } else { Some(refuse(ctx, segment)) };
    refused.map(|reason| Verdict::stays(service.slot, NO_ROW, reason))
}

/// Whether the flow of `entry` is to be kept, now that `segment` of it is here: the backend has answered, and the client has
/// gone on.
#[inline(always)]
pub(super) fn has_proved(entry: &Translation, segment: &Segment) -> bool {
    let goes_on = entry.toward == toward::BACKEND && !(segment.opens && is_tcp(segment));
    goes_on && entry.state & (state::ANSWERED | state::UNSAFE) == state::ANSWERED
}

#[inline(always)]
fn is_tcp(segment: &Segment) -> bool {
    segment.source.protocol() == protocol::TCP
}

/// Moves the flow of `segment`, if it is an attempt that has proved itself, to where it is safe. `false` if it is none.
#[inline(never)]
fn keep(segment: &Segment) -> bool {
    let key = Direction { source: segment.source, destination: segment.destination };
    let Some(entry) = ATTEMPTS.get_ptr_mut(key) else { return false };
    // SAFETY: an entry of the map stays one, at worst another's: every bit pattern is valid.
    let entry = unsafe { &mut *entry };
    if !is_served(entry, segment.opens) || !has_proved(entry, segment) {
        return false;
    }
    let back = entry.renamed.back();
    let Some(answers) = ATTEMPTS.get_ptr_mut(back) else { return false };
    // SAFETY: as above.
    let answers = unsafe { &*answers };
    // The port may have been given to another meanwhile.
    if answers.renamed.destination != key.source {
        return false;
    }
    if FLOWS.insert(back, answers, 0).is_ok() {
        if FLOWS.insert(key, &*entry, 0).is_ok() {
            // What is not there any more need not be removed.
            let _ = ATTEMPTS.remove(back);
            let _ = ATTEMPTS.remove(key);
            return true;
        }
        let _ = FLOWS.remove(back);
    }
    entry.state |= state::UNSAFE;
    true
}

/// Begins a flow to the active backend of `service`. A reason if that cannot be.
#[inline(always)]
fn open(ctx: &XdpContext, segment: &Segment, service: &Service) -> Option<Reason> {
    let Some(word) = word(service.slot) else { return Some(Reason::Impossible) };
    match word.active() {
        Some(active) if !word.outage() => {
            forward::learn_client(ctx, &segment.source.address);
            ports::allocate(segment, service.slot, active)
        }
        _ => Some(answer::outage(segment, service)),
    }
}

/// Tells the client of a connection that nobody knows.
#[inline(always)]
fn refuse(ctx: &XdpContext, segment: &Segment) -> Reason {
    if control(&ctx::packet(ctx), segment).is_some_and(|control| control.rst) {
        return Reason::NoFlow;
    }
    Reason::FlowUnknown
}
