//! The way to an address: the kernel's route, and the Ethernet address of the machine it names.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use nix::errno::Errno;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState,
};
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteMessage, RouteMetric, RouteType, RouteVia,
};

use super::{Family, Mac, Net, NetError, answer, answers, interface};

/// Route requests under way at once: few enough that their answers fit into the socket's buffer.
const WINDOW: usize = 32;

/// Where a packet leaves the gateway, and to which machine on that link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NextHop {
    /// The interface it leaves by.
    pub ifindex: u32,
    /// The machine that takes it there.
    pub mac: Mac,
    /// Length in bytes of the largest IP packet that the route takes, if it says.
    pub mtu: Option<u32>,
}

/// A route's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Way {
    /// The interface it leaves by.
    pub ifindex: u32,
    /// The address to resolve there: the destination's own or a router's.
    pub address: IpAddr,
}

/// What packets of the gateway itself to an address meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reach {
    /// Where they go first; none as with [`Net::next_hop`].
    pub next_hop: Option<NextHop>,
    /// Whom they say they are from; none where there is no way.
    pub own_address: Option<IpAddr>,
}

/// A route's whole answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Route {
    way: Way,
    /// Whom packets of the gateway itself say they are from.
    source: Option<IpAddr>,
    mtu: Option<u32>,
}

impl Net {
    /// The next hop toward `to`, as a packet of the gateway itself would take it. None when there is no unicast
    /// route, when the route tunnels, when `to` is the gateway's own, or when the neighbour is not resolved
    /// (see [`Self::resolve`]). For many addresses ask [`Self::reach`].
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn next_hop(&self, to: IpAddr) -> Result<Option<NextHop>, NetError> {
        Ok(self.reach(&[to]).await?.into_iter().next().and_then(|reach| reach.next_hop))
    }

    /// How each of `to` is reached, in that order. Lists the neighbours once.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn reach(&self, to: &[IpAddr]) -> Result<Vec<Reach>, NetError> {
        let distinct: HashSet<IpAddr> = to.iter().copied().collect();
        let routes: HashMap<IpAddr, Option<Route>> = stream::iter(distinct)
            .map(|to| async move { Ok::<_, NetError>((to, self.route(to).await?)) })
            .buffer_unordered(WINDOW)
            .try_collect()
            .await?;
        let neighbours = self.neighbours().await?;
        let reach = |to: &IpAddr| {
            let route = routes.get(to).copied().flatten();
            let next_hop = route.and_then(|Route { way, mtu, .. }| {
                neighbours.get(&way).map(|mac| NextHop { ifindex: way.ifindex, mac: *mac, mtu })
            });
            Reach { next_hop, own_address: route.and_then(|route| route.source) }
        };
        Ok(to.iter().map(reach).collect())
    }

    /// The router that packets of the gateway itself to `to` go to first. None when `to` is on a network of the gateway's
    /// own, or when there is no way.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn router(&self, to: IpAddr) -> Result<Option<IpAddr>, NetError> {
        Ok(self.way(to).await?.map(|way| way.address).filter(|address| *address != to))
    }

    /// Asks the kernel to find out (again) the Ethernet address of the next hop toward `to`. It does so on its own
    /// time: [`super::Watch`] tells when. Does nothing where [`Self::next_hop`] knows no way.
    ///
    /// # Errors
    /// Without CAP_NET_ADMIN, or when the kernel does not answer.
    pub async fn resolve(&self, to: IpAddr) -> Result<(), NetError> {
        let Some(way) = self.way(to).await? else {
            return Ok(());
        };
        let request = self
            .handle
            .neighbours()
            .add(way.ifindex, way.address)
            .state(NeighbourState::None)
            .flags(NeighbourFlags::Use)
            .replace();
        answer(request.execute()).await.map_err(|error| {
            let full = error.raw_os_error() == Some(Errno::ENOBUFS as i32);
            let source = if full { table_full(way.address) } else { error };
            NetError::new(
                format_args!("resolve {} on {}", way.address, interface::label(way.ifindex)),
                "CAP_NET_ADMIN",
                source,
            )
        })
    }

    /// The kernel's route toward `to`, as a packet of the gateway itself would take it. None as with
    /// [`Self::next_hop`], but for neighbours that are not resolved.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn way(&self, to: IpAddr) -> Result<Option<Way>, NetError> {
        Ok(self.route(to).await?.map(|route| route.way))
    }

    async fn route(&self, to: IpAddr) -> Result<Option<Route>, NetError> {
        let question = match to {
            IpAddr::V4(to) => RouteMessageBuilder::<Ipv4Addr>::new().destination_prefix(to, 32).build(),
            IpAddr::V6(to) => RouteMessageBuilder::<Ipv6Addr>::new().destination_prefix(to, 128).build(),
        };
        match answers(self.handle.route().get(question).execute()).await {
            Ok(routes) => Ok(routes.first().and_then(|route| parse_route(to, route))),
            Err(error) if says_no_route(&error) => Ok(None),
            Err(source) => {
                Err(NetError::new(format_args!("look up the route to {to}"), "CAP_NET_ADMIN", source))
            }
        }
    }

    async fn neighbours(&self) -> Result<HashMap<Way, Mac>, NetError> {
        let messages = self
            .list(|| self.handle.neighbours().get().execute())
            .await
            .map_err(|source| NetError::new("list neighbours", "CAP_NET_ADMIN", source))?;
        Ok(messages.iter().filter_map(parse_neighbour).collect())
    }
}

