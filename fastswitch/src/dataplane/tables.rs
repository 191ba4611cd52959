//! Typed access to the pinned maps. Daemon and command line open them the same way, by their pins.

use std::collections::BTreeSet;
use std::error::Error;
use std::mem::offset_of;
use std::net::IpAddr;
use std::path::Path;

use aya::Pod;
use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray};
use fastswitch_common::abi::{
    Backend, BackendInfo, BackendTraffic, Counters, Endpoint, InterfaceInfo, MAX_BACKENDS, MAX_SERVICES,
    Meta, Origin, Plain, Port, Service, ServiceInfo, Traffic, map,
};
use fastswitch_common::flow::{MAX_SOURCES, Source};
use fastswitch_common::reason::REASONS;
use fastswitch_common::word::SwitchWord;

use super::error::DataplaneError;
use super::words::Words;

/// Carries a shared shape through aya, whose own marker trait may not be put on another crate's type.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub(super) struct Shared<T>(pub(super) T);

// SAFETY: `Plain` promises what `Pod` asks for, and the wrapper is transparent.
unsafe impl<T: Plain> Pod for Shared<T> {}

type Rows<V> = Array<MapData, Shared<V>>;
type Index<V> = HashMap<MapData, Shared<Endpoint>, Shared<V>>;

/// The maps of one pin directory.
pub(super) struct Tables {
    /// Switch words, by slot.
    pub(super) switch: Words,
    /// Next-hop words, by row.
    pub(super) next_hops: Words,
    meta: Rows<Meta>,
    services: Index<Service>,
    origins: Index<Origin>,
    backends: Rows<Backend>,
    ports: Rows<Port>,
    sources: Rows<Source>,
    counters: PerCpuArray<MapData, Shared<Counters>>,
    backend_traffic: PerCpuArray<MapData, Shared<BackendTraffic>>,
    service_info: Rows<ServiceInfo>,
    backend_info: Rows<BackendInfo>,
    interface_info: HashMap<MapData, u32, Shared<InterfaceInfo>>,
}

impl Tables {
    /// Opens the maps pinned in `directory`, which [`super::pins::check`] has found to be of this version.
    ///
    /// # Errors
    /// A pin is missing or not what its name says.
    pub(super) fn open(directory: &Path) -> Result<Self, DataplaneError> {
        let rows = MAX_SERVICES * MAX_BACKENDS;
        let backend_words = size_of::<Backend>() / size_of::<u64>();
        let next_hop = offset_of!(Backend, next_hop) / size_of::<u64>();
        Ok(Self {
            switch: Words::map(map::SWITCH, &pinned(directory, map::SWITCH)?, MAX_SERVICES, 1, 0)?,
            next_hops: Words::map(
                map::BACKENDS,
                &pinned(directory, map::BACKENDS)?,
                rows,
                backend_words,
                next_hop,
            )?,
            meta: array(directory, map::META)?,
            services: hash(directory, map::SERVICES)?,
            origins: hash(directory, map::ORIGINS)?,
            backends: array(directory, map::BACKENDS)?,
            ports: array(directory, map::PORTS)?,
            sources: array(directory, map::SOURCES)?,
            counters: per_cpu(directory, map::COUNTERS)?,
            backend_traffic: per_cpu(directory, map::BACKEND_TRAFFIC)?,
            service_info: array(directory, map::SERVICE_INFO)?,
            backend_info: array(directory, map::BACKEND_INFO)?,
            interface_info: HashMap::try_from(typed(directory, map::INTERFACE_INFO)?)
                .map_err(failed(map::INTERFACE_INFO, "open"))?,
        })
    }

    /// The meta entry.
    ///
    /// # Errors
    /// The system's, as with every other method here.
    pub(super) fn meta(&self) -> Result<Meta, DataplaneError> {
        get(&self.meta, 0, map::META)
    }

