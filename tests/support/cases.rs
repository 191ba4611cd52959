//! The packet table. A case is a short story; a step says what came by which arm, and everything that follows.

use fastswitch_common::{abi::NO_SERVICE, reason::Reason};

use super::{
    frame::{Address, Body, Frame, flag, icmp, tcp, udp},
    gateway::{
        Arm, BACKENDS_ARM, CLIENT, CLIENT_MAC, CLIENTS_ARM, DEAD_ENDS, Gateway, LOST, LOST_PORT, LOST_VIP,
        NAMES, NAMES_PRIMARY, NAMES_VIP, NEAR, NEAR_BACKEND, NEAR_BACKEND_MAC, NEAR_VIP, OWN_ADDRESS,
        PRIMARY, PRIMARY_MAC, PRIMARY_MAC_IN_FIB, SILENT, SILENT_NAMES, SILENT_NAMES_VIP, SILENT_SERVICE_VIP,
        SILENT_VIP, SMALL_MTU, STANDBY_MAC, UNRESOLVED_CLIENT, VIP, WEB, WEB_PRIMARY, WEB_STANDBY, WEB_VIP,
        from_backend, from_client,
    },
};

/// `enum xdp_action` of the kernel.
pub mod action {
    pub const ABORTED: u32 = 0;
    pub const DROP: u32 = 1;
    pub const PASS: u32 = 2;
    pub const TX: u32 = 3;
    pub const REDIRECT: u32 = 4;
}

/// A story of packets.
pub struct Case {
    pub name: String,
    pub steps: Vec<Step>,
}

/// One event of it.
pub enum Step {
    /// The daemon, or the world, does something.
    Do(fn(&mut Gateway)),
    /// A packet comes.
    Packet {
        arm: Arm,
        frame: Vec<u8>,
        action: u32,
        out: Vec<u8>,
        slot: u32,
        reason: Reason,
        /// Bytes counted as forwarded and as replied.
        forwarded: usize,
        replied: usize,
    },
}

/// Every case.
pub fn all() -> Vec<Case> {
    let parts =
        [forwarding(), replies(), direct(), outages(), fib(), echo(), fragments(), strangers(), broken()];
    parts.into_iter().flatten().collect()
}

fn case(name: impl Into<String>, steps: impl IntoIterator<Item = Step>) -> Case {
    Case { name: name.into(), steps: steps.into_iter().collect() }
}

fn packet(arm: Arm, frame: Vec<u8>, action: u32, out: Vec<u8>, slot: u32, reason: Reason) -> Step {
    Step::Packet { arm, frame, action, out, slot, reason, forwarded: 0, replied: 0 }
}

/// Untouched, to the kernel.
fn pass(arm: Arm, frame: &Frame, slot: u32, reason: Reason) -> Step {
    packet(arm, frame.bytes(), action::PASS, frame.bytes(), slot, reason)
}

/// Untouched, discarded.
fn drop(arm: Arm, frame: &Frame, slot: u32, reason: Reason) -> Step {
    packet(arm, frame.bytes(), action::DROP, frame.bytes(), slot, reason)
}

/// Untouched bytes that need not be a frame, to the kernel, as nobody's.
fn pass_bytes(bytes: &[u8], reason: Reason) -> Step {
    packet(Arm::Clients, bytes.to_vec(), action::PASS, bytes.to_vec(), NO_SERVICE, reason)
}

/// From the clients' arm out of the other, counted as forwarded.
fn forward(frame: &Frame, out: &Frame, slot: u32, reason: Reason) -> Step {
    let (frame, out) = (frame.bytes(), out.bytes());
    let forwarded = out.len();
    Step::Packet {
        arm: Arm::Clients,
        frame,
        action: action::REDIRECT,
        out,
        slot,
        reason,
        forwarded,
        replied: 0,
    }
}

