//! `cargo xtask run`: the switch running in a lab of its own, or the built program with arguments of yours.

mod demo;
mod live;

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use crate::lab::{Lab, LabOptions, Topology};
use crate::programs::{self, Programs};
use crate::say::say;
use crate::{interrupt, privilege, setup, shell};

/// What `cargo xtask run` takes.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Name of the lab.
    #[arg(long, default_value = "run")]
    name: String,
    /// How clients, gateway and backends are joined.
    #[arg(long, value_enum, default_value_t)]
    topology: Topology,
    /// Let the story play by itself: backends die and come back, and a client tells what it saw.
    #[arg(long)]
    demo: bool,
    /// Use what has been built.
    #[arg(long)]
    no_build: bool,
    /// Run the built `fastswitch` with these arguments instead.
    #[arg(last = true)]
    arguments: Vec<OsString>,
}

/// # Errors
/// What failed.
pub fn main(args: &Args) -> anyhow::Result<ExitCode> {
    let programs = if args.no_build {
        Programs::find()?
    } else {
        setup::ensure(setup::Level::Lab)?;
        programs::build()?
    };
    if !args.arguments.is_empty() {
        let mut command = Command::new(&programs.fastswitch);
        let error = command.args(&args.arguments).exec();
        return Err(shell::not_started(&command, error));
    }
    privilege::become_root(&["--no-build"])?;
    interrupt::install()?;
    say(format!("Setting up the lab {} ({}) ..", args.name, args.topology))?;
    let options = LabOptions::named(&args.name).topology(args.topology);
    let lab = Lab::up_with_servers(&options, true)?;
    let code = if args.demo { demo::play(&lab)? } else { live::show(&lab)? };
    lab.down()?;
    Ok(code)
}
