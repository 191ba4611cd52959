//! The table of flows of mode `full_nat`: its size, and what has ended taken out of it.
//!
//! The program takes no entry out by time, only a port that it needs; so while no daemon runs, the table fills with what
//! has ended, and packets go on.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use aya::maps::{HashMap, MapData};
use fastswitch_common::abi::{map, protocol};
use fastswitch_common::flow::{ATTEMPTS_KEPT, Direction, Translation, state, toward};
use nix::time::{ClockId, clock_gettime};

use super::batch;
use super::error::DataplaneError;
use super::tables::{Shared, failed, pinned, typed};
use crate::machine::spec::{Mode, Spec};

/// Seconds without a packet after which a TCP connection is forgotten (RFC 5382, REQ-5 a: at least 2 h 4 min).
const ESTABLISHED: u32 = 7_440;
/// Seconds for one that one end has closed (RFC 5382, REQ-5 b: at least 4 min).
const HALF_CLOSED: u32 = 240;
/// Seconds for one that both ends, or a reset, have closed: what comes late still gets through.
const CLOSED: u32 = 10;
/// Seconds for a flow of datagrams (RFC 4787, REQ-5: 5 min recommended).
const DATAGRAMS: u32 = 300;

/// Between two sweeps at least.
const REST: Duration = Duration::from_secs(1);
/// Sweeps take at most one part in this of a CPU's time.
const SHARE: u32 = 20;
/// Parts of the table, of ten, that are in use when a warning is due.
const NEARLY_FULL: u64 = 9;

/// Flows by slot and backend's row within it.
type Counts = BTreeMap<(u32, u8), u32>;

/// Entries of the maps that the configuration sizes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    /// Of [`map::FLOWS`].
    pub(super) flows: u32,
    /// Of [`map::ATTEMPTS`].
    pub(super) attempts: u32,
}

impl Sizes {
    /// What `spec` asks for: nothing much without a service in mode full_nat.
    fn wanted(spec: &Spec) -> Self {
        if spec.services.iter().any(|service| service.mode == Mode::FullNat) {
            // Two entries each.
            Self { flows: spec.gateway.max_flows.get().saturating_mul(2), attempts: ATTEMPTS_KEPT }
        } else {
            Self { flows: 1, attempts: 1 }
        }
    }
}

/// The sizes to load the program with. A table of another size that is pinned in `directory` goes, if it is empty; if not,
/// it stays, for the flows in it are alive.
pub(super) fn sizes(directory: &Path, spec: &Spec) -> Result<Sizes, DataplaneError> {
    let wanted = Sizes::wanted(spec);
    if !directory.join(map::FLOWS).exists() {
        return Ok(wanted);
    }
    let Table { entries, room: present, .. } = Table::open(directory)?;
    if present == wanted.flows {
        return Ok(wanted);
    }
    if entries.keys().next().is_none() {
        for name in [map::FLOWS, map::ATTEMPTS] {
            let pin = directory.join(name);
            fs::remove_file(&pin).map_err(|error| DataplaneError::file("remove", &pin, error))?;
        }
    } else if wanted.flows > 1 {
        tracing::warn!(
            max_flows = wanted.flows / 2,
            now = present / 2,
            "the table of flows keeps its size while there are flows in it: `fastswitch detach` ends them, the next start \
             makes it anew"
        );
    }
    Ok(wanted)
}

/// Sweeps the table of flows for as long as it lives.
#[derive(Debug)]
pub(super) struct FlowKeeper {
    /// Its end ends the thread.
    _running: mpsc::Sender<()>,
    counts: Arc<Mutex<Counts>>,
}

impl FlowKeeper {
    /// Starts the thread that sweeps.
    pub(super) fn start(directory: &Path) -> Result<Self, DataplaneError> {
        let (running, ended) = mpsc::channel();
        let counts = Arc::default();
        let mut sweeper =
            Sweeper { table: Table::open(directory)?, full: false, counts: Arc::clone(&counts) };
        thread::Builder::new()
            .name("flows".to_owned())
            .spawn(move || {
                let mut rest = REST;
                while ended.recv_timeout(rest) == Err(mpsc::RecvTimeoutError::Timeout) {
                    let begun = Instant::now();
                    sweeper.sweep();
                    rest = REST.max(begun.elapsed() * SHARE);
                }
            })
            .map_err(|error| DataplaneError::file("start the thread that sweeps", map::FLOWS, error))?;
        Ok(Self { _running: running, counts })
    }

    /// Flows of a backend at the last sweep.
    #[must_use]
    pub(super) fn count(&self, slot: u32, row: u8) -> u32 {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get(&(slot, row)).copied().unwrap_or(0)
    }
}

struct Sweeper {
    table: Table,
    full: bool,
    counts: Arc<Mutex<Counts>>,
}

impl Sweeper {
    fn sweep(&mut self) {
        match self.table.sweep(now()) {
            Ok((counts, used)) => {
                self.judge(used);
                *self.counts.lock().unwrap_or_else(PoisonError::into_inner) = counts;
            }
            Err(error) => tracing::error!(%error, "flows that have ended stay"),
        }
    }

