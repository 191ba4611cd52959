//! What can go wrong between the daemon and the gateway's network.

use std::fmt;
use std::io;

use nix::errno::Errno;

/// What can go wrong between the daemon and the gateway's network.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// The process lacks a capability.
    #[error(
        "cannot {action}: needs {capability}; run as root or grant it (AmbientCapabilities= of the systemd unit, or setcap)"
    )]
    Privilege {
        /// What was tried, with the interface or address.
        action: String,
        /// Name of the capability.
        capability: &'static str,
    },
    /// An interface was renamed or removed meanwhile.
    #[error("cannot {action}: the interface is not there any more; see `ip link`")]
    Gone {
        /// What was tried, with the interface or address.
        action: String,
    },
    /// The interface is administratively down.
    #[error("cannot {action}: the interface is down; bring it up with `ip link set dev NAME up`")]
    Down {
        /// What was tried, with the interface or address.
        action: String,
    },
    /// IPv6 is switched off on the interface.
    #[error(
        "cannot {action}: IPv6 is off there; `sysctl -w net/ipv6/conf/{interface}/disable_ipv6=0` switches it on"
    )]
    NoIpv6 {
        /// What was tried, with the interface or address.
        action: String,
        /// The interface.
        interface: String,
    },
    /// The interface carries no Ethernet frames.
    #[error(
        "interface {name} is not Ethernet (link type {kind}); name the interface that carries the Ethernet frames"
    )]
    NotEthernet {
        /// The interface.
        name: String,
        /// Its type, in the kernel's words.
        kind: String,
    },
    /// The kernel refused for another reason.
    #[error("cannot {action}: {source}")]
    Refused {
        /// What was tried, with the interface or address.
        action: String,
        /// The kernel's reason.
        source: io::Error,
    },
}

impl NetError {
    /// Tells the cases apart in which somebody can help. `capability` is the one that the action needs.
    pub(super) fn new(action: impl fmt::Display, capability: &'static str, source: io::Error) -> Self {
        let action = action.to_string();
        match source.raw_os_error().map(Errno::from_raw) {
            Some(Errno::EPERM | Errno::EACCES) => Self::Privilege { action, capability },
            Some(Errno::ENODEV | Errno::ENXIO) => Self::Gone { action },
            Some(Errno::ENETDOWN) => Self::Down { action },
            _ => Self::Refused { action, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_capability_says_which_and_what_to_do() {
        let error = NetError::new("assign 192.0.2.1/32", "CAP_NET_ADMIN", Errno::EPERM.into());
        let text = error.to_string();
        for part in ["assign 192.0.2.1/32", "CAP_NET_ADMIN", "root"] {
            assert!(text.contains(part), "{part:?} is missing in {text:?}");
        }
    }
}
