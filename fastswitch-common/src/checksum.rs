//! The Internet checksum, changed without reading the whole packet (RFC 1624).
//!
//! A one's complement sum does not depend on byte order, so everything here is in the machine's own.

/// What a change of some bytes does to each checksum that covers them.
#[derive(Clone, Copy, Default, Debug)]
pub struct Delta(u64);

impl Delta {
    /// This change, and `old` becoming `new` too. Both lie at an even distance from where the checksum starts.
    #[inline(always)]
    #[must_use]
    pub const fn word(self, old: [u8; 2], new: [u8; 2]) -> Self {
        Self(self.0 + (!u16::from_ne_bytes(old)) as u64 + u16::from_ne_bytes(new) as u64)
    }

    /// This change, and `old` becoming `new` too: words in the machine's byte order, as they lie in memory.
    #[inline(always)]
    #[must_use]
    pub fn words<const WORDS: usize>(self, old: [u32; WORDS], new: [u32; WORDS]) -> Self {
        Self(self.0 + sum_of(old.map(|word| !word)) + sum_of(new))
    }

    /// Both changes.
    #[inline(always)]
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// The checksum that was `check` before the change.
    #[inline(always)]
    #[must_use]
    pub const fn apply(self, check: [u8; 2]) -> [u8; 2] {
        let sum = self.0 + (!u16::from_ne_bytes(check)) as u64;
        (!fold(sum)).to_ne_bytes()
    }

    /// The checksum of a UDP datagram over IPv4 that was `check` before the change: zero, which says that there is
    /// none, stays, and a checksum that comes out as zero is written as its other form.
    #[inline(always)]
    #[must_use]
    pub const fn apply_udp(self, check: [u8; 2]) -> [u8; 2] {
        match check {
            [0, 0] => check,
            _ => match self.apply(check) {
                [0, 0] => [0xff, 0xff],
                check => check,
            },
        }
    }
}

/// Sum over an even number of bytes, given in any order as pairs; for [`finish`].
#[inline(always)]
#[must_use]
pub fn sum<const PAIRS: usize>(pairs: [[u8; 2]; PAIRS]) -> u64 {
    let mut sum = 0;
    for pair in pairs {
        sum += u64::from(u16::from_ne_bytes(pair));
    }
    sum
}

/// Sum over words that lie in memory in the machine's byte order; for [`finish`].
#[inline(always)]
#[must_use]
pub fn sum_of<const WORDS: usize>(words: [u32; WORDS]) -> u64 {
    let mut sum = 0;
    for word in words {
        sum += u64::from(word);
    }
    sum
}

/// The checksum over everything that has been summed up.
#[inline(always)]
#[must_use]
pub const fn finish(sum: u64) -> [u8; 2] {
    (!fold(sum)).to_ne_bytes()
}

#[inline(always)]
const fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    sum as u16
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::address::Address;

    /// RFC 1071, word by word, as little clever as possible.
    fn full(bytes: &[u8]) -> [u8; 2] {
        let mut sum = 0u32;
        for pair in bytes.chunks(2) {
            sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
            if sum > 0xffff {
                sum -= 0xffff;
            }
        }
        (!(sum as u16)).to_be_bytes()
    }

    proptest! {
        /// The first word is not zero: a sum of nothing but zeroes has no counterpart on the wire.
        #[test]
        fn a_delta_agrees_with_full_recomputation(
            mut bytes in proptest::collection::vec(any::<u8>(), 12..80).prop_filter("a header", |b| b[0] != 0),
            address: [u8; 4],
            word: [u8; 2],
        ) {
            let check = full(&bytes);
            let old_address = Address::v4([bytes[4], bytes[5], bytes[6], bytes[7]]);
            let old_word = [bytes[8], bytes[9]];
            bytes[4..8].copy_from_slice(&address);
            bytes[8..10].copy_from_slice(&word);
            let delta = Delta::default()
                .words(old_address.words(), Address::v4(address).words())
                .word(old_word, word);
            prop_assert_eq!(delta.apply(check), full(&bytes));
        }

        #[test]
        fn a_delta_of_long_addresses_agrees_with_full_recomputation(
            mut bytes in proptest::collection::vec(any::<u8>(), 24..80).prop_filter("a header", |b| b[0] != 0),
            address: [u8; 16],
        ) {
            let (check, old) = (full(&bytes), Address::v6(bytes[4..20].try_into().expect("16 bytes")));
            bytes[4..20].copy_from_slice(&address);
            let delta = Delta::default().words(old.words(), Address::v6(address).words());
            prop_assert_eq!(delta.apply(check), full(&bytes));
        }

        #[test]
        fn a_sum_of_words_agrees_with_full_recomputation(words: [[u8; 2]; 10]) {
            prop_assert_eq!(finish(sum(words)), full(&words.concat()));
        }

        #[test]
        fn a_sum_of_long_words_agrees_with_full_recomputation(address: [u8; 16]) {
            prop_assert_eq!(finish(sum_of(Address::v6(address).words())), full(&address));
        }

        #[test]
        fn udp_never_gets_a_zero_it_did_not_have(check: [u8; 2], old: [u8; 4], new: [u8; 4]) {
            let delta = Delta::default().words(Address::v4(old).words(), Address::v4(new).words());
            let after = delta.apply_udp(check);
            prop_assert_eq!(after == [0, 0], check == [0, 0]);
        }
    }

    #[test]
    fn a_udp_checksum_computed_as_zero_is_written_as_ones() {
        // 0x1234 + 0xedcb = 0xffff, whose complement is zero.
        let words = [[0x12, 0x34], [0x00, 0x01]];
        let check = finish(sum(words));
        let changed = Delta::default().word([0x00, 0x01], [0xed, 0xcb]);
        assert_eq!(changed.apply(check), [0, 0]);
        assert_eq!(changed.apply_udp(check), [0xff, 0xff]);
        assert_eq!(changed.apply_udp([0, 0]), [0, 0]);
        assert_eq!(full(&Vec::from([0x12, 0x34, 0xed, 0xcb])), [0, 0]);
    }
}
