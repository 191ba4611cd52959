//! A process of the gateway reaches the active backend, in each mode that can, with the daemon and without it.

use std::time::Duration;

use anyhow::ensure;
use libtest_mimic::Trial;
use nix::libc::ECONNREFUSED;
use serde_json::json;
use xtask::lab::{Backend, Host, Lab, LabOptions, ServerOptions, Topology, add_ipv6, vip, vip6};
use xtask::load::{LoadClient, LoadOptions};
use xtask::wait;

use crate::ask::{
    QUESTION, alive, answered, everything_fails, everything_works, names, pins, programs, unconnected, whoami,
};
use crate::support::scene::{
    self, LIMIT, configure, counter, keep_backends, list, nothing_failed, nothing_is_left, options, scene,
    scene_in, start_daemon, udp_to, wait_active, wait_answers, wait_outage,
};

pub(crate) fn trials() -> Vec<Trial> {
    let one_arm = || LabOptions { topology: Topology::OneArm, ..options() };
    vec![
        scene("local_from_start_to_detach_two_arm", |lab| from_start_to_detach(lab, "nat")),
        scene_in("local_from_start_to_detach_one_arm", one_arm(), |lab| from_start_to_detach(lab, "nat")),
        scene_in("local_from_start_to_detach_full_nat", one_arm(), |lab| {
            from_start_to_detach(lab, "full_nat")
        }),
        scene("local_sockets_stay_with_their_backend", sockets_stay),
        scene("local_goes_on_without_the_daemon", goes_on_without_the_daemon),
    ]
}

/// Two backends, both families, in this mode.
fn configure_both(lab: &Lab, mode: &str) -> anyhow::Result<()> {
    configure(lab, |config| {
        add_ipv6(config);
        keep_backends(config, 2);
        for service in config["service"].as_array_mut().into_iter().flatten() {
            service["mode"] = json!(mode);
        }
    })
}

fn from_start_to_detach(lab: &Lab, mode: &str) -> anyhow::Result<()> {
    configure_both(lab, mode)?;
    start_daemon(lab)?;
    for target in names() {
        ensure!(whoami(lab, Host::Gw, target)? == "primary");
        everything_works(lab, target)?;
        ensure!(scene::whoami(lab, vip())? == "primary");
    }
    // IPv4 by either kind of socket, and IPv6: HTTP and one more of TCP; of UDP one that connects and one that does not.
    ensure!(counter(lab, "asr", "local_directed")? == 4 && counter(lab, "asr6", "local_directed")? == 2);
    ensure!(
        counter(lab, "asr-udp", "local_directed")? == 4 && counter(lab, "asr6-udp", "local_directed")? == 2
    );
    lab.transfer(Host::Gw, vip(), 5_000_000, LIMIT)?;
    lab.transfer(Host::Gw, vip6(), 5_000_000, LIMIT)?;

    lab.kill_server(Backend::Primary)?;
    wait_active(lab, Backend::Standby)?;
    for target in names() {
        ensure!(whoami(lab, Host::Gw, target)? == "standby");
        everything_works(lab, target)?;
    }
    lab.kill_server(Backend::Standby)?;
    wait_outage(lab)?;
    for target in names() {
        everything_fails(lab, target, ECONNREFUSED)?;
    }
    // The machine's own stack would refuse as well: what counts is who did.
    ensure!(counter(lab, "asr", "local_refused")? == 2 && counter(lab, "asr6", "local_refused")? == 1);
    ensure!(
        counter(lab, "asr-udp", "local_refused")? == 4 && counter(lab, "asr6-udp", "local_refused")? == 2
    );
    lab.start_server(Backend::Standby, &ServerOptions::default())?;
    wait_active(lab, Backend::Standby)?;
    for target in names() {
        everything_works(lab, target)?;
    }

    let programs = programs(&pins(lab)?)?;
    ensure!(programs.len() == 8 && alive(&programs)?.len() == 8, "{programs:?}");
    lab.stop_daemon()?;
    lab.fastswitch(["detach"])?;
    ensure!(alive(&programs)?.is_empty(), "of {programs:?} there are {:?}", alive(&programs)?);
    nothing_is_left(lab)
}

/// What a socket is connected to, it is connected to for good; what names the VIP anew gets the active backend anew.
fn sockets_stay(lab: &Lab) -> anyhow::Result<()> {
    configure_both(lab, "nat")?;
    start_daemon(lab)?;
    let (connected, free) = lab.within(Host::Gw, || anyhow::Ok((udp_to(vip())?, unconnected(vip())?)))??;
    connected.send(QUESTION)?;
    answered(&connected, vip())?;
    free.send_to(QUESTION, vip())?;
    answered(&free, vip())?;

    lab.kill_server(Backend::Primary)?;
    wait_active(lab, Backend::Standby)?;
    free.send_to(QUESTION, vip())?;
    answered(&free, vip())?;
    // The primary's machine refuses; the kernel tells it to the sockets that are connected to there.
    connected.send(QUESTION)?;
    let told = connected.recv(&mut [0; 64]).err().and_then(|error| error.raw_os_error());
    ensure!(told == Some(ECONNREFUSED), "{told:?}");
    lab.within(Host::Gw, || connected.connect(vip()))??;
    connected.send(QUESTION)?;
    answered(&connected, vip())
}

fn goes_on_without_the_daemon(lab: &Lab) -> anyhow::Result<()> {
    configure_both(lab, "nat")?;
    start_daemon(lab)?;
    let options = LoadOptions { timeout: LIMIT, ..LoadOptions::new(vip(), Duration::from_millis(2)) };
    let client = LoadClient::start(lab.namespace(Host::Gw), options)?;
    wait_answers(&client, Backend::Primary, 50)?;
    lab.kill_daemon()?;
    wait_answers(&client, Backend::Primary, 50)?;
    // Without a daemon the command line stores the word.
    lab.fastswitch(["switch", "asr", "standby"])?;
    wait_answers(&client, Backend::Standby, 50)?;
    let earlier = programs(&pins(lab)?)?;
    start_daemon(lab)?;
    wait_answers(&client, Backend::Standby, 50)?;
    let later = programs(&pins(lab)?)?;
    ensure!(
        later.len() == 8 && !later.iter().any(|program| earlier.contains(program)),
        "{earlier:?} {later:?}"
    );
    wait::until_true("the earlier programs are gone", LIMIT, || Ok(alive(&earlier)?.is_empty()))?;
    nothing_failed(client)?;

    // A configuration without them takes them off.
    lab.kill_daemon()?;
    configure(lab, |config| config["gateway"]["local_clients"] = json!(false))?;
    start_daemon(lab)?;
    ensure!(pins(lab)?.is_empty());
    wait::until_true("the programs are gone", LIMIT, || Ok(alive(&later)?.is_empty()))?;
    everything_fails_in_the_stack(lab)?;
    ensure!(list(&lab.status()?["warnings"]).is_empty());
    Ok(())
}

/// Nobody listens on the VIP.
fn everything_fails_in_the_stack(lab: &Lab) -> anyhow::Result<()> {
    let refused = lab.within(Host::Gw, || std::net::TcpStream::connect_timeout(&vip(), LIMIT))?;
    ensure!(refused.err().and_then(|error| error.raw_os_error()) == Some(ECONNREFUSED));
    ensure!(counter(lab, "asr", "local_refused")? == 0);
    Ok(())
}
