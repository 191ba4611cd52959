//! Flows of services in mode `full_nat`: the gateway speaks to a backend from an address of its own, so each flow needs
//! to be remembered in both directions.
//!
//! A flow is two entries of one table, each found by the addresses that a packet arrives with and saying those that it
//! leaves with; the entries lead to each other. Owns the shapes and what their bits mean; refuses to know maps and clocks.

use crate::{
    abi::{Endpoint, Plain},
    address::Address,
};

/// Flows that have not proved themselves, with two entries each; when full, the one unused for longest goes. A flood of
/// them displaces each other and nothing else.
pub const ATTEMPTS_KEPT: u32 = 1 << 16;
/// Source addresses that fit.
pub const MAX_SOURCES: u32 = 256;

/// Seconds after which the port of a flow that both ends have closed may be given to another.
pub const CLOSED_PORT_REST: u32 = 1;

/// One direction of a flow: who sends to whom.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Direction {
    /// Who sends.
    pub source: Endpoint,
    /// Whom it is for.
    pub destination: Endpoint,
}

/// What becomes of the packets of one direction of a flow.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Translation {
    /// What its packets become.
    pub renamed: Direction,
    /// Slot of the service.
    pub slot: u32,
    /// When one was last seen, in seconds of the monotonic clock.
    pub seen: u32,
    /// One of [`toward`].
    pub toward: u8,
    /// Index of the backend within its service.
    pub backend: u8,
    /// Bits of [`state`].
    pub state: u8,
    /// Zero.
    pub _pad: u8,
}

/// Values of [`Translation::toward`].
pub mod toward {
    /// From the client to the backend.
    pub const BACKEND: u8 = 0;
    /// From the backend to the client.
    pub const CLIENT: u8 = 1;
}

/// Bits of [`Translation::state`]. Both entries of a flow have the same, but for [`state::UNSAFE`], which is that of the direction
/// to the backend.
pub mod state {
    /// The backend has sent something.
    pub const ANSWERED: u8 = 1 << 0;
    /// The client has sent its last byte (FIN).
    pub const CLIENT_CLOSED: u8 = 1 << 1;
    /// The backend has sent its last byte (FIN).
    pub const BACKEND_CLOSED: u8 = 1 << 2;
    /// Either has broken it off (RST).
    pub const RESET: u8 = 1 << 3;
    /// It has proved itself, but there was no room to keep it.
    pub const UNSAFE: u8 = 1 << 4;
}

/// An address that the gateway speaks to backends from.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Source {
    /// The address.
    pub address: Address,
    /// First of its ports, in host order.
    pub first_port: u16,
    /// How many ports it has; 0: the row is not in use.
    pub ports: u16,
    /// Interface on which the daemon put the address; 0: it did not.
    pub ifindex: u32,
}

/// Which of the sources a backend is spoken to from: a range of rows. Zero: none.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SourceRange(pub u32);

// SAFETY: repr(C), explicit padding (the const asserts below), only integers.
unsafe impl Plain for Direction {}
// SAFETY: as above.
unsafe impl Plain for Translation {}
// SAFETY: as above.
unsafe impl Plain for Source {}

const _: () = {
    assert!(size_of::<Direction>() == 40);
    assert!(size_of::<Translation>() == 52);
    assert!(size_of::<Source>() == 24);
};

impl Direction {
    /// The other direction between the same two.
    #[inline(always)]
    #[must_use]
    pub const fn back(&self) -> Self {
        Self { source: self.destination, destination: self.source }
    }
}

impl Translation {
    /// Whether both ends, or a reset, have closed the flow.
    #[inline(always)]
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        let both = state::CLIENT_CLOSED | state::BACKEND_CLOSED;
        self.state & state::RESET != 0 || self.state & both == both
    }
}

impl Source {
    /// A row not in use.
    pub const UNUSED: Self = Self { address: Address::UNSPECIFIED, first_port: 0, ports: 0, ifindex: 0 };

    /// The port that stands for `port`: itself where it is one of this source's.
    #[inline(always)]
    #[must_use]
    pub const fn port_like(&self, port: u16) -> u16 {
        let above = port.wrapping_sub(self.first_port);
        let ports = if self.ports == 0 { 1 } else { self.ports };
        self.first_port.wrapping_add(above % ports)
    }
}

impl SourceRange {
    /// `count` rows from `first` on.
    #[must_use]
    pub const fn new(first: u16, count: u16) -> Self {
        Self(first as u32 | (count as u32) << 16)
    }

    /// The first row.
    #[inline(always)]
    #[must_use]
    pub const fn first(self) -> u32 {
        self.0 & 0xffff
    }

    /// How many rows.
    #[inline(always)]
    #[must_use]
    pub const fn count(self) -> u32 {
        self.0 >> 16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_keeps_a_port_that_it_has_and_maps_every_other() {
        let source = Source { first_port: 1024, ports: 31_744, ..Source::UNUSED };
        assert_eq!(source.port_like(1024), 1024);
        assert_eq!(source.port_like(32_767), 32_767);
        for port in [0, 1, 1023, 32_768, 60_999, u16::MAX] {
            let like = source.port_like(port);
            assert!((1024..32_768).contains(&like), "{port} became {like}");
        }
        // What a Linux client uses by itself stays apart.
        assert_ne!(source.port_like(32_768), source.port_like(60_999));
        let pool = Source { first_port: 1024, ports: 64_512, ..Source::UNUSED };
        assert_eq!((pool.port_like(u16::MAX), pool.port_like(1024)), (u16::MAX, 1024));
        assert_eq!(Source::UNUSED.port_like(7), 0);
    }

    #[test]
    fn a_range_keeps_its_parts() {
        let range = SourceRange::new(255, 7);
        assert_eq!((range.first(), range.count()), (255, 7));
        assert_eq!(SourceRange(0).count(), 0);
    }

    #[test]
    fn a_flow_is_closed_by_both_ends_or_by_a_reset() {
        let nobody = Direction { source: Endpoint::NONE, destination: Endpoint::NONE };
        let closed = |state| {
            Translation { renamed: nobody, slot: 0, seen: 0, toward: 0, backend: 0, state, _pad: 0 }
                .is_closed()
        };
        assert!(!closed(0) && !closed(state::ANSWERED | state::CLIENT_CLOSED));
        assert!(closed(state::RESET) && closed(state::CLIENT_CLOSED | state::BACKEND_CLOSED));
    }
}
