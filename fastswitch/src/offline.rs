//! `status`, `switch`, `freeze`, `unfreeze` and `maint` without a daemon, on the pinned maps. What is set here, the
//! daemon honours once it is back.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use fastswitch_common::abi::{cause, protocol, tier};
use fastswitch_common::word::SwitchWord;

use crate::control::wire::{self, Invalid, Request, Response};
use crate::dataplane::{
    Counts, DataplaneError, Pinned, PinnedBackend, PinnedInterface, PinnedService, cause_of, text,
};
use crate::machine::Role;
use crate::machine::spec::Mode;
use crate::telemetry::report;

/// Carries a request out on the maps pinned in `pin_dir`.
///
/// # Errors
/// Nothing is pinned, or a daemon holds the pins (and does not answer where it was asked).
pub fn carry_out(pin_dir: &Path, request: &Request) -> Result<Response, DataplaneError> {
    match try_to(pin_dir, request) {
        Ok(response) => Ok(response),
        Err(Stop::Invalid(invalid)) => Ok(invalid.into()),
        Err(Stop::Error(error)) => Err(error),
    }
}

/// Why a request went no further.
enum Stop {
    /// It cannot be carried out as it is.
    Invalid(Invalid),
    /// The maps cannot be used.
    Error(DataplaneError),
}

impl From<DataplaneError> for Stop {
    fn from(error: DataplaneError) -> Self {
        Self::Error(error)
    }
}

