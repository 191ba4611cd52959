//! What a client gets through the VIP, next to what it gets of the same backend where the kernel of the same gateway
//! forwards plain IP: between the same namespaces, by the same wires with the same offloads, in turns.
//!
//! For plain forwarding the daemon's program is taken off the gateway's interfaces. The backend has ports of its own
//! for it: to the backend, a connection from the same port of the client would be the same connection.

use std::net::SocketAddr;

use xtask::lab::{Backend, Lab, VIP};

use crate::bed::{Bed, FIRST_PORT};
use crate::progress::Progress;
use crate::sample::Samples;
use crate::table::{Row, number};
use crate::tools::{Server, requests, stream};

/// In each, everything is measured once in either way.
const ROUNDS: usize = 9;
/// For one measurement.
const SECONDS: u32 = 1;
/// Ports of the two services, at the VIP and at the backend; those for plain forwarding are so much higher.
const STREAM: u16 = FIRST_PORT;
const REQUESTS: u16 = FIRST_PORT + 1;
const PLAIN: u16 = 1000;

/// What is measured.
struct Figure {
    name: &'static str,
    port: u16,
    measure: fn(&Lab, SocketAddr) -> anyhow::Result<f64>,
    /// Of the measured value, with what it has to be divided by.
    unit: (&'static str, f64),
}

const FIGURES: [Figure; 3] = [
    Figure {
        name: "one TCP stream, VIP to plain forwarding",
        port: STREAM,
        measure: |lab, target| stream(lab, target, SECONDS),
        unit: ("Gbit/s", 1e9),
    },
    Figure {
        name: "requests each second, VIP to plain",
        port: REQUESTS,
        measure: |lab, target| requests(lab, target, true, SECONDS),
        unit: ("each second", 1.0),
    },
    Figure {
        name: "connections each second, VIP to plain",
        port: REQUESTS,
        measure: |lab, target| requests(lab, target, false, SECONDS),
        unit: ("each second", 1.0),
    },
];

/// A stream, requests, and connections.
pub(crate) fn throughput() -> anyhow::Result<Vec<Row>> {
    let progress = Progress::of("throughput, VIP to plain forwarding");
    let mut bed = Bed::with_services(2, "nat")?;
    let primary = Backend::Primary;
    let _servers = [
        Server::iperf3(&bed.lab, primary, STREAM)?,
        Server::iperf3(&bed.lab, primary, STREAM + PLAIN)?,
        Server::nginx(&bed.lab, primary, &[REQUESTS, REQUESTS + PLAIN])?,
    ];
    let mut plain = [const { Vec::new() }; FIGURES.len()];
    let mut switched = [const { Vec::new() }; FIGURES.len()];
    for round in 1..=ROUNDS {
        // The ways take turns in being first, so that what changes in time falls on both; and change once a round.
        if round % 2 == 1 {
            measure(&bed.lab, &mut switched, |port| SocketAddr::from((VIP, port)))?;
            bed.detach()?;
            measure(&bed.lab, &mut plain, |port| SocketAddr::from((primary.ip(), port + PLAIN)))?;
        } else {
            measure(&bed.lab, &mut plain, |port| SocketAddr::from((primary.ip(), port + PLAIN)))?;
            bed = bed.attach()?;
            measure(&bed.lab, &mut switched, |port| SocketAddr::from((VIP, port)))?;
        }
        progress.round(round, ROUNDS)?;
    }
    let rows = FIGURES.iter().zip(plain.iter().zip(&switched));
    Ok(rows.map(|(figure, (plain, switched))| row(figure, plain, switched)).collect())
}

/// Measures everything once, at the addresses that `target` gives for a port.
fn measure(
    lab: &Lab,
    values: &mut [Vec<f64>; FIGURES.len()],
    target: impl Fn(u16) -> SocketAddr,
) -> anyhow::Result<()> {
    for (figure, values) in FIGURES.iter().zip(values) {
        values.push((figure.measure)(lab, target(figure.port))?);
    }
    Ok(())
}

fn row(figure: &Figure, plain: &[f64], switched: &[f64]) -> Row {
    let ratios: Samples = switched.iter().zip(plain).map(|(switched, plain)| switched / plain).collect();
    let (unit, per_unit) = figure.unit;
    let plain: Samples = plain.iter().map(|value| value / per_unit).collect();
    Row::percentile(figure.name, "times", &ratios, 50)
        .against(format!("plain: {} {unit}", number(plain.median())))
        .at_least(1.0)
}
