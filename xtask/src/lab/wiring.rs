//! Namespaces, wires and addresses of the two topologies.
//!
//! Every veth end gets `tx off`: otherwise its packets leave with unfinished checksums, which XDP forwards as they are.
//! The ends that face the gateway's get an XDP program of their own, so that they take what XDP sends ([`receiver`]).
//!
//! [`receiver`]: super::receiver

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::Context as _;

use super::address::{
    Backend, CLIENT, CLIENT6, GATEWAY_BACKENDS, GATEWAY_BACKENDS6, GATEWAY_CLIENTS, GATEWAY_CLIENTS6, Host,
    PREFIX, PREFIX6,
};
use super::netns::Namespace;
use super::receiver::accept_xdp;
use super::trace::Trace;
use crate::shell;

/// The bridge in the namespace [`Host::Lan`].
const BRIDGE: &str = "br0";
/// With less, an interface loses its IPv6 addresses (RFC 8200, section 5).
const LEAST_MTU: u32 = 1280;

/// How clients, gateway and backends are joined.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Topology {
    /// The gateway has eth0 towards the clients and eth1 towards the backends.
    #[default]
    TwoArm,
    /// Clients, gateway and backends share one wire; the gateway's eth0 has an address of either subnet.
    OneArm,
}

impl Topology {
    /// The gateway's interfaces.
    pub fn interfaces(self) -> &'static [&'static str] {
        match self {
            Topology::TwoArm => &["eth0", "eth1"],
            Topology::OneArm => &["eth0"],
        }
    }
}

impl std::fmt::Display for Topology {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Topology::TwoArm => "two-arm",
            Topology::OneArm => "one-arm",
        })
    }
}

/// A wire of the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// The client's: to the gateway, or to the switch if there is one wire for all.
    Client,
    /// The gateway's to the switch, which is the one to the backends.
    Gateway,
    /// A backend's to the switch.
    Backend(Backend),
}

impl Wire {
    /// The interfaces at its two ends.
    fn ends(self, topology: Topology) -> [(Host, &'static str); 2] {
        match (self, topology) {
            (Wire::Client, Topology::TwoArm) => [(Host::Client, "eth0"), (Host::Gw, "eth0")],
            (Wire::Client, Topology::OneArm) => [(Host::Client, "eth0"), (Host::Lan, "client")],
            (Wire::Gateway, Topology::TwoArm) => [(Host::Gw, "eth1"), (Host::Lan, "gateway")],
            (Wire::Gateway, Topology::OneArm) => [(Host::Gw, "eth0"), (Host::Lan, "gateway")],
            (Wire::Backend(backend), _) => [(backend.host(), "eth0"), (Host::Lan, backend.name())],
        }
    }
}

/// Makes the namespaces and joins them.
pub(super) fn build(trace: &Trace, topology: Topology, mtu: u32) -> anyhow::Result<()> {
    for host in Host::ALL {
        let namespace = trace.namespace(host);
        namespace.add()?;
        namespace.within(move || configure_kernel(host))??;
    }
    let wiring = Wiring {
        mtu: mtu.to_string(),
        client: trace.namespace(Host::Client),
        gateway: trace.namespace(Host::Gw),
        lan: trace.namespace(Host::Lan),
    };
    wiring
        .lan
        .ip(["link", "add", BRIDGE, "type", "bridge", "mcast_snooping", "0"])
        .context("the lab's switch is a bridge; does this kernel have them?")?;
    wiring.lan.ip(["link", "set", BRIDGE, "mtu", &wiring.mtu, "up"])?;
    match topology {
        Topology::TwoArm => {
            wiring.join(&wiring.client, "eth0", &wiring.gateway, "eth0")?;
            wiring.plug("gateway", &wiring.gateway, "eth1")?;
            address(&wiring.gateway, "eth1", GATEWAY_BACKENDS, GATEWAY_BACKENDS6)?;
            accept_xdp(&wiring.client, "eth0", &trace.pin_dir())?;
        }
        Topology::OneArm => {
            wiring.plug("client", &wiring.client, "eth0")?;
            wiring.plug("gateway", &wiring.gateway, "eth0")?;
            address(&wiring.gateway, "eth0", GATEWAY_BACKENDS, GATEWAY_BACKENDS6)?;
        }
    }
    // The other ends of the gateway's wires.
    accept_xdp(&wiring.lan, "gateway", &trace.pin_dir())?;
    address(&wiring.gateway, "eth0", GATEWAY_CLIENTS, GATEWAY_CLIENTS6)?;
    address(&wiring.client, "eth0", CLIENT, CLIENT6)?;
    default_route(&wiring.client, GATEWAY_CLIENTS, GATEWAY_CLIENTS6)?;
    for backend in Backend::ALL {
        let namespace = trace.namespace(backend.host());
        wiring.plug(backend.name(), &namespace, "eth0")?;
        address(&namespace, "eth0", backend.ip(), backend.ip6())?;
        default_route(&namespace, GATEWAY_BACKENDS, GATEWAY_BACKENDS6)?;
    }
    Ok(())
}

/// Takes the backend's port at the switch down, as a pulled cable does, or up again.
pub(super) fn set_link(trace: &Trace, backend: Backend, up: bool) -> anyhow::Result<()> {
    trace.namespace(Host::Lan).ip(["link", "set", backend.name(), if up { "up" } else { "down" }])
}

/// Makes the switch ignore what the backend sends and send it nothing, while its link stays up; or forward again.
pub(super) fn set_forwarding(trace: &Trace, backend: Backend, forward: bool) -> anyhow::Result<()> {
    let lan = trace.namespace(Host::Lan);
    // Not by the port's state: without a spanning tree the kernel itself puts that back to forwarding.
    if forward {
        lan.ip(["link", "set", backend.name(), "master", BRIDGE])
    } else {
        lan.ip(["link", "set", backend.name(), "nomaster"])
    }
}

/// Sets the MTU of both ends of a wire.
pub(super) fn set_mtu(trace: &Trace, topology: Topology, wire: Wire, mtu: u32) -> anyhow::Result<()> {
    anyhow::ensure!(mtu >= LEAST_MTU, "an MTU of {mtu}: IPv6 needs {LEAST_MTU} at least");
    for (host, interface) in wire.ends(topology) {
        trace.namespace(host).ip(["link", "set", interface, "mtu", &mtu.to_string()])?;
    }
    Ok(())
}

struct Wiring {
    mtu: String,
    client: Namespace,
    gateway: Namespace,
    lan: Namespace,
}

impl Wiring {
    /// A wire between `interface` of `namespace` and a new port of the switch.
    fn plug(&self, port: &str, namespace: &Namespace, interface: &str) -> anyhow::Result<()> {
        self.join(namespace, interface, &self.lan, port)?;
        self.lan.ip(["link", "set", port, "master", BRIDGE])
    }

