//! From a backend: to a client of the service under the VIP's name, or untouched to whom it is for.

use aya_ebpf::programs::XdpContext;
use fastswitch_common::{
    abi::{self, Endpoint, Flow, Hop, Origin},
    packet::Packet,
    parse::Segment,
    reason::Reason,
    rewrite::{self, End},
};

use crate::{
    ctx, fib,
    maps::{CLIENTS, DIRECT, DIRECT_SEEN},
    recent::{self, Question},
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
    if is_direct(segment, origin) {
        return Err(Reason::Direct);
    }
    if segment.ttl <= 1 {
        return Err(Reason::TtlExpired);
    }
    let vip = Endpoint { address: origin.vip, port: origin.vip_port, ..segment.source };
    let (reason, hop) = match route(ctx, segment, vip) {
        Ok(hop) => (Reason::Replied, hop),
        Err(Reason::FibNotForwarded) => return Err(Reason::ToGateway),
        Err(Reason::FibNoNeighbour) => {
            (Reason::RepliedLearned, learned(segment.destination.address).ok_or(Reason::FibNoNeighbour)?)
        }
        Err(reason) => return Err(reason),
    };
    rewrite::rename(&mut packet, segment, End::Source, vip.address, vip.port, hop.macs)
        .ok_or(Reason::Impossible)?;
    Ok((reason, hop.ifindex))
}

#[inline(always)]
fn route(ctx: &XdpContext, segment: &Segment, vip: Endpoint) -> Result<Hop, Reason> {
    let question = Question {
        source: u32::from_ne_bytes(vip.address),
        destination: u32::from_ne_bytes(segment.destination.address),
        tos: u32::from(segment.tos),
        ingress: ctx::ingress(ctx),
    };
    let recent = recent::route(&question).ok_or(Reason::Impossible)?;
    if let Some(hop) = recent.find(&question, segment.total_len) {
        return Ok(hop);
    }
    let way = fib::route(ctx, segment, vip, segment.destination)?;
    recent.keep(&question, way.hop, way.fits);
    Ok(way.hop)
}

#[inline(always)]
fn is_direct(segment: &Segment, origin: &Origin) -> bool {
    let seen = DIRECT_SEEN.get(abi::row(origin.slot, origin.backend)).is_some_and(|seen| *seen != 0);
    seen && DIRECT.get_ptr(Flow::between(segment.destination, segment.source)).is_some()
}

/// The way that the client's own packets came.
#[inline(always)]
fn learned(client: [u8; 4]) -> Option<Hop> {
    // SAFETY: entries are replaced whole and found by key; one being reused just now is another client's way, and the
    // packet is lost like any on a changing network.
    unsafe { CLIENTS.get(client) }.copied()
}
