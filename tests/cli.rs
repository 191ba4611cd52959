//! The command line as people and scripts meet it. Needs root.

#[path = "support/mod.rs"]
mod support;
#[path = "cli/trace.rs"]
mod trace;

use std::fs::File;
use std::io::pipe;
use std::process::ExitCode;

use anyhow::{Context as _, ensure};
use libtest_mimic::Trial;
use serde_json::{Value, json};
use xtask::lab::{Backend, CLIENT, Host, Lab, VIP, vip};
use xtask::shell;

use support::said::{done, refused, say, wrong};
use support::scene::{
    configure, counter, datagrams_come_back, keep_backends, list, nothing_is_left, program, run, scene,
    service, start_daemon, wait_active, wait_backend, wait_outage, whoami,
};
use support::terminal;

fn main() -> ExitCode {
    let mut trials: Vec<Trial> = vec![
        scene("check_tells_all_errors_at_once", check_tells_all_errors_at_once),
        scene("check_looks_at_the_machine", check_looks_at_the_machine),
        scene("names_that_do_not_exist", names_that_do_not_exist),
        scene("a_refused_switch_tells_why", a_refused_switch_tells_why),
        scene("status_is_a_table", status_is_a_table),
        scene("status_as_json", status_as_json),
        scene("errors_as_json", errors_as_json),
        scene("detach_removes_everything", detach_removes_everything),
        scene("a_closed_pipe_is_no_panic", a_closed_pipe_is_no_panic),
        scene("an_error_that_cannot_be_printed", an_error_that_cannot_be_printed),
        scene("without_anything_pinned", without_anything_pinned),
        scene("a_daemon_that_does_not_answer", a_daemon_that_does_not_answer),
        scene("failback_needs_the_daemon", failback_needs_the_daemon),
        scene("in_an_outage_nobody_is_active", in_an_outage_nobody_is_active),
        scene("the_socket_goes_with_the_daemon", the_socket_goes_with_the_daemon),
        scene("status_watches", status_watches),
        scene("status_watches_on_a_terminal", status_watches_on_a_terminal),
    ];
    trials.extend(trace::trials());
    run(trials)
}

fn config(lab: &Lab) -> anyhow::Result<String> {
    Ok(lab.config_file().to_str().context("path")?.to_owned())
}

fn check_tells_all_errors_at_once(lab: &Lab) -> anyhow::Result<()> {
    let file = config(lab)?;
    let said = done(lab, &["check", "-c", &file])?;
    ensure!(said == format!("{file}: valid, 2 services, 6 backends\n"), "{said}");
    lab.write_config_text(
        "[gateway]\n\
         interfaces = [\"eth0\"]\n\
         [[service]]\n\
         name = \"asr\"\n\
         vip = \"10.77.1.400\"\n\
         port = 7860\n\
         colour = \"red\"\n\
         [[service.backend]]\n\
         name = \"primary\"\n\
         address = \"10.77.2.10:7860\"\n\
         teir = \"hot\"\n",
    )?;
    let said = wrong(lab, &["check", "-c", &file])?;
    for expected in [&format!("{file}:5:7: ")[..], "10.77.1.400", &format!("{file}:7:1: "), "colour"] {
        ensure!(said.contains(expected), "`{expected}` is not in: {said}");
    }
    ensure!(said.contains(&format!("{file}:11:1: ")) && said.contains("`tier`"), "no suggestion: {said}");
    ensure!(said.contains("3 errors"), "{said}");
    Ok(())
}

fn check_looks_at_the_machine(lab: &Lab) -> anyhow::Result<()> {
    let file = config(lab)?;
    configure(lab, |config| {
        config["gateway"]["interfaces"] = json!(["eth0", "eth7"]);
        config["service"][0]["backend"][2]["start"]["command"] = json!(["/nowhere/start.sh"]);
        config["service"][1]["backend"][2]["stop"]["command"] = json!([file]);
    })?;
    let said = wrong(lab, &["check", "-c", &file])?;
    for expected in ["\"eth7\"", "/nowhere/start.sh", &format!("chmod +x {file}"), "3 errors"] {
        ensure!(said.contains(expected), "`{expected}` is not in: {said}");
    }
    // Among the other errors, and each where it is.
    lab.write_config_text("[gateway]\ninterfaces = [\"eth0\", \"eth7\"]\nassign_vip = 1\n")?;
    let said = wrong(lab, &["check", "-c", &file])?;
    for expected in [&format!("{file}:2:23: `gateway.interfaces[1]`")[..], &format!("{file}:3:14: ")] {
        ensure!(said.contains(expected), "`{expected}` is not in: {said}");
    }
    Ok(())
}

