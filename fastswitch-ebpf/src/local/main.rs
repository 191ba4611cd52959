//! The programs at the system calls by which local processes of the gateway use a VIP. XDP never sees such packets: the
//! VIP is one of the gateway's own addresses, and they would not leave it.
//!
//! They hang on the root of the control groups, so that every process of the machine runs them; each leaves everything
//! alone that is not of the gateway's own network namespace. Owns what a process notices; refuses to decide who is active,
//! and whom that means ([`fastswitch_common::local`]).
//!
//! Two of them may run after each other, while a later daemon puts its own in the place of an earlier one's: the second
//! finds nothing left to do.
#![no_std]
#![no_main]
#![expect(clippy::needless_pass_by_value, reason = "the cgroup_sock_addr macro passes the context by value")]

mod address;
mod maps;
mod peer;
mod toward;

use aya_ebpf::{macros::cgroup_sock_addr, programs::SockAddrContext};

use crate::address::{V4, V6};

/// A process connects a TCP or UDP socket.
#[cgroup_sock_addr(connect4)]
fn fastswitch_connect4(ctx: SockAddrContext) -> i32 {
    toward::direct(V4(ctx.sock_addr))
}

/// The same; the address may be an IPv4-mapped one.
#[cgroup_sock_addr(connect6)]
fn fastswitch_connect6(ctx: SockAddrContext) -> i32 {
    toward::direct(V6(ctx.sock_addr))
}

/// A process sends a datagram to an address that it names with it.
#[cgroup_sock_addr(sendmsg4)]
fn fastswitch_sendmsg4(ctx: SockAddrContext) -> i32 {
    toward::direct(V4(ctx.sock_addr))
}

/// The same.
#[cgroup_sock_addr(sendmsg6)]
fn fastswitch_sendmsg6(ctx: SockAddrContext) -> i32 {
    toward::direct(V6(ctx.sock_addr))
}

/// A process receives a datagram and asks whose it is.
#[cgroup_sock_addr(recvmsg4)]
fn fastswitch_recvmsg4(ctx: SockAddrContext) -> i32 {
    peer::restore(V4(ctx.sock_addr))
}

/// The same.
#[cgroup_sock_addr(recvmsg6)]
fn fastswitch_recvmsg6(ctx: SockAddrContext) -> i32 {
    peer::restore(V6(ctx.sock_addr))
}

/// A process asks whom its socket is connected to.
#[cgroup_sock_addr(getpeername4)]
fn fastswitch_getpeername4(ctx: SockAddrContext) -> i32 {
    peer::restore(V4(ctx.sock_addr))
}

/// The same.
#[cgroup_sock_addr(getpeername6)]
fn fastswitch_getpeername6(ctx: SockAddrContext) -> i32 {
    peer::restore(V6(ctx.sock_addr))
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
