//! ICMP errors about packets of a service: on to whom the packet came from, who knows it by another name.

use aya_ebpf::programs::XdpContext;
use fastswitch_common::{
    abi::{NO_ROW, Origin, Service, mode},
    packet::Packet,
    parse::{self, IcmpError, NOWHERE, Outer, Segment},
    reason::Reason,
    rewrite::{self, End},
};

use crate::{
    direct, forward,
    maps::{BACKENDS, ORIGINS, SERVICES},
    reply,
    verdict::Verdict,
};

/// What becomes of the packet, whose IP header is `outer`.
#[inline(always)]
pub(crate) fn verdict(ctx: &XdpContext, packet: Packet<'_>, outer: &Outer) -> Verdict {
    let error = match parse::icmp_error(&packet, outer) {
        Ok(error) => error,
        Err(reason) => return Verdict::no_service(reason),
    };
    // SAFETY: only the daemon writes this map, and replaces entries whole.
    if let Some(service) = unsafe { SERVICES.get(error.quoted_source) } {
        if service.mode == mode::FULL_NAT {
            return Verdict::no_service(Reason::NotOurs);
        }
        let row = forward::row(ctx, &segment(&error), service);
        let outcome = row.and_then(|row| to_backend(ctx, packet, &error, service, row));
        return leave(service.slot, row.unwrap_or(NO_ROW), outcome);
    }
    // SAFETY: as above.
    if let Some(origin) = unsafe { ORIGINS.get(error.quoted_destination) } {
        if origin.vip.is_none() {
            return Verdict::no_service(Reason::NotOurs);
        }
        return leave(origin.slot, origin.row, to_client(ctx, packet, &error, origin));
    }
    Verdict::no_service(Reason::NotOurs)
}

#[inline(always)]
fn leave(slot: u32, row: u32, outcome: Result<(Reason, u32), Reason>) -> Verdict {
    match outcome {
        Ok((reason, egress)) => Verdict { slot, row, reason, egress },
        Err(reason) => Verdict::stays(slot, row, reason),
    }
}

/// An error about a reply: to the backend in `row`.
#[inline(always)]
fn to_backend(
    ctx: &XdpContext,
    mut packet: Packet<'_>,
    error: &IcmpError,
    service: &Service,
    row: u32,
) -> Result<(Reason, u32), Reason> {
    let segment = segment(error);
    if service.mode == mode::NAT && segment.ttl <= 1 {
        return Err(Reason::TtlExpired);
    }
    let backend = BACKENDS.get(row).ok_or(Reason::Impossible)?;
    if backend.endpoint.is_none() {
        return Err(Reason::Impossible);
    }
    let renamed = Segment { destination: backend.endpoint, ..segment };
    let (_, hop) = forward::way(ctx, backend, &renamed)?;
    let rewritten = match service.mode {
        mode::NAT => rewrite::rename_error(&mut packet, error, End::Destination, backend.endpoint, hop.macs),
        _ => rewrite::hand_over(&mut packet, hop.macs),
    };
    rewritten.ok_or(Reason::Impossible)?;
    Ok((Reason::IcmpErrorForwarded, hop.ifindex))
}

/// An error about a packet to a backend: to the client, in the VIP's name.
#[inline(always)]
fn to_client(
    ctx: &XdpContext,
    mut packet: Packet<'_>,
    error: &IcmpError,
    origin: &Origin,
) -> Result<(Reason, u32), Reason> {
    let segment = segment(error);
    if direct::is_answer(&segment, origin) {
        return Err(Reason::Direct);
    }
    if segment.ttl <= 1 {
        return Err(Reason::TtlExpired);
    }
    let (_, hop) = reply::way(ctx, &Segment { source: origin.vip, ..segment })?;
    rewrite::rename_error(&mut packet, error, End::Source, origin.vip, hop.macs).ok_or(Reason::Impossible)?;
    Ok((Reason::IcmpErrorReplied, hop.ifindex))
}

/// The error as a segment of the flow that it is about, the other way than the one that it quotes.
#[inline(always)]
const fn segment(error: &IcmpError) -> Segment {
    Segment {
        family: error.outer.family,
        source: error.quoted_destination,
        destination: error.quoted_source,
        header: NOWHERE,
        total_len: error.outer.total_len,
        ttl: error.outer.ttl,
        tos: error.outer.tos,
        opens: false,
        ends: false,
    }
}
