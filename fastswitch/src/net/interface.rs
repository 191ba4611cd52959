//! Facts about the gateway's interfaces, and which of them a VIP belongs on.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nix::errno::Errno;
use rtnetlink::RouteMessageBuilder;
use rtnetlink::packet_route::link::{
    LinkAttribute, LinkFlags, LinkLayerType, LinkMessage, LinkXdp, XdpAttached,
};
use rtnetlink::packet_route::route::{RouteAttribute, RouteHeader, RouteMessage, RouteType};

use super::{Family, Mac, Net, NetError, answers};

/// The kernel's IFNAMSIZ without the terminating zero, in bytes.
const NAME_LIMIT: usize = 15;

/// An Ethernet interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its name; not the one asked for, if that was an alternative name.
    pub name: String,
    /// Its index.
    pub ifindex: u32,
    /// Its Ethernet address.
    pub mac: Mac,
    /// Largest packet without its Ethernet header, in bytes.
    pub mtu: u32,
    /// Administratively up, and with a carrier.
    pub up: bool,
    /// Its IP addresses, each with the length of its prefix.
    pub addresses: Vec<(IpAddr, u8)>,
    /// The XDP program on it.
    pub xdp: Option<Xdp>,
}

/// An XDP program on an interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Xdp {
    /// The kernel's id of the program; with [`XdpMode::Multi`] the one that sees packets first.
    pub program_id: u32,
    /// Where it runs.
    pub mode: XdpMode,
}

/// Where an XDP program runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver.
    Native,
    /// Behind the driver, on a socket buffer.
    Generic,
    /// In the network card.
    Offloaded,
    /// Several programs, in several of these places.
    Multi,
}

impl Net {
    /// The interface of that name, or None if there is none.
    ///
    /// # Errors
    /// When it is not an Ethernet interface, or the kernel does not answer.
    pub async fn interface(&self, name: &str) -> Result<Option<Interface>, NetError> {
        if !is_name(name) {
            return Ok(None);
        }
        let links = match answers(self.handle.link().get().match_name(name).execute()).await {
            Ok(links) => links,
            Err(error) if error.raw_os_error() == Some(Errno::ENODEV as i32) => return Ok(None),
            Err(source) => {
                return Err(NetError::new(format_args!("look up interface {name}"), "CAP_NET_ADMIN", source));
            }
        };
        let Some(link) = links.first() else {
            return Ok(None);
        };
        let mut interface = parse(name, link)?;
        interface.addresses = self
            .addresses()
            .await?
            .into_iter()
            .filter(|address| address.ifindex == interface.ifindex)
            .map(|address| (address.ip, address.prefix))
            .collect();
        Ok(Some(interface))
    }

    /// Index of the interface of a family's default route (of the lowest metric, in the main table).
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn default_route(&self, family: Family) -> Result<Option<u32>, NetError> {
        let question = match family {
            Family::V4 => RouteMessageBuilder::<Ipv4Addr>::new().build(),
            Family::V6 => RouteMessageBuilder::<Ipv6Addr>::new().build(),
        };
        let request = self.handle.route().get(question);
        let routes = self
            .list(|| request.execute())
            .await
            .map_err(|source| NetError::new("list routes", "CAP_NET_ADMIN", source))?;
        Ok(routes.iter().filter_map(default_route).min().map(|(_, ifindex)| ifindex))
    }
}

/// Which of `interfaces` reaches the clients of `vip`: the one with the most specific subnet around it, else the
/// one of its family's default route ([`Net::default_route`]), else the first.
#[must_use]
pub fn vip_interface(
    vip: IpAddr,
    interfaces: &[Interface],
    default_route: Option<u32>,
) -> Option<&Interface> {
    // The VIP's own /32 or /128 says where it was put once, not where it belongs.
    let specificity = |interface: &Interface| {
        interface
            .addresses
            .iter()
            .filter(|(address, prefix)| {
                *prefix < Family::of(vip).whole() && same_subnet(*address, vip, *prefix)
            })
            .map(|(_, prefix)| *prefix)
            .max()
    };
    let connected = interfaces
        .iter()
        .rev() // max_by_key takes the last of equals; the operator's order prefers the first
        .filter_map(|interface| specificity(interface).map(|prefix| (prefix, interface)))
        .max_by_key(|(prefix, _)| *prefix)
        .map(|(_, interface)| interface);
    connected
        .or_else(|| interfaces.iter().find(|interface| Some(interface.ifindex) == default_route))
        .or_else(|| interfaces.first())
}

