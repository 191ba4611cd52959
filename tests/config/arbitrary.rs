//! Whatever the text, the answer is a valid configuration or errors with their places.

use std::time::Duration;

use fastswitch::config::parse;
use fastswitch::machine::spec::{Mode, Service, Spec, Tier};
use proptest::prelude::*;

use super::{COMMENTED, MINIMAL};

/// What [`Spec`] promises.
fn assert_valid(spec: &Spec) {
    assert!(!spec.gateway.interfaces.is_empty() && !spec.services.is_empty());
    for service in &spec.services {
        assert!(service.port != 0 && (1..=16).contains(&service.backends.len()));
        assert_eq!(service.backends[0].tier, Tier::Hot);
        for backend in &service.backends {
            assert_eq!(backend.tier != Tier::Hot, backend.start.is_some());
            assert!(backend.start.is_some() || backend.stop.is_none());
            assert!(backend.address.port() != 0 && backend.heartbeat.port != 0);
            assert!(backend.heartbeat.interval >= Duration::from_millis(1));
            assert!(spec.services.iter().all(|other| other.vip != backend.address.ip()));
            assert_eq!(backend.address.is_ipv4(), service.vip.is_ipv4());
            assert!(service.mode == Mode::Nat || backend.address.port() == service.port);
            for script in backend.start.iter().chain(&backend.stop) {
                assert!(script.command[0].starts_with('/'));
            }
        }
        let same = |other: &&Service| {
            other.name == service.name
                || (other.vip, other.port, other.protocol) == (service.vip, service.port, service.protocol)
        };
        assert_eq!(spec.services.iter().filter(same).count(), 1);
    }
}

/// Any text gives a valid configuration, or errors that lie within it, in order.
fn assert_sane(text: &str) {
    match parse(text, "test.toml") {
        Ok(spec) => assert_valid(&spec),
        Err(errors) => {
            let places: Vec<_> = errors.list().iter().map(|error| (error.line, error.column)).collect();
            assert!(!places.is_empty() && places.is_sorted(), "{errors}");
            let lines = text.split('\n').count();
            assert!(
                places.iter().all(|(line, _)| line.is_some_and(|line| (1..=lines).contains(&line))),
                "{errors}"
            );
            assert!(errors.list().iter().all(|error| !error.message.is_empty() && !error.help.is_empty()));
        }
    }
}

/// A slip of the hand: where, in thousandths of the text, and what.
#[derive(Debug, Clone)]
enum Slip {
    Insert(usize, String),
    Delete(usize, usize),
    RepeatLine(usize),
    SwapLines(usize, usize),
    ReplaceValue(usize, String),
}

/// Values in the wrong place.
const VALUES: &[&str] = &[
    "1",
    "-1",
    "0",
    "\"\"",
    "true",
    "[]",
    "{}",
    "1.5",
    "[[], {}]",
    "\"/\"",
    "\"10.0.0.1:1\"",
    "\"[fd00::1]:1\"",
    "\"fd00::2\"",
    "\"dsr\"",
    "1979-05-27",
    "nan",
    "\"cold\"",
    "\"1ms\"",
    "\"hot\"",
    "0x7fffffffffffffffffff",
    "\"udp\"",
    "\"é\"",
];

fn slip() -> impl Strategy<Value = Slip> {
    let place = 0..1000usize;
    let value = prop::sample::select(VALUES);
    prop_oneof![
        (place.clone(), "[\\[\\]={}\",.#\n a-zé0-9]{1,3}").prop_map(|(at, text)| Slip::Insert(at, text)),
        (place.clone(), 1..30usize).prop_map(|(at, length)| Slip::Delete(at, length)),
        place.clone().prop_map(Slip::RepeatLine),
        (place.clone(), place.clone()).prop_map(|(one, other)| Slip::SwapLines(one, other)),
        (place, value).prop_map(|(at, value)| Slip::ReplaceValue(at, value.to_owned())),
    ]
}

fn apply(text: &str, slip: &Slip) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let line = |place: &usize| place * lines.len() / 1000;
    match slip {
        Slip::Insert(at, inserted) => {
            let mut chars: Vec<char> = text.chars().collect();
            let at = at * chars.len() / 1000;
            chars.splice(at..at, inserted.chars());
            return chars.into_iter().collect();
        }
        Slip::Delete(at, length) => {
            let chars = text.chars().count();
            let at = at * chars / 1000;
            return text.chars().take(at).chain(text.chars().skip(at + length)).collect();
        }
        _ if lines.is_empty() => {}
        Slip::RepeatLine(at) => {
            let at = line(at);
            lines.insert(at, lines[at].clone());
        }
        Slip::SwapLines(one, other) => {
            let (one, other) = (line(one), line(other));
            lines.swap(one, other);
        }
        Slip::ReplaceValue(at, value) => {
            let at = line(at);
            if let Some((key, _)) = lines[at].split_once('=') {
                lines[at] = format!("{key}= {value}");
            }
        }
    }
    lines.join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        assert_sane(&text);
    }

    #[test]
    fn any_toml_like_text_is_answered(text in "([a-z]{1,4}|service|backend|[\\[\\]={}\",.\n '0-9-]){0,60}") {
        assert_sane(&text);
    }

    #[test]
    fn a_mutilated_configuration_is_answered(
        commented in any::<bool>(),
        slips in prop::collection::vec(slip(), 1..6),
    ) {
        let text = if commented { COMMENTED } else { MINIMAL };
        assert_sane(&slips.iter().fold(text.to_owned(), |text, slip| apply(&text, slip)));
    }
}
