//! From a backend: to a client of the service under the VIP's name, or untouched to whom it is for.

use aya_ebpf::programs::XdpContext;
use fastswitch_common::{
    abi::{Hop, Origin},
    address::Address,
    packet::Packet,
    parse::Segment,
    reason::Reason,
    rewrite::{self, End},
};

use crate::{
    connections, ctx, direct, fib,
    maps::CLIENTS,
    recent::{self, Question},
    scratch,
    verdict::Verdict,
};

/// Sends `segment` of the backend `origin` on to the client.
#[inline(always)]
pub(crate) fn reply(ctx: &XdpContext, packet: Packet<'_>, segment: &Segment, origin: &Origin) -> Verdict {
    let (slot, row) = (origin.slot, origin.row);
    match to_client(ctx, packet, segment, origin) {
        Ok((reason, egress)) => Verdict { slot, row, reason, egress },
        Err(reason) => Verdict::stays(slot, row, reason),
    }
}

#[inline(always)]
fn to_client(
    ctx: &XdpContext,
    mut packet: Packet<'_>,
    segment: &Segment,
    origin: &Origin,
) -> Result<(Reason, u32), Reason> {
    if direct::is_answer(segment, origin) {
        return Err(Reason::Direct);
    }
    if segment.ttl <= 1 {
        return Err(Reason::TtlExpired);
    }
    let vip = origin.vip;
    let (reason, hop) = way(ctx, &Segment { source: vip, ..*segment })?;
    if segment.ends {
        connections::note_end(ctx, scratch::copy(segment).ok_or(Reason::Impossible)?, &origin.vip);
    }
    rewrite::rename(&mut packet, segment, End::Source, vip, hop.macs).ok_or(Reason::Impossible)?;
    Ok((reason, hop.ifindex))
}

/// The way to a client, of a segment as it will get there, and the reason to count.
///
/// # Errors
/// The reason why there is none.
#[inline(always)]
pub(crate) fn way(ctx: &XdpContext, renamed: &Segment) -> Result<(Reason, Hop), Reason> {
    match route(ctx, renamed) {
        Ok(hop) => Ok((Reason::Replied, hop)),
        Err(Reason::FibNotForwarded) => Err(Reason::ToGateway),
        Err(Reason::FibNoNeighbour) => {
            let hop = learned(&{ renamed.destination.address }).ok_or(Reason::FibNoNeighbour)?;
            Ok((Reason::RepliedLearned, *hop))
        }
        Err(reason) => Err(reason),
    }
}

#[inline(always)]
fn route(ctx: &XdpContext, renamed: &Segment) -> Result<Hop, Reason> {
    let question = Question {
        source: renamed.source.address,
        destination: renamed.destination.address,
        tos: u32::from(renamed.tos),
        ingress: ctx::ingress(ctx),
    };
    let recent = recent::route(&question).ok_or(Reason::Impossible)?;
    if let Some(hop) = recent.find(&question, renamed.total_len) {
        return Ok(hop);
    }
    let way = fib::route(ctx, scratch::copy(renamed).ok_or(Reason::Impossible)?)?;
    recent.keep(&question, way.hop, way.fits);
    Ok(way.hop)
}

/// The way that the client's own packets came.
#[inline(never)]
fn learned(client: &Address) -> Option<&'static Hop> {
    // SAFETY: entries are replaced whole and found by key; one being reused just now is another client's way, and the
    // packet is lost like any on a changing network.
    unsafe { CLIENTS.get(client) }
}
