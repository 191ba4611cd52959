//! Where it is measured how long the XDP program runs for a packet, by the kernel's own account under real traffic.
//!
//! Frames are sent into the gateway's interface from the other end of its wire. The daemon's program and the floor
//! take turns there, so that what else the machine does meanwhile falls on both.

use std::io;
use std::net::{SocketAddrV4, UdpSocket};
use std::time::Duration;

use aya::programs::Xdp;
use fastswitch_common::reason::Reason;
use xtask::lab::{Backend, CLIENT, GATEWAY_CLIENTS, Host, Lab, VIP};
use xtask::{shell, wait};

use crate::bed::{Bed, FIRST_PORT};
use crate::flows;
use crate::program::{self, Account, Floor};
use crate::traffic::{Frame, Wire, segment};

/// Frames of one turn.
const FRAMES: u32 = 20_000;
/// Frames that differ in the client's port, sent in turn.
const FLOWS: u16 = 64;
/// For frames that were sent to have been received.
const ARRIVAL: Duration = Duration::from_secs(10);
/// A port of the gateway's own that nobody has.
const NOBODY: u16 = 9;

/// The way that packets take.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the client to the active backend.
    Forward,
    /// From the backend to the client.
    Reply,
    /// Likewise, in mode full_nat: to the gateway's own end of the flow.
    FlowReply,
    /// From the client to the gateway itself.
    Other,
}

impl Way {
    /// The gateway's interface that they come by.
    const fn interface(self) -> &'static str {
        match self {
            Way::Forward | Way::Other => "eth0",
            Way::Reply | Way::FlowReply => "eth1",
        }
    }

    /// What they are compared with.
    const fn floor(self) -> &'static str {
        match self {
            Way::Forward | Way::Reply | Way::FlowReply => "floor",
            Way::Other => "pass",
        }
    }

    /// Under which they are counted.
    const fn reason(self) -> Reason {
        match self {
            Way::Forward => Reason::Forwarded,
            Way::Reply | Way::FlowReply => Reason::Replied,
            Way::Other => Reason::NotOurs,
        }
    }

    fn frame(self, macs: ([u8; 6], [u8; 6]), client: SocketAddrV4) -> Frame {
        let vip = SocketAddrV4::new(VIP, FIRST_PORT);
        let backend = SocketAddrV4::new(Backend::Primary.ip(), FIRST_PORT);
        match self {
            Way::Forward => segment(macs, client, vip),
            Way::Reply => segment(macs, backend, client),
            Way::FlowReply => segment(macs, backend, flows::gateway_end(client)),
            Way::Other => segment(macs, client, SocketAddrV4::new(GATEWAY_CLIENTS, NOBODY)),
        }
    }
}

/// The clients whose packets are sent, all of one host.
pub(crate) fn clients() -> impl Iterator<Item = SocketAddrV4> {
    (0..FLOWS).map(|flow| SocketAddrV4::new(CLIENT, 20_000 + flow))
}

/// A lab prepared for one way of packets.
pub(crate) struct Stand<'a> {
    bed: &'a Bed,
    way: Way,
    floor: Floor,
    switch: Xdp,
    wire: Wire,
    frames: Vec<Frame>,
}

impl<'a> Stand<'a> {
    /// For packets of `clients`.
    pub(crate) fn new(
        bed: &'a Bed,
        way: Way,
        clients: impl Iterator<Item = SocketAddrV4>,
    ) -> anyhow::Result<Stand<'a>> {
        bed.lab.within(Host::Client, introduce)??;
        poll_in_batches(&bed.lab, way.interface())?;
        let gateway = Wire::open(&bed.lab, Host::Gw, way.interface())?;
        let wire = match way {
            Way::Forward | Way::Other => Wire::open(&bed.lab, Host::Client, "eth0")?,
            Way::Reply | Way::FlowReply => Wire::open(&bed.lab, Host::Lan, "gateway")?,
        };
        let frames = clients.map(|client| way.frame((wire.mac, gateway.mac), client)).collect();
        let switch = program::switch(&bed.lab, way.interface())?;
        Ok(Stand { way, floor: Floor::load(way.floor())?, switch, wire, frames, bed })
    }

    /// Mean time of the floor, in ns.
    pub(crate) fn floor(&mut self) -> anyhow::Result<f64> {
        let interface = self.way.interface();
        program::put(self.floor.program()?, &self.bed.lab, interface)?;
        let time = turn(self.floor.program()?, &self.wire, &self.frames);
        program::put(&mut self.switch, &self.bed.lab, interface)?;
        time
    }

    /// Mean time of the daemon's program, in ns.
    pub(crate) fn switch(&self) -> anyhow::Result<f64> {
        let counted = self.counted()?;
        let time = turn(&self.switch, &self.wire, &self.frames)?;
        let counted = self.counted()? - counted;
        anyhow::ensure!(
            counted >= u64::from(FRAMES) * 9 / 10,
            "only {counted} of {FRAMES} frames took the way that was to be measured: {:?}",
            self.bed.status()?.counters
        );
        Ok(time)
    }

    /// Packets that have taken this way.
    fn counted(&self) -> anyhow::Result<u64> {
        let counters = match self.way {
            Way::Other => self.bed.other_counters()?,
            _ => self.bed.status()?.counters,
        };
        Ok(counters.get(self.way.reason().name()).copied().unwrap_or_default())
    }
}

/// Lets a kernel thread poll an interface of the gateway, on a CPU other than the sender's. It finds many frames at a
/// time, as the driver of a network card under load does, and not each one alone with everything else in the caches.
fn poll_in_batches(lab: &Lab, interface: &str) -> anyhow::Result<()> {
    let gateway = lab.namespace(Host::Gw);
    let command = format!("echo 1 > /sys/class/net/{interface}/threaded");
    // Here its own /sys, which hides bpffs, is what is wanted.
    shell::ip(["netns", "exec", gateway.name(), "sh", "-c", &command]).map(drop)
}

/// Says anything to the gateway, which then knows the client as a neighbour and so the way of replies.
fn introduce() -> io::Result<()> {
    UdpSocket::bind("0.0.0.0:0")?.send_to(&[], (GATEWAY_CLIENTS, NOBODY)).map(drop)
}

/// Mean time of a run of `program`, in ns, over one turn of frames.
fn turn(program: &Xdp, wire: &Wire, frames: &[Frame]) -> anyhow::Result<f64> {
    let before = Account::of(program)?;
    wire.send(frames, FRAMES)?;
    let after = wait::until("the frames arrive", ARRIVAL, || {
        let account = Account::of(program)?;
        Ok((account.runs - before.runs >= u64::from(FRAMES) * 9 / 10).then_some(account))
    })?;
    Ok(after.mean_since(&before))
}
