//! From which addresses, and which of their ports, backends in mode full_nat are spoken to.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::RangeInclusive;

use fastswitch_common::address::Address;
use fastswitch_common::flow::{MAX_SOURCES, Source, SourceRange};

use super::error::StartError;
use crate::dataplane::{Dataplane, DataplaneError};
use crate::machine::spec::{Mode, Spec};
use crate::machine::{BackendId, ServiceId};
use crate::net::{self, Family, Net};

/// Ports of an address that is there for this alone.
const ALL_PORTS: RangeInclusive<u16> = 1024..=u16::MAX;

/// The table of sources as it is in the map, and what goes into it.
#[derive(Debug)]
pub(super) struct Sources {
    rows: Vec<Source>,
    /// What is stored for a backend, by its address.
    ranges: BTreeMap<IpAddr, SourceRange>,
    /// By address of the pool.
    pool: BTreeMap<IpAddr, RangeInclusive<u16>>,
    /// Of the gateway's own addresses.
    own_ports: RangeInclusive<u16>,
}

impl Sources {
    /// Takes over the rows that are there.
    pub(super) async fn adopt(dataplane: &Dataplane, spec: &Spec, net: &Net) -> Result<Self, StartError> {
        let rows = dataplane.sources()?;
        if !uses_own_address(spec) && spec.gateway.source_pool.is_empty() {
            return Ok(Self { rows, ranges: BTreeMap::new(), pool: BTreeMap::new(), own_ports: ALL_PORTS });
        }
        let own_ports = net::unused_ports()?.ok_or(StartError::NoPorts)?;
        let present: BTreeSet<IpAddr> =
            net.addresses().await?.into_iter().map(|address| address.ip).collect();
        // What the stack has an address for, besides ours, it may speak from.
        let shared = |address: &IpAddr| {
            let ours = dataplane.assigned_vips().contains_key(address);
            !ours && (present.contains(address) || !spec.gateway.assign_vip)
        };
        let ports = |address: &IpAddr| if shared(address) { own_ports.clone() } else { ALL_PORTS };
        let pool = spec.gateway.source_pool.iter().map(|address| (*address, ports(address))).collect();
        Ok(Self { rows, ranges: BTreeMap::new(), pool, own_ports })
    }

    /// Lets the program know what each backend is spoken to from; `own` are the gateway's addresses, by that of the
    /// backend.
    pub(super) fn store(
        &mut self,
        dataplane: &mut Dataplane,
        spec: &Spec,
        own: &BTreeMap<IpAddr, IpAddr>,
    ) -> Result<(), DataplaneError> {
        let mut ranges = BTreeMap::new();
        for (service, backend, address) in backends(spec) {
            let range = match ranges.entry(address) {
                Entry::Occupied(known) => *known.get(),
                Entry::Vacant(new) => *new.insert(self.range(dataplane, &self.wanted(spec, address, own))?),
            };
            if self.ranges.get(&address) != Some(&range) {
                dataplane.set_sources(service, backend, range)?;
            }
        }
        let named: BTreeSet<u32> =
            ranges.values().flat_map(|range| range.first()..range.first() + range.count()).collect();
        self.ranges = ranges;
        // What the daemon has put on an interface is noted in its row until it is off again.
        self.clear(dataplane, |row, source| named.contains(&row) || source.ifindex != 0)
    }

    /// Notes which of the sources are on an interface because the daemon put them there, and on which.
    pub(super) fn note(
        &mut self,
        dataplane: &mut Dataplane,
        assigned: &BTreeMap<IpAddr, u32>,
    ) -> Result<(), DataplaneError> {
        for (row, source) in self.rows.iter_mut().enumerate().filter(|(_, source)| source.ports != 0) {
            let ifindex = assigned.get(&IpAddr::from(source.address)).copied().unwrap_or(0);
            if source.ifindex != ifindex {
                source.ifindex = ifindex;
                dataplane.write_source(row as u16, *source)?;
            }
        }
        Ok(())
    }