/// The kernel reports unreachable, prohibit, blackhole and absent routes as errors of the lookup.
fn says_no_route(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::ENETUNREACH | Errno::EHOSTUNREACH | Errno::EACCES | Errno::EINVAL)
    )
}

fn table_full(address: IpAddr) -> io::Error {
    let family = Family::of(address).sysctls();
    io::Error::other(format!(
        "the kernel's neighbour table is full; raise net.{family}.neigh.default.gc_thresh3"
    ))
}

fn parse_route(to: IpAddr, route: &RouteMessage) -> Option<Route> {
    if route.header.kind != RouteType::Unicast {
        return None;
    }
    let (mut ifindex, mut address, mut source, mut mtu) = (None, to, None, None);
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Oif(index) => ifindex = Some(*index),
            RouteAttribute::Gateway(RouteAddress::Inet(router)) => address = (*router).into(),
            RouteAttribute::Gateway(RouteAddress::Inet6(router)) => address = (*router).into(),
            // IPv4 routes may lead over IPv6 routers (RFC 5549).
            RouteAttribute::Via(RouteVia::Inet6(router)) => address = (*router).into(),
            RouteAttribute::PrefSource(RouteAddress::Inet(own)) => source = Some((*own).into()),
            RouteAttribute::PrefSource(RouteAddress::Inet6(own)) => source = Some((*own).into()),
            RouteAttribute::Metrics(metrics) => {
                mtu = metrics.iter().find_map(|metric| match metric {
                    RouteMetric::Mtu(mtu) => Some(*mtu),
                    _ => None,
                });
            }
            // The packet would have to be wrapped first.
            RouteAttribute::Encap(_) | RouteAttribute::EncapType(_) => return None,
            _ => {}
        }
    }
    Some(Route { way: Way { ifindex: ifindex?, address }, source, mtu })
}

fn parse_neighbour(message: &NeighbourMessage) -> Option<(Way, Mac)> {
    let usable = matches!(
        message.header.state,
        NeighbourState::Reachable
            | NeighbourState::Stale
            | NeighbourState::Delay
            | NeighbourState::Probe
            | NeighbourState::Permanent
            | NeighbourState::Noarp
    );
    if !usable {
        return None;
    }
    let (mut address, mut mac) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            NeighbourAttribute::Destination(NeighbourAddress::Inet(ip)) => address = Some(IpAddr::V4(*ip)),
            NeighbourAttribute::Destination(NeighbourAddress::Inet6(ip)) => address = Some(IpAddr::V6(*ip)),
            NeighbourAttribute::LinkLayerAddress(bytes) => mac = <[u8; 6]>::try_from(bytes.as_slice()).ok(),
            _ => {}
        }
    }
    let mac = mac.filter(|mac| *mac != [0; 6])?;
    Some((Way { ifindex: message.header.ifindex, address: address? }, Mac(mac)))
}
