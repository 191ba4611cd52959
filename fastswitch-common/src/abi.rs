//! Shapes of the map keys and values. Addresses and ports are big-endian byte arrays, as on the wire; other
//! numbers are native. Padding is explicit and zero, there are no bools and no enums: every bit pattern is valid.
//!
//! A change of any shape changes [`LAYOUT`]; the test `layout_belongs_to_abi` then asks for a new [`ABI`].

mod info;
pub mod map;
mod traffic;

use core::net::SocketAddr;

pub use info::{BackendInfo, InterfaceInfo, ServiceInfo, cause, place, tier};
pub use traffic::{BackendTraffic, Traffic, Verdict, WATCHED};

use crate::{
    address::Address,
    connection::Connection,
    flow::{Direction, MAX_SOURCES, Source, SourceRange, Translation},
    local::{PEERS_KEPT, Peer},
    packet::Macs,
    reason::REASONS,
};

/// First word of the meta map: `fsw1`.
pub const MAGIC: u32 = 0x6673_7731;
/// Number of this set of shapes; part of the pin directory's name.
pub const ABI: u32 = 3;

/// Services that fit (slots of the per-service arrays).
pub const MAX_SERVICES: u32 = 2048;
/// Backends that fit in a service.
pub const MAX_BACKENDS: u32 = 16;
/// Gateway ports (interfaces) that fit.
pub const MAX_PORTS: u32 = 64;
/// Clients, and direct flows, that the program remembers; when full, the one unused for longest goes.
pub const CLIENTS_KEPT: u32 = 1 << 16;
/// Established connections that the program remembers; when full, the one looked up least recently goes.
pub const CONNECTIONS_KEPT: u32 = 1 << 17;
/// Fragmented packets that the program remembers; when full, the one unused for longest goes.
pub const FRAGMENTS_KEPT: u32 = 1 << 12;
/// Bytes kept of a name.
pub const NAME_LEN: usize = 48;
/// Slot of the counters of packets that belong to no service.
pub const NO_SERVICE: u32 = MAX_SERVICES;

/// No index into the arrays by backend.
pub const NO_ROW: u32 = u32::MAX;

/// Marks types whose every byte is initialised and whose every bit pattern is valid.
///
/// # Safety
/// The type is `repr(C)`, has no implicit padding, no pointers, bools or enums.
pub unsafe trait Plain: Copy + 'static {}

/// Parts of the program that its entry point jumps to.
pub mod program {
    /// Goes on with IPv6.
    pub const IPV6: u32 = 0;
    /// Goes on with what is no segment.
    pub const OTHER: u32 = 1;
    /// Goes on with segments to and from services in mode `full_nat`.
    pub const FULL_NAT: u32 = 2;
    /// Begins flows for [`FULL_NAT`], which goes on.
    pub const ATTEMPT: u32 = 3;
    /// Goes on with ICMP errors.
    pub const ICMP_ERROR: u32 = 4;
    /// Goes on with parts of fragmented packets.
    pub const FRAGMENT: u32 = 5;
    /// Turns packets that are not sent on into answers to their senders.
    pub const ANSWER: u32 = 6;
    /// How many there are.
    pub const COUNT: u32 = 7;
    /// Their names in the object, by number.
    pub const NAMES: [&str; COUNT as usize] = [
        "fastswitch_ipv6",
        "fastswitch_other",
        "fastswitch_full_nat",
        "fastswitch_attempt",
        "fastswitch_icmp_error",
        "fastswitch_fragment",
        "fastswitch_answer",
    ];
}

/// IANA protocol numbers that appear in keys.
pub mod protocol {
    /// ICMP; an [`super::Endpoint`] with it and port 0 stands for a VIP's echo, in either family.
    pub const ICMP: u8 = 1;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// ICMP of IPv6.
    pub const ICMPV6: u8 = 58;
}

/// Values of [`Service::on_outage`].
pub mod on_outage {
    /// TCP reset or ICMP port unreachable.
    pub const REJECT: u8 = 0;
    /// Silence.
    pub const DROP: u8 = 1;
}

/// Values of [`Service::mode`]: how packets reach a backend.
pub mod mode {
    /// Under the backend's address; replies come back through the gateway.
    pub const NAT: u8 = 0;
    /// Under the VIP, which the backend holds too; only the MAC addresses change.
    pub const DSR: u8 = 1;
    /// From an address of the gateway's to the backend's, so that replies come back through the gateway wherever the
    /// backend is.
    pub const FULL_NAT: u8 = 2;
}

/// Says which program made the pins.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Meta {
    /// [`MAGIC`].
    pub magic: u32,
    /// [`ABI`].
    pub abi: u32,
    /// [`LAYOUT`].
    pub layout: [u16; 22],
    /// Process id of the daemon that wrote this last; a hint for messages, the lock decides.
    pub daemon_pid: u32,
    /// Version of the daemon that wrote this last, and so loaded the program: major, minor, patch, zero.
    pub version: [u8; 4],
}

