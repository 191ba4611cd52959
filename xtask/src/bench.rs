//! `cargo xtask bench`: builds everything for speed and runs the benchmark program, which measures and judges.
//!
//! That program is a target of the package `fastswitch`, as only this one knows how to load an XDP program. Its
//! documentation says what each figure means: `tests/bench/main.rs`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use crate::{setup, shell};

/// The figure that is measured with programs of others.
const PEERS: &str = "throughput";

/// What `cargo xtask bench` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Which figures: path, decision, outage, planned, services, throughput. All of them without a name.
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Also write the figures to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Success when each figure was reached.
///
/// # Errors
/// When the build fails.
pub fn main(args: &Args) -> anyhow::Result<ExitCode> {
    // The peers are for one of the figures only.
    let peers = args.names.is_empty() || args.names.iter().any(|name| name == PEERS);
    setup::ensure(if peers { setup::Level::Bench } else { setup::Level::Lab })?;
    // The lab runs the programs that lie next to the benchmark program.
    let build = ["build", "--release", "--package", "xtask", "--package", "fastswitch", "--bins"];
    anyhow::ensure!(status(&build.map(OsString::from))?, "the build failed");
    let mut bench: Vec<OsString> =
        ["bench", "--package", "fastswitch", "--bench", "figures", "--"].map(OsString::from).into();
    bench.extend(args.names.iter().map(OsString::from));
    if let Some(file) = &args.json {
        // Cargo starts the program in another folder.
        bench.extend(["--json".into(), std::path::absolute(file)?.into_os_string()]);
    }
    Ok(if status(&bench)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn status(args: &[OsString]) -> anyhow::Result<bool> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(crate::workspace()).args(args);
    let status = command.status().map_err(|error| shell::not_started(&command, error))?;
    Ok(status.success())
}
