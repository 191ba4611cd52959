//! Neighbour discovery for IPv6 over Ethernet as bytes: the frames that ask for and announce an address, and who
//! claims which address in a frame that arrived. No sockets here.

use std::net::Ipv6Addr;

use super::Mac;

/// Length of [`probe`], in bytes: Ethernet header, IPv6 header, solicitation without options.
const PROBE: usize = ICMP + SOLICITATION;
/// Length of [`announcement`], in bytes: the same with one option.
const ANNOUNCEMENT: usize = PROBE + OPTION;

/// Where the IPv6 header begins in a frame.
const IP: usize = 14;
/// Where the ICMPv6 message begins.
const ICMP: usize = IP + 40;
/// Length of a solicitation or advertisement without options.
const SOLICITATION: usize = 24;
/// Length of the option with a MAC address.
const OPTION: usize = 8;

/// The next header that stands for ICMPv6.
pub(super) const ICMPV6: u8 = 58;
/// Types of ICMPv6 messages.
pub(super) const NEIGHBOUR_SOLICITATION: u8 = 135;
pub(super) const NEIGHBOUR_ADVERTISEMENT: u8 = 136;

/// Neighbour discovery comes with this hop limit, which no packet from beyond the link can have.
const HOP_LIMIT: u8 = 255;
const SOURCE_MAC: u8 = 1;
const TARGET_MAC: u8 = 2;
/// The sender is a router, as the kernel's own advertisements of this host say (a host that uses it as one would
/// drop it otherwise); and the MAC address in the message replaces the one known before.
const ROUTER_AND_OVERRIDE: u8 = 0xa0;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// Asks whether somebody has `address`, without claiming it (RFC 4862 5.4.2).
pub(super) fn probe(from: Mac, address: Ipv6Addr) -> [u8; PROBE] {
    let parties = (Ipv6Addr::UNSPECIFIED, solicited_node(address));
    frame(from, parties, [NEIGHBOUR_SOLICITATION, 0], address, &[])
}

/// Tells everybody that `address` is at `mac` (RFC 4861 7.2.6).
pub(super) fn announcement(mac: Mac, address: Ipv6Addr) -> [u8; ANNOUNCEMENT] {
    let [a, b, c, d, e, f] = mac.0;
    let option = [TARGET_MAC, 1, a, b, c, d, e, f];
    frame(mac, (address, ALL_NODES), [NEIGHBOUR_ADVERTISEMENT, ROUTER_AND_OVERRIDE], address, &option)
}

/// The group that whoever has `address` listens to (RFC 4291 2.7.1).
pub(super) fn solicited_node(address: Ipv6Addr) -> Ipv6Addr {
    let [.., high, low] = address.segments();
    Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | (high & 0xff), low)
}

/// The address that the sender of a frame has or is about to take, and the sender. None if it is no valid neighbour
/// discovery, or a question about somebody else's address by nobody in particular.
pub(super) fn claim(frame: &[u8]) -> Option<(Ipv6Addr, Mac)> {
    let (ethernet, packet) = frame.split_first_chunk::<IP>()?;
    let [_, _, _, _, _, _, mac @ .., 0x86, 0xdd] = *ethernet else { return None };
    let (header, rest) = packet.split_first_chunk::<40>()?;
    let length = usize::from(u16::from_be_bytes([header[4], header[5]]));
    let message = rest.get(..length)?;
    let (source, destination) = (address(&header[8..24])?, address(&header[24..40])?);
    let (fixed, options) = message.split_first_chunk::<SOLICITATION>()?;
    let target = address(&fixed[8..])?;
    let valid = header[0] >> 4 == 6
        && header[6] == ICMPV6
        && header[7] == HOP_LIMIT
        && fixed[1] == 0
        && !target.is_multicast()
        && checksum(source, destination, message) == 0;
    if !valid {
        return None;
    }
    let (claimed, option) = match (fixed[0], source.is_unspecified()) {
        (NEIGHBOUR_ADVERTISEMENT, false) => (target, TARGET_MAC),
        (NEIGHBOUR_SOLICITATION, false) => (source, SOURCE_MAC),
        // A probe: its sender wants the address itself.
        (NEIGHBOUR_SOLICITATION, true) => (target, SOURCE_MAC),
        _ => return None,
    };
    Some((claimed, mac_option(options, option)?.unwrap_or(Mac(mac))))
}

