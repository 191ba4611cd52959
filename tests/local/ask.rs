//! What a process of a machine of the lab does, in each way that there is, and whom it believes to speak to.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use aya::programs::links::{FdLink, PinnedLink};
use xtask::http;
use xtask::lab::{Host, Lab, PORT, VIP, vip, vip6};

use crate::support::scene::{LIMIT, udp_to};

/// What the servers send back.
pub(crate) const QUESTION: &[u8] = b"who is there?";

/// The VIPs as processes name them: the last is the IPv4 one, by a socket for IPv6.
pub(crate) fn names() -> [SocketAddr; 3] {
    [vip(), vip6(), SocketAddr::from((VIP.to_ipv6_mapped(), PORT))]
}

/// Who answers HTTP there, asked by a process of this machine.
pub(crate) fn whoami(lab: &Lab, host: Host, target: SocketAddr) -> anyhow::Result<String> {
    let (status, name) = lab.within(host, || http::get(target, "/whoami", LIMIT))??;
    ensure!(status == 200, "{target} answers with status {status}");
    Ok(name)
}

/// Checks that a process of the gateway gets through, by every kind of socket, and never sees anybody but the VIP.
pub(crate) fn everything_works(lab: &Lab, target: SocketAddr) -> anyhow::Result<()> {
    lab.within(Host::Gw, || {
        let stream = TcpStream::connect_timeout(&target, LIMIT).context("TCP")?;
        ensure!(stream.peer_addr()? == target, "{} instead of {target}", stream.peer_addr()?);

        let socket = udp_to(target).context("UDP, connected")?;
        ensure!(socket.peer_addr()? == target, "{} instead of {target}", socket.peer_addr()?);
        socket.send(QUESTION)?;
        answered(&socket, target).context("UDP, connected")?;

        let socket = unconnected(target)?;
        socket.send_to(QUESTION, target).context("UDP, not connected")?;
        answered(&socket, target).context("UDP, not connected")
    })?
}

/// Checks that a process of the gateway is refused, by every kind of socket, with this error.
pub(crate) fn everything_fails(lab: &Lab, target: SocketAddr, errno: i32) -> anyhow::Result<()> {
    let errors = lab.within(Host::Gw, || {
        [
            TcpStream::connect_timeout(&target, LIMIT).map(drop),
            udp_to(target).map(drop),
            unconnected(target).and_then(|socket| socket.send_to(QUESTION, target).map(drop)),
        ]
    })?;
    let errors = errors.map(|result| result.err().and_then(|error| error.raw_os_error()));
    ensure!(errors == [Some(errno); 3], "{target}: {errors:?}");
    Ok(())
}

/// A socket that any datagram comes to.
pub(crate) fn unconnected(target: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr =
        if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    UdpSocket::bind((any, 0))
}

/// Waits for the answer, which must be of `target`.
pub(crate) fn answered(socket: &UdpSocket, target: SocketAddr) -> anyhow::Result<()> {
    socket.set_read_timeout(Some(LIMIT))?;
    let mut buffer = [0; 64];
    let (length, from) = socket.recv_from(&mut buffer)?;
    ensure!(from == target, "an answer of {from} instead of {target}");
    ensure!(buffer.get(..length) == Some(QUESTION), "{length} other bytes");
    Ok(())
}

/// The pins of the programs for local processes.
pub(crate) fn pins(lab: &Lab) -> anyhow::Result<Vec<PathBuf>> {
    let mut pins = Vec::new();
    for version in std::fs::read_dir(lab.pin_dir())? {
        for pin in std::fs::read_dir(version?.path())? {
            let path = pin?.path();
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            if name.is_some_and(|name| name.starts_with("local-")) {
                pins.push(path);
            }
        }
    }
    pins.sort();
    Ok(pins)
}

/// Ids of the programs that these pins keep on the root of the control groups.
pub(crate) fn programs(pins: &[PathBuf]) -> anyhow::Result<Vec<u32>> {
    pins.iter().map(|pin| Ok(FdLink::from(PinnedLink::from_pin(pin)?).info()?.program_id())).collect()
}

/// Which of these programs the kernel still has.
pub(crate) fn alive(programs: &[u32]) -> anyhow::Result<Vec<u32>> {
    let mut alive = Vec::new();
    for program in aya::programs::loaded_programs() {
        // One may go while they are listed.
        let Ok(program) = program else { continue };
        alive.extend(programs.contains(&program.id()).then(|| program.id()));
    }
    Ok(alive)
}
