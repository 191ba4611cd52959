//! The loaded program and its links. A link is pinned, so that it outlives the daemon, and is only ever updated
//! in place: to detach and attach again would lose packets, and with some cards the carrier.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use aya::maps::{MapData, ProgramArray};
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::xdp::{XdpLink, XdpMode};
use aya::programs::{ProgramError, ProgramInfo, Xdp, loaded_programs};
use aya::{Ebpf, EbpfLoader};
use fastswitch_common::abi::{map, program};

use super::Target;
use super::error::DataplaneError;
use super::flows::Sizes;
use super::object::{OBJECT, PROGRAM};
use super::packet_log;
use super::pins::{LINK_PREFIX, entries, is_link};
use super::tables::chain;

/// Between two looks whether programs are gone.
const END_LOOK: Duration = Duration::from_millis(1);
/// How often to look.
const END_LOOKS: u32 = 2000;

/// An interface that the program is on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// The interface's name.
    pub name: String,
    /// Whether a link of an earlier daemon was taken over.
    pub adopted: bool,
}

/// The loaded program.
#[derive(Debug)]
pub(super) struct Program {
    ebpf: Ebpf,
}

impl Program {
    /// Loads the program, with the maps pinned in `directory`; maps that are not there yet are made and pinned.
    pub(super) fn load(
        directory: &Path,
        sizes: Sizes,
        packet_log: Option<tracing::Level>,
    ) -> Result<Self, DataplaneError> {
        let level = packet_log::code(packet_log);
        let mut loader = EbpfLoader::new();
        loader.map_max_entries(map::FLOWS, sizes.flows).map_max_entries(map::ATTEMPTS, sizes.attempts);
        loader.override_global(aya_log::LEVEL, &level, true);
        for name in map::ALL {
            loader.map_pin_path(name, directory.join(name));
        }
        let mut ebpf = loader.load(OBJECT).map_err(|error| load_failed(&error))?;
        for name in program::NAMES.into_iter().chain([PROGRAM]) {
            xdp(&mut ebpf, name)?.load().map_err(|error| load_failed(&error))?;
        }
        // The pin keeps them.
        drop(link_parts(&mut ebpf)?);
        if packet_log.is_some() {
            packet_log::follow(&mut ebpf);
        }
        Ok(Self { ebpf })
    }

    /// Puts the program on `targets`: first where it is new and may be refused.
    pub(super) fn attach(
        &mut self,
        directory: &Path,
        targets: &[Target],
    ) -> Result<Vec<Attached>, DataplaneError> {
        let (new, there): (Vec<&Target>, Vec<&Target>) =
            targets.iter().partition(|target| target.program.is_none());
        new.into_iter().chain(there).map(|target| self.attach_one(directory, target)).collect()
    }

    fn attach_one(&mut self, directory: &Path, target: &Target) -> Result<Attached, DataplaneError> {
        let pin = link_path(directory, &target.name);
        let program = xdp(&mut self.ebpf, PROGRAM)?;
        let failed = |error: ProgramError| attach_failed(target, &error);
        if let Some((link, id)) = existing_link(&pin)? {
            if target.program == Some(id) {
                let link = XdpLink::try_from(link).map_err(|error| link_failed(&pin, &error))?;
                let id = program.attach_to_link(link).map_err(failed)?;
                // The pin keeps the link; this descriptor is not needed any more.
                drop(program.take_link(id).map_err(failed)?);
                return Ok(Attached { name: target.name.clone(), adopted: true });
            }
            // The interface it was on is gone; one of the same name has come since.
            remove(&pin)?;
        }
        let id = program.attach_to_if_index(target.ifindex, XdpMode::Driver).map_err(failed)?;
        let link = program.take_link(id).map_err(failed)?;
        let link = FdLink::try_from(link).map_err(|_| DataplaneError::Attach {
            interface: target.name.clone(),
            detail: "the kernel made no bpf_link".to_owned(),
            advice: "fastswitch needs Linux 5.15 or newer".to_owned(),
        })?;
        link.pin(&pin).map_err(|error| link_failed(&pin, &error))?;
        Ok(Attached { name: target.name.clone(), adopted: false })
    }
}

/// Takes links that belong to none of `targets` away.
pub(super) fn withdraw(directory: &Path, targets: &[Target]) -> Result<(), DataplaneError> {
    for pin in links(directory)? {
        if !targets.iter().any(|target| link_path(directory, &target.name) == pin) {
            remove(&pin)?;
        }
    }
    Ok(())
}

