//! Why a round found no healthy answer, out of the system's error codes.
//!
//! It owns the one distinction that matters: whether the error says something about the backend. When this host is out
//! of descriptors, ports or memory, the same round to a healthy backend would have failed as well; counting it would
//! take down every backend at once and switch to one that fails in the same way. Such a round is reported as stalled,
//! with a warning in the log. Everything else that keeps a heartbeat from being sent - a firewall, a forbidden route -
//! concerns the way to this backend, which the packets of clients take as well, and is a failure.

use std::io;

use nix::libc;

use crate::machine::Failure;

/// Why a round found no healthy answer.
#[derive(Debug)]
pub(super) enum Miss {
    /// It is about the backend.
    Failure(Failure),
    /// This host lacked the means to ask.
    Shortage(io::Error),
}

impl From<Failure> for Miss {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

impl From<io::Error> for Miss {
    fn from(error: io::Error) -> Self {
        if is_shortage(&error) {
            return Self::Shortage(error);
        }
        Self::Failure(match error.raw_os_error() {
            Some(libc::ECONNREFUSED) => Failure::Refused,
            Some(libc::ECONNRESET | libc::ECONNABORTED | libc::EPIPE | libc::ENOTCONN) => Failure::Reset,
            Some(libc::ETIMEDOUT) => Failure::Timeout,
            Some(
                libc::EHOSTUNREACH
                | libc::ENETUNREACH
                | libc::EHOSTDOWN
                | libc::ENETDOWN
                | libc::ENONET
                | libc::ENOPROTOOPT
                | libc::EPROTO,
            ) => Failure::Unreachable,
            _ if error.kind() == io::ErrorKind::UnexpectedEof => Failure::Reset,
            _ => Failure::Local(error.to_string()),
        })
    }
}

fn is_shortage(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::EMFILE
                | libc::ENFILE
                | libc::ENOBUFS
                | libc::ENOMEM
                | libc::ENOSPC
                | libc::EADDRNOTAVAIL
                | libc::EADDRINUSE
                | libc::EAGAIN
        )
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_shortage_of_this_host_is_not_about_the_backend() {
        let miss = |code| Miss::from(io::Error::from_raw_os_error(code));
        assert!(matches!(miss(libc::EMFILE), Miss::Shortage(_)));
        assert!(matches!(miss(libc::EADDRNOTAVAIL), Miss::Shortage(_)));
        assert!(matches!(miss(libc::ECONNREFUSED), Miss::Failure(Failure::Refused)));
        assert!(matches!(miss(libc::EPIPE), Miss::Failure(Failure::Reset)));
        assert!(matches!(miss(libc::EHOSTUNREACH), Miss::Failure(Failure::Unreachable)));
        assert!(matches!(miss(libc::EPERM), Miss::Failure(Failure::Local(_))));
    }
}
