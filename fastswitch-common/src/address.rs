//! IP addresses of both families in one shape, so that one map serves both.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An IP address as 16 bytes in the order of the wire, kept as four words: LLVM moves bytes one at a time. IPv4
/// addresses are kept as IPv4-mapped IPv6 addresses (RFC 4291, 2.5.5.2).
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address([u32; 4]);

/// The first words of an IPv4 address: ten zero bytes, two of ones.
const MAPPED: [u32; 3] = [0, 0, u32::from_ne_bytes([0, 0, 0xff, 0xff])];

impl Address {
    /// `0.0.0.0`; no station has it.
    pub const UNSPECIFIED: Self = Self::v4([0; 4]);

    /// An IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn v4(octets: [u8; 4]) -> Self {
        let [a, b, c] = MAPPED;
        Self([a, b, c, u32::from_ne_bytes(octets)])
    }

    /// An IPv6 address.
    #[inline(always)]
    #[must_use]
    pub const fn v6(o: [u8; 16]) -> Self {
        Self([
            u32::from_ne_bytes([o[0], o[1], o[2], o[3]]),
            u32::from_ne_bytes([o[4], o[5], o[6], o[7]]),
            u32::from_ne_bytes([o[8], o[9], o[10], o[11]]),
            u32::from_ne_bytes([o[12], o[13], o[14], o[15]]),
        ])
    }

    /// An IPv4 address as a header has it: two bytes can be loaded at a time there.
    #[inline(always)]
    #[must_use]
    pub const fn from_pairs_v4(p: [[u8; 2]; 2]) -> Self {
        let [a, b, c] = MAPPED;
        Self([a, b, c, word(p[0], p[1])])
    }

    /// An IPv6 address as a header has it.
    #[inline(always)]
    #[must_use]
    pub const fn from_pairs_v6(p: [[u8; 2]; 8]) -> Self {
        Self([word(p[0], p[1]), word(p[2], p[3]), word(p[4], p[5]), word(p[6], p[7])])
    }

    /// The pairs of bytes that differ between IPv4 addresses.
    #[inline(always)]
    #[must_use]
    pub const fn pairs_v4(self) -> [[u8; 2]; 2] {
        pairs(self.0[3])
    }

    /// All pairs of bytes, as of an IPv6 address.
    #[inline(always)]
    #[must_use]
    pub const fn pairs_v6(self) -> [[u8; 2]; 8] {
        let ([a, b], [c, d]) = (pairs(self.0[0]), pairs(self.0[1]));
        let ([e, f], [g, h]) = (pairs(self.0[2]), pairs(self.0[3]));
        [a, b, c, d, e, f, g, h]
    }

    /// All bytes, as of an IPv6 address.
    #[inline(always)]
    #[must_use]
    pub const fn octets(self) -> [u8; 16] {
        let [a, b, c, d] = self.0;
        let (a, b, c, d) = (a.to_ne_bytes(), b.to_ne_bytes(), c.to_ne_bytes(), d.to_ne_bytes());
        [a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3], c[0], c[1], c[2], c[3], d[0], d[1], d[2], d[3]]
    }

    /// The four bytes that differ between IPv4 addresses.
    #[inline(always)]
    #[must_use]
    pub const fn v4_octets(self) -> [u8; 4] {
        self.0[3].to_ne_bytes()
    }

    /// An address of its words: those of IPv6, or of IPv4-mapped IPv6.
    #[inline(always)]
    #[must_use]
    pub const fn from_words(words: [u32; 4]) -> Self {
        Self(words)
    }

    /// The words, each in memory as on the wire.
    #[inline(always)]
    #[must_use]
    pub const fn words(self) -> [u32; 4] {
        self.0
    }

    /// Whether this is an IPv4 address.
    #[inline(always)]
    #[must_use]
    pub const fn is_v4(self) -> bool {
        let ([a, b, c, _], [x, y, z]) = (self.0, MAPPED);
        a == x && b == y && c == z
    }
}

#[inline(always)]
const fn word(first: [u8; 2], second: [u8; 2]) -> u32 {
    let (first, second) = (u16::from_ne_bytes(first) as u32, u16::from_ne_bytes(second) as u32);
    if cfg!(target_endian = "little") { second << 16 | first } else { first << 16 | second }
}

#[inline(always)]
const fn pairs(word: u32) -> [[u8; 2]; 2] {
    let (low, high) = ((word as u16).to_ne_bytes(), ((word >> 16) as u16).to_ne_bytes());
    if cfg!(target_endian = "little") { [low, high] } else { [high, low] }
}

impl From<IpAddr> for Address {
    fn from(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self::v4(address.octets()),
            IpAddr::V6(address) => Self::v6(address.octets()),
        }
    }
}

impl From<Address> for IpAddr {
    fn from(address: Address) -> Self {
        if address.is_v4() {
            return Ipv4Addr::from(address.v4_octets()).into();
        }
        Ipv6Addr::from(address.octets()).into()
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&IpAddr::from(*self), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_keep_their_bytes() {
        let v4: IpAddr = Ipv4Addr::new(192, 0, 2, 7).into();
        let v6: IpAddr = Ipv6Addr::new(0xfd00, 1, 2, 3, 4, 5, 6, 0x789a).into();
        for address in [v4, v6] {
            assert_eq!(IpAddr::from(Address::from(address)), address);
        }
        assert_eq!(Address::from(v4).octets(), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 7]);
        let (short, long) = (Address::from(v4), Address::from(v6));
        assert_eq!(Address::from_pairs_v4(short.pairs_v4()), short);
        assert_eq!(short.pairs_v4().concat(), [192, 0, 2, 7]);
        assert_eq!(Address::from_pairs_v6(long.pairs_v6()), long);
        assert_eq!(long.pairs_v6().concat(), long.octets());
        assert!(Address::from(v4).is_v4() && !Address::from(v6).is_v4());
    }
}
