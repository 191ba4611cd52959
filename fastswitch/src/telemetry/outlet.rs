//! The log's way out: a bounded queue of lines, and a thread that writes them.
//!
//! It owns what happens while nobody takes the lines: those that do not fit are dropped and counted. It refuses to make
//! anybody wait who logs, and to end the process because the sink fails.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// Bytes that may wait for the sink: minutes of a daemon that has much to say.
const ROOM: usize = 1 << 20;

/// Where lines are put, each with one `write`. Clones share the queue.
#[derive(Debug, Clone)]
pub(super) struct Outlet {
    queue: Arc<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    /// There is a line.
    filled: Condvar,
    /// Every line is written.
    drained: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    /// Of all lines that wait.
    bytes: usize,
    /// Lines lost that nobody has been told of.
    lost: u64,
    /// A line is taken and not done with.
    busy: bool,
}

impl Outlet {
    /// Starts the thread that writes to `sink`. It calls `tell` with the number of lines lost, once the sink takes
    /// lines again and there is room for one that says so.
    pub(super) fn spawn(
        sink: impl Write + Send + 'static,
        tell: impl Fn(u64) + Send + 'static,
    ) -> io::Result<Self> {
        let outlet = Self { queue: Arc::default() };
        let queue = Arc::clone(&outlet.queue);
        thread::Builder::new().name("log".to_owned()).spawn(move || queue.write_to(sink, tell))?;
        Ok(outlet)
    }

    /// Waits until every line is written, but not longer than `patience`.
    pub(super) fn flush(&self, patience: Duration) {
        let waits = |state: &mut State| state.busy || !state.lines.is_empty();
        let waited = self.queue.drained.wait_timeout_while(self.queue.lock(), patience, waits);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

impl Write for Outlet {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.queue.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Queue {
    fn put(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.bytes + line.len() > ROOM {
            state.lost += 1;
            return;
        }
        state.bytes += line.len();
        state.lines.push_back(line.to_vec());
        self.filled.notify_one();
    }

    fn take(&self) -> Vec<u8> {
        let mut state = self.lock();
        state.busy = false;
        loop {
            if let Some(line) = state.lines.pop_front() {
                state.bytes -= line.len();
                state.busy = true;
                return line;
            }
            self.drained.notify_all();
            state = self.filled.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn write_to(&self, mut sink: impl Write, tell: impl Fn(u64)) {
        loop {
            let line = self.take();
            if sink.write_all(&line).and_then(|()| sink.flush()).is_err() {
                self.lock().lost += 1;
            } else if let Some(lost) = self.to_tell() {
                tell(lost);
            }
        }
    }

    /// How many lines are lost, if that can be said now: half of the queue free, so that the line is not lost itself.
    fn to_tell(&self) -> Option<u64> {
        let mut state = self.lock();
        (state.lost > 0 && state.bytes <= ROOM / 2).then(|| std::mem::take(&mut state.lost))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, PipeReader, pipe};
    use std::sync::OnceLock;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// An outlet that tells of losses in a line of its own.
    fn outlet(sink: impl Write + Send + 'static) -> Outlet {
        let own = Arc::new(OnceLock::<Outlet>::new());
        let told = Arc::clone(&own);
        let tell = move |lost| put(told.wait(), &format!("lost {lost}"));
        let outlet = Outlet::spawn(sink, tell).unwrap();
        own.set(outlet.clone()).unwrap();
        outlet
    }

    fn put(outlet: &Outlet, line: &str) {
        outlet.clone().write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    fn lines(reader: PipeReader) -> impl Iterator<Item = String> {
        BufReader::new(reader).lines().map(Result::unwrap)
    }

    #[test]
    fn a_sink_that_nobody_reads_delays_nobody() {
        let (reader, writer) = pipe().unwrap();
        let outlet = outlet(writer);
        let line = "x".repeat(1023);
        // More than the pipe and the queue take, so that some are lost.
        let all = 4 * ROOM / 1024;
        for _ in 0..all {
            put(&outlet, &line);
        }
        outlet.flush(Duration::from_millis(10));
        let mut read = lines(reader);
        let mut kept = 0;
        let told = read.by_ref().inspect(|_| kept += 1).find(|read| *read != line);
        kept -= 1;
        assert!(kept >= ROOM / 1024, "{kept} of {all}");
        assert_eq!(told, Some(format!("lost {}", all - kept)));
        // It is told once.
        put(&outlet, "after");
        assert_eq!(read.next().as_deref(), Some("after"));
        outlet.flush(PATIENCE);
        assert_eq!(outlet.queue.lock().lost, 0);
    }

    /// Fails as often as it is told to, then writes.
    struct Failing(u32, io::PipeWriter);

    impl Write for Failing {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            match self.0.checked_sub(1) {
                Some(left) => {
                    self.0 = left;
                    Err(io::ErrorKind::StorageFull.into())
                }
                None => self.1.write(bytes),
            }
        }

        fn flush(&mut self) -> io::Result<()> {
            self.1.flush()
        }
    }

    #[test]
    fn what_a_failing_sink_does_not_take_is_counted() {
        let (reader, writer) = pipe().unwrap();
        let outlet = outlet(Failing(3, writer));
        for line in ["a", "b", "c", "d"] {
            put(&outlet, line);
        }
        outlet.flush(PATIENCE);
        assert_eq!(lines(reader).take(2).collect::<Vec<_>>(), ["d", "lost 3"]);
    }

    #[test]
    fn flush_waits_for_every_line_and_for_what_it_tells() {
        let (reader, writer) = pipe().unwrap();
        let outlet = outlet(writer);
        for number in 0..100 {
            put(&outlet, &number.to_string());
        }
        outlet.flush(PATIENCE);
        let state = outlet.queue.lock();
        assert!(state.lines.is_empty() && state.bytes == 0 && !state.busy);
        assert_eq!(lines(reader).take(100).last().as_deref(), Some("99"));
    }
}
