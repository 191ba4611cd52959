//! Mode `full_nat`: backends anywhere, with no change on them, also in the clients' own LAN.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::ensure;
use libtest_mimic::Trial;
use serde_json::{Value, json};
use xtask::lab::{Backend, Host, Lab, LabOptions, Topology, VIP, VIP6, add_ipv6, vip, vip6};
use xtask::{lab, shell};

use crate::support::capture::Capture;
use crate::support::scene::{
    LIMIT, configure, connect, counter, datagram, datagrams_come_back, gateway_has, ip, keep_backends, list,
    load_at, nothing_failed, nothing_is_left, options, scene, scene_in, service, start_daemon, wait_active,
    wait_answers, wait_outage, wait_services, whoami,
};

const FILE: u64 = 5_000_000;
/// The client, where it is in the backends' own subnet, and the VIP there.
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 50);
const NEAR_VIP: Ipv4Addr = Ipv4Addr::new(10, 77, 2, 100);
const POOL: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 77, 2, 201), Ipv4Addr::new(10, 77, 2, 202)];

pub(crate) fn trials() -> Vec<Trial> {
    let one_arm = || LabOptions { topology: Topology::OneArm, ..options() };
    vec![
        scene_in("full_nat_in_the_clients_own_lan", one_arm(), clients_own_lan),
        scene("full_nat_two_arm", backends_without_a_way_back),
        scene_in("full_nat_one_arm", one_arm(), backends_without_a_way_back),
        scene("full_nat_speaks_from_the_pool", speaks_from_the_pool),
        scene("full_nat_connections_outlive_a_planned_switch_and_the_daemon", connections_go_on),
        scene("full_nat_tells_clients_of_a_dead_backend", clients_are_told),
    ]
}

fn all_full_nat(config: &mut Value) {
    add_ipv6(config);
    keep_backends(config, 2);
    let count = list(&config["service"]).len();
    for index in 0..count {
        config["service"][index]["mode"] = json!("full_nat");
    }
}

/// What does not work in any other mode without changing the backends: they would answer their neighbour directly.
fn clients_own_lan(lab: &Lab) -> anyhow::Result<()> {
    ip(lab, Host::Client, &format!("address add {NEIGHBOUR}/24 dev eth0"))?;
    configure(lab, |config| {
        all_full_nat(config);
        for index in 0..2 {
            config["service"][index]["vip"] = json!(NEAR_VIP);
        }
    })?;
    start_daemon(lab)?;
    let target = SocketAddr::from((NEAR_VIP, lab::PORT));
    let at_backend = Capture::start(lab, Host::Primary, lab::GATEWAY_BACKENDS)?;
    let at_client = Capture::start(lab, Host::Client, NEIGHBOUR)?;
    ensure!(whoami(lab, target)? == "primary");
    lab.transfer(Host::Client, target, FILE, LIMIT)?;
    datagrams_come_back(lab, target, &[0, 1, 999, 1472])?;
    let of_client = |ip: IpAddr| ip == NEIGHBOUR;
    let seen = at_backend.finish(|packets| packets.len() > 100)?;
    ensure!(!seen.iter().any(|packet| of_client(packet.source.ip())), "the backend sees the client");
    let seen = at_client.finish(|packets| packets.len() > 100)?;
    ensure!(seen.iter().all(|packet| {
        let ends = [packet.source.ip(), packet.destination.ip()];
        ends.contains(&NEIGHBOUR.into()) && ends.contains(&NEAR_VIP.into())
    }));

    lab.kill_server(Backend::Primary)?;
    wait_active(lab, Backend::Standby)?;
    ensure!(whoami(lab, target)? == "standby");
    lab.kill_server(Backend::Standby)?;
    wait_outage(lab)?;
    ensure!(connect(lab, target, LIMIT)? == Err(ErrorKind::ConnectionRefused));
    ensure!(datagram(lab, target, b"anybody?", LIMIT)? == Err(ErrorKind::ConnectionRefused));
    Ok(())
}

/// Backends know no way to the client at all.
fn backends_without_a_way_back(lab: &Lab) -> anyhow::Result<()> {
    for backend in [Backend::Primary, Backend::Standby] {
        ip(lab, backend.host(), "route del default")?;
        ip(lab, backend.host(), "-6 route del default")?;
    }
    configure(lab, all_full_nat)?;
    start_daemon(lab)?;
    ensure!(service(lab, "asr")?["mode"] == "full_nat");
    for target in [vip(), vip6()] {
        ensure!(whoami(lab, target)? == "primary");
        lab.transfer(Host::Client, target, FILE, LIMIT)?;
        datagrams_come_back(lab, target, &[0, 1, 999, 1452])?;
    }
    ensure!(counter(lab, "asr", "replied")? > 100 && counter(lab, "asr6", "replied")? > 100);
    // To its own address there is no way back, so the counters are those of the VIP alone.
    lab.kill_server(Backend::Primary)?;
    wait_active(lab, Backend::Standby)?;
    for target in [vip(), vip6()] {
        ensure!(whoami(lab, target)? == "standby");
    }
    lab.stop_daemon()?;
    lab.fastswitch(["detach"])?;
    nothing_is_left(lab)
}