impl From<Invalid> for Stop {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

type Outcome = Result<Response, Stop>;

fn try_to(pin_dir: &Path, request: &Request) -> Outcome {
    match request {
        Request::Status { service } => status(&Pinned::read(pin_dir)?, service.as_deref()),
        Request::Failback { service, .. } => failback(&Pinned::read(pin_dir)?, service),
        Request::Switch { service, backend, force, drain_ms } => {
            let drain = drain_ms.map(|ms| ms.saturating_mul(1_000_000));
            switch(&mut Pinned::write(pin_dir)?, service, backend, *force, drain)
        }
        Request::Freeze { service, for_ms } => {
            let until = for_ms.map_or(u64::MAX, |ms| unix_now().saturating_add(ms.saturating_mul(1_000_000)));
            freeze(&mut Pinned::write(pin_dir)?, service, until)
        }
        Request::Unfreeze { service } => freeze(&mut Pinned::write(pin_dir)?, service, 0),
        Request::Maint { service, backend, on } => maint(&mut Pinned::write(pin_dir)?, service, backend, *on),
    }
}

fn failback(pinned: &Pinned, name: &str) -> Outcome {
    find_service(pinned, name)?;
    let message = format!("{name}: cannot fail back without the daemon");
    let reasons = vec!["only the daemon knows who is healthy: start it, or use `switch`".to_owned()];
    Ok(Response::Refused { message, reasons })
}

/// `drain` is in nanoseconds. Without it nothing begins to drain: nobody is there to end it. Where it is asked for it lasts
/// until a daemon is back, for its only harm is a look-up for each packet.
fn switch(pinned: &mut Pinned, name: &str, to: &str, force: bool, drain: Option<u64>) -> Outcome {
    let (service, backend) = find(pinned, name, to)?;
    let mut reasons = Vec::new();
    if service.info.endpoint.protocol() != protocol::TCP && drain.is_some_and(|drain| drain > 0) {
        let reasons = vec!["datagrams belong to no connection: there is nothing to drain".to_owned()];
        return Ok(Response::Refused { message: format!("{name}: cannot switch to {to}"), reasons });
    }
    if backend.info.maintenance != 0 {
        reasons.push("in maintenance".to_owned());
    }
    if backend.info.tier != tier::HOT {
        reasons.push(format!(
            "{}: without the daemon nobody can tell whether it runs",
            tier_name(backend.info.tier)
        ));
    }
    if !reasons.is_empty() && !force {
        return Ok(Response::Refused { message: format!("{name}: cannot switch to {to}"), reasons });
    }
    let (word, now) = (service.word, unix_now());
    let draining = draining_after(word, backend.row, drain);
    if (word.active(), word.draining(), word.outage()) != (Some(backend.row), draining, false) {
        let epoch = word.epoch().wrapping_add(1);
        pinned.store(&service, SwitchWord::new(Some(backend.row), draining, false, epoch));
    }
    let drained_by = drain.filter(|_| draining.is_some()).map(|drain| now.saturating_add(drain));
    pinned.update_service(&service, |info| {
        info.cause = if reasons.is_empty() { cause::OPERATOR } else { cause::FORCED };
        info.since = now;
        info.drained_by = drained_by.unwrap_or(info.drained_by);
    })?;
    let before = draining.and_then(|row| service.backends.iter().find(|backend| backend.row == row));
    let drains = match (before, drained_by.and_then(report::rfc3339)) {
        (Some(before), Some(until)) => {
            let before = text(&before.info.name);
            format!("; {before} keeps its connections until {until}, and then until a daemon is back")
        }
        _ => String::new(),
    };
    let message = format!("{name}: {to} is active{drains} (no daemon: its health is not known)");
    Ok(Response::Done { message })
}

/// The draining row once `to` is active. What drains goes on, unless its place is needed.
fn draining_after(word: SwitchWord, to: u8, drain: Option<u64>) -> Option<u8> {
    let going_on = word.draining().filter(|&draining| draining != to);
    if word.active() == Some(to) && !word.outage() {
        return going_on.filter(|_| drain != Some(0));
    }
    let begins = drain.is_some_and(|drain| drain > 0) && !word.outage();
    word.active().filter(|_| begins).or(going_on)
}

fn freeze(pinned: &mut Pinned, name: &str, until: u64) -> Outcome {
    let service = find_service(pinned, name)?;
    pinned.update_service(&service, |info| info.frozen_until = until)?;
    let message = match until {
        0 => format!("{name}: automation will act once the daemon runs"),
        u64::MAX => format!("{name}: automation is frozen until `unfreeze`"),
        until => format!("{name}: automation is frozen until {}", report::rfc3339(until).unwrap_or_default()),
    };
    Ok(Response::Done { message })
}

fn maint(pinned: &mut Pinned, name: &str, of: &str, on: bool) -> Outcome {
    let (service, backend) = find(pinned, name, of)?;
    if on && service.word.active() == Some(backend.row) {
        let message = format!("{name}: cannot put {of} into maintenance");
        let reasons = vec!["it is active: switch to another backend first".to_owned()];
        return Ok(Response::Refused { message, reasons });
    }
    pinned.update_backend(&service, &backend, |info| info.maintenance = u8::from(on))?;
    let state = if on { "in maintenance" } else { "out of maintenance" };
    Ok(Response::Done { message: format!("{name}: {of} is {state}") })
}

fn status(pinned: &Pinned, only: Option<&str>) -> Outcome {
    let services = match only {
        Some(name) => vec![find_service(pinned, name)?],
        None => pinned.services()?,
    };
    let counts = pinned.connections()?.count()?;
    let mut warnings =
        vec!["no daemon runs: packets are forwarded, but nobody watches the backends".to_owned()];
    let mut interfaces = Vec::new();
    for PinnedInterface { name, choice } in pinned.interfaces()? {
        let generic_because = choice.and_then(|choice| choice.warning(&name));
        warnings.extend(generic_because.clone());
        let xdp = choice.map_or("none", |choice| choice.place().name()).to_owned();
        interfaces.push(wire::Interface { name, xdp, generic_because });
    }
    Ok(Response::Status(wire::Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        daemon: wire::Daemon::Absent,
        interfaces,
        services: services
            .iter()
            .map(|service| service_state(pinned, service, &counts))
            .collect::<Result<_, _>>()?,
        other_counters: report::reasons(&pinned.other_counters()?),
        warnings,
    }))
}

