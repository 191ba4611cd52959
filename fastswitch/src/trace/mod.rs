//! `trace`: what would happen to a packet of a client, and to the backend's answer, asked of the program itself.
//!
//! It joins the pinned maps with what the kernel says of the network, as a command does that only reads. It refuses to
//! send anything, and to change anything that packets meet.

mod error;
mod frame;
mod leg;
mod network;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use fastswitch_common::abi::{Endpoint, protocol};
use fastswitch_common::reason::Reason;

use crate::control::wire;
use crate::control::wire::trace::{Leg, Trace};
use crate::dataplane::{Outcome, Pinned, PinnedService, Replica, text};
use crate::machine::spec::Mode;

pub use error::TraceError;
use frame::{Made, flag};
use leg::{Fate, Told};
use network::Arrival;

/// The client's port, unless it is asked about one: from the range that clients choose from (RFC 6335, 6).
const ANY_PORT: u16 = 50_000;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// The client.
    pub client: IpAddr,
    /// Its port; none: any.
    pub port: Option<u16>,
    /// Whether it opens a connection, or goes on with one; UDP has no such difference.
    pub opens: bool,
    /// Name of the interface that the packet arrives on; none: the one that leads to the client.
    pub from: Option<String>,
}

/// Finds out what happens to the packet in question. `status` is that of the service alone.
///
/// # Errors
/// Nothing is pinned, no privilege, the program on the interfaces is another one, the question makes no sense.
pub fn trace(pin_dir: &Path, status: wire::Status, question: &Question) -> Result<Trace, TraceError> {
    let wire::Status { version, daemon, services, warnings, .. } = status;
    let service = services.into_iter().next().ok_or(TraceError::Gone)?;
    let pinned = Pinned::read(pin_dir)?;
    let found = pinned.services()?.into_iter().find(|other| text(&other.info.name) == service.name);
    let found = found.ok_or(TraceError::Gone)?;
    let client = SocketAddr::new(question.client, question.port.unwrap_or(ANY_PORT));
    if client.is_ipv4() != found.vip().is_ipv4() {
        return Err(TraceError::Family {
            client: question.client,
            service: service.name,
            vip: found.vip().ip(),
        });
    }
    let arrival = network::arrival(&pinned, &found, question)?;

    let mut tracer =
        Tracer { replica: Replica::load(pin_dir)?, service: &found, status: &service, arrival: &arrival };
    let protocol = found.info.endpoint.protocol();
    tracer.replica.remember(&found, Endpoint::new(client.ip().into(), client.port(), protocol))?;
    let made = Made {
        from_mac: arrival.client_mac,
        to_mac: arrival.mac,
        from: client,
        to: found.vip(),
        flags: (protocol == protocol::TCP).then_some(if question.opens { flag::SYN } else { flag::ACK }),
    };
    let (mut forward, outcome) = tracer.forward(&made)?;
    let reply = match outcome.reason.map(Reason::fate) {
        Some(Fate::Forward) => tracer.reply(&forward, &outcome)?,
        _ => None,
    };
    let (ok, mut result) = judge(&forward, &outcome, reply.as_ref(), found.mode());
    if let Some(note) = outcome.backend.and_then(|number| tracer.short_cut(number)).filter(|_| ok) {
        result.push_str(", if that comes through the gateway");
        forward.notes.push(note);
    }
    let reply = reply.map(|(leg, _)| leg);
    let outage = found.word.outage();
    Ok(Trace { version, daemon, warnings, service, outage, forward, reply, ok, result })
}

/// Gives the program packets of one service.
struct Tracer<'a> {
    replica: Replica,
    service: &'a PinnedService,
    status: &'a wire::Service,
    arrival: &'a Arrival,
}

