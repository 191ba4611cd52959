//! What the operator wants, compiled and valid: every value here was checked by `config`.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{BackendId, ServiceId};

/// A whole configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The host that packets pass through.
    pub gateway: Gateway,
    /// The services, in the file's order. Names, and endpoints (VIP, port, protocol), are unique.
    pub services: Vec<Service>,
}

/// The host that packets pass through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gateway {
    /// Names of the interfaces that packets of clients or backends arrive on; at least one, no repeats.
    pub interfaces: Vec<String>,
    /// Where the XDP program runs.
    pub xdp_mode: XdpMode,
    /// Whether the daemon puts each VIP on an interface and announces it.
    pub assign_vip: bool,
    /// Whether processes of the gateway itself can use the VIPs.
    pub local_clients: bool,
    /// Addresses that backends of services in mode full_nat are spoken to from; of a family that has none here, the
    /// gateway's own. No repeats, and none is a VIP or a backend's.
    pub source_pool: Vec<IpAddr>,
    /// Flows of services in mode full_nat that are remembered.
    pub max_flows: NonZeroU32,
}

/// Where the XDP program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XdpMode {
    /// In the drivers if every interface's can, else behind them.
    Auto,
    /// In the drivers.
    Native,
    /// Behind the drivers, on socket buffers: slower, with any driver.
    Generic,
}

/// A virtual endpoint and the backends that may serve it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Unique name.
    pub name: String,
    /// The virtual IP that clients know.
    pub vip: IpAddr,
    /// The port that clients know.
    pub port: u16,
    /// Transport protocol.
    pub protocol: Protocol,
    /// How packets get to its backends.
    pub mode: Mode,
    /// What new connections get while no backend can serve.
    pub on_outage: OnOutage,
    /// When to return to a preferred hot backend.
    pub failback: Failback,
    /// How long, after a planned switch, the backend before keeps the TCP connections that it had; zero: not at all.
    pub drain: Duration,
    /// In order of preference, the first is the primary; 1 to 16. Names, and addresses, are unique; the first is hot.
    /// Addresses are of the VIP's family, and in mode dsr on the service's port.
    pub backends: Vec<Backend>,
}

/// Transport protocol of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// How packets of a service get to its backends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The destination is rewritten, the client's address kept; replies come back through the gateway.
    Nat,
    /// Only MAC addresses are rewritten: backends hold the VIP and answer clients themselves.
    Dsr,
    /// Client and destination are rewritten: backends answer the gateway, wherever they are.
    FullNat,
}

/// What new connections get while no backend can serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnOutage {
    /// TCP reset, ICMP port unreachable.
    Reject,
    /// Silence.
    Drop,
}

/// When to return to a preferred hot backend that has recovered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failback {
    /// When told.
    Manual,
    /// By itself, once it has been up for `delay`, counted from its recovery.
    Auto {
        /// How long it must have been up.
        delay: Duration,
    },
}

/// A machine that can serve.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backend {
    /// Name, unique within the service.
    pub name: String,
    /// Where it serves.
    pub address: SocketAddr,
    /// How ready it is while it does not serve.
    pub tier: Tier,
    /// How its health is found out.
    pub heartbeat: Heartbeat,
    /// Makes a warm or cold backend serve; those always have one, hot ones never.
    pub start: Option<Script>,
    /// Undoes `start`; only with `start`.
    pub stop: Option<Script>,
    /// From start to first healthy heartbeat.
    pub ready_timeout: Duration,
}

/// How ready a backend is while it does not serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// Could serve this instant.
    Hot,
    /// Resumes by its start action.
    Warm,
    /// Is started by its start action.
    Cold,
}

/// A command with a time limit. Never passed through a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Program (absolute path) and arguments; not empty.
    pub command: Vec<String>,
    /// After this its whole process group is ended.
    pub timeout: Duration,
}

/// How a backend's health is found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heartbeat {
    /// What is asked and which answer is healthy.
    pub check: Check,
    /// Port to ask; unused by ICMP.
    pub port: u16,
    /// Between the beginnings of two rounds; at least 1 ms.
    pub interval: Duration,
    /// Longest wait for an answer; rounds do not overlap, so a longer wait delays the next round.
    pub timeout: Duration,
    /// Consecutive failures after which it is down.
    pub fall: NonZeroU32,
    /// Consecutive successes after which it is up again.
    pub rise: NonZeroU32,
}

/// What a heartbeat asks and which answer is healthy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// `GET path`; healthy: a status within one of the ranges.
    Http {
        /// Begins with `/`.
        path: String,
        /// Not empty.
        expect_status: Vec<RangeInclusive<u16>>,
    },
    /// A connection is accepted.
    Tcp,
    /// An echo is answered.
    Icmp,
    /// A datagram is answered by any datagram.
    Udp {
        /// Payload sent.
        send: Vec<u8>,
    },
}

impl Spec {
    /// The ids of a backend, by names.
    #[must_use]
    pub fn find(&self, service: &str, backend: &str) -> Option<(ServiceId, BackendId)> {
        let service_id = self.services.iter().position(|other| other.name == service)?;
        let backend_id = self.services[service_id].backends.iter().position(|other| other.name == backend)?;
        Some((ServiceId(service_id), BackendId(backend_id)))
    }
}

impl Tier {
    /// The word in configuration and status.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hot => "hot",
            Self::Warm => "warm",
            Self::Cold => "cold",
        }
    }
}

impl Mode {
    /// The word in configuration and status.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nat => "nat",
            Self::Dsr => "dsr",
            Self::FullNat => "full_nat",
        }
    }
}

impl OnOutage {
    /// The word in configuration and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reject => "reject",
            Self::Drop => "drop",
        }
    }
}

impl Protocol {
    /// The word in configuration and status.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}
