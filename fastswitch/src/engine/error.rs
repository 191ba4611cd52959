//! Why the daemon does not start.

use std::net::IpAddr;

use crate::config;
use crate::control::ServerError;
use crate::dataplane::DataplaneError;
use crate::net::NetError;
use crate::runner::RunnerError;

/// Why the daemon does not start: what, where, what to do next. What packets meet is as it was before.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration is not one.
    #[error(transparent)]
    Config(#[from] config::Errors),
    /// A configured interface is not there.
    #[error("interface `{name}` of gateway.interfaces does not exist: `ip link` lists those that do")]
    NoInterface {
        /// Its name.
        name: String,
    },
    /// A backend that only a router leads to, in mode dsr.
    #[error(
        "service {service}, mode dsr: backend {backend} ({address}) is behind router {router}, which would send packets to the VIP back; use mode nat, or an address on a network of this gateway's own"
    )]
    BehindRouter {
        /// Of which service.
        service: String,
        /// Which.
        backend: String,
        /// Its address.
        address: IpAddr,
        /// Who leads to it.
        router: IpAddr,
    },
    /// Another host has the VIP.
    #[error(
        "VIP {vip} is taken: a host with MAC address {mac} answers for it on {interface}; {advice}, or set gateway.assign_vip = false if that is intended"
    )]
    VipTaken {
        /// Which.
        vip: IpAddr,
        /// Who has it.
        mac: String,
        /// Where it answers.
        interface: String,
        /// What to do about it there.
        advice: &'static str,
    },
    /// The gateway's own stack takes every port.
    #[error(
        "mode full_nat: the gateway's own stack may take every port (net.ipv4.ip_local_port_range), so none is left to speak to backends from: keep some from it (sysctl -w net.ipv4.ip_local_reserved_ports=20000-29999), or name addresses for this alone in gateway.source_pool"
    )]
    NoPorts,
    /// The network refuses.
    #[error(transparent)]
    Net(#[from] NetError),
    /// The kernel refuses.
    #[error(transparent)]
    Dataplane(#[from] DataplaneError),
    /// The state directory cannot be used.
    #[error(transparent)]
    Runner(#[from] RunnerError),
    /// The control socket cannot be used.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The system refuses a thread, a timer, a signal handler.
    #[error("cannot {what}: {source}")]
    System {
        /// What was tried.
        what: &'static str,
        /// The system's words.
        source: std::io::Error,
    },
}

impl StartError {
    /// Whether the operator's files are at fault, rather than the machine.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Config(_) | Self::NoInterface { .. } | Self::BehindRouter { .. })
    }

    pub(super) fn system(what: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}
