//! Text for people, on a terminal of the usual width.

use crate::control::wire::Service;
use crate::telemetry::reasons::{Explained, explain};
use fastswitch_common::reason::Reason;

/// Columns of a terminal.
pub(super) const WIDTH: usize = 80;

/// VIP and port, the VIP in brackets if it has colons itself.
pub(super) fn endpoint(service: &Service) -> String {
    let (vip, port) = (&service.vip, service.port);
    if vip.contains(':') { format!("[{vip}]:{port}") } else { format!("{vip}:{port}") }
}

/// `text` in lines of at most `width` columns, as far as its words allow.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let Some(line) = lines.last_mut() else { break };
        let len = line.chars().count();
        if len > 0 && len + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if len > 0 {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

/// Every reason that packets are counted under, as the documentation explains it.
pub(super) fn reasons() -> String {
    const INDENT: &str = "    ";
    let mut text = "Reasons that packets are counted under (docs/reasons.md):\n".to_owned();
    for reason in Reason::ALL {
        let Explained { meaning, happens, advice } = explain(*reason);
        let said = format!("{meaning}. What happens: {happens}. What to do: {advice}");
        text.push_str(&format!("  {}\n", reason.name()));
        for line in wrapped(&said, WIDTH - INDENT.len()) {
            text.push_str(&format!("{INDENT}{line}\n"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_kept_whole() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("one extraordinarily long", 7), ["one", "extraordinarily", "long"]);
        assert_eq!(wrapped("", 7), [""]);
    }
}
