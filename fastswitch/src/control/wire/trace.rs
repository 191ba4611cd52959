//! What `trace --json` prints: a packet's way, step by step.

use serde::{Deserialize, Serialize};

use super::{Daemon, Service};

/// What would happen to a packet, and to its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// Version of the program that answers.
    pub version: String,
    /// Whether a daemon runs.
    pub daemon: Daemon,
    /// Conditions that somebody should look at, in words.
    pub warnings: Vec<String>,
    /// The service, and where its packets go at the moment.
    pub service: Service,
    /// Whether at the moment no backend can serve, so that new connections are answered by the gateway.
    pub outage: bool,
    /// From the client to the VIP.
    pub forward: Leg,
    /// From the backend to the client; null if the packet reaches no backend.
    pub reply: Option<Leg>,
    /// Whether the packet reaches a backend, and the answer the client.
    pub ok: bool,
    /// What it comes to, in words.
    pub result: String,
}

/// A packet's way through the gateway.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leg {
    /// The interface that it arrives on.
    pub interface: String,
    /// The packet as it arrives.
    pub arrives: Packet,
    /// The backend that it is for or from; null if none was chosen, or if it cannot be told (mode `dsr`, replies).
    pub backend: Option<String>,
    /// Why this backend.
    pub backend_because: Option<String>,
    /// Who knows the next hop: `daemon`, `kernel` (its routing table), `client` (the way that its packets came).
    pub next_hop: Option<String>,
    /// What the XDP program returns: `XDP_PASS`, `XDP_DROP`, `XDP_TX`, `XDP_REDIRECT` or `XDP_ABORTED`.
    pub action: String,
    /// What that means for the packet.
    pub happens: String,
    /// The reason that such packets are counted under.
    pub reason: String,
    /// What the reason means.
    pub meaning: String,
    /// What to do about it; null: nothing.
    pub advice: Option<String>,
    /// The interface that it leaves by.
    pub egress: Option<String>,
    /// What leaves: the packet as it was rewritten, or the answer made of it.
    pub leaves: Option<Packet>,
    /// What else there is to know.
    pub notes: Vec<String>,
}

/// A packet in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packet {
    /// MAC address of the station that sends it.
    pub from_mac: String,
    /// MAC address of the station that it is for.
    pub to_mac: String,
    /// What it is: for example `TCP SYN`.
    pub kind: String,
    /// Address of the sender, with the port if there is one.
    pub source: String,
    /// Address of the receiver.
    pub destination: String,
    /// Time to live, or hop limit.
    pub ttl: u8,
    /// Length of the frame in bytes.
    pub bytes: usize,
    /// Whether every checksum in it is right.
    pub checksums: bool,
}
