//! Frames that nobody sent: written out with every checksum, and read back into words.
//!
//! It shares nothing with the code of the data path: what that has made of a frame is checked here from scratch.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::control::wire::trace::Packet;

const ETHERNET: usize = 14;
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];
const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;

/// Flags of TCP segments.
pub(super) mod flag {
    pub(in super::super) const SYN: u8 = 0x02;
    pub(in super::super) const ACK: u8 = 0x10;
}

/// A segment or datagram without payload, from one station to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) from_mac: [u8; 6],
    pub(super) to_mac: [u8; 6],
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    /// TCP flags; none: a UDP datagram.
    pub(super) flags: Option<u8>,
}

impl Made {
    /// The frame.
    pub(super) fn frame(&self) -> Vec<u8> {
        let (protocol, mut body) = self.body();
        let at = if protocol == TCP { 16 } else { 6 };
        let sum = match checksum(&[&pseudo(self.from.ip(), self.to.ip(), protocol, body.len()), &body]) {
            0 if protocol == UDP => 0xffff,
            sum => sum,
        };
        body.splice(at..at + 2, sum.to_be_bytes());
        let (ether_type, header) = match (self.from.ip(), self.to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => (IPV4, ipv4(from, to, protocol, body.len())),
            (from, to) => (IPV6, ipv6(from, to, protocol, body.len())),
        };
        [&self.to_mac[..], &self.from_mac, &ether_type, &header, &body].concat()
    }

    /// The answer to this by who got it.
    pub(super) fn answer(&self) -> Self {
        let flags =
            self.flags.map(|flags| if flags & flag::SYN == 0 { flag::ACK } else { flag::SYN | flag::ACK });
        Self { from_mac: self.to_mac, to_mac: self.from_mac, from: self.to, to: self.from, flags }
    }

    /// Protocol, and its header with a checksum of zero.
    fn body(&self) -> (u8, Vec<u8>) {
        let ports = [self.from.port().to_be_bytes(), self.to.port().to_be_bytes()].concat();
        match self.flags {
            Some(flags) => {
                let (sequence, acknowledged) = ([0, 0, 0, 1], [0, 0, 0, u8::from(flags & flag::ACK != 0)]);
                let (offset, window) = (5 << 4, [0xff, 0xff]);
                let rest = [offset, flags, window[0], window[1], 0, 0, 0, 0];
                (TCP, [&ports[..], &sequence, &acknowledged, &rest].concat())
            }
            None => (UDP, [&ports[..], &[0, 8, 0, 0]].concat()),
        }
    }
}

const TTL: u8 = 64;

fn ipv4(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, len: usize) -> Vec<u8> {
    let [high, low] = short(20 + len);
    let mut header = vec![0x45, 0, high, low, 0, 0, 0x40, 0, TTL, protocol, 0, 0];
    header.extend(from.octets().into_iter().chain(to.octets()));
    let sum = checksum(&[&header]).to_be_bytes();
    header.splice(10..12, sum);
    header
}

fn ipv6(from: IpAddr, to: IpAddr, protocol: u8, len: usize) -> Vec<u8> {
    let [high, low] = short(len);
    let mut header = vec![0x60, 0, 0, 0, high, low, protocol, TTL];
    header.extend(octets(from).into_iter().chain(octets(to)));
    header
}

/// The frame in words; a part that is missing or unknown is left out.
pub(super) fn describe(frame: &[u8]) -> Packet {
    let mac = |at: usize| {
        let bytes = frame.get(at..at + 6).unwrap_or_default();
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
    };
    let read = read(frame);
    let (source, destination, kind, ttl, checksums) = match &read {
        Some(read) => (read.end(0), read.end(2), read.kind(), read.ttl, read.checksums()),
        None => (String::new(), String::new(), "not IP".to_owned(), 0, true),
    };
    Packet { from_mac: mac(6), to_mac: mac(0), kind, source, destination, ttl, bytes: frame.len(), checksums }
}

