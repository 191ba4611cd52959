//! Packets as they were on a wire: tcpdump writes them, then each one's checksums are verified.

use std::io::{BufRead as _, BufReader};
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use xtask::lab::{Host, Lab};
use xtask::{shell, wait};

use super::pcap::{self, Packet};
use super::scene::LIMIT;

/// A running capture on a host's eth0.
pub(crate) struct Capture {
    tcpdump: Child,
    file: PathBuf,
}

impl Capture {
    /// Begins with the packets of `address`, which is the host's own: a switch also floods those of others.
    pub(crate) fn start(lab: &Lab, host: Host, address: impl Into<IpAddr>) -> anyhow::Result<Capture> {
        // Otherwise the kernel joins segments before tcpdump sees them, and undoes their checksums.
        shell::run(lab.command(host, "ethtool")?.args(["-K", "eth0", "gro", "off"]))?;
        let file = lab.run_dir().join(format!("{}.pcap", host.name()));
        let mut command = lab.command(host, "tcpdump")?;
        // The buffer has room for as many packets as have the largest size that is to be expected: with tcpdump's own, which is
        // 256 KiB, for so few that a burst is lost.
        command
            .args(["--immediate-mode", "-U", "-n", "-B", "65536", "-s", "2048", "-i", "eth0", "-w"])
            .arg(&file);
        // Of ICMPv6, errors and echoes: neighbours ask for each other at any time.
        let filter = format!("host {} and (tcp or udp or icmp or (icmp6 and ip6[40] < 130))", address.into());
        command.args(["-Z", "root", &filter]).stderr(Stdio::piped());
        let mut tcpdump = command.spawn().map_err(|error| shell::not_started(&command, error))?;
        let said = tcpdump.stderr.take().context("no stderr")?;
        let listens =
            BufReader::new(said).lines().map_while(Result::ok).any(|line| line.contains("listening on"));
        anyhow::ensure!(listens, "tcpdump does not listen");
        Ok(Capture { tcpdump, file })
    }

    /// Waits until what has been captured is `complete`, ends, and gives every packet; all checksums are right.
    pub(crate) fn finish(mut self, complete: impl Fn(&[Packet]) -> bool) -> anyhow::Result<Vec<Packet>> {
        wait::until_true("the capture is complete", LIMIT, || {
            let file = std::fs::read(&self.file)?;
            Ok(complete(&pcap::read(pcap::whole(&file)).with_context(|| self.file.display().to_string())?))
        })?;
        kill(Pid::from_raw(self.tcpdump.id().try_into()?), Signal::SIGINT)?;
        self.tcpdump.wait()?;
        pcap::read(&std::fs::read(&self.file)?).with_context(|| self.file.display().to_string())
    }
}
