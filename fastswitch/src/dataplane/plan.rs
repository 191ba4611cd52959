//! Which slot and rows each service and backend of a configuration has, given what the maps hold already.
//!
//! A service keeps its slot by its endpoint, a backend its row by its address, so that a restart or another order
//! in the file moves nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use fastswitch_common::abi::{
    self, Backend, BackendInfo, BackendTraffic, Endpoint, MAX_BACKENDS, MAX_SERVICES, NAME_LEN, NO_ROW,
    NO_SERVICE, Origin, Service, ServiceInfo, mode, on_outage, protocol, tier,
};
use fastswitch_common::address::Address;
use fastswitch_common::word::SwitchWord;

use super::cause_of;
use super::error::DataplaneError;
use super::tables::Tables;
use crate::machine::{BackendId, Cause, Position, spec};

/// Where a service is in the maps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) slot: u32,
    /// By backend of the configuration: its index among the slot's rows.
    pub(super) rows: Vec<u8>,
}

/// What an earlier daemon, or the command line, left behind of a service.
#[derive(Debug, Clone)]
pub struct Adopted {
    /// Where packets go; `active` is `None` if that backend is not in this configuration.
    pub position: Position,
    /// Why.
    pub cause: Cause,
    /// In nanoseconds since the Unix epoch; 0: not, `u64::MAX`: until told.
    pub frozen_until: u64,
    /// When the draining backend has had its time, in nanoseconds since the Unix epoch.
    pub drained_by: u64,
    /// By backend.
    pub maintenance: Vec<bool>,
}

#[derive(Debug)]
pub(super) struct Plan {
    pub(super) places: Vec<Place>,
    pub(super) adopted: Vec<Option<Adopted>>,
    /// VIPs, and addresses of the pool, that an earlier daemon had put on an interface, with it.
    pub(super) assigned_vips: BTreeMap<IpAddr, u32>,
}

impl Plan {
    /// Finds a place for everything in `spec`; writes nothing.
    pub(super) fn new(tables: &Tables, spec: &spec::Spec) -> Result<Self, DataplaneError> {
        let used = tables.used_slots()?;
        let taken: HashMap<Endpoint, u32> = used.iter().map(|(slot, info)| (info.endpoint, *slot)).collect();
        let occupied: HashSet<u32> = taken.values().copied().collect();
        let mut free = (0..MAX_SERVICES).filter(|slot| !occupied.contains(slot));
        let mut plan = Self { places: Vec::new(), adopted: Vec::new(), assigned_vips: BTreeMap::new() };
        for service in &spec.services {
            let existing = taken.get(&vip_endpoint(service)).copied();
            let slot = match existing.or_else(|| free.next()) {
                Some(slot) => slot,
                None => {
                    return Err(DataplaneError::Full {
                        what: format!(
                            "no slot is free for service `{}`: {MAX_SERVICES} services fit, those of the configuration \
                             before included; remove services and start, then add the new ones",
                            service.name
                        ),
                    });
                }
            };
            let active = existing.and_then(|slot| tables.switch_word(slot).active());
            let rows = place_backends(tables, service, slot, active)?;
            let adopted = match existing {
                Some(slot) => Some(adopt(tables, slot, &rows)?),
                None => None,
            };
            plan.places.push(Place { slot, rows });
            plan.adopted.push(adopted);
        }
        let assigned = used.iter().filter(|(_, info)| info.vip_ifindex != 0);
        plan.assigned_vips =
            assigned.map(|(_, info)| (IpAddr::from(info.endpoint.address), info.vip_ifindex)).collect();
        let sources = tables.sources()?.into_iter().filter(|source| source.ifindex != 0);
        plan.assigned_vips.extend(sources.map(|source| (IpAddr::from(source.address), source.ifindex)));
        Ok(plan)
    }

    /// Writes rows that no switch word names yet, and the information about all. Returns the rows that have got another
    /// backend.
    pub(super) fn prepare(
        &self,
        tables: &mut Tables,
        spec: &spec::Spec,
    ) -> Result<BTreeSet<u32>, DataplaneError> {
        let mut new = BTreeSet::new();
        for (service, place) in spec.services.iter().zip(&self.places) {
            for (backend, &row) in service.backends.iter().zip(&place.rows) {
                let index = abi::row(place.slot, row);
                let wanted = backend_endpoint(service, backend);
                if tables.backend(index)?.endpoint != wanted {
                    tables.write_backend(index, Backend { endpoint: wanted, ..Backend::UNUSED })?;
                    let before = tables.row_traffic(index)?;
                    tables.update_backend(index, |info| (info.maintenance, info.before) = (0, before))?;
                    new.insert(index);
                }
                tables.update_backend(index, |info| describe_backend(info, backend))?;
            }
            let is_new = tables.service(place.slot)?.used == 0;
            if is_new {
                tables.switch.store(place.slot, SwitchWord::new(None, None, true, 0).0);
            }
            tables.update_service(place.slot, |info| {
                if is_new {
                    *info = blank_service();
                }
                info.name = name(&service.name);
                info.endpoint = vip_endpoint(service);
                info.mode = mode_code(service.mode);
                info.used = 1;
            })?;
        }
        Ok(new)
    }

