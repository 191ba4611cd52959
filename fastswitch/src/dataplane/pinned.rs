//! The pinned maps without a daemon, for the command line: to read, or, under the lock, to steer.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use fastswitch_common::abi::{
    self, Backend, BackendInfo, BackendTraffic, Counters, Hop, MAX_BACKENDS, NO_SERVICE, ServiceInfo, map,
};
use fastswitch_common::address::Address;
use fastswitch_common::word::SwitchWord;

use super::connections::Connections;
use super::error::DataplaneError;
use super::lock::Lock;
use super::pins;
use super::place::Choice;
use super::plan::mode_of;
use super::tables::{self, Tables};
use crate::machine::spec::Mode;

/// The pinned maps of one directory.
pub struct Pinned {
    directory: PathBuf,
    tables: Tables,
    _lock: Option<Lock>,
}

/// A service as the maps have it.
#[derive(Debug, Clone)]
pub struct PinnedService {
    slot: u32,
    /// What is kept about it.
    pub info: ServiceInfo,
    /// Where packets go.
    pub word: SwitchWord,
    /// The rows in use.
    pub backends: Vec<PinnedBackend>,
}

/// A backend as the maps have it.
#[derive(Debug, Clone)]
pub struct PinnedBackend {
    /// Its number in the switch word.
    pub row: u8,
    /// Where it serves.
    pub backend: Backend,
    /// What is kept about it.
    pub info: BackendInfo,
}

/// An interface with a link.
#[derive(Debug, Clone)]
pub struct PinnedInterface {
    /// Its name.
    pub name: String,
    /// Where the program runs, and why there; none if the interface is gone.
    pub choice: Option<Choice>,
}

impl PinnedService {
    /// The row of one of its backends, for [`super::Counts`].
    #[must_use]
    pub fn row(&self, backend: &PinnedBackend) -> u32 {
        abi::row(self.slot, backend.row)
    }

    /// The VIP and port that clients know.
    #[must_use]
    pub fn vip(&self) -> SocketAddr {
        self.info.endpoint.socket()
    }

    /// Where it is in the arrays by service.
    pub(super) fn slot(&self) -> u32 {
        self.slot
    }

    /// How packets get to its backends.
    #[must_use]
    pub fn mode(&self) -> Mode {
        mode_of(self.info.mode)
    }
}

impl PinnedBackend {
    /// Where it serves.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.backend.endpoint.socket()
    }
}

impl Pinned {
    /// Opens the maps to read them.
    ///
    /// # Errors
    /// Nothing is pinned, or by another version.
    pub fn read(pin_dir: &Path) -> Result<Self, DataplaneError> {
        let directory = pins::existing(pin_dir)?;
        Ok(Self { tables: Tables::open(&directory)?, directory, _lock: None })
    }

    /// Opens the maps to change them; keeps daemons from starting meanwhile.
    ///
    /// # Errors
    /// As [`Pinned::read`], or a daemon holds them.
    pub fn write(pin_dir: &Path) -> Result<Self, DataplaneError> {
        let directory = pins::existing(pin_dir)?;
        let lock = Lock::take(&directory)?;
        Ok(Self { tables: Tables::open(&directory)?, directory, _lock: Some(lock) })
    }

    /// The services.
    ///
    /// # Errors
    /// The system's, naming the map.
    pub fn services(&self) -> Result<Vec<PinnedService>, DataplaneError> {
        self.tables.used_slots()?.into_iter().map(|(slot, info)| self.service(slot, info)).collect()
    }

    fn service(&self, slot: u32, info: ServiceInfo) -> Result<PinnedService, DataplaneError> {
        let mut backends = Vec::new();
        for row in 0..MAX_BACKENDS as u8 {
            let index = abi::row(slot, row);
            let backend = self.tables.backend(index)?;
            if !backend.endpoint.is_none() {
                backends.push(PinnedBackend { row, backend, info: self.tables.backend_info(index)? });
            }
        }
        Ok(PinnedService { slot, info, word: self.tables.switch_word(slot), backends })
    }

    /// The interfaces that have a link.
    ///
    /// # Errors
    /// The directory or the map cannot be read.
    pub fn interfaces(&self) -> Result<Vec<PinnedInterface>, DataplaneError> {
        let known: BTreeMap<u32, _> = self.tables.interfaces()?.into_iter().collect();
        let interface = |name: String| {
            let ifindex = nix::net::if_::if_nametoindex(&*name).ok();
            let choice = ifindex.and_then(|ifindex| known.get(&ifindex).copied().map(Choice::of));
            PinnedInterface { name, choice }
        };
        Ok(pins::interfaces(&self.directory)?.into_iter().map(interface).collect())
    }

    /// The way that a client's packets came last, as the program remembers it.
    ///
    /// # Errors
    /// The system's, naming the map.
    pub fn way_of_client(&self, client: IpAddr) -> Result<Option<Hop>, DataplaneError> {
        tables::remembered(&self.directory, map::CLIENTS, Address::from(client))
    }

    /// A service's counters, summed over the CPUs.
    ///
    /// # Errors
    /// The system's, naming the map.
    pub fn counters(&self, service: &PinnedService) -> Result<Counters, DataplaneError> {
        self.tables.counters(service.slot)
    }

    /// What was sent on of a backend's packets, summed over the CPUs.
    ///
    /// # Errors
    /// The system's, naming the map.
    pub fn backend_traffic(
        &self,
        service: &PinnedService,
        backend: &PinnedBackend,
    ) -> Result<BackendTraffic, DataplaneError> {
        self.tables.backend_traffic(abi::row(service.slot, backend.row))
    }

    /// Counters of packets that belong to no service.
    ///
    /// # Errors
    /// The system's, naming the map.
    pub fn other_counters(&self) -> Result<Counters, DataplaneError> {
        self.tables.counters(NO_SERVICE)
    }

    /// The table of TCP connections.
    ///
    /// # Errors
    /// The system's, naming the map.
    pub fn connections(&self) -> Result<Connections, DataplaneError> {
        Connections::open(&self.directory)
    }

    /// Stores a service's switch word.
    pub fn store(&self, service: &PinnedService, word: SwitchWord) {
        self.tables.switch.store(service.slot, word.0);
    }

    /// Changes what is kept about a service.
    ///
    /// # Errors
    /// The system's, naming the map.
    pub fn update_service(
        &mut self,
        service: &PinnedService,
        change: impl FnOnce(&mut ServiceInfo),
    ) -> Result<(), DataplaneError> {
        self.tables.update_service(service.slot, change)
    }

    /// Changes what is kept about a backend.
    ///
    /// # Errors
    /// The system's, naming the map.
    pub fn update_backend(
        &mut self,
        service: &PinnedService,
        backend: &PinnedBackend,
        change: impl FnOnce(&mut BackendInfo),
    ) -> Result<(), DataplaneError> {
        self.tables.update_backend(abi::row(service.slot, backend.row), change)
    }
}