/// An address, port and protocol: a VIP, a backend, or one end of a flow.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Endpoint {
    /// IP address.
    pub address: Address,
    /// In memory: the port, big-endian; one of [`protocol`]; zero.
    service: u32,
}

/// What a VIP endpoint stands for.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Service {
    /// Slot in the per-service arrays.
    pub slot: u32,
    /// One of [`on_outage`].
    pub on_outage: u8,
    /// One of [`mode`].
    pub mode: u8,
    /// Zero.
    pub _pad: [u8; 2],
}

/// What a backend endpoint answers for: the key to rewriting replies. In mode `dsr` backends answer as the VIP itself,
/// which is the endpoint then; in mode `full_nat` for whom is up to the flow.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Origin {
    /// Slot of the service; [`NO_SERVICE`] in mode `full_nat`.
    pub slot: u32,
    /// The VIP that clients know; [`Endpoint::NONE`] in mode `full_nat`.
    pub vip: Endpoint,
    /// The backend's row, or [`NO_ROW`] if it may be any of the service's.
    pub row: u32,
}

/// A backend. Its endpoint is written before a switch word names the row and stays while one does; the words after it
/// may change at any time, each by one store.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Backend {
    /// Where it serves; [`Endpoint::NONE`]: the row is not in use.
    pub endpoint: Endpoint,
    /// What it is spoken to from in mode `full_nat`; may change at any time.
    pub sources: SourceRange,
    /// A [`crate::word::NextHopWord`].
    pub next_hop: u64,
}

/// An interface of the gateway that packets leave by.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Port {
    /// Interface index; 0: unused.
    pub ifindex: u32,
    /// The interface's own MAC address.
    pub mac: [u8; 6],
    /// Length in bytes of the largest IP packet that the way out takes.
    pub mtu: u16,
}

/// A flow between a client and a backend's own address, or a VIP.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Flow {
    /// The client.
    pub client: Endpoint,
    /// What it speaks to.
    pub server: Endpoint,
}

/// What the parts of a fragmented packet have in common (RFC 791, 3.2; RFC 8200, 4.5).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragmented {
    /// Who sends it.
    pub source: Address,
    /// Whom it is for.
    pub destination: Address,
    /// Identification, in memory as on the wire; IPv4's are the first two bytes.
    pub id: u32,
    /// What IPv4 says that it carries; 0 in IPv6, which does not count it.
    pub protocol: u32,
}

/// Between which ports a fragmented packet goes.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ports {
    /// Of the sender, as on the wire.
    pub source: [u8; 2],
    /// Of the receiver, as on the wire.
    pub destination: [u8; 2],
    /// One of [`protocol`].
    pub protocol: u8,
    /// Zero.
    pub _pad: [u8; 3],
}

/// How a client was last reached by: the reverse of the way its packet came.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hop {
    /// Interface index.
    pub ifindex: u32,
    /// MAC addresses of the neighbour and of the gateway's interface.
    pub macs: Macs,
}

/// The answer that a packet's sender is due.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Due {
    /// Slot of the service.
    pub slot: u32,
    /// Row of the backend, or [`NO_ROW`].
    pub row: u32,
    /// Number of the [`crate::reason::Reason`].
    pub reason: u32,
    /// Of a packet that is too big: bytes that fit.
    pub mtu: u16,
    /// Where its TCP or UDP header is.
    pub header: u16,
    /// 1 if it is IPv4.
    pub is_v4: u32,
}

/// Counters of a service on one CPU. What every packet touches lies close together.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counters {
    /// Bytes of packets sent to backends, Ethernet header included.
    pub bytes_forwarded: u64,
    /// Bytes of backends' packets sent to clients, Ethernet header included.
    pub bytes_replied: u64,
    /// Packets by [`crate::reason::Reason`] number.
    pub packets: [u64; REASONS],
}

// SAFETY: repr(C), explicit padding (the const asserts below), only integers and byte arrays.
unsafe impl Plain for Meta {}
// SAFETY: integers.
unsafe impl Plain for u8 {}
// SAFETY: as above.
unsafe impl Plain for u32 {}
// SAFETY: as `Meta`.
unsafe impl Plain for Address {}
// SAFETY: as above.
unsafe impl Plain for Endpoint {}
// SAFETY: as above.
unsafe impl Plain for Service {}
// SAFETY: as above.
unsafe impl Plain for Origin {}
// SAFETY: as above.
unsafe impl Plain for Backend {}
// SAFETY: as above.
unsafe impl Plain for Port {}
// SAFETY: as above.
unsafe impl Plain for Flow {}
// SAFETY: as above.
unsafe impl Plain for Fragmented {}
// SAFETY: as above.
unsafe impl Plain for Ports {}
// SAFETY: as above.
unsafe impl Plain for Hop {}
// SAFETY: as above.
unsafe impl Plain for Due {}
// SAFETY: as above.
unsafe impl Plain for Counters {}

