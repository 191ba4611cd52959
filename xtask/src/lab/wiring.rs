//! Namespaces, wires and addresses of the two topologies.
//!
//! Every veth end gets `tx off`: otherwise its packets leave with unfinished checksums, which XDP forwards as they are.
//! The ends that face the gateway's get an XDP program of their own, so that they take what XDP sends ([`receiver`]).
//!
//! [`receiver`]: super::receiver

use anyhow::Context as _;

use super::address::{Backend, CLIENT, GATEWAY_BACKENDS, GATEWAY_CLIENTS, Host, PREFIX};
use super::netns::Namespace;
use super::receiver::accept_xdp;
use super::trace::Trace;
use crate::shell;

/// The bridge in the namespace [`Host::Lan`].
const BRIDGE: &str = "br0";

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
            address(&wiring.gateway, "eth1", GATEWAY_BACKENDS)?;
            accept_xdp(&wiring.client, "eth0", &trace.pin_dir())?;
        }
        Topology::OneArm => {
            wiring.plug("client", &wiring.client, "eth0")?;
            wiring.plug("gateway", &wiring.gateway, "eth0")?;
            address(&wiring.gateway, "eth0", GATEWAY_BACKENDS)?;
        }
    }
    // The other ends of the gateway's wires.
    accept_xdp(&wiring.lan, "gateway", &trace.pin_dir())?;
    address(&wiring.gateway, "eth0", GATEWAY_CLIENTS)?;
    address(&wiring.client, "eth0", CLIENT)?;
    wiring.client.ip(["route", "add", "default", "via", &GATEWAY_CLIENTS.to_string()])?;
    for backend in Backend::ALL {
        let namespace = trace.namespace(backend.host());
        wiring.plug(backend.name(), &namespace, "eth0")?;
        address(&namespace, "eth0", backend.ip())?;
        namespace.ip(["route", "add", "default", "via", &GATEWAY_BACKENDS.to_string()])?;
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

fn address(namespace: &Namespace, interface: &str, address: std::net::Ipv4Addr) -> anyhow::Result<()> {
    namespace.ip(["address", "add", &format!("{address}/{PREFIX}"), "dev", interface])
}

/// Runs inside the namespace, before it has interfaces: these inherit `default`.
fn configure_kernel(host: Host) -> anyhow::Result<()> {
    for scope in ["all", "default"] {
        sysctl(&format!("ipv4/conf/{scope}/rp_filter"), "0")?;
        sysctl(&format!("ipv4/conf/{scope}/send_redirects"), "0")?;
    }
    if host == Host::Gw {
        sysctl("ipv4/ip_forward", "1")?;
    }
    // Room for a new connection each millisecond.
    sysctl("ipv4/ip_local_port_range", "1024 65535")
}

fn sysctl(key: &str, value: &str) -> anyhow::Result<()> {
    let path = format!("/proc/sys/net/{key}");
    std::fs::write(&path, value).with_context(|| format!("cannot set {path}"))
}
