//! What goes over the control socket, and what `--json` prints. Extended, never broken: others script against it.

pub mod trace;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What a client asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "lowercase", deny_unknown_fields)]
pub enum Request {
    /// The state of all services, or of one.
    Status {
        /// Only this one.
        service: Option<String>,
    },
    /// Make a backend active.
    Switch {
        /// Of which service.
        service: String,
        /// Which.
        backend: String,
        /// Even if it is not eligible.
        force: bool,
        /// For how long the backend before keeps its connections, in milliseconds; absent: as configured.
        drain_ms: Option<u64>,
    },
    /// Return to the most preferred eligible hot backend.
    Failback {
        /// Of which service.
        service: String,
        /// As of a switch.
        drain_ms: Option<u64>,
    },
    /// Keep automation from acting.
    Freeze {
        /// On which service.
        service: String,
        /// For how long, in milliseconds; absent: until `unfreeze`.
        for_ms: Option<u64>,
    },
    /// Let automation act again.
    Unfreeze {
        /// On which service.
        service: String,
    },
    /// Put a backend into maintenance or take it out.
    Maint {
        /// Of which service.
        service: String,
        /// Which.
        backend: String,
        /// Into.
        on: bool,
    },
}

/// What the daemon answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "lowercase")]
pub enum Response {
    /// The state asked for.
    Status(Status),
    /// Carried out.
    Done {
        /// What is the case now, in words.
        message: String,
    },
    /// Not carried out.
    Refused {
        /// What was asked for, in words.
        message: String,
        /// Each reason.
        reasons: Vec<String>,
    },
    /// Names something that does not exist, or is not a request.
    Invalid {
        /// What, and what there is instead.
        message: String,
    },
}

/// A request that names something that does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid(String);

impl Invalid {
    /// A request of this sort.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }

    /// There is no `kind` of this name. The first few of what there is help more than all thousand.
    #[must_use]
    pub fn no_such<'a>(kind: &str, name: &str, names: impl Iterator<Item = &'a str>) -> Self {
        const SHOWN: usize = 10;
        let names: Vec<&str> = names.collect();
        let meant = meant(name, &names).map(|meant| format!("did you mean `{meant}`? ")).unwrap_or_default();
        let more = if names.len() > SHOWN { ", .." } else { "" };
        let shown = names.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
        Self(format!("there is no {kind} `{name}`; {meant}there is {shown}{more}"))
    }
}

/// The one of `names` that `name` is most likely a misspelling of.
fn meant<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    // As long as a name that is kept; the comparison takes time by length.
    let name: String = name.chars().take(48).collect();
    let allowed = (name.chars().count() / 3).max(1);
    let near = names.iter().map(|known| (strsim::osa_distance(&name, known), *known));
    near.filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

impl From<Invalid> for Response {
    fn from(Invalid(message): Invalid) -> Self {
        Self::Invalid { message }
    }
}

/// Everything at a moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program that answers.
    pub version: String,
    /// Whether a daemon runs.
    pub daemon: Daemon,
    /// Interfaces that the program is on.
    pub interfaces: Vec<Interface>,
    /// The services, in the configuration's order (without a daemon: in the maps' order).
    pub services: Vec<Service>,
    /// Packets that belong to no service, by reason; reasons never met are left out.
    pub other_counters: BTreeMap<String, u64>,
    /// Conditions that somebody should look at, in words.
    pub warnings: Vec<String>,
}

/// Whether a daemon runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Daemon {
    /// It answered.
    Running,
    /// This was read from the pinned maps.
    Absent,
}

/// An interface that the program is on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interface {
    /// Name.
    pub name: String,
    /// `native`, `generic`, or `none` if the program is not on it at the moment.
    pub xdp: String,
    /// Why it is in generic mode although native mode was to be tried, and what to do; null: it is not.
    pub generic_because: Option<String>,
}

/// A service at a moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Name.
    pub name: String,
    /// Virtual IP; no brackets.
    pub vip: String,
    /// The port that clients know.
    pub port: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
    /// Forwarding mode: `nat` or `dsr`.
    pub mode: String,
    /// Name of the active backend; null while no backend can serve.
    pub active: Option<String>,
    /// Name of the backend that packets of existing connections go to; outside an outage the same as `active`.
    pub target: Option<String>,
    /// The backend that, after a planned switch, keeps the TCP connections opened before; null: none.
    pub draining: Option<Draining>,
    /// Number of the last decision.
    pub epoch: u32,
    /// When the active backend became active, RFC 3339; null if never.
    pub since: Option<String>,
    /// Whether automation is frozen.
    pub frozen: bool,
    /// Until when, RFC 3339; null: not frozen, or until told.
    pub frozen_until: Option<String>,
    /// Why the active backend is active, or why none is.
    pub reason: String,
    /// Established TCP connections; null: not counted, of UDP for example.
    pub connections: Option<u64>,
    /// Packets by reason (those never met are left out), and `packets` and `bytes` in all.
    pub counters: BTreeMap<String, u64>,
    /// The backends in order of preference.
    pub backends: Vec<Backend>,
}

/// A backend at a moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backend {
    /// Name.
    pub name: String,
    /// Where it serves, IPv6 in brackets.
    pub address: String,
    /// `hot`, `warm` or `cold`.
    pub tier: String,
    /// `active`, `standby`, `warm`, `cold`, `starting` or `stopping`; `last` for what was active when an outage began.
    pub role: String,
    /// `up`, `down` or `unknown`.
    pub health: String,
    /// Whether an operator put it into maintenance.
    pub maintenance: bool,
    /// Whether it may become active.
    pub eligible: bool,
    /// Why not, each reason.
    pub hold: Vec<String>,
    /// Round-trip time of the last healthy heartbeat, in microseconds.
    pub rtt_us: Option<u64>,
    /// Heartbeat rounds that did not count because the daemon itself was held up.
    pub stalled_rounds: u64,
    /// Established TCP connections with it; null: not counted.
    pub connections: Option<u64>,
    /// What was sent on of its packets since it is in the configuration.
    pub counters: BackendCounters,
}

/// Packets and bytes (Ethernet header included) of one backend that were sent on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendCounters {
    /// To the backend.
    pub forwarded_packets: u64,
    /// To the backend.
    pub forwarded_bytes: u64,
    /// From the backend, to clients. In mode `dsr` not counted by backend: each answers as the VIP.
    pub replied_packets: u64,
    /// As `replied_packets`.
    pub replied_bytes: u64,
}

/// A drain at a moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draining {
    /// Name of the backend that keeps its connections.
    pub backend: String,
    /// Until when, RFC 3339, if they do not end before. Without a daemon nobody ends the drain: the next one does.
    pub until: Option<String>,
    /// How many are left; null: not counted.
    pub connections_left: Option<u64>,
}

impl Service {
    /// Takes in how many connections each of the backends has.
    pub fn count(&mut self, connections: impl IntoIterator<Item = u64>) {
        for (backend, connections) in self.backends.iter_mut().zip(connections) {
            backend.connections = Some(connections);
        }
        let counts = self.backends.iter().filter_map(|backend| backend.connections);
        self.connections = Some(counts.fold(0, u64::saturating_add));
        if let Some(draining) = &mut self.draining {
            let backend = self.backends.iter().find(|backend| backend.name == draining.backend);
            draining.connections_left = backend.and_then(|backend| backend.connections);
        }
    }
}