/// The MAC address among a message's options. None if they are none.
fn mac_option(mut options: &[u8], wanted: u8) -> Option<Option<Mac>> {
    let mut found = None;
    while let [kind, length, ..] = *options {
        let (option, rest) = options.split_at_checked(usize::from(length) * OPTION)?;
        if let (true, [_, _, mac @ ..]) = (kind == wanted, option) {
            found = found.or(mac.first_chunk::<6>().map(|mac| Mac(*mac)));
        }
        if length == 0 {
            return None;
        }
        options = rest;
    }
    options.is_empty().then_some(found)
}

fn frame<const LENGTH: usize>(
    from: Mac,
    (source, destination): (Ipv6Addr, Ipv6Addr),
    [kind, flags]: [u8; 2],
    target: Ipv6Addr,
    option: &[u8],
) -> [u8; LENGTH] {
    let mut message = vec![kind, 0, 0, 0, flags, 0, 0, 0];
    message.extend_from_slice(&target.octets());
    message.extend_from_slice(option);
    let sum = checksum(source, destination, &message).to_be_bytes();
    message[2..4].copy_from_slice(&sum);

    let [.., a, b, c, d] = destination.octets();
    let length = (message.len() as u16).to_be_bytes();
    let parts: [&[u8]; 9] = [
        &[0x33, 0x33, a, b, c, d],
        &from.0,
        &[0x86, 0xdd],
        &[0x60, 0, 0, 0],
        &length,
        &[ICMPV6, HOP_LIMIT],
        &source.octets(),
        &destination.octets(),
        &message,
    ];
    let mut frame = [0; LENGTH];
    for (slot, byte) in frame.iter_mut().zip(parts.into_iter().flatten()) {
        *slot = *byte;
    }
    frame
}

