//! Where a measurement is, on standard error: one line that is written over on a terminal, nothing in between elsewhere.

use std::io::{IsTerminal as _, Write as _};

use xtask::interrupt;

/// The progress of one figure.
pub(crate) struct Progress {
    what: &'static str,
    terminal: bool,
}

impl Progress {
    pub(crate) fn of(what: &'static str) -> Progress {
        let terminal = std::io::stderr().is_terminal();
        if !terminal {
            eprintln!("{what} ..");
        }
        Progress { what, terminal }
    }

    /// `done` of `all` rounds are over.
    ///
    /// # Errors
    /// When the user has had enough.
    pub(crate) fn round(&self, done: usize, all: usize) -> anyhow::Result<()> {
        interrupt::check()?;
        if self.terminal {
            let end = if done == all { "\n" } else { "" };
            eprint!("\r{}: {done} of {all}{end}", self.what);
            std::io::stderr().flush()?;
        }
        Ok(())
    }
}
