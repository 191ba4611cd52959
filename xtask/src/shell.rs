//! Running commands of the system, with errors that say which one failed and what it said.

use std::ffi::OsStr;
use std::io;
use std::process::{Command, Output};

/// Runs `command` to its end and gives what it printed.
///
/// # Errors
/// When it cannot be started (a missing program is named), or when it fails: with its command line and its stderr.
pub fn run(command: &mut Command) -> anyhow::Result<Output> {
    let output = output(command)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        anyhow::bail!("`{}` failed ({}): {}", line(command), output.status, said.trim());
    }
    Ok(output)
}

/// Runs `command` to its end, whatever it ends with.
///
/// # Errors
/// When it cannot be started.
pub fn output(command: &mut Command) -> anyhow::Result<Output> {
    command.output().map_err(|error| not_started(command, error))
}

/// The error of a command that could not be started.
pub fn not_started(command: &Command, error: io::Error) -> anyhow::Error {
    let line = line(command);
    if error.kind() == io::ErrorKind::NotFound {
        let program = command.get_program().display();
        return anyhow::anyhow!("cannot start `{line}`: `{program}` is missing; try `cargo xtask setup`");
    }
    anyhow::Error::new(error).context(format!("cannot start `{line}`"))
}

/// Runs `ip` with these arguments.
///
/// # Errors
/// As [`run`].
pub fn ip<I: AsRef<OsStr>>(args: impl IntoIterator<Item = I>) -> anyhow::Result<Output> {
    run(Command::new("ip").args(args))
}

/// The command as one would type it, without quoting.
pub fn line(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| word.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
