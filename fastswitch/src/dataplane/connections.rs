//! The table of TCP connections, read and kept clean beside the packets and beside whoever decides: a walk through it
//! takes milliseconds.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::Path;

use aya::maps::{HashMap, MapData, MapError};
use fastswitch_common::abi::{Flow, MAX_BACKENDS, MAX_SERVICES, map, row};
use fastswitch_common::connection::Connection;
use fastswitch_common::mark::{self, Mark};
use fastswitch_common::word::SwitchWord;

use super::batch;
use super::error::DataplaneError;
use super::tables::{Shared, failed, pinned, typed};
use super::words::Words;

const SECOND: u64 = 1_000_000_000;
/// After so long without a segment an established connection is forgotten (RFC 5382, REQ-5: no sooner).
const ESTABLISHED: u64 = (2 * 60 + 4) * 60 * SECOND;
/// The same of one that an end has ended, or that no packet goes to any more (the same there).
const TRANSITORY: u64 = 4 * 60 * SECOND;
/// Segments are not looked up, so after so long without having been, the next one is asked for.
const ASKED: u64 = 5 * 60 * SECOND;

/// The table of TCP connections.
pub struct Connections {
    switch: Words,
    marks: Words,
    half_open: MapData,
    connections: MapData,
    /// The same once more, to delete from.
    expired: HashMap<MapData, Shared<Flow>, Shared<Connection>>,
}

/// Established connections at a moment, of the backends that packets went to then.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    by_row: BTreeMap<u32, u64>,
}

impl Counts {
    /// Of the backend in this row.
    #[must_use]
    pub fn of(&self, row: u32) -> u64 {
        self.by_row.get(&row).copied().unwrap_or(0)
    }
}

impl Connections {
    /// Opens the maps pinned in `directory`.
    ///
    /// # Errors
    /// A pin is missing or not what its name says.
    pub(super) fn open(directory: &Path) -> Result<Self, DataplaneError> {
        Ok(Self {
            switch: Words::map(map::SWITCH, &pinned(directory, map::SWITCH)?, MAX_SERVICES, 1, 0)?,
            marks: Words::map(map::MARKS, &pinned(directory, map::MARKS)?, mark::BUCKETS, 1, 0)?,
            half_open: pinned(directory, map::HALF_OPEN)?,
            connections: pinned(directory, map::CONNECTIONS)?,
            expired: HashMap::try_from(typed(directory, map::CONNECTIONS)?)
                .map_err(failed(map::CONNECTIONS, "open"))?,
        })
    }

    /// The row of a service's draining backend, given any row of the service, and the epoch.
    #[must_use]
    pub fn draining(&self, of: u32) -> Option<(u32, u32)> {
        let slot = of / MAX_BACKENDS;
        let word = SwitchWord(self.switch.load(slot));
        word.draining().map(|draining| (row(slot, draining), word.epoch()))
    }

    /// Counts the established connections. Those of a backend that packets no longer go to are none.
    ///
    /// # Errors
    /// The system's, naming the map.
    pub fn count(&self) -> Result<Counts, DataplaneError> {
        let mut counts = Counts::default();
        batch::each(&self.connections, map::CONNECTIONS, |_: &Flow, connection: &Connection| {
            *counts.by_row.entry(connection.row).or_default() += 1;
        })?;
        counts.by_row.retain(|row, _| self.is_in_use(*row));
        Ok(counts)
    }

    /// Of these rows, those with a handshake, or the end of a connection, within `settling` before `now`; or with a
    /// connection that was found only by a drain. Nanoseconds, `now` of the monotonic clock.
    ///
    /// # Errors
    /// The system's, naming the map.
    pub fn unsettled(
        &self,
        rows: &BTreeSet<u32>,
        settling: u64,
        now: u64,
    ) -> Result<BTreeSet<u32>, DataplaneError> {
        let mut unsettled = BTreeSet::new();
        batch::each(&self.half_open, map::HALF_OPEN, |_: &Flow, connection: &Connection| {
            let limit = if connection.unknown != 0 { ESTABLISHED } else { settling };
            if now.saturating_sub(connection.seen) <= limit && rows.contains(&connection.row) {
                unsettled.insert(connection.row);
            }
        })?;
        Ok(unsettled)
    }

    /// Takes out the connections of which there has been no sign for too long, and marks those that are to give one. `now`
    /// is the monotonic clock's, in nanoseconds. Returns how many are gone.
    ///
    /// # Errors
    /// The system's, naming the map.
    pub fn clean(&mut self, now: u64) -> Result<usize, DataplaneError> {
        let mut expired = Vec::new();
        batch::each(&self.connections, map::CONNECTIONS, |flow: &Flow, connection: &Connection| {
            let silent = now.saturating_sub(connection.seen);
            let lives = !connection.is_ending() && self.is_in_use(connection.row);
            if silent > if lives { ESTABLISHED } else { TRANSITORY } {
                expired.push(*flow);
            } else if silent > ASKED {
                self.ask(flow);
            }
        })?;
        self.remove(&expired)
    }

    /// Takes out the connections of these rows, which are to be other backends'.
    pub(super) fn forget(&mut self, rows: &BTreeSet<u32>) -> Result<usize, DataplaneError> {
        let mut obsolete = Vec::new();
        batch::each(&self.connections, map::CONNECTIONS, |flow: &Flow, connection: &Connection| {
            if rows.contains(&connection.row) {
                obsolete.push(*flow);
            }
        })?;
        self.remove(&obsolete)
    }

    fn remove(&mut self, flows: &[Flow]) -> Result<usize, DataplaneError> {
        for flow in flows {
            match self.expired.remove(&Shared(*flow)) {
                Ok(()) => {}
                // The program was faster.
                Err(MapError::SyscallError(error)) if error.io_error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(failed(map::CONNECTIONS, "delete from")(error)),
            }
        }
        Ok(flows.len())
    }

    /// Has the program look the flow up once more. Marks that it sets at the same time may be lost.
    fn ask(&self, flow: &Flow) {
        let mark = Mark::of(&flow.client, &flow.server);
        self.marks.store(mark.bucket, mark.put_into(self.marks.load(mark.bucket)));
    }

    /// Whether packets go to the backend in this row.
    fn is_in_use(&self, row: u32) -> bool {
        let (slot, backend) = (row / MAX_BACKENDS, row % MAX_BACKENDS);
        if slot >= MAX_SERVICES {
            return false;
        }
        let word = SwitchWord(self.switch.load(slot));
        [word.active(), word.draining()].into_iter().flatten().any(|in_use| u32::from(in_use) == backend)
    }
}
