//! The figures that fastswitch must reach, each measured next to a floor or a peer of the same run; `cargo xtask bench`
//! builds and runs this.
//!
//! | name | figures |
//! | --- | --- |
//! | `path` | How long the XDP program runs for a packet to a backend, and for one back to the client, in each mode, longer than a program that only swaps the MAC addresses and transmits; and for a packet of nobody, longer than one that passes all. Means over 20,000 packets of real traffic, by the kernel's own account (which costs both the same); medians over rounds in which both take turns on the same interface. |
//! | `decision` | From the daemon's decision to the changed switch word, as it logs it, over 2,000 switches. |
//! | `outage` | The longest time from one answer to the next that a client sees which opens a connection each millisecond, when the primary's server is killed and when its link is cut; heartbeats each 10 ms, of which three are missed. |
//! | `planned` | Requests of that client that fail in ten switches by the operator. |
//! | `services` | How much longer a packet to a backend, and the switch, take with 1,000 services than with one, and a packet in mode `full_nat` with 1,000,000 flows than with those in use only. |
//! | `throughput` | What a client gets through the VIP, in times of what it gets where the same kernel forwards plain IP between the same namespaces: the rate of one TCP stream (iperf3), requests on connections that stay open, and requests on a new connection each (wrk, nginx). Medians over rounds in which both take turns. |
//!
//! Everything happens in labs of network namespaces and leaves nothing behind. A figure that is missed makes the exit
//! code 1. Times on a shared machine are what they are: the middle half of the samples says how far to trust them.

mod bed;
mod client;
mod decision;
mod flows;
mod path;
mod peers;
mod program;
mod progress;
mod sample;
mod stand;
mod table;
mod tools;
mod traffic;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, ValueEnum as _};
use table::Row;
use xtask::{interrupt, privilege};

use bed::Bed;

#[derive(Parser)]
struct Args {
    /// Which figures; all of them without a name.
    names: Vec<Name>,
    /// Also write the figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// What cargo adds.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Name {
    Path,
    Decision,
    Outage,
    Planned,
    Services,
    Throughput,
}

impl Name {
    fn measure(self) -> anyhow::Result<Vec<Row>> {
        match self {
            Name::Path => path::over_the_floor(),
            Name::Decision => decision::stored(),
            Name::Outage => client::outages(),
            Name::Planned => client::planned(),
            Name::Services => services(),
            Name::Throughput => peers::throughput(),
        }
    }
}

/// Many services, and many flows.
fn services() -> anyhow::Result<Vec<Row>> {
    let (one, many) = (Bed::with_services(1, "nat")?, Bed::with_services(1000, "nat")?);
    let mut rows = vec![path::forward_of_many(&one, &many)?, decision::stored_of_many(&one, &many)?];
    drop((one, many));
    rows.push(path::forward_of_many_flows()?);
    Ok(rows)
}

fn main() -> anyhow::Result<ExitCode> {
    let args = Args::parse();
    privilege::become_root(&[])?;
    interrupt::install()?;
    let names = if args.names.is_empty() { Name::value_variants() } else { &args.names };
    let mut rows = Vec::new();
    // What was measured before something failed was measured.
    let measured = names.iter().try_for_each(|name| {
        rows.extend(name.measure()?);
        anyhow::Ok(())
    });
    print!("{}", table::text(&rows));
    measured?;
    if let Some(file) = &args.json {
        table::write_json(file, &rows)?;
    }
    Ok(if rows.iter().all(Row::met) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
