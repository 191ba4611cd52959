//! The daemon's view of and hand on the network, in network namespaces of the test's own.

#[path = "net/ipv6.rs"]
mod ipv6;
#[path = "support/netns.rs"]
mod netns;
#[path = "support/privileged.rs"]
mod privileged;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;
use std::time::Duration;

use fastswitch::net::{
    Assigned, Family, Interface, Mac, Net, NetError, NextHop, Watch, announce, conflicts, forwarding,
    vip_interface,
};
use libtest_mimic::{Arguments, Failed};
use netns::Namespace;
use privileged::trial;

const GATEWAY_MAC: Mac = Mac([0x02, 0, 0, 0, 0, 0x01]);
const PEER_MAC: Mac = Mac([0x02, 0, 0, 0, 0, 0x02]);
const OTHER_MAC: Mac = Mac([0x02, 0, 0, 0, 0, 0x03]);
const PEER: IpAddr = four(192, 0, 2, 2);
const VIP: IpAddr = four(192, 0, 2, 100);
const BEYOND: IpAddr = four(198, 51, 100, 7);

/// For what should happen soon: generous, because only a failure takes that long.
const LIMIT: Duration = Duration::from_secs(30);

const fn four(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

fn main() {
    let mut trials = vec![
        trial("interface_facts", interface_facts),
        trial("vip_belongs_on_its_subnet_or_the_default_route", vip_belongs),
        trial("next_hop_direct", next_hop_direct),
        trial("next_hop_through_a_router", next_hop_through_a_router),
        trial("next_hop_appears_and_wakes_the_watch", next_hop_appears),
        trial("watch_survives_a_burst", watch_survives_a_burst),
        trial("assign_and_remove", assign_and_remove),
        trial("conflict_with_a_holder", conflict_with_a_holder),
        trial("conflict_between_two_who_ask", conflict_between_two_who_ask),
        trial("no_conflict_with_oneself", no_conflict_with_oneself),
        trial("announcement_changes_a_neighbour_entry", announcement),
        trial("forwarding_is_per_interface", forwarding_is_per_interface),
    ];
    trials.extend(ipv6::trials());
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}

/// A gateway with `eth0` at 192.0.2.1/24, and a peer on that link at 192.0.2.2/24.
struct Bench {
    gateway: Namespace,
    peer: Namespace,
}

impl Bench {
    fn new() -> Result<Self, Failed> {
        let bench = Self { gateway: Namespace::new("gateway")?, peer: Namespace::new("peer")? };
        bench.gateway.connect("eth0", &bench.peer, "eth0")?;
        bench.gateway.ip(&format!("link set dev eth0 address {GATEWAY_MAC}"))?;
        bench.peer.ip(&format!("link set dev eth0 address {PEER_MAC}"))?;
        bench.gateway.ip("address add 192.0.2.1/24 dev eth0")?;
        bench.peer.ip("address add 192.0.2.2/24 dev eth0")?;
        Ok(bench)
    }
}

async fn eth0(net: &Net) -> Result<Interface, Failed> {
    net.interface("eth0").await?.ok_or_else(|| "eth0 not found".into())
}

/// Reads again after each change until there is something.
/// Index of the interface that has an address.
async fn owner(net: &Net, ip: IpAddr) -> Result<Option<u32>, Failed> {
    Ok(net.addresses().await?.iter().find(|address| address.ip == ip).map(|address| address.ifindex))
}

async fn await_next_hop(net: &Net, watch: &mut Watch, to: IpAddr) -> Result<NextHop, Failed> {
    let found = async {
        loop {
            if let Some(next_hop) = net.next_hop(to).await? {
                return Ok(next_hop);
            }
            watch.changed().await?;
        }
    };
    tokio::time::timeout(LIMIT, found).await.unwrap_or_else(|_| Err(format!("no next hop to {to}").into()))
}

#[expect(clippy::needless_pass_by_value, reason = "values read best where it is called")]
fn check<T: PartialEq + std::fmt::Debug>(what: &str, found: T, expected: T) -> Result<(), Failed> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?}, not {expected:?}").into()) }
}