    /// Puts what the configuration has into the program's index.
    pub(super) fn commit(&self, tables: &mut Tables, spec: &spec::Spec) -> Result<(), DataplaneError> {
        let (services, origins) = self.index(spec);
        for (key, origin) in &origins {
            tables.write_origin(*key, *origin)?;
        }
        for (key, service) in &services {
            tables.write_service_entry(*key, *service)?;
        }
        Ok(())
    }

    /// Takes what the configuration no longer has out of the program's index, then out of the other maps.
    pub(super) fn clear_obsolete(
        &self,
        tables: &mut Tables,
        spec: &spec::Spec,
    ) -> Result<(), DataplaneError> {
        let (services, origins) = self.index(spec);
        for (key, _) in tables.services()? {
            if !services.contains_key(&key) {
                tables.delete_service_entry(key)?;
            }
        }
        for (key, _) in tables.origins()? {
            if !origins.contains_key(&key) {
                tables.delete_origin(key)?;
            }
        }
        self.clear_rows(tables)
    }

    /// What the program finds by address.
    fn index(&self, spec: &spec::Spec) -> (HashMap<Endpoint, Service>, HashMap<Endpoint, Origin>) {
        let mut services = HashMap::new();
        let mut origins = HashMap::new();
        for (service, place) in spec.services.iter().zip(&self.places) {
            let vip = vip_endpoint(service);
            let on_outage = match service.on_outage {
                spec::OnOutage::Reject => on_outage::REJECT,
                spec::OnOutage::Drop => on_outage::DROP,
            };
            let mode = mode_code(service.mode);
            services.insert(vip, Service { slot: place.slot, on_outage, mode, _pad: [0; 2] });
            let echo = Endpoint::new(vip.address, 0, protocol::ICMP);
            let silent =
                Service { slot: NO_SERVICE, on_outage: on_outage::DROP, mode: mode::NAT, _pad: [0; 2] };
            services.insert(echo, silent);
            match service.mode {
                spec::Mode::Nat => {
                    for (backend, &row) in service.backends.iter().zip(&place.rows) {
                        let row = abi::row(place.slot, row);
                        origins.insert(
                            backend_endpoint(service, backend),
                            Origin { slot: place.slot, vip, row },
                        );
                    }
                }
                // Whose a reply is depends on the flow.
                spec::Mode::FullNat => {
                    for backend in &service.backends {
                        let origin = Origin { slot: NO_SERVICE, vip: Endpoint::NONE, row: NO_ROW };
                        origins.insert(backend_endpoint(service, backend), origin);
                    }
                }
                // Backends answer as the VIP, those before the active one too.
                spec::Mode::Dsr => {
                    origins.insert(vip, Origin { slot: place.slot, vip, row: NO_ROW });
                }
            }
        }
        (services, origins)
    }

    fn clear_rows(&self, tables: &mut Tables) -> Result<(), DataplaneError> {
        let places: HashMap<u32, &Place> = self.places.iter().map(|place| (place.slot, place)).collect();
        for (slot, _) in tables.used_slots()? {
            let place = places.get(&slot);
            for row in 0..MAX_BACKENDS as u8 {
                let index = abi::row(slot, row);
                let keep = place.is_some_and(|place| place.rows.contains(&row));
                if !keep && !tables.backend(index)?.endpoint.is_none() {
                    tables.write_backend(index, Backend::UNUSED)?;
                    tables.update_backend(index, |info| *info = blank_backend())?;
                }
            }
            if place.is_none() {
                tables.update_service(slot, |info| *info = blank_service())?;
            }
        }
        Ok(())
    }
}

