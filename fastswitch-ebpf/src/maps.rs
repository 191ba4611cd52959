//! The maps; shapes, names and meaning are those of [`fastswitch_common::abi`]. None is pinned from here: the
//! daemon does that, by path.

use aya_ebpf::{
    bindings::BPF_F_MMAPABLE,
    macros::map,
    maps::{Array, HashMap, LruHashMap, PerCpuArray, ProgramArray},
};
use fastswitch_common::{
    abi::{
        Backend, BackendInfo, BackendTraffic, CLIENTS_KEPT, CONNECTIONS_KEPT, Counters, Due, Endpoint,
        FRAGMENTS_KEPT, Flow, Fragmented, Hop, InterfaceInfo, MAX_BACKENDS, MAX_PORTS, MAX_SERVICES, Meta,
        Origin, Port, Ports, Service, ServiceInfo, Verdict, program, protocol,
    },
    address::Address,
    connection::Connection,
    flow::{ATTEMPTS_KEPT, Direction, MAX_SOURCES, Source, Translation},
    mark,
    parse::Segment,
    word::SwitchWord,
};

/// Backends of all services.
const ROWS: u32 = MAX_SERVICES * MAX_BACKENDS;

#[map]
pub(crate) static META: Array<Meta> = Array::with_max_entries(1, 0);

#[map]
pub(crate) static PROGRAMS: ProgramArray = ProgramArray::with_max_entries(program::COUNT, 0);

/// Twice the services: each VIP address has a key of its own for echo.
#[map]
pub(crate) static SERVICES: HashMap<Endpoint, Service> = HashMap::with_max_entries(2 * MAX_SERVICES, 0);

#[map]
pub(crate) static ORIGINS: HashMap<Endpoint, Origin> = HashMap::with_max_entries(ROWS, 0);

#[map]
pub(crate) static SWITCH: Array<SwitchWord> = Array::with_max_entries(MAX_SERVICES, BPF_F_MMAPABLE);

#[map]
pub(crate) static BACKENDS: Array<Backend> = Array::with_max_entries(ROWS, BPF_F_MMAPABLE);

#[map]
pub(crate) static PORTS: Array<Port> = Array::with_max_entries(MAX_PORTS, 0);

#[map]
pub(crate) static DIRECT: LruHashMap<Flow, u8> = LruHashMap::with_max_entries(CLIENTS_KEPT, 0);

#[map]
pub(crate) static DIRECT_SEEN: Array<u32> = Array::with_max_entries(ROWS, 0);

#[map]
pub(crate) static HALF_OPEN: LruHashMap<Flow, Connection> = LruHashMap::with_max_entries(CLIENTS_KEPT, 0);

/// One that forgets, since nobody tells of a client that has vanished: full, it loses the oldest, which a drain takes for
/// the draining backend's and is right. One that refused would lose the newest, and a drain would break them.
#[map]
pub(crate) static CONNECTIONS: LruHashMap<Flow, Connection> =
    LruHashMap::with_max_entries(CONNECTIONS_KEPT, 0);

#[map]
pub(crate) static MARKS: Array<u64> = Array::with_max_entries(mark::BUCKETS, BPF_F_MMAPABLE);

#[map]
pub(crate) static FRAGMENTS: LruHashMap<Fragmented, Ports> = LruHashMap::with_max_entries(FRAGMENTS_KEPT, 0);

#[map]
pub(crate) static CLIENTS: LruHashMap<Address, Hop> = LruHashMap::with_max_entries(CLIENTS_KEPT, 0);

#[map]
pub(crate) static HANDED: PerCpuArray<Segment> = PerCpuArray::with_max_entries(1, 0);

#[map]
pub(crate) static DUE: PerCpuArray<Due> = PerCpuArray::with_max_entries(1, 0);

/// The loader gives it the size that the configuration asks for.
#[map]
pub(crate) static FLOWS: HashMap<Direction, Translation> = HashMap::with_max_entries(1, 0);

/// Likewise, up to this.
#[map]
pub(crate) static ATTEMPTS: LruHashMap<Direction, Translation> =
    LruHashMap::with_max_entries(ATTEMPTS_KEPT, 0);

#[map]
pub(crate) static SOURCES: Array<Source> = Array::with_max_entries(MAX_SOURCES, 0);

/// One more than services, for `NO_SERVICE`.
#[map]
pub(crate) static COUNTERS: PerCpuArray<Counters> = PerCpuArray::with_max_entries(MAX_SERVICES + 1, 0);

#[map]
pub(crate) static BACKEND_TRAFFIC: PerCpuArray<BackendTraffic> = PerCpuArray::with_max_entries(ROWS, 0);

#[map]
pub(crate) static VERDICT: Array<Verdict> = Array::with_max_entries(1, 0);

#[map]
pub(crate) static SERVICE_INFO: Array<ServiceInfo> = Array::with_max_entries(MAX_SERVICES, 0);

#[map]
pub(crate) static BACKEND_INFO: Array<BackendInfo> = Array::with_max_entries(ROWS, 0);

#[map]
pub(crate) static INTERFACE_INFO: HashMap<u32, InterfaceInfo> = HashMap::with_max_entries(MAX_PORTS, 0);

/// Whether a service has this VIP.
#[inline(never)]
pub(crate) fn is_vip(address: &Address) -> bool {
    SERVICES.get_ptr(Endpoint::new(*address, 0, protocol::ICMP)).is_some()
}
