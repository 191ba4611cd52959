//! The configuration file: TOML in, a compiled and checked [`Spec`] or every one of its errors out.
//!
//! It owns what the file may say: keys, defaults, limits, and what contradicts what. It refuses to know the
//! machine it runs on: whether an interface or a script exists the caller says ([`Host`]), and nothing is changed here.

mod address;
mod backend;
mod compile;
mod errors;
mod heartbeat;
mod host;
mod log;
mod reader;
mod service;
mod syntax;
mod unique;
mod values;
mod words;

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

pub use errors::{Error, Errors};
pub use host::Host;

use crate::machine::spec::Spec;
use log::Log;

/// Largest file read, in bytes; far beyond what 2048 services of 16 backends need.
const MAX_BYTES: usize = 16 << 20;

/// Reads and compiles the file at `path`, for whatever machine.
///
/// # Errors
/// All errors of the file, or the one that kept it from being read.
pub fn load(path: &Path) -> Result<Spec, Errors> {
    load_for(path, None)
}

/// Likewise, for this machine: what the file names and `host` does not have is among the errors.
///
/// # Errors
/// As [`load`].
pub fn load_on(path: &Path, host: &dyn Host) -> Result<Spec, Errors> {
    load_for(path, Some(host))
}

/// Compiles `text`, for whatever machine; `origin` names it in errors.
///
/// # Errors
/// All errors of the text.
pub fn parse(text: &str, origin: &str) -> Result<Spec, Errors> {
    parse_for(text, origin, None)
}

fn load_for(path: &Path, host: Option<&dyn Host>) -> Result<Spec, Errors> {
    let origin = path.display().to_string();
    let bytes = read(path).map_err(|error| unreadable(&origin, &error))?;
    if bytes.len() > MAX_BYTES {
        return Err(too_large(&origin));
    }
    match std::str::from_utf8(&bytes) {
        Ok(text) => parse_for(text, &origin, host),
        Err(error) => {
            let valid = error.valid_up_to();
            let text = String::from_utf8_lossy(&bytes);
            let log = Log::new(&text, &origin);
            log.add(valid, "this is not text: a byte that is not UTF-8", "save the file as UTF-8");
            Err(log.into_errors())
        }
    }
}

fn parse_for(text: &str, origin: &str, host: Option<&dyn Host>) -> Result<Spec, Errors> {
    if text.len() > MAX_BYTES {
        return Err(too_large(origin));
    }
    // An editor's byte order mark is no column of the first line.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let log = Log::new(text, origin);
    match syntax::table(text, &log).and_then(|table| compile::spec(table, &log, host)) {
        Ok(spec) if log.is_empty() => Ok(spec),
        _ => Err(log.into_errors()),
    }
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than allowed shows that there is too much, even of an endless file.
    File::open(path)?.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn unreadable(origin: &str, error: &io::Error) -> Errors {
    let help = match error.kind() {
        io::ErrorKind::NotFound => "create it, or name the configuration with `-c FILE`",
        io::ErrorKind::PermissionDenied => "run as a user who may read it (the daemon runs as root)",
        _ => "name a readable TOML file with `-c FILE`",
    };
    Errors::of_file(origin, format!("cannot be read: {error}"), help)
}

fn too_large(origin: &str) -> Errors {
    let message = format!("is larger than {} MiB: this is not a configuration", MAX_BYTES >> 20);
    Errors::of_file(origin, message, "name the configuration with `-c FILE`")
}