/// What can be answered: a whole segment or datagram.
pub(super) fn made(frame: &[u8]) -> Option<Made> {
    let read = read(frame)?;
    let port = |at: usize| Some(u16::from_be_bytes([*read.body.get(at)?, *read.body.get(at + 1)?]));
    let flags = match read.protocol {
        TCP => Some(*read.body.get(13)?),
        UDP => None,
        _ => return None,
    };
    Some(Made {
        from_mac: frame.get(6..12)?.try_into().ok()?,
        to_mac: frame.get(..6)?.try_into().ok()?,
        from: SocketAddr::new(read.from, port(0)?),
        to: SocketAddr::new(read.to, port(2)?),
        flags,
    })
}

/// An IP packet taken apart.
struct Read<'a> {
    from: IpAddr,
    to: IpAddr,
    ttl: u8,
    protocol: u8,
    /// Of IPv4, whose header has a checksum.
    header: Option<&'a [u8]>,
    body: &'a [u8],
}

fn read(frame: &[u8]) -> Option<Read<'_>> {
    let packet = frame.get(ETHERNET..)?;
    match [*frame.get(12)?, *frame.get(13)?] {
        IPV4 => {
            let len = usize::from(packet.first()? & 0x0f) * 4;
            let total = usize::from(u16::from_be_bytes([*packet.get(2)?, *packet.get(3)?]));
            let address = |at: usize| <[u8; 4]>::try_from(packet.get(at..at + 4)?).ok().map(IpAddr::from);
            let (ttl, protocol) = (*packet.get(8)?, *packet.get(9)?);
            let (header, body) = (packet.get(..len)?, packet.get(len..total)?);
            Some(Read { from: address(12)?, to: address(16)?, ttl, protocol, header: Some(header), body })
        }
        IPV6 => {
            let len = usize::from(u16::from_be_bytes([*packet.get(4)?, *packet.get(5)?]));
            let address = |at: usize| <[u8; 16]>::try_from(packet.get(at..at + 16)?).ok().map(IpAddr::from);
            let (protocol, ttl) = (*packet.get(6)?, *packet.get(7)?);
            let body = packet.get(40..40 + len)?;
            Some(Read { from: address(8)?, to: address(24)?, ttl, protocol, header: None, body })
        }
        _ => None,
    }
}

impl Read<'_> {
    /// An end of it, whose port is at `at` in what it carries.
    fn end(&self, at: usize) -> String {
        let address = if at == 0 { self.from } else { self.to };
        match (self.protocol, self.body.get(at..at + 2)) {
            (TCP | UDP, Some(&[high, low])) => {
                SocketAddr::new(address, u16::from_be_bytes([high, low])).to_string()
            }
            _ => address.to_string(),
        }
    }

    fn kind(&self) -> String {
        let byte = |at: usize| self.body.get(at).copied().unwrap_or_default();
        match self.protocol {
            TCP => format!("TCP {}", flags(byte(13))),
            UDP => "UDP".to_owned(),
            ICMP if byte(0) == 3 && byte(1) == 3 => "ICMP port unreachable".to_owned(),
            ICMPV6 if byte(0) == 1 && byte(1) == 4 => "ICMPv6 port unreachable".to_owned(),
            ICMP => format!("ICMP type {} code {}", byte(0), byte(1)),
            ICMPV6 => format!("ICMPv6 type {} code {}", byte(0), byte(1)),
            other => format!("IP protocol {other}"),
        }
    }

    /// Whether every checksum is right.
    fn checksums(&self) -> bool {
        let of_header = self.header.is_none_or(|header| checksum(&[header]) == 0);
        let pseudo = pseudo(self.from, self.to, self.protocol, self.body.len());
        let of_body = match self.protocol {
            // None: only over IPv4 (RFC 8200, 8.1).
            UDP if self.header.is_some() && self.body.get(6..8) == Some(&[0, 0]) => true,
            TCP | UDP | ICMPV6 => checksum(&[&pseudo, self.body]) == 0,
            ICMP => checksum(&[self.body]) == 0,
            _ => true,
        };
        of_header && of_body
    }
}

