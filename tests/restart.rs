//! The daemon comes and goes, killed at bad moments; packets do not care. Needs root.

#[path = "restart/adoption.rs"]
mod adoption;
#[path = "restart/network.rs"]
mod network;
#[path = "restart/reconfiguration.rs"]
mod reconfiguration;
#[path = "restart/starts.rs"]
mod starts;
#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;

fn main() -> ExitCode {
    let trials = [adoption::trials(), reconfiguration::trials(), network::trials(), starts::trials()];
    support::scene::run(trials.into_iter().flatten())
}
