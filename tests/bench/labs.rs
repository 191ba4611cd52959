//! Labs as the figures need them: how many services, how quick the heartbeats.

use std::time::Duration;

use anyhow::Context as _;
use fastswitch::control::wire::{Request, Response};
use fastswitch::control;
use serde_json::{Value, json};
use xtask::lab::{Backend, Lab, LabOptions, ServerOptions, VIP};
use xtask::wait;

/// Port of the first service of [`with_services`], on the VIP and on the backends; others follow.
pub(crate) const FIRST_PORT: u16 = 10_000;
const READY: Duration = Duration::from_secs(60);
const HOT: [Backend; 2] = [Backend::Primary, Backend::Standby];

/// A lab with `count` services at one VIP, no servers, and heartbeats (ICMP) so rare that they disturb nothing.
pub(crate) fn with_services(count: u16) -> anyhow::Result<Lab> {
    let services: Vec<Value> = (0..count)
        .map(|number| {
            let port = FIRST_PORT + number;
            let backend = |backend: Backend| json!({ "name": backend.name(), "address": format!("{}:{port}", backend.ip()) });
            json!({
                "name": service(number),
                "vip": VIP,
                "port": port,
                "heartbeat": { "type": "icmp", "interval": "10s", "timeout": "5s", "rise": 1 },
                "backend": HOT.map(backend),
            })
        })
        .collect();
    start(services, &[])
}

/// Name of a service of [`with_services`].
pub(crate) fn service(number: u16) -> String {
    format!("s{number}")
}

/// A lab with one service, `asr`, whose heartbeats each 10 ms find a failure by the third miss, and its servers.
pub(crate) fn with_quick_heartbeats() -> anyhow::Result<Lab> {
    let lab = Lab::up(&LabOptions::unique())?;
    ...
}
