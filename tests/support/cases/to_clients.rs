//! From backends to clients, and between clients and a backend's own address.

use super::*;

pub(super) fn replies() -> Vec<Case> {
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
    cases.push({
        let client = (v4([10, 9, 4, 5]), 40000);
        let small = from_backend(tcp(WEB_PRIMARY, client, flag::ACK, &[0; SMALL_MTU - 40]));
        let large = from_backend(tcp(WEB_PRIMARY, client, flag::ACK, &[0; SMALL_MTU - 39]));
        let sent = small.clone().renamed_source(WEB_VIP, BACKENDS_ARM, STANDBY_MAC).bytes();
        let go = || Step::Packet {
            arm: Arm::Backends,
            frame: small.bytes(),
            action: action::TX,
            replied: sent.len(),
            out: sent.clone(),
            slot: WEB,
            reason: Reason::Replied,
            forwarded: 0,
        };
        let stop = || answer_at(Arm::Backends, &large, &too_big(&large, SMALL_MTU), WEB, Reason::TooBig);
        case("reply: the route of a small packet is not that of one too big", [go(), stop(), go(), stop()])
    });
    for (client, reason) in DEAD_ENDS {
        let payload = if reason == Reason::TooBig { vec![0; SMALL_MTU - 39] } else { vec![] };
        let frame = from_backend(tcp(WEB_PRIMARY, (client, 40000), flag::ACK, &payload));
        let step = match reason {
            Reason::TooBig => answer_at(Arm::Backends, &frame, &too_big(&frame, SMALL_MTU), WEB, reason),
            Reason::FibUnsupported => pass(Arm::Backends, &frame, WEB, reason),
            // No way at all and the gateway's own address look the same to the FIB.
            Reason::FibNotForwarded => pass(Arm::Backends, &frame, WEB, Reason::ToGateway),
            _ => drop(Arm::Backends, &frame, WEB, reason),
        };
        cases.push(case(format!("reply: {} to {client:?}", reason.name()), [step]));
    }
    cases
}

pub(super) fn direct() -> Vec<Case> {
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
