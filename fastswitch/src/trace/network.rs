//! Where a client's packet arrives, and from which station: as the kernel's route to the client says.

use std::net::IpAddr;

use fastswitch_common::abi::ServiceInfo;

use super::leg::name;
use super::{Question, TraceError};
use crate::dataplane::{Pinned, PinnedService};
use crate::net::{Interface, Net};

/// The MAC address of a client that is not known: locally administered (IEEE 802-2014, 8.2.2), of nobody.
const NOBODY: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// Where a packet arrives.
pub(super) struct Arrival {
    pub(super) client: IpAddr,
    pub(super) interface: String,
    pub(super) ifindex: u32,
    /// The interface's own.
    pub(super) mac: [u8; 6],
    /// Of the station that the packet comes from.
    pub(super) client_mac: [u8; 6],
    /// What is not as it could be.
    pub(super) notes: Vec<String>,
    /// The gateway's addresses, each with the length of its prefix.
    addresses: Vec<(IpAddr, u8)>,
}

impl Arrival {
    /// The gateway's network that both the client and `other` are in.
    pub(super) fn network_of(&self, other: IpAddr) -> Option<String> {
        let both = |(address, prefix): &&(IpAddr, u8)| {
            same_network(*address, self.client, *prefix) && same_network(*address, other, *prefix)
        };
        self.addresses.iter().find(both).map(|(address, prefix)| format!("the network of {address}/{prefix}"))
    }
}

/// Finds out where the packet in question arrives.
pub(super) fn arrival(
    pinned: &Pinned,
    service: &PinnedService,
    question: &Question,
) -> Result<Arrival, TraceError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(look(pinned, &service.info, question))
}

async fn look(pinned: &Pinned, service: &ServiceInfo, question: &Question) -> Result<Arrival, TraceError> {
    let client = question.client;
    let on: Vec<String> = pinned.interfaces()?.into_iter().map(|interface| interface.name).collect();
    if client.is_unspecified() || client.is_multicast() || client.is_loopback() {
        return Err(TraceError::NoClient(client));
    }
    let net = Net::new()?;
    let mut interfaces = Vec::new();
    for name in &on {
        interfaces.extend(net.interface(name).await?);
    }
    let addresses: Vec<(IpAddr, u8)> =
        interfaces.iter().flat_map(|interface| interface.addresses.iter().copied()).collect();
    if addresses.iter().any(|(address, _)| *address == client) {
        return Err(TraceError::Own(client));
    }
    let mut notes = Vec::new();
    let way = net.way(client).await?;
    let all = || on.join(", ");
    let found = match (&question.from, way) {
        (Some(named), _) => {
            let there = net.interface(named).await?;
            let Some(there) = there else {
                return Err(TraceError::NoInterface { name: named.clone(), on: all() });
            };
            find(&interfaces, there.ifindex).ok_or_else(|| TraceError::NotOn {
                client,
                interface: named.clone(),
                guessed: false,
                on: all(),
            })?
        }
        (None, Some(way)) => find(&interfaces, way.ifindex).ok_or_else(|| TraceError::NotOn {
            client,
            interface: name(way.ifindex),
            guessed: true,
            on: all(),
        })?,
        (None, None) => {
            notes.push(format!(
                "the kernel has no route to {client}, which would say where its packets arrive"
            ));
            let first = interfaces.first();
            find(&interfaces, service.vip_ifindex).or(first).ok_or(TraceError::Nowhere)?
        }
    };
    let client_mac = match net.next_hop(client).await?.filter(|hop| hop.ifindex == found.ifindex) {
        Some(hop) => hop.mac.0,
        None => match pinned.way_of_client(client)?.filter(|hop| hop.ifindex == found.ifindex) {
            Some(hop) => {
                notes.push(format!(
                    "{client} is not in the kernel's neighbour table; its last packets came from there"
                ));
                hop.macs.destination()
            }
            None => {
                notes.push(format!(
                    "the MAC address that packets of {client} come from is not known: made up"
                ));
                NOBODY
            }
        },
    };
    if !found.up {
        notes.push(format!("{} is down: nothing arrives there at the moment", found.name));
    }
    Ok(Arrival {
        client,
        interface: found.name.clone(),
        ifindex: found.ifindex,
        mac: found.mac.0,
        client_mac,
        notes,
        addresses,
    })
}

fn find(interfaces: &[Interface], ifindex: u32) -> Option<&Interface> {
    interfaces.iter().find(|interface| interface.ifindex == ifindex)
}

/// Whether two addresses are in one network with a prefix of this length, which is shared by more than one station.
fn same_network(one: IpAddr, other: IpAddr, prefix: u8) -> bool {
    let (alike, whole) = match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => ((u32::from(one) ^ u32::from(other)).leading_zeros(), 32),
        (IpAddr::V6(one), IpAddr::V6(other)) => ((u128::from(one) ^ u128::from(other)).leading_zeros(), 128),
        _ => return false,
    };
    prefix < whole && alike >= u32::from(prefix)
}
