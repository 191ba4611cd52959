//! Reads a capture file (pcap, Ethernet) and verifies the checksums of every IPv4 packet in it: IP, TCP, UDP, ICMP,
//! each computed anew over all bytes. Refuses what it cannot verify.

use std::net::{Ipv4Addr, SocketAddrV4};

use anyhow::{Context as _, ensure};

/// Bytes before the first record.
const HEADER: usize = 24;
/// Bytes of a record before its frame.
const RECORD: usize = 16;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;

/// What a packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// A segment, with its flags.
    Tcp(u8),
    /// A datagram.
    Udp,
    /// A message: type, code, and the bytes after the header.
    Icmp(u8, u8, Vec<u8>),
}

/// A packet whose checksums are right. Of ICMP the ports are zero.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) source: SocketAddrV4,
    pub(crate) destination: SocketAddrV4,
    pub(crate) ttl: u8,
    pub(crate) payload: Payload,
}

/// The packets of a capture file; none if it has not even begun.
pub(crate) fn read(file: &[u8]) -> anyhow::Result<Vec<Packet>> {
    let Some((header, mut rest)) = file.split_at_checked(HEADER) else { return Ok(Vec::new()) };
    ensure!(header[..4] == 0xa1b2_c3d4_u32.to_ne_bytes(), "not a capture of this machine");
    ensure!(header[20..24] == 1_u32.to_ne_bytes(), "not of Ethernet");
    let mut packets = Vec::new();
    while !rest.is_empty() {
        let (record, after) = rest.split_at_checked(RECORD).context("a record is cut short")?;
        let (captured, length) = (word(record, 8), word(record, 12));
        ensure!(captured == length, "a frame is cut short: {captured} of {length} bytes");
        let (frame, after) = after.split_at_checked(captured).context("the last frame is cut short")?;
        rest = after;
        let number = packets.len();
        packets.push(packet(frame).with_context(|| format!("packet {number}: {frame:02x?}"))?);
    }
    Ok(packets)
}

/// The part of a file in the making that ends with a whole record.
pub(crate) fn whole(file: &[u8]) -> &[u8] {
    let mut end = HEADER;
    while let Some(record) = file.get(end..end + RECORD) {
        let next = end + RECORD + word(record, 8);
        if next > file.len() {
            break;
        }
        end = next;
    }
    file.get(..end).unwrap_or_default()
}

fn word(bytes: &[u8], at: usize) -> usize {
    let word: [u8; 4] = bytes[at..at + 4].try_into().unwrap_or_default();
    u32::from_ne_bytes(word) as usize
}

fn packet(frame: &[u8]) -> anyhow::Result<Packet> {
    let ip = ipv4(frame).context("not IPv4")?;
    let header_length = usize::from(ip[0] & 0xf) * 4;
    let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
    // Short frames have padding after the packet.
    let ip = ip.get(..total).context("IP says that it is longer")?;
    let (header, body) = ip.split_at_checked(header_length).context("the IP header is cut short")?;
    ensure!(sum(&[header]) == 0xffff, "wrong IP checksum");
    ensure!(u16::from_be_bytes([header[6], header[7]]) & 0x3fff == 0, "a fragment");
    let (source, destination) = (address(&header[12..16]), address(&header[16..20]));
    let protocol = header[9];
    let length = u16::try_from(body.len())?.to_be_bytes();
    let pseudo = [&header[12..20], &[0, protocol], &length].concat();
    let (payload, least) = match protocol {
        TCP => {
            ensure!(sum(&[&pseudo, body]) == 0xffff, "wrong TCP checksum");
            (Payload::Tcp(*body.get(13).context("TCP is cut short")?), 20)
        }
        UDP => {
            ensure!(body.get(6..8) != Some(&[0, 0]), "UDP without a checksum, where all senders make one");
            ensure!(sum(&[&pseudo, body]) == 0xffff, "wrong UDP checksum");
            ensure!(body.get(4..6) == Some(&length[..]), "wrong UDP length");
            (Payload::Udp, 8)
        }
        ICMP => {
            ensure!(sum(&[body]) == 0xffff, "wrong ICMP checksum");
            let message = body.get(8..).context("ICMP is cut short")?;
            (Payload::Icmp(body[0], body[1], message.to_vec()), 8)
        }
        other => anyhow::bail!("protocol {other}"),
    };
    ensure!(body.len() >= least, "cut short");
    let port = |at: usize| if protocol == ICMP { 0 } else { u16::from_be_bytes([body[at], body[at + 1]]) };
    Ok(Packet {
        source: SocketAddrV4::new(source, port(0)),
        destination: SocketAddrV4::new(destination, port(2)),
        ttl: header[8],
        payload,
    })
}

/// What follows the Ethernet header of an IPv4 packet.
fn ipv4(frame: &[u8]) -> Option<&[u8]> {
    let (header, rest) = frame.split_at_checked(14)?;
    (header[12..14] == [8, 0] && rest.len() >= 20).then_some(rest)
}

fn address(bytes: &[u8]) -> Ipv4Addr {
    Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3])
}

/// The ones' complement sum (RFC 1071) over everything, the checksum field included: 0xffff if that is right. All but
/// the last part have an even length.
fn sum(parts: &[&[u8]]) -> u16 {
    let pairs = parts.iter().flat_map(|part| part.chunks(2));
    let total: u32 = pairs.map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    let folded = (total & 0xffff) + (total >> 16);
    ((folded & 0xffff) + (folded >> 16)) as u16
}
