//! IPv4 addresses of the gateway: which there are, and a VIP's /32 put on an interface and taken off again.

use std::net::{IpAddr, Ipv4Addr};

use nix::errno::Errno;
use rtnetlink::AddressMessageBuilder;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressMessage};

use super::{Net, NetError, answer, interface};

/// Length of the prefix that a VIP is assigned with: no connected route, no broadcast address comes with it.
const VIP_PREFIX: u8 = 32;

/// An IPv4 address on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    /// The address.
    pub ip: Ipv4Addr,
    /// Length of its prefix, 0 to 32.
    pub prefix: u8,
    /// The interface it is on.
    pub ifindex: u32,
}

/// What [`Net::assign`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assigned {
    /// The address was not there; now it is.
    New,
    /// The address was there already, as a /32.
    Present,
}

impl Net {
    /// Every IPv4 address of this network namespace.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn addresses(&self) -> Result<Vec<Address>, NetError> {
        let mut request = self.handle.address().get();
        request.message_mut().header.family = AddressFamily::Inet;
        let messages = self
            .list(|| request.execute())
            .await
            .map_err(|source| NetError::new("list addresses", "CAP_NET_ADMIN", source))?;
        Ok(messages.iter().filter_map(parse).collect())
    }

    /// Index of an interface that holds `vip`, whatever its prefix. For many VIPs ask [`Self::addresses`] once.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn owner(&self, vip: Ipv4Addr) -> Result<Option<u32>, NetError> {
        let addresses = self.addresses().await?;
        Ok(addresses.iter().find(|address| address.ip == vip).map(|address| address.ifindex))
    }

    /// Puts `vip`/32 on the interface.
    ///
    /// # Errors
    /// Without CAP_NET_ADMIN, when the interface is gone, or when the kernel refuses the address.
    pub async fn assign(&self, vip: Ipv4Addr, ifindex: u32) -> Result<Assigned, NetError> {
        let request = self.handle.address().add(ifindex, IpAddr::V4(vip), VIP_PREFIX);
        match answer(request.execute()).await {
            Ok(()) => Ok(Assigned::New),
            Err(error) if error.raw_os_error() == Some(Errno::EEXIST as i32) => Ok(Assigned::Present),
            Err(source) => Err(NetError::new(
                format_args!("assign {vip}/{VIP_PREFIX} to {}", interface::label(ifindex)),
                "CAP_NET_ADMIN",
                source,
            )),
        }
    }

    /// Takes `vip`/32 off the interface. That it is not there, or the interface is gone, is fine.
    ///
    /// # Errors
    /// Without CAP_NET_ADMIN, or when the kernel does not answer.
    pub async fn remove(&self, vip: Ipv4Addr, ifindex: u32) -> Result<(), NetError> {
        let message =
            AddressMessageBuilder::<Ipv4Addr>::new().index(ifindex).address(vip, VIP_PREFIX).build();
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
                format_args!("remove {vip}/{VIP_PREFIX} from {}", interface::label(ifindex)),
                "CAP_NET_ADMIN",
                source,
            )),
        }
    }
}

fn parse(message: &AddressMessage) -> Option<Address> {
    let ip = message.attributes.iter().find_map(|attribute| match attribute {
        // IFA_ADDRESS would be the far end on a point-to-point link.
        AddressAttribute::Local(IpAddr::V4(ip)) => Some(*ip),
        _ => None,
    })?;
    Some(Address { ip, prefix: message.header.prefix_len.min(32), ifindex: message.header.index })
}
