//! The gateway's network as the engine needs it: checked before the start, watched ever after.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use fastswitch_common::abi::Port;
use tokio::sync::mpsc;

use super::error::StartError;
use super::obstacles;
use crate::dataplane::{OnInterface, Place, Target};
use crate::machine::spec::{Mode, Spec};
use crate::net::{self, Assigned, Family, Interface, Net, NetError, NextHop, Reach, Watch, XdpMode};

/// Everything is read again after this time, in case an event was missed.
const RESYNC: Duration = Duration::from_secs(5);
/// An announcement may be lost: it is repeated.
const ANNOUNCEMENTS: u32 = 3;
/// Between two announcements.
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(1);
/// Between two looks whether an interface is bare again.
const BARE_LOOK: Duration = Duration::from_millis(1);
/// How often to look.
const BARE_LOOKS: u32 = 1000;

/// What the network looks like at a moment.
#[derive(Debug, Clone)]
pub(super) struct Picture {
    /// The configured interfaces that exist.
    pub(super) interfaces: Vec<Interface>,
    /// Next hop of every backend address that has one.
    pub(super) next_hops: BTreeMap<IpAddr, NextHop>,
    /// Whom each backend sees that is spoken to from the gateway's own address, by the backend's.
    pub(super) own_addresses: BTreeMap<IpAddr, IpAddr>,
    /// What about the interfaces somebody should change.
    pub(super) obstacles: Vec<String>,
}

impl Picture {
    /// The way out to a next hop, if that is one of the configured interfaces.
    pub(super) fn port(&self, hop: &NextHop) -> Option<Port> {
        let interface = self.interfaces.iter().find(|interface| interface.ifindex == hop.ifindex)?;
        let mtu = hop.mtu.map_or(interface.mtu, |mtu| mtu.min(interface.mtu));
        // No IP packet is longer than a u16 says.
        let mtu = u16::try_from(mtu).unwrap_or(u16::MAX);
        Some(Port { ifindex: interface.ifindex, mac: interface.mac.0, mtu })
    }
}

/// A VIP, or an address of the pool, and the interface it belongs on.
#[derive(Debug, Clone)]
pub(super) struct VipPlace {
    pub(super) vip: IpAddr,
    pub(super) interface: Interface,
}

/// Reads the interfaces of the configuration.
pub(super) async fn interfaces(net: &Net, spec: &Spec) -> Result<Vec<Interface>, StartError> {
    let mut interfaces = Vec::new();
    for name in &spec.gateway.interfaces {
        let found = net.interface(name).await?;
        interfaces.push(found.ok_or_else(|| StartError::NoInterface { name: name.clone() })?);
    }
    Ok(interfaces)
}

/// Waits, if not for ever, until nothing is on those of `interfaces` that had no program: the kernel takes a link off its
/// interface a moment after its pin.
pub(super) async fn await_bare(net: &Net, interfaces: &[Interface]) {
    for interface in interfaces.iter().filter(|interface| interface.xdp.is_none()) {
        for _ in 0..BARE_LOOKS {
            match net.interface(&interface.name).await {
                Ok(Some(now)) if now.xdp.is_some() => tokio::time::sleep(BARE_LOOK).await,
                _ => break,
            }
        }
    }
}

/// What the data plane attaches to.
pub(super) fn targets(interfaces: &[Interface]) -> Vec<Target> {
    let target = |interface: &Interface| Target {
        name: interface.name.clone(),
        ifindex: interface.ifindex,
        mtu: interface.mtu,
        program: interface.xdp.map(|xdp| OnInterface {
            id: xdp.program_id,
            place: match xdp.mode {
                XdpMode::Generic => Place::Generic,
                XdpMode::Offloaded => Place::Offloaded,
                XdpMode::Native | XdpMode::Multi => Place::Native,
            },
        }),
    };
    interfaces.iter().map(target).collect()
}

/// Refuses backends that packets could not reach as they are: the VIP's own, in mode dsr, come back from a router.
pub(super) async fn check_neighbours(net: &Net, spec: &Spec) -> Result<(), StartError> {
    for service in spec.services.iter().filter(|service| service.mode == Mode::Dsr) {
        for backend in &service.backends {
            if let Some(router) = net.router(backend.address.ip()).await? {
                return Err(StartError::BehindRouter {
                    service: service.name.clone(),
                    backend: backend.name.clone(),
                    address: backend.address.ip(),
                    router,
                });
            }
        }
    }
    Ok(())
}

/// Where each VIP, and each address of the pool, belongs.
pub(super) async fn vip_places(
    net: &Net,
    spec: &Spec,
    interfaces: &[Interface],
) -> Result<Vec<VipPlace>, StartError> {
    if !spec.gateway.assign_vip {
        return Ok(Vec::new());
    }
    let vips = wanted_addresses(spec);
    let mut places = Vec::new();
    for family in [Family::V4, Family::V6] {
        let vips = || vips.iter().copied().filter(move |vip| Family::of(*vip) == family);
        // What this host does not have (a kernel without IPv6) is not asked for in vain.
        let Some(_) = vips().next() else { continue };
        let default_route = net.default_route(family).await?;
        let place = |vip| {
            let interface = net::vip_interface(vip, interfaces, default_route)?.clone();
            Some(VipPlace { vip, interface })
        };
        places.extend(vips().filter_map(place));
    }
    Ok(places)
}

