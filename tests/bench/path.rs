//! How long the XDP program runs for a packet, by the kernel's own account under real traffic, against the floor.
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
use crate::program::{self, Account, Floor};
use crate::progress::Progress;
use crate::sample::Samples;
use crate::table::Row;
use crate::traffic::{Frame, Wire, segment};

/// Rounds of one figure; in each, every program runs once.
const ROUNDS: usize = 41;
/// Frames of one turn.
const FRAMES: u32 = 20_000;
/// Frames that differ in the client's port, sent in turn.
const FLOWS: u16 = 64;
/// For frames that were sent to have been received.
const ARRIVAL: Duration = Duration::from_secs(10);

/// The way that packets of a service take.
#[derive(Clone, Copy)]
enum Way {
    /// From the client to the active backend.
    Forward,
    /// From the backend to the client.
    Reply,
}

impl Way {
    /// The gateway's interface that they come by.
    const fn interface(self) -> &'static str {
        match self {
            Way::Forward => "eth0",
            Way::Reply => "eth1",
        }
    }
}

/// A lab prepared for one way of packets.
struct Stand<'a> {
    bed: &'a Bed,
    way: Way,
    floor: Floor,
    switch: Xdp,
    wire: Wire,
    frames: Vec<Frame>,
}

impl<'a> Stand<'a> {
    fn new(bed: &'a Bed, way: Way) -> anyhow::Result<Stand<'a>> {
        bed.lab.within(Host::Client, introduce)??;
        poll_in_batches(&bed.lab, way.interface())?;
        let client = |flow| SocketAddrV4::new(CLIENT, 20_000 + flow);
        let vip = SocketAddrV4::new(VIP, FIRST_PORT);
        let backend = SocketAddrV4::new(Backend::Primary.ip(), FIRST_PORT);
        let gateway = Wire::open(&bed.lab, Host::Gw, way.interface())?;
        let wire = match way {
            Way::Forward => Wire::open(&bed.lab, Host::Client, "eth0")?,
            Way::Reply => Wire::open(&bed.lab, Host::Lan, "gateway")?,
        };
        let frame = |flow| match way {
            Way::Forward => segment((wire.mac, gateway.mac), client(flow), vip),
            Way::Reply => segment((wire.mac, gateway.mac), backend, client(flow)),
        };
        let frames = (0..FLOWS).map(frame).collect();
        let switch = program::switch(&bed.lab, way.interface())?;
        Ok(Stand { way, floor: Floor::load()?, switch, wire, frames, bed })
    }

    /// Mean time of the floor, in ns.
    fn floor(&mut self) -> anyhow::Result<f64> {
        let interface = self.way.interface();
        program::put(self.floor.program()?, &self.bed.lab, interface)?;
        let time = turn(self.floor.program()?, &self.wire, &self.frames);
        program::put(&mut self.switch, &self.bed.lab, interface)?;
        time
    }

    /// Mean time of the daemon's program, in ns.
    fn switch(&self) -> anyhow::Result<f64> {
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

    /// Packets of the service that have taken this way.
    fn counted(&self) -> anyhow::Result<u64> {
        let reason = match self.way {
            Way::Forward => Reason::Forwarded,
            Way::Reply => Reason::Replied,
        };
        Ok(self.bed.status()?.counters.get(reason.name()).copied().unwrap_or_default())
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
    UdpSocket::bind("0.0.0.0:0")?.send_to(&[], (GATEWAY_CLIENTS, 9)).map(drop)
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

/// Packets to a backend, and back to the client.
pub(crate) fn over_the_floor() -> anyhow::Result<Vec<Row>> {
    let _account = program::account()?;
    let bed = Bed::with_services(1)?;
    Ok(vec![
        one_way(&bed, Way::Forward, "forward path over the floor")?.at_most(70.0),
        one_way(&bed, Way::Reply, "reply path over the floor")?.at_most(220.0),
    ])
}

fn one_way(bed: &Bed, way: Way, figure: &'static str) -> anyhow::Result<Row> {
    let progress = Progress::of(figure);
    let mut stand = Stand::new(bed, way)?;
    let (mut floors, mut over) = (Samples::default(), Samples::default());
    for round in 1..=ROUNDS {
        let floor = stand.floor()?;
        floors.push(floor);
        over.push(stand.switch()? - floor);
        progress.round(round, ROUNDS)?;
    }
    Ok(Row::percentile(figure, "ns", &over, 50).against(format!("floor {:.0} ns", floors.median())))
}

/// The forward path of `many` services, next to that of `one`.
pub(crate) fn forward_of_many(one: &Bed, many: &Bed) -> anyhow::Result<Row> {
    let figure = "1,000 services, not one: forward path";
    let progress = Progress::of(figure);
    let _account = program::account()?;
    let (one, many) = (Stand::new(one, Way::Forward)?, Stand::new(many, Way::Forward)?);
    let (mut ones, mut more) = (Samples::default(), Samples::default());
    for round in 1..=ROUNDS {
        let time = one.switch()?;
        ones.push(time);
        more.push((many.switch()? / time - 1.0) * 100.0);
        progress.round(round, ROUNDS)?;
    }
    let row = Row::percentile(figure, "% longer", &more, 50);
    Ok(row.against(format!("one: {:.0} ns", ones.median())).at_most(10.0))
}
