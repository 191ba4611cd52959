//! The loaded program and its links. A link is pinned, so that it outlives the daemon, and is only ever updated
//! in place: to detach and attach again would lose packets, and with some cards the carrier.

use std::collections::BTreeMap;
use std::path::Path;

use aya::maps::{MapData, ProgramArray};
use aya::programs::links::FdLink;
use aya::programs::xdp::XdpLink;
use aya::programs::{ProgramError, Xdp};
use aya::{Ebpf, EbpfLoader};
use fastswitch_common::abi::{map, program};

use super::error::DataplaneError;
use super::flows::Sizes;
use super::links;
use super::object::{OBJECT, PROGRAM};
use super::packet_log;
use super::place::{Choice, Place, Refusal};
use super::tables::chain;
use super::unlink;
use super::{OnInterface, Target};
use crate::machine::spec::XdpMode;

/// An interface that the program was put on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// The interface's name.
    pub name: String,
    /// Its index.
    pub ifindex: u32,
    /// Where the program runs.
    pub choice: Choice,
    /// Where a program of ours ran before, if one did. If that was elsewhere, packets went past for a moment.
    pub before: Option<Place>,
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

    /// Puts the program on `targets`, where `wanted` says. `known` is what earlier daemons found out of them, by index.
    pub(super) fn attach(
        &mut self,
        directory: &Path,
        targets: &[Target],
        wanted: XdpMode,
        known: &BTreeMap<u32, Choice>,
    ) -> Result<Vec<Attached>, DataplaneError> {
        let mut steps: Vec<Step> = targets.iter().cloned().map(Step::new).collect();
        let outcome = match wanted {
            XdpMode::Native => self.put(directory, &mut steps, |_| Choice::Native),
            XdpMode::Generic => self.put(directory, &mut steps, |_| Choice::Generic),
            XdpMode::Auto => self.put_anywhere(directory, &mut steps, known),
        };
        let done: Vec<Attached> = steps.into_iter().filter_map(|step| step.done).collect();
        match outcome {
            Ok(()) => Ok(done),
            Err(error) => {
                self.move_back(directory, &done)?;
                Err(error)
            }
        }
    }

    /// In the drivers, if all can.
    fn put_anywhere(
        &mut self,
        directory: &Path,
        steps: &mut [Step],
        known: &BTreeMap<u32, Choice>,
    ) -> Result<(), DataplaneError> {
        // Native mode is not tried where a program of ours would have to be taken off for the trial.
        let mut refused = BTreeMap::new();
        for target in steps.iter().map(|step| &step.target).filter(|target| target.is_in(Place::Generic)) {
            if let Some(choice @ Choice::Refused(_)) = known.get(&target.ifindex) {
                refused.insert(target.ifindex, *choice);
            }
        }
        if refused.is_empty() {
            match self.put(directory, steps, |_| Choice::Native) {
                Err(DataplaneError::Attach { interface, refusal: Some(refusal), .. }) => {
                    let by = steps.iter().find(|step| step.target.name == interface);
                    refused.extend(by.map(|step| (step.target.ifindex, Choice::Refused(refusal))));
                }
                other => return other,
            }
        }
        let choice = |target: &Target| refused.get(&target.ifindex).copied().unwrap_or(Choice::Company);
        self.put(directory, steps, choice)
    }

    /// Puts the program on each target as `choice` says: first where that may be refused.
    fn put(
        &mut self,
        directory: &Path,
        steps: &mut [Step],
        choice: impl Fn(&Target) -> Choice,
    ) -> Result<(), DataplaneError> {
        steps.sort_by_key(|step| step.target.is_in(choice(&step.target).place()));
        for step in steps {
            let choice = choice(&step.target);
            self.put_one(directory, &step.target, choice.place())?;
            step.target.program = Some(OnInterface { id: self.id()?, place: choice.place() });
            let Target { name, ifindex, .. } = step.target.clone();
            step.done = Some(Attached { name, ifindex, choice, before: step.before });
        }
        Ok(())
    }

    fn put_one(&mut self, directory: &Path, target: &Target, place: Place) -> Result<(), DataplaneError> {
        let pin = links::path(directory, &target.name);
        let Some((link, id)) = links::existing(&pin)? else {
            return self.attach_new(&pin, target, place);
        };
        match target.program {
            Some(there) if there.id == id && there.place == place => {
                let program = xdp(&mut self.ebpf, PROGRAM)?;
                let failed = |error: ProgramError| attach_failed(target, place, &error);
                let link = XdpLink::try_from(link).map_err(|error| links::failed(&pin, &error))?;
                let id = program.attach_to_link(link).map_err(failed)?;
                // The pin keeps the link; this descriptor is not needed any more.
                drop(program.take_link(id).map_err(failed)?);
                Ok(())
            }
            Some(there) if there.id == id => self.move_to(&pin, target, there.place, place),
            _ => {
                // The interface it was on is gone; one of the same name has come since.
                links::remove(&pin)?;
                self.attach_new(&pin, target, place)
            }
        }
    }

    /// Takes the program back to where it was before.
    pub(super) fn move_back(
        &mut self,
        directory: &Path,
        attached: &[Attached],
    ) -> Result<(), DataplaneError> {
        for Attached { name, ifindex, choice, before } in attached {
            if let Some(before) = before.filter(|before| *before != choice.place()) {
                let target = Target { name: name.clone(), ifindex: *ifindex, mtu: 0, program: None };
                self.move_to(&links::path(directory, name), &target, choice.place(), before)?;
            }
        }
        Ok(())
    }

    /// The kernel lets no two modes be on an interface: the one ends, then the other begins. If that is refused, the one
    /// goes on.
    fn move_to(&mut self, pin: &Path, target: &Target, from: Place, to: Place) -> Result<(), DataplaneError> {
        unlink::detach(pin).map_err(|error| DataplaneError::file("end the link", pin, error))?;
        links::remove(pin)?;
        self.attach_new(pin, target, to).or_else(|error| {
            self.attach_new(pin, target, from)?;
            Err(error)
        })
    }

    fn attach_new(&mut self, pin: &Path, target: &Target, place: Place) -> Result<(), DataplaneError> {
        let program = xdp(&mut self.ebpf, PROGRAM)?;
        let failed = |error: ProgramError| attach_failed(target, place, &error);
        let id = program.attach_to_if_index(target.ifindex, place.mode()).map_err(failed)?;
        let link = program.take_link(id).map_err(failed)?;
        let link = FdLink::try_from(link).map_err(|_| DataplaneError::Attach {
            interface: target.name.clone(),
            place,
            refusal: None,
            detail: "the kernel made no bpf_link".to_owned(),
            advice: "fastswitch needs Linux 5.15 or newer".to_owned(),
        })?;
        link.pin(pin).map_err(|error| links::failed(pin, &error))?;
        Ok(())
    }

    /// The kernel's id of the program.
    fn id(&mut self) -> Result<u32, DataplaneError> {
        Ok(xdp(&mut self.ebpf, PROGRAM)?.info().map_err(|error| load_failed(&error))?.id())
    }
}

/// A target on the way to having the program.
struct Step {
    target: Target,
    /// Where a program of ours was at first.
    before: Option<Place>,
    done: Option<Attached>,
}

impl Step {
    fn new(target: Target) -> Self {
        Self { before: target.program.map(|program| program.place), target, done: None }
    }
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

fn attach_failed(target: &Target, place: Place, error: &ProgramError) -> DataplaneError {
    let interface = target.name.clone();
    let refusal = Refusal::of(error, target.mtu).filter(|_| place == Place::Native);
    let advice = match refusal {
        Some(refusal) => format!("{}; or set gateway.xdp_mode = \"generic\"", refusal.advice(&interface)),
        None => format!("`ip -d link show {interface}` shows what is on it"),
    };
    DataplaneError::Attach { interface, place, refusal, detail: chain(error), advice }
}