/// Rows for a service's backends: those that are there keep theirs, new ones get rows that are not in use, else rows
/// of backends that leave, but never the one that the switch word names.
fn place_backends(
    tables: &Tables,
    service: &spec::Service,
    slot: u32,
    active: Option<u8>,
) -> Result<Vec<u8>, DataplaneError> {
    let mut present = Vec::new();
    for row in 0..MAX_BACKENDS as u8 {
        present.push(tables.backend(abi::row(slot, row))?);
    }
    let find = |backend: &spec::Backend| {
        let wanted = backend_endpoint(service, backend);
        present.iter().position(|row| row.endpoint == wanted)
    };
    let kept: Vec<Option<usize>> = service.backends.iter().map(find).collect();
    let is_free = |row: &usize| !kept.contains(&Some(*row)) && active.map(usize::from) != Some(*row);
    let (unused, leaving): (Vec<usize>, Vec<usize>) =
        (0..present.len()).filter(is_free).partition(|&row| present[row].endpoint.is_none());
    let mut free = unused.into_iter().chain(leaving);
    kept.into_iter()
        .map(|row| row.or_else(|| free.next()).map(|row| row as u8))
        .collect::<Option<_>>()
        .ok_or_else(|| DataplaneError::Full {
            what: format!(
                "service `{}` exchanges all its {MAX_BACKENDS} backends at once: keep the active one, or exchange them \
                 in two steps",
                service.name
            ),
        })
}

fn adopt(tables: &Tables, slot: u32, rows: &[u8]) -> Result<Adopted, DataplaneError> {
    let word = tables.switch_word(slot);
    let info = tables.service(slot)?;
    let backend = |row: u8| rows.iter().position(|&other| other == row).map(BackendId);
    let (active, draining) = (word.active().and_then(backend), word.draining().and_then(backend));
    let mut maintenance = Vec::new();
    for &row in rows {
        let index = abi::row(slot, row);
        let used = !tables.backend(index)?.endpoint.is_none();
        maintenance.push(used && tables.backend_info(index)?.maintenance != 0);
    }
    Ok(Adopted {
        position: Position { active, draining, outage: word.outage(), epoch: word.epoch() },
        cause: cause_of(info.cause),
        frozen_until: info.frozen_until,
        drained_by: info.drained_by,
        maintenance,
    })
}

fn vip_endpoint(service: &spec::Service) -> Endpoint {
    endpoint(SocketAddr::new(service.vip, service.port), service.protocol)
}

fn backend_endpoint(service: &spec::Service, backend: &spec::Backend) -> Endpoint {
    endpoint(backend.address, service.protocol)
}

fn endpoint(at: SocketAddr, protocol: spec::Protocol) -> Endpoint {
    let protocol = match protocol {
        spec::Protocol::Tcp => protocol::TCP,
        spec::Protocol::Udp => protocol::UDP,
    };
    Endpoint::new(Address::from(at.ip()), at.port(), protocol)
}

fn mode_code(mode: spec::Mode) -> u8 {
    match mode {
        spec::Mode::Nat => mode::NAT,
        spec::Mode::Dsr => mode::DSR,
        spec::Mode::FullNat => mode::FULL_NAT,
    }
}

/// The mode kept by a number.
pub(super) fn mode_of(code: u8) -> spec::Mode {
    match code {
        mode::DSR => spec::Mode::Dsr,
        mode::FULL_NAT => spec::Mode::FullNat,
        _ => spec::Mode::Nat,
    }
}

fn describe_backend(info: &mut BackendInfo, backend: &spec::Backend) {
    info.name = name(&backend.name);
    info.tier = match backend.tier {
        spec::Tier::Hot => tier::HOT,
        spec::Tier::Warm => tier::WARM,
        spec::Tier::Cold => tier::COLD,
    };
}

fn blank_service() -> ServiceInfo {
    ServiceInfo {
        name: [0; NAME_LEN],
        endpoint: Endpoint::NONE,
        _pad: [0; 4],
        since: 0,
        frozen_until: 0,
        drained_by: 0,
        vip_ifindex: 0,
        used: 0,
        cause: 0,
        mode: mode::NAT,
        _reserved: 0,
    }
}

fn blank_backend() -> BackendInfo {
    BackendInfo {
        name: [0; NAME_LEN],
        maintenance: 0,
        tier: 0,
        _pad: [0; 6],
        before: BackendTraffic::default(),
    }
}

/// A name as kept: cut to what fits, zero-filled.
fn name(text: &str) -> [u8; NAME_LEN] {
    let mut name = [0; NAME_LEN];
    for (to, from) in name.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    name
}

/// A kept name as text.
#[must_use]
pub fn text(name: &[u8; NAME_LEN]) -> String {
    let length = name.iter().position(|&byte| byte == 0).unwrap_or(NAME_LEN);
    String::from_utf8_lossy(&name[..length]).into_owned()
}
