//! Reads a capture file (pcap, Ethernet) and verifies the checksums of every IPv4 and IPv6 packet in it: IP, TCP, UDP,
//! ICMP, each computed anew over all bytes. Refuses what it cannot verify.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context as _, ensure};

/// Bytes before the first record.
const HEADER: usize = 24;
/// Bytes of a record before its frame.
const RECORD: usize = 16;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const ICMP6: u8 = 58;

/// What a packet carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Payload {
    /// A segment, with its flags.
    Tcp(u8),
    /// A datagram.
    Udp,
    /// A message, of ICMPv6 too: type, code, and the bytes after the header.
    Icmp(u8, u8, Vec<u8>),
}

/// A packet whose checksums are right. Of ICMP the ports are zero.
#[derive(Clone, Debug)]
pub(crate) struct Packet {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    /// What IPv6 calls hop limit.
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
    let (ethernet, packet) = frame.split_at_checked(14).context("the Ethernet header is cut short")?;
    let ip = match ethernet[12..14] {
        [0x08, 0x00] => Ip::v4(packet)?,
        [0x86, 0xdd] => Ip::v6(packet)?,
        _ => anyhow::bail!("neither IPv4 nor IPv6"),
    };
    let body = ip.body;
    let (payload, least) = match ip.protocol {
        TCP => {
            ensure!(sum(&[&ip.pseudo, body]) == 0xffff, "wrong TCP checksum");
            (Payload::Tcp(*body.get(13).context("TCP is cut short")?), 20)
        }
        UDP => {
            ensure!(body.get(6..8) != Some(&[0, 0]), "UDP without a checksum, where all senders make one");
            ensure!(sum(&[&ip.pseudo, body]) == 0xffff, "wrong UDP checksum");
            let length = u16::try_from(body.len())?.to_be_bytes();
            ensure!(body.get(4..6) == Some(&length[..]), "wrong UDP length");
            (Payload::Udp, 8)
        }
        ICMP | ICMP6 => {
            let pseudo: &[u8] = if ip.protocol == ICMP { &[] } else { &ip.pseudo };
            ensure!((ip.protocol == ICMP) == ip.source.is_ipv4(), "ICMP of the other family");
            ensure!(sum(&[pseudo, body]) == 0xffff, "wrong ICMP checksum");
            let message = body.get(8..).context("ICMP is cut short")?;
            (Payload::Icmp(body[0], body[1], message.to_vec()), 8)
        }
        other => anyhow::bail!("protocol {other}"),
    };
    ensure!(body.len() >= least, "cut short");
    let has_ports = matches!(ip.protocol, TCP | UDP);
    let port = |at: usize| if has_ports { u16::from_be_bytes([body[at], body[at + 1]]) } else { 0 };
    Ok(Packet {
        source: SocketAddr::from((ip.source, port(0))),
        destination: SocketAddr::from((ip.destination, port(2))),
        ttl: ip.ttl,
        payload,
    })
}

/// What an IP header says, and what comes behind it.
struct Ip<'a> {
    source: IpAddr,
    destination: IpAddr,
    ttl: u8,
    protocol: u8,
    /// What checksums above IP also cover.
    pseudo: Vec<u8>,
    body: &'a [u8],
}

impl<'a> Ip<'a> {
    fn v4(packet: &'a [u8]) -> anyhow::Result<Ip<'a>> {
        ensure!(packet.len() >= 20, "the IP header is cut short");
        ensure!(packet[0] >> 4 == 4, "not IPv4");
        let total = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
        // Short frames have padding after the packet.
        let packet = packet.get(..total).context("IP says that it is longer")?;
        let length = usize::from(packet[0] & 0xf) * 4;
        let (header, body) = packet.split_at_checked(length).context("the IP header is cut short")?;
        ensure!(sum(&[header]) == 0xffff, "wrong IP checksum");
        ensure!(u16::from_be_bytes([header[6], header[7]]) & 0x3fff == 0, "a fragment");
        let (source, destination): ([u8; 4], [u8; 4]) =
            (header[12..16].try_into()?, header[16..20].try_into()?);
        let protocol = header[9];
        let length = u16::try_from(body.len())?.to_be_bytes();
        Ok(Ip {
            source: Ipv4Addr::from(source).into(),
            destination: Ipv4Addr::from(destination).into(),
            ttl: header[8],
            protocol,
            pseudo: [&source[..], &destination, &[0, protocol], &length].concat(),
            body,
        })
    }

    fn v6(packet: &'a [u8]) -> anyhow::Result<Ip<'a>> {
        let (header, body) = packet.split_at_checked(40).context("the IPv6 header is cut short")?;
        ensure!(header[0] >> 4 == 6, "not IPv6");
        let length = u16::from_be_bytes([header[4], header[5]]);
        let body = body.get(..usize::from(length)).context("IPv6 says that it is longer")?;
        let (source, destination): ([u8; 16], [u8; 16]) =
            (header[8..24].try_into()?, header[24..40].try_into()?);
        // An extension header, a fragment's as well, is none of the protocols that can be verified.
        let protocol = header[6];
        Ok(Ip {
            source: Ipv6Addr::from(source).into(),
            destination: Ipv6Addr::from(destination).into(),
            ttl: header[7],
            protocol,
            pseudo: [&source[..], &destination, &u32::from(length).to_be_bytes(), &[0, 0, 0, protocol]]
                .concat(),
            body,
        })
    }
}

/// The ones' complement sum (RFC 1071) over everything, the checksum field included: 0xffff if that is right. All but
/// the last part have an even length.
fn sum(parts: &[&[u8]]) -> u16 {
    let pairs = parts.iter().flat_map(|part| part.chunks(2));
    let total: u32 = pairs.map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    let folded = (total & 0xffff) + (total >> 16);
    ((folded & 0xffff) + (folded >> 16)) as u16
}
