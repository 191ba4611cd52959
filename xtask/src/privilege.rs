//! Network namespaces and XDP need root: who has it, and how to get it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use anyhow::Context as _;

/// Whether this process may make network namespaces.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Whether a test that needs root is to be shown as ignored: in CI (`CI` set) it must run, and fail, instead.
pub fn skip_tests() -> bool {
    !is_root() && std::env::var_os("CI").is_none()
}

/// Returns at once as root; otherwise starts this same command again through sudo, with `extra` at the
/// end.
///
/// # Errors
/// When sudo cannot be started.
pub fn become_root(extra: &[&str]) -> anyhow::Result<()> {
    if is_root() {
        return Ok(());
    }
    let mut args: Vec<OsString> = std::env::args_os().skip(1).collect();
    // With nothing behind it this says nothing, but it would hide `extra`.
    args.pop_if(|last| last == "--");
    args.extend(extra.iter().map(OsString::from));
    let program = std::env::current_exe().context("own program unknown")?;
    eprintln!("The lab's network namespaces need root: going on through sudo.");
    let error = Command::new("sudo").arg(&program).args(&args).exec();
    Err(error)
        .with_context(|| format!("cannot start sudo; run as root: {} {}", program.display(), words(&args)))
}

fn words(args: &[OsString]) -> String {
    args.iter().map(|arg| arg.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
