//! Late by our own fault is not the backend's fault.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::runtime::{Builder, LocalOptions};

use super::*;
use crate::machine::Failure;
use crate::probe::worker;

const HERE: [u8; 4] = [127, 0, 0, 72];
const SHORT: Duration = Duration::from_millis(30);
/// Long enough to spoil a round of `SHORT`.
const HOLD_UP: Duration = Duration::from_millis(150);

/// Runs `test` in the runtime of the rounds, where it can hold them up.
fn beside_rounds<F: Future<Output = ()>>(target: Target, test: impl FnOnce(mpsc::Receiver<Report>) -> F) {
    let runtime = Builder::new_current_thread().enable_io().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async {
        let (sender, reports) = mpsc::channel(1024);
        worker::begin(&[target], &sender).unwrap();
        test(reports).await;
    });
}

#[test]
fn a_failed_round_that_was_held_up_does_not_count() {
    let silent = UdpSocket::bind(SocketAddr::from((HERE, 0))).unwrap();
    let target = target(ask_udp(), silent.local_addr().unwrap(), SHORT, SHORT);
    beside_rounds(target, async |mut reports| {
        for _ in 0..5 {
            while reports.recv().await.unwrap().outcome != Outcome::Failure(Failure::Timeout) {}
            std::thread::sleep(HOLD_UP);
            while reports.try_recv().is_ok() {}
            assert_eq!(reports.recv().await.unwrap().outcome, Outcome::Stalled);
        }
    });
}

#[test]
fn an_answer_that_is_there_wins_over_a_late_deadline() {
    beside_rounds(target(ask_udp(), udp_echo(HERE), SHORT, SHORT), async |mut reports| {
        let (mut late, mut hold_ups) = (0, 0);
        while late < 5 {
            assert!(hold_ups < 50, "{late} answers won in {hold_ups} hold-ups");
            hold_ups += 1;
            std::thread::sleep(HOLD_UP);
            tokio::task::yield_now().await;
            while let Ok(report) = reports.try_recv() {
                match report.outcome {
                    Outcome::Success { rtt } => late += usize::from(rtt > SHORT),
                    // The backend may not have got the CPU either.
                    Outcome::Stalled => {}
                    Outcome::Failure(failure) => panic!("{failure}"),
                }
            }
        }
    });
}

#[test]
fn a_stopped_process_blames_nobody() {
    let silent = UdpSocket::bind(SocketAddr::from((HERE, 0))).unwrap();
    let mut stopped = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "probe::tests::stall::process_to_be_stopped"])
        .env("FASTSWITCH_TEST_BACKEND", silent.local_addr().unwrap().to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(stopped.id().try_into().unwrap());
    let lines = BufReader::new(stopped.stdout.take().unwrap()).lines();
    let mut outcomes = lines.map(|line| line.expect("it runs until it is killed")).take(500);
    for _ in 0..5 {
        assert!(outcomes.any(|line| line.contains("Failure(Timeout)")));
        kill(pid, Signal::SIGSTOP).unwrap();
        std::thread::sleep(HOLD_UP);
        kill(pid, Signal::SIGCONT).unwrap();
        assert!(outcomes.any(|line| line.contains("Stalled")));
    }
    stopped.kill().unwrap();
    stopped.wait().unwrap();
}

/// The process that `a_stopped_process_blames_nobody` starts and stops; nothing without that one.
#[test]
fn process_to_be_stopped() {
    let Ok(backend) = std::env::var("FASTSWITCH_TEST_BACKEND") else { return };
    let backend = backend.parse().unwrap();
    let mut running = Running::start(vec![target(ask_udp(), backend, SHORT, SHORT)]);
    loop {
        println!("{:?}", running.next().outcome);
    }
}