/// The checksum of an ICMPv6 message (RFC 4443 2.3); zero over one that holds its own.
fn checksum(source: Ipv6Addr, destination: Ipv6Addr, message: &[u8]) -> u16 {
    let pseudo = source.segments().into_iter().chain(destination.segments()).map(u32::from);
    let words = message.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let sum = pseudo.chain(words).sum::<u32>() + message.len() as u32 + u32::from(ICMPV6);
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

fn address(bytes: &[u8]) -> Option<Ipv6Addr> {
    bytes.first_chunk::<16>().map(|octets| Ipv6Addr::from(*octets))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: Mac = Mac([2, 1, 2, 3, 4, 5]);
    const VIP: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0x12, 0x3456);
    const OTHER: Ipv6Addr = Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 7);

    #[test]
    fn frames_byte_by_byte() {
        let frame = probe(MAC, VIP);
        let ethernet = [0x33, 0x33, 0xff, 0x12, 0x34, 0x56, 2, 1, 2, 3, 4, 5, 0x86, 0xdd];
        assert_eq!(frame[..14], ethernet);
        assert_eq!(frame[14..22], [0x60, 0, 0, 0, 0, 24, 58, 255]);
        assert_eq!(frame[22..38], [0; 16]);
        assert_eq!(frame[38..54], [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0x12, 0x34, 0x56]);
        assert_eq!((frame[54], frame[55], &frame[58..62]), (135, 0, &[0; 4][..]));
        assert_eq!(frame[62..], VIP.octets());

        let frame = announcement(MAC, VIP);
        let ethernet = [0x33, 0x33, 0, 0, 0, 1, 2, 1, 2, 3, 4, 5, 0x86, 0xdd];
        assert_eq!(frame[..14], ethernet);
        assert_eq!(frame[14..22], [0x60, 0, 0, 0, 0, 32, 58, 255]);
        assert_eq!((&frame[22..38], &frame[38..54]), (&VIP.octets()[..], &ALL_NODES.octets()[..]));
        assert_eq!((frame[54], frame[55], &frame[58..62]), (136, 0, &[0xa0, 0, 0, 0][..]));
        assert_eq!(frame[62..78], VIP.octets());
        assert_eq!(frame[78..], [2, 1, 2, 1, 2, 3, 4, 5]);
    }

    /// A solicitation from fe80::1 for fe80::2 as Linux sent it.
    #[test]
    fn the_checksum_is_that_of_others() {
        let from: Ipv6Addr = "fe80::1".parse().unwrap();
        let message = [
            135, 0, 0x7a, 0x97, 0, 0, 0, 0, 0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 1, 1, 2, 0,
            0, 0, 0, 1,
        ];
        let to = solicited_node("fe80::2".parse().unwrap());
        assert_eq!(checksum(from, to, &message), 0);
    }

    #[test]
    fn who_claims_what() {
        assert_eq!(claim(&probe(MAC, VIP)), Some((VIP, MAC)));
        assert_eq!(claim(&announcement(MAC, VIP)), Some((VIP, MAC)));
        let own = [SOURCE_MAC, 1, 2, 9, 9, 9, 9, 9];
        let question: [u8; ANNOUNCEMENT] =
            frame(MAC, (OTHER, solicited_node(VIP)), [NEIGHBOUR_SOLICITATION, 0], VIP, &own);
        let asker = Mac([2, 9, 9, 9, 9, 9]);
        assert_eq!(claim(&question), Some((OTHER, asker)), "asking for the VIP is no claim to it");
        let silent: [u8; PROBE] = frame(MAC, (VIP, ALL_NODES), [NEIGHBOUR_ADVERTISEMENT, 0], VIP, &[]);
        assert_eq!(claim(&silent), Some((VIP, MAC)), "without the option it is the frame's sender");
        let nobody = (Ipv6Addr::UNSPECIFIED, ALL_NODES);
        let odd: [u8; PROBE] = frame(MAC, nobody, [NEIGHBOUR_ADVERTISEMENT, 0], VIP, &[]);
        assert_eq!(claim(&odd), None);
    }

    #[test]
    fn anything_else_claims_nothing() {
        let valid = announcement(MAC, VIP);
        for length in 0..ANNOUNCEMENT {
            assert_eq!(claim(&valid[..length]), None, "cut to {length} bytes");
        }
        // The flow label and the traffic class do not matter.
        for position in (12..15).chain(18..ANNOUNCEMENT) {
            let mut frame = valid;
            frame[position] ^= 0x40;
            assert_eq!(claim(&frame), None, "byte {position} changed");
        }
        for option in [[TARGET_MAC, 0, 0, 0, 0, 0, 0, 0], [TARGET_MAC, 2, 0, 0, 0, 0, 0, 0]] {
            let frame: [u8; ANNOUNCEMENT] =
                frame(MAC, (VIP, ALL_NODES), [NEIGHBOUR_ADVERTISEMENT, 0], VIP, &option);
            assert_eq!(claim(&frame), None, "{option:?} is no option");
        }
        let mut padded = [0; 100];
        padded[..ANNOUNCEMENT].copy_from_slice(&valid);
        assert_eq!(claim(&padded), Some((VIP, MAC)));
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_surprise(
            bytes in proptest::collection::vec(any::<u8>(), 0..100),
            options in proptest::collection::vec(any::<u8>(), 0..40),
        ) {
            let _ = claim(&bytes);
            let _ = mac_option(&options, SOURCE_MAC);
        }
    }
}
