//! The asking side. Blocking: a command asks one question and ends.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::wire::{Request, Response};

/// The daemon answers from memory; longer means that it is stopped or stuck.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no daemon listens on {0}")]
    Absent(PathBuf),
    /// Somebody listens but does not answer properly.
    #[error(
        "the daemon at {path} does not answer ({detail}): see its log; `fastswitch --socket` names another one"
    )]
    Silent {
        /// The socket.
        path: PathBuf,
        /// The system's words.
        detail: String,
    },
    /// The socket may not be used.
    #[error("no permission to use {0}: run as root")]
    Forbidden(PathBuf),
}

/// Asks the daemon at `socket`.
///
/// # Errors
/// [`ClientError::Absent`] if there is none, the others if it does not answer.
pub fn ask(socket: &Path, request: &Request) -> Result<Response, ClientError> {
    let stream = UnixStream::connect(socket).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => ClientError::Absent(socket.to_owned()),
        io::ErrorKind::PermissionDenied => ClientError::Forbidden(socket.to_owned()),
        _ => silent(socket, &error),
    })?;
    talk(stream, request).map_err(|error| silent(socket, &error))
}

fn talk(mut stream: UnixStream, request: &Request) -> io::Result<Response> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    if answer.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection"));
    }
    Ok(serde_json::from_str(&answer)?)
}

fn silent(socket: &Path, error: &io::Error) -> ClientError {
    let detail = match error.kind() {
        io::ErrorKind::WouldBlock => format!("nothing within {} s", PATIENCE.as_secs()),
        _ => error.to_string(),
    };
    ClientError::Silent { path: socket.to_owned(), detail }
}