/// With a daemon and without one.
fn names_that_do_not_exist(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    for _ in 0..2 {
        for args in [&["status", "ars"][..], &["switch", "ars", "standby"], &["freeze", "ars"]] {
            let said = wrong(lab, args)?;
            ensure!(said.contains("`ars`") && said.contains("asr, asr-udp"), "{args:?}: {said}");
        }
        for args in [&["switch", "asr", "standbye"][..], &["maint", "asr", "standbye", "on"]] {
            let said = wrong(lab, args)?;
            ensure!(
                said.contains("`standbye`") && said.contains("primary, standby, cold"),
                "{args:?}: {said}"
            );
        }
        if lab.daemon_runs()? {
            lab.kill_daemon()?;
        }
    }
    for args in
        [&["swich", "asr", "standby"][..], &["maint", "asr", "standby", "perhaps"], &["switch", "asr"]]
    {
        wrong(lab, args)?;
    }
    Ok(())
}

fn a_refused_switch_tells_why(lab: &Lab) -> anyhow::Result<()> {
    lab.start_daemon(&[])?;
    lab.kill_server(Backend::Standby)?;
    wait_backend(lab, Backend::Standby, "is down", |state| state["health"] == "down")?;
    done(lab, &["maint", "asr", "standby", "on"])?;
    let said = refused(lab, &["switch", "asr", "standby"])?;
    for expected in ["asr: cannot switch to standby", "in maintenance", "down: connection refused"] {
        ensure!(said.contains(expected), "`{expected}` is not in: {said}");
    }
    let said = refused(lab, &["switch", "asr", "cold"])?;
    ensure!(said.contains("not started"), "{said}");
    let said = refused(lab, &["maint", "asr", "primary", "on"])?;
    ensure!(said.contains("no other backend is eligible"), "{said}");
    ensure!(service(lab, "asr")?["active"] == "primary");
    // Who insists, gets it.
    done(lab, &["switch", "asr", "standby", "--force"])?;
    let state = service(lab, "asr")?;
    ensure!(state["active"] == "standby" && state["reason"] == "switched by an operator, forced", "{state}");
    Ok(())
}

fn status_is_a_table(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    whoami(lab, vip())?;
    let said = done(lab, &["status"])?;
    let has = |words: &[&str]| said.lines().any(|line| words.iter().all(|word| line.contains(word)));
    for words in [
        &["daemon running", "eth0 native", "eth1 native"][..],
        &["asr ", "10.77.1.100:7860/tcp", "primary"],
        &["asr-udp", "10.77.1.100:7860/udp", "primary"],
        &["*", "primary", "10.77.2.10:7860", "hot", "active", "up", " us"],
        &["standby", "10.77.2.11:7860", "hot", "standby", "up"],
        &["cold", "10.77.2.12:7860", "cold", "not started"],
    ] {
        ensure!(has(words), "no line with {words:?} in:\n{said}");
    }
    let one = done(lab, &["status", "asr-udp"])?;
    ensure!(one.contains("asr-udp") && !one.contains("/tcp"), "{one}");
    lab.kill_daemon()?;
    let absent = done(lab, &["status"])?;
    ensure!(absent.contains("NO DAEMON") && absent.contains("nobody watches the backends"), "{absent}");
    Ok(())
}

fn status_as_json(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    datagrams_come_back(lab, vip(), &[1])?;
    for daemon in ["running", "absent"] {
        let said = done(lab, &["status", "--json"])?;
        ensure!(said.lines().count() == 1, "{said}");
        let status: Value = serde_json::from_str(&said)?;
        ensure!(status["daemon"] == daemon && status["version"].is_string(), "{status}");
        ensure!(
            status["interfaces"][1] == json!({ "name": "eth1", "xdp": "native", "generic_because": null }),
            "{status}"
        );
        let service = &status["services"][0];
        let expected = json!({
            "name": "asr", "vip": "10.77.1.100", "port": 7860, "protocol": "tcp", "mode": "nat",
            "active": "primary", "epoch": 1, "frozen": false,
        });
        for (key, value) in expected.as_object().into_iter().flatten() {
            ensure!(service[key] == *value, "{key}: {service}");
        }
        ensure!(service["since"].as_str().is_some_and(|since| since.ends_with('Z')), "{service}");
        ensure!(service["reason"].is_string(), "{service}");
        let udp = &status["services"][1]["counters"];
        ensure!(udp["packets"] == 2 && udp["bytes"].as_u64() > Some(0) && udp["forwarded"] == 1, "{udp}");
        let bytes = udp["bytes"].as_u64().map(|bytes| bytes / 2);
        let expected = json!({
            "forwarded_packets": 1, "forwarded_bytes": bytes, "replied_packets": 1, "replied_bytes": bytes,
        });
        ensure!(status["services"][1]["backends"][0]["counters"] == expected, "{status}");
        let none = &status["services"][1]["backends"][1]["counters"];
        ensure!(none["forwarded_packets"] == 0 && none["replied_bytes"] == 0, "{status}");
        ensure!(list(&service["backends"]).len() == 3, "{service}");
        for (backend, (tier, role)) in
            list(&service["backends"]).iter().zip([("hot", "active"), ("hot", "standby"), ("cold", "cold")])
        {
            ensure!(backend["tier"] == tier && backend["role"] == role, "{backend}");
            ensure!(backend["address"].is_string() && backend["maintenance"] == false, "{backend}");
            let health = backend["health"].as_str().unwrap_or_default();
            ensure!(["up", "down", "unknown"].contains(&health), "{backend}");
            // Eligible, or there is a reason.
            ensure!(backend["eligible"] == list(&backend["hold"]).is_empty(), "{backend}");
            ensure!(backend["rtt_us"].is_u64() == (health == "up"), "{backend}");
        }
        if daemon == "running" {
            lab.kill_daemon()?;
        }
    }
    Ok(())
}