    /// Forgets addresses that are not in the pool any more, which are off their interfaces by now.
    pub(super) fn retire(&mut self, dataplane: &mut Dataplane) -> Result<(), DataplaneError> {
        let pool: BTreeSet<IpAddr> = self.pool.keys().copied().collect();
        let keep = |_, source: &Source| source.ifindex == 0 || pool.contains(&IpAddr::from(source.address));
        self.clear(dataplane, keep)
    }

    fn wanted(&self, spec: &Spec, backend: IpAddr, own: &BTreeMap<IpAddr, IpAddr>) -> Vec<Source> {
        let family = Family::of(backend);
        let pool = spec.gateway.source_pool.iter().filter(|address| Family::of(**address) == family);
        let pool: Vec<Source> =
            pool.filter_map(|address| Some(source(*address, self.pool.get(address)?))).collect();
        if pool.is_empty() {
            return own.get(&backend).map(|address| source(*address, &self.own_ports)).into_iter().collect();
        }
        pool
    }

    /// The rows that hold `wanted`, one after the other. Where there is no room, none: new flows are refused and counted.
    fn range(&mut self, dataplane: &mut Dataplane, wanted: &[Source]) -> Result<SourceRange, DataplaneError> {
        let Some(last) = wanted.len().checked_sub(1) else { return Ok(SourceRange(0)) };
        let same = |row: &Source, wanted: &Source| Source { ifindex: 0, ..*row } == *wanted;
        let has = |rows: &[Source]| rows.iter().zip(wanted).all(|(row, wanted)| same(row, wanted));
        let is_free = |rows: &[Source]| rows.iter().all(|row| row.ports == 0);
        let found = self.rows.windows(wanted.len()).position(has);
        let Some(first) = found.or_else(|| self.rows.windows(wanted.len()).position(is_free)) else {
            tracing::error!(
                needed = wanted.len(),
                room = MAX_SOURCES,
                "no room for the addresses that backends are spoken to from: new connections to them are refused; \
                 `fastswitch detach` and a start make room"
            );
            return Ok(SourceRange(0));
        };
        if found.is_none() {
            for (row, source) in (first..=first + last).zip(wanted) {
                self.rows[row] = *source;
                dataplane.write_source(row as u16, *source)?;
            }
        }
        Ok(SourceRange::new(first as u16, wanted.len() as u16))
    }

    fn clear(
        &mut self,
        dataplane: &mut Dataplane,
        keep: impl Fn(u32, &Source) -> bool,
    ) -> Result<(), DataplaneError> {
        for (row, source) in self.rows.iter_mut().enumerate() {
            if source.ports != 0 && !keep(row as u32, source) {
                *source = Source::UNUSED;
                dataplane.write_source(row as u16, Source::UNUSED)?;
            }
        }
        Ok(())
    }
}

/// Whether any backend is spoken to from an address of the gateway's own.
fn uses_own_address(spec: &Spec) -> bool {
    let has_pool =
        |backend| spec.gateway.source_pool.iter().any(|address| Family::of(*address) == Family::of(backend));
    backends(spec).any(|(_, _, address)| !has_pool(address))
}

/// The backends of services in mode full_nat.
fn backends(spec: &Spec) -> impl Iterator<Item = (ServiceId, BackendId, IpAddr)> {
    let services = (0..).map(ServiceId).zip(&spec.services);
    let services = services.filter(|(_, service)| service.mode == Mode::FullNat);
    services.flat_map(|(id, service)| {
        let backends = (0..).map(BackendId).zip(&service.backends);
        backends.map(move |(backend, of)| (id, backend, of.address.ip()))
    })
}

fn source(address: IpAddr, ports: &RangeInclusive<u16>) -> Source {
    let count = u16::try_from(ports.len()).unwrap_or(u16::MAX);
    Source { address: Address::from(address), first_port: *ports.start(), ports: count, ifindex: 0 }
}
