//! Frames described in words of their fields, written out with every checksum computed from nothing: the other
//! opinion about what the data path must produce.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address and a port.
pub type Address = (IpAddr, u16);

/// An IPv4 address.
pub const fn v4(octets: [u8; 4]) -> IpAddr {
    let [a, b, c, d] = octets;
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

/// An IPv6 address of the kind `fd00:NET::HOST`.
pub const fn v6(net: u16, host: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(0xfd00, net, 0, 0, 0, 0, 0, host))
}

/// The bytes of an address as they are in a header.
pub fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// TCP flags.
pub mod flag {
    pub const FIN: u8 = 0x01;
    pub const SYN: u8 = 0x02;
    pub const RST: u8 = 0x04;
    pub const ACK: u8 = 0x10;
}

/// An Ethernet frame with an IP packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    pub to_mac: [u8; 6],
    pub from_mac: [u8; 6],
    pub ether_type: u16,
    /// Type of service, or traffic class.
    pub tos: u8,
    /// Only IPv4.
    pub id: u16,
    /// Flags and offset, as in the header; only IPv4.
    pub fragment: u16,
    /// TTL, or hop limit.
    pub ttl: u8,
    pub from: IpAddr,
    pub to: IpAddr,
    /// Only IPv4: a multiple of four bytes, at most 40.
    pub options: Vec<u8>,
    /// Only IPv6: extension headers, each with its type and all but its first byte.
    pub extensions: Vec<(u8, Vec<u8>)>,
    pub body: Body,
    /// Bytes after the IP packet.
    pub padding: Vec<u8>,
}

/// What an IP packet carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    Tcp {
        from: u16,
        to: u16,
        seq: u32,
        ack: u32,
        flags: u8,
        window: u16,
        options: Vec<u8>,
        payload: Vec<u8>,
    },
    Udp {
        from: u16,
        to: u16,
        checksum: bool,
        payload: Vec<u8>,
    },
    /// Of either family.
    Icmp {
        type_: u8,
        code: u8,
        rest: [u8; 4],
        payload: Vec<u8>,
    },
    Other {
        protocol: u8,
        payload: Vec<u8>,
    },
}

/// A TCP segment.
pub fn tcp(from: Address, to: Address, flags: u8, payload: &[u8]) -> Frame {
    let body = Body::Tcp {
        from: from.1,
        to: to.1,
        seq: 0x1020_3040,
        ack: 0,
        flags,
        window: 64240,
        options: vec![],
        payload: payload.to_vec(),
    };
    Frame::new(from.0, to.0, body)
}

/// A UDP datagram.
pub fn udp(from: Address, to: Address, payload: &[u8]) -> Frame {
    let body = Body::Udp { from: from.1, to: to.1, checksum: true, payload: payload.to_vec() };
    Frame::new(from.0, to.0, body)
}

/// An ICMP message.
pub fn icmp(from: IpAddr, to: IpAddr, type_: u8, code: u8, rest: [u8; 4], payload: &[u8]) -> Frame {
    Frame::new(from, to, Body::Icmp { type_, code, rest, payload: payload.to_vec() })
}

impl Frame {
    /// A packet without options, padding or MAC addresses.
    pub fn new(from: IpAddr, to: IpAddr, body: Body) -> Self {
        Self {
            to_mac: [0; 6],
            from_mac: [0; 6],
            ether_type: if from.is_ipv4() { 0x0800 } else { 0x86dd },
            tos: 0,
            id: 0,
            fragment: 0x4000,
            ttl: 64,
            from,
            to,
            options: vec![],
            extensions: vec![],
            body,
            padding: vec![],
        }
    }

    /// The frame between two stations.
    pub fn macs(mut self, from: [u8; 6], to: [u8; 6]) -> Self {
        (self.from_mac, self.to_mac) = (from, to);
        self
    }

    /// With anything changed.
    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Under another sender, one hop further.
    pub fn renamed_source(self, (address, port): Address, from_mac: [u8; 6], to_mac: [u8; 6]) -> Self {
        self.macs(from_mac, to_mac).with(|frame| {
            frame.from = address;
            frame.ttl -= 1;
            match &mut frame.body {
                Body::Tcp { from, .. } | Body::Udp { from, .. } => *from = port,
                other => panic!("no port in {other:?}"),
            }
        })
    }

    /// Under another receiver, one hop further.
    pub fn renamed_destination(self, (address, port): Address, from_mac: [u8; 6], to_mac: [u8; 6]) -> Self {
        self.macs(from_mac, to_mac).with(|frame| {
            frame.to = address;
            frame.ttl -= 1;
            match &mut frame.body {
                Body::Tcp { to, .. } | Body::Udp { to, .. } => *to = port,
                other => panic!("no port in {other:?}"),
            }
        })
    }

    /// Under another sender and another receiver, one hop further.
    pub fn renamed(self, from: Address, to: Address, from_mac: [u8; 6], to_mac: [u8; 6]) -> Self {
        let frame = self.renamed_source(from, from_mac, to_mac).renamed_destination(to, from_mac, to_mac);
        frame.with(|frame| frame.ttl += 1)
    }

