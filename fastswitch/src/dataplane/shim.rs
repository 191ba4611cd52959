//! Temporary, until the maps hold addresses of both families and the mode: turns away what they cannot hold, before
//! anything is changed, and converts the rest.

use std::net::{IpAddr, Ipv4Addr};

use super::error::DataplaneError;
use crate::machine::spec::{Mode, Spec};

/// Refuses services that the maps have no room for yet.
pub(super) fn ipv4_nat_only(spec: &Spec) -> Result<(), DataplaneError> {
    match spec.services.iter().find(|service| service.vip.is_ipv6() || service.mode != Mode::Nat) {
        None => Ok(()),
        Some(service) => Err(DataplaneError::Full {
            what: format!(
                "service `{}`: the maps have room for IPv4 in mode nat only, not for {} in mode {}",
                service.name,
                service.vip,
                service.mode.name()
            ),
        }),
    }
}

/// An address as kept; after [`ipv4_nat_only`] there are no others.
pub(super) fn octets(address: IpAddr) -> [u8; 4] {
    match address {
        IpAddr::V4(address) => address.octets(),
        IpAddr::V6(_) => [0; 4],
    }
}

/// A kept address.
pub(super) fn ip(octets: [u8; 4]) -> IpAddr {
    Ipv4Addr::from(octets).into()
}

/// The mode kept of a service.
pub(super) fn mode() -> Mode {
    Mode::Nat
}
