//! Claims addresses on a link by ARP: asks first whether somebody else has them, and announces them then.
//!
//! Many addresses share one socket. It refuses to defend an address: it neither answers requests (the kernel does)
//! nor decides what follows from a conflict.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd as _;
use std::time::Duration;

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::libc;
use nix::sys::socket::{LinkAddr, bind, recvfrom};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::unix::AsyncFd;
use tokio::time::{Instant, timeout_at};

use super::{Interface, Mac, NetError, arp};

/// How often each address is asked for: a single question may be lost.
const PROBES: u32 = 3;
/// Between two questions; the last one is given twice that.
const PROBE_INTERVAL: Duration = Duration::from_millis(100);

/// Asks the link of `interface` who else has, or is about to take, one of `vips` (RFC 5227, in 400 ms in all).
/// Returns those addresses, each with the other machine. Answers of this machine's own interfaces do not count.
///
/// # Errors
/// Without CAP_NET_RAW, or when the interface is gone or down.
pub async fn conflicts(
    interface: &Interface,
    vips: &[Ipv4Addr],
) -> Result<BTreeMap<Ipv4Addr, Mac>, NetError> {
    ask(interface, vips.iter().copied().collect()).await.map_err(|source| {
        let action = format!("ask on interface {} whether another host has {}", interface.name, list(vips));
        NetError::new(action, "CAP_NET_RAW", source)
    })
}

/// Tells every machine on the link of `interface` that `vips` are here now. Nobody confirms it: repeat it.
///
/// # Errors
/// Without CAP_NET_RAW, or when the interface is gone or down.
pub async fn announce(interface: &Interface, vips: &[Ipv4Addr]) -> Result<(), NetError> {
    tell(interface, vips).await.map_err(|source| {
        let action = format!("announce {} on interface {}", list(vips), interface.name);
        NetError::new(action, "CAP_NET_RAW", source)
    })
}

async fn ask(interface: &Interface, mut open: BTreeSet<Ipv4Addr>) -> io::Result<BTreeMap<Ipv4Addr, Mac>> {
    let link = Link::open(interface)?;
    let mut found = BTreeMap::new();
    let mut until = Instant::now();
    for round in 1..=PROBES {
        for vip in &open {
            link.send(&arp::probe(interface.mac, *vip)).await?;
        }
        until += if round < PROBES { PROBE_INTERVAL } else { 2 * PROBE_INTERVAL };
        while !open.is_empty() {
            let Ok(claim) = timeout_at(until, link.foreign_claim()).await else {
                break;
            };
            let (address, mac) = claim?;
            if open.remove(&address) {
                found.insert(address, mac);
            }
        }
    }
    Ok(found)
}

async fn tell(interface: &Interface, vips: &[Ipv4Addr]) -> io::Result<()> {
    let link = Link::open(interface)?;
    for vip in vips {
        link.send(&arp::announcement(interface.mac, *vip)).await?;
        link.send(&arp::unsolicited_reply(interface.mac, *vip)).await?;
    }
    Ok(())
}

/// For messages: a thousand addresses are no help.
fn list(vips: &[Ipv4Addr]) -> String {
    match vips {
        [first, second, rest @ ..] if !rest.is_empty() => {
            format!("{first}, {second} and {} more", rest.len())
        }
        few => few.iter().map(Ipv4Addr::to_string).collect::<Vec<_>>().join(", "),
    }
}

/// ARP frames of one interface.
struct Link {
    socket: AsyncFd<Socket>,
    ifindex: u32,
    /// The Ethernet addresses of this machine.
    own: Vec<[u8; 6]>,
}

impl Link {
    fn open(interface: &Interface) -> io::Result<Self> {
        let links: Vec<LinkAddr> =
            getifaddrs()?.filter_map(|entry| entry.address?.as_link_addr().copied()).collect();
        let address = links
            .iter()
            .find(|link| u32::try_from(link.ifindex()) == Ok(interface.ifindex))
            .ok_or(Errno::ENODEV)?;
        let protocol = i32::from(u16::try_from(libc::ETH_P_ARP).map_err(io::Error::other)?.to_be());
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(protocol)))?;
        socket.set_nonblocking(true)?;
        // The address has no protocol, so that the socket keeps its own.
        bind(socket.as_raw_fd(), address)?;
        Ok(Self {
            // SAFETY: the socket owns its descriptor, and AsyncFd lends it out by shared reference only.
            socket: unsafe { AsyncFd::register(socket) }?,
            ifindex: interface.ifindex,
            own: links.iter().filter_map(LinkAddr::addr).collect(),
        })
    }

    async fn send(&self, frame: &[u8]) -> io::Result<()> {
        loop {
            let mut guard = self.socket.writable().await?;
            match guard.try_io(|socket| socket.get_ref().send(frame)) {
                Ok(sent) => return sent.map(drop),
                Err(_would_block) => {}
            }
        }
    }

    /// Waits for a frame in which another machine claims an address.
    async fn foreign_claim(&self) -> io::Result<(Ipv4Addr, Mac)> {
        loop {
            let mut guard = self.socket.readable().await?;
            let Ok(claim) = guard.try_io(|socket| self.receive(socket.get_ref())) else {
                continue;
            };
            if let Some(claim) = claim? {
                return Ok(claim);
            }
        }
    }

    fn receive(&self, socket: &Socket) -> io::Result<Option<(Ipv4Addr, Mac)>> {
        let mut frame = [0; arp::FRAME];
        let (length, from) = recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut frame)?;
        // Before it was bound the socket heard every interface. Frames for others are those of foreign VLANs, or
        // overheard in promiscuous mode.
        let ours = from.is_some_and(|from| {
            u32::try_from(from.ifindex()) == Ok(self.ifindex) && from.pkttype() != libc::PACKET_OTHERHOST
        });
        let claim = frame.get(..length).filter(|_| ours).and_then(arp::claim);
        Ok(claim.filter(|(_, mac)| !self.own.contains(&mac.0)))
    }
}
