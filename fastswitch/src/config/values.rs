//! Single values: from TOML to the type that the key means, or what is wrong with the value.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeValue;

/// Longest name of a service or backend, in bytes: what the pinned maps have room for.
const MAX_NAME: usize = 47;
/// Longest name that the kernel gives an interface, in bytes.
const MAX_INTERFACE: usize = 15;
/// Longest path of an HTTP heartbeat, in bytes.
const MAX_PATH: usize = 1024;
/// Largest payload of a UDP heartbeat, in bytes: fits one packet on any link.
const MAX_PAYLOAD: usize = 1200;
/// Most heartbeat rounds that a decision can wait for.
const MAX_ROUNDS: u32 = 1_000_000;
/// Flows that may be asked for; each takes about 300 bytes of the kernel's memory.
const MAX_FLOWS: u32 = 1 << 23;
/// Longest duration; beyond it is a slip of the unit (`M` is months), and adding it to a time could overflow.
const MAX_DURATION: Duration = Duration::from_secs(30 * 24 * 3600);
/// Shortest duration of what takes time at all.
const MIN_DURATION: Duration = Duration::from_millis(1);

/// What is wrong with a value.
#[derive(Debug)]
pub(super) struct Fault {
    /// Goes on after the name of the key: "is 70000, not a port".
    pub(super) problem: String,
    /// What to do.
    pub(super) help: String,
}

impl Fault {
    pub(super) fn new(seen: impl std::fmt::Display, complaint: &str, help: impl Into<String>) -> Self {
        Self { problem: format!("is {seen}{complaint}"), help: help.into() }
    }
}

/// `text` on one line and of bounded length.
pub(super) fn shown(text: &str) -> String {
    const LENGTH: usize = 80;
    let rest = if text.chars().nth(LENGTH).is_some() { "…" } else { "" };
    text.chars().take(LENGTH).flat_map(char::escape_debug).chain(rest.chars()).collect()
}

/// The same, in quotes.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", shown(text))
}

