//! The `cargo xtask` command: reads the command line and hands over to the library.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{interrupt, lab, run, server};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build everything and run the switch in a lab of network namespaces.
    Run(run::Args),
    /// Keep a lab for hands-on work.
    #[command(subcommand)]
    Lab(lab::command::Command),
    /// Serve as the stand-in for a speech service.
    Server(server::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Run(args) => run::main(&args),
        Command::Lab(command) => lab::command::main(command),
        Command::Server(args) => server::main(&args),
    };
    match result {
        Ok(code) => code,
        Err(error) if error.is::<interrupt::Interrupted>() => ExitCode::from(130),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
