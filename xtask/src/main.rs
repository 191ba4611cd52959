//! The `cargo xtask` command: reads the command line and hands over to the library.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::{bench, interrupt, lab, run, say, server, setup, test, tidy};

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
    /// Find out what this machine has and install what is missing.
    Setup(setup::Args),
    /// Run every check and every test.
    Test(test::Args),
    /// Measure the figures that must be reached, and judge them.
    Bench(bench::Args),
    /// Check the rules that keep the parts of the program apart.
    Tidy,
}

fn main() -> ExitCode {
    find_system_programs();
    let result = match Cli::parse().command {
        Command::Run(args) => run::main(&args),
        Command::Lab(command) => lab::command::main(command),
        Command::Server(args) => server::main(&args),
        Command::Setup(args) => setup::main(&args).map(|()| ExitCode::SUCCESS),
        Command::Test(args) => test::main(&args).map(|()| ExitCode::SUCCESS),
        Command::Bench(args) => bench::main(&args),
        Command::Tidy => tidy::main().map(|()| ExitCode::SUCCESS),
    };
    match result {
        Ok(code) => code,
        Err(error) if error.is::<interrupt::Interrupted>() => ExitCode::from(130),
        // Who closed the pipe has what they wanted.
        Err(error) if error.is::<say::Unread>() => ExitCode::SUCCESS,
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
