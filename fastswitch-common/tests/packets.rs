//! Parsing and rewriting on arbitrary bytes, and against frames that are built from nothing.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use fastswitch_common::{
    abi::Endpoint,
    answer::{self, Unreachable, Why},
    packet::{Macs, Packet},
    parse::{Content, Family, Segment, parse},
    rewrite::{End, hand_over, rename},
};
use proptest::prelude::*;
use support::{
    arbitrary::{config, damage, segment},
    frame::{Address, Body, Frame, icmp, tcp, v4, v6},
};

#[allow(dead_code, unreachable_pub, reason = "shared with other tests")]
#[path = "../../tests/support"]
mod support {
    pub mod arbitrary;
    pub mod frame;
}

const REGRESSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/packets.regressions");
/// Client, VIP, backend; of each family.
type Trio = [Address; 3];
const V4: Trio = [(v4([10, 1, 0, 10]), 40000), (v4([10, 1, 0, 100]), 80), (v4([10, 2, 0, 10]), 8080)];
const V6: Trio = [(v6(1, 0x10), 40000), (v6(1, 0x100), 80), (v6(2, 0x10), 8080)];
const FROM: [u8; 6] = [2, 0, 0, 0, 0, 1];
const TO: [u8; 6] = [2, 0, 0, 0, 0, 2];
const MACS: Macs = Macs::new(TO, FROM);
/// Bytes around a packet that nobody may touch.
const GUARD: usize = 64;

fn trio() -> impl Strategy<Value = Trio> {
    prop_oneof![Just(V4), Just(V6)]
}

/// A segment from client to VIP, with whom it is between.
fn segments(protocol: u8) -> impl Strategy<Value = (Trio, Frame)> {
    trio().prop_flat_map(move |trio| (Just(trio), segment(trio[0], trio[1], protocol)))
}

fn frames() -> impl Strategy<Value = (Trio, Frame)> {
    prop_oneof![segments(6), segments(17)]
}

fn endpoint((address, port): Address, protocol: u8) -> Endpoint {
    Endpoint::new(address.into(), port, protocol)
}

/// Any bytes: random ones, and frames with some damage.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let damaged = (frames(), prop::collection::vec(damage(), 0..4)).prop_map(|((_, frame), damage)| {
        let mut bytes = frame.bytes();
        for damage in damage {
            damage.apply(&mut bytes, 1);
        }
        bytes
    });
    prop_oneof![1 => prop::collection::vec(any::<u8>(), 0..200), 4 => damaged]
}

