//! Each kind of heartbeat against what a backend on loopback can do.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::sync::mpsc;

use super::*;
use crate::machine::Failure;
use crate::probe::threads;
use crate::probe::worker::stagger;

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 71));
const EVERYWHERE: [IpAddr; 2] = [HERE, IpAddr::V6(Ipv6Addr::LOCALHOST)];

fn failure(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Failure(failure) => failure,
        other => panic!("no failure: {other:?}"),
    }
}

/// A port that nobody listens on, and that nobody else gets while the socket lives.
fn closed_port(here: IpAddr) -> (Socket, SocketAddr) {
    let address = SocketAddr::new(here, 0);
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    socket.bind(&address.into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

#[test]
fn http_is_healthy_by_its_status() {
    for here in EVERYWHERE {
        let outcome = outcome(get(), tcp_server(here, answer_ok));
        assert!(matches!(outcome, Outcome::Success { rtt } if rtt > Duration::ZERO), "{here}: {outcome:?}");
    }
    let teapot = |stream| answer_with(stream, b"HTTP/1.1 418 I'm a teapot\r\nContent-Length: 0\r\n\r\n");
    assert!(matches!(outcome(get(), tcp_server(HERE, teapot)), Outcome::Success { .. }));
    let ailing = |stream| answer_with(stream, b"HTTP/1.1 503 Service Unavailable\r\n\r\nno disk");
    assert_eq!(failure(outcome(get(), tcp_server(HERE, ailing))), Failure::Status(503));
}

#[test]
fn http_does_not_need_the_body() {
    let cut = |stream| answer_with(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\nok\n");
    assert!(matches!(outcome(get(), tcp_server(HERE, cut)), Outcome::Success { .. }));
    let garbled =
        |stream| answer_with(stream, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    assert!(matches!(outcome(get(), tcp_server(HERE, garbled)), Outcome::Success { .. }));
}

#[test]
fn http_tells_failures_apart() {
    let (_socket, closed) = closed_port(HERE);
    assert_eq!(failure(outcome(get(), closed)), Failure::Refused);

    let silent = TcpListener::bind((HERE, 0)).unwrap();
    assert_eq!(failure(outcome_of_silence(get(), silent.local_addr().unwrap())), Failure::Timeout);

    let ended = |stream| answer_with(stream, b"HTTP/1.1 200");
    assert_eq!(failure(outcome(get(), tcp_server(HERE, ended))), Failure::Reset);
    let abrupt = |stream: std::net::TcpStream| Socket::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
    assert_eq!(failure(outcome(get(), tcp_server(HERE, abrupt))), Failure::Reset);

    let other_protocol = |stream| answer_with(stream, b"SSH-2.0-OpenSSH_9.9\r\n");
    assert!(matches!(failure(outcome(get(), tcp_server(HERE, other_protocol))), Failure::Garbled(_)));
    let endless_head =
        |stream| answer_with(stream, &[b"HTTP/1.1 200 OK\r\nX: ", vec![b'x'; 1 << 20].as_slice()].concat());
    assert!(matches!(failure(outcome(get(), tcp_server(HERE, endless_head))), Failure::Garbled(_)));
}

#[test]
fn tcp_is_healthy_when_a_connection_is_accepted() {
    for here in EVERYWHERE {
        let listener = TcpListener::bind((here, 0)).unwrap();
        let outcome = outcome(Check::Tcp, listener.local_addr().unwrap());
        assert!(matches!(outcome, Outcome::Success { .. }), "{here}: {outcome:?}");
        let (_socket, closed) = closed_port(here);
        assert_eq!(failure(self::outcome(Check::Tcp, closed)), Failure::Refused, "{here}");
    }
}

#[test]
fn udp_is_healthy_when_a_datagram_comes_back() {
    for here in EVERYWHERE {
        let outcome = outcome(ask_udp(), udp_echo(here));
        assert!(matches!(outcome, Outcome::Success { .. }), "{here}: {outcome:?}");
        let silent = UdpSocket::bind((here, 0)).unwrap();
        let address = silent.local_addr().unwrap();
        assert_eq!(failure(outcome_of_silence(ask_udp(), address)), Failure::Timeout, "{here}");
        // A socket that only hears another one: nobody else gets its port, and nobody is heard on it.
        let closed = UdpSocket::bind((here, 0)).unwrap();
        closed.connect(address).unwrap();
        let address = closed.local_addr().unwrap();
        assert_eq!(failure(self::outcome(ask_udp(), address)), Failure::Refused, "{here}");
    }
}

#[test]
fn a_path_that_no_request_can_carry_is_refused_at_once() {
    let check = Check::Http { path: "/a b".to_owned(), expect_status: vec![200..=200] };
    let target = target(check, SocketAddr::new(HERE, 1), Duration::from_secs(1), Duration::from_secs(1));
    let error = Prober::spawn(vec![target], &mpsc::channel(1).0).unwrap_err();
    assert!(error.to_string().contains("/a b"), "{error}");
}

#[test]
fn a_prober_ends_with_its_receiver_full_or_gone() {
    let (sender, receiver) = mpsc::channel(1);
    let targets =
        (0..8).map(|_| target(ask_udp(), udp_echo(HERE), Duration::from_millis(1), LIMIT)).collect();
    let prober = Prober::spawn(targets, &sender).unwrap();
    let begin = Instant::now();
    while sender.capacity() > 0 {
        assert!(begin.elapsed() < LIMIT);
        std::thread::yield_now();
    }
    drop(prober);
    drop(receiver);
    drop(Prober::spawn(Vec::new(), &sender).unwrap());
}

#[test]
fn first_rounds_fill_the_interval() {
    let interval = Duration::from_millis(100);
    let mut begins = (0..3000).map(|position| stagger(position, interval)).collect::<Vec<_>>();
    begins.sort_unstable();
    assert!(begins[2999] < interval);
    let widest = begins.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap();
    assert!(widest < interval / 1000, "{widest:?} without any");
}

#[test]
fn many_rounds_are_shared_between_threads() {
    let targets = |count, interval| {
        (0..count).map(|_| target(Check::Tcp, SocketAddr::new(HERE, 1), interval, LIMIT)).collect::<Vec<_>>()
    };
    assert_eq!(threads(&[]), 1);
    assert_eq!(threads(&targets(3, Duration::from_millis(1))), 1);
    let processors = std::thread::available_parallelism().unwrap().get();
    assert_eq!(threads(&targets(3000, Duration::from_millis(100))), processors.min(4));
}
