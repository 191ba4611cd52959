//! From text to a TOML table. It owns what is said about text that is not TOML.

use std::ops::Range;

use toml::de::DeTable;

use super::log::{Log, Read};
use super::values::{quoted, shown};

/// How the parser's messages about a bare word in place of a value begin.
const BARE_WORD: [&str; 7] = [
    "string values must be quoted",
    "invalid boolean",
    "invalid float",
    "invalid integer",
    "invalid mantissa",
    "invalid fraction",
    "invalid exponent",
];

/// Parses `text`.
///
/// A mistake that leaves the structure intact (a value without quotes, a repeated key) is reported and the table
/// returned, so that the rest is checked at once; after any other the table would only cause misleading errors.
pub(super) fn table<'i>(text: &'i str, log: &Log<'_>) -> Read<DeTable<'i>> {
    let (table, mistakes) = DeTable::parse_recoverable(text);
    let mut result = Ok(table.into_inner());
    for mistake in mistakes {
        let (what, span) = (mistake.message(), mistake.span().unwrap_or_default());
        let seen = text.get(span.clone()).unwrap_or_default();
        if what.starts_with("duplicate key") {
            let help =
                "keep one of them; what may be repeated begins with [[service]] or [[service.backend]]";
            log.add_sole(span.start, format!("`{}` is given twice", shown(seen)), help);
        } else if BARE_WORD.iter().any(|beginning| what.starts_with(beginning)) {
            bare_word(text, span, log);
        } else {
            let seen = if seen.trim().is_empty() { String::new() } else { format!(" at {}", quoted(seen)) };
            let help =
                "correct this first; keys and values are checked once the file is TOML (https://toml.io)";
            result = Err(log.add(span.start, format!("not TOML{seen}: {what}"), help));
        }
    }
    result
}

/// Reports the bare word that `span` is in or is all of.
fn bare_word(text: &str, span: Range<usize>, log: &Log<'_>) {
    let (before, after) = text.split_at_checked(span.start).unwrap_or((text, ""));
    let delimits = |c: char| c.is_whitespace() || "=,[]{}#\"'".contains(c);
    let start = before.trim_end_matches(|c| !delimits(c)).len();
    let end = span.start + after.find(delimits).unwrap_or(after.len());
    let word = text.get(start..end.max(span.end)).unwrap_or_default();
    if word.is_empty() {
        log.add_sole(start, "a value is missing", "write one after the `=`");
    } else {
        let help = format!("text is written in quotes: {}; numbers, true and false without", quoted(word));
        log.add_sole(start, format!("{} is not a value", shown(word)), help);
    }
}
