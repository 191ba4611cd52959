//! ICMP echo packets as bytes.
//!
//! It owns their layout. Pure: no sockets, no clock; bytes from the network in, nothing believed that does not fit.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Length of an echo request of ours, in bytes: header, secret, round.
pub(super) const REQUEST: usize = 24;

const HEADER: usize = 8;
const IPV4_HEADER: usize = 20;
const IPV6_HEADER: usize = 40;
/// Of ICMP for IPv4; that of IPv6 has a type of its own for it.
const FRAGMENTATION_NEEDED: u8 = 4;
const PROTOCOL_ICMP: u8 = 1;
const PROTOCOL_ICMPV6: u8 = 58;

/// The ICMP of a family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Icmp {
    V4,
    V6,
}

impl Icmp {
    /// The one that reaches `address`.
    pub(super) fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    pub(super) fn echo_reply(self) -> u8 {
        match self {
            Self::V4 => 0,
            Self::V6 => 129,
        }
    }

    pub(super) fn unreachable(self) -> u8 {
        match self {
            Self::V4 => 3,
            Self::V6 => 1,
        }
    }

    fn echo_request(self) -> u8 {
        match self {
            Self::V4 => 8,
            Self::V6 => 128,
        }
    }
}

/// What tells the requests of this process from all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Secret(pub(super) u64);

impl Secret {
    /// The identifier in each header.
    pub(super) fn identifier(self) -> u16 {
        self.0 as u16
    }
}

/// Something that a backend, or a router on the way, said about a request of ours.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The reply to the request `round`.
    Reply { from: IpAddr, sequence: u16, round: u64 },
    /// The request to `to` did not arrive.
    Unreachable { to: IpAddr, sequence: u16 },
}

/// The echo request number `round`. The checksum of IPv6, which covers the addresses, is the kernel's part.
pub(super) fn request(icmp: Icmp, secret: Secret, sequence: u16, round: u64) -> [u8; REQUEST] {
    let mut packet = [0; REQUEST];
    packet[0] = icmp.echo_request();
    packet[4..6].copy_from_slice(&secret.identifier().to_be_bytes());
    packet[6..8].copy_from_slice(&sequence.to_be_bytes());
    packet[8..16].copy_from_slice(&secret.0.to_be_bytes());
    packet[16..24].copy_from_slice(&round.to_be_bytes());
    if icmp == Icmp::V4 {
        let checksum = checksum(&packet);
        packet[2..4].copy_from_slice(&checksum.to_be_bytes());
    }
    packet
}

/// What a packet `from` somebody says about a request of ours, if anything. As raw sockets get it: IPv4 with its
/// header, IPv6 without.
pub(super) fn heard(icmp: Icmp, from: IpAddr, packet: &[u8], secret: Secret) -> Option<Heard> {
    let message = match icmp {
        Icmp::V4 => unwrap(icmp, packet)?.1,
        Icmp::V6 => packet,
    };
    let (kind, code) = (*message.first()?, *message.get(1)?);
    if kind == icmp.echo_reply() {
        let sequence = sequence(message, secret)?;
        let payload: &[u8; 16] = message.get(HEADER..)?.try_into().ok()?;
        let (theirs, round) = payload.split_at(8);
        (theirs == secret.0.to_be_bytes()).then_some(())?;
        return Some(Heard::Reply { from, sequence, round: u64::from_be_bytes(round.try_into().ok()?) });
    }
    // An oversized packet is no request of ours.
    if kind != icmp.unreachable() || (icmp, code) == (Icmp::V4, FRAGMENTATION_NEEDED) {
        return None;
    }
    let (to, quoted) = unwrap(icmp, message.get(HEADER..)?)?;
    (*quoted.first()? == icmp.echo_request()).then_some(())?;
    Some(Heard::Unreachable { to, sequence: sequence(quoted, secret)? })
}

/// Destination and ICMP message of an IP packet. Ours have no extension headers.
fn unwrap(icmp: Icmp, packet: &[u8]) -> Option<(IpAddr, &[u8])> {
    match icmp {
        Icmp::V4 => {
            let header = packet.first_chunk::<IPV4_HEADER>()?;
            let length = usize::from(header[0] & 0x0f) * 4;
            let is_icmp = header[0] >> 4 == 4 && length >= IPV4_HEADER && header[9] == PROTOCOL_ICMP;
            let [.., a, b, c, d] = *header;
            is_icmp.then_some((Ipv4Addr::new(a, b, c, d).into(), packet.get(length..)?))
        }
        Icmp::V6 => {
            let (header, message) = packet.split_first_chunk::<IPV6_HEADER>()?;
            let is_icmp = header[0] >> 4 == 6 && header[6] == PROTOCOL_ICMPV6;
            let to = Ipv6Addr::from(*header.last_chunk::<16>()?);
            is_icmp.then_some((to.into(), message))
        }
    }
}

