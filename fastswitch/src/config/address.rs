//! IP addresses, alone and with a port: which of them a host on the network can have, and how they are written.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use toml::de::DeValue;

use super::values::{Fault, quoted, text};

/// An address that clients can be given as the VIP.
pub(super) fn vip(value: &DeValue<'_>) -> Result<IpAddr, Fault> {
    alone(value, |text| match bare(text) {
        Some(address) => {
            format!("write \"{address}\": no port (that is `port`), no brackets, no prefix length")
        }
        None => "write an IP address, such as \"192.168.1.100\" or \"fd00::100\"; names are not resolved"
            .to_owned(),
    })
}

/// An address that the gateway speaks to backends from.
pub(super) fn source(value: &DeValue<'_>) -> Result<IpAddr, Fault> {
    alone(value, |_| {
        "write an IP address that nobody else has, such as \"192.168.1.201\"; ranges are not expanded"
            .to_owned()
    })
}

/// An IP address and nothing else; `help` is for other text.
fn alone(value: &DeValue<'_>, help: impl FnOnce(&str) -> String) -> Result<IpAddr, Fault> {
    let text = text(value)?;
    match text.parse::<IpAddr>() {
        Ok(address) => host(address, &text),
        Err(_) => Err(Fault::new(quoted(&text), ", not an IP address", help(&text))),
    }
}

/// Where a backend serves.
pub(super) fn address(value: &DeValue<'_>) -> Result<SocketAddr, Fault> {
    let text = text(value)?;
    let help = match (text.parse::<SocketAddr>(), text.parse::<IpAddr>()) {
        (Ok(address), _) if address.port() == 0 => "a port is 1 to 65535".to_owned(),
        (Ok(address), _) => return host(address.ip(), &text).map(|_| address),
        (_, Ok(IpAddr::V4(address))) => format!("add the port, such as \"{address}:7860\""),
        // Where the port of "fd00::10:7860" begins, nobody can tell: without brackets it is all address.
        (_, Ok(IpAddr::V6(address))) => {
            format!("put the address in brackets and the port after them, such as \"[{address}]:7860\"")
        }
        _ => "write IP address and port, such as \"192.168.1.10:7860\" or \"[fd00::10]:7860\"; names are not resolved"
            .to_owned(),
    };
    Err(Fault::new(quoted(&text), ", not an IP address with a port", help))
}

/// What messages call the family of `address`.
pub(super) fn family(address: IpAddr) -> &'static str {
    if address.is_ipv4() { "IPv4" } else { "IPv6" }
}

/// The address in text that has a port, a prefix length or brackets as well.
fn bare(text: &str) -> Option<IpAddr> {
    let (address, _) = text.split_once('/').unwrap_or((text, ""));
    let in_brackets = || address.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let with_port = || address.parse::<SocketAddr>().ok().map(|address| address.ip());
    address.parse().ok().or_else(in_brackets).or_else(with_port)
}

/// `address`, unless no single host can have it on a network.
fn host(address: IpAddr, text: &str) -> Result<IpAddr, Fault> {
    let wrong = match address {
        IpAddr::V4(address) => wrong_v4(address),
        IpAddr::V6(address) => wrong_v6(address),
    };
    match wrong {
        Some((kind, help)) => Err(Fault::new(quoted(text), &format!(", {kind}"), help)),
        None => Ok(address),
    }
}

const HELP: &str = "write an address that packets can be sent to on the network";

/// What kind of address `address` is if no single host can have it, and what to do.
fn wrong_v4(address: Ipv4Addr) -> Option<(&'static str, String)> {
    let kind = match address {
        _ if address.is_unspecified() => "the unspecified address",
        _ if address.is_loopback() => "a loopback address",
        _ if address.is_multicast() => "a multicast address",
        _ if address.is_broadcast() => "the broadcast address",
        _ => return None,
    };
    Some((kind, HELP.to_owned()))
}

/// The same for IPv6.
fn wrong_v6(address: Ipv6Addr) -> Option<(&'static str, String)> {
    if let Some(address) = address.to_ipv4_mapped() {
        // It would be the same place as the IPv4 address without looking like it.
        return Some(("an IPv4 address in the form of IPv6", format!("write it as {address}")));
    }
    if address.is_unicast_link_local() {
        let help = "it says nothing without an interface: write a global or unique local address (fd00::/8)";
        return Some(("a link-local address", help.to_owned()));
    }
    let kind = match address {
        _ if address.is_unspecified() => "the unspecified address",
        _ if address.is_loopback() => "a loopback address",
        _ if address.is_multicast() => "a multicast address",
        _ => return None,
    };
    Some((kind, HELP.to_owned()))
}
