//! The pure core: what is wanted ([`spec`]) and, from inputs and the time, what to do.
//!
//! It owns every decision. It refuses to know clocks, files, sockets, maps, tasks and randomness: standard
//! library only, everything else comes in as a value.

mod commands;
mod drain;
mod effect;
mod health;
mod launch;
mod service;
pub mod spec;
mod starts;
mod view;

use std::fmt;
use std::ops::Add;
use std::time::Duration;

pub use drain::{DrainEnd, Draining, Left, SETTLING};
pub use effect::{Cause, Effect, Event, Position};
pub use health::{Health, State};
pub use launch::{Launched, RETRY_PAUSE_MAX};
pub use service::{Freeze, Machine, Refused, Restored};
pub use view::{BackendView, Hold, Role, View};

/// A moment, as the time since a fixed origin of the caller's choice; never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Time(pub Duration);

impl Time {
    /// How long after `earlier` this is; zero if it is not.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

/// A service, by its position in [`spec::Spec::services`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(pub usize);

/// A backend, by its position in [`spec::Service::backends`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BackendId(pub usize);

/// Names an incident in log lines and script environments: 32 hex digits, as a trace-id of W3C Trace Context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(pub u128);

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What one heartbeat round found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// A healthy answer.
    Success {
        /// From the question to the answer.
        rtt: Duration,
    },
    /// No healthy answer; why.
    Failure(Failure),
    /// This process itself was held up beyond the interval: the round says nothing about the backend.
    Stalled,
}

/// Why a heartbeat failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The port is closed.
    Refused,
    /// No answer in time.
    Timeout,
    /// The network says that there is no way to it.
    Unreachable,
    /// The connection ended before the answer.
    Reset,
    /// An HTTP status outside the expected ones.
    Status(u16),
    /// An answer that is not one; what is wrong with it.
    Garbled(String),
    /// The heartbeat could not be sent; the system's words.
    Local(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => f.write_str("connection refused"),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Unreachable => f.write_str("unreachable"),
            Self::Reset => f.write_str("connection reset"),
            Self::Status(status) => write!(f, "HTTP status {status}"),
            Self::Garbled(what) => write!(f, "garbled answer: {what}"),
            Self::Local(what) => write!(f, "could not be sent: {what}"),
        }
    }
}

/// Which of a backend's scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptKind {
    /// `start`.
    Start,
    /// `stop`.
    Stop,
}

impl ScriptKind {
    /// The word in configuration and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
        }
    }
}
