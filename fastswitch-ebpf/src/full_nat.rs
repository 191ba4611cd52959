//! Mode `full_nat`: both ends of a flow are renamed, so each direction of it is looked up, for each packet.
//!
//! A flow begins as an attempt ([`attempt`]) and is kept only once both sides have spoken. Which backend may serve is said
//! by the switch word here too: a flow of any other is as good as unknown.

pub(crate) mod attempt;
mod ports;

use core::ptr;

use aya_ebpf::programs::XdpContext;
use fastswitch_common::{
    abi::{self, protocol},
    flow::{Direction, Translation, state, toward},
    packet::Packet,
    parse::{self, Control, Segment},
    reason::Reason,
    rewrite,
    word::SwitchWord,
};

use crate::{
    clock::seconds,
    forward,
    maps::{ATTEMPTS, BACKENDS, FLOWS, SWITCH},
    reply,
    verdict::Verdict,
};

/// Sends `segment`, which is to or from a service in this mode, on by its flow. `None` if it has to be settled by
/// [`attempt`] first.
#[inline(always)]
pub(crate) fn verdict(ctx: &XdpContext, packet: Packet<'_>, segment: &Segment) -> Option<Verdict> {
    let key = Direction { source: segment.source, destination: segment.destination };
    // SAFETY: an entry of the map stays one, at worst another's, and every bit pattern is valid. Several CPUs may note that
    // they have seen a packet, and lose nothing by it.
    let kept = FLOWS.get_ptr_mut(key).map(|entry| unsafe { &mut *entry });
    let entry = match kept.filter(|entry| is_served(entry, segment.opens)) {
        Some(entry) => entry,
        None => {
            // SAFETY: as above.
            let entry = ATTEMPTS.get_ptr_mut(key).map(|entry| unsafe { &mut *entry })?;
            if !is_served(entry, segment.opens) || attempt::has_proved(entry, segment) {
                return None;
            }
            entry
        }
    };
    let (slot, row) = (entry.slot, abi::row(entry.slot, entry.backend));
    Some(match send(ctx, packet, segment, entry) {
        Ok((reason, egress)) => Verdict { slot, row, reason, egress },
        Err(reason) => Verdict::stays(slot, row, reason),
    })
}

#[inline(always)]
fn send(
    ctx: &XdpContext,
    mut packet: Packet<'_>,
    segment: &Segment,
    entry: &mut Translation,
) -> Result<(Reason, u32), Reason> {
    if segment.ttl <= 1 {
        return Err(Reason::TtlExpired);
    }
    let names = entry.renamed;
    let renamed = Segment { source: names.source, destination: names.destination, ..*segment };
    let (reason, hop) = if entry.toward == toward::BACKEND {
        let row = abi::row(entry.slot, entry.backend);
        let (reason, hop) = forward::way(ctx, BACKENDS.get(row).ok_or(Reason::Impossible)?, &renamed)?;
        (if entry.state & state::UNSAFE == 0 { reason } else { Reason::FlowsFull }, hop)
    } else {
        reply::way(ctx, &renamed)?
    };
    note(&packet, segment, entry);
    rewrite::rename_both(&mut packet, segment, &names, hop.macs).ok_or(Reason::Impossible)?;
    Ok((reason, hop.ifindex))
}

/// Notes in `entry` that `segment` was seen, and in the whole flow if it changes something.
#[inline(always)]
fn note(packet: &Packet<'_>, segment: &Segment, entry: &mut Translation) {
    entry.seen = seconds();
    let control = control(packet, segment);
    let (syn, fin, rst) =
        control.map_or((false, false, false), |control| (control.syn, control.fin, control.rst));
    let state = match entry.toward {
        toward::BACKEND => match () {
            () if rst => entry.state | state::RESET,
            // The client uses its port once more.
            () if syn => 0,
            () if fin => entry.state | state::CLIENT_CLOSED,
            () => entry.state,
        },
        _ => match () {
            () if rst => entry.state | state::ANSWERED | state::RESET,
            () if fin => entry.state | state::ANSWERED | state::BACKEND_CLOSED,
            () => entry.state | state::ANSWERED,
        },
    };
    if state != entry.state {
        entry.state = state;
        share(entry);
    }
}

/// What `segment` does to its connection; a datagram has none.
#[inline(always)]
fn control(packet: &Packet<'_>, segment: &Segment) -> Option<Control> {
    (segment.source.protocol() == protocol::TCP).then(|| parse::control(packet, segment))?
}

/// Lets the other direction of a flow have the state of `entry`.
#[inline(never)]
fn share(entry: &Translation) {
    let back = entry.renamed.back();
    if let Some(other) = FLOWS.get_ptr_mut(back).or_else(|| ATTEMPTS.get_ptr_mut(back)) {
        // SAFETY: as in `verdict`.
        unsafe { (*other).state = entry.state };
    }
}

/// Whether the backend of a flow may have another packet of it: one that `opens` something, or not. What comes from a
/// backend is the client's in any case.
#[inline(always)]
fn is_served(entry: &Translation, opens: bool) -> bool {
    if entry.toward == toward::CLIENT {
        return true;
    }
    let Some(word) = word(entry.slot) else { return false };
    let active = word.active() == Some(entry.backend);
    if opens { active && !word.outage() } else { active || word.draining() == Some(entry.backend) }
}

#[inline(always)]
fn word(slot: u32) -> Option<SwitchWord> {
    // SAFETY: in bounds; the daemon stores the aligned word whole.
    SWITCH.get_ptr(slot).map(|word| unsafe { ptr::read_volatile(word) })
}
