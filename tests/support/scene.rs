//! A lab with its hot servers up, for one test: what the test asks of it, and what it waits for.
//!
//! A test that fails shows what the daemon logged last. It refuses to measure time: limits are only there to end a
//! test that would never end.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;
use xtask::lab::{Backend, Host, Lab, LabOptions, VIP, VIP6, vip};
use xtask::load::{Attempt, LoadClient, LoadOptions, Summary};
use xtask::{http, wait};

use super::privileged::trial;

/// For anything to happen, on a machine that is busy with other things.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A test in a lab of its own; the daemon does not run yet.
pub(crate) type Test = fn(&Lab) -> anyhow::Result<()>;

/// How labs of these tests are made: the cold backend loads its model in no time.
pub(crate) fn options() -> LabOptions {
    LabOptions { cold_load_time: Duration::from_millis(200), ..LabOptions::unique() }
}

/// The trial of a test in the usual lab.
pub(crate) fn scene(name: &str, test: Test) -> Trial {
    scene_in(name, options(), test)
}

/// The trial of a test in a lab of this kind.
pub(crate) fn scene_in(name: &str, options: LabOptions, test: Test) -> Trial {
    trial(name, move || play(&options, test))
}

/// Runs the trials that the command line asks for.
pub(crate) fn run(trials: impl IntoIterator<Item = Trial>) -> ExitCode {
    libtest_mimic::run(&Arguments::from_args(), trials.into_iter().collect()).exit_code()
}

fn play(options: &LabOptions, test: Test) -> Result<(), Failed> {
    let failed = |error: anyhow::Error| Failed::from(format!("{error:#}"));
    let lab = Lab::up_with_servers(options, false).map_err(failed)?;
    // Caught here, for the lab's logs go with the lab.
    let played = catch_unwind(AssertUnwindSafe(|| {
        configure(&lab, |_| ())?;
        test(&lab)
    }));
    let played = played.unwrap_or_else(|_| Err(anyhow::anyhow!("a panic, see above")));
    played.map_err(|error| format!("{error:#}\n\nThe daemon logged last:\n{}", lab.log_tail("daemon")))?;
    lab.down().map_err(failed)
}

/// Starts the daemon, whose log is JSON, and waits until it finds primary and standby up.
pub(crate) fn start_daemon(lab: &Lab) -> anyhow::Result<()> {
    lab.start_daemon(&["--log-format", "json"])?;
    for backend in [Backend::Primary, Backend::Standby] {
        wait_backend(lab, backend, "is up", |state| state["health"] == "up")?;
    }
    Ok(())
}

/// Writes the lab's usual configuration, changed by `change`. Heartbeats are patient with a machine that is busy with
/// other tests: whatever fails in these tests, fails for good.
pub(crate) fn configure(lab: &Lab, change: impl FnOnce(&mut Value)) -> anyhow::Result<()> {
    lab.write_config(|config| {
        for service in config["service"].as_array_mut().into_iter().flatten() {
            service["heartbeat"]["timeout"] = "500ms".into();
        }
        change(config);
    })
}

/// Leaves each service of a configuration its first `count` backends.
pub(crate) fn keep_backends(config: &mut Value, count: usize) {
    for service in config["service"].as_array_mut().into_iter().flatten() {
        service["backend"].as_array_mut().into_iter().for_each(|backends| backends.truncate(count));
    }
}

/// Leaves a configuration its first service, which is TCP.
pub(crate) fn keep_tcp(config: &mut Value) {
    config["service"].as_array_mut().into_iter().for_each(|services| services.truncate(1));
}

/// A service in `status --json`.
pub(crate) fn service(lab: &Lab, name: &str) -> anyhow::Result<Value> {
    let status = lab.status()?;
    let found = list(&status["services"]).iter().find(|service| service["name"] == name).cloned();
    found.with_context(|| format!("no service {name} in {status}"))
}

/// A backend in `status --json`.
pub(crate) fn backend(lab: &Lab, of: &str, backend: Backend) -> anyhow::Result<Value> {
    let service = service(lab, of)?;
    let found = list(&service["backends"]).iter().find(|state| state["name"] == backend.name()).cloned();
    found.with_context(|| format!("no backend {} in {service}", backend.name()))
}

/// A counter of a service; one that is left out is zero.
pub(crate) fn counter(lab: &Lab, of: &str, name: &str) -> anyhow::Result<u64> {
    Ok(service(lab, of)?["counters"][name].as_u64().unwrap_or(0))
}

/// Waits until `backend` is active in every service.
pub(crate) fn wait_active(lab: &Lab, backend: Backend) -> anyhow::Result<()> {
    wait_services(lab, &format!("{} is active", backend.name()), |service| {
        service["active"] == backend.name()
    })
}

/// Waits until no backend can serve any service.
pub(crate) fn wait_outage(lab: &Lab) -> anyhow::Result<()> {
    wait_services(lab, "there is an outage", |service| service["active"].is_null())
}

