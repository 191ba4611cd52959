//! Parts of fragmented packets: the first has ports and goes where a whole one would; later ones follow it.
//!
//! Refuses to put packets together, and to keep a part that comes before the first.

use aya_ebpf::programs::XdpContext;
use fastswitch_common::{
    abi::Ports,
    parse::{self, Content, Segment},
    reason::Reason,
};

use crate::{
    ctx,
    maps::{FRAGMENTS, ORIGINS, SERVICES, is_vip},
    scratch, segment_verdict,
    verdict::Verdict,
};

/// What becomes of the packet, which is such a part.
#[inline(always)]
pub(crate) fn verdict(ctx: &XdpContext) -> Verdict {
    let Some(place) = scratch::place() else {
        return Verdict::no_service(Reason::Impossible);
    };
    if let Some(reason) = identify(ctx, place) {
        let concerns_vip = is_vip(&place.destination.address) || is_vip(&place.source.address);
        return Verdict::no_service(if concerns_vip { reason } else { Reason::NotOurs });
    }
    let segment = *place;
    // In mode full_nat parts of different clients' packets could not be told apart by their identification.
    segment_verdict(ctx, ctx::packet(ctx), &segment).unwrap_or(Verdict::no_service(Reason::Fragment))
}

/// Puts into `segment` what the packet is part of; gives the reason if nobody knows its ports.
#[inline(never)]
fn identify(ctx: &XdpContext, segment: &mut Segment) -> Option<Reason> {
    let packet = ctx::packet(ctx);
    let Ok(Content::Fragment(outer)) = parse::parse(&packet) else {
        return Some(Reason::Impossible);
    };
    *segment = outer.segment(Ports::NONE, None);
    let fragment = match parse::fragment(&packet, &outer) {
        Ok(fragment) => fragment,
        Err(reason) => return Some(reason),
    };
    let Some(first) = fragment.first else {
        // SAFETY: entries are replaced whole and found by key; one being reused just now is another packet's, and this one
        // is lost like any on a changing network.
        let Some(ports) = (unsafe { FRAGMENTS.get(fragment.of) }) else {
            return Some(Reason::FragmentUnmatched);
        };
        *segment = outer.segment(*ports, None);
        return None;
    };
    *segment = outer.segment(first.ports, Some(first));
    // Others' packets shall not drive out those of services.
    if SERVICES.get_ptr(segment.destination).is_some() || ORIGINS.get_ptr(segment.source).is_some() {
        // Failure means that later parts are not known.
        let _ = FRAGMENTS.insert(fragment.of, first.ports, 0);
    }
    None
}
