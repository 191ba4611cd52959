//! `trace`: what it says is what packets meet, and no packet notices.

use std::ffi::OsString;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;

use anyhow::{Context as _, ensure};
use aya::maps::{HashMap, Map, MapData};
use aya::programs::Xdp;
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::xdp::XdpLink;
use aya::{Ebpf, EbpfLoader};
use fastswitch_common::abi::{ABI, map};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use xtask::lab::{Backend, CLIENT, GATEWAY_CLIENTS, Host, Lab, VIP, add_ipv6, vip};

use crate::support::said::{Said, done, refused, say, wrong};
use crate::support::scene::{
    configure, counter, datagrams_come_back, ip, keep_backends, keep_tcp, list, ping_at, scene, start_daemon,
    wait_active, wait_outage, whoami,
};

const CLIENT6: &str = "fd77:1::10";
const NEVER_SEEN: &str = "10.77.1.99";

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        scene("trace_says_what_packets_meet", says_what_packets_meet),
        scene("trace_disturbs_nothing", disturbs_nothing),
        scene("trace_after_a_planned_switch", after_a_planned_switch),
        scene("trace_in_an_outage", in_an_outage),
        scene("trace_in_an_outage_that_drops", in_an_outage_that_drops),
        scene("trace_to_an_unknown_next_hop", to_an_unknown_next_hop),
        scene("trace_without_a_way_back", without_a_way_back),
        scene("trace_over_ipv6", over_ipv6),
        scene("trace_in_mode_dsr", in_mode_dsr),
        scene("trace_in_mode_full_nat", in_mode_full_nat),
        scene("trace_of_a_client_beside_the_backends", beside_the_backends),
        scene("trace_that_makes_no_sense", makes_no_sense),
        scene("trace_of_another_program", of_another_program),
        scene("trace_is_read_on_a_terminal", is_read_on_a_terminal),
    ]
}

/// What `trace --json` says, which ends with this exit code.
fn traced(lab: &Lab, code: i32, args: &[&str]) -> anyhow::Result<Value> {
    let said = say(lab, &[&["trace", "--json"], args].concat())?;
    ensure!(said.code == Some(code) && said.stderr.is_empty(), "{args:?}: {said:?}");
    ensure!(said.stdout.lines().count() == 1, "{said:?}");
    let trace: Value = serde_json::from_str(&said.stdout)?;
    ensure!(trace["ok"] == (code == 0), "{trace}");
    for leg in [&trace["forward"], &trace["reply"]] {
        let wrong = [&leg["arrives"], &leg["leaves"]].iter().any(|packet| packet["checksums"] == false);
        ensure!(!wrong, "a checksum is wrong: {leg}");
    }
    Ok(trace)
}

fn client() -> String {
    CLIENT.to_string()
}

