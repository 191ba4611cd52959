//! `check`: the configuration, and what it names on this machine.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::failure::Failure;
use super::say;
use crate::config;
use crate::engine::StartError;

/// Checks a configuration file, the interfaces it names and the scripts it would run.
pub(super) fn check(path: &Path) -> Result<(), Failure> {
    let spec = config::load_on(path, &Here).map_err(Failure::usage)?;
    let backends: usize = spec.services.iter().map(|service| service.backends.len()).sum();
    say(&format!("{}: valid, {} services, {backends} backends", path.display(), spec.services.len()));
    Ok(())
}

/// Why the daemon did not start; where in the file, if that names what is not here.
pub(super) fn start_refused(path: &Path, error: StartError) -> Failure {
    match (&error, config::load_on(path, &Here)) {
        (StartError::NoInterface { .. }, Err(errors)) => Failure::usage(errors),
        _ => Failure::start(error),
    }
}

/// The machine that this process is on.
struct Here;

impl config::Host for Here {
    fn has_interface(&self, name: &str) -> bool {
        nix::net::if_::if_nametoindex(name).is_ok()
    }

    /// As far as can be seen without running it.
    fn unfit(&self, program: &str) -> Option<String> {
        match fs::metadata(program) {
            Err(error) => Some(error.to_string()),
            Ok(file) if !file.is_file() => Some("it is not a file".to_owned()),
            Ok(file) if file.permissions().mode() & 0o111 == 0 => Some("it is not executable".to_owned()),
            Ok(_) => None,
        }
    }
}
