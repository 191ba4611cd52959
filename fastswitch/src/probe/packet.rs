//! ICMP echo packets as bytes.
//!
//! It owns their layout. Pure: no sockets, no clock; bytes from the network in, nothing believed that does not fit.

use std::net::Ipv4Addr;

/// Length of an echo request of ours, in bytes: header, secret, round.
pub(super) const REQUEST: usize = 24;

const HEADER: usize = 8;
const IP_HEADER: usize = 20;
pub(super) const ECHO_REPLY: u8 = 0;
pub(super) const UNREACHABLE: u8 = 3;
const ECHO_REQUEST: u8 = 8;
const FRAGMENTATION_NEEDED: u8 = 4;
const PROTOCOL_ICMP: u8 = 1;

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
    Reply { from: Ipv4Addr, sequence: u16, round: u64 },
    /// The request to `to` did not arrive.
    Unreachable { to: Ipv4Addr, sequence: u16 },
}

/// The echo request number `round`.
pub(super) fn request(secret: Secret, sequence: u16, round: u64) -> [u8; REQUEST] {
    let mut packet = [0; REQUEST];
    packet[0] = ECHO_REQUEST;
    packet[4..6].copy_from_slice(&secret.identifier().to_be_bytes());
    packet[6..8].copy_from_slice(&sequence.to_be_bytes());
    packet[8..16].copy_from_slice(&secret.0.to_be_bytes());
    packet[16..24].copy_from_slice(&round.to_be_bytes());
    let checksum = checksum(&packet);
    packet[2..4].copy_from_slice(&checksum.to_be_bytes());
    packet
}

/// What an IPv4 packet says about a request of ours, if anything.
pub(super) fn heard(packet: &[u8], secret: Secret) -> Option<Heard> {
    let (source, _, message) = unwrap(packet)?;
    match *message.first()? {
        ECHO_REPLY => {
            let sequence = sequence(message, secret)?;
            let payload: &[u8; 16] = message.get(HEADER..)?.try_into().ok()?;
            let (theirs, round) = payload.split_at(8);
            (theirs == secret.0.to_be_bytes()).then_some(())?;
            Some(Heard::Reply { from: source, sequence, round: u64::from_be_bytes(round.try_into().ok()?) })
        }
        // An oversized packet is no request of ours.
        UNREACHABLE if *message.get(1)? != FRAGMENTATION_NEEDED => {
            let (_, to, quoted) = unwrap(message.get(HEADER..)?)?;
            (*quoted.first()? == ECHO_REQUEST).then_some(())?;
            Some(Heard::Unreachable { to, sequence: sequence(quoted, secret)? })
        }
        _ => None,
    }
}

/// Source, destination and ICMP message of an IPv4 packet.
fn unwrap(packet: &[u8]) -> Option<(Ipv4Addr, Ipv4Addr, &[u8])> {
    let header = packet.get(..IP_HEADER)?;
    let length = usize::from(header[0] & 0x0f) * 4;
    let is_icmp = header[0] >> 4 == 4 && length >= IP_HEADER && header[9] == PROTOCOL_ICMP;
    let address = |at: usize| Ipv4Addr::new(header[at], header[at + 1], header[at + 2], header[at + 3]);
    is_icmp.then_some((address(12), address(16), packet.get(length..)?))
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
    const US: [u8; 4] = [10, 0, 0, 1];
    const BACKEND: [u8; 4] = [10, 0, 0, 2];

    fn ip(source: [u8; 4], destination: [u8; 4], message: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, PROTOCOL_ICMP, 0, 0];
        packet.extend_from_slice(&source);
        packet.extend_from_slice(&destination);
        packet.extend_from_slice(message);
        packet
    }

    fn reply() -> Vec<u8> {
        let mut message = request(SECRET, 7, 65_543);
        message[0] = ECHO_REPLY;
        ip(BACKEND, US, &message)
    }

    fn unreachable(quoted: &[u8]) -> Vec<u8> {
        let mut message = vec![UNREACHABLE, 1, 0, 0, 0, 0, 0, 0];
        message.extend_from_slice(&ip(US, BACKEND, quoted));
        ip([10, 0, 0, 254], US, &message)
    }

    #[test]
    fn the_checksum_over_a_request_comes_to_nothing() {
        assert_eq!(checksum(&request(SECRET, 7, 65_543)), 0);
    }

    #[test]
    fn a_reply_is_known_by_identifier_and_secret() {
        let heard_reply = Heard::Reply { from: BACKEND.into(), sequence: 7, round: 65_543 };
        assert_eq!(heard(&reply(), SECRET), Some(heard_reply));
        for byte in [24, 25, 28, 35] {
            let mut other = reply();
            other[byte] ^= 1;
            assert_eq!(heard(&other, SECRET), None, "byte {byte} belongs to another process");
        }
        assert_eq!(heard(&ip(US, BACKEND, &request(SECRET, 7, 7)), SECRET), None, "a request is no reply");
    }

    #[test]
    fn an_error_is_known_by_the_first_bytes_of_what_it_quotes() {
        let request = request(SECRET, 7, 7);
        let expected = Some(Heard::Unreachable { to: BACKEND.into(), sequence: 7 });
        assert_eq!(heard(&unreachable(&request), SECRET), expected);
        assert_eq!(heard(&unreachable(&request[..8]), SECRET), expected);
        assert_eq!(heard(&unreachable(&request[..7]), SECRET), None);
        assert_eq!(heard(&unreachable(&request), Secret(1)), None);
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(heard(&bytes, SECRET), None);
        }

        #[test]
        fn no_cut_is_too_short(length in 0usize..44) {
            prop_assert_eq!(heard(&reply()[..length], SECRET), None);
        }
    }
}
