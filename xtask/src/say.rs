//! Printing to somebody who may have closed the pipe: an error that unwinds, so that guards clean up.

use std::fmt;
use std::io::{self, Write as _};

/// Nobody reads standard output any more.
#[derive(Debug)]
pub struct Unread;

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("nobody reads the output")
    }
}

impl std::error::Error for Unread {}

/// Prints a line.
///
/// # Errors
/// [`Unread`] once it cannot be written.
pub fn say(line: impl fmt::Display) -> Result<(), Unread> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).map_err(|_| Unread)
}
