//! What is nobody's, or not understood: left alone.

use super::*;

pub(super) fn strangers() -> Vec<Case> {
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
            "stranger: VLAN, ARP, nonsense",
            [
                pass_bytes(&tagged, Reason::NotOurs),
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

pub(super) fn broken() -> Vec<Case> {
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
        case(
            "malformed: one family in the other's frame",
            [0x86dd, 0x0800].into_iter().zip([data(WEB_VIP), ipv6::data()]).map(|(ether_type, frame)| {
                pass_bytes(&frame.with(|frame| frame.ether_type = ether_type).bytes(), Reason::Malformed)
            }),
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
