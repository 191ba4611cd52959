//! What the slow tables said a moment ago: a look into the hash of services costs about 60 ns in traffic, one into
//! the kernel's FIB 200; these cost 10.
//!
//! Each CPU has its own entries, each key one place for them, and none outlives the timer tick (1 to 10 ms) that it
//! was made in. Refuses to remember a refusal.

use aya_ebpf::{helpers::bpf_jiffies64, macros::map, maps::PerCpuArray};
use fastswitch_common::{
    abi::{Endpoint, Hop, Service},
    address::Address,
    parse::Segment,
};

use crate::{maps::SERVICES, scratch};

const SERVICES_KEPT: u32 = 1 << 8;
const ROUTES_KEPT: u32 = 1 << 10;

/// A service found.
#[repr(C)]
struct Found {
    tick: u64,
    endpoint: Endpoint,
    service: Service,
    _pad: u32,
}

/// What the FIB was asked for. Rules that look at more than this see one packet a tick.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Question {
    /// Address of the sender.
    pub(crate) source: Address,
    /// Address of the receiver.
    pub(crate) destination: Address,
    /// Type of service.
    pub(crate) tos: u32,
    /// Index of the interface that the packet came by.
    pub(crate) ingress: u32,
}

/// A route found.
#[repr(C)]
pub(crate) struct Route {
    tick: u64,
    question: Question,
    hop: Hop,
    /// Length in bytes of the largest IPv4 packet known to fit.
    fits: u32,
}

#[map]
static RECENT_SERVICES: PerCpuArray<Found> = PerCpuArray::with_max_entries(SERVICES_KEPT, 0);

#[map]
static RECENT_ROUTES: PerCpuArray<Route> = PerCpuArray::with_max_entries(ROUTES_KEPT, 0);

/// The service that `segment` is for.
#[inline(always)]
pub(crate) fn service(segment: &Segment) -> Option<Service> {
    let endpoint = &segment.destination;
    let place = RECENT_SERVICES.get_ptr_mut(endpoint.mix() % SERVICES_KEPT)?;
    // SAFETY: this CPU's own entry, and no program interrupts this one on its CPU.
    let found = unsafe { &mut *place };
    if found.tick != tick() || found.endpoint != *endpoint {
        look_up(found, scratch::copy(segment)?)?;
    }
    Some(found.service)
}

#[inline(never)]
fn look_up(found: &mut Found, segment: &Segment) -> Option<()> {
    // SAFETY: only the daemon writes this map, and replaces entries whole.
    let service = *unsafe { SERVICES.get(segment.destination) }?;
    *found = Found { tick: tick(), endpoint: segment.destination, service, _pad: 0 };
    Some(())
}

/// The place of the answer to `question`.
#[inline(always)]
pub(crate) fn route(question: &Question) -> Option<&'static mut Route> {
    let [.., to] = question.destination.words();
    let place = RECENT_ROUTES.get_ptr_mut((to ^ to >> 8 ^ to >> 16 ^ to >> 24) % ROUTES_KEPT)?;
    // SAFETY: as above.
    Some(unsafe { &mut *place })
}

impl Route {
    /// The answer to `question` for a packet of `len` bytes, if it is here and fresh.
    #[inline(always)]
    pub(crate) fn find(&self, question: &Question, len: u16) -> Option<Hop> {
        let answers = self.tick == tick() && self.question == *question && u32::from(len) <= self.fits;
        answers.then_some(self.hop)
    }

    /// Keeps the answer to `question`, for packets of up to `fits` bytes.
    #[inline(always)]
    pub(crate) fn keep(&mut self, question: &Question, hop: Hop, fits: u16) {
        *self = Self { tick: tick(), question: *question, hop, fits: u32::from(fits) };
    }
}

/// Number of the current timer tick.
#[inline(always)]
fn tick() -> u64 {
    // SAFETY: takes nothing, reads a clock.
    unsafe { bpf_jiffies64() }
}
