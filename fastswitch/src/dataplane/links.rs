//! The pinned links: one for each interface that the program is on, which outlives the daemon.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::{ProgramInfo, loaded_programs};

use super::error::DataplaneError;
use super::object::PROGRAM;
use super::pins::{LINK_PREFIX, entries, is_link, is_local};
use super::tables::chain;
use super::{OnInterface, Target};

/// Between two looks whether programs are gone.
const END_LOOK: Duration = Duration::from_millis(1);
/// How often to look.
const END_LOOKS: u32 = 2000;

/// Takes links that belong to none of `targets` away.
pub(super) fn withdraw(directory: &Path, targets: &[Target]) -> Result<(), DataplaneError> {
    for pin in all(directory)? {
        if !targets.iter().any(|target| path(directory, &target.name) == pin) {
            remove(&pin)?;
        }
    }
    Ok(())
}

/// Refuses interfaces that carry a program which is not ours.
pub(super) fn check_foreign(directory: &Path, targets: &[Target]) -> Result<(), DataplaneError> {
    for target in targets {
        let Some(OnInterface { id, place }) = target.program else { continue };
        let ours = existing(&path(directory, &target.name))?;
        if ours.is_some_and(|(_, program)| program == id) {
            continue;
        }
        let name = loaded_programs()
            .filter_map(Result::ok)
            .find(|program| program.id() == id)
            .and_then(|program| program.name_as_str().map(str::to_owned))
            .unwrap_or_else(|| "?".to_owned());
        let interface = target.name.clone();
        if name == PROGRAM {
            return Err(DataplaneError::OtherPins { interface, id, path: directory.to_owned() });
        }
        return Err(DataplaneError::Foreign { interface, name, id, place });
    }
    Ok(())
}

/// Ids of the programs of those of `pins` that are links.
pub(super) fn programs(pins: &[PathBuf]) -> BTreeSet<u32> {
    let program = |pin: &PathBuf| Some(existing(pin).ok()??.1);
    pins.iter().filter(|pin| is_link(pin) || is_local(pin)).filter_map(program).collect()
}

/// Waits, if not for ever, until these programs are gone: the kernel takes a link off its interface a moment after the
/// last pin.
pub(super) fn await_end(programs: &BTreeSet<u32>) {
    for _ in 0..END_LOOKS {
        let alive = |program: &ProgramInfo| programs.contains(&program.id());
        if programs.is_empty() || !loaded_programs().filter_map(Result::ok).any(|program| alive(&program)) {
            return;
        }
        thread::sleep(END_LOOK);
    }
}

/// The link pinned for an interface, and the id of the program it carries.
pub(super) fn existing(pin: &Path) -> Result<Option<(FdLink, u32)>, DataplaneError> {
    if !pin.exists() {
        return Ok(None);
    }
    let link = FdLink::from(PinnedLink::from_pin(pin).map_err(|error| failed(pin, &error))?);
    let program = link.info().map_err(|error| failed(pin, &error))?.program_id();
    Ok(Some((link, program)))
}

/// The pins that are links.
pub(super) fn all(directory: &Path) -> Result<Vec<PathBuf>, DataplaneError> {
    Ok(entries(directory)?.into_iter().filter(|pin| is_link(pin)).collect())
}

pub(super) fn path(directory: &Path, interface: &str) -> PathBuf {
    // bpffs allows no dots in names, VLAN devices have one.
    directory.join(format!("{LINK_PREFIX}{}", interface.replace('.', ":")))
}

/// Removes a pin; with its last one a link goes.
pub(super) fn remove(pin: &Path) -> Result<(), DataplaneError> {
    fs::remove_file(pin).map_err(|error| DataplaneError::file("remove", pin, error))
}

pub(super) fn failed(pin: &Path, error: &dyn std::error::Error) -> DataplaneError {
    DataplaneError::File {
        what: "use the pinned link",
        path: pin.to_owned(),
        source: std::io::Error::other(chain(error)),
    }
}
