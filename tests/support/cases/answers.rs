//! What the gateway answers itself, or refuses in silence.

use super::*;

pub(super) fn outages() -> Vec<Case> {
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
                [[224, 0, 0, 1], [255; 4], [0; 4], [127, 0, 0, 1]].into_iter().map(v4).flat_map(|from| {
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

pub(super) fn echo() -> Vec<Case> {
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
                not_ours(&from_client(icmp(v4([255; 4]), VIP, 8, 0, [0; 4], b""))),
                not_ours(&from_client(icmp(v4([0; 4]), VIP, 8, 0, [0; 4], b""))),
            ],
        ),
    ]
}
