//! What the machine needs before fastswitch can be built and tested: finds out what is there, installs the rest.
//!
//! Refuses to guess: what it cannot install it names, with the command to run by hand. It never removes or replaces a
//! package, and changes nothing when everything is there.

mod apt;
mod linker;
pub mod toolchain;

use std::cell::OnceCell;
use std::path::PathBuf;
use std::process::Command;

use crate::shell;
use apt::Apt;
use toolchain::Toolchain;

/// How much of the machine a task needs. The lab includes building; testing and measuring include the lab, not each
/// other.
#[derive(Clone, Copy, Debug, Eq, PartialEq, clap::ValueEnum)]
pub enum Level {
    /// Compiling everything, the XDP program included.
    Build,
    /// Running the lab of network namespaces.
    Lab,
    /// Linting and testing everything.
    Test,
    /// Measuring everything, next to its peers.
    Bench,
}

impl Level {
    fn includes(self, part: Level) -> bool {
        match part {
            Level::Build => true,
            Level::Lab => self != Level::Build,
            Level::Test | Level::Bench => self == part,
        }
    }
}

/// Options of `cargo xtask setup`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only report what is missing; exit with 1 if anything is.
    #[arg(long)]
    check: bool,
    /// What the machine is for.
    #[arg(long = "for", value_name = "LEVEL", value_enum, default_value_t = Level::Test)]
    level: Level,
}

/// What one run has learnt about the machine.
#[derive(Default)]
struct Machine {
    apt: Apt,
    /// Once there is a usable one, nothing here makes it another.
    toolchain: OnceCell<Toolchain>,
}

/// One thing that the machine must have.
struct Item {
    name: &'static str,
    level: Level,
    /// What it is needed for, as the end of "needed ..".
    why: &'static str,
    kind: Kind,
}

enum Kind {
    /// The toolchain manager. Both toolchains are called through it: it cannot be installed from here, and without it
    /// nothing else can.
    Rustup,
    BpfToolchain,
    BpfLinker,
    BpfClippy,
    /// A cargo subcommand of the toolchain in use, and the rustup component that brings it.
    Component {
        subcommand: &'static str,
        component: &'static str,
    },
    /// A program, and the Debian package that brings it.
    Program {
        package: &'static str,
    },
    /// The same, where the package also starts the program as a service of its own name.
    Server {
        package: &'static str,
    },
}

/// In the order of installation: the linker must fit the toolchain.
const ITEMS: &[Item] = &[
    Item { name: "rustup", level: Level::Build, why: "to call the BPF toolchain", kind: Kind::Rustup },
    Item {
        name: "bpf-toolchain",
        level: Level::Build,
        why: "to compile the XDP program: a Rust with `core` for the BPF target",
        kind: Kind::BpfToolchain,
    },
    Item { name: "bpf-linker", level: Level::Build, why: "to link the XDP program", kind: Kind::BpfLinker },
    program("ip", "iproute2", "to make network namespaces"),
    program("nsenter", "util-linux", "to enter one of them by hand"),
    program("ethtool", "ethtool", "to set up veth devices for XDP"),
    program("ping", "iputils-ping", "to ask the virtual IP for an echo"),
    program("curl", "curl", "to send requests by hand"),
    Item { level: Level::Test, ..program("tcpdump", "tcpdump", "to capture what the tests verify") },
    Item {
        name: "rustfmt",
        level: Level::Test,
        why: "to check the layout of the code",
        kind: Kind::Component { subcommand: "fmt", component: "rustfmt" },
    },
    Item {
        name: "clippy",
        level: Level::Test,
        why: "to lint the daemon",
        kind: Kind::Component { subcommand: "clippy", component: "clippy" },
    },
    Item {
        level: Level::Bench,
        ..program("iperf3", "iperf3", "to compare the rate of a stream with plain forwarding")
    },
    Item {
        level: Level::Bench,
        ..program("wrk", "wrk", "to compare rates of requests and of connections with it")
    },
    Item {
        name: "nginx",
        level: Level::Bench,
        why: "to answer them on a backend, in less time than any switch takes",
        kind: Kind::Server { package: "nginx" },
    },
    Item { name: "bpf-clippy", level: Level::Test, why: "to lint the XDP program", kind: Kind::BpfClippy },
];

const fn program(name: &'static str, package: &'static str, why: &'static str) -> Item {
    Item { name, level: Level::Lab, why, kind: Kind::Program { package } }
}

