//! `trace`: the question, and its answer for people.

use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use super::args::{Flags, Places, TraceArgs};
use super::failure::Failure;
use super::text::{self, wrapped};
use super::{say, status_of_one};
use crate::control::wire::trace::{Leg, Packet, Trace};
use crate::control::wire::{Daemon, Service};
use crate::trace::{self, Question, TraceError};

/// Columns of what is said before each line.
const LABEL: usize = 12;

/// A client as it is typed: an address, with or without a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Client {
    address: IpAddr,
    port: Option<u16>,
}

impl FromStr for Client {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(socket) = text.parse::<SocketAddr>() {
            return Ok(Self { address: socket.ip(), port: Some(socket.port()) });
        }
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        match bare.parse() {
            Ok(address) => Ok(Self { address, port: None }),
            Err(_) => Err("neither an address nor ADDRESS:PORT (IPv6: [ADDRESS]:PORT)".to_owned()),
        }
    }
}

/// Prints the packet's way. Exit code 0 only if it works.
pub(super) fn trace(places: &Places, args: &TraceArgs) -> Result<(), Failure> {
    let status = status_of_one(places, &args.service)?;
    let question = Question {
        client: args.client.address,
        port: args.client.port,
        opens: args.flags == Flags::Syn,
        from: args.from.clone(),
    };
    let trace = trace::trace(&places.pin_dir, status, &question).map_err(refused)?;
    if args.json {
        say(&serde_json::to_string(&trace).map_err(Failure::failed)?);
    } else {
        say(&picture(&trace));
    }
    if trace.ok { Ok(()) } else { Err(Failure::said()) }
}

fn refused(error: TraceError) -> Failure {
    if error.is_usage() { Failure::usage(error) } else { Failure::failed(error) }
}

/// The whole trace as text, without a final line break.
fn picture(trace: &Trace) -> String {
    let service = &trace.service;
    let mut out = String::new();
    let daemon = match trace.daemon {
        Daemon::Running => "daemon running",
        Daemon::Absent => "NO DAEMON",
    };
    let (endpoint, protocol, mode) = (text::endpoint(service), &service.protocol, &service.mode);
    let _ = writeln!(out, "{}  {endpoint}/{protocol}  {mode}  {daemon}", service.name);
    for warning in &trace.warnings {
        line(&mut out, "WARNING", warning);
    }
    let _ =
        writeln!(out, "\nThe packet: {} from {}", trace.forward.arrives.kind, trace.forward.arrives.source);
    arrival(&mut out, &trace.forward);
    line(&mut out, "switch", &switch(trace));
    describe(&mut out, &trace.forward, service);
    if let Some(reply) = &trace.reply {
        let of = trace.forward.backend.as_deref().unwrap_or("the backend");
        let _ =
            writeln!(out, "\nThe answer of {of}: {} to {}", reply.arrives.kind, reply.arrives.destination);
        arrival(&mut out, reply);
        describe(&mut out, reply, service);
    }
    out.push('\n');
    line(&mut out, if trace.ok { "OK" } else { "FAILS" }, &trace.result);
    out.truncate(out.trim_end().len());
    out
}

fn arrival(out: &mut String, leg: &Leg) {
    let packet = &leg.arrives;
    line(out, "arrives", &format!("on {}, from {} to {}", leg.interface, packet.from_mac, packet.to_mac));
    line(out, "", &ends(packet));
}

fn ends(packet: &Packet) -> String {
    let Packet { source, destination, ttl, bytes, .. } = packet;
    let checksums = if packet.checksums { "" } else { ", A CHECKSUM IS WRONG" };
    format!("{source} > {destination}, TTL {ttl}, {bytes} bytes{checksums}")
}

/// Where the service's packets go.
fn switch(trace: &Trace) -> String {
    let service = &trace.service;
    let epoch = service.epoch;
    let target = service.target.as_deref();
    let mut text = match target {
        _ if trace.outage => format!("epoch {epoch}: OUTAGE, {}", service.reason),
        Some(active) => format!("epoch {epoch}: {active} is active"),
        None => format!("epoch {epoch}: no backend is active, {}", service.reason),
    };
    if let Some(draining) = &service.draining {
        let _ = write!(text, ", {} drains", draining.backend);
    }
    text
}

fn describe(out: &mut String, leg: &Leg, service: &Service) {
    if let Some(backend) = service.backends.iter().find(|backend| Some(&backend.name) == leg.backend.as_ref())
    {
        let (name, address, tier, health) = (&backend.name, &backend.address, &backend.tier, &backend.health);
        let health = if health == "unknown" { "health not known" } else { health };
        line(out, "backend", &format!("{name}  {address}  {tier}, {health}"));
        if let Some(because) = &leg.backend_because {
            line(out, "", because);
        }
    }
    if let Some(knows) = &leg.next_hop {
        let who = match knows.as_str() {
            "daemon" => "kept by the daemon",
            "client" => "the way that the client's own packets came",
            _ => "as the kernel's routing table says",
        };
        line(out, "next hop", who);
    }
    if let (Some(egress), Some(packet)) = (&leg.egress, &leg.leaves) {
        line(out, "leaves", &format!("by {egress}, from {} to {}", packet.from_mac, packet.to_mac));
        line(out, "", &ends(packet));
        if packet.kind != leg.arrives.kind {
            line(out, "", &format!("{}, made of what arrived", packet.kind));
        }
    }
    line(out, "action", &format!("{}: {}", leg.action, leg.happens));
    line(out, "reason", &format!("{}: {}", leg.reason, leg.meaning));
    if let Some(advice) = &leg.advice {
        line(out, "to do", advice);
    }
    for note in &leg.notes {
        line(out, "note", note);
    }
}

/// A line with its label, continued below itself.
fn line(out: &mut String, label: &str, said: &str) {
    for (number, part) in wrapped(said, text::WIDTH - LABEL).into_iter().enumerate() {
        let label = if number == 0 { label } else { "" };
        let line = format!("  {label:<width$}{part}", width = LABEL - 2);
        let _ = writeln!(out, "{}", line.trim_end());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_with_and_without_a_port() {
        let of = |text: &str| text.parse::<Client>().map(|client| (client.address.to_string(), client.port));
        assert_eq!(of("192.0.2.1"), Ok(("192.0.2.1".to_owned(), None)));
        assert_eq!(of("192.0.2.1:80"), Ok(("192.0.2.1".to_owned(), Some(80))));
        assert_eq!(of("fd00::1"), Ok(("fd00::1".to_owned(), None)));
        assert_eq!(of("[fd00::1]"), Ok(("fd00::1".to_owned(), None)));
        assert_eq!(of("[fd00::1]:80"), Ok(("fd00::1".to_owned(), Some(80))));
        for wrong in ["", "host", "192.0.2.1:", "192.0.2.1:70000", "192.0.2.256", "[fd00::1", "[192.0.2.1"] {
            assert!(of(wrong).is_err(), "{wrong}");
        }
    }
}
