//! Processes of the gateway itself that use the VIPs, and those of other machines that must not notice. Needs root.

#[path = "local/ask.rs"]
mod ask;
#[path = "local/limits.rs"]
mod limits;
#[path = "local/serving.rs"]
mod serving;
#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;

fn main() -> ExitCode {
    let trials = [serving::trials(), limits::trials()];
    support::scene::run(trials.into_iter().flatten())
}
