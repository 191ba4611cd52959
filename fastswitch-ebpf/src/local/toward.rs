//! From a process to a VIP: to the active backend's own endpoint, or nowhere.

use core::ptr;

use aya_ebpf::helpers::bpf_set_retval;
use fastswitch_common::{
    abi::{self, Endpoint, Service, protocol},
    local,
    reason::{REASONS, Reason},
};

use crate::{
    address::Call,
    maps::{self, BACKENDS, COUNTERS, SERVICES, SWITCH},
    peer,
};

/// What a program answers: the call goes on, perhaps with another address.
const GO_ON: i32 = 1;
/// The call fails; with EPERM unless the program has said otherwise.
const FAIL: i32 = 0;

const ECONNREFUSED: i32 = 111;
const EOPNOTSUPP: i32 = 95;

/// Puts the active backend's endpoint in the place of a VIP's.
#[inline(always)]
pub(crate) fn direct(call: impl Call) -> i32 {
    if !call.is_ours() {
        return GO_ON;
    }
    let vip = call.peer();
    // A socket for pings has ports too, which are none.
    if !matches!(vip.protocol(), protocol::TCP | protocol::UDP) {
        return GO_ON;
    }
    // SAFETY: only the daemon writes this map, and replaces entries whole.
    let Some(service) = (unsafe { SERVICES.get(vip) }) else {
        return GO_ON;
    };
    match backend(&call, service) {
        Ok(backend) => {
            count(service.slot, Reason::LocalDirected);
            peer::remember(&call, backend, vip);
            call.set_peer(backend);
            GO_ON
        }
        Err(reason) => {
            count(service.slot, reason);
            if maps::says_why() {
                let error =
                    if matches!(reason, Reason::LocalUnsupported) { EOPNOTSUPP } else { ECONNREFUSED };
                // SAFETY: takes a number only.
                unsafe { bpf_set_retval(-error) };
            }
            FAIL
        }
    }
}

/// The endpoint of the backend that the call is for.
#[inline(always)]
fn backend(call: &impl Call, service: &Service) -> Result<Endpoint, Reason> {
    // SAFETY: as above.
    if unsafe { SERVICES.get(call.own()) }.is_some() {
        // Answers would be taken for a client's packets to the VIP.
        return Err(Reason::LocalUnsupported);
    }
    let word = SWITCH.get_ptr(service.slot).ok_or(Reason::Impossible)?;
    // SAFETY: in bounds; the daemon stores the aligned word whole.
    let word = unsafe { ptr::read_volatile(word) };
    let active = local::direct(service.mode, word)?;
    let backend = BACKENDS.get(abi::row(service.slot, active)).ok_or(Reason::Impossible)?;
    if backend.endpoint.is_none() { Err(Reason::Impossible) } else { Ok(backend.endpoint) }
}

#[inline(always)]
fn count(slot: u32, reason: Reason) {
    let Some(counters) = COUNTERS.get_ptr_mut(slot) else { return };
    // SAFETY: this CPU's own row. Packets interrupt this, but are counted under other reasons.
    let packets = unsafe { &mut (*counters).packets };
    // SAFETY: a reason is one byte. The verifier has to see that it is in bounds.
    let reason = unsafe { (&raw const reason).cast::<u8>().read_volatile() };
    if let Some(packets) = packets.get_mut(usize::from(reason) % REASONS) {
        *packets += 1;
    }
}
