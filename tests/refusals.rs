//! What the daemon refuses: with an error that names the object, and without a trace. Needs root.

#[path = "support/mod.rs"]
mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, ensure};
use aya::maps::{Array, MapData};
use fastswitch_common::abi::{ABI, Meta, map};
use libtest_mimic::Trial;
use serde_json::Value;
use xtask::lab::{Backend, Host, Lab, LabOptions, Topology, VIP, vip};
use xtask::programs::Programs;
use xtask::{shell, wait};

use support::said::{Said, done, refused, wrong};
use support::scene::{
    LIMIT, configure, nothing_is_left, options, program, run, scene, scene_in, start_daemon, whoami,
};

fn main() -> ExitCode {
    let one_arm = || LabOptions { topology: Topology::OneArm, ..options() };
    let trials: Vec<Trial> = vec![
        scene("an_interface_that_does_not_exist", an_interface_that_does_not_exist),
        scene("a_foreign_program_on_the_interface", a_foreign_program_on_the_interface),
        scene("a_foreign_program_in_generic_mode", a_foreign_program_in_generic_mode),
        scene("a_program_of_another_pin_directory", a_program_of_another_pin_directory),
        scene("a_vip_that_another_host_has", a_vip_that_another_host_has),
        scene_in("a_vip_that_another_host_has_one_arm", one_arm(), a_vip_that_another_host_has),
        scene("a_malformed_configuration", a_malformed_configuration),
        scene("pins_of_another_version", pins_of_another_version),
        scene("a_program_of_another_version", a_program_of_another_version),
        scene("pins_that_are_tampered_with", pins_that_are_tampered_with),
        scene("a_pin_directory_elsewhere", a_pin_directory_elsewhere),
        scene("no_privilege", no_privilege),
        scene("a_state_directory_that_is_a_file", a_state_directory_that_is_a_file),
        scene("a_socket_that_cannot_be_opened", a_socket_that_cannot_be_opened),
        scene("a_socket_path_that_is_a_file", a_socket_path_that_is_a_file),
        scene("an_mtu_that_native_mode_cannot_take", an_mtu_that_native_mode_cannot_take),
    ];
    run(trials)
}

/// The arguments that run the daemon on the lab's configuration.
fn daemon(lab: &Lab) -> anyhow::Result<[String; 3]> {
    let config = lab.config_file();
    Ok(["run", "-c", config.to_str().context("path")?].map(str::to_owned))
}

fn args(words: &[String]) -> Vec<&str> {
    words.iter().map(String::as_str).collect()
}

/// Checks that everything in `expected` is said, and no panic.
fn says(said: &str, expected: &[&str]) -> anyhow::Result<()> {
    for &text in expected {
        ensure!(said.contains(text), "`{text}` is not in: {said}");
    }
    Ok(())
}

fn an_interface_that_does_not_exist(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, |config| config["gateway"]["interfaces"] = serde_json::json!(["eth0", "eth7"]))?;
    let said = wrong(lab, &args(&daemon(lab)?))?;
    says(
        &said,
        &[&format!("{}:", lab.config_file().display()), "`gateway.interfaces[1]` is \"eth7\"", "ip link"],
    )?;
    nothing_is_left(lab)
}

fn a_foreign_program_on_the_interface(lab: &Lab) -> anyhow::Result<()> {
    lab.occupy(Host::Gw, "eth1")?;
    let foreign = program(lab, "eth1")?.context("no program on eth1")?;
    let said = refused(lab, &args(&daemon(lab)?))?;
    says(&said, &["eth1", &format!("id {foreign}"), "ip link set dev eth1 xdp off"])?;
    ensure!(program(lab, "eth1")? == Some(foreign), "the foreign program was replaced");
    ensure!(program(lab, "eth0")?.is_none() && !lab.pin_dir().exists());
    // As it says: take it off, and it works.
    shell::run(lab.command(Host::Gw, "ip")?.args(["link", "set", "dev", "eth1", "xdp", "off"]))?;
    nothing_is_left(lab)?;
    start_daemon(lab)?;
    ensure!(whoami(lab, vip())? == "primary");
    // Also where an earlier daemon has left pins: these stay.
    lab.kill_daemon()?;
    let pins = lab.pin_dir().join(format!("v{ABI}"));
    fs::remove_file(pins.join("link-eth1"))?;
    wait::until_true("the link is gone", LIMIT, || Ok(program(lab, "eth1")?.is_none()))?;
    lab.occupy(Host::Gw, "eth1")?;
    let (ours, foreign) = (program(lab, "eth0")?, program(lab, "eth1")?);
    says(&refused(lab, &args(&daemon(lab)?))?, &["eth1", "ip link set dev eth1 xdp off"])?;
    ensure!((program(lab, "eth0")?, program(lab, "eth1")?) == (ours, foreign));
    ensure!(ours.is_some() && pins.join("link-eth0").exists());
    Ok(())
}

