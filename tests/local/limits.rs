//! Whom this is not for, and what cannot be: other namespaces, other modes, other machines.

use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;
use nix::libc::{ECONNREFUSED, EOPNOTSUPP};
use serde_json::json;
use socket2::{Domain, Socket, Type};
use xtask::lab::{Host, Lab, PORT, VIP, VIP6, add_ipv6, vip, vip6};
use xtask::{shell, wait};

use crate::ask::{everything_fails, everything_works, names, pins, unconnected, whoami};
use crate::support::scene::{
    self, LIMIT, configure, counter, keep_backends, list, options, scene, start_daemon,
};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        scene("local_other_namespaces_are_left_alone", other_namespaces),
        scene("local_gateways_coexist", gateways_coexist),
        scene("local_dsr_is_refused", dsr),
        scene("local_sockets_that_are_bound_to_the_vip", bound_to_the_vip),
        scene("local_without_control_groups", without_control_groups),
    ]
}

fn configure_ipv6(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, |config| {
        add_ipv6(config);
        keep_backends(config, 2);
    })
}

/// A machine that has the same address in another network, and a server there.
fn other_namespaces(lab: &Lab) -> anyhow::Result<()> {
    configure_ipv6(lab)?;
    start_daemon(lab)?;
    for address in [format!("{VIP}/32"), format!("{VIP6}/128")] {
        let args = ["address", "add", &address, "dev", "lo"];
        let nodad: &[&str] = if address.contains(':') { &["nodad"] } else { &[] };
        shell::run(lab.command(Host::Cold, "ip")?.args(args).args(nodad))?;
    }
    for target in [vip(), vip6()] {
        lab.within(Host::Cold, || {
            let listener = TcpListener::bind(target)?;
            let stream = TcpStream::connect_timeout(&target, LIMIT)?;
            let (accepted, from) = listener.accept()?;
            ensure!(from == stream.local_addr()? && accepted.local_addr()? == target);
            let server = UdpSocket::bind(target)?;
            let client = unconnected(target)?;
            client.send_to(b"x", target)?;
            server.set_read_timeout(Some(LIMIT))?;
            let (_, from) = server.recv_from(&mut [0; 8])?;
            ensure!(from.port() == client.local_addr()?.port());
            Ok(())
        })??;
        ensure!(scene::whoami(lab, target)? == "primary");
        ensure!(whoami(lab, Host::Gw, target)? == "primary");
    }
    ensure!(counter(lab, "asr", "local_directed")? == 1 && counter(lab, "asr-udp", "local_directed")? == 0);
    Ok(())
}

fn gateways_coexist(lab: &Lab) -> anyhow::Result<()> {
    let other = Lab::up_with_servers(&options(), false)?;
    for lab in [lab, &other] {
        configure_ipv6(lab)?;
        start_daemon(lab)?;
    }
    for service in ["asr", "asr6"] {
        other.fastswitch(["switch", service, "standby"])?;
    }
    for target in names() {
        ensure!(whoami(lab, Host::Gw, target)? == "primary");
        ensure!(whoami(&other, Host::Gw, target)? == "standby");
    }
    lab.stop_daemon()?;
    lab.fastswitch(["detach"])?;
    for target in names() {
        everything_works(&other, target)?;
    }
    let refused = lab.within(Host::Gw, || TcpStream::connect_timeout(&vip(), LIMIT))?;
    ensure!(refused.is_err(), "there is somebody at the VIP");
    other.down()
}

/// Backends hold the VIP there, and may serve at no other address.
fn dsr(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, |config| {
        add_ipv6(config);
        keep_backends(config, 2);
        for service in config["service"].as_array_mut().into_iter().flatten() {
            service["mode"] = json!("dsr");
        }
    })?;
    start_daemon(lab)?;
    for target in names() {
        everything_fails(lab, target, EOPNOTSUPP)?;
    }
    ensure!(counter(lab, "asr", "local_unsupported")? == 2);
    ensure!(counter(lab, "asr6-udp", "local_unsupported")? == 2);
    Ok(())
}

/// The VIP is an address of the gateway, which it may speak from; but what comes to the service's port is a client's.
fn bound_to_the_vip(lab: &Lab) -> anyhow::Result<()> {
    configure_ipv6(lab)?;
    start_daemon(lab)?;
    for target in [vip(), vip6()] {
        let connect = |port: u16| {
            lab.within(Host::Gw, || {
                let socket = Socket::new(Domain::for_address(target), Type::STREAM, None)?;
                socket.set_reuse_address(true)?;
                socket.bind(&SocketAddr::new(target.ip(), port).into())?;
                socket.connect_timeout(&target.into(), LIMIT)
            })
        };
        connect(0)?.with_context(|| format!("from {}", target.ip()))?;
        let refused = connect(PORT)?.err().and_then(|error| error.raw_os_error());
        ensure!(refused == Some(EOPNOTSUPP), "from {target}: {refused:?}");
    }
    ensure!(
        counter(lab, "asr", "local_unsupported")? == 1 && counter(lab, "asr6", "local_unsupported")? == 1
    );
    Ok(())
}

/// As in a container that does not have them: clients are served, and `status` says who is not.
fn without_control_groups(lab: &Lab) -> anyhow::Result<()> {
    keep_ipv4(lab)?;
    let run = "umount -a -t cgroup2 && exec fastswitch run -c \"$0\"";
    let mut command = lab.command(Host::Gw, "unshare")?;
    command.args(["--mount", "sh", "-c", run]).arg(lab.config_file());
    let mut daemon = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let warned = wait::until_true("status warns", LIMIT, || {
        let Ok(status) = lab.status() else { return Ok(false) };
        let warnings = list(&status["warnings"]);
        Ok(warnings
            .iter()
            .filter_map(|warning| warning.as_str())
            .any(|warning| warning.contains("cannot use the VIPs") && warning.contains("mount -t cgroup2")))
    });
    let checked = warned.and_then(|()| {
        ensure!(pins(lab)?.is_empty());
        ensure!(scene::whoami(lab, vip())? == "primary");
        let refused = lab.within(Host::Gw, || TcpStream::connect_timeout(&vip(), LIMIT))?;
        ensure!(refused.err().and_then(|error| error.raw_os_error()) == Some(ECONNREFUSED));
        Ok(())
    });
    daemon.kill()?;
    daemon.wait()?;
    checked
}

fn keep_ipv4(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, |config| keep_backends(config, 2))
}