/// With a daemon and without one.
fn says_what_packets_meet(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    // The client is a neighbour of the gateway from here on.
    datagrams_come_back(lab, vip(), &[10])?;
    for daemon in ["running", "absent"] {
        for (name, kind, answer) in [("asr", "TCP SYN", "TCP SYN+ACK"), ("asr-udp", "UDP", "UDP")] {
            let trace = traced(lab, 0, &[name, &format!("{CLIENT}:4321")])?;
            ensure!(trace["daemon"] == daemon && trace["service"]["name"] == name, "{trace}");
            let forward = &trace["forward"];
            let expected = json!({
                "interface": "eth0", "backend": "primary", "next_hop": "daemon", "action": "XDP_REDIRECT",
                "reason": "forwarded", "egress": "eth1", "notes": [],
            });
            has(forward, &expected)?;
            let arrives = json!({
                "kind": kind, "source": "10.77.1.10:4321", "destination": "10.77.1.100:7860", "ttl": 64,
                "to_mac": mac(lab, Host::Gw, "eth0")?, "from_mac": mac(lab, Host::Client, "eth0")?,
            });
            has(&forward["arrives"], &arrives)?;
            let leaves = json!({
                "kind": kind, "source": "10.77.1.10:4321", "destination": "10.77.2.10:7860", "ttl": 63,
                "to_mac": mac(lab, Host::Primary, "eth0")?, "from_mac": mac(lab, Host::Gw, "eth1")?,
            });
            has(&forward["leaves"], &leaves)?;
            let because = forward["backend_because"].as_str().unwrap_or_default();
            ensure!(because.starts_with("active: first in the configuration, since 2"), "{because}");

            let reply = &trace["reply"];
            let expected = json!({
                "interface": "eth1", "backend": "primary", "next_hop": "kernel", "action": "XDP_REDIRECT",
                "reason": "replied", "egress": "eth0", "advice": null,
            });
            has(reply, &expected)?;
            let leaves = json!({
                "kind": answer, "source": "10.77.1.100:7860", "destination": "10.77.1.10:4321", "ttl": 63,
                "to_mac": mac(lab, Host::Client, "eth0")?, "from_mac": mac(lab, Host::Gw, "eth0")?,
            });
            has(&reply["leaves"], &leaves)?;
        }
        // The reasons are those that real packets are counted under.
        let before = [counter(lab, "asr-udp", "forwarded")?, counter(lab, "asr-udp", "replied")?];
        datagrams_come_back(lab, vip(), &[10])?;
        let after = [counter(lab, "asr-udp", "forwarded")?, counter(lab, "asr-udp", "replied")?];
        ensure!(after == before.map(|count| count + 1), "{before:?}, then {after:?}");
        if daemon == "running" {
            lab.kill_daemon()?;
        }
    }
    Ok(())
}

/// Nothing is counted, learned or pinned.
fn disturbs_nothing(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    // No heartbeats are counted meanwhile.
    lab.kill_daemon()?;
    let before = snapshot(lab)?;
    for args in
        [&["asr", NEVER_SEEN][..], &["asr", "10.77.1.10:1", "--flags", "ack"], &["asr-udp", NEVER_SEEN]]
    {
        let said = say(lab, &[&["trace"], args].concat())?;
        ensure!(said.stdout.contains("The packet:"), "{args:?}: {said:?}");
    }
    let after = snapshot(lab)?;
    ensure!(before == after && after.learned == 0, "{before:?}, then {after:?}");
    Ok(())
}

/// What a trace could have left behind.
#[derive(Debug, PartialEq)]
struct Snapshot {
    /// With all counters.
    status: Value,
    /// Clients that the program knows the way of.
    learned: usize,
    /// Connections.
    half_open: usize,
    established: usize,
    /// Of mode `full_nat`.
    flows: usize,
    attempts: usize,
    pins: Vec<OsString>,
}

fn snapshot(lab: &Lab) -> anyhow::Result<Snapshot> {
    let directory = lab.pin_dir().join(format!("v{ABI}"));
    let mut pins = Vec::new();
    for entry in std::fs::read_dir(&directory)? {
        pins.push(entry?.file_name());
    }
    pins.sort();
    let learned = entries::<16, 16>(&directory.join(map::CLIENTS))?;
    let half_open = entries::<40, 24>(&directory.join(map::HALF_OPEN))?;
    let established = entries::<40, 24>(&directory.join(map::CONNECTIONS))?;
    let flows = entries::<40, 52>(&directory.join(map::FLOWS))?;
    let attempts = entries::<40, 52>(&directory.join(map::ATTEMPTS))?;
    Ok(Snapshot { status: lab.status()?, learned, half_open, established, flows, attempts, pins })
}

/// Entries of a table with keys and values of these sizes.
fn entries<const KEY: usize, const VALUE: usize>(pin: &Path) -> anyhow::Result<usize> {
    let table: HashMap<_, [u8; KEY], [u8; VALUE]> =
        HashMap::try_from(Map::from_map_data(MapData::from_pin(pin)?)?)?;
    Ok(table.keys().collect::<Result<Vec<_>, _>>()?.len())
}

