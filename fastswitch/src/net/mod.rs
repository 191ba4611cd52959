//! The gateway's network: what the daemon knows of it (interfaces, next hops, addresses) and does to it (assigns,
//! claims and announces VIPs), by netlink, ARP and neighbour discovery.
//!
//! It refuses to decide anything, to keep state of its own (the kernel has it; callers read it again when [`Watch`]
//! says that something changed) and to touch routes, links, neighbours that nobody asked for, or addresses that are
//! not a VIP's /32 or /128. It knows nothing of services, maps and configuration.
//!
//! Sockets belong to the network namespace of the thread that makes them: [`Net::new`], [`Watch::new`],
//! [`conflicts`] and [`announce`] act in the namespace of whoever first runs them.

mod address;
mod arp;
mod claim;
mod error;
mod family;
mod forwarding;
mod interface;
mod layers;
mod link;
mod local_ports;
mod ndp;
mod next_hop;
mod offload;
mod watch;

pub use address::{Address, Assigned};
pub use claim::{announce, conflicts};
pub use error::NetError;
pub use family::Family;
pub use forwarding::{forwarding, forwarding_sysctl};
pub use interface::{Interface, Xdp, XdpMode, vip_interface};
pub use layers::Layer;
pub use local_ports::unused_ports;
pub use next_hop::{NextHop, Reach, Way};
pub use offload::{Offload, is_on};
pub use watch::Watch;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{Stream, TryStreamExt as _};
use tokio::sync::Mutex;

/// The kernel answers netlink requests in micro- to milliseconds; a reply that could not be decoded never comes.
const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A netlink connection to the kernel's routing subsystem. Clones share it; it ends with the last of them.
#[derive(Debug, Clone)]
pub struct Net {
    handle: rtnetlink::Handle,
    /// The kernel refuses a list while another one is under way on the same socket (EBUSY).
    turn: Arc<Mutex<()>>,
}

impl Net {
    /// Connects, and runs the connection as a task of the current tokio runtime.
    ///
    /// # Errors
    /// When the kernel gives no netlink socket.
    pub fn new() -> Result<Self, NetError> {
        let (connection, handle, _) = rtnetlink::new_connection()
            .map_err(|source| NetError::new("open a netlink socket", "CAP_NET_ADMIN", source))?;
        tokio::spawn(connection);
        Ok(Self { handle, turn: Arc::default() })
    }

    /// A list, asked for when no other is under way. Errors of the kernel keep their number.
    async fn list<T, S>(&self, request: impl FnOnce() -> S) -> io::Result<Vec<T>>
    where
        S: Stream<Item = Result<T, rtnetlink::Error>>,
    {
        let _turn = self.turn.lock().await;
        answers(request()).await
    }
}

/// All answers to one request. Errors of the kernel keep their number.
async fn answers<T>(stream: impl Stream<Item = Result<T, rtnetlink::Error>>) -> io::Result<Vec<T>> {
    answer(stream.try_collect()).await
}

/// The answer to one request. Errors of the kernel keep their number.
async fn answer<T>(request: impl Future<Output = Result<T, rtnetlink::Error>>) -> io::Result<T> {
    match tokio::time::timeout(ANSWER_LIMIT, request).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(rtnetlink::Error::NetlinkError(message))) => Err(message.to_io()),
        Ok(Err(rtnetlink::Error::RequestFailed)) => Err(io::Error::new(
            io::ErrorKind::BrokenPipe,
            "the netlink connection has ended; restart fastswitch",
        )),
        Ok(Err(other)) => Err(io::Error::other(other)),
        Err(_) => Err(io::Error::new(
            io::ErrorKind::TimedOut,
            format!("the kernel gave no answer over netlink within {} s", ANSWER_LIMIT.as_secs()),
        )),
    }
}
