//! The XDP program as built from `fastswitch-ebpf` by the build script, embedded.

/// The ELF object.
pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/fastswitch"));

/// Name of the program in it.
pub(super) const PROGRAM: &str = "fastswitch";
