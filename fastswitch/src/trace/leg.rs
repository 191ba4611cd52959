//! One packet's way through the program, in words.

pub(super) use fastswitch_common::reason::Fate;
use fastswitch_common::reason::Reason;

use super::frame;
use crate::control::wire::trace::Leg;
use crate::dataplane::Outcome;
use crate::telemetry::reasons;

/// What there is to tell.
pub(super) struct Told<'a> {
    /// The interface that it arrives on.
    pub(super) interface: &'a str,
    /// The packet as it arrives.
    pub(super) frame: &'a [u8],
    /// What the program did with it.
    pub(super) outcome: &'a Outcome,
}

impl Told<'_> {
    /// As far as the outcome alone says.
    pub(super) fn leg(&self) -> Leg {
        let outcome = self.outcome;
        let explained = outcome.reason.map(reasons::explain).unwrap_or_default();
        let sent = |reason: Reason| matches!(reason.fate(), Fate::Forward | Fate::Reply | Fate::Answer);
        let leaves = outcome.reason.is_some_and(sent);
        // An answer goes back where the packet came from.
        let egress = outcome.egress.map_or_else(|| self.interface.to_owned(), name);
        let advice = Some(explained.advice).filter(|advice| !advice.starts_with("nothing"));
        Leg {
            interface: self.interface.to_owned(),
            arrives: frame::describe(self.frame),
            backend: None,
            backend_because: None,
            next_hop: outcome.reason.and_then(next_hop).map(str::to_owned),
            action: action(outcome.action).to_owned(),
            happens: explained.happens.to_owned(),
            reason: outcome.reason.map_or("none", Reason::name).to_owned(),
            meaning: explained.meaning.to_owned(),
            advice: advice.map(str::to_owned),
            egress: leaves.then_some(egress),
            leaves: leaves.then(|| frame::describe(&outcome.frame)),
            notes: Vec::new(),
        }
    }
}

/// Who knew the next hop.
fn next_hop(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::Forwarded => Some("daemon"),
        Reason::ForwardedFib | Reason::Replied => Some("kernel"),
        Reason::RepliedLearned => Some("client"),
        _ => None,
    }
}

fn action(action: u32) -> &'static str {
    const NAMES: [&str; 5] = ["XDP_ABORTED", "XDP_DROP", "XDP_PASS", "XDP_TX", "XDP_REDIRECT"];
    let number = usize::try_from(action).unwrap_or(usize::MAX);
    NAMES.get(number).copied().unwrap_or("unknown to the kernel, which drops the packet")
}

/// An interface's name, or what there is to say of one that is gone.
pub(super) fn name(ifindex: u32) -> String {
    let name = nix::net::if_::if_indextoname(ifindex).ok().and_then(|name| name.into_string().ok());
    name.unwrap_or_else(|| format!("the interface with index {ifindex}, which is gone"))
}