/// `cargo xtask setup`: reports every item in a line of its own, and unless asked only to check installs what is missing.
///
/// # Errors
/// When something is missing that could not be installed, or at all with `--check`.
pub fn main(args: &Args) -> anyhow::Result<()> {
    let machine = Machine::default();
    let mut problems = Vec::new();
    for item in needed(args.level) {
        match item.find(&machine) {
            Ok(found) => report("present", item.name, &found),
            Err(missing) => {
                report("missing", item.name, &format!("{missing}; needed {}", item.why));
                if args.check {
                    problems.push(item.name);
                } else if let Err(error) = item.install(&machine) {
                    report("failed", item.name, &format!("{error:#}"));
                    problems.push(item.name);
                    if matches!(item.kind, Kind::Rustup) {
                        break;
                    }
                }
            }
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    let problems = problems.join(", ");
    if args.check {
        anyhow::bail!("missing: {problems}; `cargo xtask setup` installs what it can");
    }
    anyhow::bail!("could not be installed, for the reasons above: {problems}")
}

/// Makes sure that everything up to `level` is there; quick and silent when it is.
///
/// # Errors
/// When something is missing that could not be installed.
pub fn ensure(level: Level) -> anyhow::Result<()> {
    let machine = Machine::default();
    if needed(level).all(|item| item.find(&machine).is_ok()) {
        return Ok(());
    }
    eprintln!("Something that this needs is missing; setting up the machine:");
    main(&Args { check: false, level })
}

fn needed(level: Level) -> impl Iterator<Item = &'static Item> {
    ITEMS.iter().filter(move |item| level.includes(item.level))
}

fn report(state: &str, name: &str, text: &str) {
    // What a failed command says may have several lines.
    let text = text.replace('\n', &format!("\n{:26}", ""));
    eprintln!("{state:<10} {name:<14} {text}");
}

/// Announces and runs a command that installs something.
fn install_by(name: &str, command: &mut Command) -> anyhow::Result<()> {
    report("installing", name, &shell::line(command));
    shell::run(command).map(drop)
}

impl Machine {
    /// The toolchain for the XDP program, or what is wrong with it.
    fn toolchain(&self) -> Result<&Toolchain, String> {
        match self.toolchain.get() {
            Some(toolchain) => Ok(toolchain),
            None => toolchain::find().map(|toolchain| self.toolchain.get_or_init(|| toolchain)),
        }
    }
}

impl Item {
    /// What of it is there, or what is not.
    fn find(&self, machine: &Machine) -> Result<String, String> {
        match &self.kind {
            Kind::BpfToolchain => machine.toolchain().map(Toolchain::to_string),
            // Which LLVM it must read is known only once there is a toolchain.
            Kind::BpfLinker => linker::find(machine.toolchain().ok().map(|toolchain| toolchain.llvm)),
            Kind::BpfClippy => machine.toolchain()?.find_clippy(),
            Kind::Component { subcommand, .. } => {
                first_line(Command::new("cargo").args([subcommand, "--version"]))
            }
            Kind::Rustup | Kind::Program { .. } | Kind::Server { .. } => {
                find_program(self.name).map(|file| file.display().to_string())
            }
        }
    }

    fn install(&self, machine: &Machine) -> anyhow::Result<()> {
        let toolchain = || machine.toolchain().map_err(anyhow::Error::msg);
        match &self.kind {
            Kind::Rustup => anyhow::bail!(
                "install it as https://rustup.rs says (Debian's own cargo and rustc cannot be switched per command)"
            ),
            Kind::BpfToolchain => toolchain::install(&machine.apt)?,
            Kind::BpfLinker => linker::install(&machine.apt, toolchain()?)?,
            Kind::BpfClippy => toolchain::install_clippy(&machine.apt, toolchain()?)?,
            Kind::Component { component, .. } => {
                install_by(self.name, Command::new("rustup").args(["component", "add", component]))?;
            }
            Kind::Program { package } => machine.apt.install(self.name, &[package])?,
            Kind::Server { package } => {
                machine.apt.install(self.name, &[package])?;
                apt::end_service(self.name)?;
            }
        }
        let found =
            self.find(machine).map_err(|missing| anyhow::anyhow!("installed, and still: {missing}"))?;
        report("present", self.name, &found);
        Ok(())
    }
}

/// Where on PATH a program lies.
fn find_program(name: &str) -> Result<PathBuf, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
        .ok_or_else(|| format!("no `{name}` on PATH"))
}

/// What a program says first, if it succeeds.
fn first_line(command: &mut Command) -> Result<String, String> {
    let output = shell::run(command).map_err(|error| format!("{error:#}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}
