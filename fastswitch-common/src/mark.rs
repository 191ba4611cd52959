//! Marks: which of the packets that arrive are to be looked up in the table of connections. A look into a hash costs as
//! much as everything else that is done to a packet; a look whether there is a mark, a few instructions.
//!
//! A flow's hash gives a bucket, a word, and a tag, one of its eight bytes; a bucket keeps the last eight flows marked.
//! So a mark can be lost, to eight others within a round trip, and a flow can be taken for a marked one, which costs it
//! one useless look: the mark is taken away then.

use crate::abi::Endpoint;

/// Buckets of marks.
pub const BUCKETS: u32 = 1 << 16;

const LOW: u64 = 0x0101_0101_0101_0101;
const SEVEN: u64 = 0x7f7f_7f7f_7f7f_7f7f;
/// Odd, and without a pattern (2^64 over the golden ratio).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// Where the mark of a flow is, and what it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    /// Index of the bucket, below [`BUCKETS`].
    pub bucket: u32,
    /// Not zero, which is an empty place.
    tag: u8,
}

impl Mark {
    /// The mark of the flow between a client and a VIP.
    #[inline(always)]
    #[must_use]
    pub const fn of(client: &Endpoint, vip: &Endpoint) -> Self {
        // Of a product the upper bits depend on all bits of the factor.
        let bits = (client.mix() as u64 | (vip.mix() as u64) << 32).wrapping_mul(SPREAD);
        Self { bucket: (bits >> 48) as u32, tag: (bits >> 40) as u8 | 1 }
    }

    /// Whether a bucket has it.
    #[inline(always)]
    #[must_use]
    pub const fn is_in(self, bucket: u64) -> bool {
        self.places(bucket) != 0
    }

    /// The bucket with this mark, which takes the place of the oldest.
    #[inline(always)]
    #[must_use]
    pub const fn put_into(self, bucket: u64) -> u64 {
        if self.is_in(bucket) { bucket } else { bucket << 8 | self.tag as u64 }
    }

    /// The bucket without this mark.
    #[inline(always)]
    #[must_use]
    pub const fn taken_from(self, bucket: u64) -> u64 {
        bucket & !(self.places(bucket) >> 7).wrapping_mul(0xff)
    }

    /// The highest bit of each byte that is the tag.
    #[inline(always)]
    const fn places(self, bucket: u64) -> u64 {
        let zero_where_equal = bucket ^ (self.tag as u64).wrapping_mul(LOW);
        // No byte carries over into the next: bits 0 to 6 are added apart from bit 7.
        !((zero_where_equal & SEVEN).wrapping_add(SEVEN) | zero_where_equal | SEVEN)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, vec::Vec};

    use super::*;
    use crate::{abi::protocol, address::Address};

    fn client(number: u16) -> Endpoint {
        let [a, b] = number.to_be_bytes();
        Endpoint::new(Address::v4([10, 1, a, b]), 40_000, protocol::TCP)
    }

    const VIP: Endpoint = Endpoint::new(Address::v4([10, 1, 0, 100]), 80, protocol::TCP);

    #[test]
    fn a_mark_is_there_until_it_is_taken() {
        let mark = |tag| Mark { bucket: 0, tag };
        let bucket = (1..=8).fold(0, |bucket, tag| mark(tag).put_into(bucket));
        assert!((1..=8).all(|tag| mark(tag).is_in(bucket)) && !(9..=255).any(|tag| mark(tag).is_in(bucket)));
        for tag in 1..=8 {
            let without = mark(tag).taken_from(bucket);
            assert!((1..=8).all(|other| mark(other).is_in(without) == (other != tag)));
        }
        assert_eq!(mark(3).put_into(bucket), bucket, "it is there once");
        let next = mark(200).put_into(bucket);
        assert!(mark(200).is_in(next) && !mark(1).is_in(next), "the oldest makes room");
        assert_eq!(mark(7).taken_from(mark(8).put_into(mark(7).put_into(0))), 8);
    }

    #[test]
    fn an_empty_bucket_marks_nobody() {
        assert!((0..=u16::MAX).all(|number| !Mark::of(&client(number), &VIP).is_in(0)));
    }

    #[test]
    fn neighbours_spread() {
        let marks: Vec<Mark> = (0..=u16::MAX).map(|number| Mark::of(&client(number), &VIP)).collect();
        let buckets: HashSet<u32> = marks.iter().map(|mark| mark.bucket).collect();
        // Of as many balls in bins by chance, 63 % of the bins get one.
        assert!(buckets.len() > 35_000, "{}", buckets.len());
        assert!(marks.iter().all(|mark| mark.bucket < BUCKETS));
        let ports: HashSet<u32> = (0..=u16::MAX)
            .map(|port| {
                Mark::of(&Endpoint::new(Address::v4([10, 1, 0, 1]), port, protocol::TCP), &VIP).bucket
            })
            .collect();
        assert!(ports.len() > 35_000, "{}", ports.len());
    }
}
