//! Starts that come to nothing: refused halfway, or ended by a signal.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Stdio};

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use xtask::lab::{Backend, Host, Lab, PORT, VIP, VIP6, add_ipv6, vip};
use xtask::{shell, wait};

use crate::support::said::{done, refused};
use crate::support::scene::{
    LIMIT, configure, gateway_has, ip, keep_backends, list, nothing_is_left, program, scene, start_daemon,
    whoami,
};
use crate::support::stream::Stream;

/// A VIP that only the second configuration has.
const OTHER: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 101);
/// Enough of them that a start can be caught while it assigns them.
const MANY: u8 = 100;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        scene("an_interface_that_refuses", an_interface_that_refuses),
        scene("a_vip_that_cannot_be_assigned", a_vip_that_cannot_be_assigned),
        scene("killed_while_it_assigns_vips", killed_while_it_assigns_vips),
        scene("sigterm_while_it_assigns_vips", sigterm_while_it_assigns_vips),
    ]
}

/// What `status` says of each service, without what packets change.
fn services(lab: &Lab) -> anyhow::Result<Vec<Value>> {
    let mut services = list(&lab.status()?["services"]).to_vec();
    for service in services.iter_mut().filter_map(Value::as_object_mut) {
        service.remove("counters");
        service.remove("connections");
        for backend in service.get_mut("backends").and_then(Value::as_array_mut).into_iter().flatten() {
            let backend = backend.as_object_mut().context("a backend")?;
            backend.remove("counters");
            backend.remove("connections");
        }
    }
    Ok(services)
}

/// Other services, at [`OTHER`].
fn reconfigure(config: &mut Value) {
    for service in config["service"].as_array_mut().into_iter().flatten() {
        service["vip"] = json!(OTHER);
        service["name"] = json!(format!("new-{}", service["name"].as_str().unwrap_or_default()));
    }
}

/// Starts a daemon with `change`, which is refused with `reason`; what packets meet, and what is kept, is as before.
fn refused_without_a_trace(lab: &Lab, reason: &str, change: impl FnOnce(&mut Value)) -> anyhow::Result<()> {
    start_daemon(lab)?;
    lab.kill_daemon()?;
    let datagrams = Stream::start(lab)?;
    datagrams.wait_answers(20)?;
    let before = services(lab)?;
    configure(lab, change)?;
    let config = lab.config_file();
    let said = refused(lab, &["run", "-c", config.to_str().context("path")?])?;
    ensure!(said.contains(reason), "`{reason}` is not in: {said}");

    let after = services(lab)?;
    ensure!(after == before, "{before:?} became {after:?}");
    ensure!(whoami(lab, vip())? == "primary");
    datagrams.wait_answers(20)?;
    datagrams.nothing_lost()?;
    ensure!(gateway_has(lab, VIP)? && !gateway_has(lab, OTHER)?);
    // The configuration before still starts, and everything it made is known.
    configure(lab, |_| ())?;
    start_daemon(lab)?;
    ensure!(services(lab)?[0]["epoch"] == before[0]["epoch"]);
    lab.kill_daemon()?;
    done(lab, &["detach"])?;
    nothing_is_left(lab)
}

/// A bridge has no native XDP.
fn an_interface_that_refuses(lab: &Lab) -> anyhow::Result<()> {
    ip(lab, Host::Gw, "link add br9 type bridge")?;
    ip(lab, Host::Gw, "link add eth9 type veth peer name far9")?;
    for interface in ["br9", "eth9", "far9"] {
        ip(lab, Host::Gw, &format!("link set {interface} up"))?;
    }
    refused_without_a_trace(lab, "cannot attach to interface br9", |config| {
        reconfigure(config);
        config["gateway"]["interfaces"] = json!(["eth0", "eth9", "br9"]);
        config["gateway"]["xdp_mode"] = json!("native");
    })?;
    ensure!(program(lab, "eth9")?.is_none() && program(lab, "br9")?.is_none());
    Ok(())
}

/// The last that may be refused: the program is attached and knows the services by then.
fn a_vip_that_cannot_be_assigned(lab: &Lab) -> anyhow::Result<()> {
    shell::run(lab.command(Host::Gw, "sysctl")?.args(["-qw", "net.ipv6.conf.eth0.disable_ipv6=1"]))?;
    refused_without_a_trace(lab, &format!("assign {VIP6}/128"), |config| {
        // With the active backend gone, and one more in its place.
        for service in config["service"].as_array_mut().into_iter().flatten() {
            service["backend"].as_array_mut().map(|backends| backends.remove(0));
        }
        add_ipv6(config);
        let mut other = config["service"][0].clone();
        (other["name"], other["vip"]) = (json!("other"), json!(OTHER));
        for (backend, port) in other["backend"].as_array_mut().into_iter().flatten().zip(9000..) {
            let address = backend["address"].as_str().and_then(|address| address.parse().ok());
            let address = address.map(|address: SocketAddr| SocketAddr::new(address.ip(), port));
            backend["address"] = json!(address);
        }
        config["service"].as_array_mut().into_iter().for_each(|services| services.push(other.clone()));
    })
}

/// Runs a daemon with many VIPs until the first of them is there.
fn caught(lab: &Lab) -> anyhow::Result<Child> {
    configure(lab, |config| {
        keep_backends(config, 1);
        let first = config["service"][0].clone();
        let service = |number: u8| {
            let mut service = first.clone();
            service["name"] = json!(format!("s{number}"));
            service["vip"] = json!(many(number));
            service["backend"][0]["address"] =
                json!(SocketAddr::new(Backend::Primary.ip().into(), PORT + u16::from(number)));
            service
        };
        config["service"] = (0..MANY).map(service).collect();
    })?;
    let mut command = lab.command(Host::Gw, "fastswitch")?;
    command.args(["run", "-c"]).arg(lab.config_file());
    let daemon = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    wait::until_true("the first VIP is there", LIMIT, || gateway_has(lab, many(0)))?;
    Ok(daemon)
}

fn many(number: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 1, 120 + number)
}

/// All that the daemon made is known to `detach`.
fn detach_finds_everything(lab: &Lab) -> anyhow::Result<()> {
    done(lab, &["detach"])?;
    for number in 0..MANY {
        ensure!(!gateway_has(lab, many(number))?, "the gateway has {}", many(number));
    }
    nothing_is_left(lab)?;
    configure(lab, |_| ())?;
    start_daemon(lab)?;
    ensure!(whoami(lab, vip())? == "primary");
    Ok(())
}

fn killed_while_it_assigns_vips(lab: &Lab) -> anyhow::Result<()> {
    let mut daemon = caught(lab)?;
    daemon.kill()?;
    daemon.wait()?;
    detach_finds_everything(lab)
}

fn sigterm_while_it_assigns_vips(lab: &Lab) -> anyhow::Result<()> {
    let mut daemon = caught(lab)?;
    kill(Pid::from_raw(daemon.id().try_into()?), Signal::SIGTERM)?;
    let status = daemon.wait()?;
    ensure!(status.success(), "SIGTERM ended the daemon with {status}");
    detach_finds_everything(lab)
}
