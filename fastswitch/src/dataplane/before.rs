//! The maps and links as a start finds them, so that a start that fails can leave them so.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use fastswitch_common::abi::{
    self, Backend, BackendInfo, Endpoint, InterfaceInfo, MAX_BACKENDS, Origin, Service, ServiceInfo,
};

use super::error::DataplaneError;
use super::links;
use super::plan::Plan;
use super::tables::Tables;

/// What [`super::Dataplane::give_back`] goes back to.
#[derive(Debug)]
pub struct Before {
    slots: Vec<Slot>,
    services: HashMap<Endpoint, Service>,
    origins: HashMap<Endpoint, Origin>,
    interfaces: HashMap<u32, InterfaceInfo>,
    links: Vec<(PathBuf, u64)>,
}

/// All that is kept in a slot that is in use, or that the configuration takes.
#[derive(Debug)]
struct Slot {
    slot: u32,
    word: u64,
    info: ServiceInfo,
    rows: Vec<(u32, Backend, BackendInfo)>,
}

impl Before {
    /// Reads what `plan` may change.
    pub(super) fn read(tables: &Tables, plan: &Plan, directory: &Path) -> Result<Self, DataplaneError> {
        let used = tables.used_slots()?.into_iter().map(|(slot, _)| slot);
        let slots: BTreeSet<u32> = used.chain(plan.places.iter().map(|place| place.slot)).collect();
        Ok(Self {
            slots: slots.into_iter().map(|slot| Slot::read(tables, slot)).collect::<Result<_, _>>()?,
            services: tables.services()?.into_iter().collect(),
            origins: tables.origins()?.into_iter().collect(),
            interfaces: tables.interfaces()?.into_iter().collect(),
            links: pinned(directory)?,
        })
    }

    /// Puts everything back, and takes the program off interfaces that had no link. On those that `had_link` it may have
    /// been made anew, for another mode.
    pub(super) fn restore(
        &self,
        tables: &mut Tables,
        directory: &Path,
        had_link: &BTreeSet<String>,
    ) -> Result<(), DataplaneError> {
        // Words first: the rows that they name were not touched.
        for slot in &self.slots {
            tables.switch.store(slot.slot, slot.word);
        }
        self.restore_index(tables)?;
        for slot in &self.slots {
            slot.restore(tables)?;
        }
        tables.keep_interfaces(|ifindex| self.interfaces.contains_key(&ifindex))?;
        for (ifindex, info) in &self.interfaces {
            tables.write_interface(*ifindex, *info)?;
        }
        let kept: Vec<PathBuf> = had_link.iter().map(|name| links::path(directory, name)).collect();
        for (pin, _) in pinned(directory)?.iter().filter(|link| !self.links.contains(link)) {
            if !kept.contains(pin) {
                links::remove(pin)?;
            }
        }
        Ok(())
    }

    fn restore_index(&self, tables: &mut Tables) -> Result<(), DataplaneError> {
        for (key, _) in tables.services()? {
            if !self.services.contains_key(&key) {
                tables.delete_service_entry(key)?;
            }
        }
        for (key, _) in tables.origins()? {
            if !self.origins.contains_key(&key) {
                tables.delete_origin(key)?;
            }
        }
        for (key, service) in &self.services {
            tables.write_service_entry(*key, *service)?;
        }
        for (key, origin) in &self.origins {
            tables.write_origin(*key, *origin)?;
        }
        Ok(())
    }
}

impl Slot {
    fn read(tables: &Tables, slot: u32) -> Result<Self, DataplaneError> {
        let mut rows = Vec::new();
        for row in 0..MAX_BACKENDS as u8 {
            let index = abi::row(slot, row);
            rows.push((index, tables.backend(index)?, tables.backend_info(index)?));
        }
        Ok(Self { slot, word: tables.switch_word(slot).0, info: tables.service(slot)?, rows })
    }

    fn restore(&self, tables: &mut Tables) -> Result<(), DataplaneError> {
        for (index, backend, info) in &self.rows {
            // The same backend's next hop is better known now.
            if tables.backend(*index)?.endpoint != backend.endpoint {
                tables.write_backend(*index, *backend)?;
            }
            tables.update_backend(*index, |now| *now = *info)?;
        }
        tables.update_service(self.slot, |now| *now = self.info)
    }
}

/// The pinned links, each with its inode: one that was made anew has another.
fn pinned(directory: &Path) -> Result<Vec<(PathBuf, u64)>, DataplaneError> {
    let inode = |pin: PathBuf| match fs::metadata(&pin) {
        Ok(metadata) => Ok((pin, metadata.ino())),
        Err(error) => Err(DataplaneError::file("look at", pin, error)),
    };
    links::all(directory)?.into_iter().map(inode).collect()
}
