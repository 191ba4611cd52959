//! Kept numbers in the form that people and programs read.

use std::collections::BTreeMap;

use fastswitch_common::abi::{BackendTraffic, Counters};
use fastswitch_common::reason::{Fate, Reason};

use crate::control::wire;

/// Packets by name of reason; reasons never met are left out.
#[must_use]
pub fn reasons(counters: &Counters) -> BTreeMap<String, u64> {
    let count = |reason: &Reason| counters.packets.get(*reason as usize).copied().unwrap_or(0);
    Reason::ALL
        .iter()
        .map(|reason| (reason.name().to_owned(), count(reason)))
        .filter(|(_, packets)| *packets != 0)
        .collect()
}

/// A service's counters: by reason, and all packets and bytes sent on, to backends and to clients.
#[must_use]
pub fn service_counters(counters: &Counters) -> BTreeMap<String, u64> {
    let sent = |reason: &&Reason| matches!(reason.fate(), Fate::Forward | Fate::Reply);
    let packets = Reason::ALL.iter().filter(sent).map(|reason| counters.packets[*reason as usize]);
    let packets = packets.fold(0u64, u64::wrapping_add);
    let mut all = reasons(counters);
    all.insert("packets".to_owned(), packets);
    all.insert("bytes".to_owned(), counters.bytes_forwarded.wrapping_add(counters.bytes_replied));
    all
}

/// What was sent on of a backend's packets.
#[must_use]
pub fn backend_counters(traffic: BackendTraffic) -> wire::BackendCounters {
    wire::BackendCounters {
        forwarded_packets: traffic.forwarded.packets,
        forwarded_bytes: traffic.forwarded.bytes,
        replied_packets: traffic.replied.packets,
        replied_bytes: traffic.replied.bytes,
    }
}

/// A moment in nanoseconds since the Unix epoch; none for 0.
#[must_use]
pub fn rfc3339(unix: u64) -> Option<String> {
    if unix == 0 {
        return None;
    }
    jiff::Timestamp::from_nanosecond(i128::from(unix)).ok().map(|moment| format!("{moment:.3}"))
}

#[cfg(test)]
mod tests {
    use fastswitch_common::reason::REASONS;

    use super::*;

    #[test]
    fn counters_are_named_and_summed() {
        let mut counters = Counters { packets: [0; REASONS], bytes_forwarded: 60, bytes_replied: 40 };
        counters.packets[Reason::Forwarded as usize] = 3;
        counters.packets[Reason::Replied as usize] = 2;
        counters.packets[Reason::OutageReset as usize] = 9;
        let report = service_counters(&counters);
        assert_eq!((report["packets"], report["bytes"], report["outage_reset"]), (5, 100, 9));
        assert_eq!(report.get("direct"), None);
    }

    #[test]
    fn moments_are_rfc_3339_in_utc() {
        assert_eq!(rfc3339(0), None);
        assert_eq!(rfc3339(1_700_000_000_123_456_789).as_deref(), Some("2023-11-14T22:13:20.123Z"));
    }
}
