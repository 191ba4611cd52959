//! The XDP program: for every packet one [`Verdict`], counted once.
//!
//! Owns the order in which a packet is looked up. Refuses to parse or rewrite (that is `fastswitch_common`, so that a
//! host can test it) and to decide who is active (that is the daemon's switch word).
#![no_std]
#![no_main]
#![expect(clippy::needless_pass_by_value, reason = "the xdp macro passes the context by value")]

mod ctx;
mod direct;
mod drain;
mod fib;
mod forward;
mod maps;
mod outage;
mod recent;
mod reply;
mod verdict;

use aya_ebpf::{macros::xdp, programs::XdpContext};
use fastswitch_common::{
    abi::{Endpoint, protocol},
    answer,
    packet::Packet,
    parse::{self, Content, Echo, Segment},
    reason::Reason,
};

use crate::{
    maps::{ORIGINS, SERVICES},
    verdict::Verdict,
};

/// Entry point.
#[xdp]
fn fastswitch(ctx: XdpContext) -> u32 {
    let packet = ctx::packet(&ctx);
    let verdict = match parse::parse(&packet) {
        Ok(Content::Segment(segment)) => segment_verdict(&ctx, packet, &segment),
        Ok(Content::Echo(echo)) => echo_verdict(packet, &echo),
        Ok(Content::Fragment(destination)) if is_vip(destination) => Verdict::no_service(Reason::Fragment),
        Ok(Content::Fragment(_)) => Verdict::no_service(Reason::NotOurs),
        Err(reason) => Verdict::no_service(reason),
    };
    verdict.carry_out(&ctx)
}

#[inline(always)]
fn segment_verdict(ctx: &XdpContext, packet: Packet<'_>, segment: &Segment) -> Verdict {
    if let Some(service) = recent::service(segment.destination) {
        return forward::forward(ctx, packet, segment, &service);
    }
    // SAFETY: only the daemon writes this map, and replaces entries whole.
    if let Some(origin) = unsafe { ORIGINS.get(segment.source) } {
        return reply::reply(ctx, packet, segment, origin);
    }
    // SAFETY: as above.
    if let Some(origin) = unsafe { ORIGINS.get(segment.destination) } {
        return direct::remember(segment, origin);
    }
    Verdict::no_service(Reason::NotOurs)
}

#[inline(always)]
fn echo_verdict(mut packet: Packet<'_>, echo: &Echo) -> Verdict {
    if !is_vip(echo.destination) || !answer::allowed(echo.source) {
        return Verdict::no_service(Reason::NotOurs);
    }
    let answered = answer::echo(&mut packet, echo);
    Verdict::no_service(if answered.is_some() { Reason::EchoAnswered } else { Reason::Impossible })
}

#[inline(always)]
fn is_vip(address: [u8; 4]) -> bool {
    SERVICES.get_ptr(Endpoint::new(address, 0, protocol::ICMP)).is_some()
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