fn interface_facts() -> Result<(), Failed> {
    let bench = Bench::new()?;
    bench.gateway.ip("link set dev eth0 mtu 1400")?;
    bench.gateway.ip("address add 198.51.100.1/32 dev eth0")?;
    bench.gateway.ip("link add spare type veth peer name spare-end")?;
    bench.gateway.run(async || {
        let net = Net::new()?;
        let interface = eth0(&net).await?;
        check("name", interface.name.as_str(), "eth0")?;
        check("mac", interface.mac, GATEWAY_MAC)?;
        check("mtu", interface.mtu, 1400)?;
        check("up", interface.up, true)?;
        check("xdp", interface.xdp, None)?;
        let addresses = vec![(four(192, 0, 2, 1), 24), (four(198, 51, 100, 1), 32)];
        check(
            "addresses",
            interface.addresses.into_iter().filter(|(ip, _)| ip.is_ipv4()).collect(),
            addresses,
        )?;
        let spare = net.interface("spare").await?.ok_or("spare not found")?;
        check("spare up", spare.up, false)?;
        for absent in ["eth9", "", "../eth0", "a-name-that-is-longer-than-the-kernel-allows"] {
            check(absent, net.interface(absent).await?, None)?;
        }
        match net.interface("lo").await {
            Err(NetError::NotEthernet { name, .. }) => check("name", name.as_str(), "lo")?,
            other => return Err(format!("lo taken for Ethernet: {other:?}").into()),
        }
        match conflicts(&spare, &[VIP]).await {
            Err(NetError::Down { action }) => check("named", action.contains("spare"), true),
            other => Err(format!("asked on an interface that is down: {other:?}").into()),
        }
    })
}

fn vip_belongs() -> Result<(), Failed> {
    let bench = Bench::new()?;
    bench.gateway.connect("eth1", &bench.peer, "eth1")?;
    bench.gateway.ip("address add 203.0.113.1/24 dev eth1")?;
    bench.gateway.ip("route add default via 192.0.2.2 metric 500")?;
    bench.gateway.ip("route add default via 203.0.113.2 metric 100")?;
    bench.gateway.run(async || {
        let net = Net::new()?;
        let interfaces = [eth0(&net).await?, net.interface("eth1").await?.ok_or("eth1 not found")?];
        let default_route = net.default_route(Family::V4).await?;
        check("default route", default_route, Some(interfaces[1].ifindex))?;
        for (vip, name) in [(VIP, "eth0"), (four(203, 0, 113, 9), "eth1"), (BEYOND, "eth1")] {
            let chosen = vip_interface(vip, &interfaces, default_route).map(|i| i.name.as_str());
            check(&vip.to_string(), chosen, Some(name))?;
        }
        Ok(())
    })
}

fn next_hop_direct() -> Result<(), Failed> {
    let bench = Bench::new()?;
    bench.gateway.ip(&format!("neigh add {PEER} lladdr {PEER_MAC} dev eth0 nud stale"))?;
    bench.gateway.ip("neigh add 192.0.2.9 dev eth0 nud failed")?;
    bench.gateway.run(async || {
        let net = Net::new()?;
        let expected = NextHop { ifindex: eth0(&net).await?.ifindex, mac: PEER_MAC, mtu: None };
        check("peer", net.next_hop(PEER).await?, Some(expected))?;
        let own = four(192, 0, 2, 1);
        let failed = four(192, 0, 2, 9);
        let broadcast = four(192, 0, 2, 255);
        check(
            "in order, with repeats",
            net.reach(&[BEYOND, PEER, own, failed, broadcast, PEER])
                .await?
                .iter()
                .map(|reach| reach.next_hop)
                .collect::<Vec<_>>(),
            vec![None, Some(expected), None, None, None, Some(expected)],
        )
    })
}

fn next_hop_through_a_router() -> Result<(), Failed> {
    let bench = Bench::new()?;
    bench.gateway.ip(&format!("neigh add {PEER} lladdr {PEER_MAC} dev eth0 nud reachable"))?;
    bench.gateway.ip(&format!("route add 198.51.100.0/24 via {PEER}"))?;
    bench.gateway.ip("route add unreachable 198.51.100.64/26")?;
    bench.gateway.ip("route add blackhole 198.51.100.128/26")?;
    bench.gateway.ip("route add prohibit 198.51.100.192/26")?;
    bench.gateway.ip("route add 203.0.113.0/24 via inet6 fe80::2 dev eth0")?;
    bench.gateway.ip(&format!("-6 neigh add fe80::2 lladdr {OTHER_MAC} dev eth0 nud permanent"))?;
    bench.gateway.run(async || {
        let net = Net::new()?;
        let ifindex = eth0(&net).await?.ifindex;
        check("router", net.next_hop(BEYOND).await?, Some(NextHop { ifindex, mac: PEER_MAC, mtu: None }))?;
        let over_ipv6 = net.next_hop(four(203, 0, 113, 5)).await?;
        check("IPv6 router", over_ipv6, Some(NextHop { ifindex, mac: OTHER_MAC, mtu: None }))?;
        bench.gateway.ip(&format!("route add 198.51.100.8 via {PEER} mtu 1400"))?;
        let narrow = NextHop { ifindex, mac: PEER_MAC, mtu: Some(1400) };
        check("a route's MTU", net.next_hop(four(198, 51, 100, 8)).await?, Some(narrow))?;
        for last in [65, 129, 193] {
            let to = four(198, 51, 100, last);
            check(&to.to_string(), net.next_hop(to).await?, None)?;
        }
        Ok(())
    })
}