    /// Says when the table gets full, once each time.
    fn judge(&mut self, used: u32) {
        let room = self.table.room;
        let full = u64::from(used) * 10 >= u64::from(room) * NEARLY_FULL;
        if full && !self.full {
            tracing::warn!(
                flows = used / 2,
                max_flows = room / 2,
                "the table of flows is nearly full: raise gateway.max_flows; those beyond it may be forgotten"
            );
        }
        self.full = full;
    }
}

/// The pinned table.
struct Table {
    all: MapData,
    /// The same once more, for single entries.
    entries: HashMap<MapData, Shared<Direction>, Shared<Translation>>,
    room: u32,
}

impl Table {
    fn open(directory: &Path) -> Result<Self, DataplaneError> {
        let all = pinned(directory, map::FLOWS)?;
        let room = all.info().map_err(failed(map::FLOWS, "look at"))?.max_entries();
        let entries = HashMap::try_from(typed(directory, map::FLOWS)?).map_err(failed(map::FLOWS, "open"))?;
        Ok(Self { all, entries, room })
    }

    /// Takes out what has ended. Returns the flows left, and the entries in use.
    fn sweep(&mut self, now: u32) -> Result<(Counts, u32), DataplaneError> {
        let (mut counts, mut used, mut ended) = (Counts::new(), 0, Vec::new());
        batch::each(&self.all, map::FLOWS, |direction: &Direction, entry: &Translation| {
            used += 1;
            let other = self.get(&entry.renamed.back());
            let paired = other.filter(|other| other.renamed.back() == *direction);
            let seen = paired.map_or(entry.seen, |other| later(entry.seen, other.seen, now));
            if now.saturating_sub(seen) >= limit(direction, entry, paired.is_some()) {
                ended.push(*direction);
            } else if entry.toward == toward::BACKEND && !entry.is_closed() {
                *counts.entry((entry.slot, entry.backend)).or_default() += 1;
            }
        })?;
        for direction in &ended {
            // Gone already, if the program was faster.
            let _ = self.entries.remove(&Shared(*direction));
        }
        Ok((counts, used - ended.len() as u32))
    }

    fn get(&self, direction: &Direction) -> Option<Translation> {
        self.entries.get(&Shared(*direction), 0).ok().map(|entry| entry.0)
    }
}

/// Seconds without a packet after which an entry goes; one whose other direction is not there (`paired`) is of no use.
fn limit(direction: &Direction, entry: &Translation, paired: bool) -> u32 {
    let half = state::CLIENT_CLOSED | state::BACKEND_CLOSED;
    match () {
        () if !paired || entry.is_closed() => CLOSED,
        () if direction.source.protocol() == protocol::UDP => DATAGRAMS,
        () if entry.state & half != 0 => HALF_CLOSED,
        () => ESTABLISHED,
    }
}

fn later(one: u32, other: u32, now: u32) -> u32 {
    // What a CPU has seen a moment after `now` is not long ago.
    one.max(other).min(now)
}

/// Seconds of the clock that the program reads.
fn now() -> u32 {
    let seconds = clock_gettime(ClockId::CLOCK_MONOTONIC).map_or(0, |time| time.tv_sec());
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use fastswitch_common::abi::Endpoint;
    use fastswitch_common::address::Address;

    use super::*;

    fn flow(protocol: u8, state: u8) -> (Direction, Translation) {
        let end = |last| Endpoint::new(Address::v4([10, 0, 0, last]), 80, protocol);
        let direction = Direction { source: end(1), destination: end(2) };
        let renamed = Direction { source: end(3), destination: end(4) };
        let translation =
            Translation { renamed, slot: 0, seen: 0, toward: toward::BACKEND, backend: 0, state, _pad: 0 };
        (direction, translation)
    }

    #[test]
    fn a_flow_is_kept_for_as_long_as_its_state_asks_for() {
        let kept = |protocol, state| {
            let (direction, entry) = flow(protocol, state);
            limit(&direction, &entry, true)
        };
        assert_eq!(kept(protocol::TCP, state::ANSWERED), ESTABLISHED);
        assert_eq!(kept(protocol::TCP, state::CLIENT_CLOSED), HALF_CLOSED);
        assert_eq!(kept(protocol::TCP, state::BACKEND_CLOSED), HALF_CLOSED);
        assert_eq!(kept(protocol::TCP, state::CLIENT_CLOSED | state::BACKEND_CLOSED), CLOSED);
        assert_eq!(kept(protocol::TCP, state::RESET), CLOSED);
        assert_eq!(kept(protocol::UDP, state::ANSWERED), DATAGRAMS);
    }

    #[test]
    fn half_a_flow_is_of_no_use() {
        let (direction, entry) = flow(protocol::TCP, state::ANSWERED);
        assert_eq!(limit(&direction, &entry, false), CLOSED);
    }
}