fn after_a_planned_switch(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, keep_tcp)?;
    start_daemon(lab)?;
    // As long as there is one the drain goes on.
    let _old = lab.within(Host::Client, || TcpStream::connect(vip()))??;
    done(lab, &["switch", "asr", "standby", "--drain", "10m"])?;
    let opened = lab.within(Host::Client, || TcpStream::connect(vip()))??;
    let port = opened.local_addr()?.port();
    // Nobody ends the drain now.
    lab.kill_daemon()?;
    let trace = traced(lab, 0, &["asr", &client()])?;
    ensure!(trace["service"]["draining"]["backend"] == "primary", "{trace}");
    ensure!(trace["forward"]["backend"] == "standby", "{trace}");
    ensure!(
        trace["forward"]["backend_because"].as_str().is_some_and(|why| why.contains("is new")),
        "{trace}"
    );
    let trace = traced(lab, 0, &["asr", &client(), "--flags", "ack"])?;
    ensure!(trace["forward"]["backend"] == "primary", "{trace}");
    ensure!(trace["forward"]["leaves"]["destination"] == "10.77.2.10:7860", "{trace}");
    ensure!(
        trace["forward"]["backend_because"].as_str().is_some_and(|why| why.contains("drains")),
        "{trace}"
    );
    ensure!(trace["reply"]["backend"] == "primary" && trace["reply"]["reason"] == "replied", "{trace}");
    // What the program knows of this one connection counts.
    let trace = traced(lab, 0, &["asr", &format!("{CLIENT}:{port}"), "--flags", "ack"])?;
    ensure!(trace["forward"]["backend"] == "standby", "{trace}");
    Ok(())
}

fn in_an_outage(lab: &Lab) -> anyhow::Result<()> {
    outage(lab, "reject")?;
    for (name, reason, kind) in
        [("asr", "outage_reset", "TCP RST+ACK"), ("asr-udp", "outage_unreachable", "ICMP port unreachable")]
    {
        let trace = traced(lab, 1, &[name, &client()])?;
        ensure!(trace["outage"] == true && trace["reply"].is_null(), "{trace}");
        let forward = &trace["forward"];
        let expected = json!({ "action": "XDP_TX", "reason": reason, "egress": "eth0", "backend": null });
        has(forward, &expected)?;
        ensure!(forward["leaves"]["kind"] == kind, "{forward}");
        ensure!(
            forward["advice"].as_str().is_some_and(|advice| advice.contains("fastswitch status")),
            "{forward}"
        );
    }
    let trace = traced(lab, 0, &["asr", &client(), "--flags", "ack"])?;
    ensure!(trace["forward"]["backend"] == "standby", "{trace}");
    ensure!(
        trace["forward"]["backend_because"].as_str().is_some_and(|why| why.contains("was the last")),
        "{trace}"
    );
    Ok(())
}

fn in_an_outage_that_drops(lab: &Lab) -> anyhow::Result<()> {
    outage(lab, "drop")?;
    let trace = traced(lab, 1, &["asr", &client()])?;
    has(&trace["forward"], &json!({ "action": "XDP_DROP", "reason": "outage_dropped", "leaves": null }))?;
    ensure!(trace["result"] == "no backend gets the packet, it is dropped: outage_dropped", "{trace}");
    Ok(())
}

fn outage(lab: &Lab, on_outage: &str) -> anyhow::Result<()> {
    configure(lab, |config| {
        keep_backends(config, 2);
        for service in config["service"].as_array_mut().into_iter().flatten() {
            service["on_outage"] = on_outage.into();
        }
    })?;
    start_daemon(lab)?;
    whoami(lab, vip())?;
    lab.kill_server(Backend::Primary)?;
    wait_active(lab, Backend::Standby)?;
    lab.kill_server(Backend::Standby)?;
    wait_outage(lab)
}

