//! `http`: healthy when a `GET` is answered with an expected status. It refuses to look into the body.

use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::pin::pin;
use std::time::Instant;

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::clock::Clock;
use super::miss::Miss;
use super::tcp;
use crate::machine::Failure;

/// Longest head of an answer, in bytes.
const MAX_HEAD: usize = 16 * 1024;
/// Most of a body that is awaited, in bytes.
const MAX_BODY: usize = 64 * 1024;

type Connection = http1::Connection<TokioIo<TcpStream>, Empty<Bytes>>;

/// The request and which answers are healthy.
pub(super) struct Get {
    address: SocketAddr,
    request: Request<Empty<Bytes>>,
    expect_status: Vec<RangeInclusive<u16>>,
}

impl Get {
    /// Fails on a path that no request can carry.
    pub(super) fn new(
        address: SocketAddr,
        path: &str,
        expect_status: &[RangeInclusive<u16>],
    ) -> io::Result<Self> {
        let request = Request::get(path)
            .header(header::HOST, address.to_string())
            .header(header::USER_AGENT, concat!("fastswitch/", env!("CARGO_PKG_VERSION")))
            // The server then ends the connection when it has answered, and the reset that follows meets nobody.
            .header(header::CONNECTION, "close")
            .body(Empty::new())
            .map_err(|error| {
                io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!("heartbeat of {address}: path {path:?}: {error}"),
                )
            })?;
        Ok(Self { address, request, expect_status: expect_status.to_vec() })
    }

    /// Asks once, on a connection of its own.
    pub(super) async fn ask(&self, clock: &Clock, deadline: Instant) -> Result<Instant, Miss> {
        let exchange = async {
            let stream = tcp::connect(self.address).await?;
            let (mut sender, mut connection) = http1::Builder::new()
                .max_buf_size(MAX_HEAD)
                .handshake(TokioIo::new(stream))
                .await
                .map_err(|error| miss(&error))?;
            let response = alongside(&mut connection, sender.send_request(self.request.clone())).await;
            Ok::<_, Miss>((connection, response.map_err(|error| miss(&error))?, Instant::now()))
        };
        let Some(exchanged) = clock.within(deadline, exchange).await else {
            return Err(Failure::Timeout.into());
        };
        let (mut connection, response, answered) = exchanged?;
        let status = response.status().as_u16();
        // The answer is known; what becomes of the rest changes nothing. It is awaited only because a reset in the
        // midst of the body is an error in many a server's log, at every round.
        let _ = clock.within(deadline, alongside(&mut connection, drain(response))).await;
        if self.expect_status.iter().any(|range| range.contains(&status)) {
            Ok(answered)
        } else {
            Err(Failure::Status(status).into())
        }
    }
}

/// Drives the connection and what is wanted of it in one task, the connection first: what it has received is then
/// never behind the deadline, which is looked at after both. It is never shut down in good order, which would leave a
/// TIME_WAIT with the backend (see [`tcp::connect`]).
async fn alongside<F: Future>(connection: &mut Connection, wanted: F) -> F::Output {
    let mut wanted = pin!(wanted);
    let mut open = true;
    poll_fn(|cx| {
        if open && connection.poll_without_shutdown(cx).is_ready() {
            open = false;
        }
        wanted.as_mut().poll(cx)
    })
    .await
}

async fn drain(response: Response<Incoming>) {
    let mut body = response.into_body();
    let mut received = 0;
    while !body.is_end_stream() && received < MAX_BODY {
        let Some(Ok(frame)) = body.frame().await else { return };
        received += frame.data_ref().map_or(0, Bytes::len);
    }
}

fn miss(error: &hyper::Error) -> Miss {
    if error.is_parse() {
        return Failure::Garbled(error.to_string()).into();
    }
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(io) = cause.downcast_ref::<io::Error>() {
            return io
                .raw_os_error()
                .map_or_else(|| Failure::Reset.into(), |code| io::Error::from_raw_os_error(code).into());
        }
        source = cause.source();
    }
    // What is left: the connection ended before or within the head.
    Failure::Reset.into()
}
