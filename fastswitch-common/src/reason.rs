//! Why a packet met its fate. Each packet that the program sees is counted under exactly one reason; the
//! numbers are stable and never used again for another meaning. What local processes want of a VIP is counted likewise,
//! once for each connection and each datagram without one, when they ask for it.

/// Room for reasons in [`crate::abi::Counters`].
pub const REASONS: usize = 64;

/// What the program does with a packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Left to the kernel's own stack, untouched.
    Pass,
    /// Discarded.
    Drop,
    /// Sent to a backend, rewritten.
    Forward,
    /// A backend's, sent to its client, rewritten.
    Reply,
    /// Sent back where it came from, made into an answer.
    Answer,
    /// Discarded as impossible; the kernel's `xdp_exception` trace point sees it.
    Abort,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal, $fate:ident;)*) => {
        /// Why a packet met its fate.
        #[repr(u8)]
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Reason { $($(#[$doc])* $variant = $number,)* }

        impl Reason {
            /// All reasons, by number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Name in `status`, metrics and documentation.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// What happens to a packet with this reason.
            #[inline(always)]
            #[must_use]
            pub const fn fate(self) -> Fate {
                match self { $(Self::$variant => Fate::$fate,)* }
            }
        }
    };
}

reasons! {
    /// Not IP, or none of TCP, UDP, their ICMP errors and echo to a VIP, from a backend or to one.
    NotOurs = 0, "not_ours", Pass;
    /// To the active backend, by the next hop that the daemon keeps.
    Forwarded = 1, "forwarded", Forward;
    /// To the active backend, by the kernel's FIB, because the daemon knew no next hop.
    ForwardedFib = 2, "forwarded_fib", Forward;
    /// From a backend to a client, by the kernel's FIB.
    Replied = 3, "replied", Reply;
    /// From a backend to a client whose neighbour entry the kernel has lost: back the way its packets came.
    RepliedLearned = 4, "replied_learned", Reply;
    /// Echo request to a VIP, answered.
    EchoAnswered = 5, "echo_answered", Answer;
    /// New TCP connection while no backend can serve, answered with a reset.
    OutageReset = 6, "outage_reset", Answer;
    /// UDP datagram while no backend can serve, answered with port unreachable.
    OutageUnreachable = 7, "outage_unreachable", Answer;
    /// New connection while no backend can serve, dropped.
    OutageDropped = 8, "outage_dropped", Drop;
    /// From a backend to the gateway itself: a heartbeat's answer.
    ToGateway = 9, "to_gateway", Pass;
    /// Between a client and a backend's own address.
    Direct = 10, "direct", Pass;
    /// Fragment of a packet to a VIP that carries something else than TCP and UDP, or less than their header.
    Fragment = 11, "fragment", Pass;
    /// TTL or hop limit too small to forward.
    TtlExpired = 12, "ttl_expired", Pass;
    /// Headers cut short or contradictory.
    Malformed = 13, "malformed", Pass;
    /// Packet of an existing connection while no backend is active at all.
    NoBackend = 14, "no_backend", Drop;
    /// The FIB says blackhole.
    FibBlackhole = 15, "fib_blackhole", Drop;
    /// The FIB says unreachable.
    FibUnreachable = 16, "fib_unreachable", Drop;
    /// The FIB says prohibited.
    FibProhibited = 17, "fib_prohibited", Drop;
    /// The FIB does not forward this (a backend address that is the gateway's own).
    FibNotForwarded = 18, "fib_not_forwarded", Pass;
    /// IP forwarding is off on the interface the packet came by.
    FibForwardingOff = 19, "fib_forwarding_off", Pass;
    /// The next hop's MAC address is not known (yet); the sender tries again.
    FibNoNeighbour = 20, "fib_no_neighbour", Drop;
    /// Larger than the MTU of the way out, and its sender may not be told: an ICMP error, a fragment that is not the
    /// first, a sender that is no single station.
    FibTooBig = 21, "fib_too_big", Drop;
    /// The FIB needs what XDP cannot do (lightweight tunnel, missing source address).
    FibUnsupported = 22, "fib_unsupported", Pass;
    /// What cannot fail failed: a lookup within bounds, cutting a packet short.
    Impossible = 23, "impossible", Abort;
    /// Larger than the MTU of the way out, answered with fragmentation needed or packet too big.
    TooBig = 24, "too_big", Answer;
    /// ICMP error about a packet of a service, to the backend that sent it.
    IcmpErrorForwarded = 25, "icmp_error_forwarded", Forward;
    /// ICMP error about a packet to a backend, to the client that sent it.
    IcmpErrorReplied = 26, "icmp_error_replied", Reply;
    /// Fragment to or from a VIP whose first part has not come by, or too long ago.
    FragmentUnmatched = 27, "fragment_unmatched", Pass;
    /// Segment of a connection in mode `full_nat` that the gateway knows nothing of, or no more: answered with a reset.
    FlowUnknown = 28, "flow_unknown", Answer;
    /// New flow in mode `full_nat`, and no port is free to speak to the backend from.
    PortsExhausted = 29, "ports_exhausted", Drop;
    /// To the active backend in mode `full_nat`, by a flow that is not safe from being forgotten: the table of flows is
    /// full.
    FlowsFull = 30, "flows_full", Forward;
    /// Connection, or datagram without one, of a local process to the VIP: goes to the active backend's own address.
    LocalDirected = 36, "local_directed", Pass;
    /// The same while no backend can serve: fails at once.
    LocalRefused = 37, "local_refused", Drop;
    /// Of no flow in mode `full_nat`: a heartbeat's answer, or between somebody and the backend's own address.
    NoFlow = 38, "no_flow", Pass;
    /// Connection, or datagram without one, of a local process to the VIP of a service whose backends are not spoken to at
    /// their own addresses, or from the VIP's own endpoint: fails at once.
    LocalUnsupported = 39, "local_unsupported", Drop;
}

const _: () = {
    let mut at = 0;
    while at < Reason::ALL.len() {
        assert!((Reason::ALL[at] as usize) < REASONS);
        at += 1;
    }
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise() {
        assert!(Reason::ALL.is_sorted_by_key(|reason| *reason as usize));
    }
}
