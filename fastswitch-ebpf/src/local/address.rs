//! The addresses in a system call's context: the only place that reads and writes it.
//!
//! Everything is volatile: the verifier wants each field accessed by itself, at its own offset from the context.

use core::ffi::c_void;

use aya_ebpf::{
    bindings::{bpf_sock, bpf_sock_addr},
    helpers::{bpf_get_netns_cookie, bpf_get_socket_cookie},
};
use fastswitch_common::{abi::Endpoint, address::Address};

use crate::maps;

/// The context of a call on addresses of one family.
pub(crate) trait Call {
    /// The context.
    fn ctx(&self) -> *mut bpf_sock_addr;

    /// Address of the other end, in the call.
    fn address(&self) -> Address;

    /// Replaces it; of the same family.
    fn set_address(&self, address: Address);

    /// Address that the socket is bound to.
    fn own_address(&self) -> Address;

    /// Whether the socket is of the gateway's own network namespace.
    #[inline(always)]
    fn is_ours(&self) -> bool {
        let ctx = self.ctx().cast::<c_void>();
        // SAFETY: a valid context.
        unsafe { bpf_get_netns_cookie(ctx) == maps::netns() }
    }

    /// The kernel's cookie of the socket.
    #[inline(always)]
    fn socket(&self) -> u64 {
        let ctx = self.ctx().cast::<c_void>();
        // SAFETY: a valid context.
        unsafe { bpf_get_socket_cookie(ctx) }
    }

    /// The protocol.
    #[inline(always)]
    fn protocol(&self) -> u8 {
        let ctx = self.ctx();
        // SAFETY: a valid context.
        unsafe { (&raw const (*ctx).protocol).read_volatile() as u8 }
    }

    /// The other end, in the call.
    #[inline(always)]
    fn peer(&self) -> Endpoint {
        let ctx = self.ctx();
        // SAFETY: a valid context.
        let port = unsafe { (&raw const (*ctx).user_port).read_volatile() };
        // As on the wire, in the two bytes that come first in memory.
        let [a, b, ..] = port.to_ne_bytes();
        Endpoint::from_wire(self.address(), [a, b], self.protocol())
    }

    /// Replaces the other end; of the same family and protocol.
    #[inline(always)]
    fn set_peer(&self, peer: Endpoint) {
        let ctx = self.ctx();
        let [a, b] = peer.port();
        // SAFETY: a valid context.
        unsafe { (&raw mut (*ctx).user_port).write_volatile(u32::from_ne_bytes([a, b, 0, 0])) };
        self.set_address(peer.address);
    }

    /// What the socket is bound to.
    #[inline(always)]
    fn own(&self) -> Endpoint {
        let sk = sk(self.ctx());
        // SAFETY: the kernel gives every call its socket.
        let port = unsafe { (&raw const (*sk).src_port).read_volatile() };
        Endpoint::new(self.own_address(), port as u16, self.protocol())
    }
}

/// IPv4 addresses.
pub(crate) struct V4(pub(crate) *mut bpf_sock_addr);

/// IPv6 addresses, IPv4-mapped ones included.
pub(crate) struct V6(pub(crate) *mut bpf_sock_addr);

impl Call for V4 {
    #[inline(always)]
    fn ctx(&self) -> *mut bpf_sock_addr {
        self.0
    }

    #[inline(always)]
    fn address(&self) -> Address {
        // SAFETY: a valid context.
        let word = unsafe { (&raw const (*self.0).user_ip4).read_volatile() };
        Address::v4(word.to_ne_bytes())
    }

    #[inline(always)]
    fn set_address(&self, address: Address) {
        let [.., word] = address.words();
        // SAFETY: a valid context.
        unsafe { (&raw mut (*self.0).user_ip4).write_volatile(word) };
    }

    #[inline(always)]
    fn own_address(&self) -> Address {
        let sk = sk(self.0);
        // SAFETY: the kernel gives every call its socket.
        let word = unsafe { (&raw const (*sk).src_ip4).read_volatile() };
        Address::v4(word.to_ne_bytes())
    }
}

impl Call for V6 {
    #[inline(always)]
    fn ctx(&self) -> *mut bpf_sock_addr {
        self.0
    }

    #[inline(always)]
    fn address(&self) -> Address {
        // SAFETY: a valid context.
        let word = |index: usize| unsafe { (&raw const (*self.0).user_ip6[index]).read_volatile() };
        Address::from_words([word(0), word(1), word(2), word(3)])
    }

    #[inline(always)]
    fn set_address(&self, address: Address) {
        let [a, b, c, d] = address.words();
        // SAFETY: a valid context.
        let set = |index: usize, word: u32| unsafe {
            (&raw mut (*self.0).user_ip6[index]).write_volatile(word);
        };
        set(0, a);
        set(1, b);
        set(2, c);
        set(3, d);
    }

    #[inline(always)]
    fn own_address(&self) -> Address {
        let sk = sk(self.0);
        // SAFETY: the kernel gives every call its socket.
        let word = |index: usize| unsafe { (&raw const (*sk).src_ip6[index]).read_volatile() };
        Address::from_words([word(0), word(1), word(2), word(3)])
    }
}

#[inline(always)]
fn sk(ctx: *mut bpf_sock_addr) -> *const bpf_sock {
    // SAFETY: a valid context.
    unsafe { (&raw const (*ctx).__bindgen_anon_1.sk).read_volatile() }
}
