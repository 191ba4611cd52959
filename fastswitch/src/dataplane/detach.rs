//! The end of a pin directory: programs, links and maps go, whatever version made them. It refuses to touch addresses: it
//! says which VIPs a daemon had assigned.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::Path;

use super::error::DataplaneError;
use super::links;
use super::lock::Lock;
use super::pins;
use super::tables::noted_vips;

/// What is left to do when the pins are gone.
#[derive(Debug, Default)]
pub struct Detached {
    /// VIPs that a daemon had put on interfaces, for the caller to remove.
    pub vips: BTreeSet<IpAddr>,
    /// Why these may not be all.
    pub unknown: Option<DataplaneError>,
}

/// Takes the programs off every interface and every system call, and removes every pin, whatever version made them.
///
/// # Errors
/// A running daemon holds the pins, or a pin cannot be removed.
pub fn detach(pin_dir: &Path) -> Result<Detached, DataplaneError> {
    let mut detached = Detached::default();
    for version in pins::versions(pin_dir)? {
        let _lock = Lock::take(&version)?;
        match noted_vips(&version) {
            Ok(vips) => detached.vips.extend(vips),
            Err(_) => {
                let interfaces = match pins::interfaces(&version)?.join(", ") {
                    none if none.is_empty() => "no interface".to_owned(),
                    some => some,
                };
                let found = pins::describe_version(&version);
                detached.unknown = Some(DataplaneError::VipsUnknown { found, interfaces });
            }
        }
        remove(&version)?;
    }
    match fs::remove_dir(pin_dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(DataplaneError::file("remove", pin_dir, error))
        }
        _ => Ok(detached),
    }
}

fn remove(version: &Path) -> Result<(), DataplaneError> {
    // Links first: while they are there, packets are still rewritten by the maps.
    let mut pins = pins::entries(version)?;
    pins.sort_by_key(|pin| !pins::is_link(pin) && !pins::is_local(pin));
    let programs = links::programs(&pins);
    for pin in pins {
        fs::remove_file(&pin).map_err(|error| DataplaneError::file("remove", &pin, error))?;
    }
    links::await_end(&programs);
    fs::remove_dir(version).map_err(|error| DataplaneError::file("remove", version, error))
}
