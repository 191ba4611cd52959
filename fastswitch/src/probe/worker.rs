//! A prober thread: one runtime, one timer, one watch, and a task for each target.
//!
//! It owns the start and the end of that thread's work. It refuses to share the runtime with anything else.

use std::future::Future;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};

use super::clock::Clock;
use super::question::{Question, Tools};
use super::round::{self, Rounds};
use super::watch::Watch;
use super::{Report, Target};

/// What the worker tells the one who started it: whether it asks now.
pub(super) type Ready = std::sync::mpsc::SyncSender<io::Result<()>>;

/// Asks `targets` until `stopped` resolves or every receiver is gone.
pub(super) fn run(
    targets: &[Target],
    reports: &mpsc::Sender<Report>,
    stopped: oneshot::Receiver<()>,
    ready: &Ready,
) {
    // One look at the sockets has to see everything that has arrived: otherwise, after a hold-up, deadlines would be
    // noticed before the answers that were there in time.
    let events = targets.len() + 64;
    let runtime = Builder::new_current_thread()
        .enable_io()
        .max_io_events_per_tick(events)
        .build_local(LocalOptions::default());
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return answer(ready, Err(error)),
    };
    runtime.block_on(async {
        let started = begin(targets, reports);
        let running = started.is_ok();
        answer(ready, started);
        if running {
            // An error means that the other end is gone, which is the same wish.
            let _ = stopped.await;
        }
    });
}

fn answer(ready: &Ready, started: io::Result<()>) {
    // Nobody listening means that nobody waits for it.
    let _ = ready.send(started);
}

/// Spawns every task of `targets` on the current local runtime.
pub(super) fn begin(targets: &[Target], reports: &mpsc::Sender<Report>) -> io::Result<()> {
    let questions = targets.iter().map(Question::new).collect::<io::Result<Vec<_>>>()?;
    let patience = |target: &Target| round::patience(&target.heartbeat);
    let Some(shortest) = targets.iter().map(patience).min() else { return Ok(()) };
    let longest = targets.iter().map(|target| target.heartbeat.timeout).max().unwrap_or(shortest);

    let clock = Rc::new(Clock::open()?);
    let watch = Rc::new(Watch::new(shortest, longest, Instant::now()));
    let tools = Rc::new(Tools::open(Rc::clone(&clock), &questions)?);
    spawn(Rc::clone(&clock), |clock| async move { clock.drive().await });
    spawn(Rc::clone(&tools), |tools| async move { tools.receive_echoes().await });
    spawn((clock, Rc::clone(&watch)), |(clock, watch)| async move { watch.run(&clock).await });

    let begin = Instant::now();
    for (position, (target, question)) in targets.iter().zip(questions).enumerate() {
        let rounds = Rounds {
            target: target.clone(),
            question,
            first: begin + stagger(position, target.heartbeat.interval),
            tools: Rc::clone(&tools),
            watch: Rc::clone(&watch),
            reports: reports.clone(),
        };
        spawn(rounds, |rounds| rounds.run());
    }
    Ok(())
}

/// Spawns a task that lives as long as the runtime.
fn spawn<T, F: Future<Output = ()> + 'static>(owned: T, task: impl FnOnce(T) -> F) {
    drop(tokio::task::spawn_local(task(owned)));
}

/// When the target at `position` begins within its interval. Multiples of the golden ratio fill the interval evenly
/// however many targets there are, and whichever of them share an interval.
pub(super) fn stagger(position: usize, interval: Duration) -> Duration {
    const GOLDEN_FRACTION: u64 = 0x9e37_79b9_7f4a_7c15;
    let fraction = (position as u64).wrapping_mul(GOLDEN_FRACTION);
    let nanoseconds = (interval.as_nanos() * u128::from(fraction)) >> 64;
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}
