//! Numbered datagrams to a VIP, one each millisecond, and which of them were answered. Nobody sends a datagram again:
//! what is lost anywhere is seen here.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::ensure;
use xtask::lab::{Host, Lab, vip};
use xtask::wait;

use super::scene::{LIMIT, udp_to};

const EVERY: Duration = Duration::from_millis(1);

/// A client that sends them until it is finished.
pub(crate) struct Stream {
    answered: Arc<AtomicU32>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<anyhow::Result<Fate>>>,
}

/// What became of all datagrams.
struct Fate {
    sent: u32,
    answered: BTreeSet<u32>,
}

impl Stream {
    /// Starts one on the lab's client, to the VIP.
    pub(crate) fn start(lab: &Lab) -> anyhow::Result<Stream> {
        Stream::start_to(lab, vip())
    }

    /// Starts one on the lab's client, to this address.
    pub(crate) fn start_to(lab: &Lab, target: SocketAddr) -> anyhow::Result<Stream> {
        let (answered, end) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let (namespace, count, ended) = (lab.namespace(Host::Client), answered.clone(), end.clone());
        let thread = std::thread::spawn(move || {
            namespace.enter()?;
            let socket = udp_to(target)?;
            socket.set_read_timeout(Some(EVERY))?;
            let (mut sent, mut answers) = (0, BTreeSet::new());
            let mut finishing = None;
            loop {
                if ended.load(Ordering::Relaxed) {
                    // Answers may still be on their way.
                    let since = *finishing.get_or_insert_with(Instant::now);
                    if answers.len() == sent as usize || since.elapsed() > LIMIT {
                        return Ok(Fate { sent, answered: answers });
                    }
                } else {
                    socket.send(&u32::to_be_bytes(sent))?;
                    sent += 1;
                }
                let mut number = [0; 4];
                // An error is either the end of a millisecond, or a refusal, which is no answer.
                while let Ok(4) = socket.recv(&mut number) {
                    answers.insert(u32::from_be_bytes(number));
                    count.store(answers.len() as u32, Ordering::Relaxed);
                }
            }
        });
        Ok(Stream { answered, end, thread: Some(thread) })
    }

    /// Waits until `count` more have been answered.
    pub(crate) fn wait_answers(&self, count: u32) -> anyhow::Result<()> {
        let before = self.answered.load(Ordering::Relaxed);
        wait::until_true(&format!("{count} more answers"), LIMIT, || {
            Ok(self.answered.load(Ordering::Relaxed) >= before + count)
        })
    }

    /// Sends no more; each one sent has to be answered.
    pub(crate) fn nothing_lost(mut self) -> anyhow::Result<()> {
        self.end.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return Ok(()) };
        let Fate { sent, answered } = thread.join().map_err(|_| anyhow::anyhow!("the stream panicked"))??;
        let lost: Vec<u32> = (0..sent).filter(|number| !answered.contains(number)).collect();
        ensure!(lost.is_empty(), "of {sent} datagrams {} were lost: {lost:?}", lost.len());
        Ok(())
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
    }
}
