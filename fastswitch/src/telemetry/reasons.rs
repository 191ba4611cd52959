//! What people need to know about a reason that packets are counted under: as the documentation says it, so that
//! there is one place to say it.

use fastswitch_common::reason::Reason;

const DOCUMENTATION: &str = include_str!("../../../docs/reasons.md");

/// What is known of a reason, in words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Explained {
    /// What it means.
    pub meaning: &'static str,
    /// What happens to a packet.
    pub happens: &'static str,
    /// What to do about it; `nothing`, or what to look at first.
    pub advice: &'static str,
}

/// What the documentation says.
#[must_use]
pub fn explain(reason: Reason) -> Explained {
    let named = |row: &[&str]| row.first().is_some_and(|name| name.trim_matches('`') == reason.name());
    let rows = DOCUMENTATION.lines().filter(|line| line.starts_with('|'));
    let cells = |line: &'static str| line.trim_matches('|').split(" | ").map(str::trim).collect::<Vec<_>>();
    let row = rows.map(cells).find(|row| named(row));
    match row.as_deref() {
        Some([_, meaning, happens, advice]) => Explained { meaning, happens, advice },
        // Cannot be: the test below has looked at each.
        _ => Explained::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_explains_every_reason_and_no_other() {
        for reason in Reason::ALL {
            let Explained { meaning, happens, advice } = explain(*reason);
            let said = [meaning, happens, advice].iter().all(|text| !text.is_empty());
            assert!(said, "docs/reasons.md has no row of four cells for `{}`", reason.name());
        }
        let rows = DOCUMENTATION.lines().filter(|line| line.starts_with("| `")).count();
        assert_eq!(rows, Reason::ALL.len(), "docs/reasons.md has a reason that there is not, or one twice");
    }

    #[test]
    fn a_fate_is_told_as_it_is() {
        use fastswitch_common::reason::Fate;
        for reason in Reason::ALL {
            let word = match reason.fate() {
                Fate::Pass => "left to the kernel",
                Fate::Drop | Fate::Abort => "dropped",
                Fate::Forward | Fate::Reply => "sent",
                Fate::Answer => "answered",
            };
            let happens = explain(*reason).happens;
            assert!(happens.starts_with(word), "`{}`: {happens}", reason.name());
        }
    }
}
