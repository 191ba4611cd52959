//! What `cargo xtask test` consists of.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::Context as _;
use serde::Deserialize;

use crate::setup::toolchain;
use crate::{shell, tidy};

/// Test programs whose tests may run side by side, and why; those of every other program under `tests/` run one at a
/// time, because they wait for real processes, which must not wait for each other.
const SIDE_BY_SIDE: &[(&str, &str)] = &[
    ("config", "reads files of its own"),
    ("packets", "runs the XDP program on packets of its own, with maps of its own"),
    ("properties", "computes"),
];

/// Everything that cargo builds for the host: the eBPF package builds for the BPF target only.
const HOST: [&str; 3] = ["--workspace", "--exclude", "fastswitch-ebpf"];

const FAST: [&str; 3] = ["fmt", "tidy", "unit"];

/// A part of the run.
pub(super) struct Step {
    pub(super) name: String,
    pub(super) work: Work,
}

pub(super) enum Work {
    /// A check of our own.
    Here(fn() -> anyhow::Result<()>),
    /// A program that either succeeds or fails.
    Check(Command),
    /// Programs that report on tests.
    Tests {
        commands: Vec<Command>,
        /// There are too many to name each that passed.
        quiet: bool,
        /// That no test ran is no failure.
        may_be_empty: bool,
    },
}

/// Every step, in order: what is quick and likely to fail comes first.
pub(super) fn all() -> anyhow::Result<Vec<Step>> {
    let mut steps = vec![
        check("fmt", cargo(&["fmt", "--all", "--check"])),
        Step { name: "tidy".to_owned(), work: Work::Here(tidy::main) },
        check("clippy", cargo_host("clippy", &["--all-targets", "--", "-D", "warnings"])),
        check("clippy-bpf", clippy_bpf()?),
        // Apart from the tests, so that their times say how long they ran.
        check("build", cargo_host("test", &["--no-run"])),
        inline("unit", cargo_host("test", &["--lib", "--bins", "--no-fail-fast"])),
    ];
    for name in test_programs()? {
        // Chosen from the whole workspace: with `--package`, cargo would settle on other features of the dependencies
        // and build them again.
        let mut command = cargo_host("test", &["--test", &name, "--no-fail-fast"]);
        if !SIDE_BY_SIDE.iter().any(|(parallel, _)| *parallel == name) {
            command.args(["--", "--test-threads=1"]);
        }
        steps.push(program(&name, command));
    }
    steps.push(inline("doctest", cargo_host("test", &["--doc", "--no-fail-fast"])));
    let mut doc = cargo_host("doc", &["--no-deps", "--document-private-items"]);
    doc.env("RUSTDOCFLAGS", "-D warnings");
    steps.push(check("doc", doc));
    Ok(steps)
}

/// The steps that are asked for: by their own names, else all tests whose name contains one of `filters`.
pub(super) fn select(steps: Vec<Step>, filters: &[String], fast: bool) -> Vec<Step> {
    if fast {
        return steps.into_iter().filter(|step| FAST.contains(&step.name.as_str())).collect();
    }
    if filters.is_empty() {
        return steps;
    }
    let is_step = |filter: &&String| steps.iter().any(|step| step.name == **filter);
    let (named, patterns): (Vec<&String>, Vec<&String>) = filters.iter().partition(is_step);
    let select = |step: Step| {
        if named.contains(&&step.name) {
            return Some(step);
        }
        match step.work {
            Work::Tests { commands, quiet, .. } if !patterns.is_empty() => {
                let commands = commands.iter().flat_map(|command| narrowed(command, &patterns)).collect();
                Some(Step { name: step.name, work: Work::Tests { commands, quiet, may_be_empty: true } })
            }
            _ => None,
        }
    };
    steps.into_iter().filter_map(select).collect()
}