/// From the backends' arm out of the other, counted as replied.
fn reply(frame: &Frame, out: &Frame, slot: u32, reason: Reason) -> Step {
    let (frame, out) = (frame.bytes(), out.bytes());
    let replied = out.len();
    Step::Packet {
        arm: Arm::Backends,
        frame,
        action: action::REDIRECT,
        out,
        slot,
        reason,
        forwarded: 0,
        replied,
    }
}

/// Answered, on the arm it came by.
fn answer(frame: &Frame, out: &Frame, slot: u32, reason: Reason) -> Step {
    packet(Arm::Clients, frame.bytes(), action::TX, out.bytes(), slot, reason)
}

const CLIENT_PORT: Address = (CLIENT, 40000);
const ELSEWHERE: [u8; 4] = [192, 0, 2, 1];

fn syn(vip: Address) -> Frame {
    from_client(tcp(CLIENT_PORT, vip, flag::SYN, b""))
}

fn data(vip: Address) -> Frame {
    from_client(tcp(CLIENT_PORT, vip, flag::ACK, b"odd"))
}

fn query() -> Frame {
    from_client(udp(CLIENT_PORT, NAMES_VIP, b"question"))
}

fn to_primary(frame: Frame) -> Frame {
    frame.renamed_destination(WEB_PRIMARY, BACKENDS_ARM, PRIMARY_MAC)
}

fn to_names(frame: Frame) -> Frame {
    frame.renamed_destination(NAMES_PRIMARY, BACKENDS_ARM, PRIMARY_MAC)
}

fn to_standby(frame: Frame) -> Frame {
    frame.renamed_destination(WEB_STANDBY, BACKENDS_ARM, STANDBY_MAC)
}

fn to_client(frame: Frame, vip: Address) -> Frame {
    frame.renamed_source(vip, CLIENTS_ARM, CLIENT_MAC)
}

