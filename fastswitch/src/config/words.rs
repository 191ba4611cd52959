//! The words that keys may have as values, and the search for what a misspelt one was meant to be.

use toml::de::DeValue;

use super::values::{Fault, quoted, text};
use crate::machine::spec::{Mode, OnOutage, Protocol, Tier, XdpMode};

/// The words that a key accepts and what they mean.
pub(super) struct Words<T: 'static>(&'static [(&'static str, T)]);

/// `gateway.xdp_mode`.
pub(super) const XDP_MODES: Words<XdpMode> =
    Words(&[("auto", XdpMode::Auto), ("native", XdpMode::Native), ("generic", XdpMode::Generic)]);

/// `protocol`.
pub(super) const PROTOCOLS: Words<Protocol> = Words(&[("tcp", Protocol::Tcp), ("udp", Protocol::Udp)]);

/// `mode`.
pub(super) const MODES: Words<Mode> =
    Words(&[("nat", Mode::Nat), ("full_nat", Mode::FullNat), ("dsr", Mode::Dsr)]);

/// `on_outage`.
pub(super) const ON_OUTAGE: Words<OnOutage> =
    Words(&[("reject", OnOutage::Reject), ("drop", OnOutage::Drop)]);

/// `failback`: whether it happens by itself.
pub(super) const FAILBACK: Words<bool> = Words(&[("manual", false), ("auto", true)]);

/// `tier`.
pub(super) const TIERS: Words<Tier> =
    Words(&[("hot", Tier::Hot), ("warm", Tier::Warm), ("cold", Tier::Cold)]);

/// `heartbeat.type`.
pub(super) const HEARTBEATS: Words<Kind> =
    Words(&[("http", Kind::Http), ("tcp", Kind::Tcp), ("udp", Kind::Udp), ("icmp", Kind::Icmp)]);

/// A type of heartbeat, before its particulars are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Http,
    Tcp,
    Udp,
    Icmp,
}

impl Kind {
    /// The word in configuration.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
        }
    }
}

impl<T: Copy> Words<T> {
    /// The meaning of a value that must be one of these words.
    pub(super) fn read(&self, value: &DeValue<'_>) -> Result<T, Fault> {
        let word = text(value)?;
        if let Some((_, meaning)) = self.0.iter().find(|(known, _)| *known == word) {
            return Ok(*meaning);
        }
        let known = self.0.iter().map(|(known, _)| *known);
        let supported = known.clone().map(quoted).collect::<Vec<_>>().join(", ");
        let guess = meant(&word, known).map(|word| format!("did you mean {}? ", quoted(word)));
        Err(Fault {
            problem: format!("is {}, which this version does not support", quoted(&word)),
            help: format!("{}supported: {supported}", guess.unwrap_or_default()),
        })
    }
}

/// The one of `known` that `word` is most likely a misspelling of.
pub(super) fn meant<'k>(word: &str, known: impl Iterator<Item = &'k str>) -> Option<&'k str> {
    // Longer than any word of ours, and the comparison takes time by length.
    if word.len() > 64 {
        return None;
    }
    let word = word.to_lowercase();
    let allowed = (word.chars().count() / 3).max(1);
    known
        .map(|known| (strsim::osa_distance(&word, known), known))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}
