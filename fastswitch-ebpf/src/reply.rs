//! From a backend: to a client of the service under the VIP's name, or untouched to whom it is for.

use aya_ebpf::programs::XdpContext;
use fastswitch_common::{
    abi::{Endpoint, Hop, Origin},
    address::Address,
    packet::Packet,
    parse::Segment,
    reason::Reason,
    rewrite::{self, End},
};

use crate::{
    ctx, direct, fib,
    maps::CLIENTS,
    recent::{self, Question},
    scratch,
    verdict::Verdict,
};

/// Sends `segment` of the backend `origin` on to the client.
#[inline(always)]
pub(crate) fn reply(ctx: &XdpContext, packet: Packet<'_>, segment: &Segment, origin: &Origin) -> Verdict {
    let slot = origin.slot;
    match to_client(ctx, packet, segment, origin) {
        Ok((reason, egress)) => Verdict { slot, reason, egress },
        Err(reason) => Verdict::stays(slot, reason),
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
    let (reason, hop) = match route(ctx, segment, vip) {
        Ok(hop) => (Reason::Replied, hop),
        Err(Reason::FibNotForwarded) => return Err(Reason::ToGateway),
        Err(Reason::FibNoNeighbour) => {
            let hop = learned(&{ segment.destination.address }).ok_or(Reason::FibNoNeighbour)?;
            (Reason::RepliedLearned, *hop)
        }
        Err(reason) => return Err(reason),
    };
    rewrite::rename(&mut packet, segment, End::Source, vip, hop.macs).ok_or(Reason::Impossible)?;
    Ok((reason, hop.ifindex))
}

#[inline(always)]
fn route(ctx: &XdpContext, segment: &Segment, vip: Endpoint) -> Result<Hop, Reason> {
    let question = Question {
        source: vip.address,
        destination: segment.destination.address,
        tos: u32::from(segment.tos),
        ingress: ctx::ingress(ctx),
    };
    let recent = recent::route(&question).ok_or(Reason::Impossible)?;
    if let Some(hop) = recent.find(&question, segment.total_len) {
        return Ok(hop);
    }
    let renamed = scratch::copy(&Segment { source: vip, ..*segment }).ok_or(Reason::Impossible)?;
    let way = fib::route(ctx, renamed)?;
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
