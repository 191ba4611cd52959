//! Packets in; actions, packets and counters out: the compiled program, run by the kernel. Each step states
//! everything that may change, so that anything else that changes fails it.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, unreachable_pub, reason = "shared with other tests")]
mod support {
    pub mod cases;
    pub mod connections;
    pub mod frame;
    pub mod gateway;
    pub mod privileged;
}

use fastswitch_common::{abi::Traffic, reason::Reason};
use libtest_mimic::{Failed, Trial};
use support::{
    cases::{self, Case, Step},
    frame::{flag, tcp},
    gateway::{Arm, CLIENT, Gateway, WEB, WEB_PRIMARY, WEB_STANDBY, WEB_VIP, from_backend, from_client},
    privileged,
};

fn main() {
    let arguments = libtest_mimic::Arguments::from_args();
    let reached = Trial::test("every reason is reached", every_reason_is_reached);
    let played = cases::all().into_iter().map(|case| privileged::trial(case.name.clone(), || play(case)));
    let counted = privileged::trial("each backend's packets are counted as its own", traffic_of_backends);
    libtest_mimic::run(&arguments, played.chain([reached, counted]).collect()).exit();
}

fn every_reason_is_reached() -> Result<(), Failed> {
    let reached: Vec<Reason> = cases::all()
        .iter()
        .flat_map(|case| &case.steps)
        .filter_map(|step| match step {
            Step::Packet { reason, .. } => Some(*reason),
            Step::Do(_) => None,
        })
        .collect();
    // Those of processes of the gateway itself are no packet's.
    let local = [Reason::LocalDirected, Reason::LocalRefused, Reason::LocalUnsupported];
    match Reason::ALL.iter().find(|reason| !reached.contains(reason) && !local.contains(reason)) {
        Some(reason) => Err(format!("no case ends with {reason:?}").into()),
        None => Ok(()),
    }
}

fn traffic_of_backends() {
    let (client, backends) = ((CLIENT, 40000), [WEB_PRIMARY, WEB_STANDBY]);
    let request = |payload: &[u8]| from_client(tcp(client, WEB_VIP, flag::ACK, payload)).bytes();
    let answer = |backend, payload: &[u8]| from_backend(tcp(backend, client, flag::ACK, payload)).bytes();
    let some = |packets, bytes: usize| Traffic { packets, bytes: bytes as u64 };
    Gateway::run(|gateway| {
        let (long, short) = (request(b"a longer request"), request(b""));
        for (active, packet) in [(0, &long), (1, &short), (0, &short)] {
            gateway.switch(WEB, Some(active), false);
            gateway.receive(Arm::Clients, packet);
        }
        // Whoever is active: an answer is its sender's.
        let answers = backends.map(|backend| answer(backend, b"any answer"));
        gateway.receive(Arm::Backends, &answers[1]);
        gateway.receive(Arm::Backends, &answers[0]);
        gateway.receive(Arm::Backends, &answers[1]);
        let traffic = [0, 1].map(|backend| gateway.traffic(WEB, [backend]));
        assert_eq!(traffic[0].forwarded, some(2, long.len() + short.len()));
        assert_eq!(traffic[0].replied, some(1, answers[0].len()));
        assert_eq!(traffic[1].forwarded, some(1, short.len()));
        assert_eq!(traffic[1].replied, some(2, 2 * answers[1].len()));
    });
}

fn play(case: Case) {
    Gateway::run(|gateway| {
        for (number, step) in case.steps.into_iter().enumerate() {
            match step {
                Step::Do(action) => action(gateway),
                Step::Packet { arm, frame, action, out, slot, reason, forwarded, replied } => {
                    let counted = gateway.counted();
                    let outcome = gateway.receive(arm, &frame);
                    let at = format!("{}, step {number}", case.name);
                    assert_eq!(
                        gateway.counted(),
                        counted.and(slot, reason, forwarded, replied),
                        "{at}: counters (left: they are, right: they should be)"
                    );
                    assert_eq!(outcome.action, action, "{at}: XDP action");
                    assert_eq!(outcome.bytes, out, "{at}: packet (left: it is, right: it should be)");
                }
            }
        }
    });
}