fn to_an_unknown_next_hop(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, |config| {
        keep_tcp(config);
        config["service"][0]["backend"][1]["address"] = json!("10.77.2.99:7860");
    })?;
    lab.start_daemon(&["--log-format", "json"])?;
    wait_active(lab, Backend::Primary)?;
    done(lab, &["freeze", "asr"])?;
    done(lab, &["switch", "asr", "standby", "--force"])?;
    lab.kill_daemon()?;
    let trace = traced(lab, 1, &["asr", &client()])?;
    let expected =
        json!({ "backend": "standby", "action": "XDP_DROP", "reason": "fib_no_neighbour", "leaves": null });
    has(&trace["forward"], &expected)?;
    ensure!(trace["forward"]["advice"].as_str().is_some_and(|advice| advice.contains("ip neigh")), "{trace}");
    Ok(())
}

fn without_a_way_back(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    let trace = traced(lab, 1, &["asr", "192.0.2.7"])?;
    ensure!(trace["forward"]["interface"] == "eth0" && trace["forward"]["reason"] == "forwarded", "{trace}");
    has(&trace["reply"], &json!({ "action": "XDP_PASS", "reason": "to_gateway" }))?;
    ensure!(
        trace["reply"]["advice"].as_str().is_some_and(|advice| advice.contains("add a route")),
        "{trace}"
    );
    // Where fastswitch is not.
    for args in ["link add aside type veth peer name away", "link set aside up", "link set away up"] {
        ip(lab, Host::Gw, args)?;
    }
    ip(lab, Host::Gw, "route add 192.0.2.0/24 dev aside")?;
    let said = refused(lab, &["trace", "asr", "192.0.2.7"])?;
    ensure!(said.contains("arrive on aside") && said.contains("gateway.interfaces"), "{said}");
    // No neighbour there: the answer goes back to where the packet is said to come from.
    let trace = traced(lab, 0, &["asr", "192.0.2.7", "--from", "eth0"])?;
    has(&trace["reply"], &json!({ "reason": "replied_learned", "next_hop": "client", "egress": "eth0" }))
}

fn over_ipv6(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, add_ipv6)?;
    start_daemon(lab)?;
    whoami(lab, xtask::lab::vip6())?;
    let trace = traced(lab, 0, &["asr6", &format!("[{CLIENT6}]:4321")])?;
    let (primary, vip): (SocketAddr, SocketAddr) = (Backend::Primary.address6(), xtask::lab::vip6());
    let (forward, reply) = (&trace["forward"], &trace["reply"]);
    has(forward, &json!({ "backend": "primary", "reason": "forwarded", "egress": "eth1" }))?;
    ensure!(
        forward["leaves"]["destination"] == primary.to_string() && forward["leaves"]["ttl"] == 63,
        "{trace}"
    );
    ensure!(reply["leaves"]["source"] == vip.to_string() && reply["reason"] == "replied", "{trace}");
    let bare = traced(lab, 0, &["asr6", CLIENT6])?;
    ensure!(bare["forward"]["arrives"]["source"] == format!("[{CLIENT6}]:50000"), "{bare}");
    let said = wrong(lab, &["trace", "asr6", &client()])?;
    ensure!(said.contains("asr6") && said.contains("same family"), "{said}");
    Ok(())
}

/// Whether the backends hold the VIP, no packet through the gateway says.
fn in_mode_dsr(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, |config| {
        keep_backends(config, 2);
        keep_tcp(config);
        config["service"][0]["mode"] = json!("dsr");
    })?;
    start_daemon(lab)?;
    let trace = traced(lab, 0, &["asr", &client()])?;
    let (forward, reply) = (&trace["forward"], &trace["reply"]);
    has(forward, &json!({ "backend": "primary", "reason": "forwarded", "egress": "eth1" }))?;
    let leaves = json!({
        "destination": vip().to_string(), "ttl": 64, "to_mac": mac(lab, Host::Primary, "eth0")?,
    });
    has(&forward["leaves"], &leaves)?;
    ensure!(reply["backend"].is_null() && reply["arrives"]["source"] == vip().to_string(), "{reply}");
    ensure!(
        list(&reply["notes"]).iter().any(|note| note.as_str().unwrap_or_default().contains("mode dsr")),
        "{reply}"
    );
    Ok(())
}

