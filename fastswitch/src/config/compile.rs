//! The whole file, and `[gateway]`.

use toml::de::DeTable;

use super::host::Host;
use super::log::{Log, Read};
use super::reader::Reader;
use super::service::Services;
use super::unique::Unique;
use super::values::{boolean, interface, quoted};
use crate::machine::spec::{Gateway, Spec};

/// Most interfaces of a gateway: what the pinned maps have room for.
const MAX_INTERFACES: usize = 64;

/// Compiles a file; whatever is wrong with it is in `log`.
pub(super) fn spec<'a>(table: DeTable<'_>, log: &'a Log<'a>, host: Option<&'a dyn Host>) -> Read<Spec> {
    let mut file = Reader::new(log, table, host);
    let gateway = gateway(&mut file);
    let services = Services::read(&mut file, log);
    file.finish();
    Ok(Spec { gateway: gateway?, services: services? })
}

fn gateway(file: &mut Reader<'_, '_>) -> Read<Gateway> {
    let Some(mut reader) = file.table("gateway")? else {
        let help = "add [gateway] with interfaces = [\"eth0\"]";
        return Err(file.error(file.at(), "gateway", "is missing", help));
    };
    let interfaces = interfaces(&mut reader);
    let assign_vip = reader.or("assign_vip", Ok(true), boolean);
    reader.finish();
    Ok(Gateway { interfaces: interfaces?, assign_vip: assign_vip? })
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
