//! Waiting for moments, to some tens of microseconds.
//!
//! It owns one timerfd and the queue of who waits for when. Tokio's timer refuses to be exact to less than 2 ms, too
//! coarse for heartbeats each millisecond, and so this module refuses to use it.
//!
//! A moment is noticed only after a look at the descriptors that came later: whatever had reached a socket by then is
//! known too, and a task that polls its socket before its timer sees the answer first.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd as _, AsRawFd, RawFd};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Moments that tasks of this thread wait for.
pub(super) struct Clock {
    alarm: AsyncFd<Alarm>,
    waiting: RefCell<BTreeMap<Key, Waker>>,
    sleeps: Cell<u64>,
}

/// When, and a number that tells two sleeps until the same moment apart.
type Key = (Instant, u64);

struct Alarm(TimerFd);

impl AsRawFd for Alarm {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}

impl Clock {
    /// Opens the timer on the current runtime.
    pub(super) fn open() -> io::Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let alarm = Alarm(TimerFd::new(ClockId::CLOCK_MONOTONIC, flags)?);
        Ok(Self {
            // SAFETY: the alarm owns its descriptor and hands out no other.
            alarm: unsafe { AsyncFd::register_with_interest(alarm, Interest::READABLE) }?,
            waiting: RefCell::default(),
            sleeps: Cell::new(0),
        })
    }

    /// Wakes whoever's moment has come; never ends while the runtime lives.
    pub(super) async fn drive(&self) {
        while let Ok(mut ready) = self.alarm.readable().await {
            // Would-block only means that the timer was set anew meanwhile.
            let _ = ready.try_io(|alarm| alarm.get_ref().0.wait().map_err(io::Error::from));
            let moment = Instant::now();
            // This thread may have been held up since it looked at the descriptors, and other moments have come
            // meanwhile; yielding makes the runtime look again.
            tokio::task::yield_now().await;
            let due = {
                let mut waiting = self.waiting.borrow_mut();
                let later = waiting.split_off(&(moment, u64::MAX));
                std::mem::replace(&mut *waiting, later)
            };
            due.into_values().for_each(Waker::wake);
            self.arm();
        }
    }

    /// Waits until `due`.
    pub(super) fn sleep_until(&self, due: Instant) -> Sleep<'_> {
        Sleep { clock: self, due, key: None }
    }

    /// What `work` comes to, or nothing when `deadline` comes first. Work that is done when the deadline is noticed
    /// was in time.
    pub(super) async fn within<F: Future>(&self, deadline: Instant, work: F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = work => Some(output),
            () = self.sleep_until(deadline) => None,
        }
    }

    fn arm(&self) {
        let Some(&(due, _)) = self.waiting.borrow().keys().next() else { return };
        // Zero would disarm it.
        let delay = due.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        let set = self.alarm.get_ref().0.set(Expiration::OneShot(delay.into()), TimerSetTimeFlags::empty());
        debug_assert_eq!(set, Ok::<(), Errno>(()), "the kernel takes every valid time");
    }
}

/// See [`Clock::sleep_until`].
pub(super) struct Sleep<'a> {
    clock: &'a Clock,
    due: Instant,
    key: Option<Key>,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(key) = self.key else {
            let key = (self.due, self.clock.sleeps.get());
            self.clock.sleeps.set(key.1 + 1);
            self.key = Some(key);
            let mut waiting = self.clock.waiting.borrow_mut();
            waiting.insert(key, cx.waker().clone());
            let first = waiting.keys().next() == Some(&key);
            drop(waiting);
            if first {
                self.clock.arm();
            }
            return Poll::Pending;
        };
        match self.clock.waiting.borrow_mut().get_mut(&key) {
            Some(waker) => {
                waker.clone_from(cx.waker());
                Poll::Pending
            }
            None => Poll::Ready(()),
        }
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.clock.waiting.borrow_mut().remove(&key);
        }
    }
}
