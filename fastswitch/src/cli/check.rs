//! `check`: the configuration, and what it names on this machine.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::failure::Failure;
use super::say;
use crate::config;
use crate::machine::spec::{Script, Spec};

/// Checks a configuration file, the interfaces it names and the scripts it would run.
pub(super) fn check(path: &Path) -> Result<(), Failure> {
    let spec = config::load(path).map_err(Failure::usage)?;
    let missing: Vec<String> = interfaces(&spec).chain(scripts(&spec)).collect();
    if !missing.is_empty() {
        return Err(Failure::usage(format!("{}:\n  {}", path.display(), missing.join("\n  "))));
    }
    let backends: usize = spec.services.iter().map(|service| service.backends.len()).sum();
    say(&format!("{}: valid, {} services, {backends} backends", path.display(), spec.services.len()));
    Ok(())
}

fn interfaces(spec: &Spec) -> impl Iterator<Item = String> + '_ {
    let exists = |name: &&String| nix::net::if_::if_nametoindex(name.as_str()).is_ok();
    let missing = spec.gateway.interfaces.iter().filter(move |name| !exists(name));
    missing.map(|name| {
        format!("interface `{name}` of gateway.interfaces does not exist: `ip link` lists those that do")
    })
}

fn scripts(spec: &Spec) -> impl Iterator<Item = String> + '_ {
    spec.services.iter().flat_map(|service| {
        service.backends.iter().flat_map(|backend| {
            let of = format!("service `{}`, backend `{}`", service.name, backend.name);
            [("start", &backend.start), ("stop", &backend.stop)].into_iter().filter_map(
                move |(kind, script)| Some(format!("{of}: {kind}.command: {}", fault(script.as_ref()?)?)),
            )
        })
    })
}

/// What keeps a script from being run, as far as can be seen without running it.
fn fault(script: &Script) -> Option<String> {
    let program = script.command.first()?;
    match fs::metadata(program) {
        Err(error) => Some(format!("{program}: {error}")),
        Ok(file) if !file.is_file() => Some(format!("{program} is not a file")),
        Ok(file) if file.permissions().mode() & 0o111 == 0 => {
            Some(format!("{program} is not executable: chmod +x {program}"))
        }
        Ok(_) => None,
    }
}
