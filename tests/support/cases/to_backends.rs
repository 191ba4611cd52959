//! From clients to backends, by next hop and by FIB.

use fastswitch_common::word::SwitchWord;

use super::*;

pub(super) fn forwarding() -> Vec<Case> {
    let web = |frame: &Frame| forward(frame, &to_primary(frame.clone()), WEB, Reason::Forwarded);
    let names = |frame: &Frame| forward(frame, &to_names(frame.clone()), NAMES, Reason::Forwarded);
    let mut cases = vec![
        case("forward: TCP to another port, SYN and data", [web(&syn(WEB_VIP)), web(&data(WEB_VIP))]),
        case(
            "forward: TCP with options, urgent data and TOS",
            [web(&data(WEB_VIP).with(|frame| {
                frame.tos = 0xb8;
                if let Body::Tcp { options, flags, .. } = &mut frame.body {
                    options.extend([1; 40]);
                    *flags |= 0x28;
                }
            }))],
        ),
        case(
            "forward: reset and FIN reach the backend",
            [
                web(&from_client(tcp(CLIENT_PORT, WEB_VIP, flag::RST, b""))),
                web(&from_client(tcp(CLIENT_PORT, WEB_VIP, flag::FIN | flag::ACK, b""))),
            ],
        ),
        case("forward: UDP", [names(&query()), names(&query())]),
        case(
            "forward: UDP without a checksum stays without",
            [names(&query().with(|frame| {
                if let Body::Udp { checksum, .. } = &mut frame.body {
                    *checksum = false;
                }
            }))],
        ),
        case(
            "forward: UDP checksum that comes out as zero is written as ones",
            [names(&comes_out_as_zero())],
        ),
        case(
            "forward: padding after the packet stays",
            [web(&syn(WEB_VIP).with(|frame| frame.padding = vec![7; 20]))],
        ),
        case("forward: TTL 2 is the last that leaves", [web(&syn(WEB_VIP).with(|frame| frame.ttl = 2))]),
        case(
            "forward: TTL 1 and 0 stay",
            [1, 0].map(|ttl| {
                pass(Arm::Clients, &syn(WEB_VIP).with(|frame| frame.ttl = ttl), WEB, Reason::TtlExpired)
            }),
        ),
        case(
            "forward: a full frame",
            [web(&from_client(tcp(CLIENT_PORT, WEB_VIP, flag::ACK, &[0xa5; 1460])))],
        ),
        case(
            "forward: datagrams do not wait for a drain",
            [
                Step::Do(|gateway| gateway.store(NAMES, SwitchWord::new(Some(0), Some(1), false, 5))),
                names(&query()),
            ],
        ),
        case(
            "forward: the switch word decides, packet by packet",
            [
                web(&data(WEB_VIP)),
                Step::Do(|gateway| gateway.switch(WEB, Some(1), false)),
                forward(&data(WEB_VIP), &to_standby(data(WEB_VIP)), WEB, Reason::ForwardedFib),
                Step::Do(|gateway| gateway.switch(WEB, Some(0), false)),
                web(&data(WEB_VIP)),
            ],
        ),
        case(
            "forward: by the FIB when the next hop's port is not in the table",
            [
                Step::Do(Gateway::forget_ports),
                forward(
                    &syn(WEB_VIP),
                    &to_primary(syn(WEB_VIP)).macs(BACKENDS_ARM, PRIMARY_MAC_IN_FIB),
                    WEB,
                    Reason::ForwardedFib,
                ),
            ],
        ),
        case("forward: out of the arm it came by", [one_arm()]),
        case(
            "forward: a word that names an unused row is impossible",
            [
                Step::Do(|gateway| gateway.switch(WEB, Some(7), false)),
                packet(
                    Arm::Clients,
                    syn(WEB_VIP).bytes(),
                    action::ABORTED,
                    syn(WEB_VIP).bytes(),
                    WEB,
                    Reason::Impossible,
                ),
            ],
        ),
    ];
    for words in 1..=10 {
        let frame = data(WEB_VIP).with(|frame| frame.options = vec![1; 4 * words]);
        let datagram = query().with(|frame| frame.options = vec![1; 4 * words]);
        cases.push(case(format!("forward: IHL {}", 5 + words), [web(&frame), names(&datagram)]));
    }
    cases
}

/// A datagram whose checksum, once addressed to the backend, is computed as zero.
fn comes_out_as_zero() -> Frame {
    let frame = |word: u16| from_client(udp(CLIENT_PORT, NAMES_VIP, &word.to_be_bytes()));
    let becomes_ones = |frame: &Frame| to_names(frame.clone()).bytes()[40..42] == [0xff, 0xff];
    (0..=u16::MAX).map(frame).find(becomes_ones).expect("one of all words does")
}

fn one_arm() -> Step {
    let frame = syn(NEAR_VIP);
    let out = frame.clone().renamed_destination(NEAR_BACKEND, CLIENTS_ARM, NEAR_BACKEND_MAC).bytes();
    let (forwarded, frame) = (out.len(), frame.bytes());
    let (arm, action, slot, reason) = (Arm::Clients, action::TX, NEAR, Reason::Forwarded);
    Step::Packet { arm, frame, action, out, slot, reason, forwarded, replied: 0 }
}

pub(super) fn fib() -> Vec<Case> {
    const POINT: [fn(&mut Gateway); DEAD_ENDS.len()] = [
        |gateway| gateway.switch(LOST, Some(0), false),
        |gateway| gateway.switch(LOST, Some(1), false),
        |gateway| gateway.switch(LOST, Some(2), false),
        |gateway| gateway.switch(LOST, Some(3), false),
        |gateway| gateway.switch(LOST, Some(4), false),
        |gateway| gateway.switch(LOST, Some(5), false),
        |gateway| gateway.switch(LOST, Some(6), false),
        |gateway| gateway.switch(LOST, Some(7), false),
    ];
    let mut cases = vec![case(
        "fib: forwarding off on the arm it came by",
        [
            Step::Do(|gateway| gateway.switch(WEB, Some(1), false)),
            Step::Do(|gateway| gateway.forward_from_clients(false)),
            pass(Arm::Clients, &syn(WEB_VIP), WEB, Reason::FibForwardingOff),
            Step::Do(|gateway| gateway.forward_from_clients(true)),
            forward(&syn(WEB_VIP), &to_standby(syn(WEB_VIP)), WEB, Reason::ForwardedFib),
        ],
    )];
    for ((backend, reason), point) in DEAD_ENDS.into_iter().zip(POINT) {
        let frame = |len: usize| from_client(tcp(CLIENT_PORT, LOST_VIP, flag::ACK, &vec![0; len]));
        let steps = match reason {
            Reason::TooBig => {
                let fits = frame(SMALL_MTU - 40);
                let out = fits.clone().renamed_destination((backend, LOST_PORT), BACKENDS_ARM, STANDBY_MAC);
                vec![
                    forward(&fits, &out, LOST, Reason::ForwardedFib),
                    answer(&frame(SMALL_MTU - 39), &too_big(&frame(SMALL_MTU - 39), SMALL_MTU), LOST, reason),
                ]
            }
            Reason::FibNotForwarded | Reason::FibUnsupported => {
                vec![pass(Arm::Clients, &frame(0), LOST, reason)]
            }
            _ => vec![drop(Arm::Clients, &frame(0), LOST, reason)],
        };
        let steps = std::iter::once(Step::Do(point)).chain(steps);
        cases.push(case(format!("fib: {} to {backend:?}", reason.name()), steps));
    }
    cases
}
