//! The two 64-bit words that steer packets. Each is read and written whole, by one aligned load or store, so
//! nobody ever sees half of one (see [`SwitchWord`] and [`NextHopWord`]).

use crate::abi::MAX_BACKENDS;

/// One per service: which of its backends is active.
///
/// Layout, least significant byte first: active backend (`0xff`: none), flags, draining backend (`0xff`: none), a
/// reserved byte, epoch (32 bits).
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SwitchWord(pub u64);

impl SwitchWord {
    const NONE: u8 = 0xff;
    const OUTAGE: u64 = 1 << 8;

    /// The word of a service that has an `active` backend or none.
    ///
    /// `outage` says that no backend can serve: what belongs to an existing connection still goes to the active
    /// one, new connections get the service's `on_outage` answer. TCP connections that were open when `draining`
    /// stopped being active go on there.
    #[must_use]
    pub const fn new(active: Option<u8>, draining: Option<u8>, outage: bool, epoch: u32) -> Self {
        let outage = if outage { Self::OUTAGE } else { 0 };
        Self(Self::byte(active) | outage | Self::byte(draining) << 16 | (epoch as u64) << 32)
    }

    const fn byte(backend: Option<u8>) -> u64 {
        match backend {
            Some(backend) => backend as u64,
            None => Self::NONE as u64,
        }
    }

    const fn backend(index: u8) -> Option<u8> {
        if (index as u32) < MAX_BACKENDS { Some(index) } else { None }
    }

    /// Index of the active backend within its service; always below [`MAX_BACKENDS`].
    #[inline(always)]
    #[must_use]
    pub const fn active(self) -> Option<u8> {
        Self::backend(self.0 as u8)
    }

    /// Index of the backend that keeps the connections opened before this epoch; always below [`MAX_BACKENDS`].
    #[inline(always)]
    #[must_use]
    pub const fn draining(self) -> Option<u8> {
        Self::backend((self.0 >> 16) as u8)
    }

    /// Whether new connections get the `on_outage` answer.
    #[inline(always)]
    #[must_use]
    pub const fn outage(self) -> bool {
        self.0 & Self::OUTAGE != 0
    }

    /// Number of this decision; each store raises it by one, wrapping.
    #[inline(always)]
    #[must_use]
    pub const fn epoch(self) -> u32 {
        (self.0 >> 32) as u32
    }
}

impl core::fmt::Debug for SwitchWord {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SwitchWord")
            .field("active", &self.active())
            .field("draining", &self.draining())
            .field("outage", &self.outage())
            .field("epoch", &self.epoch())
            .finish()
    }
}

/// One per backend: the neighbour and the gateway port that lead to it. Zero: not known, ask the kernel's FIB.
///
/// Layout, least significant byte first: the six bytes of the MAC address, index into the port table (16 bits).
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NextHopWord(pub u64);

impl NextHopWord {
    /// No next hop known.
    pub const UNKNOWN: Self = Self(0);

    /// The neighbour `mac` behind gateway port number `port`.
    #[must_use]
    pub const fn new(mac: [u8; 6], port: u16) -> Self {
        let port = port.to_le_bytes();
        Self(u64::from_le_bytes([mac[0], mac[1], mac[2], mac[3], mac[4], mac[5], port[0], port[1]]))
    }

    /// The neighbour's MAC address.
    #[inline(always)]
    #[must_use]
    pub const fn mac(self) -> [u8; 6] {
        let bytes = self.0.to_le_bytes();
        [bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]]
    }

    /// Index into the table of gateway ports.
    #[inline(always)]
    #[must_use]
    pub const fn port(self) -> u16 {
        (self.0 >> 48) as u16
    }

    /// Whether a next hop is known.
    #[inline(always)]
    #[must_use]
    pub const fn is_known(self) -> bool {
        self.0 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switch_word_keeps_its_parts() {
        let parts = |word: SwitchWord| (word.active(), word.draining(), word.outage(), word.epoch());
        assert_eq!(parts(SwitchWord::new(Some(3), None, true, u32::MAX)), (Some(3), None, true, u32::MAX));
        assert_eq!(parts(SwitchWord::new(Some(0), Some(15), false, 1)), (Some(0), Some(15), false, 1));
        assert_eq!(parts(SwitchWord::new(None, None, false, 7)), (None, None, false, 7));
    }

    #[test]
    fn a_backend_index_out_of_range_is_no_backend() {
        assert_eq!((SwitchWord(200).active(), SwitchWord(200 << 16).draining()), (None, None));
    }

    #[test]
    fn next_hop_word_keeps_its_parts() {
        let mac = [2, 0, 0, 0xab, 0xcd, 0xef];
        let word = NextHopWord::new(mac, 513);
        assert_eq!((word.mac(), word.port(), word.is_known()), (mac, 513, true));
        assert!(!NextHopWord::UNKNOWN.is_known());
    }
}
