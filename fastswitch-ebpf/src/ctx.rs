//! The packet of an XDP context: the only place that turns addresses from the kernel into bytes.

use aya_ebpf::{
    EbpfContext as _,
    bindings::xdp_md,
    helpers::{bpf_xdp_adjust_head, bpf_xdp_adjust_tail},
    programs::XdpContext,
};
use fastswitch_common::packet::Packet;

/// The packet that the program was called with.
///
/// There must be one at a time: [`grow_front`] and [`truncate`] take away the one they make useless.
#[inline(always)]
pub(crate) fn packet(ctx: &XdpContext) -> Packet<'_> {
    let md = ctx.as_ptr().cast::<xdp_md>();
    // Volatile: otherwise LLVM loads for a function, in its caller, what the function would load first, and passes it on as
    // numbers, which are no pointers to the verifier any more.
    // SAFETY: a valid context. The kernel keeps these bytes for this run of the program, until the packet is resized; it
    // leaves an even number of bytes of headroom.
    unsafe {
        let start = (&raw const (*md).data).read_volatile();
        let end = (&raw const (*md).data_end).read_volatile();
        Packet::from_raw(start as usize as *mut u8, end as usize as *mut u8)
    }
}

/// Length of the frame as it is now, in bytes.
#[inline(always)]
pub(crate) fn frame_len(ctx: &XdpContext) -> u64 {
    (ctx.data_end() - ctx.data()) as u64
}

/// Index of the interface that the packet came by.
#[inline(always)]
pub(crate) fn ingress(ctx: &XdpContext) -> u32 {
    ctx.ingress_ifindex() as u32
}

/// Makes room for `growth` bytes in front of the packet. `None` if the kernel refuses.
#[inline(always)]
pub(crate) fn grow_front<'a>(ctx: &'a XdpContext, _packet: Packet<'a>, growth: usize) -> Option<Packet<'a>> {
    // SAFETY: a valid context; the old packet is gone.
    let result = unsafe { bpf_xdp_adjust_head(ctx.as_ptr().cast(), -(growth as i32)) };
    (result == 0).then(|| self::packet(ctx))
}

/// Cuts the packet off after `len` bytes. `None` if the kernel refuses.
#[inline(always)]
#[expect(clippy::needless_pass_by_value, reason = "takes away the packet that it makes useless")]
pub(crate) fn truncate(ctx: &XdpContext, packet: Packet<'_>, len: usize) -> Option<()> {
    let excess = packet.len() as i32 - len as i32;
    // SAFETY: a valid context; the old packet is gone.
    let result = unsafe { bpf_xdp_adjust_tail(ctx.as_ptr().cast(), -excess) };
    (result == 0).then_some(())
}
