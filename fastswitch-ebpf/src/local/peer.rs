//! From a backend, to the process: under the name of the VIP that the process knows.

use fastswitch_common::{abi::Endpoint, local::Peer};

use crate::{address::Call, maps::PEERS};

/// Remembers that the call's process knows `backend` as `vip`.
#[inline(always)]
pub(crate) fn remember(call: &impl Call, backend: Endpoint, vip: Endpoint) {
    let peer = Peer { socket: call.socket(), backend, _pad: 0 };
    // SAFETY: entries are replaced whole, and found by a key that only this socket has.
    if unsafe { PEERS.get(peer) } != Some(&vip) {
        // Failure means that the process sees the backend's own address as its peer.
        let _ = PEERS.insert(peer, vip, 0);
    }
}

/// Puts the VIP back in the place of the backend's endpoint.
#[inline(always)]
pub(crate) fn restore(call: impl Call) -> i32 {
    if call.is_ours() {
        let peer = Peer { socket: call.socket(), backend: call.peer(), _pad: 0 };
        // SAFETY: as above.
        if let Some(vip) = unsafe { PEERS.get(peer) } {
            call.set_peer(*vip);
        }
    }
    // The kernel knows no other answer here.
    1
}
