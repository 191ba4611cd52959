//! What people, and a later daemon, need to know; the kernel program does not read it.

use super::{BackendTraffic, Endpoint, NAME_LEN, Plain};

/// What people and a later daemon need to know about a service.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ServiceInfo {
    /// Name, UTF-8, zero-filled.
    pub name: [u8; NAME_LEN],
    /// The VIP endpoint.
    pub endpoint: Endpoint,
    /// Zero.
    pub _pad: [u8; 4],
    /// When the active backend became active, in nanoseconds since the Unix epoch.
    pub since: u64,
    /// Until when automation is frozen, in nanoseconds since the Unix epoch; 0: not, `u64::MAX`: until told.
    pub frozen_until: u64,
    /// Until when the draining backend keeps its connections, in nanoseconds since the Unix epoch.
    pub drained_by: u64,
    /// Interface on which the daemon put the VIP; 0: it did not.
    pub vip_ifindex: u32,
    /// 1 if the slot is in use.
    pub used: u8,
    /// Why the active backend is active: a [`cause`].
    pub cause: u8,
    /// A [`super::mode`].
    pub mode: u8,
    /// Zero.
    pub _reserved: u8,
}

/// Values of [`ServiceInfo::cause`].
pub mod cause {
    /// First in the configuration, taken at the first start.
    pub const INITIAL: u8 = 0;
    /// The one before failed.
    pub const FAILOVER: u8 = 1;
    /// Return to a preferred backend.
    pub const FAILBACK: u8 = 2;
    /// An operator's switch.
    pub const OPERATOR: u8 = 3;
    /// An operator put the one before into maintenance.
    pub const MAINTENANCE: u8 = 4;
    /// The one before left the configuration.
    pub const RECONFIGURED: u8 = 5;
    /// An operator's switch to a backend that was not eligible.
    pub const FORCED: u8 = 6;
}

/// What people and a later daemon need to know about a backend.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BackendInfo {
    /// Name, UTF-8, zero-filled.
    pub name: [u8; NAME_LEN],
    /// 1 if an operator put it into maintenance.
    pub maintenance: u8,
    /// A [`tier`].
    pub tier: u8,
    /// Zero.
    pub _pad: [u8; 6],
    /// What the row had counted, over all CPUs, when it became this backend's.
    pub before: BackendTraffic,
}

/// Values of [`BackendInfo::tier`].
pub mod tier {
    /// Runs and serves at once.
    pub const HOT: u8 = 0;
    /// Runs, needs a start action to serve.
    pub const WARM: u8 = 1;
    /// Does not run.
    pub const COLD: u8 = 2;
}

/// What people and a later daemon need to know about an interface that the program is on.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InterfaceInfo {
    /// A [`place`].
    pub place: u32,
    /// Number of the error by which the driver refused native mode; 0: it did not.
    pub errno: u32,
    /// MTU at that time, in bytes.
    pub mtu: u32,
}

/// Values of [`InterfaceInfo::place`]: where the program runs, and why there.
pub mod place {
    /// Native mode: in the driver.
    pub const NATIVE: u32 = 0;
    /// Generic mode, behind the driver, as configured.
    pub const GENERIC: u32 = 1;
    /// Generic mode, since the driver refuses native mode.
    pub const REFUSED: u32 = 2;
    /// Generic mode, since that is what another interface is in.
    pub const COMPANY: u32 = 3;
}

// SAFETY: repr(C), explicit padding (the const asserts below), only integers and byte arrays.
unsafe impl Plain for ServiceInfo {}
// SAFETY: as above.
unsafe impl Plain for BackendInfo {}
// SAFETY: as above.
unsafe impl Plain for InterfaceInfo {}

const _: () = {
    assert!(size_of::<ServiceInfo>() == NAME_LEN + 56);
    assert!(size_of::<BackendInfo>() == NAME_LEN + 40);
    assert!(size_of::<InterfaceInfo>() == 12);
};