    /// The switch word of a slot.
    #[must_use]
    pub(super) fn switch_word(&self, slot: u32) -> SwitchWord {
        SwitchWord(self.switch.load(slot))
    }

    /// What people need to know about a slot.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn service(&self, slot: u32) -> Result<ServiceInfo, DataplaneError> {
        get(&self.service_info, slot, map::SERVICE_INFO)
    }

    /// A backend's row.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn backend(&self, row: u32) -> Result<Backend, DataplaneError> {
        get(&self.backends, row, map::BACKENDS)
    }

    /// What people need to know about a backend's row.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn backend_info(&self, row: u32) -> Result<BackendInfo, DataplaneError> {
        get(&self.backend_info, row, map::BACKEND_INFO)
    }

    /// A row of the table of interfaces that packets leave by.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn port(&self, index: u32) -> Result<Port, DataplaneError> {
        get(&self.ports, index, map::PORTS)
    }

    /// The addresses that backends are spoken to from.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn sources(&self) -> Result<Vec<Source>, DataplaneError> {
        (0..MAX_SOURCES).map(|row| get(&self.sources, row, map::SOURCES)).collect()
    }

    /// The VIP endpoints known to the program.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn services(&self) -> Result<Vec<(Endpoint, Service)>, DataplaneError> {
        entries(&self.services, map::SERVICES)
    }

    /// The backend endpoints known to the program.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn origins(&self) -> Result<Vec<(Endpoint, Origin)>, DataplaneError> {
        entries(&self.origins, map::ORIGINS)
    }

    /// The slots in use, with what people need to know about each.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn used_slots(&self) -> Result<Vec<(u32, ServiceInfo)>, DataplaneError> {
        let mut used = Vec::new();
        for slot in 0..MAX_SERVICES {
            let info = self.service(slot)?;
            if info.used != 0 {
                used.push((slot, info));
            }
        }
        Ok(used)
    }

    /// What people need to know about interfaces, by index.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn interfaces(&self) -> Result<Vec<(u32, InterfaceInfo)>, DataplaneError> {
        self.interface_info
            .iter()
            .map(|entry| entry.map(|(ifindex, info)| (ifindex, info.0)))
            .collect::<Result<_, _>>()
            .map_err(failed(map::INTERFACE_INFO, "read"))
    }

    /// Counters of a slot, summed over the CPUs.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn counters(&self, slot: u32) -> Result<Counters, DataplaneError> {
        let per_cpu = self.counters.get(&slot, 0).map_err(failed(map::COUNTERS, "read"))?;
        let mut sum = Counters { packets: [0; REASONS], bytes_forwarded: 0, bytes_replied: 0 };
        for Shared(cpu) in per_cpu.iter() {
            for (sum, cpu) in sum.packets.iter_mut().zip(cpu.packets) {
                *sum = sum.wrapping_add(cpu);
            }
            sum.bytes_forwarded = sum.bytes_forwarded.wrapping_add(cpu.bytes_forwarded);
            sum.bytes_replied = sum.bytes_replied.wrapping_add(cpu.bytes_replied);
        }
        Ok(sum)
    }

    /// What was sent on of the packets of a row's backend since the row is its own, summed over the CPUs.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn backend_traffic(&self, row: u32) -> Result<BackendTraffic, DataplaneError> {
        let (all, before) = (self.row_traffic(row)?, self.backend_info(row)?.before);
        let since = |all: Traffic, before: Traffic| Traffic {
            packets: all.packets.wrapping_sub(before.packets),
            bytes: all.bytes.wrapping_sub(before.bytes),
        };
        Ok(BackendTraffic {
            forwarded: since(all.forwarded, before.forwarded),
            replied: since(all.replied, before.replied),
        })
    }

    /// What a row has ever counted, summed over the CPUs.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn row_traffic(&self, row: u32) -> Result<BackendTraffic, DataplaneError> {
        let per_cpu = self.backend_traffic.get(&row, 0).map_err(failed(map::BACKEND_TRAFFIC, "read"))?;
        let mut sum = BackendTraffic::default();
        let add = |sum: &mut Traffic, cpu: Traffic| {
            sum.packets = sum.packets.wrapping_add(cpu.packets);
            sum.bytes = sum.bytes.wrapping_add(cpu.bytes);
        };
        for Shared(cpu) in per_cpu.iter() {
            add(&mut sum.forwarded, cpu.forwarded);
            add(&mut sum.replied, cpu.replied);
        }
        Ok(sum)
    }

    /// Changes what people and later daemons read about a slot.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn update_service(
        &mut self,
        slot: u32,
        change: impl FnOnce(&mut ServiceInfo),
    ) -> Result<(), DataplaneError> {
        let mut info = self.service(slot)?;
        change(&mut info);
        set(&mut self.service_info, slot, info, map::SERVICE_INFO)
    }

    /// Changes what people and later daemons read about a backend's row.
    ///
    /// # Errors
    /// The system's.
    pub(super) fn update_backend(
        &mut self,
        row: u32,
        change: impl FnOnce(&mut BackendInfo),
    ) -> Result<(), DataplaneError> {
        let mut info = self.backend_info(row)?;
        change(&mut info);
        set(&mut self.backend_info, row, info, map::BACKEND_INFO)
    }

    pub(super) fn write_interface(
        &mut self,
        ifindex: u32,
        info: InterfaceInfo,
    ) -> Result<(), DataplaneError> {
        self.interface_info.insert(ifindex, Shared(info), 0).map_err(failed(map::INTERFACE_INFO, "write"))
    }

    /// Forgets all interfaces but those that `keep` says.
    pub(super) fn keep_interfaces(&mut self, keep: impl Fn(u32) -> bool) -> Result<(), DataplaneError> {
        for (ifindex, _) in self.interfaces()?.into_iter().filter(|(ifindex, _)| !keep(*ifindex)) {
            self.interface_info.remove(&ifindex).map_err(failed(map::INTERFACE_INFO, "delete from"))?;
        }
        Ok(())
    }

    pub(super) fn write_meta(&mut self, meta: Meta) -> Result<(), DataplaneError> {
        set(&mut self.meta, 0, meta, map::META)
    }

    pub(super) fn write_port(&mut self, index: u32, port: Port) -> Result<(), DataplaneError> {
        set(&mut self.ports, index, port, map::PORTS)
    }

    pub(super) fn write_source(&mut self, row: u32, source: Source) -> Result<(), DataplaneError> {
        set(&mut self.sources, row, source, map::SOURCES)
    }

    pub(super) fn write_backend(&mut self, row: u32, backend: Backend) -> Result<(), DataplaneError> {
        set(&mut self.backends, row, backend, map::BACKENDS)
    }

    pub(super) fn write_service_entry(
        &mut self,
        key: Endpoint,
        value: Service,
    ) -> Result<(), DataplaneError> {
        self.services.insert(Shared(key), Shared(value), 0).map_err(failed(map::SERVICES, "write"))
    }

    pub(super) fn write_origin(&mut self, key: Endpoint, value: Origin) -> Result<(), DataplaneError> {
        self.origins.insert(Shared(key), Shared(value), 0).map_err(failed(map::ORIGINS, "write"))
    }

    pub(super) fn delete_service_entry(&mut self, key: Endpoint) -> Result<(), DataplaneError> {
        self.services.remove(&Shared(key)).map_err(failed(map::SERVICES, "delete from"))
    }

    pub(super) fn delete_origin(&mut self, key: Endpoint) -> Result<(), DataplaneError> {
        self.origins.remove(&Shared(key)).map_err(failed(map::ORIGINS, "delete from"))
    }
}