fn in_mode_full_nat(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, |config| {
        keep_backends(config, 2);
        keep_tcp(config);
        config["service"][0]["mode"] = json!("full_nat");
    })?;
    start_daemon(lab)?;
    // The client is a neighbour from here on, without a flow.
    ping_at(lab, GATEWAY_CLIENTS, 1)?;
    let before = snapshot(lab)?;
    // In the backends' own network, where the other modes would be in trouble.
    for client in [client(), Backend::Standby.ip().to_string()] {
        let trace = traced(lab, 0, &["asr", &format!("{client}:20000")])?;
        let (forward, reply) = (&trace["forward"], &trace["reply"]);
        has(forward, &json!({ "backend": "primary", "reason": "forwarded", "egress": "eth1" }))?;
        let leaves = json!({ "source": "10.77.2.1:20000", "destination": "10.77.2.10:7860", "ttl": 63 });
        has(&forward["leaves"], &leaves)?;
        has(reply, &json!({ "backend": "primary", "reason": "replied" }))?;
        let leaves = json!({ "source": vip().to_string(), "destination": format!("{client}:20000") });
        has(&reply["leaves"], &leaves)?;
        ensure!(!trace["result"].as_str().is_some_and(|result| result.contains("if that")), "{trace}");
    }
    let unknown = traced(lab, 1, &["asr", &client(), "--flags", "ack"])?;
    has(&unknown["forward"], &json!({ "reason": "flow_unknown", "action": "XDP_TX" }))?;
    ensure!(unknown["forward"]["leaves"]["kind"] == "TCP RST", "{unknown}");
    let after = snapshot(lab)?;
    ensure!((before.flows, before.attempts) == (after.flows, after.attempts), "{before:?}, then {after:?}");

    // What the program knows of this one connection counts.
    let open = lab.within(Host::Client, || TcpStream::connect(vip()))??;
    let port = open.local_addr()?.port();
    let trace = traced(lab, 0, &["asr", &format!("{CLIENT}:{port}"), "--flags", "ack"])?;
    has(&trace["forward"], &json!({ "backend": "primary", "reason": "forwarded" }))
}

/// The commonest mistake: the backends answer clients of their own network past the gateway.
fn beside_the_backends(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    let trace = traced(lab, 0, &["asr", &Backend::Standby.ip().to_string()])?;
    ensure!(trace["forward"]["action"] == "XDP_TX", "{trace}");
    let notes = list(&trace["forward"]["notes"]);
    ensure!(
        notes.iter().any(|note| note.as_str().unwrap_or_default().contains("past the gateway")),
        "{trace}"
    );
    ensure!(
        trace["result"].as_str().is_some_and(|result| result.contains("if that comes through")),
        "{trace}"
    );
    Ok(())
}

fn makes_no_sense(lab: &Lab) -> anyhow::Result<()> {
    let client = client();
    let said = refused(lab, &["trace", "asr", &client])?;
    ensure!(said.contains(&lab.pin_dir().display().to_string()), "{said}");
    start_daemon(lab)?;
    for daemon in [true, false] {
        let said = wrong(lab, &["trace", "ars", &client])?;
        ensure!(said.contains("did you mean `asr`?"), "{said}");
        for (client, expected) in [
            ("10.77.1", "neither an address nor"),
            ("10.77.1.10:99999", "neither an address nor"),
            (CLIENT6, "name one of the same family"),
            ("127.0.0.1", "cannot be a client"),
            ("224.0.0.1", "cannot be a client"),
        ] {
            let said = wrong(lab, &["trace", "asr", client])?;
            ensure!(said.contains(expected), "{client}: {said}");
        }
        let said = wrong(lab, &["trace", "asr", &client, "--from", "eth9"])?;
        ensure!(said.contains("`eth9`") && said.contains("eth0, eth1"), "{said}");
        for own in ["10.77.1.1", &VIP.to_string()] {
            let said = refused(lab, &["trace", "asr", own])?;
            ensure!(said.contains("the gateway's own address"), "{own}: {said}");
        }
        let mut unprivileged = lab.command(Host::Gw, "setpriv")?;
        unprivileged.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "fastswitch"]);
        let said = Said::of(&xtask::shell::output(unprivileged.args(["trace", "asr", &client]))?)?;
        ensure!(said.code == Some(1) && said.stderr.contains("run as root"), "{said:?}");
        let error = say(lab, &["trace", "ars", &client, "--json"])?;
        let error: Value = serde_json::from_str(&error.stderr)?;
        ensure!(error["error"].as_str().is_some_and(|error| error.contains("`ars`")), "{error}");
        if daemon {
            lab.kill_daemon()?;
        }
    }
    Ok(())
}

