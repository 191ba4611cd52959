//! Real sockets, on loopback and in network namespaces of their own.

mod checks;
mod namespace;
mod stall;

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TryRecvError;

use super::{Prober, Report, Target};
use crate::machine::spec::{Check, Heartbeat};
use crate::machine::{BackendId, Outcome, ServiceId};

/// How long a condition may take to come true on a machine that is busy with other things.
const LIMIT: Duration = Duration::from_secs(30);

fn target(check: Check, address: SocketAddr, interval: Duration, timeout: Duration) -> Target {
    Target {
        service: ServiceId(3),
        backend: BackendId(5),
        address: address.ip(),
        heartbeat: Heartbeat {
            check,
            port: address.port(),
            interval,
            timeout,
            fall: NonZeroU32::MIN,
            rise: NonZeroU32::MIN,
        },
    }
}

fn get() -> Check {
    Check::Http { path: "/health".to_owned(), expect_status: vec![200..=299, 418..=418] }
}

fn ask_udp() -> Check {
    Check::Udp { send: b"there?".to_vec() }
}

/// A prober and its reports.
struct Running {
    _prober: Prober,
    reports: mpsc::Receiver<Report>,
}

impl Running {
    fn start(targets: Vec<Target>) -> Self {
        let (sender, reports) = mpsc::channel(1024);
        Self { _prober: Prober::spawn(targets, &sender).unwrap(), reports }
    }

    fn next(&mut self) -> Report {
        let begin = Instant::now();
        loop {
            match self.reports.try_recv() {
                Ok(report) => return report,
                Err(TryRecvError::Empty) if begin.elapsed() < LIMIT => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err(error) => panic!("no report: {error}"),
            }
        }
    }

    /// The first outcome that is not about this machine's load.
    fn outcome(&mut self) -> Outcome {
        loop {
            let report = self.next();
            assert_eq!((report.service, report.backend), (ServiceId(3), BackendId(5)));
            if report.outcome != Outcome::Stalled {
                return report.outcome;
            }
        }
    }
}

/// What a round of `check` finds out, with time enough for this machine's load.
fn outcome(check: Check, address: SocketAddr) -> Outcome {
    let (interval, timeout) = (Duration::from_secs(1), Duration::from_secs(10));
    Running::start(vec![target(check, address, interval, timeout)]).outcome()
}

/// Like [`outcome`], for an answer that never comes.
fn outcome_of_silence(check: Check, address: SocketAddr) -> Outcome {
    let (interval, timeout) = (Duration::from_millis(200), Duration::from_millis(200));
    Running::start(vec![target(check, address, interval, timeout)]).outcome()
}

/// Serves each connection on a thread, until the process ends.
fn tcp_server(ip: impl Into<IpAddr>, serve: fn(TcpStream)) -> SocketAddr {
    let listener = TcpListener::bind((ip.into(), 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || listener.incoming().flatten().for_each(serve));
    address
}

/// Reads a request and answers it with `answer`.
fn answer_with(mut stream: TcpStream, answer: &[u8]) {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
        request.push(byte[0]);
    }
    let text = String::from_utf8(request).unwrap();
    let host = format!("\r\nhost: {}\r\n", stream.local_addr().unwrap());
    if text.starts_with("GET /health HTTP/1.1\r\n") && text.to_lowercase().contains(&host) {
        let _ = stream.write_all(answer);
    }
    let _ = stream.shutdown(Shutdown::Write);
}

fn answer_ok(stream: TcpStream) {
    answer_with(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n");
}

/// Answers each datagram, until the process ends.
fn udp_echo(ip: impl Into<IpAddr>) -> SocketAddr {
    let socket = UdpSocket::bind((ip.into(), 0)).unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 64];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], from);
        }
    });
    address
}
