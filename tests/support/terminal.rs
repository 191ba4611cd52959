//! A command on a terminal of its own.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};

/// What a terminal is told to leave the alternate screen.
pub(crate) const LEFT: &str = "\x1b[?1049l";

/// The command that runs `line`, in a shell, on a terminal of this size.
pub(crate) fn on_terminal(mut script: Command, columns: u16, rows: u16, line: &str) -> Command {
    let line = format!("stty columns {columns} rows {rows}; exec {line}");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    script
}

/// Runs it until the terminal shows `awaited`, then types Ctrl-C. Gives all that the terminal was sent, and the exit code.
pub(crate) fn until_ctrl_c(mut command: Command, awaited: &str) -> anyhow::Result<(String, Option<i32>)> {
    let mut running = command.spawn()?;
    let mut typed = running.stdin.take().context("no stdin")?;
    let mut shown = running.stdout.take().context("no stdout")?;
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while !String::from_utf8_lossy(&seen).contains(awaited) {
        let length = shown.read(&mut buffer)?;
        seen.extend_from_slice(&buffer[..length]);
        ensure!(length > 0, "`{awaited}` is not in: {}", String::from_utf8_lossy(&seen));
    }
    typed.write_all(b"\x03")?;
    shown.read_to_end(&mut seen)?;
    Ok((String::from_utf8_lossy(&seen).into_owned(), running.wait()?.code()))
}