    /// The packet in parts that carry `len` bytes each, a multiple of eight, or what is left.
    pub fn parts(&self, id: u32, len: usize) -> Vec<Self> {
        let body = self.body.bytes(self.from, self.to);
        let part = |number: usize, bytes: &[u8]| {
            let (at, more) = ((number * len / 8) as u16, (number + 1) * len < body.len());
            self.clone().with(|frame| {
                frame.body = Body::Other { protocol: self.body.protocol(self.from), payload: bytes.to_vec() };
                if self.from.is_ipv4() {
                    frame.id = id as u16;
                    frame.fragment = at | u16::from(more) << 13;
                } else {
                    let at = (at << 3 | u16::from(more)).to_be_bytes();
                    frame.extensions.push((44, [&[0][..], &at, &id.to_be_bytes()].concat()));
                }
            })
        };
        body.chunks(len).enumerate().map(|(number, bytes)| part(number, bytes)).collect()
    }

    /// The frame as it is on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = [&self.to_mac[..], &self.from_mac, &self.ether_type.to_be_bytes()].concat();
        bytes.extend(self.packet());
        bytes.extend(&self.padding);
        bytes
    }

    /// The IP packet.
    pub fn packet(&self) -> Vec<u8> {
        match self.from {
            IpAddr::V4(_) => self.ipv4(),
            IpAddr::V6(_) => self.ipv6(),
        }
    }

    /// Bytes before what the packet carries.
    pub fn header_len(&self) -> usize {
        match self.from {
            IpAddr::V4(_) => 20 + self.options.len(),
            IpAddr::V6(_) => 40 + self.extensions.iter().map(|(_, rest)| 1 + rest.len()).sum::<usize>(),
        }
    }

    fn ipv4(&self) -> Vec<u8> {
        let body = self.body.bytes(self.from, self.to);
        let header_len = self.header_len();
        let mut header = vec![0x40 | (header_len / 4) as u8, self.tos];
        header.extend(((header_len + body.len()) as u16).to_be_bytes());
        header.extend(self.id.to_be_bytes());
        header.extend(self.fragment.to_be_bytes());
        header.extend([self.ttl, self.body.protocol(self.from), 0, 0]);
        header.extend(octets(self.from));
        header.extend(octets(self.to));
        header.extend(&self.options);
        let check = !sum(&header);
        header[10..12].copy_from_slice(&check.to_be_bytes());
        header.extend(body);
        header
    }

    fn ipv6(&self) -> Vec<u8> {
        let body = self.body.bytes(self.from, self.to);
        let payload_len = self.header_len() - 40 + body.len();
        let mut header = vec![0x60 | self.tos >> 4, self.tos << 4, 0, 0];
        header.extend((payload_len as u16).to_be_bytes());
        // Each header says what comes after it.
        let mut types: Vec<u8> = self.extensions.iter().map(|(type_, _)| *type_).collect();
        types.push(self.body.protocol(self.from));
        header.extend([types[0], self.ttl]);
        header.extend(octets(self.from));
        header.extend(octets(self.to));
        for ((_, rest), next) in self.extensions.iter().zip(&types[1..]) {
            header.push(*next);
            header.extend(rest);
        }
        header.extend(body);
        header
    }
}

impl Body {
    fn protocol(&self, from: IpAddr) -> u8 {
        match self {
            Self::Icmp { .. } if from.is_ipv4() => 1,
            Self::Icmp { .. } => 58,
            Self::Tcp { .. } => 6,
            Self::Udp { .. } => 17,
            Self::Other { protocol, .. } => *protocol,
        }
    }

    fn bytes(&self, source: IpAddr, destination: IpAddr) -> Vec<u8> {
        let mut bytes = vec![];
        let check_at = match self {
            Self::Tcp { from, to, seq, ack, flags, window, options, payload } => {
                bytes.extend(from.to_be_bytes());
                bytes.extend(to.to_be_bytes());
                bytes.extend(seq.to_be_bytes());
                bytes.extend(ack.to_be_bytes());
                bytes.extend([((20 + options.len()) / 4 * 16) as u8, *flags]);
                bytes.extend(window.to_be_bytes());
                bytes.extend([0; 4]);
                bytes.extend(options);
                bytes.extend(payload);
                16
            }
            Self::Udp { from, to, checksum, payload } => {
                bytes.extend(from.to_be_bytes());
                bytes.extend(to.to_be_bytes());
                bytes.extend((8 + payload.len() as u16).to_be_bytes());
                bytes.extend([0; 2]);
                bytes.extend(payload);
                if !checksum {
                    return bytes;
                }
                6
            }
            Self::Icmp { type_, code, rest, payload } => {
                bytes.extend([*type_, *code, 0, 0]);
                bytes.extend(rest);
                bytes.extend(payload);
                2
            }
            Self::Other { payload, .. } => return payload.clone(),
        };
        let protocol = self.protocol(source);
        let mut covered = vec![];
        // The pseudo header, which ICMP of IPv4 does not have.
        if protocol != 1 {
            covered.extend(octets(source));
            covered.extend(octets(destination));
            covered.extend([0, protocol]);
            covered.extend((bytes.len() as u16).to_be_bytes());
        }
        covered.extend(&bytes);
        let check = match !sum(&covered) {
            0 if protocol == 17 => 0xffff,
            check => check,
        };
        bytes[check_at..check_at + 2].copy_from_slice(&check.to_be_bytes());
        bytes
    }
}

/// One's complement sum of big-endian words (RFC 1071), an odd byte at the end counting as the upper half.
pub fn sum(bytes: &[u8]) -> u16 {
    let mut sum = 0u32;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
        if sum > 0xffff {
            sum -= 0xffff;
        }
    }
    sum as u16
}
