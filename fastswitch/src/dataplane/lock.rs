//! One writer: whoever changes pinned maps holds the lock of their directory, until it drops it or dies.

use std::fs::File;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};

use super::error::DataplaneError;
use super::tables::Tables;

/// The right to write the maps of one pin directory.
#[derive(Debug)]
pub(super) struct Lock {
    _directory: Flock<File>,
}

impl Lock {
    /// Takes the lock, without waiting.
    ///
    /// # Errors
    /// [`DataplaneError::Locked`] if another process holds it.
    pub(super) fn take(directory: &Path) -> Result<Self, DataplaneError> {
        let file = File::open(directory).map_err(|error| DataplaneError::file("open", directory, error))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => Ok(Self { _directory: lock }),
            Err((_, Errno::EWOULDBLOCK)) => {
                let pid = Tables::open(directory).ok().and_then(|tables| tables.meta().ok());
                Err(DataplaneError::Locked {
                    path: directory.to_owned(),
                    pid: pid.map(|meta| meta.daemon_pid).filter(|&pid| pid != 0),
                })
            }
            Err((_, error)) => Err(DataplaneError::file("lock", directory, error.into())),
        }
    }
}