/// It does not speak for what is not loaded.
fn of_another_program(lab: &Lab) -> anyhow::Result<()> {
    static FLOOR: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/floor"));
    start_daemon(lab)?;
    traced(lab, 0, &["asr", &client()])?;
    let pin = lab.pin_dir().join(format!("v{ABI}/link-eth1"));
    let mut floor: Ebpf = EbpfLoader::new().load(FLOOR)?;
    let program: &mut Xdp = floor.program_mut("floor").context("no program")?.try_into()?;
    program.load()?;
    let id = program.attach_to_link(XdpLink::try_from(FdLink::from(PinnedLink::from_pin(&pin)?))?)?;
    drop(program.take_link(id)?);
    let said = refused(lab, &["trace", "asr", &client()])?;
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!("on eth1 is another one than this command's: fastswitch {version} loaded it");
    ensure!(said.contains(&expected) && said.contains("restart the daemon"), "{said}");
    Ok(())
}

fn is_read_on_a_terminal(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    whoami(lab, vip())?;
    let said = done(lab, &["trace", "asr", &client()])?;
    for expected in [
        "asr  10.77.1.100:7860/tcp  nat  daemon running\n",
        "\nThe packet: TCP SYN from 10.77.1.10:50000\n",
        "\n  switch    epoch 1: primary is active\n",
        "\n  backend   primary  10.77.2.10:7860  hot, up\n",
        "\n  next hop  kept by the daemon\n",
        "\n            10.77.1.10:50000 > 10.77.2.10:7860, TTL 63, 54 bytes\n",
        "\n  action    XDP_REDIRECT: sent\n",
        "\nThe answer of primary: TCP SYN+ACK to 10.77.1.10:50000\n",
        "\n  OK        the packet reaches primary, and its answer the client\n",
    ] {
        ensure!(said.contains(expected), "{expected:?} is not in:\n{said}");
    }
    let unroutable = say(lab, &["trace", "asr", "192.0.2.7"])?;
    ensure!(unroutable.code == Some(1) && unroutable.stderr.is_empty(), "{unroutable:?}");
    for line in said.lines().chain(unroutable.stdout.lines()) {
        ensure!(line.chars().count() <= 80, "too long: {line:?}");
    }
    let help = done(lab, &["status", "--help"])?;
    ensure!(help.contains("fib_no_neighbour") && help.contains("docs/reasons.md"), "{help}");
    Ok(())
}

/// Whether `value` has all members of `expected`.
fn has(value: &Value, expected: &Value) -> anyhow::Result<()> {
    for (key, expected) in expected.as_object().context("no object")? {
        ensure!(value[key] == *expected, "{key} is not {expected}: {value}");
    }
    Ok(())
}

fn mac(lab: &Lab, host: Host, interface: &str) -> anyhow::Result<String> {
    let output = lab.exec(host, "ip", ["-j", "link", "show", "dev", interface])?;
    let links: Value = serde_json::from_slice(&output.stdout)?;
    Ok(links[0]["address"].as_str().context("no MAC address")?.to_owned())
}
