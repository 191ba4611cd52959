//! `tcp`: healthy when a connection is accepted. It refuses to say or hear anything on it.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use tokio::net::{TcpSocket, TcpStream};

use super::miss::Miss;

/// Connects once.
pub(super) async fn ask(address: SocketAddr) -> Result<Instant, Miss> {
    connect(address).await?;
    Ok(Instant::now())
}

/// A new connection, which ends by reset rather than FIN. The side that closes first keeps the pair of ports in
/// TIME_WAIT for a minute; a heartbeat each millisecond would run out of ports within half of that. And a backend that
/// is slow to accept is not left with a queue of connections long gone. The price: a server that was about to speak on
/// it may log a reset.
pub(super) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_zero_linger()?;
    socket.set_nodelay(true)?;
    socket.connect(address).await
}
