//! The `cargo xtask` command: reads the command line and hands over to the library.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{setup, test, tidy};

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Find out what this machine has and install what is missing.
    Setup(setup::Args),
    /// Run every check and every test.
    Test(test::Args),
    /// Check the rules that keep the parts of the program apart.
    Tidy,
}

fn main() -> ExitCode {
    find_system_programs();
    let result = match Cli::parse().command {
        Command::Setup(args) => setup::main(&args),
        Command::Test(args) => test::main(&args),
        Command::Tidy => tidy::main(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Appends to PATH the folders of `ip` and `ethtool`, which an ordinary user's PATH leaves out.
fn find_system_programs() {
    let mut path = std::env::var_os("PATH").unwrap_or_default();
    path.push(":/usr/sbin:/sbin");
    // SAFETY: the process has only this thread yet.
    unsafe { std::env::set_var("PATH", path) };
}