/// How messages show a value.
pub(super) fn seen(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => quoted(text),
        DeValue::Integer(number) => number.to_string(),
        DeValue::Float(number) => number.to_string(),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(elements) if elements.is_empty() => "an empty list".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// Text.
pub(super) fn text(value: &DeValue<'_>) -> Result<String, Fault> {
    match value {
        DeValue::String(text) => Ok(text.clone().into_owned()),
        other => Err(Fault::new(seen(other), ", not text", "write text in quotes")),
    }
}

/// `true` or `false`.
pub(super) fn boolean(value: &DeValue<'_>) -> Result<bool, Fault> {
    value.as_bool().ok_or_else(|| Fault::new(seen(value), "", "write true or false, without quotes"))
}

/// A port that something can listen on.
pub(super) fn port(value: &DeValue<'_>) -> Result<u16, Fault> {
    integer(value, u16::MAX.into(), "a port")
}

/// A number of rounds.
pub(super) fn count(value: &DeValue<'_>) -> Result<NonZeroU32, Fault> {
    integer(value, MAX_ROUNDS, "a number of rounds")
}

/// A number of flows: two entries of the kernel's largest table hold one.
pub(super) fn flows(value: &DeValue<'_>) -> Result<NonZeroU32, Fault> {
    integer(value, MAX_FLOWS, "a number of flows")
}

/// A duration that takes time.
pub(super) fn duration(value: &DeValue<'_>) -> Result<Duration, Fault> {
    let duration = delay(value)?;
    if duration < MIN_DURATION {
        return Err(Fault::new(seen(value), ", too short", "the shortest is \"1ms\""));
    }
    Ok(duration)
}

/// A duration that may be zero.
pub(super) fn delay(value: &DeValue<'_>) -> Result<Duration, Fault> {
    if let DeValue::Integer(_) | DeValue::Float(_) = value {
        let number = seen(value);
        let help =
            format!("write it with its unit and in quotes: \"{number}ms\", \"{number}s\" or \"{number}m\"");
        return Err(Fault::new(number, ", a number without a unit", help));
    }
    let text = text(value)?;
    let duration = humantime::parse_duration(&text).map_err(|error| {
        Fault::new(
            quoted(&text),
            &format!(", not a duration: {error}"),
            "write it like \"50ms\", \"30s\" or \"5m\"",
        )
    })?;
    if duration > MAX_DURATION {
        return Err(Fault::new(
            quoted(&text),
            ", too long",
            "the longest is \"30d\"; minutes are written \"5m\"",
        ));
    }
    Ok(duration)
}

/// A name of a service or backend.
pub(super) fn name(value: &DeValue<'_>) -> Result<String, Fault> {
    let name = text(value)?;
    let help = "a name has letters, digits, `.`, `_` and `-`, and begins with none of `.` and `-`";
    if name.is_empty() || name.len() > MAX_NAME {
        let complaint = format!(", {} bytes long; a name has 1 to {MAX_NAME}", name.len());
        return Err(Fault::new(quoted(&name), &complaint, help));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    // A leading dot or dash would be another file, or an option, where a name ends up in a path or a command line.
    if !name.chars().all(allowed) || name.starts_with(['.', '-']) {
        return Err(Fault::new(quoted(&name), ", not a name", help));
    }
    Ok(name)
}

/// A name that an interface can have.
pub(super) fn interface(value: &DeValue<'_>) -> Result<String, Fault> {
    let name = text(value)?;
    let unfit = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':');
    if name.is_empty() || name.len() > MAX_INTERFACE || matches!(&*name, "." | "..") || name.contains(unfit) {
        let help = format!(
            "a name has 1 to {MAX_INTERFACE} bytes, no blanks, `/` or `:`; `ip link` lists those here"
        );
        return Err(Fault::new(quoted(&name), ", not the name of an interface", help));
    }
    Ok(name)
}

/// The path that an HTTP heartbeat asks for.
pub(super) fn path(value: &DeValue<'_>) -> Result<String, Fault> {
    let path = text(value)?;
    // What RFC 3986 allows in path and query: anything else would not survive the request line.
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-._~!$&'()*+,;=:@/?%".contains(c);
    if !path.starts_with('/') || path.len() > MAX_PATH || !path.chars().all(allowed) {
        let help =
            format!("begin it with `/`, at most {MAX_PATH} bytes, other characters than URLs have as %XX");
        return Err(Fault::new(quoted(&path), ", not a path", help));
    }
    Ok(path)
}

/// HTTP statuses: `204`, `"200-299,404"` or a list of such.
pub(super) fn statuses(value: &DeValue<'_>) -> Result<Vec<RangeInclusive<u16>>, Fault> {
    match value {
        DeValue::Array(elements) if !elements.is_empty() => {
            let parts: Result<Vec<_>, _> =
                elements.iter().map(|element| status_ranges(element.get_ref())).collect();
            parts.map(|parts| parts.concat())
        }
        other => status_ranges(other),
    }
}

/// What a UDP heartbeat sends.
pub(super) fn payload(value: &DeValue<'_>) -> Result<Vec<u8>, Fault> {
    let text = text(value)?;
    if text.len() > MAX_PAYLOAD {
        let complaint = format!(", {} bytes long", text.len());
        return Err(Fault::new(quoted(&text), &complaint, format!("send at most {MAX_PAYLOAD} bytes")));
    }
    Ok(text.into_bytes())
}

/// One element of a command.
pub(super) fn argument(value: &DeValue<'_>) -> Result<String, Fault> {
    let argument = text(value)?;
    if argument.contains('\0') {
        return Err(Fault::new(
            quoted(&argument),
            ", which no command can be given",
            "remove the NUL character",
        ));
    }
    Ok(argument)
}

/// A whole number from 1 to `max`.
fn integer<T: TryFrom<u32>>(value: &DeValue<'_>, max: u32, what: &str) -> Result<T, Fault> {
    value
        .as_integer()
        .and_then(|number| u32::from_str_radix(number.as_str(), number.radix()).ok())
        .filter(|number| (1..=max).contains(number))
        .and_then(|number| T::try_from(number).ok())
        .ok_or_else(|| {
            let help = format!("write a whole number from 1 to {max}, without quotes");
            Fault::new(seen(value), &format!(", not {what}"), help)
        })
}

fn status_ranges(value: &DeValue<'_>) -> Result<Vec<RangeInclusive<u16>>, Fault> {
    let status = |text: &str| text.trim().parse().ok().filter(|status| (100..=599).contains(status));
    let range = |text: &str| {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let range = status(first)?..=status(last)?;
        (!range.is_empty()).then_some(range)
    };
    let ranges = match value {
        DeValue::Integer(number) => range(number.as_str()).map(|range| vec![range]),
        DeValue::String(text) => text.split(',').map(range).collect(),
        _ => None,
    };
    ranges.ok_or_else(|| {
        let help = "write statuses from 100 to 599: 200, \"200-299,404\" or [200, \"300-399\"]";
        Fault::new(seen(value), ", not HTTP statuses", help)
    })
}
