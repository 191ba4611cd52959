//! The daemon's log, read as the JSON lines that it is.

use anyhow::Context as _;
use serde_json::Value;
use xtask::lab::Lab;
use xtask::wait;

use super::scene::LIMIT;

/// Every line of the log so far, of all daemons of this lab.
pub(crate) fn lines(lab: &Lab) -> anyhow::Result<Vec<Value>> {
    let text = std::fs::read_to_string(lab.log_file("daemon"))?;
    // The last line may be in the making.
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("this line is no JSON: {line}")))
        .collect()
}

/// The events of a service so far, in order.
pub(crate) fn events(lab: &Lab, service: &str) -> anyhow::Result<Vec<Value>> {
    let lines = lines(lab)?;
    Ok(lines.into_iter().filter(|line| line["service"] == service && line["event"].is_string()).collect())
}

/// Waits for an event of service `asr`; `backend` may be any.
pub(crate) fn wait_event(lab: &Lab, event: &str, backend: Option<&str>) -> anyhow::Result<Value> {
    wait_events(lab, event, backend, 1)?.pop().context("none")
}

/// Waits for `count` such events.
pub(crate) fn wait_events(
    lab: &Lab,
    event: &str,
    backend: Option<&str>,
    count: usize,
) -> anyhow::Result<Vec<Value>> {
    wait::until(&format!("event {event} of {backend:?}, {count} times"), LIMIT, || {
        let is_it =
            |line: &Value| line["event"] == event && backend.is_none_or(|backend| line["backend"] == backend);
        let found: Vec<Value> = events(lab, "asr")?.into_iter().filter(is_it).collect();
        Ok((found.len() >= count).then_some(found))
    })
}

/// Checks that these events of service `asr` are in the log in this order, whatever is in between: each "event
/// backend". Gives them.
pub(crate) fn in_order(lab: &Lab, expected: &[&str]) -> anyhow::Result<Vec<Value>> {
    let events = events(lab, "asr")?;
    let mut rest = events.iter();
    expected
        .iter()
        .map(|&wanted| {
            let found = rest.find(|line| label(line) == wanted).cloned();
            found.with_context(|| {
                let all: Vec<String> = events.iter().map(label).collect();
                format!("`{wanted}` is not in its place:\n{}", all.join("\n"))
            })
        })
        .collect()
}

fn label(line: &Value) -> String {
    let words = [&line["event"], &line["backend"]];
    words.into_iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
}
