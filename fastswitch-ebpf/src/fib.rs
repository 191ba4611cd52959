//! Asks the kernel's forwarding table for a way, before anything is rewritten.

use core::mem::{MaybeUninit, offset_of};

use aya_ebpf::{
    EbpfContext as _,
    bindings::{
        BPF_FIB_LKUP_RET_BLACKHOLE, BPF_FIB_LKUP_RET_FRAG_NEEDED, BPF_FIB_LKUP_RET_FWD_DISABLED,
        BPF_FIB_LKUP_RET_NO_NEIGH, BPF_FIB_LKUP_RET_NO_SRC_ADDR, BPF_FIB_LKUP_RET_NOT_FWDED,
        BPF_FIB_LKUP_RET_PROHIBIT, BPF_FIB_LKUP_RET_SUCCESS, BPF_FIB_LKUP_RET_UNREACHABLE,
        BPF_FIB_LKUP_RET_UNSUPP_LWT, bpf_fib_lookup as Params,
    },
    helpers::bpf_fib_lookup,
    programs::XdpContext,
};
use aya_log_ebpf::debug;
use fastswitch_common::{
    abi::Hop,
    packet::Macs,
    parse::{Family, Segment},
    reason::Reason,
};

use crate::{answer, ctx};

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// Length of the kernel's parameters in words.
const WORDS: usize = size_of::<Params>() / 8;
const _: () = assert!(size_of::<Params>() == 8 * WORDS && align_of::<Params>() <= 8);

/// Where the addresses lie, which end the parameters: the sender's, then the receiver's.
const MACS: usize = offset_of!(Params, smac);
const _: () = assert!(MACS == 8 * WORDS - 12 && offset_of!(Params, dmac) == MACS + 6);

/// What the kernel says.
pub(crate) struct Way {
    /// Where to.
    pub(crate) hop: Hop,
    /// Length in bytes of an IP packet that fits: at least the one asked about, unless that is refused for its size.
    pub(crate) fits: u16,
}

impl Way {
    const NONE: Self = Self { hop: Hop { ifindex: 0, macs: Macs::new([0; 6], [0; 6]) }, fits: 0 };
}

/// The way of `segment`, as it will be sent.
///
/// # Errors
/// The reason that stands for the kernel's refusal.
#[inline(always)]
pub(crate) fn route(ctx: &XdpContext, segment: &Segment) -> Result<Way, Reason> {
    let mut way = Way::NONE;
    match ask(ctx, segment, &mut way) {
        None => Ok(way),
        Some(Reason::FibTooBig) => Err(answer::too_big(segment, way.fits)),
        // Every answer to a heartbeat of the gateway is one that the FIB does not forward.
        Some(Reason::FibNotForwarded) => Err(Reason::FibNotForwarded),
        Some(reason) => {
            say(ctx, segment, reason);
            Err(reason)
        }
    }
}

#[inline(never)]
fn say(ctx: &XdpContext, segment: &Segment, reason: Reason) {
    let (source, destination) = (segment.source.address.octets(), segment.destination.address.octets());
    debug!(ctx, "no way from {:i} to {:i}: reason {}", source, destination, reason as u8);
}

/// Puts the answer into `way`, or gives the reason against it. (A `Result` would be written through a pointer, which the
/// compiler may leave in the register of the return value, where the verifier allows none.)
#[inline(never)]
fn ask(ctx: &XdpContext, segment: &Segment, way: &mut Way) -> Option<Reason> {
    let (source, destination) = (&segment.source, &segment.destination);
    let mut words = MaybeUninit::<[u64; WORDS]>::uninit();
    for word in 0..WORDS {
        // Word by word: LLVM makes a plainer zeroing into a call that writes byte by byte.
        // SAFETY: inside the array.
        unsafe { words.as_mut_ptr().cast::<u64>().add(word).write_volatile(0) };
    }
    // SAFETY: initialised, as long and as aligned as the parameters, which are made of integers.
    let params = unsafe { &mut *words.as_mut_ptr().cast::<Params>() };
    params.l4_protocol = segment.source.protocol();
    params.sport = u16::from_ne_bytes(source.port());
    params.dport = u16::from_ne_bytes(destination.port());
    params.__bindgen_anon_1.tot_len = segment.total_len;
    match segment.family {
        Family::V4 => {
            let ([.., source], [.., destination]) = (source.address.words(), destination.address.words());
            params.family = AF_INET;
            params.__bindgen_anon_2.tos = segment.tos;
            params.__bindgen_anon_3.ipv4_src = source;
            params.__bindgen_anon_4.ipv4_dst = destination;
        }
        Family::V6 => {
            params.family = AF_INET6;
            params.__bindgen_anon_2.flowinfo = (u32::from(segment.tos) << 20).to_be();
            params.__bindgen_anon_3.ipv6_src = source.address.words();
            params.__bindgen_anon_4.ipv6_dst = destination.address.words();
        }
    }
    params.ifindex = ctx::ingress(ctx);

    // SAFETY: a valid context and parameters of the size given.
    let answer = unsafe { bpf_fib_lookup(ctx.as_ptr(), params, size_of::<Params>() as i32, 0) };
    let reason = match answer as u32 {
        BPF_FIB_LKUP_RET_SUCCESS => {
            way.hop = Hop { ifindex: params.ifindex, macs: macs(params) };
            // SAFETY: a number either way: what we asked about, or since Linux 5.13 the whole MTU.
            way.fits = unsafe { params.__bindgen_anon_1.mtu_result };
            return None;
        }
        BPF_FIB_LKUP_RET_BLACKHOLE => Reason::FibBlackhole,
        BPF_FIB_LKUP_RET_UNREACHABLE => Reason::FibUnreachable,
        BPF_FIB_LKUP_RET_PROHIBIT => Reason::FibProhibited,
        BPF_FIB_LKUP_RET_NOT_FWDED => Reason::FibNotForwarded,
        BPF_FIB_LKUP_RET_FWD_DISABLED => Reason::FibForwardingOff,
        BPF_FIB_LKUP_RET_UNSUPP_LWT | BPF_FIB_LKUP_RET_NO_SRC_ADDR => Reason::FibUnsupported,
        BPF_FIB_LKUP_RET_NO_NEIGH => Reason::FibNoNeighbour,
        BPF_FIB_LKUP_RET_FRAG_NEEDED => {
            // SAFETY: as above.
            way.fits = unsafe { params.__bindgen_anon_1.mtu_result };
            Reason::FibTooBig
        }
        _ => Reason::Impossible,
    };
    Some(reason)
}

/// The MAC addresses of an answer, read by aligned words: on its stack the kernel allows nothing else.
#[inline(always)]
fn macs(params: &Params) -> Macs {
    let word = |index: usize| {
        // SAFETY: inside the parameters, which are as aligned as the word and made of integers.
        unsafe { (&raw const *params).cast::<u64>().add(index).read_volatile() }
    };
    let ([.., a, b, c, d], [e, f, to @ ..]) = (word(WORDS - 2).to_ne_bytes(), word(WORDS - 1).to_ne_bytes());
    Macs::new(to, [a, b, c, d, e, f])
}
