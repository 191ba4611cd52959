//! Random packets through the compiled program: well-formed ones come out exactly as if built for their new
//! addresses; any bytes at all meet the fate that a plain model says, are never rewritten wrongly, and are counted once.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, unreachable_pub, reason = "shared with other tests")]
mod support {
    pub mod arbitrary;
    pub mod cases;
    pub mod frame;
    pub mod gateway;
    pub mod model;
    pub mod privileged;
}

use std::cell::RefCell;

use proptest::{collection::vec, prelude::*, test_runner::TestRunner};
use support::{
    arbitrary::{config, damage, segment},
    cases::action,
    frame::{Frame, icmp},
    gateway::{
        Arm, BACKENDS_ARM, CLIENT, CLIENT_MAC, CLIENTS_ARM, Gateway, NAMES_PRIMARY, NAMES_VIP, NEAR_VIP,
        OWN_ADDRESS, PRIMARY_MAC, SILENT_NAMES_VIP, SILENT_SERVICE_VIP, UNRESOLVED_CLIENT, VIP, WEB_PRIMARY,
        WEB_STANDBY, WEB_VIP, from_backend, from_client,
    },
    model::Model,
    privileged,
};

const REGRESSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/properties.regressions");

fn main() {
    let arguments = libtest_mimic::Arguments::from_args();
    let trials = vec![
        privileged::trial(
            "a well-formed packet is rewritten into the one built for its new addresses",
            well_formed,
        ),
        privileged::trial("any bytes meet the fate that the model says", any_bytes),
    ];
    libtest_mimic::run(&arguments, trials).exit();
}

fn well_formed() {
    Gateway::run(|gateway| {
        let gateway = RefCell::new(gateway);
        check(&to_and_from_services(), |(arm, frame, out)| {
            let outcome = gateway.borrow_mut().receive(arm, &frame.bytes());
            prop_assert_eq!(outcome.action, action::REDIRECT);
            prop_assert_eq!(outcome.bytes, out.bytes());
            Ok(())
        });
    });
}

fn any_bytes() {
    Gateway::run(|gateway| {
        let packets = (prop_oneof![Just(Arm::Clients), Just(Arm::Backends)], anything());
        let state = RefCell::new((gateway, Model::new()));
        check(&packets, |(arm, bytes)| {
            let (gateway, model) = &mut *state.borrow_mut();
            let before = gateway.counted();
            let expected = model.receive(arm, &bytes);
            let outcome = gateway.receive(arm, &bytes);
            if let Err(difference) = expected.check(&bytes, &outcome) {
                return Err(TestCaseError::fail(format!("{expected:?}: {difference}")));
            }
            let (forwarded, replied) = expected.counted_bytes();
            prop_assert_eq!(
                gateway.counted(),
                before.and(expected.slot, expected.reason, forwarded, replied)
            );
            Ok(())
        });
    });
}

fn check<S: Strategy>(packets: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    let outcome = TestRunner::new(config(REGRESSIONS)).run(packets, test);
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// The arm that a frame comes by, the frame, and what it becomes.
fn to_and_from_services() -> impl Strategy<Value = (Arm, Frame, Frame)> {
    let client = (CLIENT, 40000);
    prop_oneof![
        segment(client, WEB_VIP, 6).prop_map(|frame| {
            let out = frame.clone().renamed_destination(WEB_PRIMARY, BACKENDS_ARM, PRIMARY_MAC);
            (Arm::Clients, from_client(frame), out)
        }),
        segment(client, NAMES_VIP, 17).prop_map(|frame| {
            let out = frame.clone().renamed_destination(NAMES_PRIMARY, BACKENDS_ARM, PRIMARY_MAC);
            (Arm::Clients, from_client(frame), out)
        }),
        segment(WEB_STANDBY, client, 6).prop_map(|frame| {
            let out = frame.clone().renamed_source(WEB_VIP, CLIENTS_ARM, CLIENT_MAC);
            (Arm::Backends, from_backend(frame), out)
        }),
        segment(NAMES_PRIMARY, client, 17).prop_map(|frame| {
            let out = frame.clone().renamed_source(NAMES_VIP, CLIENTS_ARM, CLIENT_MAC);
            (Arm::Backends, from_backend(frame), out)
        }),
    ]
}

/// Frames to, from and past the services, whole, damaged, and plain noise.
fn anything() -> impl Strategy<Value = Vec<u8>> {
    let (client, lost) = ((CLIENT, 40000), (UNRESOLVED_CLIENT, 40000));
    let echo = (any::<[u8; 4]>(), vec(any::<u8>(), 0..60))
        .prop_map(|(rest, payload)| icmp(CLIENT, VIP, 8, 0, rest, &payload));
    let frames = prop_oneof![
        to_gateway(segment(client, WEB_VIP, 6)),
        to_gateway(segment(client, NAMES_VIP, 17)),
        to_gateway(segment(lost, NAMES_VIP, 17)),
        to_gateway(segment(client, NEAR_VIP, 6)),
        to_gateway(segment(client, SILENT_SERVICE_VIP, 6)),
        to_gateway(segment(client, SILENT_NAMES_VIP, 17)),
        to_gateway(segment(WEB_PRIMARY, client, 6)),
        to_gateway(segment(WEB_STANDBY, (OWN_ADDRESS, 50000), 6)),
        to_gateway(segment(NAMES_PRIMARY, client, 17)),
        to_gateway(segment(NAMES_PRIMARY, lost, 17)),
        to_gateway(segment(client, NAMES_PRIMARY, 17)),
        to_gateway(echo.boxed()),
    ];
    let damaged = (frames, vec(damage(), 0..4)).prop_map(|(frame, damage)| {
        let mut bytes = frame.bytes();
        for damage in damage {
            damage.apply(&mut bytes, 14);
        }
        bytes
    });
    prop_oneof![1 => vec(any::<u8>(), 14..200), 9 => damaged]
}

fn to_gateway(frames: BoxedStrategy<Frame>) -> BoxedStrategy<Frame> {
    frames.prop_map(from_client).boxed()
}
