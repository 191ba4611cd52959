//! IP addresses of the gateway: which there are, and a VIP put on an interface, alone in its prefix, and taken off
//! again.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::errno::Errno;
use rtnetlink::AddressMessageBuilder;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, CacheInfo};

use super::{Family, Net, NetError, answer, interface};

/// For as long as the address is there, in the kernel's seconds.
const FOREVER: u32 = u32::MAX;

/// An IP address on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// Length of its prefix in bits.
    pub prefix: u8,
    /// The interface it is on.
    pub ifindex: u32,
}

/// What [`Net::assign`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assigned {
    /// The address was not there; now it is.
    New,
    /// The address was there already; IPv4: as a /32.
    Present,
}

impl Net {
    /// Every IP address of this network namespace.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn addresses(&self) -> Result<Vec<Address>, NetError> {
        let mut request = self.handle.address().get();
        request.message_mut().header.family = AddressFamily::Unspec;
        let messages = self
            .list(|| request.execute())
            .await
            .map_err(|source| NetError::new("list addresses", "CAP_NET_ADMIN", source))?;
        Ok(messages.iter().filter_map(parse).collect())
    }

    /// Puts `vip` on the interface, as a /32 or /128.
    ///
    /// # Errors
    /// Without CAP_NET_ADMIN, when the interface is gone, or when the kernel refuses the address.
    pub async fn assign(&self, vip: IpAddr, ifindex: u32) -> Result<Assigned, NetError> {
        let prefix = Family::of(vip).whole();
        let mut request = self.handle.address().add(ifindex, vip, prefix);
        if vip.is_ipv6() {
            request.message_mut().attributes.extend(ipv6_terms());
        }
        match answer(request.execute()).await {
            Ok(()) => Ok(Assigned::New),
            Err(error) if error.raw_os_error() == Some(Errno::EEXIST as i32) => Ok(Assigned::Present),
            Err(source) => Err(assign_failed(vip, ifindex, source)),
        }
    }

    /// Takes `vip`, a /32 or /128, off the interface. That it is not there, or the interface is gone, is fine.
    ///
    /// # Errors
    /// Without CAP_NET_ADMIN, or when the kernel does not answer.
    pub async fn remove(&self, vip: IpAddr, ifindex: u32) -> Result<(), NetError> {
        let prefix = Family::of(vip).whole();
        let message = match vip {
            IpAddr::V4(vip) => {
                AddressMessageBuilder::<Ipv4Addr>::new().index(ifindex).address(vip, prefix).build()
            }
            IpAddr::V6(vip) => {
                AddressMessageBuilder::<Ipv6Addr>::new().index(ifindex).address(vip, prefix).build()
            }
        };
        match answer(self.handle.address().del(message).execute()).await {
            Ok(()) => Ok(()),
            Err(error)
                if matches!(
                    error.raw_os_error().map(Errno::from_raw),
                    Some(Errno::EADDRNOTAVAIL | Errno::ENODEV)
                ) =>
            {
                Ok(())
            }
            Err(source) => Err(NetError::new(
                format_args!("remove {vip}/{prefix} from {}", interface::label(ifindex)),
                "CAP_NET_ADMIN",
                source,
            )),
        }
    }
}

/// How a VIP of IPv6 is there. Without duplicate address detection, which takes a second: whether another host has it
/// was asked before. Never the source of the gateway's own packets: as the closest match it would be, for heartbeats
/// too. And without a route, which in IPv6 comes even with a prefix that is the address alone.
fn ipv6_terms() -> [AddressAttribute; 2] {
    let mut lifetimes = CacheInfo::default();
    (lifetimes.ifa_preferred, lifetimes.ifa_valid) = (0, FOREVER);
    let flags = AddressFlags::Nodad | AddressFlags::Noprefixroute;
    [AddressAttribute::Flags(flags), AddressAttribute::CacheInfo(lifetimes)]
}

fn assign_failed(vip: IpAddr, ifindex: u32, source: io::Error) -> NetError {
    let action = format!("assign {vip}/{} to {}", Family::of(vip).whole(), interface::label(ifindex));
    match interface::name(ifindex) {
        Some(interface) if vip.is_ipv6() && interface::ipv6_is_off(&interface) => {
            NetError::NoIpv6 { action, interface }
        }
        _ => NetError::new(action, "CAP_NET_ADMIN", source),
    }
}

fn parse(message: &AddressMessage) -> Option<Address> {
    let (mut local, mut address) = (None, None);
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(ip) => local = Some(*ip),
            AddressAttribute::Address(ip) => address = Some(*ip),
            _ => {}
        }
    }
    // Where both are there, IFA_ADDRESS is the far end of a point-to-point link; in IPv6 it is usually alone.
    let ip = local.or(address)?;
    let prefix = message.header.prefix_len.min(Family::of(ip).whole());
    Some(Address { ip, prefix, ifindex: message.header.index })
}
