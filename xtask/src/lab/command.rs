//! `cargo xtask lab`: a lab that stays, for hands-on work.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;

use super::{Backend, Host, Lab, LabOptions, PORT, ServerOptions, Topology, Trace, USUAL_VIPS, keeper};
use crate::say::say;
use crate::{interrupt, privilege, programs, setup, shell};

const DEFAULT_NAME: &str = "lab";
const READY: Duration = Duration::from_secs(30);

/// What `cargo xtask lab` can do.
#[derive(clap::Subcommand, Debug)]
pub enum Command {
    /// Make a lab and leave it up, with servers and daemon.
    Up {
        /// Name of the lab.
        #[arg(long, default_value = DEFAULT_NAME)]
        name: String,
        /// How clients, gateway and backends are joined.
        #[arg(long, value_enum, default_value_t)]
        topology: Topology,
        /// Do not start the daemon.
        #[arg(long)]
        no_daemon: bool,
        /// Use what has been built.
        #[arg(long)]
        no_build: bool,
    },
    /// Remove a lab and end every process in it.
    Down {
        /// Name of the lab; without it, the only one there is.
        #[arg(long)]
        name: Option<String>,
        /// Remove every lab of this machine.
        #[arg(long, conflicts_with = "name")]
        all: bool,
    },
    /// Run a command on a machine of the lab.
    Exec {
        /// Name of the lab; without it, the only one there is.
        #[arg(long)]
        name: Option<String>,
        /// The machine.
        #[arg(value_enum)]
        host: Host,
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Start the server of a backend.
    Start {
        /// Name of the lab; without it, the only one there is.
        #[arg(long)]
        name: Option<String>,
        /// Whose server.
        #[arg(value_enum)]
        backend: Backend,
    },
    /// Kill the server of a backend.
    Kill {
        /// Name of the lab; without it, the only one there is.
        #[arg(long)]
        name: Option<String>,
        /// Whose server.
        #[arg(value_enum)]
        backend: Backend,
    },
    /// List the labs of this machine.
    List,
    /// Remove a lab when stdin ends: what each lab's owner starts for its own end.
    #[command(hide = true)]
    Keep {
        /// Name of the lab.
        name: String,
    },
}

/// # Errors
/// What failed.
pub fn main(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Keep { name } => keeper::keep(&Trace::of(&name)?)?,
        Command::List => list()?,
        Command::Up { name, topology, no_daemon, no_build } => {
            if !no_build {
                setup::ensure(setup::Level::Lab)?;
                programs::build()?;
            }
            up(&LabOptions::named(name).topology(topology), !no_daemon)?;
        }
        Command::Down { name, all } => down(name, all)?,
        Command::Exec { name, host, command } => exec(name, host, &command)?,
        Command::Start { name, backend } => {
            let lab = attach(name)?;
            lab.start_server(backend, &ServerOptions::default())?;
            lab.wait_healthy(backend, READY)?;
        }
        Command::Kill { name, backend } => attach(name)?.kill_server(backend)?,
    }
    Ok(ExitCode::SUCCESS)
}

impl Lab {
    /// Makes the lab and starts the hot backends' servers and, if wanted, the daemon.
    ///
    /// # Errors
    /// When a step fails; then nothing of it stays.
    pub fn up_with_servers(options: &LabOptions, daemon: bool) -> anyhow::Result<Lab> {
        let lab = Lab::up(options)?;
        for backend in [Backend::Primary, Backend::Standby] {
            lab.start_server(backend, &ServerOptions::default())?;
            lab.wait_healthy(backend, READY)?;
        }
        if daemon {
            lab.start_daemon(&[])?;
        }
        Ok(lab)
    }

    /// What can be tried by hand, as lines to print.
    pub fn introduction(&self) -> String {
        let name = self.name();
        let lab = |line: String| format!("  cargo xtask lab {line}\n");
        let addresses: Vec<String> =
            USUAL_VIPS.iter().map(|vip| SocketAddr::from((*vip, PORT)).to_string()).collect();
        let ask =
            |address: &String| lab(format!("exec --name {name} client -- curl -s http://{address}/whoami"));
        [
            format!(
                "Lab {name}, {}. The service is {} (TCP and UDP). Try:\n",
                self.topology(),
                addresses.join(", ")
            ),
            addresses.iter().map(ask).collect(),
            lab(format!("exec --name {name} gw -- fastswitch status")),
            lab(format!("kill --name {name} primary")),
            lab(format!("start --name {name} primary")),
            format!("Configuration and logs: {}\n", self.run_dir().display()),
        ]
        .concat()
    }
}

fn up(options: &LabOptions, daemon: bool) -> anyhow::Result<()> {
    privilege::become_root(&["--no-build"])?;
    interrupt::install()?;
    let lab = Lab::up_with_servers(options, daemon)?;
    let name = lab.name();
    say(format!("{}Remove it: cargo xtask lab down --name {name}", lab.introduction()))?;
    lab.leave_up()
}

fn down(name: Option<String>, all: bool) -> anyhow::Result<()> {
    privilege::become_root(&[])?;
    let names = if all { Trace::all()?.into_iter().collect() } else { vec![chosen(name)?] };
    for name in names {
        let trace = Trace::of(&name)?;
        anyhow::ensure!(!trace.present().is_empty(), "no lab {name}; `cargo xtask lab list` lists them");
        trace.remove().with_context(|| format!("removing lab {name}"))?;
        say(format!("removed lab {name}"))?;
    }
    Ok(())
}

fn exec(name: Option<String>, host: Host, command: &[OsString]) -> anyhow::Result<()> {
    let lab = attach(name)?;
    let [program, args @ ..] = command else { anyhow::bail!("no command given") };
    let mut command = lab.command(host, program)?;
    command.args(args);
    let error = command.exec();
    Err(shell::not_started(&command, error))
}

fn list() -> anyhow::Result<()> {
    for name in Trace::all()? {
        match Lab::attach(&name) {
            Ok(lab) => say(format!("{name}\t{}\t{}", lab.topology(), lab.run_dir().display()))?,
            Err(_) => say(format!("{name}\tbroken\tremove it: cargo xtask lab down --name {name}"))?,
        }
    }
    Ok(())
}

fn attach(name: Option<String>) -> anyhow::Result<Lab> {
    privilege::become_root(&[])?;
    Lab::attach(&chosen(name)?)
}

/// The lab of this name, or the only one there is.
fn chosen(name: Option<String>) -> anyhow::Result<String> {
    if let Some(name) = name {
        return Ok(name);
    }
    let names: Vec<String> = Trace::all()?.into_iter().collect();
    match names.as_slice() {
        [name] => Ok(name.clone()),
        [] => anyhow::bail!("no lab is up; make one: cargo xtask lab up"),
        _ => anyhow::bail!("several labs are up, say which with --name: {}", names.join(", ")),
    }
}
