//! Random frames.

use proptest::{collection::vec, prelude::*, sample::Index, test_runner::FileFailurePersistence};

use super::frame::{Address, Body, Frame};

/// Configuration of a property: 2048 cases, or `PROPTEST_CASES` of them; what failed once is kept in the file
/// `regressions` and tried first from then on.
pub fn config(regressions: &'static str) -> ProptestConfig {
    let mut config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = 2048;
    }
    config.failure_persistence = Some(Box::new(FileFailurePersistence::Direct(regressions)));
    config
}

/// A well-formed TCP segment or UDP datagram between these two, with everything else at random but the TTL that
/// forwarding needs.
pub fn segment(from: Address, to: Address, protocol: u8) -> BoxedStrategy<Frame> {
    let payload = || vec(any::<u8>(), 0..200);
    let body = if protocol == 6 {
        (any::<(u32, u32, u8, u16)>(), words(), payload())
            .prop_map(move |((seq, ack, flags, window), options, payload)| Body::Tcp {
                from: from.1,
                to: to.1,
                seq,
                ack,
                flags,
                window,
                options,
                payload,
            })
            .boxed()
    } else {
        (any::<bool>(), payload())
            .prop_map(move |(checksum, payload)| Body::Udp { from: from.1, to: to.1, checksum, payload })
            .boxed()
    };
    let extensions = vec(extension(), 0..4);
    (body, any::<(u8, u16)>(), 2u8.., words(), extensions, vec(any::<u8>(), 0..20))
        .prop_map(move |(body, (tos, id), ttl, options, extensions, padding)| {
            let (options, extensions) =
                if from.0.is_ipv4() { (options, vec![]) } else { (vec![], extensions) };
            Frame { tos, id, ttl, options, extensions, padding, ..Frame::new(from.0, to.0, body) }
        })
        .boxed()
}

/// A hop-by-hop, destination or routing header that leaves the packet what it is.
fn extension() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let type_ = prop_oneof![Just(0u8), Just(60), Just(43)];
    (type_, any::<[u8; 6]>(), vec(any::<[u8; 8]>(), 0..3)).prop_map(|(type_, mut first, more)| {
        if type_ == 43 {
            // No segments are left.
            first[1] = 0;
        }
        (type_, [&[more.len() as u8][..], &first, &more.concat()].concat())
    })
}

/// Damage to a frame.
#[derive(Clone, Debug)]
pub enum Damage {
    /// Another byte somewhere.
    Byte(Index, u8),
    /// Another byte among the first headers, where it hurts most.
    HeaderByte(usize, u8),
    /// The rest missing.
    Truncate(Index),
    /// Some bytes twice.
    Repeat(Index, u8),
}

/// Any damage.
pub fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        any::<(Index, u8)>().prop_map(|(at, byte)| Damage::Byte(at, byte)),
        (0..74usize, any::<u8>()).prop_map(|(at, byte)| Damage::HeaderByte(at, byte)),
        any::<Index>().prop_map(Damage::Truncate),
        any::<(Index, u8)>().prop_map(|(at, length)| Damage::Repeat(at, length)),
    ]
}

impl Damage {
    /// Does it, leaving at least the `least` first bytes.
    pub fn apply(&self, bytes: &mut Vec<u8>, least: usize) {
        match self {
            Self::Byte(at, byte) => *at.get_mut(bytes) = *byte,
            Self::HeaderByte(at, byte) => {
                if let Some(target) = bytes.get_mut(*at) {
                    *target = *byte;
                }
            }
            Self::Truncate(at) => bytes.truncate(at.index(bytes.len()).max(least)),
            Self::Repeat(at, length) => {
                let at = at.index(bytes.len());
                let piece: Vec<u8> = bytes[at..].iter().take(usize::from(*length)).copied().collect();
                bytes.splice(at..at, piece);
            }
        }
    }
}

/// Options of a header: a multiple of four bytes, at most forty.
fn words() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<[u8; 4]>(), 0..=10).prop_map(|words| words.concat())
}
