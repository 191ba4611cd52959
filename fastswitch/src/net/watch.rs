//! Tells that something about the gateway's network changed. Not what: whoever listens reads the kernel's state
//! again, which is never older than the events and needs no copy of it kept up to date.

use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;

use nix::errno::Errno;
use rtnetlink::MulticastGroup;
use rtnetlink::sys::{AsyncSocket as _, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE};
use tokio::time::Instant;

use super::NetError;

/// Links, addresses, neighbours, and all that decides a route.
const GROUPS: [MulticastGroup; 9] = [
    MulticastGroup::Link,
    MulticastGroup::Neigh,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv4Rule,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv6Route,
    MulticastGroup::Ipv6Rule,
    MulticastGroup::Nexthop,
];

/// A single event is told at once; those that follow within this time are told together.
const PAUSE: Duration = Duration::from_millis(20);

/// A subscription to the kernel's events. Make it before the first reading, so that nothing falls in between.
pub struct Watch {
    socket: TokioSocket,
    not_before: Instant,
}

impl Watch {
    /// Subscribes, in the network namespace of the current thread and on the current tokio runtime.
    ///
    /// # Errors
    /// When the kernel gives no netlink socket.
    pub fn new() -> Result<Self, NetError> {
        let socket = subscribe().map_err(failed)?;
        Ok(Self { socket, not_before: Instant::now() })
    }

    /// Waits until a link, address, route or neighbour has changed since the last call, whether or not the events
    /// themselves were lost in a burst. May be dropped while it waits: nothing is missed.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn changed(&mut self) -> Result<(), NetError> {
        tokio::time::sleep_until(self.not_before).await;
        poll_fn(|context| poll_drain(&self.socket, context)).await.map_err(failed)?;
        self.not_before = Instant::now() + PAUSE;
        Ok(())
    }
}

fn subscribe() -> io::Result<TokioSocket> {
    let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
    socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
    for group in GROUPS {
        socket.socket_mut().add_membership(group as u32)?;
    }
    Ok(socket)
}

/// Takes all events off the socket; ready if there was one.
fn poll_drain(socket: &TokioSocket, context: &mut Context<'_>) -> Poll<io::Result<()>> {
    // The contents do not matter, and the kernel cuts off what does not fit.
    let mut buffer = [0_u8; 64];
    let mut some = false;
    loop {
        match socket.poll_recv(context, &mut &mut buffer[..]) {
            // ENOBUFS: events were lost. That there were some is all that counts.
            Poll::Ready(Err(error)) if error.raw_os_error() != Some(Errno::ENOBUFS as i32) => {
                return Poll::Ready(Err(error));
            }
            Poll::Ready(_) => some = true,
            Poll::Pending if some => return Poll::Ready(Ok(())),
            Poll::Pending => return Poll::Pending,
        }
    }
}

fn failed(source: io::Error) -> NetError {
    NetError::new("watch the network for changes", "CAP_NET_ADMIN", source)
}
