//! Everything a lab leaves on the machine, known from its name alone, and taking it away again.
//!
//! Touches nothing whose name does not carry the lab's name.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};

use super::address::Host;
use super::netns::Namespace;
use crate::wait;

const PREFIX: &str = "fs-";
const FOLDER: &str = "fastswitch-lab-";
pub(super) const NAMESPACES: &str = "/run/netns";
const RUN: &str = "/run";
pub(super) const BPFFS: &str = "/sys/fs/bpf";
/// For a killed process to go away.
const DEATH: Duration = Duration::from_secs(20);

/// The traces of one lab.
#[derive(Clone, Debug)]
pub struct Trace {
    name: String,
}

impl Trace {
    /// # Errors
    /// When `name` does not fit into names of namespaces and folders.
    pub fn of(name: &str) -> anyhow::Result<Trace> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        anyhow::ensure!(
            (1..=32).contains(&name.len()) && name.bytes().all(fits),
            "lab name {name:?}: 1 to 32 of a-z, 0-9 and - are possible"
        );
        Ok(Trace { name: name.to_owned() })
    }

    /// Names of all labs on this machine, whole or not: the folder is made first and removed last.
    ///
    /// # Errors
    /// When the folders cannot be listed.
    pub fn all() -> anyhow::Result<BTreeSet<String>> {
        let entries = std::fs::read_dir(RUN).with_context(|| format!("cannot read {RUN}"))?;
        let mut names = BTreeSet::new();
        for entry in entries {
            names.extend(entry?.file_name().to_string_lossy().strip_prefix(FOLDER).map(str::to_owned));
        }
        Ok(names)
    }

    /// Name of the lab.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The namespace of a host.
    pub fn namespace(&self, host: Host) -> Namespace {
        Namespace::named(format!("{PREFIX}{}-{}", self.name, host.name()))
    }

    /// Folder of everything the lab writes.
    pub fn run_dir(&self) -> PathBuf {
        Path::new(RUN).join(format!("{FOLDER}{}", self.name))
    }

    /// Folder of the daemon's pins.
    pub fn pin_dir(&self) -> PathBuf {
        Path::new(BPFFS).join(format!("{FOLDER}{}", self.name))
    }

    /// What is there of the lab: paths.
    pub fn present(&self) -> Vec<PathBuf> {
        let namespaces = Host::ALL.into_iter().map(|host| self.namespace(host).path());
        namespaces.chain([self.pin_dir(), self.run_dir()]).filter(|path| path.exists()).collect()
    }

    /// Ends every process in the lab's namespaces, then removes them, the pins and the folder. Nothing to remove is no
    /// error; what can be removed is removed even when something else cannot.
    ///
    /// # Errors
    /// The first thing that could not be removed.
    pub fn remove(&self) -> anyhow::Result<()> {
        let mut result = Ok(());
        for namespace in Host::ALL.into_iter().map(|host| self.namespace(host)).filter(Namespace::exists) {
            let removed = empty(&namespace).and_then(|()| namespace.delete());
            // Somebody else may be removing the same lab.
            result = result.and(if namespace.exists() { removed } else { Ok(()) });
        }
        result = result.and(remove_folder(&self.pin_dir()));
        // Last: who made the folder owns the name.
        result.and(remove_folder(&self.run_dir()))
    }
}

/// Ends every process in the namespace, also those that these start meanwhile.
fn empty(namespace: &Namespace) -> anyhow::Result<()> {
    wait::until_done(&format!("processes in {} end", namespace.name()), DEATH, || {
        let pids = namespace.pids()?;
        for pid in &pids {
            // One that ended by itself since is as good.
            let _ = kill(*pid, Signal::SIGKILL);
        }
        Ok(pids.is_empty())
    })
}

fn remove_folder(path: &Path) -> anyhow::Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::Trace;

    #[test]
    fn names_that_could_reach_other_files_are_refused() {
        for name in ["", "..", "a/b", "a b", "A", "x".repeat(33).as_str()] {
            assert!(Trace::of(name).is_err(), "{name:?}");
        }
        assert!(Trace::of("demo-2").is_ok());
    }
}
