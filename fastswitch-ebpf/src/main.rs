//! The XDP program: for every packet one [`Verdict`], counted once.
//!
//! Owns the order in which a packet is looked up. Refuses to parse or rewrite (that is `fastswitch_common`, so that a
//! host can test it) and to decide who is active (that is the daemon's switch word).
//!
//! Each family is a program of its own, and so is each kind of what is no whole segment: the kernel allows 512 bytes of stack for a whole
//! chain of calls, and the compiler makes better code of one thing at a time. What is marked `#[inline(never)]` is
//! rare, and takes no room from the instructions, registers and stack of what most packets need. Such a function is given
//! a [`scratch::copy`]: what is passed by reference has to be in memory from its first use on, for every packet.
#![no_std]
#![no_main]
#![expect(clippy::needless_pass_by_value, reason = "the xdp macro passes the context by value")]

mod answer;
mod clock;
mod connections;
mod ctx;
mod direct;
mod drain;
mod echo;
mod fib;
mod forward;
mod fragment;
mod full_nat;
mod icmp_error;
mod maps;
mod recent;
mod reply;
mod scratch;
mod verdict;

use aya_ebpf::{macros::xdp, programs::XdpContext};
use fastswitch_common::{
    abi::{mode, program},
    packet::Packet,
    parse::{self, Content, Family, Segment},
    reason::Reason,
};

use crate::{
    maps::{ORIGINS, PROGRAMS},
    verdict::Verdict,
};

/// Entry point.
#[xdp]
fn fastswitch(ctx: XdpContext) -> u32 {
    let packet = ctx::packet(&ctx);
    match parse::family(&packet) {
        Ok(Family::V4) => finish(&ctx, packet, parse::ipv4),
        Ok(Family::V6) => go_on(&ctx, program::IPV6),
        Err(_) => go_on(&ctx, program::OTHER),
    }
}

/// Goes on with what the entry point has found to be IPv6.
#[xdp]
fn fastswitch_ipv6(ctx: XdpContext) -> u32 {
    let packet = ctx::packet(&ctx);
    finish(&ctx, packet, parse::ipv6)
}

/// Goes on with a segment to or from a service in mode `full_nat`.
#[xdp]
fn fastswitch_full_nat(ctx: XdpContext) -> u32 {
    let verdict = match scratch::handed_on() {
        Some(segment) => full_nat::verdict(&ctx, ctx::packet(&ctx), segment),
        None => Some(Verdict::no_service(Reason::Impossible)),
    };
    match verdict {
        Some(verdict) => verdict.carry_out(&ctx),
        None => go_on(&ctx, program::ATTEMPT),
    }
}

/// Goes on with such a segment of which no flow is known, and gives it back if then one is.
#[xdp]
fn fastswitch_attempt(ctx: XdpContext) -> u32 {
    let verdict = match scratch::handed_on() {
        Some(segment) => full_nat::attempt::settle(&ctx, segment),
        None => Some(Verdict::no_service(Reason::Impossible)),
    };
    match verdict {
        Some(verdict) => verdict.carry_out(&ctx),
        None => go_on(&ctx, program::FULL_NAT),
    }
}

/// Goes on with what is no segment; read once more, which those that are do not notice.
#[xdp]
fn fastswitch_other(ctx: XdpContext) -> u32 {
    let reason = match parse::parse(&ctx::packet(&ctx)) {
        Ok(Content::Echo(echo)) => echo::answer(&ctx, &echo),
        Ok(Content::IcmpError(_)) => return go_on(&ctx, program::ICMP_ERROR),
        Ok(Content::Fragment(_)) => return go_on(&ctx, program::FRAGMENT),
        // Cannot be: it was none a moment ago.
        Ok(Content::Segment(_)) => Reason::Impossible,
        Err(reason) => reason,
    };
    Verdict::no_service(reason).carry_out(&ctx)
}

/// Goes on with what is an ICMP error, read once more.
#[xdp]
fn fastswitch_icmp_error(ctx: XdpContext) -> u32 {
    let packet = ctx::packet(&ctx);
    match parse::parse(&packet) {
        Ok(Content::IcmpError(outer)) => icmp_error::verdict(&ctx, packet, &outer).carry_out(&ctx),
        _ => Verdict::no_service(Reason::Impossible).carry_out(&ctx),
    }
}

/// Goes on with what is part of a fragmented packet, read once more.
#[xdp]
fn fastswitch_fragment(ctx: XdpContext) -> u32 {
    fragment::verdict(&ctx).carry_out(&ctx)
}

/// Turns a packet that is not sent on into the answer that is due.
#[xdp]
fn fastswitch_answer(ctx: XdpContext) -> u32 {
    answer::give(&ctx).finish(&ctx)
}

#[inline(always)]
fn finish(
    ctx: &XdpContext,
    packet: Packet<'_>,
    parse: impl FnOnce(&Packet<'_>) -> Result<Content, Reason>,
) -> u32 {
    match parse(&packet) {
        Ok(Content::Segment(segment)) => match segment_verdict(ctx, packet, &segment) {
            Some(verdict) => verdict.carry_out(ctx),
            None => {
                scratch::hand_on(&segment);
                go_on(ctx, program::FULL_NAT)
            }
        },
        _ => go_on(ctx, program::OTHER),
    }
}

/// Jumps to a part of the program.
#[inline(always)]
pub(crate) fn go_on(ctx: &XdpContext, part: u32) -> u32 {
    // SAFETY: the map holds programs of this type only. Comes back if it has none there, which is so only before the very
    // first program is attached.
    unsafe { PROGRAMS.tail_call(ctx, part) };
    Verdict::no_service(Reason::NotOurs).finish(ctx)
}

/// `None` if the segment is for the program of mode `full_nat`.
#[inline(always)]
pub(crate) fn segment_verdict(ctx: &XdpContext, packet: Packet<'_>, segment: &Segment) -> Option<Verdict> {
    if let Some(service) = recent::service(segment) {
        if service.mode == mode::FULL_NAT {
            return None;
        }
        return Some(forward::forward(ctx, packet, segment, &service));
    }
    // SAFETY: only the daemon writes this map, and replaces entries whole.
    if let Some(origin) = unsafe { ORIGINS.get(segment.source) } {
        if origin.vip.is_none() {
            return None;
        }
        return Some(reply::reply(ctx, packet, segment, origin));
    }
    // SAFETY: as above.
    if let Some(origin) = unsafe { ORIGINS.get(segment.destination) } {
        if origin.vip.is_none() {
            return Some(Verdict::no_service(Reason::NoFlow));
        }
        let remembered = scratch::copy(segment).map(|segment| direct::remember(segment, origin));
        let reason = remembered.map_or(Reason::Impossible, |()| Reason::Direct);
        return Some(Verdict::stays(origin.slot, origin.row, reason));
    }
    Some(Verdict::no_service(Reason::NotOurs))
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    // The verifier rejects a reachable endless loop, so a reachable panic does not load.
    loop {}
}

// SAFETY: the section holds a NUL-terminated licence string, which is what the kernel reads there.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
