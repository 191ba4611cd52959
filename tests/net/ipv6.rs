//! The same for IPv6, as far as it is different.

use std::net::{IpAddr, Ipv6Addr, UdpSocket};

use libtest_mimic::Trial;

use super::*;

const PEER: IpAddr = six([0xfd00, 0, 0, 0, 0, 0, 0, 2]);
const VIP: IpAddr = six([0xfd00, 0, 0, 0, 0, 0, 0, 0x100]);
const BEYOND: IpAddr = six([0xfd00, 9, 0, 0, 0, 0, 0, 7]);

const fn six([a, b, c, d, e, f, g, h]: [u16; 8]) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(a, b, c, d, e, f, g, h))
}

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("ipv6_interface_facts_and_place_of_the_vip", interface_facts),
        trial("ipv6_next_hop_direct", next_hop_direct),
        trial("ipv6_next_hop_through_a_router", next_hop_through_a_router),
        trial("ipv6_next_hop_appears_and_wakes_the_watch", next_hop_appears),
        trial("ipv6_assign_and_remove", assign_and_remove),
        trial("ipv6_vip_is_usable_at_once_and_no_source", vip_is_usable_at_once_and_no_source),
        trial("ipv6_off_on_the_interface", off_on_the_interface),
        trial("ipv6_conflict_with_a_holder", conflict_with_a_holder),
        trial("ipv6_conflict_between_two_who_ask", conflict_between_two_who_ask),
        trial("ipv6_no_conflict_with_oneself", no_conflict_with_oneself),
        trial("ipv6_announcement_changes_a_neighbour_entry", announcement),
        trial("ipv6_forwarding_is_per_interface_and_for_all", forwarding_is_for_all),
    ]
}

/// The usual bench, with addresses of IPv6 as well.
fn bench() -> Result<Bench, Failed> {
    let bench = Bench::new()?;
    bench.gateway.ip("address add fd00::1/64 dev eth0 nodad")?;
    bench.peer.ip("address add fd00::2/64 dev eth0 nodad")?;
    Ok(bench)
}

fn interface_facts() -> Result<(), Failed> {
    let bench = bench()?;
    bench.gateway.connect("eth1", &bench.peer, "eth1")?;
    bench.gateway.ip("address add fd00:1::1/64 dev eth1 nodad")?;
    bench.gateway.ip("route add default via 192.0.2.2")?;
    bench.gateway.ip("-6 route add default via fd00::2 metric 500")?;
    bench.gateway.ip("-6 route add default via fd00:1::2 metric 100")?;
    bench.gateway.run(async || {
        let net = Net::new()?;
        let interfaces = [eth0(&net).await?, net.interface("eth1").await?.ok_or("eth1 not found")?];
        let own = (six([0xfd00, 0, 0, 0, 0, 0, 0, 1]), 64);
        check("address", interfaces[0].addresses.contains(&own), true)?;
        check("IPv4", net.default_route(Family::V4).await?, Some(interfaces[0].ifindex))?;
        let default_route = net.default_route(Family::V6).await?;
        check("IPv6", default_route, Some(interfaces[1].ifindex))?;
        let near = six([0xfd00, 1, 0, 0, 0, 0, 0, 9]);
        for (vip, name) in [(VIP, "eth0"), (near, "eth1"), (BEYOND, "eth1")] {
            let chosen = vip_interface(vip, &interfaces, default_route).map(|i| i.name.as_str());
            check(&vip.to_string(), chosen, Some(name))?;
        }
        Ok(())
    })
}

fn next_hop_direct() -> Result<(), Failed> {
    let bench = bench()?;
    bench.gateway.ip(&format!("-6 neigh add {PEER} lladdr {PEER_MAC} dev eth0 nud stale"))?;
    bench.gateway.ip(&format!("neigh add {} lladdr {OTHER_MAC} dev eth0 nud stale", super::PEER))?;
    bench.gateway.ip("-6 neigh add fd00::9 dev eth0 nud failed")?;
    bench.gateway.run(async || {
        let net = Net::new()?;
        let ifindex = eth0(&net).await?.ifindex;
        let [to_peer, to_other] = [PEER_MAC, OTHER_MAC].map(|mac| Some(NextHop { ifindex, mac, mtu: None }));
        let own = six([0xfd00, 0, 0, 0, 0, 0, 0, 1]);
        let failed = six([0xfd00, 0, 0, 0, 0, 0, 0, 9]);
        check(
            "both families, in order",
            net.reach(&[BEYOND, PEER, own, failed, super::PEER, PEER])
                .await?
                .iter()
                .map(|reach| reach.next_hop)
                .collect::<Vec<_>>(),
            vec![None, to_peer, None, None, to_other, to_peer],
        )
    })
}

