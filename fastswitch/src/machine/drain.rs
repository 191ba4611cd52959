//! Drains: after a planned switch the backend before keeps the connections that it has, until they have ended or its time
//! is up. A service has one draining backend at a time.

use std::time::Duration;

use super::service::Machine;
use super::spec::Protocol;
use super::{BackendId, Cause, Effect, Event, State, Time};

/// After so long without a sign of them, no handshake and no end of a connection is under way any more; and of those that
/// nobody has counted, a drain has met most.
pub const SETTLING: Duration = Duration::from_secs(2);

/// Why a drain has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainEnd {
    /// No connection was left.
    Empty,
    /// Its time was up.
    TimeUp,
    /// The draining backend is down.
    Down,
    /// Another one drains now.
    Superseded,
}

impl DrainEnd {
    /// The word in logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::TimeUp => "time_up",
            Self::Down => "down",
            Self::Superseded => "superseded",
        }
    }
}

/// What a look at the connections of a draining backend has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// The epoch that it was looked for in.
    pub epoch: u32,
    /// Established ones.
    pub connections: u64,
    /// Whether nothing is under way, by [`SETTLING`], and there is none that is not counted.
    pub settled: bool,
}

/// A drain as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draining {
    /// Which backend drains.
    pub backend: BackendId,
    /// When its time is up.
    pub until: Time,
    /// Connections that it had when somebody looked last.
    pub left: Option<u64>,
}

/// The drain that goes on, if one does.
#[derive(Debug, Clone)]
pub(super) struct Drain {
    began: Time,
    until: Time,
    left: Option<u64>,
    empty: bool,
}

impl Drain {
    pub(super) fn new(began: Time, until: Time) -> Self {
        Self { began, until, left: None, empty: false }
    }

    pub(super) fn until(&self) -> Time {
        self.until
    }

    pub(super) fn left(&self) -> Option<u64> {
        self.left
    }
}

impl Machine {
    /// Somebody has looked how many connections the draining backend still has.
    pub fn connections_left(&mut self, found: Left, now: Time, effects: &mut Vec<Effect>) {
        if self.position.draining.is_some() && found.epoch == self.position.epoch {
            let drain = &mut self.drain;
            drain.left = Some(found.connections);
            drain.empty = found.connections == 0 && found.settled && now.since(drain.began) >= SETTLING;
        }
        self.evaluate(now, effects);
    }

    /// The drain that goes on.
    #[must_use]
    pub fn draining(&self) -> Option<Draining> {
        let Drain { until, left, .. } = self.drain;
        self.position.draining.map(|backend| Draining { backend, until, left })
    }

    /// Whether there is anything to drain: datagrams belong to no connection.
    pub(super) fn has_connections(&self) -> bool {
        self.spec.protocol == Protocol::Tcp
    }

    /// Which backend drains once `to` has become active, and for how long if its drain begins then.
    ///
    /// What drains already goes on, for nothing that is healthy is cut off: unless its place is needed.
    pub(super) fn drain_after(
        &self,
        to: BackendId,
        cause: Cause,
        drain: Duration,
    ) -> (Option<BackendId>, Option<Duration>) {
        let planned = cause != Cause::Failover && !self.position.outage;
        let begins = planned && !drain.is_zero() && self.has_connections();
        let healthy = |id: &BackendId| *id != to && self.state(*id).health.state() != State::Down;
        match self.position.active.filter(healthy).filter(|_| begins) {
            Some(before) => (Some(before), Some(drain)),
            None => (self.position.draining.filter(|&draining| draining != to), None),
        }
    }

    /// The drain that [`Machine::drain_after`] has found begins with a switch that is stored.
    pub(super) fn begin_drain(&mut self, drain: Duration, effects: &mut Vec<Effect>) {
        self.drain = Drain::new(self.now, self.now + drain);
        effects.push(Effect::NoteDrain(drain));
    }

    /// The drain that goes on gets `drain` from now on.
    pub(super) fn change_drain(&mut self, drain: Duration, effects: &mut Vec<Effect>) {
        if self.position.draining.is_some() {
            self.drain.until = self.now + drain;
            effects.push(Effect::NoteDrain(drain));
        }
    }

    /// Ends a drain whose time is up, or whose backend has nothing more to give.
    pub(super) fn end_drain(&mut self, effects: &mut Vec<Effect>) {
        let Some(backend) = self.position.draining else { return };
        let end = if self.state(backend).health.state() == State::Down {
            DrainEnd::Down
        } else if self.drain.empty {
            DrainEnd::Empty
        } else if self.now >= self.drain.until {
            DrainEnd::TimeUp
        } else {
            return;
        };
        self.store(super::Position { draining: None, ..self.position }, effects);
        self.tell(None, Event::Drained { backend, end, left: self.drain.left }, effects);
    }
}
