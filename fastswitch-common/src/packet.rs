//! Bounded access to the bytes of one Ethernet frame, the same for the XDP program and for host tests.
//!
//! Refuses to hand out anything that lies, even in part, outside the frame, or at an odd offset, where no header is.

use core::marker::PhantomData;

use network_types::{
    icmp::Icmpv4Hdr,
    ip::{Ipv4Hdr, Ipv6Hdr},
    tcp::TcpHdr,
    udp::UdpHdr,
};

/// No header that is of interest lies further from the start. A limit known at compile time lets the verifier see that
/// offsets cannot wrap; of one that is no power of two the compiler makes no test of bits, which the verifier would not
/// understand.
const MAX_OFFSET: usize = 4000;

/// Marks headers that may be read from and written to any bytes.
///
/// # Safety
/// The type has alignment 1, no padding, and every bit pattern is valid.
pub unsafe trait Wire: Copy + 'static {}

/// The MAC addresses of a frame, in the order of the wire: the receiver's, then the sender's. Kept as three words of
/// four bytes, since LLVM copies six bytes one at a time.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Macs([u32; 3]);

impl Macs {
    /// From the two addresses.
    #[inline(always)]
    #[must_use]
    pub const fn new(destination: [u8; 6], source: [u8; 6]) -> Self {
        let ([a, b, c, d, e, f], [g, h, i, j, k, l]) = (destination, source);
        Self::from_wire([[a, b, c, d], [e, f, g, h], [i, j, k, l]])
    }

    #[inline(always)]
    const fn from_wire([a, b, c]: [[u8; 4]; 3]) -> Self {
        Self([u32::from_ne_bytes(a), u32::from_ne_bytes(b), u32::from_ne_bytes(c)])
    }

    #[inline(always)]
    const fn to_wire(self) -> [[u8; 4]; 3] {
        let [a, b, c] = self.0;
        [a.to_ne_bytes(), b.to_ne_bytes(), c.to_ne_bytes()]
    }

    /// MAC address of the receiver.
    #[inline(always)]
    #[must_use]
    pub const fn destination(self) -> [u8; 6] {
        let [[a, b, c, d], [e, f, ..], _] = self.to_wire();
        [a, b, c, d, e, f]
    }

    /// MAC address of the sender.
    #[inline(always)]
    #[must_use]
    pub const fn source(self) -> [u8; 6] {
        let [_, [.., g, h], [i, j, k, l]] = self.to_wire();
        [g, h, i, j, k, l]
    }

    /// Those of an answer that goes back where these came from.
    #[inline(always)]
    #[must_use]
    pub const fn back(self) -> Self {
        Self::new(self.source(), self.destination())
    }
}

impl core::fmt::Debug for Macs {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:02x?} from {:02x?}", self.destination(), self.source())
    }
}

/// The Ethernet header. (That of `network-types` wants alignment 2.)
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ethernet {
    macs: [[u8; 4]; 3],
    /// What follows, big-endian.
    pub ether_type: [u8; 2],
}

impl Ethernet {
    /// Bytes of the header.
    pub const LEN: usize = size_of::<Self>();
    /// `ether_type` of IPv4.
    pub const IPV4: [u8; 2] = [0x08, 0x00];
    /// `ether_type` of IPv6.
    pub const IPV6: [u8; 2] = [0x86, 0xdd];

    /// A header between two stations.
    #[inline(always)]
    #[must_use]
    pub const fn new(macs: Macs, ether_type: [u8; 2]) -> Self {
        Self { macs: macs.to_wire(), ether_type }
    }

    /// The MAC addresses.
    #[inline(always)]
    #[must_use]
    pub const fn macs(&self) -> Macs {
        Macs::from_wire(self.macs)
    }

    /// Changes the MAC addresses.
    #[inline(always)]
    pub const fn set_macs(&mut self, macs: Macs) {
        self.macs = macs.to_wire();
    }

    /// Whether it is for more than one station (IEEE 802-2014, 8.2.2).
    #[inline(always)]
    #[must_use]
    pub const fn is_to_a_group(&self) -> bool {
        self.macs[0][0] & 1 != 0
    }
}

macro_rules! wire {
    ($($header:ty),*) => {$(
        const _: () = assert!(align_of::<$header>() == 1);
        // SAFETY: alignment 1 (asserted), hence no padding; made of integers and byte arrays.
        unsafe impl Wire for $header {}
    )*};
}
wire!(
    Ethernet,
    Ipv4Hdr,
    Ipv6Hdr,
    TcpHdr,
    UdpHdr,
    Icmpv4Hdr,
    [u8; 2],
    [u8; 8],
    [[u8; 2]; 2],
    [[u8; 2]; 4],
    [[u8; 2]; 8],
    [[u8; 2]; 16]
);

