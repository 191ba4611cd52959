//! UDP echo on the port of the service. Answers also while loading: it stands for the transport, not for the model.

use std::io;
use std::time::Duration;

use tokio::net::UdpSocket;

/// Sends each datagram back to whoever sent it, for ever.
pub(super) async fn run(socket: UdpSocket) {
    let mut buffer = vec![0; 65_535];
    loop {
        if let Err(error) = echo_one(&socket, &mut buffer).await
            // A client that is gone shows up here as its ICMP error: not this server's trouble.
            && error.kind() != io::ErrorKind::ConnectionRefused
        {
            eprintln!("udp: {error}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

async fn echo_one(socket: &UdpSocket, buffer: &mut [u8]) -> io::Result<()> {
    let (length, from) = socket.recv_from(buffer).await?;
    let datagram = buffer.get(..length).unwrap_or_default();
    socket.send_to(datagram, from).await.map(drop)
}
