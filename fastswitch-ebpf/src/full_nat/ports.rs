//! The port that a flow gets on the gateway's side: the client's own where possible, so that a client that uses its ports
//! in turn finds them in turn at the backend, which may still remember each for a minute.
#![expect(
    clippy::needless_borrows_for_generic_args,
    reason = "by value, it would be copied to the stack first"
)]

use aya_ebpf::{helpers::bpf_get_prandom_u32, macros::map, maps::PerCpuArray};
use fastswitch_common::{
    abi::{self, Endpoint},
    flow::{CLOSED_PORT_REST, Direction, Source, Translation, toward},
    parse::Segment,
    reason::Reason,
};

use crate::clock::seconds;
use crate::maps::{ATTEMPTS, BACKENDS, FLOWS, SOURCES};

/// Ports tried for one flow. With half of the ports in use, one flow in 65,000 finds none free.
const TRIES: u32 = 16;

/// Room for what an allocation puts together, which the stack does not have.
#[repr(C)]
struct Draft {
    key: Direction,
    entry: Translation,
    back: Direction,
    answers: Translation,
}

#[map]
static DRAFT: PerCpuArray<Draft> = PerCpuArray::with_max_entries(1, 0);

/// What a port is good for.
#[derive(PartialEq, Eq)]
enum Use {
    Free,
    /// Of a flow that has ended, or has not proved itself: better than none.
    Yielding,
    Taken,
}

impl Draft {
    /// The flow by another port of `source`.
    #[inline(always)]
    fn set_port(&mut self, source: &Source, port: u16) {
        let at = Endpoint::new(source.address, port, self.key.source.protocol());
        self.entry.renamed.source = at;
        self.back.destination = at;
    }

    /// What the port is good for, and who has it.
    #[inline(always)]
    fn port_use(&self) -> Use {
        if let Some(other) = FLOWS.get_ptr_mut(&self.back) {
            // SAFETY: an entry of the map stays one, at worst another's: every bit pattern is valid.
            let other = unsafe { &*other };
            if other.renamed.destination == self.key.source {
                return Use::Free;
            }
            let rested = seconds().wrapping_sub(other.seen) >= CLOSED_PORT_REST;
            return if rested && other.is_closed() { Use::Yielding } else { Use::Taken };
        }
        match ATTEMPTS.get_ptr_mut(&self.back) {
            // SAFETY: as above.
            Some(other) if unsafe { (*other).renamed.destination } != self.key.source => Use::Yielding,
            _ => Use::Free,
        }
    }

    /// Writes both entries. `false` if it cannot be.
    #[inline(always)]
    fn write(&self) -> bool {
        forget(&self.back);
        forget(&self.key);
        ATTEMPTS.insert(&self.key, &self.entry, 0).is_ok()
            && ATTEMPTS.insert(&self.back, &self.answers, 0).is_ok()
    }
}

/// Makes the two entries of a new flow of `segment` to a backend. A reason if that cannot be.
#[inline(never)]
pub(super) fn allocate(segment: &Segment, slot: u32, backend: u8) -> Option<Reason> {
    let (Some(draft), Some(row)) = (DRAFT.get_ptr_mut(0), BACKENDS.get(abi::row(slot, backend))) else {
        return Some(Reason::Impossible);
    };
    // SAFETY: this CPU's own entry, and no program interrupts this one on its CPU.
    let draft = unsafe { &mut *draft };
    // All flows of a client from one address: a backend may care.
    let [.., client] = segment.source.address.words();
    let mixed = (client ^ client >> 16).wrapping_mul(0x9e37_79b1) >> 16;
    let range = row.sources;
    let Some(source) = SOURCES.get(range.first() + mixed % range.count().max(1)) else {
        return Some(Reason::Impossible);
    };
    if row.endpoint.is_none() || range.count() == 0 || source.ports == 0 {
        return Some(Reason::PortsExhausted);
    }

    draft.key = Direction { source: segment.source, destination: segment.destination };
    draft.answers.renamed = draft.key.back();
    draft.entry.renamed.destination = row.endpoint;
    draft.back.source = row.endpoint;
    let seen = seconds();
    for (entry, toward) in [(&mut draft.entry, toward::BACKEND), (&mut draft.answers, toward::CLIENT)] {
        (entry.slot, entry.seen, entry.toward, entry.backend, entry.state) = (slot, seen, toward, backend, 0);
    }
    match choose(draft, source, u16::from_be_bytes(segment.source.port())) {
        0 => Some(Reason::PortsExhausted),
        port => {
            draft.set_port(source, port);
            if draft.write() { None } else { Some(Reason::PortsExhausted) }
        }
    }
}

/// A port for the flow of a client's port; 0 if there is none.
#[inline(always)]
fn choose(draft: &mut Draft, source: &Source, clients: u16) -> u16 {
    let mut port = source.port_like(clients);
    let mut yielding = 0;
    for _ in 0..TRIES {
        draft.set_port(source, port);
        match draft.port_use() {
            Use::Free => return port,
            Use::Yielding if yielding == 0 => yielding = port,
            Use::Yielding | Use::Taken => {}
        }
        // SAFETY: takes nothing, gives a number.
        port = source.port_like(unsafe { bpf_get_prandom_u32() } as u16);
    }
    yielding
}

/// Takes both entries of whichever flow has `direction` out, so that no packet finds half of one.
#[inline(never)]
fn forget(direction: &Direction) {
    if let Some(entry) = FLOWS.get_ptr_mut(direction) {
        // SAFETY: as above.
        let other = unsafe { (*entry).renamed.back() };
        let _ = FLOWS.remove(other);
        let _ = FLOWS.remove(direction);
    }
    if let Some(entry) = ATTEMPTS.get_ptr_mut(direction) {
        // SAFETY: as above.
        let other = unsafe { (*entry).renamed.back() };
        let _ = ATTEMPTS.remove(other);
        let _ = ATTEMPTS.remove(direction);
    }
}
