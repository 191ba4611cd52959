//! The keeper: a process that removes a lab when its owner ends, in whatever way: dropped, panicked, interrupted, killed.
//!
//! It waits for the end of its stdin, whose other end the owner holds and nobody inherits.

use std::io::{Read as _, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::shell;

use super::trace::Trace;

/// What the owner sends before it ends if the lab shall stay.
const LEAVE: u8 = b'l';

/// The owner's end.
pub(super) struct Keeper {
    process: Child,
}

impl Keeper {
    pub(super) fn start(xtask: &Path, trace: &Trace) -> anyhow::Result<Keeper> {
        let mut command = Command::new(xtask);
        // A group of its own: Ctrl-C in the owner's terminal must not reach it.
        command
            .args(["lab", "keep", trace.name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .process_group(0);
        let process = command.spawn().map_err(|error| shell::not_started(&command, error))?;
        Ok(Keeper { process })
    }

    /// Ends the keeper without removing the lab.
    pub(super) fn leave(mut self) -> anyhow::Result<()> {
        if let Some(mut stdin) = self.process.stdin.take() {
            stdin.write_all(&[LEAVE])?;
        }
        self.process.wait()?;
        Ok(())
    }

    /// Lets the keeper remove the lab, and waits until it has.
    pub(super) fn remove(mut self) -> anyhow::Result<()> {
        drop(self.process.stdin.take());
        let status = self.process.wait()?;
        anyhow::ensure!(status.success(), "the lab's keeper failed ({status})");
        Ok(())
    }
}

/// The keeper's own side.
pub(super) fn keep(trace: &Trace) -> anyhow::Result<()> {
    let mut said = Vec::new();
    // A broken pipe is an owner that ended, too.
    let _ = std::io::stdin().read_to_end(&mut said);
    if said.contains(&LEAVE) { Ok(()) } else { trace.remove() }
}
