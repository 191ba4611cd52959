//! Who has which address; the same in every lab, for namespaces keep labs apart.

use std::net::{Ipv4Addr, SocketAddr};

/// Port of the service, on the VIP and on the backends.
pub const PORT: u16 = 7860;
/// The virtual address, in the clients' subnet.
pub const VIP: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 100);
/// The client.
pub const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 10);
/// The gateway, as the clients see it.
pub const GATEWAY_CLIENTS: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);
/// The gateway, as the backends see it.
pub const GATEWAY_BACKENDS: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 1);
/// Prefix length of both subnets, in bits.
pub const PREFIX: u8 = 24;

/// The virtual address with the service's port.
pub fn vip() -> SocketAddr {
    SocketAddr::from((VIP, PORT))
}

/// A machine of the lab, that is, a network namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Host {
    /// Where requests come from.
    Client,
    /// Where `fastswitch` runs.
    #[value(alias = "gateway")]
    Gw,
    /// The switch (a bridge) that joins the backends.
    Lan,
    /// The preferred backend.
    Primary,
    /// The hot standby.
    Standby,
    /// The backend that a script starts.
    Cold,
}

impl Host {
    /// Every host, in the order in which they are made.
    pub const ALL: [Host; 6] = [Host::Client, Host::Gw, Host::Lan, Host::Primary, Host::Standby, Host::Cold];

    /// The last part of the namespace's name.
    pub fn name(self) -> &'static str {
        match self {
            Host::Client => "client",
            Host::Gw => "gw",
            Host::Lan => "lan",
            Host::Primary => "primary",
            Host::Standby => "standby",
            Host::Cold => "cold",
        }
    }
}

/// A backend of the lab's service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Backend {
    /// The preferred one.
    Primary,
    /// The hot standby.
    Standby,
    /// The one that a script starts.
    Cold,
}

impl Backend {
    /// In order of preference.
    pub const ALL: [Backend; 3] = [Backend::Primary, Backend::Standby, Backend::Cold];

    /// Its name in the configuration, its server's name, and the name of its port at the switch.
    pub fn name(self) -> &'static str {
        self.host().name()
    }

    /// Its machine.
    pub fn host(self) -> Host {
        match self {
            Backend::Primary => Host::Primary,
            Backend::Standby => Host::Standby,
            Backend::Cold => Host::Cold,
        }
    }

    /// Its address.
    pub fn ip(self) -> Ipv4Addr {
        let host = match self {
            Backend::Primary => 10,
            Backend::Standby => 11,
            Backend::Cold => 12,
        };
        Ipv4Addr::new(10, 77, 2, host)
    }

    /// Its address with the service's port.
    pub fn address(self) -> SocketAddr {
        SocketAddr::from((self.ip(), PORT))
    }
}