impl Tracer<'_> {
    fn forward(&mut self, made: &Made) -> Result<(Leg, Outcome), TraceError> {
        let frame = made.frame();
        let outcome = self.replica.run(self.service, self.arrival.ifindex, &frame)?;
        let mut leg = Told { interface: &self.arrival.interface, frame: &frame, outcome: &outcome }.leg();
        if let Some(number) = outcome.backend {
            leg.backend = self.backend(number).map(|backend| backend.name.clone());
            leg.backend_because = Some(self.because(number));
        }
        leg.notes.extend(self.arrival.notes.iter().cloned());
        if !outcome.of_service {
            leg.notes.push(format!("the program does not take it for a packet of {}", self.status.name));
        }
        Ok((leg, outcome))
    }

    /// The answer of whoever got the packet that `forward` ended with.
    fn reply(&mut self, forward: &Leg, outcome: &Outcome) -> Result<Option<(Leg, Outcome)>, TraceError> {
        let (Some(egress), Some(interface)) = (outcome.egress, &forward.egress) else { return Ok(None) };
        let Some(answer) = frame::made(&outcome.frame).map(|received| received.answer()) else {
            return Ok(None);
        };
        let frame = answer.frame();
        let outcome = self.replica.run(self.service, egress, &frame)?;
        let mut leg = Told { interface, frame: &frame, outcome: &outcome }.leg();
        leg.backend =
            outcome.backend.and_then(|number| self.backend(number)).map(|backend| backend.name.clone());
        if self.service.mode() == Mode::Dsr {
            leg.notes.push(
                "only if it comes through the gateway: in mode dsr the backend answers as the VIP".to_owned(),
            );
        }
        if outcome.reason == Some(Reason::ToGateway) {
            let client = self.arrival.client;
            leg.notes.push(format!("{client} is not the gateway: the kernel has no route to it"));
            leg.advice = Some(format!("`ip route get {client}`: add a route"));
        }
        Ok(Some((leg, outcome)))
    }

    fn backend(&self, number: u8) -> Option<&wire::Backend> {
        let row = self.service.backends.iter().find(|backend| backend.row == number)?;
        let name = text(&row.info.name);
        self.status.backends.iter().find(|backend| backend.name == name)
    }

    /// Why the program chose this backend.
    fn because(&self, number: u8) -> String {
        let word = self.service.word;
        let drains = word.draining().is_some();
        if word.active() != Some(number) {
            return "drains: this connection was open before the last switch".to_owned();
        }
        if word.outage() {
            return "was the last, and no backend can serve: open connections still go there".to_owned();
        }
        let since = self.status.since.as_ref().map(|since| format!(", since {since}")).unwrap_or_default();
        let new = if drains { "; the connection is new, or its own" } else { "" };
        format!("active: {}{since}{new}", self.status.reason)
    }

    /// Whether a backend answers past the gateway, which clients do not understand.
    fn short_cut(&self, number: u8) -> Option<String> {
        let backend = self.service.backends.iter().find(|backend| backend.row == number)?.address().ip();
        let network = self.arrival.network_of(backend).filter(|_| self.service.mode() == Mode::Nat)?;
        let client = self.arrival.client;
        Some(format!(
            "{client} and the backend are both in {network}: the backend answers past the gateway, under an address that \
             the client does not know, unless its route to {client} leads through the gateway"
        ))
    }
}

/// Whether it works, and what it comes to.
fn judge(forward: &Leg, outcome: &Outcome, reply: Option<&(Leg, Outcome)>, mode: Mode) -> (bool, String) {
    let reason = &forward.reason;
    let backend = forward.backend.as_deref().unwrap_or("a backend");
    match outcome.reason.map(Reason::fate) {
        Some(Fate::Forward) if mode == Mode::Dsr => {
            (true, format!("the packet reaches {backend}, which answers the client as the VIP"))
        }
        Some(Fate::Forward) => match reply {
            Some((_, back)) if back.reason.map(Reason::fate) == Some(Fate::Reply) => {
                (true, format!("the packet reaches {backend}, and its answer the client"))
            }
            Some((back, _)) => (
                false,
                format!(
                    "the packet reaches {backend}, but its answer does not reach the client: {}",
                    back.reason
                ),
            ),
            None => (true, format!("the packet reaches {backend}; what its answer meets cannot be said")),
        },
        Some(Fate::Answer) => {
            (false, format!("no backend gets the packet, and the client is told so: {reason}"))
        }
        Some(Fate::Pass) => {
            (false, format!("no backend gets the packet, it is left to the kernel: {reason}"))
        }
        _ => (false, format!("no backend gets the packet, it is dropped: {reason}")),
    }
}
