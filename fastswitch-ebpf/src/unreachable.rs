//! ICMP errors in place of packets that are not sent on.

use aya_ebpf::programs::XdpContext;
use fastswitch_common::{
    answer::{self, Unreachable, Why},
    parse::{Family, NOWHERE},
    reason::Reason,
};

use crate::ctx;

/// Turns the packet, which does not fit into `mtu` bytes and whose TCP or UDP header is at `header`, into the error that
/// tells its sender; not where that would answer what must not be answered (RFC 1122, 3.2.2; RFC 4443, 2.4 e).
#[inline(never)]
pub(crate) fn too_big(ctx: &XdpContext, family: Family, header: u16, mtu: u16) -> Reason {
    if header == NOWHERE {
        return Reason::FibTooBig;
    }
    match error(ctx, family, header, Why::TooBig(mtu)) {
        Some(true) => Reason::TooBig,
        Some(false) => Reason::FibTooBig,
        None => Reason::Impossible,
    }
}

/// Turns the packet into an error; not if its sender is no single station.
#[inline(always)]
pub(crate) fn error(ctx: &XdpContext, family: Family, header: u16, why: Why) -> Option<bool> {
    let packet = ctx::packet(ctx);
    let error = Unreachable::read(&packet, family, header, why)?;
    if !answer::allowed(error.to()) {
        return Some(false);
    }
    let mut packet = ctx::grow_front(ctx, packet, error.growth())?;
    error.write(&mut packet)?;
    ctx::truncate(ctx, packet, error.frame_len())?;
    Some(true)
}
