//! Frames put on a wire of the lab, as fast as one thread can: 60-byte TCP segments that no receiver answers.

use std::io;
use std::net::SocketAddrV4;
use std::os::fd::AsRawFd as _;

use anyhow::Context as _;
use fastswitch_common::checksum;
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{LinkAddr, bind};
use socket2::{Domain, Socket, Type};
use xtask::lab::{Host, Lab};

/// Ethernet's smallest frame, without its checksum, in bytes.
const FRAME: usize = 60;
const ETHERNET: usize = 14;
const IPV4: usize = 20;
/// IPv4 header and TCP header; the rest of the frame is padding.
const PACKET: u16 = 40;
const IPV4_TYPE: [u8; 2] = [0x08, 0x00];
const DONT_FRAGMENT: u8 = 0x40;
const TTL: u8 = 64;
const TCP: u8 = 6;
/// A TCP header of five words.
const OFFSET: u8 = 5 << 4;
const ACK: u8 = 0x10;

pub(crate) type Mac = [u8; 6];
pub(crate) type Frame = [u8; FRAME];

/// An interface of a lab's host that frames can be sent from.
pub(crate) struct Wire {
    socket: Socket,
    pub(crate) mac: Mac,
}

impl Wire {
    pub(crate) fn open(lab: &Lab, host: Host, interface: &str) -> anyhow::Result<Wire> {
        let wire = lab.within(host, || {
            let address = link_address(interface)?;
            // Without a protocol: it only sends.
            let socket = Socket::new(Domain::PACKET, Type::RAW, None)?;
            bind(socket.as_raw_fd(), &address)?;
            Ok::<_, io::Error>(Wire { socket, mac: address.addr().unwrap_or_default() })
        })?;
        wire.with_context(|| format!("cannot send from {interface} of {host:?}"))
    }

    /// Sends `count` of `frames`, in turn. A frame that finds a queue full is sent again.
    pub(crate) fn send(&self, frames: &[Frame], count: u32) -> anyhow::Result<()> {
        for frame in frames.iter().cycle().take(count as usize) {
            while let Err(error) = self.socket.send(frame) {
                anyhow::ensure!(error.raw_os_error() == Some(nix::libc::ENOBUFS), "cannot send: {error}");
            }
        }
        Ok(())
    }
}

fn link_address(interface: &str) -> io::Result<LinkAddr> {
    let mut links = getifaddrs()?.filter(|entry| entry.interface_name == interface);
    links.find_map(|entry| entry.address?.as_link_addr().copied()).ok_or_else(|| Errno::ENODEV.into())
}

/// A segment with nothing but ACK. Its TCP checksum is wrong: whoever receives it drops it without a word, so that
/// only what is sent here is on the wires.
pub(crate) fn segment(macs: (Mac, Mac), from: SocketAddrV4, to: SocketAddrV4) -> Frame {
    let mut frame = [0; FRAME];
    let (from_mac, to_mac) = macs;
    let (ethernet, packet) = frame.split_at_mut(ETHERNET);
    fill(ethernet, &[&to_mac, &from_mac, &IPV4_TYPE]);

    let (ip, tcp) = packet.split_at_mut(IPV4);
    let length = PACKET.to_be_bytes();
    let (from_address, to_address) = (from.ip().octets(), to.ip().octets());
    let fixed = [0x45, 0, length[0], length[1], 0, 0, DONT_FRAGMENT, 0, TTL, TCP];
    fill(ip, &[&fixed, &[0, 0], &from_address, &to_address]);
    let mut words = [[0; 2]; IPV4 / 2];
    for (word, bytes) in words.iter_mut().zip(ip.chunks_exact(2)) {
        word.copy_from_slice(bytes);
    }
    fill(ip, &[&fixed, &checksum::finish(checksum::sum(words)), &from_address, &to_address]);

    let (sequence, acknowledged, window) = ([1; 4], [2; 4], [0xff; 2]);
    let ports = [from.port().to_be_bytes(), to.port().to_be_bytes()];
    fill(tcp, &[&ports[0], &ports[1], &sequence, &acknowledged, &[OFFSET, ACK], &window]);
    frame
}

/// Writes `parts` one behind the other; what they do not reach stays.
fn fill(bytes: &mut [u8], parts: &[&[u8]]) {
    for (slot, byte) in bytes.iter_mut().zip(parts.iter().copied().flatten()) {
        *slot = *byte;
    }
}
