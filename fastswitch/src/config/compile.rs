//! The whole file, and `[gateway]`.

use std::net::IpAddr;
use std::num::NonZeroU32;

use toml::de::DeTable;

use super::address;
use super::host::Host;
use super::log::{Log, Read};
use super::reader::{At, Reader};
use super::service::Services;
use super::unique::Unique;
use super::values::{boolean, flows, interface, quoted};
use super::words::XDP_MODES;
use crate::machine::spec::{Gateway, Spec, XdpMode};

/// Most interfaces of a gateway: what the pinned maps have room for.
const MAX_INTERFACES: usize = 64;
/// Most addresses of the pool, likewise; half, so that an exchange of all of them finds room.
const MAX_SOURCES: usize = 128;
/// Flows that are remembered unless told otherwise; about 300 bytes each.
const FLOWS: NonZeroU32 = NonZeroU32::new(131_072).unwrap();

/// Compiles a file; whatever is wrong with it is in `log`.
pub(super) fn spec<'a>(table: DeTable<'_>, log: &'a Log<'a>, host: Option<&'a dyn Host>) -> Read<Spec> {
    let mut file = Reader::new(log, table, host);
    let (gateway, pool) = gateway(&mut file);
    let services = Services::read(&mut file, log, &pool);
    file.finish();
    Ok(Spec { gateway: gateway?, services: services? })
}

/// Also the pool, with where each address stands: services further down must not use them.
fn gateway(file: &mut Reader<'_, '_>) -> (Read<Gateway>, Vec<At<IpAddr>>) {
    let mut reader = match file.table("gateway") {
        Ok(Some(reader)) => reader,
        Ok(None) => {
            let help = "add [gateway] with interfaces = [\"eth0\"]";
            return (Err(file.error(file.at(), "gateway", "is missing", help)), Vec::new());
        }
        Err(reported) => return (Err(reported), Vec::new()),
    };
    let interfaces = interfaces(&mut reader);
    let xdp_mode = reader.or("xdp_mode", Ok(XdpMode::Auto), |value| XDP_MODES.read(value));
    let assign_vip = reader.or("assign_vip", Ok(true), boolean);
    let local_clients = reader.or("local_clients", Ok(true), boolean);
    let pool = source_pool(&mut reader);
    let max_flows = reader.or("max_flows", Ok(FLOWS), flows);
    reader.finish();
    let places = pool.as_ref().map_or(Vec::new(), Clone::clone);
    let gateway = || {
        let source_pool = pool?.into_iter().map(|address| address.value).collect();
        Ok(Gateway {
            interfaces: interfaces?,
            xdp_mode: xdp_mode?,
            assign_vip: assign_vip?,
            local_clients: local_clients?,
            source_pool,
            max_flows: max_flows?,
        })
    };
    (gateway(), places)
}

fn source_pool(reader: &mut Reader<'_, '_>) -> Read<Vec<At<IpAddr>>> {
    if reader.position("source_pool").is_none() {
        return Ok(Vec::new());
    }
    let pool = reader.list("source_pool", "source_pool = [\"192.168.1.201\"]", address::source)?;
    let mut seen = Unique::new();
    for (index, address) in pool.iter().enumerate() {
        if seen.claim(address.value, "", address.at).is_some() {
            let problem = format!("is {} once more", address.value);
            reader.error(address.at, &format!("source_pool[{index}]"), &problem, "name each address once");
        }
    }
    if let Some(first) = pool.get(MAX_SOURCES) {
        let problem = format!("has {} addresses, but there is room for {MAX_SOURCES}", pool.len());
        let help = "each has 64,512 ports for each backend: fewer will do";
        reader.error(first.at, "source_pool", &problem, help);
    }
    Ok(pool)
}

fn interfaces(reader: &mut Reader<'_, '_>) -> Read<Vec<String>> {
    let interfaces = reader.list("interfaces", "interfaces = [\"eth0\"]", interface)?;
    let mut seen = Unique::new();
    for (index, interface) in interfaces.iter().enumerate() {
        let (key, name) = (format!("interfaces[{index}]"), quoted(&interface.value));
        if seen.claim(&interface.value, "", interface.at).is_some() {
            let problem = format!("is {name} once more");
            reader.error(interface.at, &key, &problem, "name each interface once");
        }
        if reader.host().is_some_and(|host| !host.has_interface(&interface.value)) {
            let problem = format!("is {name}, which this machine does not have");
            reader.error(interface.at, &key, &problem, "`ip link` lists the interfaces that it has");
        }
    }
    if let Some(first) = interfaces.get(MAX_INTERFACES) {
        let problem = format!("has {} names, but there is room for {MAX_INTERFACES}", interfaces.len());
        let help = "name those that packets of clients or backends arrive on, only";
        reader.error(first.at, "interfaces", &problem, help);
    }
    Ok(interfaces.into_iter().map(|interface| interface.value).collect())
}
