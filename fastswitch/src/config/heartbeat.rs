//! `heartbeat` of services and backends: defaults, then the service's keys, then the backend's.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

use super::log::Read;
use super::reader::Reader;
use super::values::{Fault, count, duration, path, payload, port, statuses};
use super::words::{HEARTBEATS, Kind};
use crate::machine::spec::{Check, Heartbeat, Protocol};

/// A heartbeat whose keys may still be overridden, and may each have been spoilt by an error.
#[derive(Clone)]
pub(super) struct Plan {
    kind: Read<Kind>,
    port: Read<Option<u16>>,
    path: Read<String>,
    expect_status: Read<Vec<RangeInclusive<u16>>>,
    send: Read<Vec<u8>>,
    interval: Read<Duration>,
    timeout: Read<Duration>,
    fall: Read<NonZeroU32>,
    rise: Read<NonZeroU32>,
}

impl Plan {
    /// The defaults for services of `protocol`.
    pub(super) fn new(protocol: Read<Protocol>) -> Self {
        // Nothing can be said about UDP in general: a service need not answer what it does not understand.
        let kind = protocol.map(|protocol| match protocol {
            Protocol::Tcp => Kind::Tcp,
            Protocol::Udp => Kind::Icmp,
        });
        Self::of_kind(kind)
    }

    /// This plan with the keys of a `heartbeat` table, if there is one, instead of its own.
    pub(super) fn overridden(self, table: Read<Option<Reader<'_, '_>>>) -> Self {
        use Kind::{Http, Tcp, Udp};
        let mut reader = match table {
            Ok(Some(reader)) => reader,
            Ok(None) => return self,
            Err(reported) => return Self { kind: Err(reported), ..self },
        };
        let kind = reader.or("type", self.kind, |value| HEARTBEATS.read(value));
        // What was said for another type is not meant for this one.
        let base = match (self.kind, kind) {
            (Ok(before), Ok(now)) if before != now => Self::of_kind(kind),
            _ => self.clone(),
        };
        let plan = Self {
            kind,
            port: only(&mut reader, kind, &[Http, Tcp, Udp], "port", self.port, |value| {
                port(value).map(Some)
            }),
            path: only(&mut reader, kind, &[Http], "path", base.path, path),
            expect_status: only(&mut reader, kind, &[Http], "expect_status", base.expect_status, statuses),
            send: only(&mut reader, kind, &[Udp], "send", base.send, payload),
            interval: reader.or("interval", self.interval, duration),
            timeout: reader.or("timeout", self.timeout, duration),
            fall: reader.or("fall", self.fall, count),
            rise: reader.or("rise", self.rise, count),
        };
        reader.finish();
        plan
    }

    /// The heartbeat of a backend that serves at `port`.
    pub(super) fn compile(self, port: u16) -> Read<Heartbeat> {
        let (path, expect_status, send) = (self.path?, self.expect_status?, self.send?);
        let check = match self.kind? {
            Kind::Http => Check::Http { path, expect_status },
            Kind::Tcp => Check::Tcp,
            Kind::Udp => Check::Udp { send },
            Kind::Icmp => Check::Icmp,
        };
        Ok(Heartbeat {
            check,
            port: self.port?.unwrap_or(port),
            interval: self.interval?,
            timeout: self.timeout?,
            fall: self.fall?,
            rise: self.rise?,
        })
    }

    fn of_kind(kind: Read<Kind>) -> Self {
        Self {
            kind,
            port: Ok(None),
            path: Ok("/".to_owned()),
            expect_status: Ok(vec![200..=399]),
            send: Ok(b"fastswitch heartbeat".to_vec()),
            interval: Ok(Duration::from_millis(100)),
            timeout: Ok(Duration::from_millis(200)),
            fall: Ok(NonZeroU32::MIN.saturating_add(2)),
            rise: Ok(NonZeroU32::MIN.saturating_add(1)),
        }
    }
}

/// The value of a key that only heartbeats of some types have.
fn only<'i, T>(
    reader: &mut Reader<'_, 'i>,
    kind: Read<Kind>,
    kinds: &[Kind],
    key: &'static str,
    default: Read<T>,
    decode: impl FnOnce(&DeValue<'i>) -> Result<T, Fault>,
) -> Read<T> {
    let given = reader.position(key);
    let value = reader.or(key, default, decode);
    match (given, kind) {
        (Some(at), Ok(kind)) if !kinds.contains(&kind) => {
            let types: Vec<_> = kinds.iter().map(|kind| format!("\"{}\"", kind.name())).collect();
            let problem = format!("is not for heartbeats of type \"{}\"", kind.name());
            let help = format!("remove it, or set `type` to {}", types.join(" or "));
            Err(reader.error(at, key, &problem, &help))
        }
        _ => value,
    }
}