/// Refuses interfaces that carry a program which is not ours.
pub(super) fn check_foreign(directory: &Path, targets: &[Target]) -> Result<(), DataplaneError> {
    for target in targets {
        let Some(id) = target.program else { continue };
        let ours = existing_link(&link_path(directory, &target.name))?;
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
        return Err(DataplaneError::Foreign { interface, name, id, place: target.place });
    }
    Ok(())
}

/// Ids of the programs of those of `pins` that are links.
pub(super) fn programs(pins: &[PathBuf]) -> BTreeSet<u32> {
    let program = |pin: &PathBuf| Some(existing_link(pin).ok()??.1);
    pins.iter().filter(|pin| is_link(pin)).filter_map(program).collect()
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
pub(super) fn existing_link(pin: &Path) -> Result<Option<(FdLink, u32)>, DataplaneError> {
    if !pin.exists() {
        return Ok(None);
    }
    let link = FdLink::from(PinnedLink::from_pin(pin).map_err(|error| link_failed(pin, &error))?);
    let program = link.info().map_err(|error| link_failed(pin, &error))?.program_id();
    Ok(Some((link, program)))
}

/// The pins that are links.
pub(super) fn links(directory: &Path) -> Result<Vec<PathBuf>, DataplaneError> {
    Ok(entries(directory)?.into_iter().filter(|pin| is_link(pin)).collect())
}

pub(super) fn link_path(directory: &Path, interface: &str) -> PathBuf {
    // bpffs allows no dots in names, VLAN devices have one.
    directory.join(format!("{LINK_PREFIX}{}", interface.replace('.', ":")))
}

/// Removes a pin; with its last one a link goes.
pub(super) fn remove(pin: &Path) -> Result<(), DataplaneError> {
    fs::remove_file(pin).map_err(|error| DataplaneError::file("remove", pin, error))
}

/// Puts the parts that the entry point jumps to where it finds them. The entry point of an earlier daemon, which is still
/// on the interfaces, finds them too: of one [`fastswitch_common::abi::ABI`], they do the same.
pub(super) fn link_parts(ebpf: &mut Ebpf) -> Result<ProgramArray<MapData>, DataplaneError> {
    // Taken, for the programs are in the same object. Given back: who has it, or its pin, keeps the parts.
    let map = ebpf.take_map(map::PROGRAMS).ok_or_else(|| DataplaneError::Load {
        detail: format!("the object has no map `{}`", map::PROGRAMS),
    })?;
    let mut parts = ProgramArray::try_from(map).map_err(|error| load_failed(&error))?;
    for (index, name) in (0..).zip(program::NAMES) {
        let part = xdp(ebpf, name)?.fd().map_err(|error| load_failed(&error))?;
        parts.set(index, part, 0).map_err(|error| load_failed(&error))?;
    }
    Ok(parts)
}

pub(super) fn xdp<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Xdp, DataplaneError> {
    let program = ebpf
        .program_mut(name)
        .ok_or_else(|| DataplaneError::Load { detail: format!("the object has no program `{name}`") })?;
    program.try_into().map_err(|error: ProgramError| load_failed(&error))
}

pub(super) fn load_failed(error: &dyn std::error::Error) -> DataplaneError {
    let detail = chain(error);
    // Without privilege the kernel says EPERM; EACCES ("Permission denied") is the verifier's answer.
    if detail.contains("Operation not permitted") {
        return DataplaneError::Privilege { what: "load the XDP program".to_owned() };
    }
    DataplaneError::Load { detail }
}

fn link_failed(pin: &Path, error: &dyn std::error::Error) -> DataplaneError {
    DataplaneError::File {
        what: "use the pinned link",
        path: pin.to_owned(),
        source: std::io::Error::other(chain(error)),
    }
}

fn attach_failed(target: &Target, error: &dyn std::error::Error) -> DataplaneError {
    let detail = chain(error);
    let interface = target.name.clone();
    let advice = if detail.contains("Operation not supported") {
        format!(
            "The driver has no native XDP, or LRO or hardware GRO is on: try `ethtool -K {interface} lro off rx-gro-hw off`"
        )
    } else if detail.contains("Numerical result out of range") {
        format!(
            "The MTU is too large for native XDP with this driver: try `ip link set {interface} mtu 1500`"
        )
    } else if detail.contains("Device or resource busy") || detail.contains("File exists") {
        format!("Another program took the interface in the meantime: `ip link show {interface}` names it")
    } else {
        format!("`ethtool -i {interface}` names the driver; see its documentation on XDP")
    };
    DataplaneError::Attach { interface, detail, advice }
}