fn next_hop_through_a_router() -> Result<(), Failed> {
    let bench = bench()?;
    bench.gateway.ip(&format!("-6 neigh add {PEER} lladdr {PEER_MAC} dev eth0 nud reachable"))?;
    bench.gateway.ip(&format!("-6 neigh add fe80::2 lladdr {OTHER_MAC} dev eth0 nud permanent"))?;
    bench.gateway.ip(&format!("-6 route add fd00:9::/64 via {PEER}"))?;
    bench.gateway.ip("-6 route add fd00:8::/64 via fe80::2 dev eth0")?;
    bench.gateway.ip("-6 route add unreachable fd00:7::/64")?;
    bench.gateway.ip("-6 route add blackhole fd00:6::/64")?;
    bench.gateway.ip("-6 route add prohibit fd00:5::/64")?;
    bench.gateway.run(async || {
        let net = Net::new()?;
        let ifindex = eth0(&net).await?.ifindex;
        check("router", net.next_hop(BEYOND).await?, Some(NextHop { ifindex, mac: PEER_MAC, mtu: None }))?;
        let link_local = net.next_hop(six([0xfd00, 8, 0, 0, 0, 0, 0, 7])).await?;
        check("link-local router", link_local, Some(NextHop { ifindex, mac: OTHER_MAC, mtu: None }))?;
        for network in 5..8 {
            let to = six([0xfd00, network, 0, 0, 0, 0, 0, 7]);
            check(&to.to_string(), net.next_hop(to).await?, None)?;
        }
        Ok(())
    })
}

fn next_hop_appears() -> Result<(), Failed> {
    let bench = bench()?;
    bench.gateway.run(async || {
        let mut watch = Watch::new()?;
        let net = Net::new()?;
        let ifindex = eth0(&net).await?.ifindex;
        check("before", net.next_hop(PEER).await?, None)?;
        net.resolve(BEYOND).await?; // no route: nothing to do, no error
        net.resolve(PEER).await?;
        let found = await_next_hop(&net, &mut watch, PEER).await?;
        check("resolved", found, NextHop { ifindex, mac: PEER_MAC, mtu: None })?;

        bench.gateway.ip(&format!("-6 route add fd00:9::/64 via {PEER}"))?;
        let found = await_next_hop(&net, &mut watch, BEYOND).await?;
        check("routed", found, NextHop { ifindex, mac: PEER_MAC, mtu: None })
    })
}

fn assign_and_remove() -> Result<(), Failed> {
    let bench = bench()?;
    bench.gateway.run(async || {
        let net = Net::new()?;
        let ifindex = eth0(&net).await?.ifindex;
        check("owner before", owner(&net, VIP).await?, None)?;
        check("first", net.assign(VIP, ifindex).await?, Assigned::New)?;
        check("second", net.assign(VIP, ifindex).await?, Assigned::Present)?;
        check("owner", owner(&net, VIP).await?, Some(ifindex))?;
        check("as /128", eth0(&net).await?.addresses.contains(&(VIP, 128)), true)?;
        let routes = bench.gateway.ip_output(&format!("-6 route show {VIP}"))?;
        check("routes that came with it", routes.trim(), "")?;
        net.remove(VIP, ifindex).await?;
        net.remove(VIP, ifindex).await?;
        check("owner after", owner(&net, VIP).await?, None)?;
        let own = six([0xfd00, 0, 0, 0, 0, 0, 0, 1]);
        net.remove(own, ifindex).await?;
        check("a /64 is not a VIP of ours", owner(&net, own).await?, Some(ifindex))?;
        net.remove(VIP, 9999).await?;
        match net.assign(VIP, 9999).await {
            Err(NetError::Gone { action }) => check("named", action.contains("fd00::100/128"), true),
            other => Err(format!("assigned to an interface that is not there: {other:?}").into()),
        }
    })
}

