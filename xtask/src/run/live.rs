//! The lab's status, live: repainted on a terminal, a line per change elsewhere.

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::interrupt::{self, Interrupted};
use crate::lab::Lab;
use crate::say::say;

const EVERY: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(50);
/// Cursor home, and everything below it erased.
const REPAINT: &str = "\x1b[H\x1b[J";

/// Shows it until Ctrl-C.
pub(super) fn show(lab: &Lab) -> anyhow::Result<ExitCode> {
    let terminal = io::stdout().is_terminal();
    if !terminal {
        say(format!("{}Ctrl-C removes it.\n", lab.introduction()))?;
    }
    let start = Instant::now();
    let mut shown = String::new();
    loop {
        let next = if terminal { screen(lab)? } else { summary(lab) };
        if next != shown {
            if terminal {
                print!("{REPAINT}{next}");
            } else {
                say(format!("{:7.1} s  {next}", start.elapsed().as_secs_f64()))?;
            }
            io::stdout().flush()?;
            shown = next;
        }
        if pause(EVERY).is_err() {
            say("\nRemoving the lab ..")?;
            return Ok(ExitCode::SUCCESS);
        }
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

fn screen(lab: &Lab) -> anyhow::Result<String> {
    let output = lab.fastswitch(["status"])?;
    let status = [output.stdout, output.stderr].concat();
    Ok(format!("{}Ctrl-C removes it.\n\n{}", lab.introduction(), String::from_utf8_lossy(&status)))
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