/// Refuses VIPs that another host answers for. Those that this host has already are not asked about.
pub(super) async fn check_conflicts(net: &Net, spec: &Spec, places: &[VipPlace]) -> Result<(), StartError> {
    for (interface, vips) in by_interface(&missing(net, places).await?) {
        if !interface.up {
            tracing::warn!(
                interface = interface.name,
                "is down: cannot ask whether another host has its VIPs"
            );
            continue;
        }
        if let Some((&vip, mac)) = net::conflicts(interface, &vips).await?.first_key_value() {
            return Err(StartError::VipTaken {
                vip,
                mac: mac.to_string(),
                interface: interface.name.clone(),
                advice: conflict_advice(spec, vip),
            });
        }
    }
    Ok(())
}

/// What to do where a host answers for `vip`.
fn conflict_advice(spec: &Spec, vip: IpAddr) -> &'static str {
    let dsr = spec.services.iter().any(|service| service.vip == vip && service.mode == Mode::Dsr);
    // An IPv6 address on another interface is not answered for.
    match (dsr, vip) {
        (true, IpAddr::V4(_)) => {
            "backends of mode dsr hold it on lo and say nothing of it (sysctl -w net.ipv4.conf.all.arp_ignore=1 \
             net.ipv4.conf.all.arp_announce=2)"
        }
        (true, IpAddr::V6(_)) => "backends of mode dsr hold it on lo",
        (false, _) => "remove it there",
    }
}

/// Those of the VIPs that are on no interface.
pub(super) async fn missing(net: &Net, places: &[VipPlace]) -> Result<Vec<VipPlace>, NetError> {
    let there: BTreeSet<IpAddr> = net.addresses().await?.into_iter().map(|address| address.ip).collect();
    Ok(places.iter().filter(|place| !there.contains(&place.vip)).cloned().collect())
}

/// Puts the VIPs that are missing on their interfaces. Returns those.
pub(super) async fn assign(net: &Net, places: &[VipPlace]) -> Result<Vec<VipPlace>, NetError> {
    let mut new = Vec::new();
    for place in missing(net, places).await? {
        if net.assign(place.vip, place.interface.ifindex).await? == Assigned::New {
            new.push(place);
        }
    }
    Ok(new)
}

/// Takes VIPs off whichever interfaces they are on by now.
pub(super) async fn remove_vips(net: &Net, vips: &BTreeSet<IpAddr>) -> Result<(), NetError> {
    if vips.is_empty() {
        return Ok(());
    }
    for address in net.addresses().await? {
        if vips.contains(&address.ip) {
            net.remove(address.ip, address.ifindex).await?;
        }
    }
    Ok(())
}

/// Announces VIPs, a few times, on the current runtime.
pub(super) fn announce(places: Vec<VipPlace>) {
    if places.is_empty() {
        return;
    }
    tokio::spawn(async move {
        for _ in 0..ANNOUNCEMENTS {
            for (interface, vips) in by_interface(&places) {
                if let Err(error) = net::announce(interface, &vips).await {
                    tracing::warn!(%error, "VIPs not announced: neighbours may use an old address for a while");
                }
            }
            tokio::time::sleep(ANNOUNCE_INTERVAL).await;
        }
    });
}

fn by_interface(places: &[VipPlace]) -> Vec<(&Interface, Vec<IpAddr>)> {
    let mut groups: BTreeMap<u32, (&Interface, Vec<IpAddr>)> = BTreeMap::new();
    for place in places {
        groups.entry(place.interface.ifindex).or_insert((&place.interface, Vec::new())).1.push(place.vip);
    }
    groups.into_values().collect()
}

/// Takes a picture now.
pub(super) async fn picture(net: &Net, spec: &Spec) -> Result<Picture, NetError> {
    let mut interfaces = Vec::new();
    for name in &spec.gateway.interfaces {
        interfaces.extend(net.interface(name).await?);
    }
    let addresses: BTreeSet<IpAddr> = spec
        .services
        .iter()
        .flat_map(|service| service.backends.iter().map(|backend| backend.address.ip()))
        .collect();
    let addresses: Vec<IpAddr> = addresses.into_iter().collect();
    let found = net.reach(&addresses).await?;
    // A VIP or an address of the pool is not the gateway's own: it may go elsewhere.
    let others = wanted_addresses(spec);
    let (mut next_hops, mut own_addresses) = (BTreeMap::new(), BTreeMap::new());
    for (address, Reach { next_hop, own_address }) in addresses.into_iter().zip(found) {
        next_hops.extend(next_hop.map(|hop| (address, hop)));
        let own = own_address.filter(|own| !others.contains(own));
        own_addresses.extend(own.map(|own| (address, own)));
    }
    let obstacles = obstacles::offloads(&interfaces, &net.layers().await?);
    Ok(Picture { interfaces, next_hops, own_addresses, obstacles })
}

/// The addresses that the daemon answers for: VIPs, and those of the pool.
pub(super) fn wanted_addresses(spec: &Spec) -> BTreeSet<IpAddr> {
    let vips = spec.services.iter().map(|service| service.vip);
    vips.chain(spec.gateway.source_pool.iter().copied()).collect()
}

/// Sends a picture after every change of the network, and now and then without one, until nobody takes them.
pub(super) async fn watch(net: Net, mut events: Watch, spec: Spec, pictures: mpsc::Sender<Picture>) {
    loop {
        match picture(&net, &spec).await {
            Ok(picture) => {
                if pictures.send(picture).await.is_err() {
                    return;
                }
            }
            Err(error) => tracing::warn!(%error, "cannot read the network's state; trying again"),
        }
        match tokio::time::timeout(RESYNC, events.changed()).await {
            Ok(Ok(())) | Err(_) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "network events are lost; reading everything now and then instead");
                tokio::time::sleep(RESYNC).await;
            }
        }
    }
}
