//! `[[service.backend]]`: its keys, and what its tier demands or forbids.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::address::{address, family};
use super::heartbeat::Plan;
use super::log::Read;
use super::reader::{At, Reader};
use super::unique::Unique;
use super::values::{argument, duration, name, quoted};
use super::words::TIERS;
use crate::machine::spec::{Backend, Mode, Script, Tier};

/// How long scripts may take, and how long a backend may take to get ready after them.
const PATIENCE: Duration = Duration::from_secs(60);

/// The service that backends are read for.
pub(super) struct Siblings {
    /// How messages call the service.
    service: String,
    front: Front,
    /// The heartbeat that backends override.
    heartbeat: Plan,
    names: Unique<String>,
    addresses: Unique<SocketAddr>,
}

/// What a service's own keys demand of the addresses of its backends.
#[derive(Clone, Copy)]
pub(super) struct Front {
    pub(super) vip: Read<IpAddr>,
    pub(super) port: Read<u16>,
    pub(super) mode: Read<Mode>,
}

/// A backend as read: its address on its own, for comparison with other services even if the rest has errors.
pub(super) struct Candidate {
    /// How messages call the backend.
    pub(super) object: String,
    pub(super) address: Read<At<SocketAddr>>,
    pub(super) backend: Read<Backend>,
}

impl Siblings {
    pub(super) fn new(service: &str, front: Front, heartbeat: Plan) -> Self {
        let (names, addresses) = (Unique::new(), Unique::new());
        Self { service: service.to_owned(), front, heartbeat, names, addresses }
    }

    /// Reads the backend at `position` in the order of preference.
    pub(super) fn read(&mut self, mut reader: Reader<'_, '_>, position: usize) -> Candidate {
        let who = reader.peek("name").map_or_else(|| (position + 1).to_string(), quoted);
        reader.call(format!("{}, backend {who}", self.service));
        let name = self.name(&mut reader);
        let address = self.address(&mut reader);
        let (tier, start, stop) = actions(&mut reader, position);
        let heartbeat = self.heartbeat.clone().overridden(reader.table("heartbeat"));
        let ready_timeout = reader.or("ready_timeout", Ok(PATIENCE), duration);
        let object = reader.object().to_owned();
        reader.finish();
        let backend = || {
            let address = address.as_ref().map_err(|reported| *reported)?.value;
            Ok(Backend {
                name: name?,
                address,
                tier: tier?,
                heartbeat: heartbeat.compile(address.port())?,
                start: start?,
                stop: stop?,
                ready_timeout: ready_timeout?,
            })
        };
        Candidate { backend: backend(), object, address }
    }

    fn name(&mut self, reader: &mut Reader<'_, '_>) -> Read<String> {
        let name = reader.required("name", "name = \"primary\"", name)?;
        match self.names.claim(name.value.clone(), "", name.at) {
            None => Ok(name.value),
            Some(first) => {
                let problem = format!("is also that of the backend at line {}", reader.line(first.at));
                Err(reader.error(name.at, "name", &problem, "give each backend of a service its own name"))
            }
        }
    }

    fn address(&mut self, reader: &mut Reader<'_, '_>) -> Read<At<SocketAddr>> {
        let address = reader.required("address", "address = \"192.168.1.10:7860\"", address)?;
        self.front.check(reader, &address)?;
        match self.addresses.claim(address.value, reader.object(), address.at) {
            None => Ok(address),
            Some(first) => {
                let (who, line) = (first.who, reader.line(first.at));
                let problem = format!("{} is also that of {who} at line {line}", address.value);
                let help =
                    "failing over to the same place helps nobody: remove one of them, or correct the address";
                Err(reader.error(address.at, "address", &problem, help))
            }
        }
    }
}

