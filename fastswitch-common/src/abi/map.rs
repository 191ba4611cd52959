//! Names of the maps, as pinned, and what is in them.

/// One [`super::Meta`].
pub const META: &str = "META";
/// The parts of the program that it jumps to, by [`super::program`].
pub const PROGRAMS: &str = "PROGRAMS";
/// Hash from [`super::Endpoint`] (VIP) to [`super::Service`].
pub const SERVICES: &str = "SERVICES";
/// Hash from [`super::Endpoint`] (backend) to [`super::Origin`].
pub const ORIGINS: &str = "ORIGINS";
/// Memory-mapped array by slot of [`crate::word::SwitchWord`].
pub const SWITCH: &str = "SWITCH";
/// Memory-mapped array by slot * `MAX_BACKENDS` + backend of [`super::Backend`].
pub const BACKENDS: &str = "BACKENDS";
/// Array of [`super::Port`].
pub const PORTS: &str = "PORTS";
/// LRU hash from [`super::Flow`] to nothing of value: flows that use a backend's own address. Kernel writes.
pub const DIRECT: &str = "DIRECT";
/// Array like `BACKENDS`: non-zero once a direct flow was seen. Kernel writes.
pub const DIRECT_SEEN: &str = "DIRECT_SEEN";
/// LRU hash from [`super::Flow`] (with the VIP's endpoint) to [`crate::connection::Connection`]: TCP connections that a SYN has
/// begun and no further segment has confirmed, that are over, or that nothing is known of but that they are there.
/// They are not counted. Kernel writes.
pub const HALF_OPEN: &str = "HALF_OPEN";
/// The same of established connections, which are counted. Kernel writes; the daemon takes out what has expired.
pub const CONNECTIONS: &str = "CONNECTIONS";
/// Memory-mapped array of [`crate::mark::BUCKETS`] words: the flows that are to be looked up, see [`crate::mark`].
/// Kernel and daemon write; hints, of which each may lose some.
pub const MARKS: &str = "MARKS";
/// LRU hash from [`super::Fragmented`] to [`super::Ports`]: of packets whose first part has come by. Kernel writes.
pub const FRAGMENTS: &str = "FRAGMENTS";
/// LRU hash from client [`crate::address::Address`] to [`super::Hop`], learned from its own packets. Kernel writes.
pub const CLIENTS: &str = "CLIENTS";
/// Per-CPU array of one [`crate::parse::Segment`]: what one part of the program has read and the next goes on with. Kernel
/// writes.
pub const HANDED: &str = "HANDED";
/// Per-CPU array of one [`super::Due`], for the part that gives answers. Kernel writes.
pub const DUE: &str = "DUE";
/// Hash from [`crate::flow::Direction`] to [`crate::flow::Translation`], sized by the configuration. Kernel writes, and the
/// daemon takes out what has ended.
pub const FLOWS: &str = "FLOWS";
/// LRU hash of the same shape: flows that have not proved themselves. Kernel writes.
pub const ATTEMPTS: &str = "ATTEMPTS";
/// Array of [`crate::flow::Source`].
pub const SOURCES: &str = "SOURCES";
/// Per-CPU array by slot, plus `NO_SERVICE`, of [`super::Counters`]. Kernel writes.
pub const COUNTERS: &str = "COUNTERS";
/// Per-CPU array like `BACKENDS` of [`super::BackendTraffic`]. Kernel writes.
pub const BACKEND_TRAFFIC: &str = "BACKEND_TRAFFIC";
/// Array by slot of [`super::ServiceInfo`]; the kernel program does not read it.
pub const SERVICE_INFO: &str = "SERVICE_INFO";
/// Array like `BACKENDS` of [`super::BackendInfo`]; the kernel program does not read it.
pub const BACKEND_INFO: &str = "BACKEND_INFO";
/// Hash from interface index to [`super::InterfaceInfo`]; the kernel program does not read it.
pub const INTERFACE_INFO: &str = "INTERFACE_INFO";
/// LRU hash from [`crate::local::Peer`] to the [`super::Endpoint`] of the VIP that its process knows. Kernel writes.
pub const PEERS: &str = "PEERS";
/// All of them that are pinned.
pub const ALL: [&str; 25] = [
    META,
    PROGRAMS,
    SERVICES,
    ORIGINS,
    SWITCH,
    BACKENDS,
    PORTS,
    DIRECT,
    DIRECT_SEEN,
    HALF_OPEN,
    CONNECTIONS,
    MARKS,
    FRAGMENTS,
    CLIENTS,
    HANDED,
    DUE,
    FLOWS,
    ATTEMPTS,
    SOURCES,
    COUNTERS,
    BACKEND_TRAFFIC,
    SERVICE_INFO,
    BACKEND_INFO,
    INTERFACE_INFO,
    PEERS,
];
/// Array of one [`super::Verdict`]: the last one, of a program that is loaded to be watched ([`super::WATCHED`]).
/// Not pinned.
pub const VERDICT: &str = "VERDICT";
