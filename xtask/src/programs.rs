//! The built programs that a lab runs, and building them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::shell;

/// Paths of the built programs.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `xtask`: the backends' server, and the keeper of labs.
    pub xtask: PathBuf,
    /// `fastswitch`; there is no promise that it has been built.
    pub fastswitch: PathBuf,
}

impl Programs {
    /// The programs next to this one; a test program lies in `deps/` below them.
    ///
    /// # Errors
    /// When `xtask` is not there.
    pub fn find() -> anyhow::Result<Programs> {
        let own = std::env::current_exe().context("own program unknown")?;
        let mut folder = own.parent().context("own program lies in no folder")?;
        if folder.ends_with("deps") {
            folder = folder.parent().unwrap_or(folder);
        }
        let programs = Programs { xtask: folder.join("xtask"), fastswitch: folder.join("fastswitch") };
        if !programs.xtask.exists() {
            anyhow::bail!("{} is not built; run `cargo build` first", programs.xtask.display());
        }
        Ok(programs)
    }

    /// The folder that holds them.
    pub fn folder(&self) -> &Path {
        self.xtask.parent().unwrap_or(Path::new("."))
    }
}

/// Builds `fastswitch` in the profile that this program was built in; cargo shows its progress.
///
/// # Errors
/// When the build fails.
pub fn build() -> anyhow::Result<Programs> {
    let programs = Programs::find()?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // Not the whole workspace: xtask runs already, so it is built.
    command.current_dir(crate::workspace()).args(["build", "--package", "fastswitch", "--bin", "fastswitch"]);
    if programs.folder().ends_with("release") {
        command.arg("--release");
    }
    let status = command.status().map_err(|error| shell::not_started(&command, error))?;
    anyhow::ensure!(status.success(), "`{}` failed", shell::line(&command));
    Ok(programs)
}
