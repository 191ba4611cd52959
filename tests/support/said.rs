//! Commands of `fastswitch` on the gateway, and what they say.

use std::process::Output;

use anyhow::{Context as _, ensure};
use xtask::lab::{Host, Lab};
use xtask::shell;

/// What a command ended with.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Said {
    pub(crate) fn of(output: &Output) -> anyhow::Result<Said> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).context("what it says is no text");
        Ok(Said { code: output.status.code(), stdout: text(&output.stdout)?, stderr: text(&output.stderr)? })
    }
}

/// Runs it to its end. `run` that is not refused is ended after a minute.
pub(crate) fn say(lab: &Lab, args: &[&str]) -> anyhow::Result<Said> {
    let mut command = lab.command(Host::Gw, "timeout")?;
    Said::of(&shell::output(command.args(["60", "fastswitch"]).args(args))?)
}

/// Runs it; it succeeds and complains about nothing. Gives what it prints.
pub(crate) fn done(lab: &Lab, args: &[&str]) -> anyhow::Result<String> {
    let said = say(lab, args)?;
    ensure!(said.code == Some(0) && said.stderr.is_empty(), "{args:?}: {said:?}");
    Ok(said.stdout)
}

/// Runs it; it fails with exit code 1, and prints nothing where its output would be. Gives the error.
pub(crate) fn refused(lab: &Lab, args: &[&str]) -> anyhow::Result<String> {
    fails(lab, args, 1)
}

/// Likewise with exit code 2: the command or the configuration is wrong.
pub(crate) fn wrong(lab: &Lab, args: &[&str]) -> anyhow::Result<String> {
    fails(lab, args, 2)
}

fn fails(lab: &Lab, args: &[&str], code: i32) -> anyhow::Result<String> {
    let said = say(lab, args)?;
    ensure!(said.code == Some(code) && said.stdout.is_empty(), "{args:?} was to end with {code}: {said:?}");
    ensure!(!said.stderr.is_empty() && !said.stderr.contains("panicked"), "{args:?}: {said:?}");
    Ok(said.stderr)
}