/// Waits until every service `is_it`.
pub(crate) fn wait_services(lab: &Lab, what: &str, is_it: impl Fn(&Value) -> bool) -> anyhow::Result<()> {
    wait::until_true(what, LIMIT, || Ok(list(&lab.status()?["services"]).iter().all(&is_it)))
}

/// Waits until a backend `is_it` in every service that has it.
pub(crate) fn wait_backend(
    lab: &Lab,
    backend: Backend,
    what: &str,
    is_it: impl Fn(&Value) -> bool,
) -> anyhow::Result<()> {
    wait_services(lab, &format!("{} {what}", backend.name()), |service| {
        let mut states = list(&service["backends"]).iter().filter(|state| state["name"] == backend.name());
        states.all(&is_it)
    })
}

/// The elements of a JSON list.
pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Who answers HTTP at this address, asked from the client.
pub(crate) fn whoami(lab: &Lab, target: SocketAddr) -> anyhow::Result<String> {
    let (status, name) = lab.within(Host::Client, || http::get(target, "/whoami", LIMIT))??;
    anyhow::ensure!(status == 200, "{target} answers with status {status}");
    Ok(name)
}

/// Opens a TCP connection from the client and gives the kind of error, if it fails.
pub(crate) fn connect(
    lab: &Lab,
    target: SocketAddr,
    patience: Duration,
) -> anyhow::Result<Result<(), io::ErrorKind>> {
    lab.within(Host::Client, || {
        TcpStream::connect_timeout(&target, patience).map(drop).map_err(|error| error.kind())
    })
}

/// Sends a datagram from the client and gives what comes back, or the kind of error.
pub(crate) fn datagram(
    lab: &Lab,
    target: SocketAddr,
    payload: &[u8],
    patience: Duration,
) -> anyhow::Result<Result<Vec<u8>, io::ErrorKind>> {
    let ask = || {
        let socket = udp_to(target)?;
        socket.set_read_timeout(Some(patience))?;
        socket.send(payload)?;
        let mut buffer = vec![0; 65_535];
        let length = socket.recv(&mut buffer)?;
        buffer.truncate(length);
        Ok(buffer)
    };
    lab.within(Host::Client, || ask().map_err(|error: io::Error| error.kind()))
}

/// A socket that only the target's own answers, and ICMP errors, come to.
pub(crate) fn udp_to(target: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr =
        if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(target)?;
    Ok(socket)
}

/// Checks that datagrams of these sizes come back as they were sent.
pub(crate) fn datagrams_come_back(lab: &Lab, target: SocketAddr, sizes: &[usize]) -> anyhow::Result<()> {
    for &size in sizes {
        let payload = noise(size);
        let echoed = datagram(lab, target, &payload, LIMIT)?;
        anyhow::ensure!(echoed == Ok(payload), "{size} bytes to {target}: {:?}", echoed.map(|e| e.len()));
    }
    Ok(())
}

/// Sends `size` bytes over one TCP connection to the server, which sends them back meanwhile, and compares them.
pub(crate) fn transfer(lab: &Lab, target: SocketAddr, size: usize) -> anyhow::Result<()> {
    let sent = noise(size);
    let response = lab.within(Host::Client, || exchange(target, &sent))??;
    let head = response.windows(4).position(|window| window == b"\r\n\r\n").context("no HTTP answer")? + 4;
    let head_text = String::from_utf8_lossy(&response[..head]).into_owned();
    anyhow::ensure!(head_text.starts_with("HTTP/1.0 200"), "{head_text}");
    let received = &response[head..];
    anyhow::ensure!(received.len() == size, "{} of {size} bytes came back", received.len());
    anyhow::ensure!(received == sent, "other bytes came back than were sent");
    Ok(())
}

fn exchange(target: SocketAddr, body: &[u8]) -> io::Result<Vec<u8>> {
    let stream = TcpStream::connect_timeout(&target, LIMIT)?;
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    // HTTP/1.0, so that the answer is the bare body up to the end.
    let head = format!("POST /echo HTTP/1.0\r\ncontent-length: {}\r\n\r\n", body.len());
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| {
            (&stream).write_all(head.as_bytes())?;
            (&stream).write_all(body)
        });
        let mut response = Vec::with_capacity(body.len() + 1024);
        (&stream).read_to_end(&mut response)?;
        writing.join().map_err(|_| io::Error::other("the writing thread panicked"))??;
        Ok(response)
    })
}

/// Bytes without a pattern that a shift or a loss could leave in place.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let words = std::iter::from_fn(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        Some(state.to_le_bytes())
    });
    words.flatten().take(size).collect()
}

/// Sends `count` echo requests to the VIP and gives what `ping` prints.
pub(crate) fn ping(lab: &Lab, count: u32) -> anyhow::Result<String> {
    ping_at(lab, VIP, count)
}

