//! A lab with its daemon, as the figures need it: how many services, how quick the heartbeats.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context as _;
use fastswitch::control;
use fastswitch::control::wire::{self, Request, Response};
use serde_json::{Value, json};
use xtask::lab::{Backend, Lab, LabOptions, ServerOptions, VIP};
use xtask::wait;

/// Port of the first service of [`Bed::with_services`], on the VIP and on the backends; those of others follow.
pub(crate) const FIRST_PORT: u16 = 10_000;
/// Room in the table of flows, where there is one.
const MAX_FLOWS: u32 = 1 << 20;
/// For servers, and for backends to be up.
const READY: Duration = Duration::from_secs(60);
pub(crate) const HOT: [Backend; 2] = [Backend::Primary, Backend::Standby];

/// A lab whose daemon runs and has found both backends of its first service up.
pub(crate) struct Bed {
    pub(crate) lab: Lab,
    /// Name of the first service.
    pub(crate) service: String,
}

impl Bed {
    /// `count` services in a mode, at one VIP, without servers, with heartbeats so rare that they disturb no measurement.
    pub(crate) fn with_services(count: u16, mode: &str) -> anyhow::Result<Bed> {
        let lab = Lab::up(&LabOptions::unique())?;
        let services: Vec<Value> = (0..count).map(|number| rarely_asked(number, mode)).collect();
        lab.write_config(|config| {
            config["service"] = json!(services);
            config["gateway"]["max_flows"] = json!(MAX_FLOWS);
        })?;
        Bed::start(lab)
    }

    /// One service with its servers. A failure is a failure after three misses, 10 ms apart.
    pub(crate) fn with_quick_heartbeats() -> anyhow::Result<Bed> {
        let lab = Lab::up(&LabOptions::unique())?;
        for backend in HOT {
            lab.start_server(backend, &ServerOptions::default())?;
            lab.wait_healthy(backend, READY)?;
        }
        lab.write_config(|config| {
            let mut service = config["service"][0].take();
            service["failback"] = json!("manual");
            // Below the interval, or a heartbeat that is not answered would cost the next one its turn.
            service["heartbeat"]["timeout"] = json!("8ms");
            service["backend"] = HOT.map(|backend| of(backend, backend.address().port())).into();
            config["service"] = json!([service]);
        })?;
        Bed::start(lab)
    }

    fn start(lab: Lab) -> anyhow::Result<Bed> {
        lab.start_daemon(&["--log-format", "json"])?;
        let status = lab.status()?;
        let service = status["services"][0]["name"].as_str().context("the daemon has no service")?.to_owned();
        let bed = Bed { lab, service };
        for backend in HOT {
            bed.wait_eligible(backend)?;
        }
        Ok(bed)
    }

    /// Ends the daemon and takes its program off the gateway, which forwards plain IP then.
    pub(crate) fn detach(&self) -> anyhow::Result<()> {
        self.lab.stop_daemon()?;
        let said = self.lab.fastswitch(["detach"])?;
        anyhow::ensure!(said.status.success(), "detach: {}", String::from_utf8_lossy(&said.stderr));
        Ok(())
    }

    /// Undoes [`Bed::detach`].
    pub(crate) fn attach(self) -> anyhow::Result<Bed> {
        Bed::start(self.lab)
    }

    /// The first service as it is now.
    pub(crate) fn status(&self) -> anyhow::Result<wire::Service> {
        let request = Request::Status { service: Some(self.service.clone()) };
        match control::ask(&self.lab.socket(), &request)? {
            Response::Status(status) => status
                .services
                .into_iter()
                .next()
                .with_context(|| format!("there is no service {}", self.service)),
            other => anyhow::bail!("{}: the daemon says {other:?}", self.service),
        }
    }

    /// Counters of packets that belong to no service.
    pub(crate) fn other_counters(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        match control::ask(&self.lab.socket(), &Request::Status { service: None })? {
            Response::Status(status) => Ok(status.other_counters.into_iter().collect()),
            other => anyhow::bail!("the daemon says {other:?}"),
        }
    }

    /// Makes a backend of the first service active.
    pub(crate) fn switch(&self, to: Backend) -> anyhow::Result<()> {
        let (service, backend) = (self.service.clone(), to.name().to_owned());
        match control::ask(
            &self.lab.socket(),
            &Request::Switch { service, backend, force: false, drain_ms: None },
        )? {
            Response::Done { .. } => Ok(()),
            other => anyhow::bail!("{}: no switch to {}: {other:?}", self.service, to.name()),
        }
    }

    /// Waits until a backend of the first service could take over, or has done so.
    pub(crate) fn wait_eligible(&self, backend: Backend) -> anyhow::Result<()> {
        wait::until_true(&format!("{} is eligible", backend.name()), READY, || {
            Ok(self.status()?.backends.iter().any(|other| other.name == backend.name() && other.eligible))
        })
    }
}

/// The service of this number, whose backends are asked each 10 s.
fn rarely_asked(number: u16, mode: &str) -> Value {
    let port = FIRST_PORT + number;
    json!({
        "name": format!("s{number}"),
        "vip": VIP,
        "port": port,
        "mode": mode,
        "heartbeat": { "type": "icmp", "interval": "10s", "timeout": "5s", "rise": 1 },
        "backend": HOT.map(|backend| of(backend, port)),
    })
}

fn of(backend: Backend, port: u16) -> Value {
    json!({ "name": backend.name(), "address": format!("{}:{port}", backend.ip()) })
}
