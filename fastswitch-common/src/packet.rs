//! Bounded access to the bytes of one Ethernet frame, the same for the XDP program and for host tests.
//!
//! Refuses to hand out anything that lies, even in part, outside the frame, or at an odd offset, where no header is.

use core::marker::PhantomData;

use network_types::{icmp::Icmpv4Hdr, ip::Ipv4Hdr, tcp::TcpHdr, udp::UdpHdr};

/// Offsets beyond any frame. A limit known at compile time lets the verifier see that offsets cannot wrap.
const MAX_OFFSET: usize = 0xffff;

/// Marks headers that may be read from and written to any bytes.
///
/// # Safety
/// The type has alignment 1, no padding, and every bit pattern is valid.
pub unsafe trait Wire: Copy + 'static {}

/// The Ethernet header. (That of `network-types` wants alignment 2.)
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ethernet {
    /// MAC address of the receiver.
    pub destination: [u8; 6],
    /// MAC address of the sender.
    pub source: [u8; 6],
    /// What follows, big-endian.
    pub ether_type: [u8; 2],
}

impl Ethernet {
    /// Bytes of the header.
    pub const LEN: usize = size_of::<Self>();
    /// `ether_type` of IPv4.
    pub const IPV4: [u8; 2] = [0x08, 0x00];

    /// The header of an answer that goes back where this came from.
    #[inline(always)]
    #[must_use]
    pub const fn back(self) -> Self {
        Self { destination: self.source, source: self.destination, ether_type: self.ether_type }
    }
}

macro_rules! wire {
    ($($header:ty),*) => {$(
        const _: () = assert!(align_of::<$header>() == 1);
        // SAFETY: alignment 1 (asserted), hence no padding; made of integers and byte arrays.
        unsafe impl Wire for $header {}
    )*};
}
wire!(Ethernet, Ipv4Hdr, TcpHdr, UdpHdr, Icmpv4Hdr, [u8; 8]);

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
