//! ARP for IPv4 over Ethernet as bytes: the frames that ask for and announce an address, and who claims which
//! address in a frame that arrived. No sockets here.

use std::net::Ipv4Addr;

use super::Mac;

/// Ethernet header (14) and ARP for IPv4 over Ethernet (28), in bytes.
pub(super) const FRAME: usize = 42;

const BROADCAST: Mac = Mac([0xff; 6]);
const UNKNOWN: Mac = Mac([0; 6]);
/// EtherType ARP, hardware type Ethernet, protocol IPv4, and the lengths of their addresses.
const FIXED: [u8; 8] = [0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4];
const REQUEST: [u8; 2] = [0, 1];
const REPLY: [u8; 2] = [0, 2];

/// One side of an ARP packet.
type Party = (Mac, Ipv4Addr);

/// Asks whether somebody has `address`, without claiming it (RFC 5227 2.1.1).
pub(super) fn probe(from: Mac, address: Ipv4Addr) -> [u8; FRAME] {
    frame(REQUEST, (from, Ipv4Addr::UNSPECIFIED), (UNKNOWN, address))
}

/// Tells everybody that `address` is at `mac` (RFC 5227 2.3).
pub(super) fn announcement(mac: Mac, address: Ipv4Addr) -> [u8; FRAME] {
    frame(REQUEST, (mac, address), (UNKNOWN, address))
}

/// The same as a reply nobody asked for: some stacks only learn from that. Linux wants both MACs in it alike.
pub(super) fn unsolicited_reply(mac: Mac, address: Ipv4Addr) -> [u8; FRAME] {
    frame(REPLY, (mac, address), (mac, address))
}

/// The address that the sender of a frame has or is about to take, and the sender. None if it is no valid ARP, or
/// a question about somebody else's address.
pub(super) fn claim(frame: &[u8]) -> Option<(Ipv4Addr, Mac)> {
    let packet = frame.get(12..FRAME)?;
    let (fixed, packet) = packet.split_first_chunk::<8>()?;
    let (operation, packet) = packet.split_first_chunk::<2>()?;
    let (sender_mac, packet) = packet.split_first_chunk::<6>()?;
    let (sender, packet) = packet.split_first_chunk::<4>()?;
    let (_target_mac, packet) = packet.split_first_chunk::<6>()?;
    let target = packet.first_chunk::<4>()?;
    if *fixed != FIXED || ![REQUEST, REPLY].contains(operation) {
        return None;
    }
    let (sender, target) = (Ipv4Addr::from(*sender), Ipv4Addr::from(*target));
    match (sender.is_unspecified(), *operation) {
        (false, _) => Some((sender, Mac(*sender_mac))),
        // A probe: its sender wants the address itself.
        (true, REQUEST) => Some((target, Mac(*sender_mac))),
        (true, _) => None,
    }
}

fn frame(operation: [u8; 2], sender: Party, target: Party) -> [u8; FRAME] {
    let mut frame = [0; FRAME];
    let parts: [&[u8]; 8] = [
        &BROADCAST.0,
        &sender.0.0,
        &FIXED,
        &operation,
        &sender.0.0,
        &sender.1.octets(),
        &target.0.0,
        &target.1.octets(),
    ];
    for (slot, byte) in frame.iter_mut().zip(parts.into_iter().flatten()) {
        *slot = *byte;
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: Mac = Mac([2, 1, 2, 3, 4, 5]);
    const VIP: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 100);

    #[test]
    fn frames_byte_by_byte() {
        let probe_bytes = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 1, 2, 3, 4, 5, 8, 6, // Ethernet
            0, 1, 8, 0, 6, 4, 0, 1, // request
            2, 1, 2, 3, 4, 5, 0, 0, 0, 0, // sender
            0, 0, 0, 0, 0, 0, 192, 0, 2, 100, // target
        ];
        assert_eq!(probe(MAC, VIP), probe_bytes);
        let mut announcement_bytes = probe_bytes;
        announcement_bytes[28..32].copy_from_slice(&VIP.octets());
        assert_eq!(announcement(MAC, VIP), announcement_bytes);
        let mut reply_bytes = announcement_bytes;
        reply_bytes[21] = 2;
        reply_bytes[32..38].copy_from_slice(&MAC.0);
        assert_eq!(unsolicited_reply(MAC, VIP), reply_bytes);
    }

    #[test]
    fn who_claims_what() {
        let other = Ipv4Addr::new(192, 0, 2, 7);
        for frame in [probe(MAC, VIP), announcement(MAC, VIP), unsolicited_reply(MAC, VIP)] {
            assert_eq!(claim(&frame), Some((VIP, MAC)));
        }
        let question = frame(REQUEST, (MAC, other), (UNKNOWN, VIP));
        assert_eq!(claim(&question), Some((other, MAC)), "asking for the VIP is no claim to it");
        let odd_reply = frame(REPLY, (MAC, Ipv4Addr::UNSPECIFIED), (MAC, VIP));
        assert_eq!(claim(&odd_reply), None);
    }

    #[test]
    fn anything_else_claims_nothing() {
        let valid = announcement(MAC, VIP);
        for length in 0..FRAME {
            assert_eq!(claim(&valid[..length]), None, "cut to {length} bytes");
        }
        for position in 12..22 {
            let mut frame = valid;
            frame[position] ^= 0x40;
            assert_eq!(claim(&frame), None, "byte {position} changed");
        }
        let mut padded = [0; 60];
        padded[..FRAME].copy_from_slice(&valid);
        assert_eq!(claim(&padded), Some((VIP, MAC)));
    }

    proptest! {
        #[test]
        fn no_bytes_are_a_surprise(frame in proptest::collection::vec(any::<u8>(), 0..100)) {
            let _ = claim(&frame);
        }
    }
}