/// The VIPs, and addresses of the pool, that daemons of the version whose maps are pinned in `directory` have put on
/// interfaces. Another version's are known where [`ServiceInfo`] and [`Source`] have the same size there.
///
/// # Errors
/// The system's, or the map has another shape.
pub(super) fn noted_vips(directory: &Path) -> Result<BTreeSet<IpAddr>, DataplaneError> {
    let mut vips = BTreeSet::new();
    if !directory.join(map::SERVICE_INFO).exists() {
        return Ok(vips);
    }
    let rows: Rows<ServiceInfo> = array(directory, map::SERVICE_INFO)?;
    for slot in 0..rows.len() {
        let info = get(&rows, slot, map::SERVICE_INFO)?;
        if info.used != 0 && info.vip_ifindex != 0 {
            vips.insert(IpAddr::from(info.endpoint.address));
        }
    }
    if directory.join(map::SOURCES).exists() {
        let rows: Rows<Source> = array(directory, map::SOURCES)?;
        for row in 0..rows.len() {
            let source = get(&rows, row, map::SOURCES)?;
            if source.ifindex != 0 {
                vips.insert(IpAddr::from(source.address));
            }
        }
    }
    Ok(vips)
}

/// What the program has noted under `key` in one of its tables.
///
/// # Errors
/// The system's.
pub(super) fn remembered<K: Plain, V: Plain>(
    directory: &Path,
    name: &'static str,
    key: K,
) -> Result<Option<V>, DataplaneError> {
    let table: HashMap<MapData, Shared<K>, Shared<V>> =
        HashMap::try_from(typed(directory, name)?).map_err(failed(name, "open"))?;
    match table.get(&Shared(key), 0) {
        Ok(Shared(value)) => Ok(Some(value)),
        Err(MapError::KeyNotFound) => Ok(None),
        Err(error) => Err(failed(name, "read")(error)),
    }
}

