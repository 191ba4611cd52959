//! From a client to a service: to its active backend, or to the answer for an outage.

use core::ptr;

use aya_ebpf::programs::XdpContext;
use fastswitch_common::{
    abi::{self, Backend, Hop, NO_ROW, Service, protocol},
    address::Address,
    packet::{Ethernet, Macs, Packet},
    parse::Segment,
    reason::Reason,
    rewrite::{self, End},
    word::NextHopWord,
};

use crate::{
    answer, connections, ctx, direct, drain, fib,
    maps::{BACKENDS, CLIENTS, PORTS, SWITCH},
    scratch,
    verdict::Verdict,
};

/// Sends `segment` to the active backend of `service`.
#[inline(always)]
pub(crate) fn forward(ctx: &XdpContext, packet: Packet<'_>, segment: &Segment, service: &Service) -> Verdict {
    let slot = service.slot;
    let row = match row(ctx, segment, service) {
        Ok(row) => row,
        Err(reason) => return Verdict::stays(slot, NO_ROW, reason),
    };
    match to_backend(ctx, packet, segment, service.mode, row) {
        Ok((reason, egress)) => Verdict { slot, row, reason, egress },
        Err(reason) => Verdict::stays(slot, row, reason),
    }
}

/// Row of the backend that `segment` belongs to.
///
/// # Errors
/// The reason why there is none.
#[inline(always)]
pub(crate) fn row(ctx: &XdpContext, segment: &Segment, service: &Service) -> Result<u32, Reason> {
    let slot = service.slot;
    let word = SWITCH.get_ptr(slot).ok_or(Reason::Impossible)?;
    // SAFETY: in bounds; the daemon stores the aligned word whole.
    let word = unsafe { ptr::read_volatile(word) };
    let unserved = segment.opens && word.outage();
    let backend = match (word.active(), word.draining()) {
        (Some(active), None) if !unserved => active,
        (Some(active), Some(draining)) if !unserved => {
            let segment = scratch::copy(segment).ok_or(Reason::Impossible)?;
            drain::backend(ctx, segment, slot, active, draining)
        }
        _ if segment.opens => return Err(answer::outage(segment, service)),
        _ => return Err(Reason::NoBackend),
    };
    Ok(abi::row(slot, backend))
}

#[inline(always)]
fn to_backend(
    ctx: &XdpContext,
    mut packet: Packet<'_>,
    segment: &Segment,
    mode: u8,
    row: u32,
) -> Result<(Reason, u32), Reason> {
    // Whoever changes no address is no hop of the way.
    if mode == abi::mode::NAT && segment.ttl <= 1 {
        return Err(Reason::TtlExpired);
    }
    let backend = BACKENDS.get(row).ok_or(Reason::Impossible)?;
    let to = backend.endpoint;
    if to.is_none() {
        return Err(Reason::Impossible);
    }

    let (reason, hop) = way(ctx, backend, &Segment { destination: to, ..*segment })?;
    if segment.opens {
        note_opening(ctx, scratch::copy(segment).ok_or(Reason::Impossible)?, row);
    } else if connections::is_of_interest(segment) {
        connections::note(ctx, scratch::copy(segment).ok_or(Reason::Impossible)?, mode);
    }
    let rewritten = match mode {
        abi::mode::NAT => rewrite::rename(&mut packet, segment, End::Destination, to, hop.macs),
        _ => rewrite::hand_over(&mut packet, hop.macs),
    };
    rewritten.ok_or(Reason::Impossible)?;
    Ok((reason, hop.ifindex))
}

/// The way to `backend`, of a segment as it will get there, and the reason to count.
///
/// # Errors
/// The reason why there is none.
#[inline(always)]
pub(crate) fn way(ctx: &XdpContext, backend: &Backend, renamed: &Segment) -> Result<(Reason, Hop), Reason> {
    match known_next_hop(backend) {
        Some((_, mtu)) if renamed.total_len > mtu => Err(answer::too_big(renamed, mtu)),
        Some((hop, _)) => Ok((Reason::Forwarded, hop)),
        None => {
            let renamed = scratch::copy(renamed).ok_or(Reason::Impossible)?;
            Ok((Reason::ForwardedFib, fib::route(ctx, renamed)?.hop))
        }
    }
}

/// The way that the daemon keeps in the backend's row, and the MTU there.
#[inline(always)]
fn known_next_hop(backend: &Backend) -> Option<(Hop, u16)> {
    // SAFETY: a reference; the daemon stores the aligned word whole.
    let word = NextHopWord(unsafe { ptr::read_volatile(&raw const backend.next_hop) });
    if !word.is_known() {
        return None;
    }
    let port = PORTS.get(u32::from(word.port()))?;
    let hop = Hop { ifindex: port.ifindex, macs: Macs::new(word.mac(), port.mac) };
    (port.ifindex != 0).then_some((hop, port.mtu))
}

/// A client begins something, by the VIP, with the backend in `row`.
#[inline(never)]
fn note_opening(ctx: &XdpContext, segment: &Segment, row: u32) {
    learn_client(ctx, &segment.source.address);
    direct::forget(segment, row);
    if segment.source.protocol() == protocol::TCP {
        connections::begin(ctx, segment, row);
    }
}

/// Remembers the way back to a client, for replies when the kernel has lost its neighbour entry.
#[inline(always)]
pub(crate) fn learn_client(ctx: &XdpContext, client: &Address) {
    let packet = ctx::packet(ctx);
    let Some(ethernet) = packet.get::<Ethernet>(0) else {
        return;
    };
    let hop = Hop { ifindex: ctx::ingress(ctx), macs: ethernet.macs().back() };
    // SAFETY: entries are replaced whole; one that is just being reused reads as a different hop, which is then written.
    if unsafe { CLIENTS.get(client) } != Some(&hop) {
        // Failure degrades the replies of a client that has no neighbour entry, and only those.
        let _ = CLIENTS.insert(client, hop, 0);
    }
}