fn errors_as_json(lab: &Lab) -> anyhow::Result<()> {
    let error = |code: i32, args: &[&str]| -> anyhow::Result<Value> {
        let said = say(lab, args)?;
        ensure!(said.code == Some(code) && said.stdout.is_empty(), "{args:?}: {said:?}");
        let error: Value = serde_json::from_str(&said.stderr).with_context(|| said.stderr.clone())?;
        ensure!(error["error"].is_string(), "{error}");
        Ok(error)
    };
    error(1, &["status", "--json"])?;
    for (args, expected) in [
        (&["status", "--json", "--bogus"][..], "unexpected argument '--bogus' found"),
        (&["status", "asr", "one-more", "--json"], "unexpected argument 'one-more' found"),
        (&["switch", "--json"], "unexpected argument '--json' found"),
    ] {
        let unknown = error(2, args)?;
        ensure!(unknown["error"] == expected, "{unknown}");
    }
    ensure!(done(lab, &["status", "--json", "--help"])?.contains("Usage:"));
    let plain = wrong(lab, &["status", "--bogus"])?;
    ensure!(plain.contains("'--bogus'") && plain.contains("Usage:"), "{plain}");
    start_daemon(lab)?;
    let unknown = error(2, &["status", "ars", "--json"])?;
    ensure!(unknown["error"].as_str().is_some_and(|error| error.contains("`ars`")), "{unknown}");
    Ok(())
}

fn detach_removes_everything(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    let pid = lab.daemon_pid()?.context("no daemon")?;
    let said = refused(lab, &["detach"])?;
    ensure!(said.contains(&format!("process {pid}")), "{said}");
    ensure!(whoami(lab, vip())? == "primary");

    lab.stop_daemon()?;
    ensure!(program(lab, "eth0")?.is_some() && whoami(lab, vip())? == "primary");
    let said = done(lab, &["detach"])?;
    ensure!(said.contains(&format!("VIP {VIP} removed")), "{said}");
    nothing_is_left(lab)?;
    // Once more is no error, and a new daemon starts from nothing.
    done(lab, &["detach"])?;
    start_daemon(lab)?;
    ensure!(service(lab, "asr")?["epoch"] == 1 && counter(lab, "asr", "forwarded")? == 0);
    Ok(())
}

fn a_closed_pipe_is_no_panic(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    for args in
        [&["status"][..], &["status", "--json"], &["status", "--watch"], &["freeze", "asr"], &["--help"]]
    {
        let (reader, writer) = pipe()?;
        drop(reader);
        let mut command = lab.command(Host::Gw, "timeout")?;
        let output = shell::output(command.args(["60", "fastswitch"]).args(args).stdout(writer))?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(!said.contains("panicked") && output.status.code() == Some(0), "{args:?}: {output:?} {said}");
    }
    Ok(())
}

/// The exit code remains.
fn an_error_that_cannot_be_printed(lab: &Lab) -> anyhow::Result<()> {
    lab.write_config_text("[gateway]\n")?;
    for (args, code) in [(&["run", "-c", &config(lab)?][..], 2), (&["status"], 1), (&["status", "--json"], 1)]
    {
        let mut command = lab.command(Host::Gw, "timeout")?;
        let full = File::options().write(true).open("/dev/full")?;
        let status = command.args(["60", "fastswitch"]).args(args).stderr(full).status()?;
        ensure!(status.code() == Some(code), "{args:?}: {status}");
    }
    Ok(())
}

fn without_anything_pinned(lab: &Lab) -> anyhow::Result<()> {
    for args in [&["status"][..], &["switch", "asr", "standby"], &["freeze", "asr"], &["failback", "asr"]] {
        let said = refused(lab, args)?;
        ensure!(said.contains(&lab.pin_dir().display().to_string()), "{args:?}: {said}");
    }
    let said = done(lab, &["detach"])?;
    ensure!(said == "nothing was pinned\n", "{said}");
    nothing_is_left(lab)
}

