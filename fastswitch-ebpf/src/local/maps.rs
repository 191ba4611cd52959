//! The maps; all are pinned, and those that packets use too are the same ones. Also the constants that the loader sets.

use core::ptr;

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray},
};
use fastswitch_common::{
    abi::{Backend, Counters, Endpoint, MAX_BACKENDS, MAX_SERVICES, Service},
    local::{PEERS_KEPT, Peer},
    word::SwitchWord,
};

#[map]
pub(crate) static SERVICES: HashMap<Endpoint, Service> = HashMap::with_max_entries(2 * MAX_SERVICES, 0);

#[map]
pub(crate) static SWITCH: Array<SwitchWord> = Array::with_max_entries(MAX_SERVICES, BPF_F_MMAPABLE);

#[map]
pub(crate) static BACKENDS: Array<Backend> =
    Array::with_max_entries(MAX_SERVICES * MAX_BACKENDS, BPF_F_MMAPABLE);

#[map]
pub(crate) static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(MAX_SERVICES + 1, 0);

#[map]
pub(crate) static PEERS: LruHashMap<Peer, Endpoint> = LruHashMap::with_max_entries(PEERS_KEPT, 0);

/// Cookie of the gateway's network namespace.
#[unsafe(no_mangle)]
static NETNS: u64 = 0;

/// Whether the kernel lets a program say by which error a system call fails.
#[unsafe(no_mangle)]
static SAYS_WHY: u8 = 0;

/// Cookie of the gateway's network namespace.
#[inline(always)]
pub(crate) fn netns() -> u64 {
    // SAFETY: a valid constant. Volatile: the loader has changed it since the compiler saw it.
    unsafe { ptr::read_volatile(&raw const NETNS) }
}

/// Whether the kernel lets a program say by which error a system call fails. A constant to the verifier, which so does not
/// see the call where there is none.
#[inline(always)]
pub(crate) fn says_why() -> bool {
    // SAFETY: as above.
    unsafe { ptr::read_volatile(&raw const SAYS_WHY) != 0 }
}