/// `command` once for each of `patterns`: test programs with a harness of their own take only one.
fn narrowed(command: &Command, patterns: &[&String]) -> Vec<Command> {
    let narrow = |pattern: &&String| {
        let mut narrowed = Command::new(command.get_program());
        narrowed.args(command.get_args());
        if command.get_args().all(|arg| arg != "--") {
            narrowed.arg("--");
        }
        narrowed.arg(pattern.as_str());
        narrowed.current_dir(crate::workspace());
        narrowed
    };
    patterns.iter().map(narrow).collect()
}

/// Lints the XDP program with the clippy of its own toolchain, for its own target.
fn clippy_bpf() -> anyhow::Result<Command> {
    let mut command = toolchain::find().map_err(anyhow::Error::msg)?.cargo("clippy");
    // Another compiler than the host's: kept from waiting for, and throwing away, what that one has built.
    command.args([
        "--package",
        "fastswitch-ebpf",
        "--target-dir",
        "target/bpf-clippy",
        "--",
        "-D",
        "warnings",
    ]);
    command.current_dir(crate::workspace());
    Ok(command)
}

/// The names of the test programs in all manifests.
fn test_programs() -> anyhow::Result<BTreeSet<String>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        targets: Vec<Target>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
        kind: Vec<String>,
    }
    let output = shell::run(&mut cargo(&["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: Metadata = serde_json::from_slice(&output.stdout)
        .context("`cargo metadata` printed something else than expected")?;
    let targets = metadata.packages.into_iter().flat_map(|package| package.targets);
    let programs = targets.filter(|target| target.kind.iter().any(|kind| kind == "test"));
    Ok(programs.map(|target| target.name).collect())
}

fn check(name: &str, command: Command) -> Step {
    Step { name: name.to_owned(), work: Work::Check(command) }
}

/// A program under `tests/`: one without tests has lost its harness.
fn program(name: &str, command: Command) -> Step {
    let work = Work::Tests { commands: vec![command], quiet: false, may_be_empty: false };
    Step { name: name.to_owned(), work }
}

/// Tests that lie among the code.
fn inline(name: &str, command: Command) -> Step {
    let work = Work::Tests { commands: vec![command], quiet: true, may_be_empty: true };
    Step { name: name.to_owned(), work }
}

fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(args).current_dir(crate::workspace());
    command
}

fn cargo_host(subcommand: &str, args: &[&str]) -> Command {
    let mut command = cargo(&[subcommand]);
    command.args(HOST).args(args);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps() -> Vec<Step> {
        vec![
            check("fmt", cargo(&["fmt"])),
            inline("unit", cargo(&["test", "--lib"])),
            program("failover", cargo(&["test", "--test", "failover", "--", "--test-threads=1"])),
        ]
    }

    fn selected(filters: &[&str], fast: bool) -> Vec<String> {
        let filters: Vec<String> = filters.iter().map(|filter| (*filter).to_owned()).collect();
        let lines = |step: Step| match step.work {
            Work::Tests { commands, .. } => commands.iter().map(shell::line).collect(),
            Work::Check(command) => vec![shell::line(&command)],
            Work::Here(_) => Vec::new(),
        };
        select(steps(), &filters, fast).into_iter().flat_map(lines).collect()
    }

    #[test]
    fn everything_by_default() {
        assert_eq!(selected(&[], false).len(), 3);
        assert_eq!(selected(&[], true), ["cargo fmt", "cargo test --lib"]);
    }

    #[test]
    fn steps_by_name() {
        assert_eq!(selected(&["fmt", "failover"], false).len(), 2);
    }

    #[test]
    fn tests_by_a_part_of_their_name() {
        let expected = [
            "cargo test --lib -- killed",
            "cargo test --lib -- cut",
            "cargo test --test failover -- --test-threads=1 killed",
            "cargo test --test failover -- --test-threads=1 cut",
        ];
        assert_eq!(selected(&["killed", "cut"], false), expected);
    }
}