fn a_daemon_that_does_not_answer(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    lab.signal_daemon(nix::sys::signal::Signal::SIGSTOP)?;
    let said = refused(lab, &["status"])?;
    ensure!(said.contains(&lab.socket().display().to_string()) && said.contains("does not answer"), "{said}");
    // What only reads needs no daemon.
    let said = done(lab, &["trace", "asr", &CLIENT.to_string()])?;
    ensure!(said.contains("NO DAEMON") && said.contains("nothing within 10 s"), "{said}");
    lab.signal_daemon(nix::sys::signal::Signal::SIGCONT)?;
    done(lab, &["status"])?;
    Ok(())
}

fn failback_needs_the_daemon(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    lab.kill_daemon()?;
    let said = refused(lab, &["failback", "asr"])?;
    ensure!(said.contains("asr: cannot fail back") && said.contains("start it, or use `switch`"), "{said}");
    wrong(lab, &["failback", "ars"])?;
    Ok(())
}

/// With a daemon and without one.
fn in_an_outage_nobody_is_active(lab: &Lab) -> anyhow::Result<()> {
    configure(lab, |config| keep_backends(config, 2))?;
    start_daemon(lab)?;
    lab.kill_server(Backend::Primary)?;
    wait_active(lab, Backend::Standby)?;
    lab.kill_server(Backend::Standby)?;
    wait_outage(lab)?;
    for daemon in ["running", "absent"] {
        let state = service(lab, "asr")?;
        ensure!(state["active"].is_null() && state["target"] == "standby", "{state}");
        let roles: Vec<&Value> = list(&state["backends"]).iter().map(|backend| &backend["role"]).collect();
        ensure!(roles == ["standby", "last"], "{daemon}: {roles:?}");
        let said = done(lab, &["status"])?;
        ensure!(said.contains("active: NONE") && !said.contains('*'), "{said}");
        if daemon == "running" {
            lab.kill_daemon()?;
        }
    }
    Ok(())
}

fn the_socket_goes_with_the_daemon(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    lab.kill_daemon()?;
    ensure!(lab.socket().exists(), "who is killed cannot remove it");
    start_daemon(lab)?;
    lab.stop_daemon()?;
    ensure!(!lab.socket().exists(), "the socket is left");
    // Not what somebody else has put there.
    start_daemon(lab)?;
    std::fs::remove_file(lab.socket())?;
    std::fs::write(lab.socket(), "theirs")?;
    lab.stop_daemon()?;
    ensure!(std::fs::read_to_string(lab.socket())? == "theirs");
    Ok(())
}

/// Into a pipe, a new block for each change.
fn status_watches(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    let mut command = lab.command(Host::Gw, "timeout")?;
    command.args(["60", "fastswitch", "status", "asr", "--watch", "--json"]);
    let (reader, writer) = pipe()?;
    let mut watching = command.stdout(writer).spawn()?;
    // Its end of the pipe would keep the reader waiting for ever.
    drop(command);
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(reader));
    let mut seen = |active: &str| {
        let is_it = |line: &String| {
            let status: Value = serde_json::from_str(line).unwrap_or_default();
            status["services"][0]["active"] == active
        };
        ensure!(lines.by_ref().map_while(Result::ok).any(|line| is_it(&line)), "{active} was not seen");
        Ok(())
    };
    seen("primary")?;
    lab.kill_server(Backend::Primary)?;
    wait_active(lab, Backend::Standby)?;
    seen("standby")?;
    watching.kill()?;
    watching.wait()?;
    Ok(())
}

/// What does not fit is cut, and the terminal is as it was afterwards.
fn status_watches_on_a_terminal(lab: &Lab) -> anyhow::Result<()> {
    start_daemon(lab)?;
    let watch = |args: &str| {
        let line = format!("fastswitch status {args} --watch");
        anyhow::Ok(terminal::on_terminal(lab.command(Host::Gw, "script")?, 60, 14, &line))
    };
    let (shown, code) = terminal::until_ctrl_c(watch("")?, "more lines")?;
    ensure!(code == Some(130) && shown.contains("daemon running"), "{code:?}: {shown}");
    ensure!(shown.ends_with(terminal::LEFT) && !shown.contains('\n'), "{shown:?}");
    // An error is told where it stays.
    let output = shell::output(&mut watch("ars")?)?;
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    let (_, after) = shown.rsplit_once(terminal::LEFT).unwrap_or_default();
    ensure!(output.status.code() == Some(2) && after.contains("`ars`"), "{output:?}: {shown}");
    Ok(())
}