fn vip_is_usable_at_once_and_no_source() -> Result<(), Failed> {
    let bench = bench()?;
    bench.gateway.run(async || {
        let net = Net::new()?;
        let interface = eth0(&net).await?;
        net.assign(VIP, interface.ifindex).await?;
        // A tentative address cannot be bound to.
        UdpSocket::bind((VIP, 0))?;
        // The VIP has more bits in common with this neighbour than the gateway's own address has.
        let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?;
        socket.connect((six([0xfd00, 0, 0, 0, 0, 0, 0, 0x101]), 9))?;
        check("source", socket.local_addr()?.ip(), six([0xfd00, 0, 0, 0, 0, 0, 0, 1]))?;
        // And it comes back with the link, which takes addresses of IPv6 with it.
        bench.gateway.ip("link set dev eth0 down")?;
        check("gone with the link", owner(&net, VIP).await?, None)?;
        net.assign(VIP, interface.ifindex).await?;
        bench.gateway.ip("link set dev eth0 up")?;
        UdpSocket::bind((VIP, 0))?;
        check("back", owner(&net, VIP).await?, Some(interface.ifindex))
    })
}

fn off_on_the_interface() -> Result<(), Failed> {
    let bench = bench()?;
    bench.gateway.run(async || {
        let net = Net::new()?;
        let interface = eth0(&net).await?;
        std::fs::write("/proc/sys/net/ipv6/conf/eth0/disable_ipv6", "1")?;
        check("asks all the same", conflicts(&interface, &[VIP]).await?.len(), 0)?;
        let error = net.assign(VIP, interface.ifindex).await.err();
        let said = error.map(|error| error.to_string()).unwrap_or_default();
        let expected = "sysctl -w net/ipv6/conf/eth0/disable_ipv6=0";
        check(&said, said.contains(expected) && said.contains("fd00::100"), true)
    })
}

fn conflict_with_a_holder() -> Result<(), Failed> {
    let bench = bench()?;
    bench.peer.ip(&format!("address add {VIP}/128 dev eth0 nodad"))?;
    bench.peer.ip(&format!("address add {}/32 dev eth0", super::VIP))?;
    // Of no concern: it says nothing on eth0.
    bench.peer.ip("address add fd00::102/128 dev lo nodad")?;
    bench.gateway.run(async || {
        let net = Net::new()?;
        let [free, on_lo] = [0x101, 0x102].map(|last| six([0xfd00, 0, 0, 0, 0, 0, 0, last]));
        let found = conflicts(&eth0(&net).await?, &[free, on_lo, VIP, super::VIP]).await?;
        let expected = vec![(super::VIP, PEER_MAC), (VIP, PEER_MAC)];
        check("conflicts", found.into_iter().collect::<Vec<_>>(), expected)
    })
}

fn conflict_between_two_who_ask() -> Result<(), Failed> {
    let bench = bench()?;
    both_who_ask_are_found(&bench, VIP)
}

fn no_conflict_with_oneself() -> Result<(), Failed> {
    let bench = bench()?;
    own_holder_on_the_link(&bench)?;
    bench.gateway.ip(&format!("address add {VIP}/128 dev eth1 nodad"))?;
    bench.gateway.run(async || {
        let net = Net::new()?;
        check("conflicts", conflicts(&eth0(&net).await?, &[VIP]).await?.len(), 0)
    })
}

fn announcement() -> Result<(), Failed> {
    let bench = bench()?;
    bench.peer.ip(&format!("-6 neigh add {VIP} lladdr {OTHER_MAC} dev eth0 nud reachable"))?;
    bench.gateway.run(async || peer_learns_of(&bench, VIP).await)
}

fn forwarding_is_for_all() -> Result<(), Failed> {
    let bench = bench()?;
    bench.gateway.run(async || {
        let set = |of: &str, to: &str| std::fs::write(format!("/proc/sys/net/ipv6/conf/{of}/forwarding"), to);
        set("eth0", "0")?;
        check("off", forwarding("eth0", Family::V6)?, false)?;
        set("all", "1")?;
        check("on", forwarding("eth0", Family::V6)?, true)?;
        set("eth0", "0")?;
        check("off for the interface", forwarding("eth0", Family::V6)?, false)?;
        set("all", "0")?;
        set("eth0", "1")?;
        check("off for the kernel", forwarding("eth0", Family::V6)?, false)?;
        check("eth9", forwarding("eth9", Family::V6).is_err(), true)
    })
}
