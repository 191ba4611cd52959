//! `icmp`: healthy when an echo request is answered.
//!
//! It owns one raw socket for all targets of a family, because the kernel looks at every raw socket for every ICMP
//! packet. A reply counts only for the very request that it answers: address, identifier, sequence number, and in the
//! payload the secret of this socket and the full number of the round. It refuses to believe anything else.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd as _;
use std::time::Instant;

use nix::sys::socket::{SockaddrStorage, recvfrom};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;

use super::miss::Miss;
use super::packet::{self, Heard, Icmp, Secret};
use crate::machine::Failure;

/// Room for the replies of some thousand targets, in bytes.
const RECEIVE_BUFFER: usize = 1 << 20;

/// Asks by ICMP of one kind.
pub(super) struct Echo {
    icmp: Icmp,
    socket: AsyncFd<Socket>,
    secret: Secret,
    rounds: Cell<u64>,
    waiting: RefCell<HashMap<u16, Waiting>>,
}

/// A request without an answer yet.
struct Waiting {
    address: IpAddr,
    round: u64,
    answer: oneshot::Sender<Result<Instant, Failure>>,
}

impl Echo {
    /// Opens the raw socket on the current runtime.
    pub(super) fn open(icmp: Icmp) -> io::Result<Self> {
        // The standard library's keys for hash maps are random, and enough to tell processes apart.
        let secret = Secret(RandomState::new().build_hasher().finish());
        let (domain, protocol) = match icmp {
            Icmp::V4 => (Domain::IPV4, Protocol::ICMPV4),
            Icmp::V6 => (Domain::IPV6, Protocol::ICMPV6),
        };
        let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(protocol)).map_err(|error| {
            io::Error::new(error.kind(), format!("raw ICMP socket (needs CAP_NET_RAW): {error}"))
        })?;
        socket.attach_filter(&filter(icmp, secret.identifier()))?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        // SAFETY: the socket owns its descriptor and hands out no other.
        let socket = unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }?;
        Ok(Self { icmp, socket, secret, rounds: Cell::new(0), waiting: RefCell::default() })
    }

    pub(super) fn icmp(&self) -> Icmp {
        self.icmp
    }

    /// Asks once. [`Self::receive`] has to run meanwhile.
    pub(super) async fn ask(&self, address: IpAddr) -> Result<Instant, Miss> {
        let (request, answer) = self.register(address)?;
        let packet = packet::request(self.icmp, self.secret, request.sequence, request.round);
        self.socket.get_ref().send_to(&packet, &SocketAddr::new(address, 0).into())?;
        match answer.await {
            Ok(answer) => Ok(answer?),
            // Only when the whole runtime ends.
            Err(_) => Err(Failure::Timeout.into()),
        }
    }

    /// Hands each reply to the one who waits for it.
    pub(super) async fn receive(&self) {
        let mut packet = [0; 2048];
        while let Ok(mut ready) = self.socket.readable().await {
            // All that is there, before anybody looks at a deadline.
            while let Ok(received) = ready.try_io(|socket| match receive(socket.get_ref(), &mut packet) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => Ok(None),
                received => received,
            }) {
                let Ok(Some((length, from))) = received else { continue };
                let heard = packet::heard(self.icmp, from, &packet[..length], self.secret);
                heard.iter().for_each(|heard| self.hand_out(heard));
            }
        }
    }

    fn register(
        &self,
        address: IpAddr,
    ) -> io::Result<(Request<'_>, oneshot::Receiver<Result<Instant, Failure>>)> {
        let mut waiting = self.waiting.borrow_mut();
        if waiting.len() > usize::from(u16::MAX) {
            return Err(io::Error::from_raw_os_error(nix::libc::ENOBUFS));
        }
        let mut round = self.rounds.get();
        while waiting.contains_key(&(round as u16)) {
            round += 1;
        }
        self.rounds.set(round + 1);
        let (answer, answered) = oneshot::channel();
        let sequence = round as u16;
        waiting.insert(sequence, Waiting { address, round, answer });
        Ok((Request { echo: self, sequence, round }, answered))
    }

    fn hand_out(&self, heard: &Heard) {
        let mut waiting = self.waiting.borrow_mut();
        let (&sequence, answer) = match heard {
            Heard::Reply { sequence, .. } => (sequence, Ok(Instant::now())),
            Heard::Unreachable { sequence, .. } => (sequence, Err(Failure::Unreachable)),
        };
        let asked = waiting.get(&sequence).is_some_and(|waiting| match *heard {
            Heard::Reply { from, round, .. } => waiting.address == from && waiting.round == round,
            Heard::Unreachable { to, .. } => waiting.address == to,
        });
        if asked && let Some(waiting) = waiting.remove(&sequence) {
            // The round may have ended this instant.
            let _ = waiting.answer.send(answer);
        }
    }
}

/// Keeps the place of a request until its round is over.
struct Request<'a> {
    echo: &'a Echo,
    sequence: u16,
    round: u64,
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        let mut waiting = self.echo.waiting.borrow_mut();
        if waiting.get(&self.sequence).is_some_and(|waiting| waiting.round == self.round) {
            waiting.remove(&self.sequence);
        }
    }
}

/// The length of a packet and who sent it.
fn receive(socket: &Socket, packet: &mut [u8]) -> io::Result<Option<(usize, IpAddr)>> {
    let (length, from) = recvfrom::<SockaddrStorage>(socket.as_raw_fd(), packet)?;
    let ip = |from: SockaddrStorage| match (from.as_sockaddr_in(), from.as_sockaddr_in6()) {
        (Some(from), _) => Some(IpAddr::V4(from.ip())),
        (_, Some(from)) => Some(IpAddr::V6(from.ip())),
        (None, None) => None,
    };
    Ok(from.and_then(ip).map(|from| (length, from)))
}

/// Lets only echo replies with `identifier`, and destinations unreachable, wake this process: no flood of pings through
/// or at the gateway does.
fn filter(icmp: Icmp, identifier: u16) -> [SockFilter; 8] {
    const LOAD_HEADER_LENGTH: u16 = 0xb1;
    const LOAD_INDEX: u16 = 0x01;
    const LOAD_BYTE: u16 = 0x50;
    const LOAD_HALF: u16 = 0x48;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    [
        // Where the message begins: sockets of IPv6 get it alone.
        match icmp {
            Icmp::V4 => SockFilter::new(LOAD_HEADER_LENGTH, 0, 0, 0),
            Icmp::V6 => SockFilter::new(LOAD_INDEX, 0, 0, 0),
        },
        SockFilter::new(LOAD_BYTE, 0, 0, 0),
        SockFilter::new(JUMP_IF_EQUAL, 3, 0, icmp.unreachable().into()),
        SockFilter::new(JUMP_IF_EQUAL, 0, 3, icmp.echo_reply().into()),
        SockFilter::new(LOAD_HALF, 0, 0, 4),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, identifier.into()),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}