const fn size<T>() -> u16 {
    let size = core::mem::size_of::<T>();
    assert!(size <= u16::MAX as usize);
    size as u16
}

/// Sizes and dimensions that a program and its maps must agree on.
pub const LAYOUT: [u16; 22] = [
    size::<Endpoint>(),
    size::<Service>(),
    size::<Origin>(),
    size::<Backend>(),
    size::<Port>(),
    size::<Flow>(),
    size::<Connection>(),
    size::<Hop>(),
    size::<Counters>(),
    size::<BackendTraffic>(),
    size::<ServiceInfo>(),
    size::<BackendInfo>(),
    size::<InterfaceInfo>(),
    size::<Direction>(),
    size::<Translation>(),
    size::<Source>(),
    size::<Peer>(),
    MAX_SERVICES as u16,
    MAX_BACKENDS as u16,
    MAX_SOURCES as u16,
    MAX_PORTS as u16,
    PEERS_KEPT as u16,
];

const _: () = {
    assert!(size::<Meta>() == 60);
    assert!(size::<Address>() == 16);
    assert!(size::<Endpoint>() == 20);
    assert!(size::<Service>() == 8);
    assert!(size::<Origin>() == 28);
    assert!(size::<Backend>() == 32);
    assert!(size::<Port>() == 12);
    assert!(size::<Flow>() == 40);
    assert!(size::<Fragmented>() == 40);
    assert!(size::<Ports>() == 8);
    assert!(size::<Hop>() == 16);
    assert!(size::<Due>() == 20);
    assert!(size::<crate::parse::Segment>() == 52);
};

impl Meta {
    /// The meta entry of this program.
    #[must_use]
    pub const fn current(daemon_pid: u32, version: [u8; 4]) -> Self {
        Self { magic: MAGIC, abi: ABI, layout: LAYOUT, daemon_pid, version }
    }
}

impl Ports {
    /// Those of nothing.
    pub const NONE: Self = Self { source: [0; 2], destination: [0; 2], protocol: 0, _pad: [0; 3] };
}

impl Backend {
    /// A row not in use.
    pub const UNUSED: Self = Self { endpoint: Endpoint::NONE, sources: SourceRange(0), next_hop: 0 };
}

impl Endpoint {
    /// Of no service and no backend.
    pub const NONE: Self = Self { address: Address::UNSPECIFIED, service: 0 };

    /// An endpoint; `port` in host order.
    #[must_use]
    pub const fn new(address: Address, port: u16, protocol: u8) -> Self {
        Self::from_wire(address, port.to_be_bytes(), protocol)
    }

    /// An endpoint; `port` as on the wire.
    #[inline(always)]
    #[must_use]
    pub const fn from_wire(address: Address, port: [u8; 2], protocol: u8) -> Self {
        Self { address, service: u32::from_ne_bytes([port[0], port[1], protocol, 0]) }
    }

    /// The port as on the wire.
    #[inline(always)]
    #[must_use]
    pub const fn port(&self) -> [u8; 2] {
        let [a, b, ..] = self.service.to_ne_bytes();
        [a, b]
    }

    /// One of [`protocol`].
    #[inline(always)]
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        let [_, _, protocol, _] = self.service.to_ne_bytes();
        protocol
    }

    /// Whether it is [`Endpoint::NONE`].
    #[inline(always)]
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.service == 0
    }

    /// Address and port, for people.
    #[must_use]
    pub fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.address.into(), u16::from_be_bytes(self.port()))
    }

    /// A number that differs between endpoints which differ in the end of the address, in the port or in the protocol.
    #[inline(always)]
    #[must_use]
    pub const fn mix(&self) -> u32 {
        let [.., last] = self.address.words();
        let bits = last ^ self.service ^ self.service >> 8;
        bits ^ bits >> 24 ^ bits >> 16
    }
}

impl core::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}/{}", self.socket(), self.protocol())
    }
}

/// Index of a backend's row in the arrays by backend.
#[inline(always)]
#[must_use]
pub const fn row(slot: u32, backend: u8) -> u32 {
    slot * MAX_BACKENDS + backend as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When this fails, a shape has changed: raise [`ABI`] and put the new layout here.
    #[test]
    fn layout_belongs_to_abi() {
        let counters = 8 * (REASONS as u16 + 2);
        assert_eq!(
            (ABI, LAYOUT),
            (
                3,
                [
                    20, 8, 28, 32, 12, 40, 24, 16, counters, 32, 104, 88, 12, 40, 52, 24, 32, 2048, 16, 256,
                    64, 16384
                ]
            )
        );
        assert_eq!(REASONS, 64);
    }
}
