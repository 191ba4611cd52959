//! Reads hash maps of many entries, thousands with one system call; aya would need two for each.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _};

use aya::maps::MapData;
use fastswitch_common::abi::Plain;
use nix::libc;

use super::error::DataplaneError;

/// `BPF_MAP_LOOKUP_BATCH` of `enum bpf_cmd` (Linux 5.6, commit cb4d03ab499d).
const LOOKUP_BATCH: libc::c_long = 24;
/// Entries of one system call; more than any bucket of a hash has.
const ENTRIES: usize = 4096;

/// `batch` of `union bpf_attr`.
#[repr(C)]
struct Attributes {
    /// Address of where the call before ended; zero for the first.
    in_batch: u64,
    /// Address of where this one ends.
    out_batch: u64,
    keys: u64,
    values: u64,
    /// Entries that there is room for, then entries read.
    count: u32,
    map_fd: u32,
    elem_flags: u64,
    flags: u64,
}

/// Shows `each` entry of a hash map. One that comes or goes meanwhile may or may not be among them.
///
/// # Errors
/// The system's. The map has other shapes than `K` and `V`.
pub(super) fn each<K: Plain, V: Plain>(
    map: &MapData,
    name: &'static str,
    mut each: impl FnMut(&K, &V),
) -> Result<(), DataplaneError> {
    let failed = |detail: String| DataplaneError::Map { map: name, what: "read", detail };
    let info = map.info().map_err(|error| failed(error.to_string()))?;
    if (info.key_size() as usize, info.value_size() as usize) != (size_of::<K>(), size_of::<V>()) {
        return Err(failed("its keys or values have another size".to_owned()));
    }
    let (mut keys, mut values) = (Vec::<K>::with_capacity(ENTRIES), Vec::<V>::with_capacity(ENTRIES));
    // The kernel keeps a bucket's number in the first four bytes.
    let (mut from, mut to) = (0_u64, 0_u64);
    let mut first = true;
    loop {
        let mut attributes = Attributes {
            in_batch: if first { 0 } else { (&raw const from).addr() as u64 },
            out_batch: (&raw mut to).expose_provenance() as u64,
            keys: keys.as_mut_ptr().expose_provenance() as u64,
            values: values.as_mut_ptr().expose_provenance() as u64,
            count: ENTRIES as u32,
            map_fd: map.fd().as_fd().as_raw_fd().unsigned_abs(),
            elem_flags: 0,
            flags: 0,
        };
        // SAFETY: the kernel reads and writes no more than the attributes, and what they point to: eight bytes of each
        // batch, and `count` keys and values of the sizes that were checked.
        let result = unsafe {
            libc::syscall(libc::SYS_bpf, LOOKUP_BATCH, &raw mut attributes, size_of::<Attributes>())
        };
        let error = (result < 0).then(io::Error::last_os_error);
        let last = error.as_ref().and_then(io::Error::raw_os_error) == Some(libc::ENOENT);
        if let Some(error) = error.filter(|_| !last) {
            return Err(failed(error.to_string()));
        }
        let count = (attributes.count as usize).min(ENTRIES);
        // SAFETY: the kernel has written so many, and any bytes are valid.
        unsafe {
            keys.set_len(count);
            values.set_len(count);
        }
        keys.iter().zip(&values).for_each(|(key, value)| each(key, value));
        if last {
            return Ok(());
        }
        (from, first) = (to, false);
    }
}
