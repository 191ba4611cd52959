//! Interfaces of every kind: drivers without native XDP, jumbo frames. Needs root.

#[path = "links/modes.rs"]
mod modes;
#[path = "support/mod.rs"]
mod support;

use std::process::ExitCode;

fn main() -> ExitCode {
    support::scene::run(modes::trials())
}