/// What to call the interface in a message.
pub(super) fn label(ifindex: u32) -> String {
    match name(ifindex) {
        Some(name) => format!("interface {name}"),
        None => format!("the interface with index {ifindex}"),
    }
}

/// The interface's name, unless it is gone.
pub(super) fn name(ifindex: u32) -> Option<String> {
    nix::net::if_::if_indextoname(ifindex).ok()?.into_string().ok()
}

/// Whether an operator has switched IPv6 off on the interface.
pub(super) fn ipv6_is_off(interface_name: &str) -> bool {
    is_name(interface_name)
        && std::fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{interface_name}/disable_ipv6"))
            .is_ok_and(|text| text.trim() != "0")
}

/// The kernel's rule; it also keeps a name from being more than one component of a path.
pub(super) fn is_name(name: &str) -> bool {
    let odd = |byte: u8| matches!(byte, b'/' | b':' | 0 | 0x0b) || byte.is_ascii_whitespace();
    (1..=NAME_LIMIT).contains(&name.len()) && name != "." && name != ".." && !name.bytes().any(odd)
}

fn same_subnet(one: IpAddr, other: IpAddr, prefix: u8) -> bool {
    let alike = match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (u32::from(one) ^ u32::from(other)).leading_zeros(),
        (IpAddr::V6(one), IpAddr::V6(other)) => (u128::from(one) ^ u128::from(other)).leading_zeros(),
        _ => return false,
    };
    alike >= u32::from(prefix)
}

fn parse(asked: &str, link: &LinkMessage) -> Result<Interface, NetError> {
    let (mut name, mut mac, mut mtu, mut xdp) = (asked.to_owned(), None, 0, None);
    for attribute in &link.attributes {
        match attribute {
            LinkAttribute::IfName(own) => name.clone_from(own),
            LinkAttribute::Address(bytes) => mac = <[u8; 6]>::try_from(bytes.as_slice()).ok().map(Mac),
            LinkAttribute::Mtu(bytes) => mtu = *bytes,
            LinkAttribute::Xdp(attributes) => xdp = parse_xdp(attributes),
            _ => {}
        }
    }
    let kind = link.header.link_layer_type;
    let Some(mac) = mac.filter(|_| kind == LinkLayerType::Ether) else {
        return Err(NetError::NotEthernet { name, kind: kind.to_string() });
    };
    Ok(Interface {
        name,
        ifindex: link.header.index,
        mac,
        mtu,
        up: link.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp),
        addresses: Vec::new(),
        xdp,
    })
}

fn parse_xdp(attributes: &[LinkXdp]) -> Option<Xdp> {
    let mode = attributes.iter().find_map(|attribute| match attribute {
        LinkXdp::Attached(XdpAttached::Driver) => Some(XdpMode::Native),
        LinkXdp::Attached(XdpAttached::SocketBuffer) => Some(XdpMode::Generic),
        LinkXdp::Attached(XdpAttached::Hardware) => Some(XdpMode::Offloaded),
        LinkXdp::Attached(XdpAttached::Multiple) => Some(XdpMode::Multi),
        _ => None,
    })?;
    // Only a single program has IFLA_XDP_PROG_ID. Packets meet the card's first, then the driver's, then the generic.
    let program_id = attributes
        .iter()
        .filter_map(|attribute| match attribute {
            LinkXdp::ProgId(id) => Some((0, *id)),
            LinkXdp::HwProgId(id) => Some((1, *id)),
            LinkXdp::DrvProgId(id) => Some((2, *id)),
            LinkXdp::SkbProgId(id) => Some((3, *id)),
            _ => None,
        })
        .min()?
        .1;
    Some(Xdp { program_id, mode })
}