/// The sequence number of an echo message with our identifier.
fn sequence(message: &[u8], secret: Secret) -> Option<u16> {
    let header = message.get(..HEADER)?;
    let identifier = u16::from_be_bytes([header[4], header[5]]);
    (identifier == secret.identifier()).then_some(u16::from_be_bytes([header[6], header[7]]))
}

fn checksum(packet: &[u8; REQUEST]) -> u16 {
    let sum =
        packet.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum::<u32>();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECRET: Secret = Secret(0x0123_4567_89ab_cdef);
    const BOTH: [Icmp; 2] = [Icmp::V4, Icmp::V6];

    fn backend(icmp: Icmp) -> IpAddr {
        match icmp {
            Icmp::V4 => Ipv4Addr::new(10, 0, 0, 2).into(),
            Icmp::V6 => Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2).into(),
        }
    }

    /// A packet to the backend.
    fn ip(icmp: Icmp, message: &[u8]) -> Vec<u8> {
        let mut packet = match icmp {
            Icmp::V4 => vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, PROTOCOL_ICMP, 0, 0, 10, 0, 0, 1],
            Icmp::V6 => [&[0x60, 0, 0, 0, 0, 0, PROTOCOL_ICMPV6, 64][..], &[0xfd; 16]].concat(),
        };
        match backend(icmp) {
            IpAddr::V4(to) => packet.extend_from_slice(&to.octets()),
            IpAddr::V6(to) => packet.extend_from_slice(&to.octets()),
        }
        packet.extend_from_slice(message);
        packet
    }

    /// What a raw socket gets of a message.
    fn received(icmp: Icmp, message: &[u8]) -> Vec<u8> {
        if icmp == Icmp::V4 { ip(icmp, message) } else { message.to_vec() }
    }

    fn reply(icmp: Icmp) -> Vec<u8> {
        let mut message = request(icmp, SECRET, 7, 65_543);
        message[0] = icmp.echo_reply();
        received(icmp, &message)
    }

    fn unreachable(icmp: Icmp, quoted: &[u8]) -> Vec<u8> {
        let error = [icmp.unreachable(), 1, 0, 0, 0, 0, 0, 0];
        received(icmp, &[&error[..], &ip(icmp, quoted)].concat())
    }

    #[test]
    fn the_checksum_over_a_request_comes_to_nothing() {
        assert_eq!(checksum(&request(Icmp::V4, SECRET, 7, 65_543)), 0);
        assert_eq!(request(Icmp::V6, SECRET, 7, 65_543)[..4], [128, 0, 0, 0]);
    }

    #[test]
    fn a_reply_is_known_by_identifier_and_secret() {
        for icmp in BOTH {
            let from = backend(icmp);
            let heard_reply = Heard::Reply { from, sequence: 7, round: 65_543 };
            assert_eq!(heard(icmp, from, &reply(icmp), SECRET), Some(heard_reply));
            let message = reply(icmp).len() - REQUEST;
            for byte in [4, 5, 8, 15] {
                let mut other = reply(icmp);
                other[message + byte] ^= 1;
                assert_eq!(heard(icmp, from, &other, SECRET), None, "byte {byte} belongs to another process");
            }
            let request = received(icmp, &request(icmp, SECRET, 7, 7));
            assert_eq!(heard(icmp, from, &request, SECRET), None, "a request is no reply");
        }
    }

    #[test]
    fn an_error_is_known_by_the_first_bytes_of_what_it_quotes() {
        for icmp in BOTH {
            let heard = |packet: &[u8], secret| heard(icmp, Ipv4Addr::LOCALHOST.into(), packet, secret);
            let request = request(icmp, SECRET, 7, 7);
            let expected = Some(Heard::Unreachable { to: backend(icmp), sequence: 7 });
            assert_eq!(heard(&unreachable(icmp, &request), SECRET), expected);
            assert_eq!(heard(&unreachable(icmp, &request[..8]), SECRET), expected);
            assert_eq!(heard(&unreachable(icmp, &request[..7]), SECRET), None);
            assert_eq!(heard(&unreachable(icmp, &request), Secret(1)), None);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            for icmp in BOTH {
                prop_assert_eq!(heard(icmp, backend(icmp), &bytes, SECRET), None);
            }
        }

        #[test]
        fn no_cut_is_too_short(length in 0usize..44) {
            for icmp in BOTH {
                let reply = reply(icmp);
                let length = length.min(reply.len() - 1);
                prop_assert_eq!(heard(icmp, backend(icmp), &reply[..length], SECRET), None);
            }
        }
    }
}
