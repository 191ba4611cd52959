//! What about the gateway's interfaces keeps packets from being forwarded, each with the command that mends it.

use std::collections::BTreeSet;

use crate::machine::spec::{Mode, Spec};
use crate::net::{self, Family, Interface, Layer, Offload, XdpMode};

/// What will keep replies that arrive on an interface from being forwarded.
pub(super) fn not_forwarded(spec: &Spec, interface_name: &str) -> Vec<String> {
    // In mode dsr replies need not come this way.
    let nat = spec.services.iter().filter(|service| service.mode != Mode::Dsr);
    let families = nat.map(|service| Family::of(service.vip)).collect::<BTreeSet<_>>();
    let off =
        families.into_iter().filter(|family| !matches!(net::forwarding(interface_name, *family), Ok(true)));
    off.map(|family| {
        format!(
            "the kernel does not forward {} on {interface_name}, so replies of backends cannot be: sysctl -w {}",
            family.name(),
            net::forwarding_sysctl(family)
        )
    })
    .collect()
}

/// What is done to packets before the program sees them that it cannot undo.
pub(super) fn offloads(interfaces: &[Interface], layers: &[Layer]) -> Vec<String> {
    let is_on = |name: &str, offload| net::is_on(name, offload).unwrap_or(false);
    let mut found = Vec::new();
    // The kernel switches this off on an interface with a program itself, but not on one below it.
    for interface in interfaces {
        if interface.xdp.is_none_or(|xdp| xdp.mode != XdpMode::Generic) {
            continue;
        }
        let ports = layers.iter().filter(|layer| layer.port_of == Some(interface.ifindex));
        for port in ports.filter(|port| is_on(&port.name, Offload::Joining)) {
            found.push(format!(
                "{}, a port of {}, joins packets on arrival into larger ones, which cannot be sent on: ethtool -K {} {} off",
                port.name,
                interface.name,
                port.name,
                Offload::Joining.name()
            ));
        }
    }
    found
}
