//! Transfers of files to and from the stand-in server, compared by their SHA-256 at both ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, ensure};

use crate::blob::{Blob, Hash};
use crate::http;

/// A file that goes to the server or comes from it.
#[derive(Clone, Copy, Debug)]
pub struct Transfer {
    /// Where the server is asked.
    pub target: SocketAddr,
    /// Length of the file.
    pub bytes: u64,
    /// What makes it another file of the same length.
    pub seed: u64,
    /// Bounds connecting and each wait for the other end, not the whole.
    pub patience: Duration,
}

impl Transfer {
    /// Sends the file and has the server hash what it gets.
    ///
    /// # Errors
    /// When the connection breaks, or when the server got something else.
    pub fn upload(&self) -> anyhow::Result<()> {
        self.send().with_context(|| format!("upload of {} bytes to {}", self.bytes, self.target))
    }

    /// Gets the file from the server.
    ///
    /// # Errors
    /// When the connection breaks, or when something else comes.
    pub fn download(&self) -> anyhow::Result<()> {
        self.receive().with_context(|| format!("download of {} bytes from {}", self.bytes, self.target))
    }

    fn send(&self) -> anyhow::Result<()> {
        let mut stream = self.connect()?;
        let Transfer { target, bytes, .. } = self;
        let head = format!(
            "PUT /blob HTTP/1.1\r\nhost: {target}\r\nconnection: close\r\ncontent-length: {bytes}\r\n\r\n"
        );
        stream.write_all(head.as_bytes())?;
        let mut sent = Hash::default();
        for chunk in self.blob() {
            sent.update(&chunk);
            stream.write_all(&chunk)?;
        }
        let mut response = Vec::new();
        stream.read_to_end(&mut response)?;
        let (status, arrived) = http::parse(&response).context("no whole answer")?;
        ensure!(status == 200, "status {status}: {arrived}");
        let sent = sent.finish();
        ensure!(sent == arrived, "sent {sent}, arrived {arrived}");
        Ok(())
    }

    fn receive(&self) -> anyhow::Result<()> {
        let mut stream = self.connect()?;
        let path = format!("/blob?bytes={}&seed={}", self.bytes, self.seed);
        stream.write_all(http::request(self.target, &path).as_bytes())?;
        let mut answer = BufReader::new(stream);
        let mut status = String::new();
        answer.read_line(&mut status)?;
        ensure!(status.starts_with("HTTP/1.1 200 "), "answer {status:?}");
        let mut header = status;
        while header.trim_end() != "" {
            header.clear();
            answer.read_line(&mut header)?;
        }
        let (mut arrived, mut bytes) = (Hash::default(), 0);
        loop {
            let chunk = answer.fill_buf()?;
            let length = chunk.len();
            if length == 0 {
                break;
            }
            arrived.update(chunk);
            bytes += length as u64;
            answer.consume(length);
        }
        let (sent, arrived) = (self.blob().hash(), arrived.finish());
        ensure!(sent == arrived, "sent {sent}, arrived {arrived} in {bytes} bytes");
        Ok(())
    }

    fn blob(&self) -> Blob {
        Blob::new(self.bytes, self.seed)
    }

    fn connect(&self) -> anyhow::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.target, self.patience)?;
        stream.set_read_timeout(Some(self.patience))?;
        stream.set_write_timeout(Some(self.patience))?;
        Ok(stream)
    }
}
