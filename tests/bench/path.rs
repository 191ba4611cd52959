//! How long the XDP program runs for a packet, against the floor; with many services and flows, against few.

use std::net::{Ipv4Addr, SocketAddrV4};

use crate::bed::Bed;
use crate::progress::Progress;
use crate::sample::Samples;
use crate::stand::{Stand, Way, clients};
use crate::table::Row;
use crate::{flows, program};

/// Rounds of one figure; in each, every program runs once.
const ROUNDS: usize = 41;
/// Flows of mode full_nat besides those whose packets are sent.
const MANY_FLOWS: u32 = 1_000_000;
/// Flows whose packets are sent where there are many: every one of the caches' lines is another's.
const SPREAD: usize = 8_192;

/// Packets to a backend, back to the client, and of nobody.
pub(crate) fn over_the_floor() -> anyhow::Result<Vec<Row>> {
    let _account = program::account()?;
    let nat = Bed::with_services(1, "nat")?;
    let mut rows = vec![
        one_way(&nat, Way::Forward, "nat: forward path over the floor")?.at_most(60.0),
        one_way(&nat, Way::Reply, "nat: reply path over the floor")?.at_most(120.0),
        one_way(&nat, Way::Other, "not ours, over a program that passes all")?.at_most(50.0),
    ];
    drop(nat);
    let dsr = Bed::with_services(1, "dsr")?;
    rows.push(one_way(&dsr, Way::Forward, "dsr: forward path over the floor")?.at_most(60.0));
    drop(dsr);
    let full_nat = Bed::with_services(1, "full_nat")?;
    flows::open(&full_nat.lab, clients())?;
    rows.push(one_way(&full_nat, Way::Forward, "full_nat: forward path over the floor")?.at_most(150.0));
    rows.push(one_way(&full_nat, Way::FlowReply, "full_nat: reply path over the floor")?.at_most(150.0));
    Ok(rows)
}

fn one_way(bed: &Bed, way: Way, figure: &'static str) -> anyhow::Result<Row> {
    let progress = Progress::of(figure);
    let mut stand = Stand::new(bed, way, clients())?;
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
    let _account = program::account()?;
    let (one, many) = (Stand::new(one, Way::Forward, clients())?, Stand::new(many, Way::Forward, clients())?);
    longer("1,000 services, not one: forward path", "one", &one, &many).map(|row| row.at_most(10.0))
}

/// The forward path of mode full_nat in a full table, next to that in one that has the flows in use only.
pub(crate) fn forward_of_many_flows() -> anyhow::Result<Row> {
    let _account = program::account()?;
    let (few, many) = (Bed::with_services(1, "full_nat")?, Bed::with_services(1, "full_nat")?);
    let used = || many_clients().step_by(MANY_FLOWS as usize / SPREAD).take(SPREAD);
    flows::open(&few.lab, used())?;
    flows::open(&many.lab, many_clients())?;
    let (few, many) = (Stand::new(&few, Way::Forward, used())?, Stand::new(&many, Way::Forward, used())?);
    longer("1,000,000 flows, not 8,192: forward path", "few", &few, &many).map(|row| row.at_most(15.0))
}

fn many_clients() -> impl Iterator<Item = SocketAddrV4> {
    let client = |flow: u32| {
        let [_, host, ..] = flow.to_le_bytes();
        SocketAddrV4::new(Ipv4Addr::new(10, 77, (flow >> 16) as u8, host), 1024 + (flow & 0xff) as u16)
    };
    (0..MANY_FLOWS).map(client)
}

fn longer(figure: &'static str, what: &str, few: &Stand<'_>, many: &Stand<'_>) -> anyhow::Result<Row> {
    let progress = Progress::of(figure);
    let (mut fews, mut more) = (Samples::default(), Samples::default());
    for round in 1..=ROUNDS {
        let time = few.switch()?;
        fews.push(time);
        more.push((many.switch()? / time - 1.0) * 100.0);
        progress.round(round, ROUNDS)?;
    }
    let row = Row::percentile(figure, "% longer", &more, 50);
    Ok(row.against(format!("{what}: {:.0} ns", fews.median())))
}
