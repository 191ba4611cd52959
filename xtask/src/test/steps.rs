//! What `cargo xtask test` consists of.

use std::process::Command;

use anyhow::Context as _;
use serde::Deserialize;

use crate::setup::toolchain;
use crate::{shell, tidy};

/// Test programs whose tests may run side by side, and why; those of every other program under `tests/` run one at a
/// time, because they measure themselves against clocks while sharing the machine.
const SIDE_BY_SIDE: &[(&str, &str)] = &[
    ("packets", "a test runs the XDP program on packets of its own, with maps of its own"),
    ("sim", "its clock is simulated"),
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
    /// Programs that report on tests; `quiet` when there are too many to name each that passed.
    Tests { commands: Vec<Command>, quiet: bool },
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
        tests("unit", cargo_host("test", &["--lib", "--bins", "--no-fail-fast"]), true),
    ];
    for program in test_programs()? {
        let mut command = cargo(&["test", "--package", &program.package, "--test", &program.name]);
        if !SIDE_BY_SIDE.iter().any(|(name, _)| *name == program.name) {
            command.args(["--", "--test-threads=1"]);
        }
        steps.push(tests(&program.name, command, false));
    }
    steps.push(tests("doctest", cargo_host("test", &["--doc", "--no-fail-fast"]), true));
    let mut doc = cargo_host("doc", &["--no-deps"]);
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
            Work::Tests { commands, quiet } if !patterns.is_empty() => {
                let commands = commands.iter().flat_map(|command| narrowed(command, &patterns)).collect();
                Some(Step { name: step.name, work: Work::Tests { commands, quiet } })
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

/// A program under `tests/`.
struct TestProgram {
    package: String,
    name: String,
}

/// The test programs that the manifests name, in their order.
fn test_programs() -> anyhow::Result<Vec<TestProgram>> {
    #[derive(Deserialize)]
    struct Metadata {
        packages: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
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
    let programs = metadata.packages.into_iter().flat_map(|package| {
        let tests =
            package.targets.into_iter().filter(|target| target.kind.iter().any(|kind| kind == "test"));
        tests.map(move |target| TestProgram { package: package.name.clone(), name: target.name })
    });
    Ok(programs.collect())
}

fn check(name: &str, command: Command) -> Step {
    Step { name: name.to_owned(), work: Work::Check(command) }
}

fn tests(name: &str, command: Command, quiet: bool) -> Step {
    Step { name: name.to_owned(), work: Work::Tests { commands: vec![command], quiet } }
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
mod tests_of_selection {
    use super::*;

    fn steps() -> Vec<Step> {
        vec![
            check("fmt", cargo(&["fmt"])),
            tests("unit", cargo(&["test", "--lib"]), true),
            tests("failover", cargo(&["test", "--test", "failover", "--", "--test-threads=1"]), false),
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
