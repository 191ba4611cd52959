//! Random packets through the compiled program: well-formed ones come out exactly as if built for their new
//! addresses; any bytes at all meet the fate that a plain model says, are never rewritten wrongly, and are counted once.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[allow(dead_code, unreachable_pub, reason = "shared with other tests")]
mod support {
    pub mod arbitrary;
    pub mod cases;
    pub mod connections;
    pub mod drains;
    pub mod flows;
    pub mod frame;
    pub mod gateway;
    pub mod model;
    pub mod privileged;
}

use std::cell::RefCell;

use fastswitch_common::{reason::Fate, word::SwitchWord};
use proptest::{collection::vec, prelude::*, sample::Index, test_runner::TestRunner};
use support::{
    arbitrary::{config, damage, segment},
    cases::action,
    connections::established,
    drains::{Drains, Happening},
    flows::{self, Event},
    frame::{Address, Body, Frame, flag, icmp, tcp},
    gateway::{
        Arm, BACKENDS_ARM, CLIENT, CLIENT_MAC, CLIENT6, CLIENTS_ARM, FULL, Gateway, NAMES_PRIMARY, NAMES_VIP,
        NAMES6_PRIMARY, NAMES6_VIP, NEAR_VIP, OWN_ADDRESS, OWN_ADDRESS6, PRIMARY, PRIMARY_MAC, PRIMARY6,
        SHARED_VIP, SHARED6_VIP, SILENT_NAMES_VIP, SILENT_SERVICE_VIP, STANDBY_MAC, UNRESOLVED_CLIENT,
        UNRESOLVED_CLIENT6, VIP, VIP6, WEB, WEB_PRIMARY, WEB_STANDBY, WEB_VIP, WEB6_PRIMARY, WEB6_STANDBY,
        WEB6_VIP, from_backend, from_client,
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
        privileged::trial("connections stay where they are, whatever is switched", connections),
        privileged::trial("any bytes meet the fate that the model says", any_bytes),
        privileged::trial("any conversation goes by the flows that the model says", conversations),
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

fn conversations() {
    Gateway::run(|gateway| {
        let gateway = RefCell::new(gateway);
        check_by(for_stories(), &flows::conversation(), |events| {
            let (mut gateway, mut model) = (gateway.borrow_mut(), flows::Model::new());
            gateway.forget_flows();
            gateway.switch(FULL, Some(0), false);
            for event in events {
                let (arm, frame, expected) = match event {
                    Event::Switch { active, drains, outage } => {
                        model.switch(active, drains, outage);
                        let draining = drains.then_some(1 - active);
                        gateway.store(FULL, SwitchWord::new(Some(active), draining, outage, 1));
                        continue;
                    }
                    Event::Client { port, flags, payload } => {
                        let frame = flows::of_client(port, flags, &payload);
                        let expected = model.client(port, &frame);
                        (Arm::Clients, frame, expected)
                    }
                    Event::Backend { backend, port, flags, payload } => {
                        let frame = flows::of_backend(backend, port, flags, &payload);
                        let expected = model.backend(backend, port, &frame);
                        (Arm::Backends, frame, expected)
                    }
                };
                let before = gateway.counted();
                let outcome = gateway.receive(arm, &frame.bytes());
                prop_assert_eq!((outcome.action, outcome.bytes), (expected.action, expected.out.clone()));
                let bytes = expected.out.len();
                let (forwarded, replied) = match expected.reason.fate() {
                    Fate::Forward => (bytes, 0),
                    Fate::Reply => (0, bytes),
                    _ => (0, 0),
                };
                prop_assert_eq!(
                    gateway.counted(),
                    before.and(expected.slot, expected.reason, forwarded, replied)
                );
            }
            Ok(())
        });
    });
}

/// Each story has ports of its own.
fn connections() {
    const CLIENTS: u16 = 3;
    Gateway::run(|gateway| {
        let state = RefCell::new((gateway, 1000));
        check_by(for_stories(), &vec(happening(CLIENTS), 1..40), |story| {
            let (gateway, first_port) = &mut *state.borrow_mut();
            *first_port += CLIENTS;
            play(gateway, &story, *first_port)
        });
    });
}

fn play(gateway: &mut Gateway, story: &[Happening], first_port: u16) -> Result<(), TestCaseError> {
    let backends = [(WEB_PRIMARY, PRIMARY_MAC), (WEB_STANDBY, STANDBY_MAC)];
    let mut model = Drains::default();
    gateway.switch(WEB, Some(0), false);
    for (number, happening) in story.iter().enumerate() {
        match happening.clone() {
            Happening::Switch { active, draining } => {
                gateway.store(WEB, SwitchWord::new(Some(active), draining, false, number as u32));
                model.switch(active, draining);
            }
            Happening::Segment { client, flags, sequence } => {
                let port = (CLIENT, first_port + client);
                let frame = from_client(tcp(port, WEB_VIP, flags, b"")).with(|frame| {
                    if let Body::Tcp { seq, .. } = &mut frame.body {
                        *seq = sequence;
                    }
                });
                let outcome = gateway.receive(Arm::Clients, &frame.bytes());
                let (backend, mac) = backends[usize::from(model.segment(client, flags, sequence))];
                let expected = frame.renamed_destination(backend, BACKENDS_ARM, mac);
                prop_assert_eq!(outcome.bytes, expected.bytes(), "step {}", number);
            }
            Happening::Answer { backend, client, flags } => {
                let (backend, _) = backends[usize::from(backend)];
                let frame = from_backend(tcp(backend, (CLIENT, first_port + client), flags, b""));
                gateway.receive(Arm::Backends, &frame.bytes());
                model.answer(client, flags);
            }
        }
    }
    let ports = first_port..first_port + 100;
    let mut counted: Vec<(u16, u8)> = established(gateway)
        .into_iter()
        .map(|(flow, row)| (flow.client.socket().port(), (row % 16) as u8))
        .filter(|(port, _)| ports.contains(port))
        .map(|(port, backend)| (port - first_port, backend))
        .collect();
    counted.sort_unstable();
    prop_assert_eq!(counted, model.counted());
    Ok(())
}

fn happening(clients: u16) -> impl Strategy<Value = Happening> {
    let flags = prop_oneof![
        3 => Just(flag::SYN),
        4 => Just(flag::ACK),
        2 => Just(flag::FIN | flag::ACK),
        1 => Just(flag::RST),
        1 => any::<u8>(),
    ];
    // Two SYNs that are to be told apart, what follows the one or the other, and guesses.
    let sequence = prop_oneof![
        8 => (0_u32..2, prop_oneof![Just(0_u32), Just(1), Just(2), Just(0x1_0000), Just(0x1_0001)])
            .prop_map(|(syn, offset)| (syn * 0x4000_0000).wrapping_sub(1).wrapping_add(offset)),
        1 => any::<u32>(),
    ];
    let segment = (0..clients, flags.clone(), sequence)
        .prop_map(|(client, flags, sequence)| Happening::Segment { client, flags, sequence });
    let answer = (0_u8..2, 0..clients, flags).prop_map(|(backend, client, flags)| Happening::Answer {
        backend,
        client,
        flags,
    });
    let switch = (0_u8..2, any::<bool>())
        .prop_map(|(active, drains)| Happening::Switch { active, draining: drains.then_some(1 - active) });
    prop_oneof![8 => segment, 2 => answer, 2 => switch]
}

fn check<S: Strategy>(packets: &S, test: impl Fn(S::Value) -> Result<(), TestCaseError>) {
    check_by(config(REGRESSIONS), packets, test);
}

/// Each story is twenty packets or so.
fn for_stories() -> ProptestConfig {
    let config = config(REGRESSIONS);
    ProptestConfig { cases: config.cases.div_ceil(20), ..config }
}

fn check_by<S: Strategy>(
    config: ProptestConfig,
    cases: &S,
    test: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let outcome = TestRunner::new(config).run(cases, test);
    outcome.unwrap_or_else(|failure| panic!("{failure}"));
}

/// The arm that a frame comes by, the frame, and what it becomes.
fn to_and_from_services() -> impl Strategy<Value = (Arm, Frame, Frame)> {
    let (client, client6) = ((CLIENT, 40000), (CLIENT6, 40000));
    prop_oneof![
        to_service(client, WEB_VIP, WEB_PRIMARY, 6),
        to_service(client, NAMES_VIP, NAMES_PRIMARY, 17),
        to_service(client6, WEB6_VIP, WEB6_PRIMARY, 6),
        to_service(client6, NAMES6_VIP, NAMES6_PRIMARY, 17),
        from_service(client, WEB_VIP, WEB_STANDBY, 6),
        from_service(client, NAMES_VIP, NAMES_PRIMARY, 17),
        from_service(client6, WEB6_VIP, WEB6_STANDBY, 6),
        from_service(client6, NAMES6_VIP, NAMES6_PRIMARY, 17),
        // In mode `dsr` answers keep their name.
        from_service(client, SHARED_VIP, SHARED_VIP, 6),
        from_service(client6, SHARED6_VIP, SHARED6_VIP, 17),
    ]
}

fn to_service(
    client: Address,
    vip: Address,
    backend: Address,
    protocol: u8,
) -> impl Strategy<Value = (Arm, Frame, Frame)> {
    segment(client, vip, protocol).prop_map(move |frame| {
        let out = frame.clone().renamed_destination(backend, BACKENDS_ARM, PRIMARY_MAC);
        (Arm::Clients, from_client(frame), out)
    })
}

fn from_service(
    client: Address,
    vip: Address,
    backend: Address,
    protocol: u8,
) -> impl Strategy<Value = (Arm, Frame, Frame)> {
    segment(backend, client, protocol).prop_map(move |frame| {
        let out = frame.clone().renamed_source(vip, CLIENTS_ARM, CLIENT_MAC);
        (Arm::Backends, from_backend(frame), out)
    })
}

/// Frames to, from and past the services, whole, damaged, and plain noise.
fn anything() -> impl Strategy<Value = Vec<u8>> {
    let (client, lost) = ((CLIENT, 40000), (UNRESOLVED_CLIENT, 40000));
    let echo = (any::<[u8; 4]>(), vec(any::<u8>(), 0..60))
        .prop_map(|(rest, payload)| icmp(CLIENT, VIP, 8, 0, rest, &payload));
    let (client6, lost6) = ((CLIENT6, 40000), (UNRESOLVED_CLIENT6, 40000));
    let echo6 = (any::<[u8; 4]>(), vec(any::<u8>(), 0..60))
        .prop_map(|(rest, payload)| icmp(CLIENT6, VIP6, 128, 0, rest, &payload));
    let frames6 = prop_oneof![
        to_gateway(segment(client6, WEB6_VIP, 6)),
        to_gateway(segment(client6, NAMES6_VIP, 17)),
        to_gateway(segment(lost6, NAMES6_VIP, 17)),
        to_gateway(segment(client6, SHARED6_VIP, 17)),
        to_gateway(segment(SHARED6_VIP, client6, 17)),
        to_gateway(segment(WEB6_PRIMARY, client6, 6)),
        to_gateway(segment(WEB6_STANDBY, (OWN_ADDRESS6, 50000), 6)),
        to_gateway(segment(NAMES6_PRIMARY, lost6, 17)),
        to_gateway(segment(client6, NAMES6_PRIMARY, 17)),
        to_gateway(echo6.boxed()),
    ];
    let frames4 = prop_oneof![
        to_gateway(segment(client, SHARED_VIP, 6)),
        to_gateway(segment(SHARED_VIP, client, 6)),
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
    let whole = prop_oneof![frames4, frames6].boxed();
    let frames = prop_oneof![
        4 => whole.clone(),
        2 => (whole, 0..4usize, any::<Index>(), any::<bool>()).prop_map(part),
        2 => icmp_errors(),
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

/// A part of a frame, as if fragmented with one of a few identifications.
fn part((frame, id, which, short): (Frame, usize, Index, bool)) -> Frame {
    let mut parts = frame.parts(id as u32, if short { 16 } else { 64 });
    parts.swap_remove(which.index(parts.len()))
}

/// Errors about packets to backends and to clients, with some of what they were about.
fn icmp_errors() -> impl Strategy<Value = Frame> {
    let (client, client6) = ((CLIENT, 40000), (CLIENT6, 40000));
    let lost = (UNRESOLVED_CLIENT, 40000);
    let about = prop_oneof![
        segment(WEB_VIP, client, 6),
        segment(NAMES_VIP, client, 17),
        segment(SHARED_VIP, client, 6),
        segment(NEAR_VIP, client, 6),
        segment(client, WEB_STANDBY, 6),
        segment(client, NAMES_PRIMARY, 17),
        segment(lost, NAMES_PRIMARY, 17),
        segment((OWN_ADDRESS, 50000), WEB_PRIMARY, 6),
        segment(client, SHARED_VIP, 6),
        segment(WEB6_VIP, client6, 6),
        segment(NAMES6_VIP, client6, 17),
        segment(SHARED6_VIP, client6, 17),
        segment(client6, WEB6_STANDBY, 6),
        segment(client6, NAMES6_PRIMARY, 17),
    ];
    let about = prop_oneof![
        3 => about.clone(),
        1 => about.prop_map(|frame| frame.parts(1, 64).swap_remove(0)),
    ];
    (about, 0..13u8, any::<(u8, [u8; 4], u8)>(), any::<Index>()).prop_map(
        |(about, type_, (code, rest, ttl), len)| {
            let packet = about.packet();
            let len = packet.len().min(20 + len.index(160));
            let from = if about.from.is_ipv4() { PRIMARY } else { PRIMARY6 };
            from_client(icmp(from, about.from, type_, code, rest, &packet[..len]))
                .with(|frame| frame.ttl = ttl)
        },
    )
}

fn to_gateway(frames: BoxedStrategy<Frame>) -> BoxedStrategy<Frame> {
    frames.prop_map(from_client).boxed()
}