/// Sends `count` echo requests to this address and gives what `ping` prints.
pub(crate) fn ping_at(lab: &Lab, address: impl Into<IpAddr>, count: u32) -> anyhow::Result<String> {
    let address = address.into().to_string();
    let args = ["-c", &count.to_string(), "-i", "0.01", "-W", "10", &address];
    let output = xtask::shell::run(lab.command(Host::Client, "ping")?.args(args))?;
    Ok(String::from_utf8(output.stdout)?)
}

/// A client that opens a connection to the VIP each `every`, for as long as it lives. Patient: only what fails counts,
/// not what takes long.
pub(crate) fn load(lab: &Lab, every: Duration) -> anyhow::Result<LoadClient> {
    load_at(lab, vip(), every)
}

/// The same, to this address.
pub(crate) fn load_at(lab: &Lab, target: SocketAddr, every: Duration) -> anyhow::Result<LoadClient> {
    let options = LoadOptions { timeout: LIMIT, ..LoadOptions::new(target, every) };
    LoadClient::start(lab.namespace(Host::Client), options)
}

/// Waits until `count` further attempts that begin now have been answered by `backend`.
pub(crate) fn wait_answers(client: &LoadClient, backend: Backend, count: usize) -> anyhow::Result<()> {
    let since = client.now();
    wait::until_true(&format!("{count} answers of {}", backend.name()), LIMIT, || {
        let answered = |attempt: &&Attempt| attempt.start >= since && attempt.answered_by(backend.name());
        Ok(client.attempts().iter().filter(answered).count() >= count)
    })
}

/// Ends the client; none of its attempts may have failed.
pub(crate) fn nothing_failed(client: LoadClient) -> anyhow::Result<Summary> {
    let end = client.now() + LIMIT;
    let attempts = client.finish()?;
    let summary = Summary::of(&attempts, Duration::ZERO, end);
    let failed: Vec<&Attempt> = attempts.iter().filter(|attempt| attempt.backend().is_none()).collect();
    anyhow::ensure!(failed.is_empty(), "of {} attempts these failed: {failed:?}", summary.attempts);
    Ok(summary)
}

/// Whether the gateway has the address on one of its interfaces.
pub(crate) fn gateway_has(lab: &Lab, address: impl Into<IpAddr>) -> anyhow::Result<bool> {
    let address = Some(address.into());
    let output = lab.exec(Host::Gw, "ip", ["-j", "address", "show"])?;
    let links: Value = serde_json::from_slice(&output.stdout)?;
    let is_it = |info: &Value| info["local"].as_str().and_then(|ip| ip.parse().ok()) == address;
    Ok(list(&links).iter().flat_map(|link| list(&link["addr_info"])).any(is_it))
}

/// Runs `ip` with these words on a host, which succeeds.
pub(crate) fn ip(lab: &Lab, host: Host, words: &str) -> anyhow::Result<()> {
    xtask::shell::run(lab.command(host, "ip")?.args(words.split_whitespace())).map(drop)
}

/// Makes the gateway's eth1, which is gone, again, with the wire to the backends behind it and without addresses.
pub(crate) fn make_eth1(lab: &Lab) -> anyhow::Result<()> {
    let lan = lab.namespace(Host::Lan);
    ip(lab, Host::Gw, &format!("link add eth1 type veth peer name gateway netns {}", lan.name()))?;
    for (host, end) in [(Host::Gw, "eth1"), (Host::Lan, "gateway")] {
        ip(lab, host, &format!("link set {end} up"))?;
        xtask::shell::run(lab.command(host, "ethtool")?.args(["-K", end, "gro", "on", "tx", "off"]))?;
    }
    ip(lab, Host::Lan, "link set gateway master br0")
}

/// Id of the XDP program on an interface of the gateway.
pub(crate) fn program(lab: &Lab, interface: &str) -> anyhow::Result<Option<u64>> {
    let output = lab.exec(Host::Gw, "ip", ["-j", "link", "show", "dev", interface])?;
    let links: Value = serde_json::from_slice(&output.stdout)?;
    Ok(links[0]["xdp"]["prog"]["id"].as_u64())
}

/// Checks that the gateway is as it was before any daemon: no program, no pins, no VIP.
pub(crate) fn nothing_is_left(lab: &Lab) -> anyhow::Result<()> {
    for interface in lab.topology().interfaces() {
        anyhow::ensure!(program(lab, interface)?.is_none(), "a program is on {interface}");
    }
    anyhow::ensure!(!lab.pin_dir().exists(), "pins are in {}", lab.pin_dir().display());
    for vip in [IpAddr::from(VIP), IpAddr::from(VIP6)] {
        anyhow::ensure!(!gateway_has(lab, vip)?, "the gateway has {vip}");
    }
    Ok(())
}