fn speaks_from_the_pool(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, |config| {
        all_full_nat(config);
        config["gateway"]["source_pool"] = json!(POOL);
    })?;
    start_daemon(lab)?;
    for address in POOL {
        ensure!(gateway_has(lab, address)?, "the gateway lacks {address}");
    }
    let at_backend = Capture::start(lab, Host::Primary, Backend::Primary.ip())?;
    lab.transfer(Host::Client, vip(), FILE, LIMIT)?;
    datagrams_come_back(lab, vip(), &[999])?;
    let seen = at_backend.finish(|packets| {
        let of_pool = |ip: IpAddr| POOL.iter().any(|address| ip == *address);
        packets.iter().filter(|packet| of_pool(packet.source.ip())).count() > 100
    })?;
    ensure!(seen.iter().all(|packet| packet.source.ip() != lab::CLIENT));

    // Another pool takes the place of this one.
    lab.stop_daemon()?;
    configure(lab, |config| {
        all_full_nat(config);
        config["gateway"]["source_pool"] = json!([POOL[1]]);
    })?;
    start_daemon(lab)?;
    ensure!(!gateway_has(lab, POOL[0])? && gateway_has(lab, POOL[1])?);
    lab.transfer(Host::Client, vip(), FILE, LIMIT)?;
    // A file without any leaves none.
    lab.stop_daemon()?;
    configure(lab, all_full_nat)?;
    start_daemon(lab)?;
    ensure!(!gateway_has(lab, POOL[1])?);
    lab.transfer(Host::Client, vip(), FILE, LIMIT)?;
    lab.stop_daemon()?;
    lab.fastswitch(["detach"])?;
    nothing_is_left(lab)
}

/// A connection to the VIP whose server echoes what it is sent.
struct Session(TcpStream);

impl Session {
    fn open(lab: &Lab, target: SocketAddr) -> anyhow::Result<Self> {
        let stream = lab.within(Host::Client, || TcpStream::connect_timeout(&target, LIMIT))??;
        stream.set_read_timeout(Some(LIMIT))?;
        let mut session = Self(stream);
        session.0.write_all(b"POST /echo HTTP/1.0\r\ncontent-length: 1000000\r\n\r\n")?;
        session.echoes()?;
        Ok(session)
    }

    /// Sends a few bytes and waits for something to come back.
    fn echoes(&mut self) -> std::io::Result<()> {
        self.0.write_all(b"still there?")?;
        let mut some = [0; 1024];
        match self.0.read(&mut some)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

fn connections_go_on(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, all_full_nat)?;
    start_daemon(lab)?;
    let mut sessions = [Session::open(lab, vip())?, Session::open(lab, vip6())?];
    wait_services(lab, "the session is counted", |service| {
        let counted = service["name"] == "asr" || service["name"] == "asr6";
        !counted || (service["connections"] == 1 && service["backends"][0]["connections"] == 1)
    })?;
    let client = load_at(lab, vip(), Duration::from_millis(2))?;
    wait_answers(&client, Backend::Primary, 50)?;
    for to in [Backend::Standby, Backend::Primary, Backend::Standby, Backend::Primary] {
        for name in ["asr", "asr6"] {
            shell::run(lab.command(Host::Gw, "fastswitch")?.args(["switch", name, to.name()]))?;
        }
        wait_answers(&client, to, 20)?;
        for session in &mut sessions {
            session.echoes()?;
        }
    }
    lab.kill_daemon()?;
    wait_answers(&client, Backend::Primary, 20)?;
    for session in &mut sessions {
        session.echoes()?;
    }
    start_daemon(lab)?;
    for session in &mut sessions {
        session.echoes()?;
    }
    nothing_failed(client)?;
    Ok(())
}

fn clients_are_told(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, all_full_nat)?;
    start_daemon(lab)?;
    let mut sessions = [Session::open(lab, vip())?, Session::open(lab, vip6())?];
    // Nobody at the other end says anything any more.
    lab.cut_link(Backend::Primary)?;
    wait_active(lab, Backend::Standby)?;
    for session in &mut sessions {
        let told = session.echoes().map_err(|error| error.kind());
        ensure!(told == Err(ErrorKind::ConnectionReset), "{told:?}");
    }
    ensure!(counter(lab, "asr", "flow_unknown")? > 0 && counter(lab, "asr6", "flow_unknown")? > 0);
    ensure!(gateway_has(lab, VIP)? && gateway_has(lab, VIP6)?);
    Ok(())
}
