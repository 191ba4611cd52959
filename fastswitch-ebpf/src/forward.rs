//! From a client to a service: to its active backend, or to the answer for an outage.

use core::ptr;

use aya_ebpf::programs::XdpContext;
use fastswitch_common::{
    abi::{self, Backend, Endpoint, Flow, Hop, Service},
    packet::{Ethernet, Macs, Packet},
    parse::Segment,
    reason::Reason,
    rewrite::{self, End},
    word::NextHopWord,
};

use crate::{
    ctx, drain, fib,
    maps::{BACKENDS, CLIENTS, DIRECT, DIRECT_SEEN, PORTS, SWITCH},
    outage,
    verdict::Verdict,
};

/// Sends `segment` to the active backend of `service`.
#[inline(always)]
pub(crate) fn forward(ctx: &XdpContext, packet: Packet<'_>, segment: &Segment, service: &Service) -> Verdict {
    let slot = service.slot;
    let Some(word) = SWITCH.get_ptr(slot) else {
        return Verdict::stays(slot, Reason::Impossible);
    };
    // SAFETY: in bounds; the daemon stores the aligned word whole.
    let word = unsafe { ptr::read_volatile(word) };
    let backend = match (word.active(), word.draining()) {
        (Some(active), None) if !(segment.opens && word.outage()) => active,
        (Some(active), Some(draining)) => drain::backend(segment, word, active, draining),
        _ if segment.opens => return outage::answer(ctx, packet, segment, service),
        _ => return Verdict::stays(slot, Reason::NoBackend),
    };
    match to_backend(ctx, packet, segment, abi::row(slot, backend)) {
        Ok((reason, egress)) => Verdict { slot, reason, egress },
        Err(reason) => Verdict::stays(slot, reason),
    }
}

#[inline(always)]
fn to_backend(
    ctx: &XdpContext,
    mut packet: Packet<'_>,
    segment: &Segment,
    row: u32,
) -> Result<(Reason, u32), Reason> {
    if segment.ttl <= 1 {
        return Err(Reason::TtlExpired);
    }
    let backend = BACKENDS.get(row).ok_or(Reason::Impossible)?;
    if backend.used == 0 {
        return Err(Reason::Impossible);
    }
    let to = Endpoint { address: backend.address, port: backend.port, ..segment.destination };

    let (reason, hop) = match known_next_hop(backend) {
        Some(hop) => (Reason::Forwarded, hop),
        None => (Reason::ForwardedFib, fib::route(ctx, segment, segment.source, to)?.hop),
    };
    if segment.opens {
        learn_client(ctx, &packet, segment);
        forget_direct(segment, to, row);
    }
    rewrite::rename(&mut packet, segment, End::Destination, to.address, to.port, hop.macs)
        .ok_or(Reason::Impossible)?;
    Ok((reason, hop.ifindex))
}

/// The way that the daemon keeps in the backend's row.
#[inline(always)]
fn known_next_hop(backend: &Backend) -> Option<Hop> {
    // SAFETY: a reference; the daemon stores the aligned word whole.
    let word = NextHopWord(unsafe { ptr::read_volatile(&raw const backend.next_hop) });
    if !word.is_known() {
        return None;
    }
    let port = PORTS.get(u32::from(word.port()))?;
    (port.ifindex != 0).then_some(Hop { ifindex: port.ifindex, macs: Macs::new(word.mac(), port.mac) })
}

/// Remembers the way back to a client, for replies when the kernel has lost its neighbour entry.
#[inline(always)]
fn learn_client(ctx: &XdpContext, packet: &Packet<'_>, segment: &Segment) {
    let Some(ethernet) = packet.get::<Ethernet>(0) else {
        return;
    };
    let hop = Hop { ifindex: ctx::ingress(ctx), macs: ethernet.macs().back() };
    let client = segment.source.address;
    // SAFETY: entries are replaced whole; one that is just being reused reads as a different hop, which is then written.
    if unsafe { CLIENTS.get(client) } != Some(&hop) {
        // Failure degrades the replies of a client that has no neighbour entry, and only those.
        let _ = CLIENTS.insert(client, hop, 0);
    }
}

/// A flow to a VIP supersedes one of the same client port to the backend's own address.
#[inline(always)]
fn forget_direct(segment: &Segment, backend: Endpoint, row: u32) {
    if DIRECT_SEEN.get(row).is_some_and(|seen| *seen != 0) {
        // Nothing to forget is the usual case.
        let _ = DIRECT.remove(Flow::between(segment.source, backend));
    }
}