/// Gives `work` a packet in the midst of guard bytes of one value; they must stay so.
fn guarded<T>(bytes: &[u8], guard: u8, work: impl FnOnce(&mut Packet<'_>) -> T) -> (T, Vec<u8>) {
    let mut memory = vec![guard; bytes.len() + 2 * GUARD];
    let inside = GUARD..GUARD + bytes.len();
    memory[inside.clone()].copy_from_slice(bytes);
    let result = work(&mut Packet::new(&mut memory[inside.clone()]));
    assert!(memory[..inside.start].iter().chain(&memory[inside.end..]).all(|byte| *byte == guard));
    (result, memory[inside].to_vec())
}

fn read(bytes: &[u8]) -> Segment {
    let (content, _) = guarded(bytes, 0, |packet| parse(packet));
    let Ok(Content::Segment(segment)) = content else { panic!("{content:?}") };
    segment
}

proptest! {
    #![proptest_config(config(REGRESSIONS))]

    #[test]
    fn what_lies_around_a_packet_does_not_matter(bytes in bytes()) {
        let (zeroes, after) = guarded(&bytes, 0, |packet| parse(packet));
        let (ones, _) = guarded(&bytes, 0xff, |packet| parse(packet));
        prop_assert_eq!(zeroes, ones);
        prop_assert_eq!(after, bytes, "parsing changes nothing");
    }

    #[test]
    fn what_parses_is_rewritten_in_its_headers_only(bytes in bytes()) {
        let (content, _) = guarded(&bytes, 0, |packet| parse(packet));
        let Ok(Content::Segment(segment)) = content else { return Ok(()) };
        prop_assume!(segment.ttl > 1);
        let header = usize::from(segment.header);
        let payload = header + if segment.source.protocol() == 6 { 20 } else { 8 };
        let ([.., backend], fixed) = match segment.family {
            Family::V4 => (V4, 34),
            Family::V6 => (V6, 54),
        };
        let name = endpoint(backend, segment.source.protocol());
        for end in [End::Source, End::Destination] {
            let (done, after) = guarded(&bytes, 0x5a, |packet| {
                rename(packet, &segment, end, name, MACS)
            });
            prop_assert_eq!(done, Some(()));
            prop_assert_eq!(&after[payload..], &bytes[payload..]);
            prop_assert_eq!(&after[fixed..header], &bytes[fixed..header], "options");
        }
        let (done, after) = guarded(&bytes, 0x5a, |packet| hand_over(packet, MACS));
        prop_assert_eq!(done, Some(()));
        prop_assert_eq!(&after[..12], &[TO, FROM].concat()[..]);
        prop_assert_eq!(&after[12..], &bytes[12..]);
    }

    #[test]
    fn a_segment_is_read_as_it_was_built(([client, vip, _], frame) in frames()) {
        let segment = read(&frame.bytes());
        let protocol = if let Body::Tcp { .. } = frame.body { 6 } else { 17 };
        prop_assert_eq!(segment.source, endpoint(client, protocol));
        prop_assert_eq!(segment.destination, endpoint(vip, protocol));
        prop_assert_eq!(usize::from(segment.header), 14 + frame.header_len());
        prop_assert_eq!(usize::from(segment.total_len), frame.packet().len());
        prop_assert_eq!((segment.ttl, segment.tos), (frame.ttl, frame.tos));
        prop_assert_eq!(segment.opens, match frame.body {
            Body::Tcp { flags, .. } => flags & 0x02 != 0 && flags & 0x14 == 0,
            _ => true,
        });
    }

    #[test]
    fn a_renamed_segment_is_the_one_built_under_the_new_name(([.., backend], frame) in frames()) {
        let bytes = frame.bytes();
        let segment = read(&bytes);
        for (end, expected) in [
            (End::Source, frame.clone().renamed_source(backend, FROM, TO)),
            (End::Destination, frame.renamed_destination(backend, FROM, TO)),
        ] {
            let (done, after) = guarded(&bytes, 0, |packet| {
                rename(packet, &segment, end, endpoint(backend, segment.source.protocol()), MACS)
            });
            prop_assert_eq!(done, Some(()));
            prop_assert_eq!(after, expected.bytes());
        }
    }

    #[test]
    fn a_reset_refuses_the_whole_segment(([client, vip, _], frame) in segments(6)) {
        let frame = frame.macs(FROM, TO);
        let Body::Tcp { seq: theirs, ack: awaited, flags, payload, .. } = &frame.body else {
            panic!("not TCP")
        };
        let length = payload.len() as u32 + u32::from(flags >> 1 & 1) + u32::from(flags & 1);
        // Where they say which number they wait for, that one; otherwise they are told what was received.
        let (flags, sequence, received) =
            if flags & 0x10 == 0 { (0x14, 0, theirs.wrapping_add(length)) } else { (0x04, *awaited, 0) };
        let expected = tcp(vip, client, flags, b"").macs(TO, FROM).with(|reset| {
            if let Body::Tcp { seq, ack, window, .. } = &mut reset.body {
                (*seq, *ack, *window) = (sequence, received, 0);
            }
        });
        let segment = read(&frame.bytes());
        let (done, after) = guarded(&frame.bytes(), 0, |packet| answer::reset(packet, &segment));
        prop_assert_eq!(done, Some(()));
        prop_assert_eq!(&after[..answer::reset_len(segment.family)], &expected.bytes()[..]);
    }

    #[test]
    fn an_unreachable_quotes_what_it_refuses(([client, vip, _], frame) in frames(), mtu: Option<u16>) {
        let frame = frame.macs(FROM, TO);
        let segment = read(&frame.bytes());
        let quoted = frame.header_len() + 8;
        let quoted = if frame.from.is_ipv4() { quoted } else { quoted.min(128) };
        let quoted = &frame.packet()[..quoted];
        let (why, [high, low]) = (mtu.map_or(Why::Port, Why::TooBig), mtu.unwrap_or(0).to_be_bytes());
        let (type_, code) = match (why, frame.from.is_ipv4()) {
            (Why::Port, true) => (3, 3),
            (Why::Port, false) => (1, 4),
            (Why::TooBig(_), true) => (3, 4),
            (Why::TooBig(_), false) => (2, 0),
        };
        let expected = icmp(vip.0, client.0, type_, code, [0, 0, high, low], quoted).macs(TO, FROM);
        let (answer, _) = guarded(&frame.bytes(), 0, |packet| {
            Unreachable::read(packet, segment.family, segment.header, why)
        });
        let answer = answer.expect("a whole datagram");
        let grown = [&vec![0xee; answer.growth()], &frame.bytes()[..]].concat();
        let (done, after) = guarded(&grown, 0, |packet| answer.write(packet));
        prop_assert_eq!(done, Some(()));
        prop_assert_eq!(&after[..answer.frame_len()], &expected.bytes()[..]);
    }

    #[test]
    fn an_echo_is_answered_with_its_own_words(
        rest: [u8; 4],
        payload in prop::collection::vec(any::<u8>(), 0..100),
        ttl: u8,
        [(client, _), (vip, _), _] in trio(),
    ) {
        let (request, reply) = if vip.is_ipv4() { (8, 0) } else { (128, 129) };
        let ask = icmp(client, vip, request, 0, rest, &payload).macs(FROM, TO).with(|frame| frame.ttl = ttl);
        let expected = icmp(vip, client, reply, 0, rest, &payload).macs(TO, FROM);
        let (done, after) = guarded(&ask.bytes(), 0, |packet| {
            let Ok(Content::Echo(echo)) = parse(packet) else { panic!("no echo request") };
            answer::echo(packet, &echo)
        });
        prop_assert_eq!(done, Some(()));
        prop_assert_eq!(after, expected.bytes());
    }
}

/// Answers and renames of a packet that is not the one that was parsed fail, instead of reaching outside.
#[test]
fn a_shorter_packet_than_the_parsed_one_is_refused() {
    for [client, vip, backend] in [V4, V6] {
        let frame = tcp(client, vip, 0x02, b"data").with(|frame| frame.options = vec![1; 40]).bytes();
        let segment = read(&frame);
        let least = usize::from(segment.header) + 20;
        for len in 0..least {
            let (renamed, _) = guarded(&frame[..len], 0, |packet| {
                rename(packet, &segment, End::Source, endpoint(backend, 6), MACS)
            });
            assert_eq!(renamed, None, "{len} bytes");
            let (answered, _) = guarded(&frame[..len], 0, |packet| answer::reset(packet, &segment));
            assert_eq!(answered, None, "{len} bytes");
        }
    }
}
