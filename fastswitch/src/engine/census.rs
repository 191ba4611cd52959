//! Counts connections, on a thread of its own, for a walk through their table takes milliseconds: for whoever asks for
//! the status, and for the machines while something drains. It refuses to decide what a count means.

use std::collections::BTreeSet;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use super::clock::monotonic;
use crate::control::wire::{self, Response};
use crate::dataplane::{Connections, Counts, DataplaneError};
use crate::machine::spec::{Mode, Protocol, Service, Spec};
use crate::machine::{Left, SETTLING, ServiceId};

/// Between two looks at what drains.
const LOOK: Duration = Duration::from_millis(250);
/// Between two clean-ups of the table.
const CLEAN_UP: Duration = Duration::from_secs(60);
/// Clients of the control socket that can wait at the same time.
const WAITING: usize = 128;

/// A status that lacks the counts.
struct Question {
    status: wire::Status,
    /// Of the services in it.
    services: Vec<ServiceId>,
    answer: oneshot::Sender<Response>,
}

/// What a look at a service's draining backend has found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) service: ServiceId,
    pub(super) left: Left,
}

/// The way to the thread, which ends with it.
#[derive(Debug)]
pub(super) struct Census {
    questions: SyncSender<Question>,
}

struct Counter {
    connections: Connections,
    /// By service; those without connections have none.
    rows: Vec<Vec<u32>>,
    found: mpsc::Sender<Found>,
}

impl Census {
    /// Starts the thread. `rows` are those of each service's backends; what drains is told to `found`.
    pub(super) fn start(
        connections: Connections,
        rows: Vec<Vec<u32>>,
        found: mpsc::Sender<Found>,
    ) -> io::Result<Self> {
        let (questions, asked) = sync_channel(WAITING);
        let counter = Counter { connections, rows, found };
        thread::Builder::new().name("census".to_owned()).spawn(move || counter.run(&asked))?;
        Ok(Self { questions })
    }

    /// Completes a status and sends it; without counts, if too many wait for theirs.
    pub(super) fn complete(
        &self,
        status: wire::Status,
        services: Vec<ServiceId>,
        answer: oneshot::Sender<Response>,
    ) {
        let question = Question { status, services, answer };
        if let Err(TrySendError::Full(question) | TrySendError::Disconnected(question)) =
            self.questions.try_send(question)
        {
            question.answer(None, &[]);
        }
    }
}

impl Question {
    fn answer(mut self, counts: Option<&Counts>, rows: &[Vec<u32>]) {
        for (service, id) in self.status.services.iter_mut().zip(&self.services) {
            if let (Some(counts), Some(rows)) = (counts, rows.get(id.0).filter(|rows| !rows.is_empty())) {
                service.count(rows.iter().map(|&row| counts.of(row)));
            }
        }
        // Whoever asked may be gone by now.
        let _ = self.answer.send(Response::Status(self.status));
    }
}

impl Counter {
    fn run(mut self, asked: &Receiver<Question>) {
        let (mut look, mut clean_up) = (Instant::now() + LOOK, Instant::now() + CLEAN_UP);
        loop {
            match asked.recv_timeout(look.saturating_duration_since(Instant::now())) {
                Ok(first) => self.answer(std::iter::once(first).chain(asked.try_iter())),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if Instant::now() >= look {
                report(self.look());
                look = Instant::now() + LOOK;
            }
            if Instant::now() >= clean_up {
                report(self.connections.clean(monotonic()).map(|gone| {
                    if gone > 0 {
                        tracing::debug!(gone, "connections without a sign of life are forgotten");
                    }
                }));
                clean_up = Instant::now() + CLEAN_UP;
            }
        }
    }

    /// One walk for everybody who waits.
    fn answer(&self, questions: impl Iterator<Item = Question>) {
        let counts = self.connections.count();
        for question in questions {
            question.answer(counts.as_ref().ok(), &self.rows);
        }
        report(counts.map(drop));
    }

    /// Tells of everything that drains.
    fn look(&self) -> Result<(), DataplaneError> {
        // Read before the table, so that a count of another epoch is known as such.
        let draining = |(service, rows): (usize, &Vec<u32>)| {
            let (row, epoch) = self.connections.draining(*rows.first()?)?;
            Some((ServiceId(service), row, epoch))
        };
        let draining: Vec<_> = self.rows.iter().enumerate().filter_map(draining).collect();
        if draining.is_empty() {
            return Ok(());
        }
        let counts = self.connections.count()?;
        let empty: BTreeSet<u32> =
            draining.iter().map(|(_, row, _)| *row).filter(|row| counts.of(*row) == 0).collect();
        let settling = u64::try_from(SETTLING.as_nanos()).unwrap_or(u64::MAX);
        let unsettled = if empty.is_empty() {
            BTreeSet::new()
        } else {
            self.connections.unsettled(&empty, settling, monotonic())?
        };
        for (service, row, epoch) in draining {
            let left = Left { epoch, connections: counts.of(row), settled: !unsettled.contains(&row) };
            // An engine that has no time for it is told the next time.
            let _ = self.found.try_send(Found { service, left });
        }
        Ok(())
    }
}

/// The rows of each service's backends, for services whose connections are in the table. Those of mode `full_nat` are among
/// its flows.
pub(super) fn rows(spec: &Spec, rows: impl Fn(ServiceId) -> Vec<u32>) -> Vec<Vec<u32>> {
    let of = |(index, service): (usize, &Service)| match (service.protocol, service.mode) {
        (Protocol::Tcp, Mode::Nat | Mode::Dsr) => rows(ServiceId(index)),
        (Protocol::Tcp, Mode::FullNat) | (Protocol::Udp, _) => Vec::new(),
    };
    spec.services.iter().enumerate().map(of).collect()
}

fn report(outcome: Result<(), DataplaneError>) {
    if let Err(error) = outcome {
        tracing::error!(%error, "connections cannot be counted");
    }
}