/// A bridge has no native mode, so that the program on it is in the generic one.
fn a_foreign_program_in_generic_mode(lab: &Lab) -> anyhow::Result<()> {
    shell::run(lab.command(Host::Gw, "ip")?.args(["link", "add", "br9", "type", "bridge"]))?;
    lab.occupy(Host::Gw, "br9")?;
    configure(lab, |config| config["gateway"]["interfaces"] = serde_json::json!(["eth0", "br9"]))?;
    let said = refused(lab, &args(&daemon(lab)?))?;
    says(&said, &["br9", "ip link set dev br9 xdpgeneric off"])?;
    nothing_is_left(lab)?;
    // As it says: take it off, and it works.
    shell::run(lab.command(Host::Gw, "ip")?.args(["link", "set", "dev", "br9", "xdpgeneric", "off"]))?;
    lab.start_daemon(&["--log-format", "json"])?;
    ensure!(program(lab, "br9")?.is_some());
    Ok(())
}

fn a_program_of_another_pin_directory(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    lab.kill_daemon()?;
    let elsewhere = format!("{}-elsewhere", lab.pin_dir().display());
    let mut words = daemon(lab)?.to_vec();
    words.extend(["--pin-dir".to_owned(), elsewhere.clone()]);
    let said = refused(lab, &args(&words))?;
    says(&said, &["another fastswitch has interface eth0", &elsewhere, "fastswitch detach --pin-dir"])?;
    ensure!(whoami(lab, vip())? == "primary" && !std::path::Path::new(&elsewhere).exists());
    Ok(())
}

fn a_vip_that_another_host_has(lab: &Lab) -> anyhow::Result<()> {
    let output = lab.exec(Host::Client, "ip", ["-j", "link", "show", "dev", "eth0"])?;
    let links: Value = serde_json::from_slice(&output.stdout)?;
    let mac = links[0]["address"].as_str().context("no address")?.to_owned();
    let address = format!("{VIP}/24");
    shell::run(lab.command(Host::Client, "ip")?.args(["address", "add", &address, "dev", "eth0"]))?;
    let said = refused(lab, &args(&daemon(lab)?))?;
    says(&said, &[&format!("VIP {VIP}"), &mac, "eth0", "gateway.assign_vip"])?;
    nothing_is_left(lab)?;
    shell::run(lab.command(Host::Client, "ip")?.args(["address", "delete", &address, "dev", "eth0"]))?;
    start_daemon(lab)
}

fn a_malformed_configuration(lab: &Lab) -> anyhow::Result<()> {
    let file = lab.config_file();
    let file = file.display();
    lab.write_config_text("[gateway\n")?;
    says(&wrong(lab, &args(&daemon(lab)?))?, &[&format!("{file}:1:"), "help:"])?;
    configure(lab, |config| config["service"][0]["backend"][1]["tier"] = "lukewarm".into())?;
    says(&wrong(lab, &args(&daemon(lab)?))?, &[&format!("{file}:"), "lukewarm", "hot"])?;
    fs::remove_file(lab.config_file())?;
    says(&wrong(lab, &args(&daemon(lab)?))?, &[&format!("{file}: cannot be read"), "-c FILE"])?;
    nothing_is_left(lab)?;

    // A running one is not disturbed by what another one was refused for.
    configure(lab, |_| ())?;
    start_daemon(lab)?;
    lab.write_config_text("[gateway\n")?;
    wrong(lab, &args(&daemon(lab)?))?;
    ensure!(whoami(lab, vip())? == "primary");
    Ok(())
}

fn pins_of_another_version(lab: &Lab) -> anyhow::Result<()> {
    fs::create_dir_all(lab.pin_dir().join("v0"))?;
    let expected = [&format!("{}", lab.pin_dir().join("v0").display())[..], "ABI 0", "fastswitch detach"];
    says(&refused(lab, &args(&daemon(lab)?))?, &expected)?;
    says(&refused(lab, &["status"])?, &expected)?;
    ensure!(lab.pin_dir().join("v0").exists() && !lab.pin_dir().join(format!("v{ABI}")).exists());
    done(lab, &["detach"])?;
    nothing_is_left(lab)?;
    start_daemon(lab)
}

