//! Debian's packages: asks for them and installs them. Never removes or upgrades one to make room for another.

use std::cell::Cell;
use std::path::Path;
use std::process::Command;

use super::{find_program, install_by};
use crate::shell;

/// There while systemd runs (sd_booted(3)).
const SYSTEMD: &str = "/run/systemd/system";

/// The package manager, and whether its lists have been brought up to date in this run.
#[derive(Default)]
pub(super) struct Apt {
    updated: Cell<bool>,
}

impl Apt {
    /// Whether this machine has it at all.
    pub(super) fn exists() -> bool {
        find_program("apt-get").is_ok()
    }

    /// Whether all of `packages` can be had.
    pub(super) fn offers(&self, packages: &[&str]) -> bool {
        let listed = || {
            // The dump of a package known only by name (another one mentions it) has no version line.
            packages.iter().all(|package| {
                shell::run(Command::new("apt-cache").args(["show", "--no-all-versions", package]))
                    .is_ok_and(|output| !output.stdout.is_empty())
            })
        };
        Self::exists() && (listed() || self.update().is_ok() && listed())
    }

    /// Installs `packages` for the item called `name`.
    pub(super) fn install(&self, name: &str, packages: &[&str]) -> anyhow::Result<()> {
        if !Self::exists() {
            anyhow::bail!(
                "this machine has no apt-get; install by hand what Debian calls {}",
                packages.join(" ")
            );
        }
        let install = || {
            let mut command = apt_get()?;
            command.args(["install", "--yes", "--no-install-recommends", "--no-remove"]).args(packages);
            install_by(name, &mut command)
        };
        // A machine made from an image has no lists, or old ones that name files long gone.
        match install() {
            Err(_) if !self.updated.get() => {
                self.update()?;
                install()
            }
            done => done,
        }
    }

    /// Brings the lists up to date, once in a run.
    fn update(&self) -> anyhow::Result<()> {
        if self.updated.replace(true) {
            return Ok(());
        }
        install_by("package lists", apt_get()?.arg("update"))
    }
}

/// Ends the service of this name, which its package has started and would start at each boot: whoever needs the program
/// here runs it elsewhere.
pub(super) fn end_service(name: &str) -> anyhow::Result<()> {
    if !Path::new(SYSTEMD).exists() {
        // Without it, as in a container, nothing is started at boot.
        return Ok(());
    }
    let mut command = as_root()?;
    install_by(name, command.args(["systemctl", "disable", "--now", name]))
}

/// `apt-get` with the rights and without the questions.
fn apt_get() -> anyhow::Result<Command> {
    let mut command = as_root()?;
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    Ok(command)
}

/// `env`, with the rights to change the machine.
fn as_root() -> anyhow::Result<Command> {
    let root = nix::unistd::geteuid().is_root();
    if !root && find_program("sudo").is_err() {
        anyhow::bail!(
            "installing packages needs root, and there is no sudo; run `cargo xtask setup` as root"
        );
    }
    let mut command = Command::new(if root { "env" } else { "sudo" });
    if !root {
        command.arg("env");
    }
    Ok(command)
}
