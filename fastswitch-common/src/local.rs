//! Processes of the gateway itself that use a VIP. XDP never sees their packets; programs at the system calls do, and put
//! the active backend's endpoint in the VIP's place.
//!
//! Owns what is decided there and what is remembered of it; refuses to know maps, sockets and system calls.

use crate::{
    abi::{Endpoint, Plain, mode},
    reason::Reason,
    word::SwitchWord,
};

/// Pairs of socket and backend that are remembered; when full, the one unused for longest goes.
pub const PEERS_KEPT: u32 = 1 << 14;

/// The programs, by name in the object. What `recvmsg` and `getpeername` undo comes before what they undo.
pub const HOOKS: [&str; 8] = [
    "fastswitch_getpeername4",
    "fastswitch_getpeername6",
    "fastswitch_recvmsg4",
    "fastswitch_recvmsg6",
    "fastswitch_connect4",
    "fastswitch_connect6",
    "fastswitch_sendmsg4",
    "fastswitch_sendmsg6",
];

/// A socket and a backend that it speaks to: the key to the VIP that its process knows.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Peer {
    /// The kernel's cookie of the socket, which no other socket ever has.
    pub socket: u64,
    /// The backend.
    pub backend: Endpoint,
    /// Zero.
    pub _pad: u32,
}

// SAFETY: repr(C), explicit padding (the const assert below), only integers.
unsafe impl Plain for Peer {}

const _: () = assert!(size_of::<Peer>() == 32);

/// The backend, within its service, that a connection or datagram of a local process goes to.
///
/// # Errors
/// The reason why it goes nowhere.
#[inline(always)]
pub const fn direct(service_mode: u8, word: SwitchWord) -> Result<u8, Reason> {
    match (service_mode, word.active()) {
        // Backends need not serve at their own addresses otherwise.
        (mode::NAT | mode::FULL_NAT, Some(active)) if !word.outage() => Ok(active),
        (mode::NAT | mode::FULL_NAT, _) => Err(Reason::LocalRefused),
        _ => Err(Reason::LocalUnsupported),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_things_go_to_the_active_backend_or_nowhere() {
        let (serves, outage) =
            (SwitchWord::new(Some(3), Some(1), false, 9), SwitchWord::new(Some(3), None, true, 9));
        for translated in [mode::NAT, mode::FULL_NAT] {
            assert_eq!(direct(translated, serves), Ok(3));
            assert_eq!(direct(translated, outage), Err(Reason::LocalRefused));
            assert_eq!(direct(translated, SwitchWord::new(None, None, false, 9)), Err(Reason::LocalRefused));
        }
        for other in [mode::DSR, u8::MAX] {
            assert_eq!(direct(other, serves), Err(Reason::LocalUnsupported));
            assert_eq!(direct(other, outage), Err(Reason::LocalUnsupported));
        }
    }
}