pub(super) fn pinned(directory: &Path, name: &'static str) -> Result<MapData, DataplaneError> {
    MapData::from_pin(directory.join(name)).map_err(failed(name, "open"))
}

pub(super) fn typed(directory: &Path, name: &'static str) -> Result<Map, DataplaneError> {
    Map::from_map_data(pinned(directory, name)?).map_err(failed(name, "open"))
}

fn array<V: Plain>(directory: &Path, name: &'static str) -> Result<Rows<V>, DataplaneError> {
    Array::try_from(typed(directory, name)?).map_err(failed(name, "open"))
}

fn per_cpu<V: Plain>(
    directory: &Path,
    name: &'static str,
) -> Result<PerCpuArray<MapData, Shared<V>>, DataplaneError> {
    PerCpuArray::try_from(typed(directory, name)?).map_err(failed(name, "open"))
}

fn hash<V: Plain>(directory: &Path, name: &'static str) -> Result<Index<V>, DataplaneError> {
    HashMap::try_from(typed(directory, name)?).map_err(failed(name, "open"))
}

fn get<V: Plain>(rows: &Rows<V>, index: u32, name: &'static str) -> Result<V, DataplaneError> {
    rows.get(&index, 0).map(|shared| shared.0).map_err(failed(name, "read"))
}

fn set<V: Plain>(rows: &mut Rows<V>, index: u32, value: V, name: &'static str) -> Result<(), DataplaneError> {
    rows.set(index, Shared(value), 0).map_err(failed(name, "write"))
}

fn entries<V: Plain>(index: &Index<V>, name: &'static str) -> Result<Vec<(Endpoint, V)>, DataplaneError> {
    index
        .iter()
        .map(|entry| entry.map(|(key, value)| (key.0, value.0)))
        .collect::<Result<_, _>>()
        .map_err(failed(name, "read"))
}

pub(super) fn failed<E: Error>(map: &'static str, what: &'static str) -> impl FnOnce(E) -> DataplaneError {
    move |error| DataplaneError::Map { map, what, detail: chain(&error) }
}

/// An error with its sources, as aya's own messages often leave the reason to the source.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
