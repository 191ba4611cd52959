//! The answering side. A client that is slow, silent or talks nonsense delays nobody but itself.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::REQUEST_LIMIT;
use super::wire::{Request, Response};

/// Clients served at once; more wait to be accepted.
const CLIENTS: usize = 64;
/// Longest wait for a client's request, and for it to take its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request and the way back.
#[derive(Debug)]
pub struct Asked {
    /// What is asked.
    pub request: Request,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Response>,
}

/// Why the socket cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the control socket {path}: {detail}")]
pub struct ServerError {
    path: PathBuf,
    detail: String,
}

/// The socket's file, removed when this goes: if it is still the one that was made.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// Device and inode.
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|there| there == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(path = %self.path.display(), %error, "the control socket stays");
        }
    }
}

/// Opens the socket, readable and writable for its owner only, and serves it on the current runtime. What is asked
/// arrives at `asked`. The caller holds the pins' lock, so a socket file that is there belongs to no live daemon on
/// the same pins; one that somebody still answers on is refused, and so is what is no socket.
///
/// # Errors
/// The directory cannot be made, or the path is in use.
pub fn serve(path: &Path, asked: mpsc::Sender<Asked>) -> Result<SocketFile, ServerError> {
    let failed = |detail: String| ServerError { path: path.to_owned(), detail };
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(|error| failed(error.to_string()))?;
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(failed("another daemon answers there: choose another --socket".to_owned()));
    }
    remove_stale(path).map_err(failed)?;
    let listener = UnixListener::bind(path).map_err(|error| failed(error.to_string()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .map_err(|error| failed(error.to_string()))?;
    let identity = identity(path).map_err(|error| failed(error.to_string()))?;
    tokio::spawn(accept(listener, asked));
    Ok(SocketFile { path: path.to_owned(), identity })
}

/// Removes the socket that a daemon before has left.
fn remove_stale(path: &Path) -> Result<(), String> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.to_string()),
        Ok(file) if !file.file_type().is_socket() => {
            Err("something else than a socket is there: remove it, or choose another --socket".to_owned())
        }
        Ok(_) => fs::remove_file(path).map_err(|error| error.to_string()),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}

async fn accept(listener: UnixListener, asked: mpsc::Sender<Asked>) {
    let places = Arc::new(Semaphore::new(CLIENTS));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let asked = asked.clone();
                tokio::spawn(async move {
                    if let Err(error) = answer(stream, &asked).await {
                        tracing::debug!(%error, "a control client went away");
                    }
                    drop(place);
                });
            }
            // Out of descriptors, most likely: let those that are in use come back.
            Err(error) => {
                tracing::warn!(%error, "cannot accept control clients");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn answer(stream: UnixStream, asked: &mpsc::Sender<Asked>) -> io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut line = String::new();
    let mut read = BufReader::new(read.take(REQUEST_LIMIT));
    timeout(PATIENCE, read.read_line(&mut line)).await??;
    let response = match serde_json::from_str(&line) {
        Ok(request) => forward(request, asked).await?,
        Err(error) => Response::Invalid { message: format!("not a request: {error}") },
    };
    let mut answer = serde_json::to_vec(&response)?;
    answer.push(b'\n');
    timeout(PATIENCE, write.write_all(&answer)).await?
}

async fn forward(request: Request, asked: &mpsc::Sender<Asked>) -> io::Result<Response> {
    let gone = || io::Error::new(io::ErrorKind::BrokenPipe, "the daemon is stopping");
    let (answer, response) = oneshot::channel();
    asked.send(Asked { request, answer }).await.map_err(|_| gone())?;
    response.await.map_err(|_| gone())
}
