//! The little HTTP that waiting for a server and the load client need: one GET on one connection.

use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// The bytes of a GET after which the server closes the connection, so that no TIME-WAIT stays with the client.
pub fn request(host: SocketAddr, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")
}

/// Status and body of a complete response; `None` when it is cut short or is no HTTP.
pub fn parse(response: &[u8]) -> Option<(u16, &str)> {
    let text = std::str::from_utf8(response).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    match length {
        Some(length) => body.get(..length).map(|body| (status, body)),
        None => Some((status, body)),
    }
}

/// Status and body of `path`; `timeout` bounds connecting and each wait for data.
///
/// # Errors
/// What the connection says; `InvalidData` when the answer is no complete HTTP response.
pub fn get(address: SocketAddr, path: &str, timeout: Duration) -> io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    stream.write_all(request(address, path).as_bytes())?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response)?;
    let (status, body) = parse(&response)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not a complete response"))?;
    Ok((status, body.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn whole_response() {
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ncold"), Some((200, "cold")));
    }

    #[test]
    fn without_length_the_close_ends_the_body() {
        assert_eq!(parse(b"HTTP/1.0 503 no\r\n\r\nloading"), Some((503, "loading")));
    }

    #[test]
    fn cut_short() {
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\ncold"), None);
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\ncontent-le"), None);
        assert_eq!(parse(b""), None);
    }
}