impl Front {
    /// Whether a service of this kind can have a backend at `address`.
    fn check(self, reader: &Reader<'_, '_>, address: &At<SocketAddr>) -> Read<()> {
        let (backend, at) = (address.value, address.at);
        if let Ok(vip) = self.vip
            && vip.is_ipv4() != backend.is_ipv4()
        {
            let is = family(backend.ip());
            let problem = format!("is {backend}, an {is} address: wrong family for the VIP {vip}");
            let help =
                format!("write an {} address, or make a service of its own with an {is} VIP", family(vip));
            return Err(reader.error(at, "address", &problem, &help));
        }
        if let (Ok(Mode::Dsr), Ok(port)) = (self.mode, self.port)
            && port != backend.port()
        {
            let problem = format!("is {backend}, but the service's port is {port}");
            let help = "in mode dsr packets keep their port: let the backend listen on it, or use mode nat";
            return Err(reader.error(at, "address", &problem, help));
        }
        Ok(())
    }
}

/// `tier`, `start` and `stop`, which depend on each other.
fn actions(
    reader: &mut Reader<'_, '_>,
    position: usize,
) -> (Read<Tier>, Read<Option<Script>>, Read<Option<Script>>) {
    let tier_at = reader.position("tier").unwrap_or(reader.at());
    let mut tier = reader.or("tier", Ok(Tier::Hot), |value| TIERS.read(value));
    let (start_at, stop_at) = (reader.position("start"), reader.position("stop"));
    match tier {
        Ok(Tier::Warm | Tier::Cold) if position == 0 => {
            let problem = "must be \"hot\": the first backend is the primary";
            let help = "list a hot backend first; the order of backends is the order of preference";
            tier = Err(reader.error(tier_at, "tier", problem, help));
        }
        Ok(Tier::Hot) => {
            for (key, at) in [("start", start_at), ("stop", stop_at)] {
                if let Some(at) = at {
                    let help = "remove it, or set tier = \"warm\" or \"cold\"";
                    reader.error(at, key, "is given, but a hot backend already runs", help);
                }
            }
        }
        Ok(tier @ (Tier::Warm | Tier::Cold)) if start_at.is_none() => {
            let problem = format!("is \"{}\", but there is no `start`", tier.name());
            let help = "add what makes it serve: start.command = [\"/etc/fastswitch/start.sh\"]";
            reader.error(tier_at, "tier", &problem, help);
        }
        _ => {}
    }
    if let (Err(_), None, Some(at)) = (tier, start_at, stop_at) {
        reader.error(at, "stop", "is given without `start`", "add start.command, or remove it");
    }
    (tier, script(reader, "start"), script(reader, "stop"))
}

fn script(backend: &mut Reader<'_, '_>, key: &'static str) -> Read<Option<Script>> {
    let Some(mut reader) = backend.table(key)? else { return Ok(None) };
    let command = command(&mut reader);
    let timeout = reader.or("timeout", Ok(PATIENCE), duration);
    reader.finish();
    Ok(Some(Script { command: command?, timeout: timeout? }))
}

fn command(reader: &mut Reader<'_, '_>) -> Read<Vec<String>> {
    let example = "command = [\"/etc/fastswitch/start.sh\", \"argument\"]";
    let command = reader.list("command", example, argument)?;
    if let Some(program) = command.first().filter(|program| !program.value.starts_with('/')) {
        let problem = format!("is {}, not an absolute path", quoted(&program.value));
        let help = "write the whole path of the program; nothing is searched for, and no shell is used";
        return Err(reader.error(program.at, "command[0]", &problem, help));
    }
    if let (Some(host), Some(program)) = (reader.host(), command.first())
        && let Some(why) = host.unfit(&program.value)
    {
        let problem = format!("is {}, which cannot be run: {why}", quoted(&program.value));
        let help = format!("put a program there and make it executable: chmod +x {}", program.value);
        return Err(reader.error(program.at, "command[0]", &problem, &help));
    }
    Ok(command.into_iter().map(|argument| argument.value).collect())
}
