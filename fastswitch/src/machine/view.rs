//! What people see of a service: roles, health and, for each backend, why it may not become active.

use std::fmt;
use std::time::Duration;

use super::launch::Launch;
use super::service::{Freeze, Machine};
use super::spec::Tier;
use super::{BackendId, Cause, Draining, Failure, Position, State, Time};

/// A service as it is now.
#[derive(Debug, Clone)]
pub struct View {
    /// Where packets go.
    pub position: Position,
    /// Why the active backend is active.
    pub cause: Cause,
    /// The drain that goes on, if one does.
    pub draining: Option<Draining>,
    /// Whether automation acts.
    pub freeze: Freeze,
    /// By backend.
    pub backends: Vec<BackendView>,
}

/// A backend as it is now.
#[derive(Debug, Clone)]
pub struct BackendView {
    /// What it does.
    pub role: Role,
    /// What heartbeats say.
    pub health: State,
    /// Whether an operator put it into maintenance.
    pub maintenance: bool,
    /// Why it may not become active; empty: it is eligible.
    pub holds: Vec<Hold>,
    /// Round-trip time of the last healthy heartbeat.
    pub rtt: Option<Duration>,
    /// Heartbeat rounds that did not count because this process was held up.
    pub stalled: u64,
}

/// What a backend does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Packets go to it.
    Active,
    /// Was active when the outage began: packets of existing connections still go to it.
    Last,
    /// Could become active: hot, or started.
    Standby,
    /// Warm and not started.
    Warm,
    /// Cold and not started.
    Cold,
    /// Being started.
    Starting,
    /// Being stopped.
    Stopping,
}

impl Role {
    /// The word in `status`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Last => "last",
            Self::Standby => "standby",
            Self::Warm => "warm",
            Self::Cold => "cold",
            Self::Starting => "starting",
            Self::Stopping => "stopping",
        }
    }
}

/// Why a backend may not become active.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hold {
    /// An operator put it into maintenance.
    Maintenance,
    /// Heartbeats say that it is down.
    Down(Option<Failure>),
    /// No heartbeat has said anything yet.
    Unknown,
    /// Warm or cold, and not started.
    NotStarted,
    /// Being started.
    Starting,
    /// Being stopped.
    Stopping,
    /// The last attempt to start it failed.
    StartFailed {
        /// What went wrong.
        why: String,
        /// Until it may be tried again.
        pause: Duration,
    },
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Maintenance => f.write_str("in maintenance"),
            Self::Down(Some(failure)) => write!(f, "down: {failure}"),
            Self::Down(None) => f.write_str("down"),
            Self::Unknown => f.write_str("no heartbeat yet"),
            Self::NotStarted => f.write_str("not started"),
            Self::Starting => f.write_str("starting"),
            Self::Stopping => f.write_str("stopping"),
            Self::StartFailed { why, pause } if pause.is_zero() => {
                write!(f, "not started: the last attempt failed: {why}")
            }
            Self::StartFailed { why, pause } => {
                write!(f, "start failed: {why}; next attempt possible in {:.0} s", pause.as_secs_f64().ceil())
            }
        }
    }
}

impl Machine {
    /// The service as it is now.
    #[must_use]
    pub fn view(&self, now: Time) -> View {
        let backends =
            (0..self.backends.len()).map(|index| self.backend_view(BackendId(index), now)).collect();
        View {
            position: self.position,
            cause: self.cause,
            draining: self.draining(),
            freeze: self.freeze,
            backends,
        }
    }

    /// Whether a backend may become active.
    pub(super) fn is_eligible(&self, id: BackendId) -> bool {
        let backend = self.state(id);
        let in_transit = matches!(backend.launcher.launch, Launch::Ending { .. } | Launch::Stopping { .. });
        backend.health.state() == State::Up && !backend.maintenance && !in_transit
    }

    /// Why a backend may not become active. Empty exactly if [`Machine::is_eligible`].
    pub(super) fn holds(&self, id: BackendId, now: Time) -> Vec<Hold> {
        let backend = self.state(id);
        let mut holds = Vec::new();
        if backend.maintenance {
            holds.push(Hold::Maintenance);
        }
        let health = backend.health.state();
        match &backend.launcher.launch {
            Launch::Ending { .. } | Launch::Stopping { .. } => holds.push(Hold::Stopping),
            _ if health == State::Up => {}
            Launch::Starting { .. } => holds.push(Hold::Starting),
            Launch::Pausing { until } => holds.push(match backend.launcher.error.clone() {
                Some(why) => Hold::StartFailed { why, pause: until.since(now) },
                None => Hold::NotStarted,
            }),
            Launch::Idle if self.tier(id) != Tier::Hot => holds.push(Hold::NotStarted),
            Launch::Idle | Launch::Running { .. } => holds.push(match health {
                State::Unknown => Hold::Unknown,
                _ => Hold::Down(backend.health.failure().cloned()),
            }),
        }
        holds
    }

    fn backend_view(&self, id: BackendId, now: Time) -> BackendView {
        let backend = self.state(id);
        let target = self.position.active == Some(id);
        let role = match (&backend.launcher.launch, self.tier(id)) {
            _ if target && !self.position.outage => Role::Active,
            (Launch::Starting { .. }, _) => Role::Starting,
            (Launch::Ending { .. } | Launch::Stopping { .. }, _) => Role::Stopping,
            _ if target => Role::Last,
            _ if backend.health.state() == State::Up => Role::Standby,
            (_, Tier::Hot) => Role::Standby,
            (_, Tier::Warm) => Role::Warm,
            (_, Tier::Cold) => Role::Cold,
        };
        BackendView {
            role,
            health: backend.health.state(),
            maintenance: backend.maintenance,
            holds: self.holds(id, now),
            rtt: backend.health.rtt(),
            stalled: backend.health.stalled(),
        }
    }
}