/// Metric and interface, if that is what it is.
fn default_route(route: &RouteMessage) -> Option<(u32, u32)> {
    let header = &route.header;
    if header.destination_prefix_length != 0
        || header.table != RouteHeader::RT_TABLE_MAIN
        || header.kind != RouteType::Unicast
    {
        return None;
    }
    let (mut metric, mut ifindex) = (0, None);
    for attribute in &route.attributes {
        match attribute {
            RouteAttribute::Priority(priority) => metric = *priority,
            RouteAttribute::Oif(index) => ifindex = Some(*index),
            RouteAttribute::MultiPath(hops) => ifindex = hops.first().map(|hop| hop.interface_index),
            _ => {}
        }
    }
    ifindex.map(|ifindex| (metric, ifindex))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn interface(name: &str, ifindex: u32, addresses: &[(&str, u8)]) -> Interface {
        Interface {
            name: name.to_owned(),
            ifindex,
            mac: Mac([2, 0, 0, 0, 0, 1]),
            mtu: 1500,
            up: true,
            addresses: addresses.iter().map(|(ip, prefix)| (ip.parse().unwrap(), *prefix)).collect(),
            xdp: None,
        }
    }

    fn choice(vip: &str, interfaces: &[Interface], default_route: Option<u32>) -> String {
        vip_interface(vip.parse().unwrap(), interfaces, default_route).unwrap().name.clone()
    }

    #[test]
    fn the_most_specific_subnet_has_the_vip() {
        let interfaces = [
            interface("wide", 2, &[("10.0.0.1", 8)]),
            interface("narrow", 3, &[("192.0.2.1", 24), ("10.1.2.3", 16)]),
            interface("twin", 4, &[("10.1.2.4", 16)]),
        ];
        assert_eq!(choice("10.1.9.9", &interfaces, Some(2)), "narrow");
        assert_eq!(choice("10.2.0.1", &interfaces, Some(3)), "wide");
    }

    #[test]
    fn a_subnet_of_the_other_family_is_none() {
        let interfaces = [
            interface("four", 2, &[("0.0.0.1", 8), ("fd00:1::1", 64)]),
            interface("six", 3, &[("10.0.0.1", 8), ("fd00::1", 64), ("fd00::100", 128)]),
        ];
        assert_eq!(choice("fd00::100", &interfaces, Some(2)), "six");
        assert_eq!(choice("fd00:1::9", &interfaces, Some(3)), "four");
        assert_eq!(choice("fd00:2::9", &interfaces, Some(3)), "six");
    }

    #[test]
    fn where_the_vip_is_says_nothing_of_where_it_belongs() {
        let interfaces =
            [interface("lan", 2, &[("10.0.0.1", 24)]), interface("other", 3, &[("10.0.0.100", 32)])];
        assert_eq!(choice("10.0.0.100", &interfaces, None), "lan");
    }

    #[test]
    fn without_a_subnet_the_default_route_and_then_the_first() {
        let interfaces = [interface("a", 2, &[("10.0.0.1", 24)]), interface("b", 3, &[])];
        assert_eq!(choice("203.0.113.1", &interfaces, Some(3)), "b");
        assert_eq!(choice("203.0.113.1", &interfaces, Some(9)), "a");
        assert_eq!(choice("203.0.113.1", &interfaces, None), "a");
        assert_eq!(vip_interface("203.0.113.1".parse().unwrap(), &[], None), None);
    }

    #[test]
    fn prefixes_of_every_length() {
        let [one, other, far] = ["192.0.2.1", "192.0.2.0", "1.2.3.4"].map(|ip| ip.parse().unwrap());
        assert!(same_subnet(one, far, 0));
        assert!(same_subnet(one, other, 31));
        assert!(!same_subnet(one, other, 32));
        assert!(same_subnet(one, one, 32));
        let [six, other, far] = ["fd00::1", "fd00::", "2001:db8::"].map(|ip| ip.parse().unwrap());
        assert!(same_subnet(six, far, 0));
        assert!(same_subnet(six, other, 127));
        assert!(!same_subnet(six, other, 128));
        assert!(same_subnet(six, six, 128));
        assert!(!same_subnet(one, six, 0));
    }

    #[test]
    fn a_program_of_several_is_the_first_in_the_packets_way() {
        let several =
            [LinkXdp::Attached(XdpAttached::Multiple), LinkXdp::SkbProgId(9), LinkXdp::DrvProgId(7)];
        assert_eq!(parse_xdp(&several), Some(Xdp { program_id: 7, mode: XdpMode::Multi }));
        let one = [LinkXdp::Attached(XdpAttached::SocketBuffer), LinkXdp::ProgId(4), LinkXdp::SkbProgId(4)];
        assert_eq!(parse_xdp(&one), Some(Xdp { program_id: 4, mode: XdpMode::Generic }));
        assert_eq!(parse_xdp(&[LinkXdp::Attached(XdpAttached::None)]), None);
    }

    #[test]
    fn names_do_not_leave_their_directory() {
        for name in ["", ".", "..", "../all", "a/b", "a b", "a:b", "a\0", "a\u{b}b", "0123456789abcdef"] {
            assert!(!is_name(name), "{name:?}");
        }
        for name in ["eth0", "eth0.100", "...", "br-\u{e4}", "0123456789abcde"] {
            assert!(is_name(name), "{name:?}");
        }
    }
}
