//! What is remembered of a TCP connection by a VIP; a shape of map values like those in [`crate::abi`].

use crate::abi::Plain;

/// A TCP connection by the VIP.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connection {
    /// When it was last looked up, in nanoseconds of `CLOCK_MONOTONIC` as of a timer tick.
    pub seen: u64,
    /// The row of its backend.
    pub row: u32,
    /// Sequence number of the client's SYN; of interest while `opening`.
    pub syn: u32,
    /// 1 from the client's SYN to its next segment.
    pub opening: u8,
    /// 1 once the client has sent FIN.
    pub client_ended: u8,
    /// 1 once the backend has sent FIN.
    pub backend_ended: u8,
    /// 1 if its beginning was not seen: a drain has met it.
    pub unknown: u8,
    /// Zero.
    pub _pad: [u8; 4],
}

// SAFETY: repr(C), explicit padding (the assert below), only integers and byte arrays.
unsafe impl Plain for Connection {}

const _: () = assert!(size_of::<Connection>() == 24);

impl Connection {
    /// One that a client's SYN of this sequence number begins with the backend in `row`.
    #[must_use]
    pub const fn begun(row: u32, syn: u32, now: u64) -> Self {
        Self { opening: 1, syn, ..Self::with(row, now) }
    }

    /// One that is there, as a drain finds out that belongs to `row`.
    #[must_use]
    pub const fn unknown(row: u32, now: u64) -> Self {
        Self { unknown: 1, ..Self::with(row, now) }
    }

    /// One that is there.
    #[must_use]
    pub const fn with(row: u32, now: u64) -> Self {
        Self {
            seen: now,
            row,
            syn: 0,
            opening: 0,
            client_ended: 0,
            backend_ended: 0,
            unknown: 0,
            _pad: [0; 4],
        }
    }

    /// Whether a client's segment that is no SYN goes on with what its SYN began: one from the first 64 KiB behind it.
    /// Whoever only guesses, to have an established connection taken for a newer one, is wrong in all but one of 65,536.
    #[inline(always)]
    #[must_use]
    pub const fn goes_on_at(&self, sequence: u32) -> bool {
        self.opening != 0 && sequence.wrapping_sub(self.syn).wrapping_sub(1) < 1 << 16
    }

    /// Whether one end has sent FIN.
    #[must_use]
    pub const fn is_ending(&self) -> bool {
        self.client_ended != 0 || self.backend_ended != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_follows_a_syn_is_told_from_a_guess() {
        let connection = Connection::begun(0, u32::MAX, 0);
        assert!(connection.goes_on_at(0) && connection.goes_on_at(65_535));
        assert!(!connection.goes_on_at(u32::MAX) && !connection.goes_on_at(65_536));
        assert!(!Connection::with(0, 0).goes_on_at(1));
    }
}
