//! What must have happened to a packet, and how that is compared with what has.

use fastswitch_common::reason::{Fate, Reason};

use super::{
    super::{frame::sum, gateway::Outcome},
    is_ipv4,
};

/// What must have happened to a packet.
#[derive(Debug)]
pub struct Expected {
    pub action: u32,
    pub slot: u32,
    pub reason: Reason,
    pub(super) bytes: Vec<u8>,
    /// The checksums that may have changed.
    pub(super) checks: Vec<Check>,
}

/// A checksum of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Check {
    /// Its offset.
    pub(super) at: usize,
    pub(super) covers: Covers,
    /// Whether zero says that there is none.
    pub(super) optional: bool,
}

/// What a checksum is about. Offsets are in the frame.
#[derive(Clone, Copy, Debug)]
pub(super) enum Covers {
    /// The IPv4 header there.
    Ipv4(usize),
    /// The bytes from the first offset up to the second, and, unless it is ICMP in IPv4, the addresses in the IP header at
    /// the third.
    Body(usize, usize, Option<usize>),
}

/// The checksum at `at` of what the IP packet of a frame carries, and that of the IP header if it has one.
pub(super) fn checks(bytes: &[u8], at: usize, optional: bool) -> Vec<Check> {
    let word = |at: usize| usize::from(bytes[at]) << 8 | usize::from(bytes[at + 1]);
    if !is_ipv4(bytes) {
        // Extension headers count as well: nobody changes them.
        return vec![Check { at, covers: Covers::Body(54, 54 + word(18), Some(14)), optional }];
    }
    let addresses = (bytes[23] != 1).then_some(14);
    let body = Covers::Body(14 + usize::from(bytes[14] & 15) * 4, 14 + word(16), addresses);
    vec![Check { at: 24, covers: Covers::Ipv4(14), optional: false }, Check { at, covers: body, optional }]
}

impl Covers {
    /// What all this sums up to; in one's complement all ones are zero.
    fn residue(self, bytes: &[u8]) -> u16 {
        let sum = match self {
            Self::Ipv4(at) => sum(&bytes[at..at + usize::from(bytes[at] & 15) * 4]),
            Self::Body(from, to, addresses) => {
                let addresses = match addresses {
                    None => &[][..],
                    Some(ip) if is_ipv4(bytes) => &bytes[ip + 12..ip + 20],
                    Some(ip) => &bytes[ip + 8..ip + 40],
                };
                sum(&[addresses, &bytes[from..to]].concat())
            }
        };
        sum % 0xffff
    }
}

impl Expected {
    /// Bytes that must have been counted as forwarded and as replied.
    pub fn counted_bytes(&self) -> (usize, usize) {
        match self.reason.fate() {
            Fate::Forward => (self.bytes.len(), 0),
            Fate::Reply => (0, self.bytes.len()),
            _ => (0, 0),
        }
    }

    /// Says how the outcome for a packet that came as `before` differs from this, if it does.
    pub fn check(&self, before: &[u8], outcome: &Outcome) -> Result<(), String> {
        if outcome.action != self.action {
            return Err(format!("action {} instead of {}", outcome.action, self.action));
        }
        let mut after = outcome.bytes.clone();
        if after.len() != self.bytes.len() {
            return Err(format!("{} bytes instead of {}", after.len(), self.bytes.len()));
        }
        for Check { at, covers, optional } in self.checks.iter().copied() {
            let none = optional && before[at..at + 2] == [0, 0];
            if optional && none != (after[at..at + 2] == [0, 0]) {
                return Err("a UDP checksum came or went".to_owned());
            }
            if !none && covers.residue(before) != covers.residue(&after) {
                return Err(format!("checksum at {at}: sums up to {:#06x}", covers.residue(&after)));
            }
        }
        for Check { at, .. } in self.checks.iter().copied() {
            after[at..at + 2].copy_from_slice(&self.bytes[at..at + 2]);
        }
        if after != self.bytes {
            return Err(format!("bytes are   {after:02x?}\nshould be {:02x?}", self.bytes));
        }
        Ok(())
    }
}
