//! A client that opens a new connection at a fixed rate and remembers how each one went.
//!
//! Attempts start on schedule, whatever became of earlier ones: an outage is seen at the full rate.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::lab::Namespace;
use crate::{http, wait};

/// What a load client does.
#[derive(Clone, Copy, Debug)]
pub struct LoadOptions {
    /// Whom it asks for `/whoami`.
    pub target: SocketAddr,
    /// From one attempt's start to the next one's; at least 1 ms.
    pub every: Duration,
    /// For one attempt, from its start to the whole answer.
    pub timeout: Duration,
}

impl LoadOptions {
    /// An attempt each `every`, which may take two seconds.
    pub fn new(target: SocketAddr, every: Duration) -> LoadOptions {
        LoadOptions { target, every, timeout: Duration::from_secs(2) }
    }
}

/// One connection: opened, asked, closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When it began, since the client's start.
    pub start: Duration,
    /// From then to its outcome.
    pub latency: Duration,
    /// What became of it.
    pub outcome: Outcome,
}

impl Attempt {
    /// When its outcome was known, since the client's start.
    pub fn end(&self) -> Duration {
        self.start + self.latency
    }

    /// The backend that answered.
    pub fn backend(&self) -> Option<&str> {
        match &self.outcome {
            Outcome::Answer(backend) => Some(backend),
            Outcome::Failure(_) => None,
        }
    }

    /// Whether this backend answered.
    pub fn answered_by(&self, backend: &str) -> bool {
        self.backend() == Some(backend)
    }
}

/// What became of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The backend of this name answered.
    Answer(String),
    /// No whole answer came.
    Failure(Failure),
}

/// Why there was no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// The attempt to connect was rejected.
    Refused,
    /// The connection was reset, or ended before the whole answer.
    Reset,
    /// A router said that there is no way.
    Unreachable,
    /// Nothing came in time.
    TimedOut,
    /// The answer was not 200, or something else failed.
    Other,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::Refused => "refused",
            Failure::Reset => "reset",
            Failure::Unreachable => "unreachable",
            Failure::TimedOut => "timed out",
            Failure::Other => "other",
        })
    }
}

/// A running load client; dropping it ends it.
pub struct LoadClient {
    origin: Instant,
    attempts: Arc<Mutex<Vec<Attempt>>>,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<anyhow::Result<()>>>,
}

impl LoadClient {
    /// Starts one in a namespace.
    ///
    /// # Errors
    /// When no thread can be had. That the namespace is gone is an error of [`LoadClient::finish`].
    pub fn start(namespace: Namespace, options: LoadOptions) -> anyhow::Result<LoadClient> {
        let (end, ended) = oneshot::channel();
        let attempts = Arc::new(Mutex::new(Vec::new()));
        let client = Client { origin: Instant::now(), options, attempts: attempts.clone() };
        let origin = client.origin;
        // A thread of its own, and all sockets on it: namespaces belong to threads.
        let thread = std::thread::Builder::new().name("load".into()).spawn(move || {
            namespace.enter()?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(client.run(ended));
            Ok(())
        })?;
        Ok(LoadClient { origin, attempts, end: Some(end), thread: Some(thread) })
    }

    /// Now, on the clock of [`Attempt::start`].
    pub fn now(&self) -> Duration {
        self.origin.elapsed()
    }

    /// What has been seen so far, in the order of outcomes.
    pub fn attempts(&self) -> Vec<Attempt> {
        lock(&self.attempts).clone()
    }

    /// Waits for an attempt, started at `since` or later, that `is_it`; `what` names it in the error.
    ///
    /// # Errors
    /// When none comes in `limit`.
    pub fn wait_for(
        &self,
        what: &str,
        since: Duration,
        limit: Duration,
        is_it: impl Fn(&Attempt) -> bool,
    ) -> anyhow::Result<Attempt> {
        wait::until(&format!("client sees: {what}"), limit, || {
            let attempts = lock(&self.attempts);
            Ok(attempts.iter().find(|attempt| attempt.start >= since && is_it(attempt)).cloned())
        })
    }

    /// Starts no further attempts, waits for those that are open, and gives all of them in the order of outcomes.
    ///
    /// # Errors
    /// When the client failed to run at all.
    pub fn finish(mut self) -> anyhow::Result<Vec<Attempt>> {
        drop(self.end.take());
        if let Some(thread) = self.thread.take() {
            thread.join().map_err(|_| anyhow::anyhow!("the load client panicked"))??;
        }
        Ok(std::mem::take(&mut lock(&self.attempts)))
    }
}

struct Client {
    origin: Instant,
    options: LoadOptions,
    attempts: Arc<Mutex<Vec<Attempt>>>,
}

impl Client {
    async fn run(self, mut ended: oneshot::Receiver<()>) {
        let mut schedule = tokio::time::interval(self.options.every.max(Duration::from_millis(1)));
        // After a stall of this machine: no burst, which would look like another load.
        schedule.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                _ = schedule.tick() => {
                    open.spawn(attempt(self.origin, self.options, self.attempts.clone()));
                }
                Some(_) = open.join_next(), if !open.is_empty() => {}
                _ = &mut ended => break,
            }
        }
        while open.join_next().await.is_some() {}
    }
}

