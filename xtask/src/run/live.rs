//! The lab's status, live: a picture on a terminal, a line per change elsewhere.

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use fastswitch_screen::Screen;
use serde_json::Value;

use crate::interrupt::{self, Interrupted};
use crate::lab::{Lab, vip};
use crate::say::say;

const EVERY: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(50);

/// Shows it until Ctrl-C.
pub(super) fn show(lab: &Lab) -> anyhow::Result<ExitCode> {
    let shown = if io::stdout().is_terminal() { on_screen(lab) } else { plain(lab) };
    shown.or_else(|error| if error.is::<Interrupted>() { Ok(()) } else { Err(error) })?;
    say("Removing the lab ..")?;
    Ok(ExitCode::SUCCESS)
}

fn on_screen(lab: &Lab) -> anyhow::Result<()> {
    let screen = Screen::enter()?;
    let introduction = introduction(lab);
    loop {
        let output = lab.fastswitch(["status"])?;
        let status = [output.stdout, output.stderr].concat();
        screen.paint(&format!("{introduction}\n{}", String::from_utf8_lossy(&status)))?;
        pause(EVERY)?;
    }
}

/// In few and short lines, for a small window has to show the status as well.
fn introduction(lab: &Lab) -> String {
    format!(
        "Lab {}, {}: service at {vip}; Ctrl-C ends it.\n\
         In another terminal: cargo xtask lab COMMAND, such as\n\
         \x20 exec client -- curl -s {vip}/whoami\n\
         \x20 kill primary     (or start primary)\n",
        lab.name(),
        lab.topology(),
        vip = vip(),
    )
}

fn plain(lab: &Lab) -> anyhow::Result<()> {
    say(format!("{}Ctrl-C removes it.\n", lab.introduction()))?;
    let start = Instant::now();
    let mut shown = String::new();
    loop {
        let next = summary(lab);
        if next != shown {
            say(format!("{:7.1} s  {next}", start.elapsed().as_secs_f64()))?;
            shown = next;
        }
        pause(EVERY)?;
    }
}

fn pause(time: Duration) -> Result<(), Interrupted> {
    let start = Instant::now();
    while start.elapsed() < time {
        interrupt::check()?;
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// One line: who serves, and who is well.
pub(super) fn summary(lab: &Lab) -> String {
    match lab.status() {
        Ok(status) => describe(&status),
        Err(error) => format!("no status: {error:#}"),
    }
}

fn describe(status: &Value) -> String {
    let services: Vec<String> = list(&status["services"]).iter().map(describe_service).collect();
    format!("daemon {}; {}", text(&status["daemon"]), services.join("; "))
}

fn describe_service(service: &Value) -> String {
    let backends: Vec<String> = list(&service["backends"])
        .iter()
        .map(|backend| format!("{} {}", text(&backend["name"]), text(&backend["health"])))
        .collect();
    let active = service["active"].as_str().unwrap_or("nobody");
    format!(
        "{}: {active} serves, epoch {} ({})",
        text(&service["name"]),
        service["epoch"],
        backends.join(", ")
    )
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn one_line_says_who_serves() {
        let status = json!({ "daemon": "running", "services": [
            { "name": "asr", "active": "standby", "epoch": 3, "backends": [
                { "name": "primary", "health": "down" }, { "name": "standby", "health": "up" } ] },
            { "name": "asr-udp", "active": null, "epoch": 1, "backends": [] } ] });
        assert_eq!(
            super::describe(&status),
            "daemon running; asr: standby serves, epoch 3 (primary down, standby up); \
             asr-udp: nobody serves, epoch 1 ()"
        );
    }
}