fn forwarding() -> Vec<Case> {
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

fn replies() -> Vec<Case> {
    let web = from_backend(tcp(WEB_PRIMARY, CLIENT_PORT, flag::SYN | flag::ACK, b""));
    let names = from_backend(udp(NAMES_PRIMARY, CLIENT_PORT, b"answer"));
    let standby = from_backend(tcp(WEB_STANDBY, CLIENT_PORT, flag::ACK, b"late"));
    let unresolved = (UNRESOLVED_CLIENT, 40000);
    let to_unresolved = from_backend(tcp(WEB_PRIMARY, unresolved, flag::ACK, b"x"));
    let mut cases = vec![
        case("reply: TCP", [reply(&web, &to_client(web.clone(), WEB_VIP), WEB, Reason::Replied)]),
        case("reply: UDP", [reply(&names, &to_client(names.clone(), NAMES_VIP), NAMES, Reason::Replied)]),
        case(
            "reply: of a backend that is not active",
            [reply(&standby, &to_client(standby.clone(), WEB_VIP), WEB, Reason::Replied)],
        ),
        case(
            "reply: of a backend while none is active",
            [
                Step::Do(|gateway| gateway.switch(WEB, None, true)),
                reply(&web, &to_client(web.clone(), WEB_VIP), WEB, Reason::Replied),
            ],
        ),
        case(
            "reply: with IPv4 options",
            [{
                let frame = web.clone().with(|frame| frame.options = vec![1; 40]);
                reply(&frame, &to_client(frame.clone(), WEB_VIP), WEB, Reason::Replied)
            }],
        ),
        case(
            "reply: TTL 1 stays",
            [pass(Arm::Backends, &web.clone().with(|frame| frame.ttl = 1), WEB, Reason::TtlExpired)],
        ),
        case(
            "reply: to the gateway itself",
            [pass(
                Arm::Backends,
                &from_backend(tcp(WEB_PRIMARY, (OWN_ADDRESS, 50000), flag::ACK, b"pong")),
                WEB,
                Reason::ToGateway,
            )],
        ),
        case(
            "reply: another port of the backend's machine is not the service's",
            [pass(
                Arm::Backends,
                &from_backend(tcp((PRIMARY, 22), CLIENT_PORT, flag::ACK, b"ssh")),
                NO_SERVICE,
                Reason::NotOurs,
            )],
        ),
        case(
            "reply: another protocol of the same port is not the service's",
            [pass(
                Arm::Backends,
                &from_backend(udp(WEB_PRIMARY, CLIENT_PORT, b"?")),
                NO_SERVICE,
                Reason::NotOurs,
            )],
        ),
        case(
            "reply: to a client without a neighbour entry, by the way its SYN came",
            [
                drop(Arm::Backends, &to_unresolved, WEB, Reason::FibNoNeighbour),
                {
                    let syn = from_client(tcp(unresolved, WEB_VIP, flag::SYN, b""));
                    forward(&syn, &to_primary(syn.clone()), WEB, Reason::Forwarded)
                },
                reply(
                    &to_unresolved,
                    &to_client(to_unresolved.clone(), WEB_VIP),
                    WEB,
                    Reason::RepliedLearned,
                ),
            ],
        ),
        case("reply: to a client without a neighbour entry, by the way its newest datagram came", {
            let query = from_client(udp(unresolved, NAMES_VIP, b"q"));
            let moved = query.clone().macs([2, 0, 0, 0, 0xa, 0x55], CLIENTS_ARM);
            let back = from_backend(udp(NAMES_PRIMARY, unresolved, b"a"));
            let learned = |mac| back.clone().renamed_source(NAMES_VIP, CLIENTS_ARM, mac);
            [
                forward(&query, &to_names(query.clone()), NAMES, Reason::Forwarded),
                reply(&back, &learned(CLIENT_MAC), NAMES, Reason::RepliedLearned),
                forward(&moved, &to_names(moved.clone()), NAMES, Reason::Forwarded),
                reply(&back, &learned([2, 0, 0, 0, 0xa, 0x55]), NAMES, Reason::RepliedLearned),
            ]
        }),
        case("reply: established TCP teaches no way", {
            let data = from_client(tcp(unresolved, WEB_VIP, flag::ACK, b"x"));
            [
                forward(&data, &to_primary(data.clone()), WEB, Reason::Forwarded),
                drop(Arm::Backends, &to_unresolved, WEB, Reason::FibNoNeighbour),
            ]
        }),
    ];
    for (client, reason) in DEAD_ENDS {
        let payload = if reason == Reason::FibTooBig { vec![0; SMALL_MTU - 39] } else { vec![] };
        let frame = from_backend(tcp(WEB_PRIMARY, (client, 40000), flag::ACK, &payload));
        let step = match reason {
            Reason::FibTooBig | Reason::FibUnsupported => pass(Arm::Backends, &frame, WEB, reason),
            // No way at all and the gateway's own address look the same to the FIB.
            Reason::FibNotForwarded => pass(Arm::Backends, &frame, WEB, Reason::ToGateway),
            _ => drop(Arm::Backends, &frame, WEB, reason),
        };
        cases.push(case(format!("reply: {} to {client:?}", reason.name()), [step]));
    }
    cases
}

fn direct() -> Vec<Case> {
    let there = from_client(tcp(CLIENT_PORT, WEB_PRIMARY, flag::SYN, b""));
    let back = from_backend(tcp(WEB_PRIMARY, CLIENT_PORT, flag::ACK, b"direct"));
    let other = from_backend(tcp(WEB_PRIMARY, (CLIENT, 40001), flag::ACK, b"by the VIP"));
    let query = from_client(udp(CLIENT_PORT, NAMES_PRIMARY, b"q"));
    let reply_query = from_backend(udp(NAMES_PRIMARY, CLIENT_PORT, b"a"));
    let go = pass(Arm::Clients, &there, WEB, Reason::Direct);
    let again = pass(Arm::Clients, &there, WEB, Reason::Direct);
    vec![
        case(
            "direct: a backend's own address works through the gateway",
            [
                go,
                pass(Arm::Backends, &back, WEB, Reason::Direct),
                again,
                pass(Arm::Backends, &back, WEB, Reason::Direct),
                reply(&other, &to_client(other.clone(), WEB_VIP), WEB, Reason::Replied),
            ],
        ),
        case(
            "direct: a connection to the VIP from the same port takes over",
            [
                pass(Arm::Clients, &there, WEB, Reason::Direct),
                forward(&data(WEB_VIP), &to_primary(data(WEB_VIP)), WEB, Reason::Forwarded),
                pass(Arm::Backends, &back, WEB, Reason::Direct),
                forward(&syn(WEB_VIP), &to_primary(syn(WEB_VIP)), WEB, Reason::Forwarded),
                reply(&back, &to_client(back.clone(), WEB_VIP), WEB, Reason::Replied),
            ],
        ),
        case(
            "direct: a datagram to the VIP from the same port takes over",
            [
                pass(Arm::Clients, &query, NAMES, Reason::Direct),
                pass(Arm::Backends, &reply_query, NAMES, Reason::Direct),
                forward(&self::query(), &to_names(self::query()), NAMES, Reason::Forwarded),
                reply(&reply_query, &to_client(reply_query.clone(), NAMES_VIP), NAMES, Reason::Replied),
            ],
        ),
    ]
}

/// The reset that refuses `frame`, whose data is `length` bytes of sequence space.
fn refused(frame: &Frame, vip: Address, length: u32) -> Frame {
    tcp(vip, CLIENT_PORT, flag::RST | flag::ACK, b"").macs(CLIENTS_ARM, CLIENT_MAC).with(|reset| {
        let Body::Tcp { seq: theirs, .. } = &frame.body else { panic!("not TCP") };
        if let Body::Tcp { seq, ack, window, .. } = &mut reset.body {
            (*seq, *ack, *window) = (0, theirs.wrapping_add(length), 0);
        }
    })
}

/// The port unreachable that refuses `frame`.
fn unreachable(frame: &Frame) -> Frame {
    let quoted = &frame.packet()[..20 + frame.options.len() + 8];
    icmp(frame.to, frame.from, 3, 3, [0; 4], quoted).macs(CLIENTS_ARM, CLIENT_MAC)
}

fn outages() -> Vec<Case> {
    let outage = |gateway: &mut Gateway| gateway.switch(WEB, Some(0), true);
    let refuse =
        |frame: Frame, length| answer(&frame, &refused(&frame, WEB_VIP, length), WEB, Reason::OutageReset);
    let names_outage = |gateway: &mut Gateway| gateway.switch(NAMES, None, false);
    let refuse_query = |frame: Frame| answer(&frame, &unreachable(&frame), NAMES, Reason::OutageUnreachable);
    vec![
        case(
            "outage: a SYN is reset, what is under way goes on",
            [
                Step::Do(outage),
                refuse(syn(WEB_VIP), 1),
                forward(&data(WEB_VIP), &to_primary(data(WEB_VIP)), WEB, Reason::Forwarded),
                Step::Do(|gateway| gateway.switch(WEB, Some(0), false)),
                forward(&syn(WEB_VIP), &to_primary(syn(WEB_VIP)), WEB, Reason::Forwarded),
            ],
        ),
        case(
            "outage: reset of a SYN with data, FIN, options of both headers and padding",
            [
                Step::Do(outage),
                refuse(
                    from_client(tcp(CLIENT_PORT, WEB_VIP, flag::SYN | flag::FIN, b"fast open")).with(
                        |frame| {
                            frame.options = vec![1; 40];
                            frame.padding = vec![9; 13];
                            if let Body::Tcp { options, seq, .. } = &mut frame.body {
                                *options = vec![1; 40];
                                *seq = u32::MAX - 3;
                            }
                        },
                    ),
                    11,
                ),
            ],
        ),
        case(
            "outage: a TTL of 1 suffices for an answer",
            [Step::Do(outage), refuse(syn(WEB_VIP).with(|frame| frame.ttl = 1), 1)],
        ),
        case(
            "outage: a reset is not answered by a reset",
            [
                Step::Do(|gateway| gateway.switch(WEB, None, true)),
                drop(
                    Arm::Clients,
                    &from_client(tcp(CLIENT_PORT, WEB_VIP, flag::RST, b"")),
                    WEB,
                    Reason::NoBackend,
                ),
                drop(
                    Arm::Clients,
                    &from_client(tcp(CLIENT_PORT, WEB_VIP, flag::RST | flag::SYN, b"")),
                    WEB,
                    Reason::NoBackend,
                ),
            ],
        ),
        case(
            "outage: no backend at all",
            [
                Step::Do(|gateway| gateway.switch(WEB, None, false)),
                refuse(syn(WEB_VIP), 1),
                drop(Arm::Clients, &data(WEB_VIP), WEB, Reason::NoBackend),
            ],
        ),
        case("outage: a datagram is unreachable", [Step::Do(names_outage), refuse_query(query())]),
        case(
            "outage: an empty datagram, padded, with IPv4 options, is unreachable",
            [
                Step::Do(names_outage),
                refuse_query(
                    from_client(udp(CLIENT_PORT, NAMES_VIP, b"")).with(|frame| frame.padding = vec![3; 18]),
                ),
                refuse_query(query().with(|frame| frame.options = vec![1; 40])),
            ],
        ),
        case(
            "outage: silence where configured",
            [
                Step::Do(|gateway| gateway.switch(SILENT, Some(0), true)),
                Step::Do(|gateway| gateway.switch(SILENT_NAMES, None, true)),
                drop(Arm::Clients, &syn(SILENT_SERVICE_VIP), SILENT, Reason::OutageDropped),
                drop(
                    Arm::Clients,
                    &from_client(udp(CLIENT_PORT, SILENT_NAMES_VIP, b"q")),
                    SILENT_NAMES,
                    Reason::OutageDropped,
                ),
            ],
        ),
        case(
            "outage: senders that are no single station get silence",
            [Step::Do(outage), Step::Do(names_outage)].into_iter().chain(
                [[224, 0, 0, 1], [255; 4], [0; 4], [127, 0, 0, 1]].into_iter().flat_map(|from| {
                    let syn = from_client(tcp((from, 4), WEB_VIP, flag::SYN, b""));
                    let query = from_client(udp((from, 4), NAMES_VIP, b""));
                    [
                        drop(Arm::Clients, &syn, WEB, Reason::OutageDropped),
                        drop(Arm::Clients, &query, NAMES, Reason::OutageDropped),
                    ]
                }),
            ),
        ),
    ]
}

fn fib() -> Vec<Case> {
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
            Reason::FibTooBig => {
                let fits = frame(SMALL_MTU - 40);
                let out = fits.clone().renamed_destination((backend, LOST_PORT), BACKENDS_ARM, STANDBY_MAC);
                vec![
                    forward(&fits, &out, LOST, Reason::ForwardedFib),
                    pass(Arm::Clients, &frame(SMALL_MTU - 39), LOST, reason),
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

fn echo() -> Vec<Case> {
    let ping = |vip| from_client(icmp(CLIENT, vip, 8, 0, [1, 2, 3, 4], b"are you there?"));
    let pong = |vip| icmp(vip, CLIENT, 0, 0, [1, 2, 3, 4], b"are you there?").macs(CLIENTS_ARM, CLIENT_MAC);
    let answered = |ping: Frame, pong: Frame| answer(&ping, &pong, NO_SERVICE, Reason::EchoAnswered);
    let not_ours = |frame: &Frame| pass(Arm::Clients, frame, NO_SERVICE, Reason::NotOurs);
    vec![
        case(
            "echo: each VIP answers",
            [answered(ping(VIP), pong(VIP)), answered(ping(SILENT_VIP), pong(SILENT_VIP))],
        ),
        case(
            "echo: TTL 1, options, padding, id and TOS",
            [answered(
                ping(VIP).with(|frame| {
                    (frame.ttl, frame.id, frame.tos) = (1, 77, 4);
                    (frame.options, frame.padding) = (vec![1; 8], vec![5; 9]);
                }),
                pong(VIP).with(|frame| {
                    (frame.id, frame.tos) = (77, 4);
                    (frame.options, frame.padding) = (vec![1; 8], vec![5; 9]);
                }),
            )],
        ),
        case(
            "echo: answered in an outage",
            [Step::Do(|gateway| gateway.switch(WEB, None, true)), answered(ping(VIP), pong(VIP))],
        ),
        case(
            "echo: others' addresses are left alone",
            [not_ours(&ping(OWN_ADDRESS)), not_ours(&ping(PRIMARY))],
        ),
        case(
            "echo: other ICMP to a VIP is left alone",
            [
                not_ours(&from_client(icmp(CLIENT, VIP, 0, 0, [0; 4], b"unasked"))),
                not_ours(&from_client(icmp(CLIENT, VIP, 13, 0, [0; 4], &[0; 12]))),
                not_ours(&from_client(icmp(CLIENT, VIP, 8, 1, [0; 4], b"odd code"))),
                not_ours(&from_client(icmp(CLIENT, VIP, 3, 4, [0, 0, 5, 0], &syn(WEB_VIP).packet()))),
            ],
        ),
        case(
            "echo: senders that are no single station get no answer",
            [
                not_ours(&from_client(icmp([255; 4], VIP, 8, 0, [0; 4], b""))),
                not_ours(&from_client(icmp([0; 4], VIP, 8, 0, [0; 4], b""))),
            ],
        ),
    ]
}

fn fragments() -> Vec<Case> {
    const MORE: u16 = 0x2000;
    let fragment = |frame: Frame, at: u16| frame.with(|frame| frame.fragment = at);
    vec![
        case(
            "fragment: to a VIP, first, middle, last, of any protocol",
            [MORE, MORE | 3, 185].into_iter().flat_map(|at| {
                [syn(WEB_VIP), query(), from_client(icmp(CLIENT, VIP, 8, 0, [0; 4], b""))]
                    .map(|frame| pass(Arm::Clients, &fragment(frame, at), NO_SERVICE, Reason::Fragment))
            }),
        ),
        case(
            "fragment: too short for ports is still a fragment",
            [{
                let body = Body::Other { protocol: 17, payload: vec![0xff; 4] };
                pass(
                    Arm::Clients,
                    &fragment(from_client(Frame::new(CLIENT, VIP, body)), 185),
                    NO_SERVICE,
                    Reason::Fragment,
                )
            }],
        ),
        case(
            "fragment: of a backend is not recognisable",
            [MORE, 185].map(|at| {
                let frame = from_backend(udp(NAMES_PRIMARY, CLIENT_PORT, b"part"));
                pass(Arm::Backends, &fragment(frame, at), NO_SERVICE, Reason::NotOurs)
            }),
        ),
        case(
            "fragment: the reserved and the don't-fragment bit make none",
            [0x4000, 0x8000, 0].map(|at| {
                let frame = fragment(syn(WEB_VIP), at);
                forward(&frame, &to_primary(frame.clone()), WEB, Reason::Forwarded)
            }),
        ),
    ]
}

fn strangers() -> Vec<Case> {
    let not_ours = |frame: &Frame| pass(Arm::Clients, frame, NO_SERVICE, Reason::NotOurs);
    let ether_type = |ether_type| syn(WEB_VIP).with(|frame| frame.ether_type = ether_type);
    let tagged = {
        let mut bytes = syn(WEB_VIP).bytes();
        bytes.splice(12..12, [0x81, 0, 0, 5]);
        bytes
    };
    let arp = [&[0xff; 6][..], &CLIENT_MAC, &[8, 6, 0, 1, 8, 0, 6, 4, 0, 1], &[0; 20]].concat();
    vec![
        case(
            "stranger: another port, protocol or address",
            [
                not_ours(&syn((VIP, 81))),
                not_ours(&syn(NAMES_VIP)),
                not_ours(&syn((ELSEWHERE, 80))),
                not_ours(&from_client(udp(CLIENT_PORT, WEB_VIP, b""))),
            ],
        ),
        case(
            "stranger: SCTP, and port zero of every protocol",
            [
                not_ours(&from_client(Frame::new(
                    CLIENT,
                    VIP,
                    Body::Other { protocol: 132, payload: vec![0; 40] },
                ))),
                not_ours(&syn((VIP, 0))),
                not_ours(&from_client(udp(CLIENT_PORT, (VIP, 0), b""))),
            ],
        ),
        case(
            "stranger: VLAN, IPv6, ARP, nonsense",
            [
                pass_bytes(&tagged, Reason::NotOurs),
                not_ours(&ether_type(0x86dd)),
                pass_bytes(&arp, Reason::NotOurs),
                not_ours(&ether_type(0x0007)),
            ],
        ),
        case(
            "stranger: a VIP's packet sent to a group of stations",
            [
                not_ours(&syn(WEB_VIP).macs(CLIENT_MAC, [0xff; 6])),
                not_ours(&syn(WEB_VIP).macs(CLIENT_MAC, [1, 0, 0x5e, 0, 0, 1])),
            ],
        ),
    ]
}

fn broken() -> Vec<Case> {
    const IP: usize = 14;
    const L4: usize = IP + 20;
    let poke = |frame: Frame, at: usize, value: u8| {
        let mut bytes = frame.bytes();
        bytes[at] = value;
        pass_bytes(&bytes, Reason::Malformed)
    };
    let ping = || from_client(icmp(CLIENT, VIP, 8, 0, [0; 4], b"12345678"));
    let mut cases = vec![
        case(
            "malformed: version or IHL",
            [0x00, 0x44, 0x40, 0x55, 0x65, 0x35, 0xf5].map(|byte| poke(data(WEB_VIP), IP, byte)),
        ),
        case("malformed: IHL beyond the packet", [poke(query(), IP, 0x4f)]),
        case(
            "malformed: total length beyond the frame",
            [poke(data(WEB_VIP), IP + 2, 0x10), poke(data(WEB_VIP), IP + 3, 44), poke(query(), IP + 2, 0xff)],
        ),
        case(
            "malformed: total length too small for its headers",
            [0, 19, 20, 27]
                .into_iter()
                .flat_map(|len| [syn(WEB_VIP), query(), ping()].map(|frame| poke(frame, IP + 3, len)))
                .chain([poke(syn(WEB_VIP), IP + 3, 39)]),
        ),
        case(
            "malformed: TCP data offset",
            [0x00, 0x40, 0x60, 0xf0].map(|byte| poke(syn(WEB_VIP), L4 + 12, byte)),
        ),
        case("malformed: UDP length", [0, 7, 17, 255].map(|len| poke(query(), L4 + 5, len))),
    ];
    for (name, frame) in [("TCP", data(WEB_VIP)), ("UDP", query()), ("ICMP", ping())] {
        let whole = frame.bytes();
        // The kernel takes no test packet shorter than an Ethernet header.
        let steps = (14..whole.len()).map(|len| pass_bytes(&whole[..len], Reason::Malformed));
        cases.push(case(format!("malformed: {name} cut short anywhere"), steps));
    }
    cases
}