/// With its program on the interfaces, and its VIPs.
fn a_program_of_another_version(lab: &Lab) -> anyhow::Result<()> {
    let [current, other] = [ABI, ABI + 1].map(|abi| lab.pin_dir().join(format!("v{abi}")));
    start_daemon(lab)?;
    lab.kill_daemon()?;
    fs::rename(&current, &other)?;
    let expected = [&other.display().to_string()[..], "holds pins of ABI", "fastswitch detach"];
    for args in [args(&daemon(lab)?), vec!["status"]] {
        says(&refused(lab, &args)?, &expected)?;
    }
    ensure!(program(lab, "eth0")?.is_some() && whoami(lab, vip())? == "primary", "packets were to go on");
    // As it says. What it kept of the services has the same shape here.
    let said = done(lab, &["detach"])?;
    says(&said, &[&format!("VIP {VIP} removed")])?;
    nothing_is_left(lab)?;

    // Where it has not, the VIPs are the operator's to remove.
    start_daemon(lab)?;
    lab.kill_daemon()?;
    fs::rename(&current, &other)?;
    let info = other.join(map::SERVICE_INFO);
    fs::remove_file(&info)?;
    MapData::from_pin(other.join(map::META))?.pin(&info)?;
    let said = refused(lab, &["detach"])?;
    says(&said, &[&format!("ABI {}", ABI + 1), "VIPs", "eth0, eth1", "ip address show"])?;
    ensure!(program(lab, "eth0")?.is_none() && !lab.pin_dir().exists());
    let vip = VIP.to_string();
    shell::run(lab.command(Host::Gw, "ip")?.args(["address", "delete", &vip, "dev", "eth0"]))?;
    nothing_is_left(lab)?;
    start_daemon(lab)
}

fn pins_that_are_tampered_with(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    lab.kill_daemon()?;
    let pin = lab.pin_dir().join(format!("v{ABI}")).join(map::META);
    let mut meta: Array<_, [u8; size_of::<Meta>()]> =
        Array::try_from(aya::maps::Map::from_map_data(MapData::from_pin(&pin)?)?)?;
    let (right, mut bytes) = (meta.get(&0, 0)?, meta.get(&0, 0)?);
    bytes[0] ^= 0xff;
    meta.set(0, bytes, 0)?;
    let before = program(lab, "eth0")?;
    ensure!(before.is_some());
    for args in [args(&daemon(lab)?), vec!["status"], vec!["switch", "asr", "standby"]] {
        says(&refused(lab, &args)?, &["magic", "fastswitch detach"])?;
    }
    ensure!(program(lab, "eth0")? == before && whoami(lab, vip())? == "primary", "packets were to go on");

    // A map of another shape.
    meta.set(0, right, 0)?;
    let backends = lab.pin_dir().join(format!("v{ABI}")).join(map::BACKENDS);
    fs::remove_file(&backends)?;
    MapData::from_pin(&pin)?.pin(&backends)?;
    let shape = [&backends.display().to_string()[..], "keys of", "this version needs", "fastswitch detach"];
    for args in [args(&daemon(lab)?), vec!["status"]] {
        says(&refused(lab, &args)?, &shape)?;
    }
    ensure!(whoami(lab, vip())? == "primary", "packets were to go on");
    done(lab, &["detach"])?;
    nothing_is_left(lab)
}

fn a_pin_directory_elsewhere(lab: &Lab) -> anyhow::Result<()> {
    let elsewhere = lab.run_dir().join("pins");
    let mut words = daemon(lab)?.to_vec();
    words.extend(["--pin-dir".to_owned(), elsewhere.display().to_string()]);
    let said = refused(lab, &args(&words))?;
    says(&said, &[&elsewhere.display().to_string(), "not on a BPF file system", "mount -t bpf"])?;
    ensure!(!elsewhere.exists());
    nothing_is_left(lab)
}

