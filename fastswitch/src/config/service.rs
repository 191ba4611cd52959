//! `[[service]]`: its keys, and what no two services may share.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::address::vip;
use super::backend::{Candidate, Front, Siblings};
use super::heartbeat::Plan;
use super::log::{Log, Read};
use super::reader::{At, Reader};
use super::unique::Unique;
use super::values::{delay, name, port, quoted};
use super::words::{FAILBACK, MODES, ON_OUTAGE, PROTOCOLS};
use crate::machine::spec::{Backend, Failback, Mode, OnOutage, Protocol, Service};

/// Most services of a gateway: what the pinned maps have room for.
const MAX_SERVICES: usize = 2048;
/// Most backends of a service, likewise.
const MAX_BACKENDS: usize = 16;
/// How long a preferred backend must have been up before an automatic return to it.
const FAILBACK_DELAY: Duration = Duration::from_secs(30);
/// How long, after a planned switch, the backend before keeps its open connections: requests end in it, sessions not.
const DRAIN: Duration = Duration::from_secs(5);

/// The services read so far, for what each next one must not share with them.
pub(super) struct Services<'a> {
    log: &'a Log<'a>,
    names: Unique<String>,
    endpoints: Unique<(IpAddr, u16, &'static str)>,
    vips: Unique<IpAddr>,
    /// Of services whose replies are known by the backend alone.
    origins: Unique<(SocketAddr, &'static str)>,
    /// Of services whose replies are known by their flow.
    flow_origins: Unique<(SocketAddr, &'static str)>,
    backends: Vec<(String, At<SocketAddr>)>,
}

impl<'a> Services<'a> {
    /// Reads all services of a file.
    pub(super) fn read(
        file: &mut Reader<'_, '_>,
        log: &'a Log<'a>,
        source_pool: &[At<IpAddr>],
    ) -> Read<Vec<Service>> {
        let mut all = Self {
            log,
            names: Unique::new(),
            endpoints: Unique::new(),
            vips: Unique::new(),
            origins: Unique::new(),
            flow_origins: Unique::new(),
            backends: Vec::new(),
        };
        let readers = file.tables("service", "[[service]]", MAX_SERVICES);
        let services: Vec<_> =
            readers.into_iter().enumerate().map(|(index, reader)| all.service(reader, index)).collect();
        all.check_vips();
        all.check_pool(source_pool);
        services.into_iter().collect()
    }

    fn service(&mut self, mut reader: Reader<'_, '_>, index: usize) -> Read<Service> {
        let who = reader.peek("name").map_or_else(|| (index + 1).to_string(), quoted);
        reader.call(format!("service {who}"));
        let name = self.name(&mut reader);
        let protocol = reader.or("protocol", Ok(Protocol::Tcp), |value| PROTOCOLS.read(value));
        let vip = reader.required("vip", "vip = \"192.168.1.100\"", vip);
        let port = reader.required("port", "port = 7860", port).map(|port| port.value);
        let mode = reader.or("mode", Ok(Mode::Nat), |value| MODES.read(value));
        let front =
            Front { vip: vip.as_ref().map(|vip| vip.value).map_err(|reported| *reported), port, mode };
        let endpoint = self.endpoint(&reader, vip, port, protocol);
        let on_outage = reader.or("on_outage", Ok(OnOutage::Reject), |value| ON_OUTAGE.read(value));
        let failback = failback(&mut reader);
        let drain = drain(&mut reader, protocol);
        let heartbeat = Plan::new(protocol).overridden(reader.table("heartbeat"));
        let backends = self.backends(&mut reader, front, heartbeat, protocol);
        reader.finish();
        let (vip, port) = endpoint?;
        Ok(Service {
            name: name?,
            vip,
            port,
            protocol: protocol?,
            mode: mode?,
            on_outage: on_outage?,
            failback: failback?,
            drain: drain?,
            backends: backends?,
        })
    }

    fn name(&mut self, reader: &mut Reader<'_, '_>) -> Read<String> {
        let name = reader.required("name", "name = \"asr\"", name)?;
        match self.names.claim(name.value.clone(), "", name.at) {
            None => Ok(name.value),
            Some(first) => {
                let problem = format!("is also that of the service at line {}", self.log.line(first.at));
                Err(reader.error(name.at, "name", &problem, "give each service its own name"))
            }
        }
    }

    fn endpoint(
        &mut self,
        reader: &Reader<'_, '_>,
        vip: Read<At<IpAddr>>,
        port: Read<u16>,
        protocol: Read<Protocol>,
    ) -> Read<(IpAddr, u16)> {
        let vip = vip?;
        self.vips.claim(vip.value, reader.object(), vip.at);
        let (port, protocol) = (port?, protocol?.name());
        match self.endpoints.claim((vip.value, port, protocol), reader.object(), vip.at) {
            None => Ok((vip.value, port)),
            Some(first) => {
                let problem = format!(
                    "{} with port {port}/{protocol} is also that of {} at line {}",
                    vip.value,
                    first.who,
                    self.log.line(first.at)
                );
                let help = "give one of them another vip, port or protocol";
                Err(reader.error(vip.at, "vip", &problem, help))
            }
        }
    }

    fn backends(
        &mut self,
        reader: &mut Reader<'_, '_>,
        front: Front,
        heartbeat: Plan,
        protocol: Read<Protocol>,
    ) -> Read<Vec<Backend>> {
        let readers = reader.tables("backend", "[[service.backend]]", MAX_BACKENDS);
        let mut siblings = Siblings::new(reader.object(), front, heartbeat);
        let candidates: Vec<_> = readers
            .into_iter()
            .enumerate()
            .map(|(position, reader)| siblings.read(reader, position))
            .collect();
        let backends = candidates.into_iter().map(|candidate| self.admit(candidate, front.mode, protocol));
        // Every one has to be admitted, also after one with errors.
        backends.collect::<Vec<_>>().into_iter().collect()
    }

    fn admit(&mut self, candidate: Candidate, mode: Read<Mode>, protocol: Read<Protocol>) -> Read<Backend> {
        let Candidate { object, address, backend } = candidate;
        let Ok(address) = address else { return backend };
        let At { at, value } = address;
        self.backends.push((object.clone(), address));
        let key = (value, protocol?.name());
        let first = match mode? {
            // Backends answer as the VIP: whose reply it is shows.
            Mode::Dsr => return backend,
            Mode::Nat => {
                let first = self.origins.claim(key, &object, at);
                first.or_else(|| self.flow_origins.owner(&key).cloned())
            }
            Mode::FullNat => {
                self.flow_origins.claim(key, &object, at);
                self.origins.owner(&key).cloned()
            }
        };
        let Some(first) = first else { return backend };
        let line = self.log.line(first.at);
        let message = format!("{object}: `address` {value} is also that of {} at line {line}", first.who);
        let help = "in mode nat a reply from there could belong to either service: use another port or machine, or \
                    mode full_nat for both";
        Err(self.log.add(at, message, help))
    }

    /// Services further down have VIPs too, so this comes last.
    fn check_vips(&self) {
        for (object, At { at, value }) in &self.backends {
            if let Some(owner) = self.vips.owner(&value.ip()) {
                let (who, line) = (&owner.who, self.log.line(owner.at));
                let message = format!("{object}: `address` is {value}, on the VIP of {who} at line {line}");
                self.log.add(*at, message, "write the machine's own address");
            }
        }
    }
}

impl Services<'_> {
    /// The pool's addresses are the gateway's alone.
    fn check_pool(&self, source_pool: &[At<IpAddr>]) {
        for At { at, value } in source_pool {
            let vip = self.vips.owner(value).map(|owner| (format!("the VIP of {}", owner.who), owner.at));
            let backend = || self.backends.iter().find(|(_, address)| address.value.ip() == *value);
            let other =
                vip.or_else(|| backend().map(|(who, address)| (format!("that of {who}"), address.at)));
            if let Some((what, line)) = other {
                let line = self.log.line(line);
                let message = format!("gateway: `source_pool` has {value}, which is {what} at line {line}");
                self.log.add(*at, message, "name addresses that are for this alone");
            }
        }
    }
}

fn drain(reader: &mut Reader<'_, '_>, protocol: Read<Protocol>) -> Read<Duration> {
    let given = reader.position("drain");
    let drain = reader.or("drain", Ok(DRAIN), delay);
    match (given, protocol) {
        (Some(at), Ok(Protocol::Udp)) => {
            let problem = "is not for protocol \"udp\", whose datagrams belong to no connection";
            Err(reader.error(at, "drain", problem, "remove it"))
        }
        _ => drain,
    }
}

fn failback(reader: &mut Reader<'_, '_>) -> Read<Failback> {
    let auto = reader.or("failback", Ok(false), |value| FAILBACK.read(value));
    let delay = reader.or("failback_delay", Ok(FAILBACK_DELAY), delay);
    Ok(if auto? { Failback::Auto { delay: delay? } } else { Failback::Manual })
}
