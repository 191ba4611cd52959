//! Services to try things on.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroU32;
use std::time::Duration;

use fastswitch::machine::BackendId;
use fastswitch::machine::spec::{
    Backend, Check, Failback, Heartbeat, Mode, OnOutage, Protocol, Script, Service, Tier,
};

/// A service from one line per backend: `name [hot|warm|cold] [stop] [ready=SECONDS] [fall=N] [rise=N]`. Hot, no stop
/// script, `ready_timeout` 60 s, fall 3, rise 2 and manual failback where nothing else is said; no drain.
pub(crate) fn service(backends: &[&str]) -> Service {
    Service {
        name: "asr".to_owned(),
        vip: Ipv4Addr::new(10, 0, 0, 100).into(),
        port: 80,
        protocol: Protocol::Tcp,
        mode: Mode::Nat,
        on_outage: OnOutage::Reject,
        failback: Failback::Manual,
        drain: Duration::ZERO,
        backends: backends.iter().enumerate().map(|(index, line)| backend(index, line)).collect(),
    }
}

/// The same with automatic failback.
pub(crate) fn failing_back(after_seconds: u64, backends: &[&str]) -> Service {
    let failback = Failback::Auto { delay: Duration::from_secs(after_seconds) };
    Service { failback, ..service(backends) }
}

/// The line that [`service`] makes this backend of.
pub(crate) fn line(backend: &Backend) -> String {
    let Heartbeat { fall, rise, .. } = backend.heartbeat;
    let (tier, ready) = (backend.tier.name(), backend.ready_timeout.as_secs());
    let stop = if backend.stop.is_some() { "stop " } else { "" };
    format!("{} {tier} {stop}ready={ready} fall={fall} rise={rise}", backend.name)
}

/// Which backend has this name.
pub(crate) fn id_of(service: &Service, name: &str) -> BackendId {
    let position = service.backends.iter().position(|backend| backend.name == name);
    BackendId(position.unwrap_or_else(|| panic!("there is no backend `{name}`")))
}

fn backend(index: usize, line: &str) -> Backend {
    let mut words = line.split_whitespace();
    let mut backend = plain(index, words.next().unwrap_or("nameless"));
    for word in words {
        match word.split_once('=').unwrap_or((word, "")) {
            ("hot", _) => backend.tier = Tier::Hot,
            ("warm", _) => backend.tier = Tier::Warm,
            ("cold", _) => backend.tier = Tier::Cold,
            ("stop", _) => backend.stop = Some(script("/bin/stop")),
            ("ready", seconds) => backend.ready_timeout = Duration::from_secs(seconds.parse().unwrap()),
            ("fall", count) => backend.heartbeat.fall = count.parse().unwrap(),
            ("rise", count) => backend.heartbeat.rise = count.parse().unwrap(),
            (other, _) => panic!("`{other}` says nothing of a backend"),
        }
    }
    backend.start = (backend.tier != Tier::Hot).then(|| script("/bin/start"));
    backend
}

fn plain(index: usize, name: &str) -> Backend {
    let host = u8::try_from(index + 1).unwrap();
    Backend {
        name: name.to_owned(),
        address: SocketAddr::from((Ipv4Addr::new(10, 0, 0, host), 80)),
        tier: Tier::Hot,
        heartbeat: Heartbeat {
            check: Check::Tcp,
            port: 80,
            interval: Duration::from_millis(100),
            timeout: Duration::from_millis(200),
            fall: NonZeroU32::new(3).unwrap(),
            rise: NonZeroU32::new(2).unwrap(),
        },
        start: None,
        stop: None,
        ready_timeout: Duration::from_secs(60),
    }
}

fn script(program: &str) -> Script {
    Script { command: vec![program.to_owned()], timeout: Duration::from_secs(30) }
}
