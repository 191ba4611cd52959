//! An array map of 64-bit words, mapped into this process: a store is one instruction, no system call.

use std::sync::atomic::{AtomicU64, Ordering};

use aya::maps::MapData;
use memmap2::{MmapOptions, MmapRaw};

use super::error::DataplaneError;

/// Words at a fixed stride in a memory-mapped array map.
#[derive(Debug)]
pub(super) struct Words {
    page: MmapRaw,
    /// In words, from one element to the next.
    stride: usize,
    /// In words, of the word within an element.
    offset: usize,
    count: usize,
}

impl Words {
    /// Maps `map`, whose elements are `stride` words long and have the word in question at `offset`.
    pub(super) fn map(
        name: &'static str,
        map: &MapData,
        count: u32,
        stride: usize,
        offset: usize,
    ) -> Result<Self, DataplaneError> {
        let failed = |detail: std::io::Error| DataplaneError::Map {
            map: name,
            what: "map it into memory",
            detail: detail.to_string(),
        };
        let count = count as usize;
        let options = MmapOptions::new().len(count * stride * size_of::<u64>()).to_owned();
        let page = options.map_raw(std::os::fd::AsRawFd::as_raw_fd(&std::os::fd::AsFd::as_fd(map.fd())));
        Ok(Self { page: page.map_err(failed)?, stride, offset, count })
    }

    fn word(&self, index: u32) -> &AtomicU64 {
        let index = index as usize;
        assert!(index < self.count, "word {index} of {}", self.count);
        // SAFETY: the mapping is `count * stride` words long, page-aligned and lives as long as `self`; the index is
        // below `count`. The word is only ever accessed whole and atomically: the kernel program uses single
        // aligned loads, other processes this same code.
        unsafe { &*self.page.as_mut_ptr().cast::<AtomicU64>().add(index * self.stride + self.offset) }
    }

    /// Stores one word.
    pub(super) fn store(&self, index: u32, word: u64) {
        self.word(index).store(word, Ordering::Release);
    }

    /// Loads one word.
    #[must_use]
    pub(super) fn load(&self, index: u32) -> u64 {
        self.word(index).load(Ordering::Acquire)
    }
}
