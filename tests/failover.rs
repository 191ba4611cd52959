//! The main job, with real processes in network namespaces: packets, failures, cold starts, failback. Needs root.

#[path = "failover/cold.rs"]
mod cold;
#[path = "failover/connections.rs"]
mod connections;
#[path = "failover/dsr.rs"]
mod dsr;
#[path = "failover/failures.rs"]
mod failures;
#[path = "failover/full_nat.rs"]
mod full_nat;
#[path = "failover/ipv6.rs"]
mod ipv6;
#[path = "failover/log.rs"]
mod log;
#[path = "failover/operator.rs"]
mod operator;
#[path = "failover/packets.rs"]
mod packets;
#[path = "failover/path.rs"]
mod path;
#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;

fn main() -> ExitCode {
    let trials = [
        packets::trials(),
        ipv6::trials(),
        dsr::trials(),
        full_nat::trials(),
        path::trials(),
        failures::trials(),
        cold::trials(),
        connections::trials(),
        operator::trials(),
        log::trials(),
    ];
    support::scene::run(trials.into_iter().flatten())
}