async fn attempt(origin: Instant, options: LoadOptions, attempts: Arc<Mutex<Vec<Attempt>>>) {
    let start = origin.elapsed();
    let outcome = match tokio::time::timeout(options.timeout, ask(options.target)).await {
        Ok(Ok(backend)) => Outcome::Answer(backend),
        Ok(Err(failure)) => Outcome::Failure(failure),
        Err(_) => Outcome::Failure(Failure::TimedOut),
    };
    let latency = origin.elapsed().saturating_sub(start);
    lock(&attempts).push(Attempt { start, latency, outcome });
}

async fn ask(target: SocketAddr) -> Result<String, Failure> {
    let response = exchange(target).await.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => Failure::Refused,
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionAborted => {
            Failure::Reset
        }
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => Failure::Unreachable,
        io::ErrorKind::TimedOut => Failure::TimedOut,
        _ => Failure::Other,
    })?;
    match http::parse(&response) {
        Some((200, backend)) => Ok(backend.to_owned()),
        Some(_) => Err(Failure::Other),
        None => Err(Failure::Reset),
    }
}

async fn exchange(target: SocketAddr) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(target).await?;
    stream.write_all(http::request(target, "/whoami").as_bytes()).await?;
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await?;
    Ok(response)
}

fn lock(attempts: &Mutex<Vec<Attempt>>) -> MutexGuard<'_, Vec<Attempt>> {
    attempts.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What attempts amount to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// How many there were.
    pub attempts: usize,
    /// How many each backend answered.
    pub answers: BTreeMap<String, usize>,
    /// How many failed, and how.
    pub failures: BTreeMap<Failure, usize>,
    /// The longest time from one answer to the next.
    pub outage: Duration,
    /// Median time to an answer; zero without answers.
    pub median: Duration,
    /// 99 of 100 answers took at most this; zero without answers.
    pub p99: Duration,
}

impl Summary {
    /// How many attempts failed.
    pub fn failed(&self) -> usize {
        self.failures.values().sum()
    }

    /// Of the attempts whose outcome came from `from` to `to`. The outage may have begun before `from`.
    pub fn of(attempts: &[Attempt], from: Duration, to: Duration) -> Summary {
        let mut summary = Summary::default();
        let mut latencies = Vec::new();
        for attempt in attempts.iter().filter(|attempt| (from..=to).contains(&attempt.end())) {
            summary.attempts += 1;
            match &attempt.outcome {
                Outcome::Answer(backend) => {
                    *summary.answers.entry(backend.clone()).or_default() += 1;
                    latencies.push(attempt.latency);
                }
                Outcome::Failure(failure) => *summary.failures.entry(*failure).or_default() += 1,
            }
        }
        summary.outage = outage(attempts, from, to);
        summary.median = percentile(&mut latencies, 50);
        summary.p99 = percentile(&mut latencies, 99);
        summary
    }
}

/// The longest time without an answer that ended from `from` to `to`.
pub fn outage(attempts: &[Attempt], from: Duration, to: Duration) -> Duration {
    let mut answers: Vec<Duration> =
        attempts.iter().filter(|attempt| attempt.backend().is_some()).map(Attempt::end).collect();
    answers.sort_unstable();
    let gaps = answers.windows(2).filter_map(|pair| match pair {
        [before, after] if (from..=to).contains(after) => Some(*after - *before),
        _ => None,
    });
    gaps.max().unwrap_or_default()
}

/// The smallest value that `percent` of 100 values do not exceed; zero without values. Sorts them.
pub fn percentile(values: &mut [Duration], percent: usize) -> Duration {
    values.sort_unstable();
    let rank = (values.len() * percent).div_ceil(100);
    values.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn answer(start: u64, latency: u64) -> Attempt {
        Attempt { start: ms(start), latency: ms(latency), outcome: Outcome::Answer("primary".into()) }
    }

    fn refused(start: u64) -> Attempt {
        Attempt { start: ms(start), latency: ms(1), outcome: Outcome::Failure(Failure::Refused) }
    }

    #[test]
    fn an_outage_lasts_from_answer_to_answer_also_of_attempts_that_hung() {
        // The one that began at 10 hung until 60, beyond those that began later.
        let attempts = [answer(0, 1), answer(5, 1), refused(20), answer(40, 1), answer(10, 50)];
        assert_eq!(outage(&attempts, ms(0), ms(100)), ms(35));
        assert_eq!(outage(&attempts, ms(0), ms(10)), ms(5));
        assert_eq!(outage(&attempts, ms(45), ms(100)), ms(19));
        assert_eq!(outage(&[], ms(0), ms(100)), ms(0));
    }

    #[test]
    fn summary_counts_outcomes_in_the_window() {
        let attempts = [answer(0, 1), answer(10, 3), refused(20), answer(90, 1)];
        let summary = Summary::of(&attempts, ms(5), ms(50));
        assert_eq!((summary.attempts, summary.failed(), summary.answers["primary"]), (2, 1, 1));
        assert_eq!(summary.p99, ms(3));
    }

    #[test]
    fn percentiles_by_nearest_rank() {
        let mut values: Vec<Duration> = (1..=20).rev().map(ms).collect();
        assert_eq!(percentile(&mut values, 50), ms(10));
        assert_eq!(percentile(&mut values, 99), ms(20));
        assert_eq!(percentile(&mut [ms(7)], 50), ms(7));
        assert_eq!(percentile(&mut [], 50), ms(0));
    }
}
