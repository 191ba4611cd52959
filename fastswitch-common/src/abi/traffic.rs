//! What is counted for each backend, and what the program says of a packet to who watches it.

use super::Plain;

/// Name of the program's global number that is 1 in a copy which is loaded to be watched. In the one that is on
/// interfaces it is 0, a constant to the kernel's verifier, which removes what it would switch on.
pub const WATCHED: &str = "WATCHED";

/// What was sent on of a backend's packets on one CPU, by direction.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct BackendTraffic {
    /// To the backend.
    pub forwarded: Traffic,
    /// From the backend, to clients. In mode `dsr` backends cannot be told apart, and nothing is counted here.
    pub replied: Traffic,
}

/// Packets, and their bytes.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Traffic {
    /// Packets.
    pub packets: u64,
    /// Bytes as sent on, Ethernet header included.
    pub bytes: u64,
}

/// What became of a packet, for whoever watches.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// Slot of the service, or [`super::NO_SERVICE`].
    pub slot: u32,
    /// Row of the backend that it is for or from, or [`super::NO_ROW`].
    pub row: u32,
    /// Number of the [`crate::reason::Reason`].
    pub reason: u32,
    /// Index of the interface that it leaves by; 0: by none.
    pub egress: u32,
}

// SAFETY: repr(C), explicit padding (the const asserts below), only integers.
unsafe impl Plain for BackendTraffic {}
// SAFETY: as above.
unsafe impl Plain for Verdict {}

const _: () = {
    assert!(size_of::<BackendTraffic>() == 32);
    assert!(size_of::<Verdict>() == 16);
};
