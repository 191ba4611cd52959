//! The programs as built from `fastswitch-ebpf` by the build script, embedded.

/// The ELF object of the XDP program.
pub(super) static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/fastswitch"));

/// The ELF object of the programs for local processes.
pub(super) static LOCAL_OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/local"));

/// Name of the XDP program.
pub(super) const PROGRAM: &str = "fastswitch";
