//! The table of TCP connections: who is connected to which backend. It counts them, and tells during a drain where each
//! belongs; outside of one, no packet waits for it.
//!
//! A SYN only marks its flow and notes it in `HALF_OPEN`; the client's next segment, found by the mark, moves it to
//! `CONNECTIONS`, from where the end of the connection moves it back. So whoever sends nothing but SYNs adds nothing to
//! what is counted and takes nothing from it. Most segments do none of this, and no hash is looked into for them.

use core::ptr;

use aya_ebpf::programs::XdpContext;
use fastswitch_common::{
    abi::{Endpoint, Flow, mode},
    connection::Connection,
    mark::Mark,
    parse::{self, Control, Segment},
};

use crate::{
    clock::nanoseconds,
    ctx,
    maps::{CONNECTIONS, HALF_OPEN, MARKS},
};

/// Whether `segment` of a client is to be given to [`note`].
#[inline(always)]
pub(crate) fn is_of_interest(segment: &Segment) -> bool {
    let mark = Mark::of(&segment.source, &segment.destination);
    segment.ends || MARKS.get(mark.bucket).is_some_and(|bucket| mark.is_in(*bucket))
}

/// A client's SYN goes to the backend in `row`.
#[inline(never)]
pub(crate) fn begin(ctx: &XdpContext, segment: &Segment, row: u32) {
    let Some(control) = control(ctx, segment) else {
        return;
    };
    // No room means that it is not counted, and that a drain takes it for an old one.
    let _ =
        HALF_OPEN.insert(from_client(segment), Connection::begun(row, control.sequence, nanoseconds()), 0);
    change_bucket(segment, Mark::put_into);
}

/// Another segment of a client goes to a backend.
#[inline(never)]
pub(crate) fn note(ctx: &XdpContext, segment: &Segment, how: u8) {
    let Some(control) = control(ctx, segment) else {
        return;
    };
    let flow = from_client(segment);
    change_bucket(segment, Mark::taken_from);
    establish(&flow, control.sequence);
    let Some(connection) = CONNECTIONS.get_ptr_mut(flow) else {
        return none_the_more(&flow, &control);
    };
    // SAFETY: an entry found by key; one being reused just now is another's, whose time is then set right.
    let connection = unsafe { &mut *connection };
    connection.seen = nanoseconds();
    if control.fin {
        connection.client_ended = 1;
        // Where backends answer past this gateway, nobody sees their FIN.
        if how != mode::NAT {
            connection.backend_ended = 1;
        }
    }
    if control.rst || (connection.client_ended != 0 && connection.backend_ended != 0) {
        over(&flow, connection);
    }
}

/// A backend has ended its side of a connection by `vip`, with `segment`.
#[inline(never)]
pub(crate) fn note_end(ctx: &XdpContext, segment: &Segment, vip: &Endpoint) {
    let Some(control) = control(ctx, segment) else {
        return;
    };
    let flow = Flow { client: segment.destination, server: *vip };
    let Some(connection) = CONNECTIONS.get_ptr_mut(flow) else {
        return none_the_more(&flow, &control);
    };
    // SAFETY: as above.
    let connection = unsafe { &mut *connection };
    connection.backend_ended = 1;
    connection.seen = nanoseconds();
    if control.rst || connection.client_ended != 0 {
        over(&flow, connection);
    }
}

/// The row that `segment` of a client belongs to during a drain. A SYN belongs to one if it is sent once more; of any
/// other segment it is `unless_known` if nothing is known, and from then on.
#[inline(never)]
pub(crate) fn row(ctx: &XdpContext, segment: &Segment, unless_known: u32) -> Option<u32> {
    let control = control(ctx, segment)?;
    let flow = from_client(segment);
    // SAFETY: as above.
    let half_open = HALF_OPEN.get_ptr(flow).map(|half_open| unsafe { &*half_open });
    if segment.opens {
        let again = |half_open: &&Connection| half_open.opening != 0 && half_open.syn == control.sequence;
        return half_open.filter(again).map(|half_open| half_open.row);
    }
    if let Some(half_open) = half_open.filter(|half_open| half_open.goes_on_at(control.sequence)) {
        return Some(half_open.row);
    }
    // Looked up once more, for of two pointers that may be null the compiler makes one, and the verifier none.
    if let Some(known) = CONNECTIONS.get_ptr_mut(flow).or_else(|| HALF_OPEN.get_ptr_mut(flow)) {
        // SAFETY: as above.
        let known = unsafe { &mut *known };
        known.seen = nanoseconds();
        return Some(known.row);
    }
    let _ = HALF_OPEN.insert(flow, Connection::unknown(unless_known, nanoseconds()), 0);
    Some(unless_known)
}

/// Moves what the client's SYN has begun to the established connections, if `sequence` goes on with it.
#[inline(always)]
fn establish(flow: &Flow, sequence: u32) {
    let Some(half_open) = HALF_OPEN.get_ptr(flow) else {
        return;
    };
    // SAFETY: as above.
    let half_open = unsafe { &*half_open };
    if half_open.goes_on_at(sequence) {
        let established = Connection::with(half_open.row, nanoseconds());
        // Full, it gives up the one that was looked up least recently; that fails only in a race for the last free one.
        if CONNECTIONS.insert(flow, established, 0).is_ok() {
            let _ = HALF_OPEN.remove(flow);
        }
    }
}

/// A segment with FIN or RST, of whichever end, is for a connection that does not count: whatever it was, it is not waited
/// for any more.
#[inline(always)]
fn none_the_more(flow: &Flow, control: &Control) {
    if let Some(half_open) = HALF_OPEN.get_ptr_mut(flow) {
        // SAFETY: as above.
        let half_open = unsafe { &mut *half_open };
        if control.rst {
            half_open.opening = 0;
        }
        if control.rst || control.fin {
            half_open.unknown = 0;
        }
    }
}

/// Moves a connection to those that are not counted: its last segments, which are still under way, belong to its backend
/// too.
#[inline(always)]
fn over(flow: &Flow, connection: &Connection) {
    let _ = HALF_OPEN.insert(flow, Connection::with(connection.row, nanoseconds()), 0);
    let _ = CONNECTIONS.remove(flow);
}

#[inline(always)]
fn from_client(segment: &Segment) -> Flow {
    Flow { client: segment.source, server: segment.destination }
}

#[inline(always)]
fn control(ctx: &XdpContext, segment: &Segment) -> Option<Control> {
    parse::control(&ctx::packet(ctx), segment)
}

#[inline(always)]
fn change_bucket(segment: &Segment, change: impl FnOnce(Mark, u64) -> u64) {
    let mark = Mark::of(&segment.source, &segment.destination);
    if let Some(bucket) = MARKS.get_ptr_mut(mark.bucket) {
        // SAFETY: in bounds; aligned words, stored whole. Of two changes at the same time one is lost.
        unsafe { ptr::write_volatile(bucket, change(mark, ptr::read_volatile(bucket))) };
    }
}
