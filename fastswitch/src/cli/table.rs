//! `status` for people.

use std::fmt::Write as _;

use super::text::endpoint;
use crate::control::wire::{Backend, BackendCounters, Daemon, Draining, Service, Status};

const HEADER: [&str; 8] = ["", "BACKEND", "ADDRESS", "TIER", "ROLE", "HEALTH", "RTT", "CONNS"];

/// The whole state as text, without a final line break.
pub(super) fn status(status: &Status) -> String {
    let mut text = String::new();
    let daemon = match status.daemon {
        Daemon::Running => "daemon running",
        Daemon::Absent => "NO DAEMON",
    };
    let interfaces: Vec<String> =
        status.interfaces.iter().map(|interface| format!("{} {}", interface.name, interface.xdp)).collect();
    let first = format!("fastswitch {}  {daemon}  {}", status.version, interfaces.join(", "));
    let _ = writeln!(text, "{}", first.trim_end());
    for warning in &status.warnings {
        let _ = writeln!(text, "WARNING: {warning}");
    }
    for service in &status.services {
        text.push('\n');
        describe(&mut text, service);
    }
    text.truncate(text.trim_end().len());
    text
}

fn describe(text: &mut String, service: &Service) {
    let active = service.active.as_deref().unwrap_or("NONE");
    let _ = write!(
        text,
        "{}  {}/{}  {}  active: {active}  epoch {}",
        service.name,
        endpoint(service),
        service.protocol,
        service.mode,
        service.epoch
    );
    if let Some(since) = &service.since {
        let _ = write!(text, "  since {since}");
    }
    text.push('\n');
    let _ = write!(text, "  {}", service.reason);
    if let Some(draining) = &service.draining {
        let _ = write!(text, "; {}", drains(draining));
    }
    text.push('\n');
    if service.frozen {
        let until = service.frozen_until.as_deref().unwrap_or("`unfreeze`");
        let _ = writeln!(text, "  FROZEN until {until}");
    }
    table(text, service);
    let _ = writeln!(text, "  {}", counters(service));
    for backend in service.backends.iter().filter(|backend| backend.counters != BackendCounters::default()) {
        let _ = writeln!(text, "  {}", traffic(backend));
    }
}

fn drains(draining: &Draining) -> String {
    let until = draining.until.as_deref().map_or(String::new(), |until| format!(" until {until}"));
    let left = draining.connections_left.map_or(String::new(), |left| format!(", connections left: {left}"));
    format!("{} drains{until}{left}", draining.backend)
}

fn table(text: &mut String, service: &Service) {
    let mut rows = vec![HEADER.map(str::to_owned)];
    rows.extend(service.backends.iter().map(|backend| row(service, backend)));
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..HEADER.len()).map(width).collect();
    let holds = service.backends.iter().map(|backend| backend.hold.join("; "));
    for (row, hold) in rows.iter().zip(std::iter::once("HOLD".to_owned()).chain(holds)) {
        let mut line = String::from(" ");
        for (cell, width) in row.iter().zip(&widths) {
            let _ = write!(line, " {cell:<width$} ");
        }
        line.push(' ');
        line.push_str(&hold);
        let _ = writeln!(text, "{}", line.trim_end());
    }
}

fn row(service: &Service, backend: &Backend) -> [String; 8] {
    let mark = if service.active.as_ref() == Some(&backend.name) { "*" } else { "" };
    let rtt =
        backend.rtt_us.filter(|_| backend.health == "up").map(|rtt| format!("{rtt} us")).unwrap_or_default();
    let connections = backend.connections.map(|count| count.to_string()).unwrap_or_default();
    [mark, &backend.name, &backend.address, &backend.tier, &backend.role, &backend.health, &rtt, &connections]
        .map(str::to_owned)
}

/// What was sent on first, then each reason that was met.
fn counters(service: &Service) -> String {
    const TOTALS: [&str; 2] = ["packets", "bytes"];
    let count = |name: &str| service.counters.get(name).copied().unwrap_or(0);
    let totals = TOTALS.map(|name| format!("{name} {}", count(name)));
    let reasons = service.counters.iter().filter(|(name, _)| !TOTALS.contains(&name.as_str()));
    totals
        .into_iter()
        .chain(reasons.map(|(name, count)| format!("{name} {count}")))
        .collect::<Vec<_>>()
        .join(", ")
}

/// What was sent on to a backend and from it.
fn traffic(backend: &Backend) -> String {
    let (name, counters) = (&backend.name, backend.counters);
    format!(
        "{name}: {} packets and {} bytes to it, {} and {} from it",
        counters.forwarded_packets,
        counters.forwarded_bytes,
        counters.replied_packets,
        counters.replied_bytes
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_at_a_glance() {
        let backend = |name: &str, role: &str, health: &str, hold: &[&str]| Backend {
            name: name.to_owned(),
            address: "10.0.0.1:80".to_owned(),
            tier: "hot".to_owned(),
            role: role.to_owned(),
            health: health.to_owned(),
            maintenance: false,
            eligible: hold.is_empty(),
            hold: hold.iter().map(|&hold| hold.to_owned()).collect(),
            rtt_us: Some(213),
            stalled_rounds: 0,
            connections: Some(12),
            counters: BackendCounters::default(),
        };
        let primary = backend("primary", "active", "up", &[]);
        let primary = Backend {
            counters: BackendCounters {
                forwarded_packets: 3,
                forwarded_bytes: 300,
                replied_packets: 2,
                replied_bytes: 220,
            },
            ..primary
        };
        let service = Service {
            name: "asr".to_owned(),
            vip: "10.0.0.9".to_owned(),
            port: 7860,
            protocol: "tcp".to_owned(),
            mode: "nat".to_owned(),
            active: Some("primary".to_owned()),
            target: Some("primary".to_owned()),
            draining: Some(Draining {
                backend: "standby".to_owned(),
                until: Some("2026-01-01T00:00:30.000Z".to_owned()),
                connections_left: Some(4),
            }),
            epoch: 3,
            since: None,
            frozen: false,
            frozen_until: None,
            reason: "first in the configuration".to_owned(),
            connections: Some(24),
            counters: [("echo".to_owned(), 2), ("packets".to_owned(), 5)].into(),
            backends: vec![primary, backend("standby", "standby", "down", &["down: connection refused"])],
        };
        let mut status = Status {
            version: "1.0.0".to_owned(),
            daemon: Daemon::Running,
            interfaces: Vec::new(),
            services: vec![service],
            other_counters: [].into(),
            warnings: Vec::new(),
        };
        let expected = "\
fastswitch 1.0.0  daemon running

asr  10.0.0.9:7860/tcp  nat  active: primary  epoch 3
  first in the configuration; standby drains until 2026-01-01T00:00:30.000Z, connections left: 4
     BACKEND  ADDRESS      TIER  ROLE     HEALTH  RTT     CONNS  HOLD
  *  primary  10.0.0.1:80  hot   active   up      213 us  12
     standby  10.0.0.1:80  hot   standby  down            12     down: connection refused
  packets 5, bytes 0, echo 2
  primary: 3 packets and 300 bytes to it, 2 and 220 from it";
        assert_eq!(self::status(&status), expected);
        let mut outage = status.clone();
        let service = &mut outage.services[0];
        (service.active, service.backends[0].role) = (None, "last".to_owned());
        let text = self::status(&outage);
        assert!(text.contains("  active: NONE  ") && !text.contains('*'), "{text}");
        status.services[0].vip = "fd00::9".to_owned();
        assert!(self::status(&status).contains("\nasr  [fd00::9]:7860/tcp  nat"));
    }
}
