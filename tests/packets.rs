//! Packets in; actions, packets and counters out: the compiled program, run by the kernel. Each step states
//! everything that may change, so that anything else that changes fails it.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, unreachable_pub, reason = "shared with other tests")]
mod support {
    pub mod cases;
    pub mod frame;
    pub mod gateway;
    pub mod privileged;
}

use fastswitch_common::reason::Reason;
use libtest_mimic::{Failed, Trial};
use support::{
    cases::{self, Case, Step},
    gateway::Gateway,
    privileged,
};

fn main() {
    let arguments = libtest_mimic::Arguments::from_args();
    let reached = Trial::test("every reason is reached", every_reason_is_reached);
    let played = cases::all().into_iter().map(|case| privileged::trial(case.name.clone(), || play(case)));
    libtest_mimic::run(&arguments, played.chain([reached]).collect()).exit();
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
    match Reason::ALL.iter().find(|reason| !reached.contains(reason)) {
        Some(reason) => Err(format!("no case ends with {reason:?}").into()),
        None => Ok(()),
    }
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
