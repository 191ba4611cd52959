//! The floors that measurements are compared with: the least that a program can do to a packet and still send it, and
//! nothing at all.
#![no_std]
#![no_main]
#![expect(clippy::needless_pass_by_value, reason = "the xdp macro passes the context by value")]

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};
use fastswitch_common::packet::{Ethernet, Packet};

/// Entry point: swaps the MAC addresses and transmits.
#[xdp]
fn floor(ctx: XdpContext) -> u32 {
    // SAFETY: the kernel keeps these bytes for this run of the program, behind an even number of bytes of headroom.
    let mut packet = unsafe { Packet::from_raw(ctx.data() as *mut u8, ctx.data_end() as *mut u8) };
    let Some(ethernet) = packet.get_mut::<Ethernet>(0) else {
        return xdp_action::XDP_ABORTED;
    };
    ethernet.set_macs(ethernet.macs().back());
    xdp_action::XDP_TX
}

/// Entry point: leaves the packet to the kernel.
#[xdp]
fn pass(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_PASS
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
