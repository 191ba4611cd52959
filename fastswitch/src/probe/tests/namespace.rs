//! What needs a network of its own, and with it root: silence, unreachable hosts, ICMP, what is left of connections.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::Command;

use nix::sched::{CloneFlags, unshare};

use super::*;
use crate::machine::Failure;

/// Runs `test` on a thread with a network namespace of its own: loopback, an interface that swallows all packets, one
/// whose wire ends at nobody, and two routes that refuse.
fn in_namespace(test: impl FnOnce() + Send + 'static) {
    if !nix::unistd::geteuid().is_root() {
        assert!(std::env::var_os("CI").is_none(), "needs root");
        eprintln!("SKIPPED: needs root");
        return;
    }
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        for command in [
            "link set lo up",
            "link add swallow type veth peer name swallowed",
            "address add 10.71.1.1/24 dev swallow",
            "link set swallow up",
            "link set swallowed up",
            "neighbour add 10.71.1.2 lladdr 02:00:00:00:00:02 dev swallow",
            "link add wire type veth peer name nobody",
            "address add 10.71.2.1/24 dev wire",
            "link set wire up",
            "link set nobody up",
            "route add unreachable 10.71.3.0/24",
            "route add prohibit 10.71.4.0/24",
            "address add fd71:1::1/64 dev swallow nodad",
            "neighbour add fd71:1::2 lladdr 02:00:00:00:00:02 dev swallow",
            "address add fd71:2::1/64 dev wire nodad",
            "route add unreachable fd71:3::/64",
            "route add prohibit fd71:4::/64",
        ] {
            assert!(Command::new("ip").args(command.split(' ')).status().unwrap().success(), "ip {command}");
        }
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// The same place in each family.
fn at(network: u8) -> [SocketAddr; 2] {
    [
        SocketAddr::from((Ipv4Addr::new(10, 71, network, 2), 9)),
        SocketAddr::from((Ipv6Addr::new(0xfd71, network.into(), 0, 0, 0, 0, 0, 2), 9)),
    ]
}

fn checks_at(network: u8, checks: Vec<Check>) -> impl Iterator<Item = (Check, SocketAddr)> {
    at(network)
        .into_iter()
        .flat_map(move |address| checks.clone().into_iter().map(move |check| (check, address)))
}

#[test]
fn silence_is_a_timeout() {
    in_namespace(|| {
        for (check, address) in checks_at(1, vec![get(), Check::Tcp, ask_udp(), Check::Icmp]) {
            let silence = outcome_of_silence(check.clone(), address);
            assert_eq!(silence, Outcome::Failure(Failure::Timeout), "{check:?} {address}");
        }
    });
}

#[test]
fn no_route_is_unreachable_and_a_forbidden_one_says_so() {
    in_namespace(|| {
        let checks = || vec![get(), Check::Tcp, ask_udp(), Check::Icmp];
        for (check, address) in checks_at(3, checks()) {
            let outcome = outcome(check.clone(), address);
            assert_eq!(outcome, Outcome::Failure(Failure::Unreachable), "{check:?} {address}");
        }
        for (check, address) in checks_at(4, checks()) {
            let forbidden = outcome(check.clone(), address);
            assert!(
                matches!(forbidden, Outcome::Failure(Failure::Local(_))),
                "{check:?} {address}: {forbidden:?}"
            );
        }
    });
}

#[test]
fn a_machine_that_is_off_is_unreachable() {
    in_namespace(|| {
        for (check, address) in checks_at(2, vec![Check::Tcp, ask_udp(), Check::Icmp]) {
            let outcome = outcome(check.clone(), address);
            assert_eq!(outcome, Outcome::Failure(Failure::Unreachable), "{check:?} {address}");
        }
    });
}

#[test]
fn an_echo_reply_is_healthy() {
    in_namespace(|| {
        for loopback in [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)] {
            let outcome = outcome(Check::Icmp, SocketAddr::new(loopback, 0));
            assert!(matches!(outcome, Outcome::Success { .. }), "{loopback}: {outcome:?}");
        }
    });
}

#[test]
fn nothing_is_left_of_a_round() {
    in_namespace(|| {
        let http = tcp_server(Ipv4Addr::LOCALHOST, answer_ok);
        let udp = udp_echo(Ipv4Addr::LOCALHOST);
        let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let silent = silent.local_addr().unwrap();
        let short = Duration::from_millis(2);
        let targets = vec![
            target(get(), http, short, LIMIT),
            target(Check::Tcp, http, short, LIMIT),
            target(ask_udp(), udp, short, LIMIT),
            target(get(), silent, short, short),
            target(Check::Icmp, http, short, LIMIT),
            target(Check::Icmp, SocketAddr::new(Ipv6Addr::LOCALHOST.into(), 0), short, LIMIT),
        ];
        let rounds = 1000;
        let mut running = Running::start(targets);
        (0..rounds).for_each(|_| drop(running.next()));
        // Sockets in use, and TIME_WAIT, of this thread's network.
        let sockets = ["tcp", "udp", "raw", "tcp6", "udp6", "raw6"]
            .map(|table| std::fs::read_to_string(format!("/proc/thread-self/net/{table}")).unwrap())
            .join("");
        assert!(sockets.lines().count() < 40, "{rounds} rounds left\n{sockets}");
    });
}
