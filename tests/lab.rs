//! The lab itself: machines reach each other, labs do not, and nothing stays behind. Needs root.

#[path = "support/terminal.rs"]
mod terminal;

use std::io::{BufRead as _, BufReader, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use libtest_mimic::{Arguments, Failed, Trial};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use xtask::lab::{Backend, Host, Lab, LabOptions, ServerOptions, Topology, Trace, Wire};
use xtask::load::{LoadClient, LoadOptions, Outcome, Summary};
use xtask::{http, privilege, shell, wait};

const LIMIT: Duration = Duration::from_secs(30);

type Test = fn() -> anyhow::Result<()>;

fn main() -> ExitCode {
    let tests: [(&str, Test); 14] = [
        ("machines_reach_each_other_two_arm", || machines_reach_each_other(Topology::TwoArm)),
        ("machines_reach_each_other_one_arm", || machines_reach_each_other(Topology::OneArm)),
        ("a_narrow_wire_to_a_backend", a_narrow_wire_to_a_backend),
        ("a_narrow_wire_behind_the_gateway", a_narrow_wire_behind_the_gateway),
        ("labs_coexist", labs_coexist),
        ("nothing_stays", nothing_stays),
        ("nothing_stays_after_a_failure", nothing_stays_after_a_failure),
        ("nothing_stays_when_the_owner_is_killed", nothing_stays_when_the_owner_is_killed),
        ("nobody_reads_the_output", nobody_reads_the_output),
        ("a_terminal_is_left_as_it_was", a_terminal_is_left_as_it_was),
        ("a_name_in_use_is_left_alone", a_name_in_use_is_left_alone),
        ("faults_are_seen", faults_are_seen),
        ("cold_scripts", cold_scripts),
        ("a_lab_left_up_is_found_again", a_lab_left_up_is_found_again),
    ];
    let trials = tests.map(|(name, test)| {
        Trial::test(name, move || test().map_err(|error| Failed::from(format!("{error:?}"))))
            .with_ignored_flag(privilege::skip_tests())
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit_code()
}

fn machines_reach_each_other(topology: Topology) -> anyhow::Result<()> {
    let lab = Lab::up(&LabOptions::unique().topology(topology))?;
    for backend in [Backend::Primary, Backend::Standby] {
        lab.start_server(backend, &ServerOptions::default())?;
        lab.wait_healthy(backend, LIMIT)?;
        for host in [Host::Client, Host::Gw] {
            for target in addresses(backend) {
                let (_, name) = lab.within(host, || http::get(target, "/whoami", LIMIT))??;
                anyhow::ensure!(name == backend.name(), "{host:?} asked {target}, {name} answered");
            }
        }
    }
    for target in addresses(Backend::Primary) {
        // The backend's way back leads through the gateway: it sees the client's own address.
        anyhow::ensure!(lab.within(Host::Client, || echo(target, b"speech", LIMIT))??);
        lab.transfer(Host::Client, target, 3_000_000, LIMIT)?;
    }
    lab.down()
}

/// A backend's own addresses.
fn addresses(backend: Backend) -> [SocketAddr; 2] {
    [backend.address(), backend.address6()]
}

/// Sends a datagram in one packet, and says whether it comes back.
fn echo(target: SocketAddr, datagram: &[u8], patience: Duration) -> anyhow::Result<bool> {
    let any: IpAddr =
        if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0))?;
    socket.set_read_timeout(Some(patience))?;
    socket.connect(target)?;
    socket.send(datagram)?;
    let mut buffer = [0; 2000];
    match socket.recv(&mut buffer) {
        Ok(length) => Ok(buffer[..length] == *datagram),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The largest datagram that fits into a packet of this size.
fn largest_datagram(target: SocketAddr, mtu: usize) -> Vec<u8> {
    let headers = if target.is_ipv4() { 20 + 8 } else { 40 + 8 };
    vec![7; mtu - headers]
}

fn a_narrow_wire_to_a_backend() -> anyhow::Result<()> {
    let lab = Lab::up(&LabOptions::unique())?;
    anyhow::ensure!(lab.set_mtu(Wire::Backend(Backend::Primary), 1279).is_err());
    lab.set_mtu(Wire::Backend(Backend::Primary), 1400)?;
    for backend in [Backend::Primary, Backend::Standby] {
        lab.start_server(backend, &ServerOptions::default())?;
        for target in addresses(backend) {
            let passes = |mtu, patience| {
                lab.within(Host::Client, || echo(target, &largest_datagram(target, mtu), patience))?
            };
            anyhow::ensure!(passes(1400, LIMIT)?, "{target}: 1400 bytes do not pass");
            // A switch tells nobody what it drops.
            let wide = backend == Backend::Standby;
            let patience = if wide { LIMIT } else { Duration::from_millis(300) };
            anyhow::ensure!(passes(1401, patience)? == wide, "{target}: 1401 bytes");
            // TCP learns from the other end what that can take.
            lab.transfer(Host::Client, target, 1_000_000, LIMIT)?;
        }
    }
    lab.down()
}

fn a_narrow_wire_behind_the_gateway() -> anyhow::Result<()> {
    let lab = Lab::up(&LabOptions::unique())?;
    lab.set_mtu(Wire::Gateway, 1400)?;
    lab.start_server(Backend::Primary, &ServerOptions::default())?;
    for target in addresses(Backend::Primary) {
        // Neither end knows: the gateway has to say it.
        lab.transfer(Host::Client, target, 1_000_000, LIMIT)?;
        let route =
            shell::run(lab.command(Host::Client, "ip")?.args(["route", "get", &target.ip().to_string()]))?;
        let route = String::from_utf8_lossy(&route.stdout).into_owned();
        anyhow::ensure!(route.contains(" mtu 1400 "), "{route}");
    }
    lab.down()
}

fn labs_coexist() -> anyhow::Result<()> {
    let labs = [Lab::up(&LabOptions::unique())?, Lab::up(&LabOptions::unique())?];
    for (lab, version) in labs.iter().zip(["left", "right"]) {
        lab.start_server(Backend::Primary, &ServerOptions { version: version.into(), ..Default::default() })?;
    }
    for (lab, version) in labs.iter().zip(["left", "right"]) {
        let (_, answer) =
            lab.within(Host::Client, || http::get(Backend::Primary.address(), "/version", LIMIT))??;
        anyhow::ensure!(answer.contains(version), "{version}: {answer}");
    }
    let [left, right] = labs;
    left.down()?;
    right.wait_healthy(Backend::Primary, LIMIT)
}

fn nothing_stays() -> anyhow::Result<()> {
    let options = LabOptions::unique();
    let trace = Trace::of(&options.name)?;
    let lab = Lab::up(&options)?;
    lab.start_server(Backend::Primary, &ServerOptions::default())?;
    // A process of a session of its own, as a daemon's scripts may leave behind.
    let mut sleeper = lab.command(Host::Cold, "setsid")?.args(["sleep", "1000"]).spawn()?;
    wait::until_true("the lab is there", LIMIT, || Ok(trace.present().len() == Host::ALL.len() + 1))?;
    lab.down()?;
    anyhow::ensure!(trace.present().is_empty(), "{:?}", trace.present());
    anyhow::ensure!(!sleeper.wait()?.success(), "the sleeper was not killed");
    Ok(())
}

fn nothing_stays_after_a_failure() -> anyhow::Result<()> {
    // No interface takes this: the first wire fails, when all the namespaces are there.
    let options = LabOptions { mtu: 1, ..LabOptions::unique() };
    let error = Lab::up(&options).err().map(|error| format!("{error:#}")).unwrap_or_default();
    anyhow::ensure!(error.contains("mtu 1"), "{error:?}");
    let left = Trace::of(&options.name)?.present();
    anyhow::ensure!(left.is_empty(), "{left:?}");
    Ok(())
}

fn nothing_stays_when_the_owner_is_killed() -> anyhow::Result<()> {
    for signal in [Signal::SIGKILL, Signal::SIGINT] {
        let options = LabOptions::unique();
        let trace = Trace::of(&options.name)?;
        // In the middle of making it, which is the worst moment.
        let mut owner = Command::new(env!("CARGO_BIN_EXE_xtask"));
        owner
            .args(["run", "--no-build", "--name", &options.name])
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let mut owner = owner.spawn()?;
        let mut line = String::new();
        BufReader::new(owner.stdout.take().ok_or_else(|| anyhow::anyhow!("no stdout"))?)
            .read_line(&mut line)?;
        wait::until_true("the lab is being made", LIMIT, || Ok(trace.namespace(Host::Gw).exists()))?;
        kill(Pid::from_raw(owner.id().try_into()?), signal)?;
        owner.wait()?;
        wait::until_true("nothing is left", LIMIT, || Ok(trace.present().is_empty()))?;
    }
    Ok(())
}

/// As with `cargo xtask run | head -1`.
fn nobody_reads_the_output() -> anyhow::Result<()> {
    let options = LabOptions::unique();
    let mut owner = Command::new(env!("CARGO_BIN_EXE_xtask"));
    owner.args(["run", "--no-build", "--name", &options.name]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut owner = owner.spawn()?;
    let stdout = owner.stdout.take().ok_or_else(|| anyhow::anyhow!("no stdout"))?;
    BufReader::new(stdout).read_line(&mut String::new())?;
    let ended = owner.wait_with_output()?;
    anyhow::ensure!(ended.status.success() && ended.stderr.is_empty(), "{ended:?}");
    anyhow::ensure!(Trace::of(&options.name)?.present().is_empty());
    Ok(())
}

fn a_terminal_is_left_as_it_was() -> anyhow::Result<()> {
    let options = LabOptions::unique();
    let line = format!("{} run --no-build --name {}", env!("CARGO_BIN_EXE_xtask"), options.name);
    let command = terminal::on_terminal(Command::new("script"), 60, 14, &line);
    // The last line of a picture that began with what can be tried.
    let (shown, code) = terminal::until_ctrl_c(command, "more lines")?;
    anyhow::ensure!(
        code == Some(0) && shown.contains("curl -s 10.77.1.100:7860/whoami"),
        "{code:?}: {shown}"
    );
    let (picture, after) = shown.rsplit_once(terminal::LEFT).unwrap_or_default();
    anyhow::ensure!(picture.contains("daemon running") && after.contains("Removing the lab"), "{shown}");
    anyhow::ensure!(Trace::of(&options.name)?.present().is_empty());
    Ok(())
}

fn a_name_in_use_is_left_alone() -> anyhow::Result<()> {
    let options = LabOptions::unique();
    let lab = Lab::up(&options)?;
    let error = Lab::up(&options).err().map(|error| format!("{error:#}")).unwrap_or_default();
    anyhow::ensure!(error.contains("lab down --name"), "{error:?}");
    anyhow::ensure!(Trace::of(&options.name)?.present().len() == Host::ALL.len() + 1);
    lab.down()?;

    // A namespace alone, which no lab made, is not taken over and not removed.
    let namespace = Trace::of(&options.name)?.namespace(Host::Cold);
    shell::ip(["netns", "add", namespace.name()])?;
    let refused = Lab::up(&options).is_err();
    let kept = namespace.exists();
    shell::ip(["netns", "delete", namespace.name()])?;
    anyhow::ensure!(refused && kept, "refused: {refused}, kept: {kept}");
    Ok(())
}

fn faults_are_seen() -> anyhow::Result<()> {
    let lab = Lab::up(&LabOptions::unique())?;
    let primary = Backend::Primary;
    lab.start_server(primary, &ServerOptions::default())?;
    lab.wait_healthy(primary, LIMIT)?;
    let options = LoadOptions {
        timeout: Duration::from_millis(300),
        ..LoadOptions::new(primary.address(), Duration::from_millis(5))
    };
    let client = LoadClient::start(lab.namespace(Host::Client), options)?;
    let answered =
        |what: &str| client.wait_for(what, client.now(), LIMIT, |attempt| attempt.answered_by("primary"));
    let failed = |what: &str| {
        let failure = |outcome: &Outcome| matches!(outcome, Outcome::Failure(_));
        client.wait_for(what, client.now(), LIMIT, move |attempt| failure(&attempt.outcome))
    };
    answered("the start")?;
    // One more is refused, and the first can still be told what to do.
    let again = lab.start_server(primary, &ServerOptions::default());
    anyhow::ensure!(again.is_err_and(|error| format!("{error:#}").contains("runs already")));
    lab.cut_link(primary)?;
    failed("the cut link")?;
    lab.restore_link(primary)?;
    answered("the restored link")?;
    lab.silence(primary)?;
    failed("silence")?;
    lab.unsilence(primary)?;
    answered("the end of silence")?;
    lab.hang_server(primary)?;
    failed("the hanging server")?;
    lab.resume_server(primary)?;
    answered("the resumed server")?;
    lab.kill_server(primary)?;
    let refused = failed("the killed server")?;
    anyhow::ensure!(
        refused.latency < options.timeout,
        "a dead server's machine refuses at once: {refused:?}"
    );
    lab.start_server(primary, &ServerOptions::default())?;
    answered("the new server")?;
    lab.stop_server(primary)?;

    let end = client.now();
    let summary = Summary::of(&client.finish()?, Duration::ZERO, end);
    anyhow::ensure!(summary.outage >= options.timeout, "{summary:?}");
    anyhow::ensure!(summary.answers.len() == 1 && summary.failed() > 0, "{summary:?}");
    Ok(())
}

fn cold_scripts() -> anyhow::Result<()> {
    let lab = Lab::up(&LabOptions { cold_load_time: Duration::from_millis(300), ..LabOptions::unique() })?;
    let mut start = lab.command(Host::Gw, lab.start_script())?;
    let mut stop = lab.command(Host::Gw, lab.stop_script())?;
    // Twice at once, as two services may: one starts it, both end when it is ready.
    let mut other = start.stdout(Stdio::null()).spawn()?;
    shell::run(&mut start)?;
    anyhow::ensure!(other.wait()?.success());
    for target in addresses(Backend::Cold) {
        let (status, _) = lab.within(Host::Client, || http::get(target, "/health", LIMIT))??;
        anyhow::ensure!(status == 200, "{target}: {status}");
    }
    let log = lab.log_tail("script");
    anyhow::ensure!(log.matches("started").count() == 1 && log.matches("runs already").count() == 1, "{log}");
    shell::run(&mut stop)?;
    anyhow::ensure!(!lab.server_runs(Backend::Cold)?);
    shell::run(&mut stop)?;

    std::fs::remove_dir_all(lab.run_dir().join("model"))?;
    let error = shell::run(&mut start).err().map(|error| format!("{error:#}"));
    anyhow::ensure!(error.is_some(), "the pre-check did not fail");
    anyhow::ensure!(lab.log_tail("script").contains("no model"), "{}", lab.log_tail("script"));
    Ok(())
}

fn a_lab_left_up_is_found_again() -> anyhow::Result<()> {
    let options = LabOptions::unique().topology(Topology::OneArm);
    let name = &options.name;
    Lab::up(&options)?.leave_up()?;
    let trace = Trace::of(name)?;
    let checked = (|| {
        anyhow::ensure!(trace.namespace(Host::Gw).exists());
        anyhow::ensure!(Trace::all()?.contains(name));
        let lab = Lab::attach(name)?;
        anyhow::ensure!(lab.topology() == Topology::OneArm);
        let said = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["lab", "exec", "--name", name, "gw", "--", "ip", "-brief", "address", "show", "eth0"])
            .output()?;
        let said = String::from_utf8_lossy(&said.stdout).into_owned();
        anyhow::ensure!(
            ["10.77.1.1/24", "10.77.2.1/24", "fd77:1::1/64", "fd77:2::1/64"]
                .iter()
                .all(|ip| said.contains(ip)),
            "{said}"
        );
        Ok(())
    })();
    let down = Command::new(env!("CARGO_BIN_EXE_xtask")).args(["lab", "down", "--name", name]).status()?;
    trace.remove()?;
    checked?;
    anyhow::ensure!(down.success() && trace.present().is_empty());
    Ok(())
}