fn next_hop_appears() -> Result<(), Failed> {
    let bench = Bench::new()?;
    bench.gateway.run(async || {
        let mut watch = Watch::new()?;
        let net = Net::new()?;
        let ifindex = eth0(&net).await?.ifindex;
        check("before", net.next_hop(PEER).await?, None)?;
        net.resolve(BEYOND).await?; // no route: nothing to do, no error
        net.resolve(PEER).await?;
        let found = await_next_hop(&net, &mut watch, PEER).await?;
        check("resolved", found, NextHop { ifindex, mac: PEER_MAC, mtu: None })?;

        bench.gateway.ip(&format!("route add 198.51.100.0/24 via {PEER}"))?;
        let found = await_next_hop(&net, &mut watch, BEYOND).await?;
        check("routed", found, NextHop { ifindex, mac: PEER_MAC, mtu: None })?;

        bench.gateway.ip(&format!("neigh replace {PEER} lladdr {OTHER_MAC} dev eth0 nud reachable"))?;
        let moved = async {
            while net.next_hop(BEYOND).await?.map(|hop| hop.mac) != Some(OTHER_MAC) {
                watch.changed().await?;
            }
            Ok::<(), NetError>(())
        };
        tokio::time::timeout(LIMIT, moved).await.map_err(|_| "the move went unnoticed")??;
        Ok(())
    })
}

fn watch_survives_a_burst() -> Result<(), Failed> {
    let bench = Bench::new()?;
    bench.gateway.run(async || {
        let mut watch = Watch::new()?;
        let net = Net::new()?;
        let ifindex = eth0(&net).await?.ifindex;
        // More events than the socket holds.
        for number in 0..4000_u32 {
            net.assign(Ipv4Addr::from(0x0a00_0000 + number).into(), ifindex).await?;
        }
        tokio::time::timeout(LIMIT, watch.changed()).await.map_err(|_| "the burst went unnoticed")??;
        let addresses = eth0(&net).await?.addresses;
        check("addresses", addresses.iter().filter(|(ip, _)| ip.is_ipv4()).count(), 4001)?;
        bench.gateway.ip("link set dev eth0 mtu 1300")?;
        tokio::time::timeout(LIMIT, watch.changed()).await.map_err(|_| "deaf after the burst")??;
        check("mtu", eth0(&net).await?.mtu, 1300)
    })
}

fn assign_and_remove() -> Result<(), Failed> {
    let bench = Bench::new()?;
    bench.gateway.run(async || {
        let net = Net::new()?;
        let ifindex = eth0(&net).await?.ifindex;
        check("owner before", owner(&net, VIP).await?, None)?;
        check("first", net.assign(VIP, ifindex).await?, Assigned::New)?;
        check("second", net.assign(VIP, ifindex).await?, Assigned::Present)?;
        check("owner", owner(&net, VIP).await?, Some(ifindex))?;
        check("as /32", eth0(&net).await?.addresses.contains(&(VIP, 32)), true)?;
        net.remove(VIP, ifindex).await?;
        net.remove(VIP, ifindex).await?;
        check("owner after", owner(&net, VIP).await?, None)?;
        let own = four(192, 0, 2, 1);
        net.remove(own, ifindex).await?;
        check("a /24 is not a VIP of ours", owner(&net, own).await?, Some(ifindex))?;
        net.remove(VIP, 9999).await?;
        match net.assign(VIP, 9999).await {
            Err(NetError::Gone { action }) => check("named", action.contains("192.0.2.100"), true),
            other => Err(format!("assigned to an interface that is not there: {other:?}").into()),
        }
    })
}

