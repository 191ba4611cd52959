//! Who has which addresses; the same in every lab, for namespaces keep labs apart.
//!
//! Every machine has one of IPv4 and one of IPv6, with the same last number as `ip` writes it: `10.77.2.10` is also
//! `fd77:2::10`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

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

/// The virtual IPv6 address, in the clients' subnet.
pub const VIP6: Ipv6Addr = ipv6(1, 0x100);
/// The client.
pub const CLIENT6: Ipv6Addr = ipv6(1, 0x10);
/// The gateway, as the clients see it.
pub const GATEWAY_CLIENTS6: Ipv6Addr = ipv6(1, 1);
/// The gateway, as the backends see it.
pub const GATEWAY_BACKENDS6: Ipv6Addr = ipv6(2, 1);
/// Prefix length of both IPv6 subnets, in bits.
pub const PREFIX6: u8 = 64;

/// The virtual addresses of the usual configuration, and of what is printed about it. [`VIP6`] belongs here as soon as
/// the program forwards IPv6.
pub const USUAL_VIPS: &[IpAddr] = &[IpAddr::V4(VIP)];

/// The virtual address with the service's port.
pub fn vip() -> SocketAddr {
    SocketAddr::from((VIP, PORT))
}

/// The virtual IPv6 address with the service's port.
pub fn vip6() -> SocketAddr {
    SocketAddr::from((VIP6, PORT))
}

/// A machine of a subnet: 1 is the clients', 2 the backends'.
const fn ipv6(subnet: u16, machine: u16) -> Ipv6Addr {
    Ipv6Addr::new(0xfd77, subnet, 0, 0, 0, 0, 0, machine)
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

    /// Its IPv6 address.
    pub fn ip6(self) -> Ipv6Addr {
        let machine = match self {
            Backend::Primary => 0x10,
            Backend::Standby => 0x11,
            Backend::Cold => 0x12,
        };
        ipv6(2, machine)
    }

    /// Its address with the service's port.
    pub fn address(self) -> SocketAddr {
        SocketAddr::from((self.ip(), PORT))
    }

    /// Its IPv6 address with the service's port.
    pub fn address6(self) -> SocketAddr {
        SocketAddr::from((self.ip6(), PORT))
    }
}
