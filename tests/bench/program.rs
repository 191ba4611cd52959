//! The two programs that are compared, and the kernel's own account of how long each ran.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::xdp::XdpLink;
use aya::programs::{Xdp, loaded_programs};
use aya::sys::{Stats, enable_stats};
use aya::{Ebpf, EbpfLoader};
use aya_obj::programs::XdpAttachType;
use fastswitch_common::abi;
use xtask::lab::Lab;

static FLOOR: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/floor"));

/// Switches the kernel's account on, for as long as it is kept.
pub(crate) fn account() -> anyhow::Result<OwnedFd> {
    enable_stats(Stats::RunTime).context("the kernel does not account for run time")
}

/// What the kernel has accounted for.
#[derive(Clone, Copy)]
pub(crate) struct Account {
    time: Duration,
    pub(crate) runs: u64,
}

impl Account {
    pub(crate) fn of(program: &Xdp) -> anyhow::Result<Account> {
        let info = program.info()?;
        Ok(Account { time: info.run_time(), runs: info.run_count() })
    }

    /// Mean time of a run since `earlier`, in ns.
    pub(crate) fn mean_since(&self, earlier: &Account) -> f64 {
        (self.time - earlier.time).as_nanos() as f64 / (self.runs - earlier.runs) as f64
    }
}

/// A program to compare with: `floor` swaps MAC addresses and transmits, `pass` leaves every packet to the kernel.
pub(crate) struct Floor {
    ebpf: Ebpf,
    name: &'static str,
}

impl Floor {
    pub(crate) fn load(name: &'static str) -> anyhow::Result<Floor> {
        let mut floor = Floor { ebpf: EbpfLoader::new().load(FLOOR)?, name };
        floor.program()?.load()?;
        Ok(floor)
    }

    pub(crate) fn program(&mut self) -> anyhow::Result<&mut Xdp> {
        let program =
            self.ebpf.program_mut(self.name).with_context(|| format!("no program `{}`", self.name))?;
        Ok(program.try_into()?)
    }
}

/// The program that the lab's daemon put on `interface`.
pub(crate) fn switch(lab: &Lab, interface: &str) -> anyhow::Result<Xdp> {
    let id = FdLink::from(link(lab, interface)?).info()?.program_id();
    let info = loaded_programs().find_map(|info| info.ok().filter(|info| info.id() == id));
    let info = info.with_context(|| format!("the XDP program {id} is gone"))?;
    Ok(Xdp::from_program_info(info, "fastswitch".into(), XdpAttachType::Interface)?)
}

/// Puts `program` on `interface`, where the lab's daemon has put its own, by the daemon's own link.
pub(crate) fn put(program: &mut Xdp, lab: &Lab, interface: &str) -> anyhow::Result<()> {
    let link = XdpLink::try_from(FdLink::from(link(lab, interface)?))?;
    let id = program.attach_to_link(link)?;
    // The pin keeps the link.
    drop(program.take_link(id)?);
    Ok(())
}

fn link(lab: &Lab, interface: &str) -> anyhow::Result<PinnedLink> {
    let pin = lab.pin_dir().join(format!("v{}", abi::ABI)).join(format!("link-{interface}"));
    PinnedLink::from_pin(&pin).with_context(|| no_link(&pin))
}

fn no_link(pin: &Path) -> String {
    format!("no link at {}", pin.display())
}