fn conflict_with_a_holder() -> Result<(), Failed> {
    let bench = Bench::new()?;
    bench.peer.ip(&format!("address add {VIP}/32 dev eth0"))?;
    bench.gateway.run(async || {
        let net = Net::new()?;
        let free = four(192, 0, 2, 101);
        let found = conflicts(&eth0(&net).await?, &[free, VIP]).await?;
        check("conflicts", found.into_iter().collect::<Vec<_>>(), vec![(VIP, PEER_MAC)])
    })
}

fn conflict_between_two_who_ask() -> Result<(), Failed> {
    let bench = Bench::new()?;
    both_who_ask_are_found(&bench, VIP)
}

fn both_who_ask_are_found(bench: &Bench, vip: IpAddr) -> Result<(), Failed> {
    // Whoever has asked before the other one listened finds nothing, and is itself found: both ask until both know.
    let seen = Mutex::new(BTreeSet::new());
    let ask = async || {
        let interface = eth0(&Net::new()?).await?;
        let met = async {
            loop {
                let found = conflicts(&interface, &[vip]).await?;
                let mut seen = seen.lock().map_err(|_| "the other one panicked")?;
                seen.extend(found.values().copied());
                if seen.len() == 2 {
                    return Ok(());
                }
            }
        };
        tokio::time::timeout(LIMIT, met).await.map_err(|_| "the other one went unnoticed")?
    };
    std::thread::scope(|scope| {
        let peer = scope.spawn(|| bench.peer.run(ask));
        bench.gateway.run(ask)?;
        peer.join().map_err(|_| "the peer panicked")?
    })?;
    let seen = seen.into_inner().map_err(|_| "poisoned")?;
    check("seen", seen, BTreeSet::from([GATEWAY_MAC, PEER_MAC]))
}

fn no_conflict_with_oneself() -> Result<(), Failed> {
    let bench = Bench::new()?;
    own_holder_on_the_link(&bench)?;
    bench.gateway.ip(&format!("address add {VIP}/32 dev eth1"))?;
    bench.gateway.run(async || {
        let net = Net::new()?;
        check("conflicts", conflicts(&eth0(&net).await?, &[VIP]).await?.len(), 0)
    })
}

/// A second interface of the gateway on the same link, eth1, through a bridge in the peer's place.
fn own_holder_on_the_link(bench: &Bench) -> Result<(), Failed> {
    bench.peer.ip("link add bridge type bridge")?;
    bench.gateway.connect("eth1", &bench.peer, "eth1")?;
    for port in ["eth0", "eth1"] {
        bench.peer.ip(&format!("link set dev {port} master bridge"))?;
    }
    bench.peer.ip("link set dev bridge up")
}

fn announcement() -> Result<(), Failed> {
    let bench = Bench::new()?;
    bench.peer.ip(&format!("neigh add {VIP} lladdr {OTHER_MAC} dev eth0 nud reachable"))?;
    bench.gateway.run(async || peer_learns_of(&bench, VIP).await)
}

/// Announces until the peer's entry is the gateway's.
async fn peer_learns_of(bench: &Bench, vip: IpAddr) -> Result<(), Failed> {
    let interface = eth0(&Net::new()?).await?;
    let taken = async {
        loop {
            announce(&interface, &[vip]).await?;
            let entry = bench.peer.ip_output(&format!("neigh show {vip}"))?;
            if entry.contains(&GATEWAY_MAC.to_string()) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(LIMIT, taken).await.map_err(|_| "the peer keeps the old entry")?
}

fn forwarding_is_per_interface() -> Result<(), Failed> {
    let bench = Bench::new()?;
    bench.gateway.connect("lan.100", &bench.peer, "lan")?;
    bench.gateway.run(async || {
        for name in ["eth0", "lan.100"] {
            std::fs::write(format!("/proc/sys/net/ipv4/conf/{name}/forwarding"), "0")?;
            check(name, forwarding(name, Family::V4)?, false)?;
        }
        std::fs::write("/proc/sys/net/ipv4/conf/lan.100/forwarding", "1")?;
        check("eth0", forwarding("eth0", Family::V4)?, false)?;
        check("lan.100", forwarding("lan.100", Family::V4)?, true)?;
        check("eth9", forwarding("eth9", Family::V4).is_err(), true)
    })
}