/// The bytes of one frame, from the Ethernet header on.
pub struct Packet<'a> {
    start: *mut u8,
    end: *mut u8,
    bytes: PhantomData<&'a mut [u8]>,
}

impl<'a> Packet<'a> {
    /// A frame in memory of this process.
    #[must_use]
    pub fn new(bytes: &'a mut [u8]) -> Self {
        let range = bytes.as_mut_ptr_range();
        Self { start: range.start, end: range.end, bytes: PhantomData }
    }

    /// The frame between two addresses.
    ///
    /// # Safety
    /// All bytes from `start`, an even address, up to `end` stay readable and writable, by this packet only, for `'a`.
    #[inline(always)]
    #[must_use]
    pub const unsafe fn from_raw(start: *mut u8, end: *mut u8) -> Self {
        Self { start, end, bytes: PhantomData }
    }

    /// Length of the frame in bytes.
    #[inline(always)]
    #[must_use]
    pub fn len(&self) -> usize {
        (self.end as usize).wrapping_sub(self.start as usize)
    }

    /// Whether the frame has no bytes at all.
    #[inline(always)]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The header at `offset` bytes, an even number, if the frame holds all of it.
    #[inline(always)]
    #[must_use]
    pub fn get<T: Wire>(&self, offset: usize) -> Option<&T> {
        // SAFETY: `at` is inside the frame, `Wire` allows any address and any bytes, nobody writes while `self` is
        // borrowed.
        self.at::<T>(offset).map(|at| unsafe { &*at })
    }

    /// The header at `offset` bytes, an even number, for writing, if the frame holds all of it.
    #[inline(always)]
    #[must_use]
    pub fn get_mut<T: Wire>(&mut self, offset: usize) -> Option<&mut T> {
        // SAFETY: `at` is inside the frame, `Wire` allows any address and any bytes, `self` is borrowed exclusively.
        self.at::<T>(offset).map(|at| unsafe { &mut *at })
    }

    #[inline(always)]
    fn at<T: Wire>(&self, offset: usize) -> Option<*mut T> {
        if offset > MAX_OFFSET || !offset.is_multiple_of(2) {
            return None;
        }
        let at = self.start.wrapping_add(offset);
        if at.wrapping_add(size_of::<T>()) > self.end {
            return None;
        }
        // Lets the compiler load two bytes at a time, where it would load one.
        #[cfg(target_arch = "bpf")]
        // SAFETY: the frame starts at an even address, as its maker promised, and the offset is even.
        unsafe {
            core::hint::assert_unchecked((at as usize).is_multiple_of(2));
        }
        Some(at.cast())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_lies_wholly_inside_or_is_not_given() {
        let mut bytes = [7u8; 20];
        let mut packet = Packet::new(&mut bytes);
        assert_eq!(packet.len(), 20);
        assert!(packet.get::<Ethernet>(6).is_some());
        assert!(packet.get::<Ethernet>(8).is_none());
        assert!(packet.get_mut::<UdpHdr>(12).is_some());
        assert!(packet.get_mut::<UdpHdr>(14).is_none());
        assert!(packet.get::<UdpHdr>(usize::MAX - 3).is_none());
    }

    #[test]
    fn mac_addresses_lie_as_on_the_wire() {
        let (to, from) = ([1, 2, 3, 4, 5, 6], [7, 8, 9, 10, 11, 12]);
        let macs = Macs::new(to, from);
        assert_eq!((macs.destination(), macs.source()), (to, from));
        assert_eq!(macs.back(), Macs::new(from, to));
        let mut bytes = [0; 14];
        *Packet::new(&mut bytes).get_mut::<Ethernet>(0).unwrap() = Ethernet::new(macs, Ethernet::IPV4);
        assert_eq!(bytes, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 8, 0]);
        assert_eq!(Packet::new(&mut bytes).get::<Ethernet>(0).map(Ethernet::macs), Some(macs));
    }

    #[test]
    fn nothing_lies_at_an_odd_offset() {
        assert!(Packet::new(&mut [7; 20]).get::<UdpHdr>(5).is_none());
    }

    #[test]
    fn an_empty_frame_has_no_headers() {
        let packet = Packet::new(&mut []);
        assert!(packet.is_empty());
        assert!(packet.get::<Ethernet>(0).is_none());
    }
}
