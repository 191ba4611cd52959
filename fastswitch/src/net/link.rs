//! The frames of one interface by which machines learn each other's addresses: ARP, or neighbour discovery.

use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::AsRawFd as _;

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::libc;
use nix::sys::socket::{LinkAddr, bind, recvfrom};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use tokio::io::unix::AsyncFd;

use super::{Family, Interface, Mac, arp, ndp};

/// Groups that one socket joins; the kernel limits the memory for them.
const GROUPS_PER_SOCKET: usize = 64;
/// Longest frame that is looked at, in bytes. Neighbour discovery has room for options that nobody sends.
const LONGEST: usize = 512;

/// Frames of one family on one interface. Many addresses share it.
pub(super) struct Link {
    socket: AsyncFd<Socket>,
    ifindex: u32,
    family: Family,
    /// The Ethernet addresses of this machine.
    own: Vec<[u8; 6]>,
    /// Keep groups joined.
    groups: Vec<Socket>,
}

impl Link {
    pub(super) fn open(interface: &Interface, family: Family) -> io::Result<Self> {
        let links: Vec<LinkAddr> =
            getifaddrs()?.filter_map(|entry| entry.address?.as_link_addr().copied()).collect();
        let address = links
            .iter()
            .find(|link| u32::try_from(link.ifindex()) == Ok(interface.ifindex))
            .ok_or(Errno::ENODEV)?;
        let kind = match family {
            Family::V4 => libc::ETH_P_ARP,
            Family::V6 => libc::ETH_P_IPV6,
        };
        let protocol = i32::from(u16::try_from(kind).map_err(io::Error::other)?.to_be());
        let socket = Socket::new(Domain::PACKET, Type::RAW, Some(Protocol::from(protocol)))?;
        if family == Family::V6 {
            socket.attach_filter(&neighbour_discovery())?;
        }
        socket.set_nonblocking(true)?;
        // The address has no protocol, so that the socket keeps its own.
        bind(socket.as_raw_fd(), address)?;
        Ok(Self {
            // SAFETY: the socket owns its descriptor, and AsyncFd lends it out by shared reference only.
            socket: unsafe { AsyncFd::register(socket) }?,
            ifindex: interface.ifindex,
            family,
            own: links.iter().filter_map(LinkAddr::addr).collect(),
            groups: Vec::new(),
        })
    }

    /// Makes questions of others about `addresses` arrive. Those of ARP are broadcast; in IPv6 an address that this
    /// machine does not have yet has a group that neither the interface nor the switches on the way forward here.
    pub(super) fn listen(&mut self, addresses: impl Iterator<Item = IpAddr>) -> io::Result<()> {
        let groups: Vec<Ipv6Addr> = addresses
            .filter_map(|address| match address {
                IpAddr::V4(_) => None,
                IpAddr::V6(address) => Some(ndp::solicited_node(address)),
            })
            .collect();
        for groups in groups.chunks(GROUPS_PER_SOCKET) {
            let socket = Socket::new(Domain::IPV6, Type::DGRAM, None)?;
            for group in groups {
                match socket.join_multicast_v6(group, self.ifindex) {
                    // Two addresses may share a group.
                    Err(error) if error.raw_os_error() != Some(Errno::EADDRINUSE as i32) => {
                        return Err(error);
                    }
                    _ => {}
                }
            }
            self.groups.push(socket);
        }
        Ok(())
    }

    pub(super) async fn send(&self, frame: &[u8]) -> io::Result<()> {
        loop {
            let mut guard = self.socket.writable().await?;
            match guard.try_io(|socket| socket.get_ref().send(frame)) {
                Ok(sent) => return sent.map(drop),
                Err(_would_block) => {}
            }
        }
    }

    /// Waits for a frame in which another machine claims an address.
    pub(super) async fn foreign_claim(&self) -> io::Result<(IpAddr, Mac)> {
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

    fn receive(&self, socket: &Socket) -> io::Result<Option<(IpAddr, Mac)>> {
        let mut frame = [0; LONGEST];
        let (length, from) = recvfrom::<LinkAddr>(socket.as_raw_fd(), &mut frame)?;
        // Before it was bound the socket heard every interface. Frames for others are those of foreign VLANs, or
        // overheard in promiscuous mode.
        let ours = from.is_some_and(|from| {
            u32::try_from(from.ifindex()) == Ok(self.ifindex) && from.pkttype() != libc::PACKET_OTHERHOST
        });
        let claim = frame.get(..length).filter(|_| ours).and_then(|frame| self.claim(frame));
        Ok(claim.filter(|(_, mac)| !self.own.contains(&mac.0)))
    }

    fn claim(&self, frame: &[u8]) -> Option<(IpAddr, Mac)> {
        match self.family {
            Family::V4 => arp::claim(frame).map(|(address, mac)| (address.into(), mac)),
            Family::V6 => ndp::claim(frame).map(|(address, mac)| (address.into(), mac)),
        }
    }
}

/// Lets only neighbour solicitations and advertisements through: the rest of a busy link's IPv6 is nothing to wake
/// up for.
fn neighbour_discovery() -> [SockFilter; 7] {
    const LOAD_BYTE: u16 = 0x30;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    [
        SockFilter::new(LOAD_BYTE, 0, 0, 20),
        SockFilter::new(JUMP_IF_EQUAL, 0, 4, ndp::ICMPV6.into()),
        SockFilter::new(LOAD_BYTE, 0, 0, 54),
        SockFilter::new(JUMP_IF_EQUAL, 1, 0, ndp::NEIGHBOUR_SOLICITATION.into()),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, ndp::NEIGHBOUR_ADVERTISEMENT.into()),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}
