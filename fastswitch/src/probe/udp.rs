//! `udp`: healthy when a datagram is answered by any datagram. It refuses to look into the answer.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::miss::Miss;

/// Asks once. A new socket, and with it a new port, for each round: an answer to an earlier round never counts.
/// Connected before it has a port: nobody else's datagram gets in, and an ICMP error comes back as this socket's.
pub(super) async fn ask(address: SocketAddr, send: &[u8]) -> Result<Instant, Miss> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
    // Without it, a host that is unreachable is not told from silence.
    match address {
        SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4RecvErr, &true),
        SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvErr, &true),
    }
    .map_err(io::Error::from)?;
    socket.connect(&address.into())?;
    let socket = UdpSocket::from_std(socket.into())?;
    socket.send(send).await?;
    socket.recv(&mut [0; 1]).await?;
    Ok(Instant::now())
}
