//! Connections that stay open, on which a question can be asked at any time.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use anyhow::{Context as _, ensure};
use xtask::http;
use xtask::lab::{Backend, Host, Lab};

use super::scene::LIMIT;

/// Open connections from the client. They end with this.
pub(crate) struct Held(Vec<TcpStream>);

impl Held {
    /// Opens so many.
    pub(crate) fn open(lab: &Lab, target: SocketAddr, count: usize) -> anyhow::Result<Held> {
        let open = || -> io::Result<Vec<TcpStream>> {
            (0..count)
                .map(|_| {
                    let stream = TcpStream::connect_timeout(&target, LIMIT)?;
                    stream.set_read_timeout(Some(LIMIT))?;
                    Ok(stream)
                })
                .collect()
        };
        Ok(Held(lab.within(Host::Client, open)??))
    }

    /// Checks that on each of them this backend answers.
    pub(crate) fn are_with(&self, backend: Backend) -> anyhow::Result<()> {
        for (number, stream) in self.0.iter().enumerate() {
            let name = ask(stream).with_context(|| format!("connection {number} of {backend:?}"))?;
            ensure!(name == backend.name(), "connection {number} is with {name}, not with {backend:?}");
        }
        Ok(())
    }

    /// Checks that each of them has been reset, or is when it is used.
    pub(crate) fn are_reset(&self) -> anyhow::Result<()> {
        for (number, stream) in self.0.iter().enumerate() {
            let error = ask(stream).err().map(|error| error.kind());
            let reset = [Some(io::ErrorKind::ConnectionReset), Some(io::ErrorKind::BrokenPipe)];
            ensure!(reset.contains(&error), "connection {number}: {error:?}");
        }
        Ok(())
    }
}

fn ask(mut stream: &TcpStream) -> io::Result<String> {
    stream.write_all(b"GET /whoami HTTP/1.1\r\nhost: held\r\n\r\n")?;
    let mut response = Vec::new();
    let mut chunk = [0; 1024];
    loop {
        let length = stream.read(&mut chunk)?;
        if length == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        response.extend_from_slice(&chunk[..length]);
        // Without the end of the head, or with less than it promises, it is no response yet.
        if let Some((200, name)) = http::parse(&response) {
            return Ok(name.to_owned());
        }
    }
}