fn flags(flags: u8) -> String {
    const NAMES: [&str; 8] = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];
    let set = NAMES.into_iter().enumerate().filter(|(bit, _)| flags & 1 << bit != 0);
    set.map(|(_, name)| name).collect::<Vec<_>>().join("+")
}

/// What a transport checksum covers of the IP header (RFC 9293, 3.1; RFC 8200, 8.1).
fn pseudo(from: IpAddr, to: IpAddr, protocol: u8, len: usize) -> Vec<u8> {
    [&octets(from)[..], &octets(to), &[0, protocol], &short(len)].concat()
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => Ipv6Addr::octets(&address).to_vec(),
    }
}

/// A length as a header has it. Nothing here is longer than a frame.
fn short(len: usize) -> [u8; 2] {
    u16::try_from(len).unwrap_or(u16::MAX).to_be_bytes()
}

/// RFC 1071. Only the last part may have an odd length.
fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0u32;
    for pair in parts.iter().flat_map(|part| part.chunks(2)) {
        let word = match pair {
            [high, low] => u16::from_be_bytes([*high, *low]),
            [high] => u16::from_be_bytes([*high, 0]),
            _ => 0,
        };
        sum += u32::from(word);
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use fastswitch_common::packet;
    use fastswitch_common::parse::{Content, parse};

    use super::*;

    fn made(from: &str, to: &str, flags: Option<u8>) -> Made {
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        Made { from_mac: [2, 0, 0, 0, 0, 1], to_mac: [2, 0, 0, 0, 0, 2], from, to, flags }
    }

    fn all() -> Vec<Made> {
        let (four, six) = (("192.0.2.1:4000", "198.51.100.7:80"), ("[fd00::1]:4000", "[fd00:2::7]:80"));
        let kinds = [Some(flag::SYN), Some(flag::ACK), None];
        [four, six].iter().flat_map(|(from, to)| kinds.map(|flags| made(from, to, flags))).collect()
    }

    #[test]
    fn the_data_path_reads_what_was_made() {
        for made in all() {
            let mut frame = made.frame();
            let Ok(Content::Segment(segment)) = parse(&packet::Packet::new(&mut frame)) else {
                panic!("{made:?} is no segment")
            };
            assert_eq!((segment.source.socket(), segment.destination.socket()), (made.from, made.to));
            assert_eq!((segment.ttl, segment.opens), (TTL, made.flags != Some(flag::ACK)));
            assert_eq!(super::made(&frame), Some(made));
        }
    }

    #[test]
    fn a_packet_in_words() {
        let syn = made("[fd00::1]:4000", "[fd00:2::7]:80", Some(flag::SYN));
        let words = describe(&syn.frame());
        assert_eq!((words.source.as_str(), words.destination.as_str()), ("[fd00::1]:4000", "[fd00:2::7]:80"));
        assert_eq!(
            (words.from_mac.as_str(), words.to_mac.as_str()),
            ("02:00:00:00:00:01", "02:00:00:00:00:02")
        );
        assert_eq!((words.kind.as_str(), words.ttl, words.bytes), ("TCP SYN", 64, 74));
        let answer = describe(&syn.answer().frame());
        assert_eq!((answer.kind.as_str(), answer.source.as_str()), ("TCP SYN+ACK", "[fd00:2::7]:80"));
    }

    #[test]
    fn a_wrong_byte_is_a_wrong_checksum() {
        for made in all() {
            let frame = made.frame();
            assert!(describe(&frame).checksums, "{made:?}");
            // From the addresses on, where each byte counts.
            for at in 26..frame.len() {
                let mut frame = frame.clone();
                frame[at] ^= 0x40;
                assert!(!describe(&frame).checksums, "{made:?}, byte {at}");
            }
        }
    }

    #[test]
    fn frames_cut_short_are_read_as_far_as_they_go() {
        for frame in all().iter().map(Made::frame) {
            for len in 0..frame.len() {
                assert_eq!(describe(&frame[..len]).bytes, len);
                assert_eq!(super::made(&frame[..len]), None);
            }
        }
    }
}