/// As root without any capability, as in a container that may do nothing, and as a user.
fn no_privilege(lab: &Lab) -> anyhow::Result<()> {
    let words = daemon(lab)?;
    let daemon = args(&words);
    let no_capabilities = ["--bounding-set", "-all", "--inh-caps", "-all"];
    let nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups"];
    for who in [&no_capabilities[..], &nobody] {
        let said = unprivileged(lab, who, &daemon)?;
        ensure!(said.code == Some(1) && said.stdout.is_empty(), "{who:?}: {said:?}");
        says(&said.stderr, &["CAP_"])?;
        nothing_is_left(lab)?;
        // Checking a configuration takes none.
        ensure!(unprivileged(lab, who, &["check", "-c", daemon[2]])?.code == Some(0));
    }

    for command in [&["status"][..], &["switch", "asr", "standby"], &["detach"]] {
        for runs in [true, false] {
            match (runs, lab.daemon_runs()?) {
                (true, false) => start_daemon(lab)?,
                (false, true) => lab.kill_daemon()?,
                _ => {}
            }
            let said = unprivileged(lab, &nobody, command)?;
            ensure!(said.code == Some(1) && said.stdout.is_empty(), "{command:?}: {said:?}");
            says(&said.stderr, &["permission", "root"])
                .with_context(|| format!("{command:?}, daemon: {runs}"))?;
        }
    }
    ensure!(whoami(lab, vip())? == "primary");
    Ok(())
}

/// Runs `fastswitch` under `setpriv` with these options.
fn unprivileged(lab: &Lab, options: &[&str], words: &[&str]) -> anyhow::Result<Said> {
    // A copy, for a user may not reach the original.
    let folder = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o755)).tempdir()?;
    let program = folder.path().join("fastswitch");
    // Not by this process: another thread's child might inherit the file while it is written, and keep it from being run.
    shell::run(Command::new("cp").arg(Programs::find()?.fastswitch).arg(&program))?;
    let mut command = lab.command(Host::Gw, "timeout")?;
    command.args(["60", "setpriv"]).args(options).arg(&program).args(words);
    Said::of(&shell::output(&mut command)?)
}

fn a_state_directory_that_is_a_file(lab: &Lab) -> anyhow::Result<()> {
    let mut words = daemon(lab)?.to_vec();
    let file = lab.config_file().display().to_string();
    words.extend(["--state-dir".to_owned(), file.clone()]);
    says(&refused(lab, &args(&words))?, &[&file, "start and stop scripts"])?;
    nothing_is_left(lab)
}

fn a_socket_path_that_is_a_file(lab: &Lab) -> anyhow::Result<()> {
    let file = lab.config_file().with_extension("precious").display().to_string();
    fs::write(&file, "precious")?;
    let mut words = daemon(lab)?.to_vec();
    words.extend(["--socket".to_owned(), file.clone()]);
    says(&refused(lab, &args(&words))?, &["control socket", &file, "else than a socket", "--socket"])?;
    ensure!(fs::read_to_string(&file)? == "precious");
    nothing_is_left(lab)
}

fn a_socket_that_cannot_be_opened(lab: &Lab) -> anyhow::Result<()> {
    let mut words = daemon(lab)?.to_vec();
    let below_a_file = lab.config_file().join("control.sock").display().to_string();
    words.extend(["--socket".to_owned(), below_a_file.clone()]);
    says(&refused(lab, &args(&words))?, &["control socket", &below_a_file])?;
    nothing_is_left(lab)?;
    // With pins of an earlier daemon they stay as they are.
    start_daemon(lab)?;
    lab.kill_daemon()?;
    let before = (program(lab, "eth0")?, lab.status()?["services"].clone());
    configure(lab, support::scene::keep_tcp)?;
    says(&refused(lab, &args(&words))?, &["control socket", &below_a_file])?;
    ensure!((program(lab, "eth0")?, lab.status()?["services"].clone()) == before);
    Ok(())
}

fn an_mtu_that_native_mode_cannot_take(lab: &Lab) -> anyhow::Result<()> {
    // The other end of the gateway's wire is the one that counts.
    shell::run(lab.command(Host::Lan, "ip")?.args(["link", "set", "gateway", "mtu", "9000"]))?;
    configure(lab, |config| config["gateway"]["xdp_mode"] = "native".into())?;
    let said = refused(lab, &args(&daemon(lab)?))?;
    says(&said, &["eth1 in native mode", "ip link set OTHER-END mtu 1500"])?;
    nothing_is_left(lab)?;
    ensure!(whoami(lab, Backend::Primary.address())? == "primary");
    Ok(())
}