fn service_state(
    pinned: &Pinned,
    service: &PinnedService,
    counts: &Counts,
) -> Result<wire::Service, DataplaneError> {
    let (info, word) = (&service.info, service.word);
    let name = |row: u8| {
        service.backends.iter().find(|backend| backend.row == row).map(|backend| text(&backend.info.name))
    };
    let target = word.active().and_then(name);
    let frozen = info.frozen_until > unix_now();
    let counters =
        |backend: &PinnedBackend| pinned.backend_traffic(service, backend).map(report::backend_counters);
    let backends =
        service.backends.iter().map(|backend| Ok(backend_state(backend, word, counters(backend)?)));
    let mut state = wire::Service {
        name: text(&info.name),
        vip: service.vip().ip().to_string(),
        port: service.vip().port(),
        protocol: if info.endpoint.protocol() == protocol::UDP { "udp" } else { "tcp" }.to_owned(),
        mode: service.mode().name().to_owned(),
        active: target.clone().filter(|_| !word.outage()),
        target,
        draining: word.draining().and_then(name).map(|backend| wire::Draining {
            backend,
            until: report::rfc3339(info.drained_by),
            connections_left: None,
        }),
        epoch: word.epoch(),
        since: report::rfc3339(info.since),
        frozen,
        frozen_until: report::rfc3339(info.frozen_until).filter(|_| frozen && info.frozen_until != u64::MAX),
        reason: if word.outage() { "no backend could serve" } else { cause_of(info.cause).describe() }
            .to_owned(),
        connections: None,
        counters: report::service_counters(&pinned.counters(service)?),
        backends: backends.collect::<Result<_, DataplaneError>>()?,
    };
    if info.endpoint.protocol() == protocol::TCP && service.mode() != Mode::FullNat {
        state.count(service.backends.iter().map(|backend| counts.of(service.row(backend))));
    }
    Ok(state)
}

fn backend_state(
    backend: &PinnedBackend,
    word: SwitchWord,
    counters: wire::BackendCounters,
) -> wire::Backend {
    let maintenance = backend.info.maintenance != 0;
    let mut hold = vec!["no daemon: health is not known".to_owned()];
    if maintenance {
        hold.insert(0, "in maintenance".to_owned());
    }
    let tier = tier_name(backend.info.tier);
    let role = match (word.active() == Some(backend.row), backend.info.tier) {
        (true, _) if word.outage() => Role::Last.name(),
        (true, _) => Role::Active.name(),
        (false, tier::HOT) => Role::Standby.name(),
        (false, _) => tier,
    };
    wire::Backend {
        name: text(&backend.info.name),
        address: backend.address().to_string(),
        tier: tier.to_owned(),
        role: role.to_owned(),
        health: "unknown".to_owned(),
        maintenance,
        eligible: false,
        hold,
        rtt_us: None,
        stalled_rounds: 0,
        counters,
        connections: None,
    }
}

fn tier_name(code: u8) -> &'static str {
    match code {
        tier::HOT => "hot",
        tier::WARM => "warm",
        _ => "cold",
    }
}

fn find_service(pinned: &Pinned, name: &str) -> Result<PinnedService, Stop> {
    let services = pinned.services()?;
    let names: Vec<String> = services.iter().map(|service| text(&service.info.name)).collect();
    match names.iter().position(|other| other == name) {
        Some(position) => Ok(services[position].clone()),
        None => Err(Invalid::no_such("service", name, names.iter().map(String::as_str)).into()),
    }
}

fn find(pinned: &Pinned, service: &str, backend: &str) -> Result<(PinnedService, PinnedBackend), Stop> {
    let found = find_service(pinned, service)?;
    let names: Vec<String> = found.backends.iter().map(|backend| text(&backend.info.name)).collect();
    match names.iter().position(|name| name == backend) {
        Some(position) => {
            let backend = found.backends[position].clone();
            Ok((found, backend))
        }
        None => {
            let kind = format!("backend of {service}");
            Err(Invalid::no_such(&kind, backend, names.iter().map(String::as_str)).into())
        }
    }
}

fn unix_now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