    fn join(&self, a: &Namespace, a_end: &str, b: &Namespace, b_end: &str) -> anyhow::Result<()> {
        a.ip(["link", "add", a_end, "type", "veth", "peer", "name", b_end, "netns", b.name()])?;
        for (namespace, end) in [(a, a_end), (b, b_end)] {
            namespace.ip(["link", "set", end, "mtu", &self.mtu, "up"])?;
            let mut offloads = namespace.command("ethtool")?;
            shell::run(offloads.args(["-K", end, "gro", "on", "tx", "off"]))?;
        }
        Ok(())
    }
}

/// Gives an interface an address of either family. Nobody else has them: there is nothing to detect and to wait for.
fn address(namespace: &Namespace, interface: &str, ip: Ipv4Addr, ip6: Ipv6Addr) -> anyhow::Result<()> {
    namespace.ip(["address", "add", &format!("{ip}/{PREFIX}"), "dev", interface])?;
    namespace.ip(["address", "add", &format!("{ip6}/{PREFIX6}"), "dev", interface, "nodad"])
}

fn default_route(namespace: &Namespace, via: Ipv4Addr, via6: Ipv6Addr) -> anyhow::Result<()> {
    namespace.ip(["route", "add", "default", "via", &via.to_string()])?;
    namespace.ip(["-6", "route", "add", "default", "via", &via6.to_string()])
}

/// Runs inside the namespace, before it has interfaces: these inherit `default`.
fn configure_kernel(host: Host) -> anyhow::Result<()> {
    for scope in ["all", "default"] {
        sysctl(&format!("ipv4/conf/{scope}/rp_filter"), "0")?;
        sysctl(&format!("ipv4/conf/{scope}/send_redirects"), "0")?;
        configure_ipv6(host, scope).context("does this kernel have IPv6?")?;
    }
    if host == Host::Gw {
        sysctl("ipv4/ip_forward", "1")?;
        return sysctl("ipv6/conf/all/forwarding", "1");
    }
    // Room for a new connection each millisecond.
    sysctl("ipv4/ip_local_port_range", "1024 65535")
}

/// What is not said here about addresses and routes does not happen. Link-local addresses stay: a router asks for its
/// neighbours from them.
fn configure_ipv6(host: Host, scope: &str) -> anyhow::Result<()> {
    let set = |key: &str, value: &str| sysctl(&format!("ipv6/conf/{scope}/{key}"), value);
    // The switch has nothing to say.
    set("disable_ipv6", if host == Host::Lan { "1" } else { "0" })?;
    for key in
        ["accept_ra", "accept_redirects", "autoconf", "accept_dad", "dad_transmits", "router_solicitations"]
    {
        set(key, "0")?;
    }
    // As IPv4 addresses do, they stay when a link is set down.
    set("keep_addr_on_down", "1")
}

fn sysctl(key: &str, value: &str) -> anyhow::Result<()> {
    let path = format!("/proc/sys/net/{key}");
    std::fs::write(&path, value).with_context(|| format!("cannot set {path}"))
}
