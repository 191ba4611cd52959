//! Files for transfers: bytes that follow from a length and a seed, so that either end makes them anew, and SHA-256 to
//! compare what went in with what came out.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

/// Bytes of all chunks but the last.
const CHUNK: u64 = 64 << 10;

/// A file without a pattern that a shift or a loss could leave in place, chunk by chunk.
#[derive(Clone, Debug)]
pub struct Blob {
    state: u64,
    left: u64,
}

impl Blob {
    /// As many bytes as said; others for each seed.
    pub fn new(bytes: u64, seed: u64) -> Blob {
        Blob { state: seed, left: bytes }
    }

    /// The SHA-256 of all of it.
    pub fn hash(self) -> String {
        let mut hash = Hash::default();
        self.for_each(|chunk| hash.update(&chunk));
        hash.finish()
    }

    /// The next number of SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators).
    fn word(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl Iterator for Blob {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let length = self.left.min(CHUNK);
        self.left -= length;
        let mut chunk = Vec::with_capacity(CHUNK as usize);
        while (chunk.len() as u64) < length {
            chunk.extend_from_slice(&self.word().to_le_bytes());
        }
        chunk.truncate(length as usize);
        (length > 0).then_some(chunk)
    }
}

/// A SHA-256 in the making.
#[derive(Clone, Debug, Default)]
pub struct Hash(Sha256);

impl Hash {
    /// Takes in what comes next.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// As `sha256sum` prints it.
    pub fn finish(self) -> String {
        self.0.finalize().iter().fold(String::new(), |mut text, byte| {
            // Writing to a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_follows_from_length_and_seed() {
        for bytes in [0, 1, 7, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5] {
            let whole: Vec<u8> = Blob::new(bytes, 1).flatten().collect();
            assert_eq!(whole.len() as u64, bytes);
            assert_eq!(whole, Blob::new(bytes, 1).flatten().collect::<Vec<u8>>());
        }
        assert_ne!(Blob::new(100, 1).hash(), Blob::new(100, 2).hash());
        assert_ne!(Blob::new(100, 1).hash(), Blob::new(101, 1).hash());
    }

    #[test]
    fn hashes_are_those_of_the_standard() {
        let mut hash = Hash::default();
        hash.update(b"a");
        hash.update(b"bc");
        // FIPS 180-2, appendix B.1.
        assert_eq!(hash.finish(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
