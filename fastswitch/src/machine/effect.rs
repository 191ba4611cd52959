//! What comes out of the machine: actions for the driver to execute, events for people to read.

use std::time::Duration;

use super::{BackendId, DrainEnd, Failure, State, TraceId};

/// Where packets of a service go: the meaning of its switch word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The active backend; it stays in place during an outage, for what still arrives.
    pub active: Option<BackendId>,
    /// The one that keeps the TCP connections it had when it stopped being active by plan.
    pub draining: Option<BackendId>,
    /// Whether new connections get the `on_outage` answer.
    pub outage: bool,
    /// Number of this decision; each raises it by one, wrapping.
    pub epoch: u32,
}

/// Why the active backend is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// First in the configuration, taken at the first start.
    Initial,
    /// The one before failed.
    Failover,
    /// Return to a preferred backend.
    Failback,
    /// An operator's switch.
    Operator,
    /// An operator's switch to a backend that was not eligible.
    Forced,
    /// An operator put the one before into maintenance.
    Maintenance,
    /// The one before left the configuration.
    Reconfigured,
}

impl Cause {
    /// The word in logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Failover => "failover",
            Self::Failback => "failback",
            Self::Operator => "operator",
            Self::Forced => "forced",
            Self::Maintenance => "maintenance",
            Self::Reconfigured => "reconfigured",
        }
    }

    /// What it means, for `status`.
    #[must_use]
    pub fn describe(self) -> &'static str {
        match self {
            Self::Initial => "first in the configuration",
            Self::Failover => "failover: the one before failed",
            Self::Failback => "failback: return to a preferred backend",
            Self::Operator => "switched by an operator",
            Self::Forced => "switched by an operator, forced",
            Self::Maintenance => "the one before was put into maintenance",
            Self::Reconfigured => "the one before left the configuration",
        }
    }
}

/// Something for the driver to do, in the order given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Store the switch word. Always the first effect of a decision.
    Store(Position),
    /// Note why the active backend is active and, after a store, that it is so since now.
    NoteCause(Cause),
    /// Note that the draining backend has so much time from now on.
    NoteDrain(Duration),
    /// Run the backend's start script.
    Start {
        /// Whose.
        backend: BackendId,
        /// The incident that asks for it.
        trace: TraceId,
        /// Why, in words.
        reason: &'static str,
    },
    /// End the backend's running start script.
    Abort {
        /// Whose.
        backend: BackendId,
    },
    /// Run the backend's stop script.
    Stop {
        /// Whose.
        backend: BackendId,
        /// The incident that asks for it.
        trace: TraceId,
        /// Why, in words.
        reason: &'static str,
    },
    /// The backend is no longer one that was started: nothing to remember about it.
    Forget {
        /// Which.
        backend: BackendId,
    },
    /// Tell people.
    Event {
        /// The incident that it belongs to.
        trace: Option<TraceId>,
        /// What happened.
        event: Event,
    },
}

/// Something that happened, for logs and whoever listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The active backend missed a heartbeat, the first of a row.
    Suspected {
        /// Which.
        backend: BackendId,
        /// Why the heartbeat failed.
        failure: Failure,
    },
    /// A suspected backend answered again before it was down.
    Cleared {
        /// Which.
        backend: BackendId,
    },
    /// A backend is up or down now.
    Health {
        /// Which.
        backend: BackendId,
        /// Its health now.
        state: State,
        /// The last failure, if it is down.
        failure: Option<Failure>,
    },
    /// Another backend is active now.
    Switched {
        /// The one before.
        from: Option<BackendId>,
        /// The active one.
        to: BackendId,
        /// Why.
        cause: Cause,
        /// Number of the decision.
        epoch: u32,
    },
    /// The backend from before a planned switch no longer keeps connections.
    Drained {
        /// Which.
        backend: BackendId,
        /// Why.
        end: DrainEnd,
        /// Connections that it still had when somebody looked last, if anybody did.
        left: Option<u64>,
    },
    /// No backend can serve: new connections get the `on_outage` answer.
    OutageBegan {
        /// The one that stays in place.
        last: Option<BackendId>,
    },
    /// The active backend can serve again.
    OutageEnded {
        /// Which.
        backend: BackendId,
    },
    /// A start script begins.
    Starting {
        /// Whose.
        backend: BackendId,
        /// Number of the attempt, from 1.
        attempt: u32,
    },
    /// A start script has ended well; now heartbeats decide.
    StartDone {
        /// Whose.
        backend: BackendId,
    },
    /// A started backend answers its heartbeats.
    Ready {
        /// Which.
        backend: BackendId,
        /// From the start of its script.
        after: Duration,
    },
    /// A start came to nothing.
    StartFailed {
        /// Whose.
        backend: BackendId,
        /// What went wrong.
        why: String,
        /// When it may be tried again.
        pause: Duration,
    },
    /// A running start is given up, because it is no longer needed.
    StartAborted {
        /// Whose.
        backend: BackendId,
    },
    /// A stop script begins.
    Stopping {
        /// Whose.
        backend: BackendId,
    },
    /// A stop script has ended.
    Stopped {
        /// Whose.
        backend: BackendId,
        /// What went wrong, if anything.
        error: Option<String>,
    },
    /// Automation is frozen.
    Frozen,
    /// Automation goes on.
    Unfrozen,
    /// An operator put a backend into maintenance or took it out.
    Maintenance {
        /// Which.
        backend: BackendId,
        /// Whether it is in maintenance now.
        on: bool,
    },
}
