//! The rules, as tables: what holds where, and why. `mod.rs` applies them.

/// Which of our own modules a module of `fastswitch/src` may use.
pub(super) struct Uses {
    pub(super) module: &'static str,
    pub(super) only: &'static [&'static str],
    pub(super) why: &'static str,
}

/// By which modules of `fastswitch/src` a module, or a dependency, may be used.
pub(super) struct UsedBy {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) only: &'static [&'static str],
    pub(super) why: &'static str,
}

#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Kind {
    /// A module of ours, as in `crate::name`.
    Module,
    /// Another package, as in `name::`.
    Package,
}

/// Which of our packages a package's manifest may name.
pub(super) struct Needs {
    pub(super) package: &'static str,
    pub(super) only: &'static [&'static str],
    pub(super) why: &'static str,
}

/// A text that must not appear.
pub(super) struct Banned {
    pub(super) text: &'static str,
    pub(super) place: Place,
    /// Folders (or files without `.rs`) it is banned from; empty for everywhere.
    pub(super) within: &'static [&'static str],
    pub(super) why: &'static str,
}

#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Place {
    /// Code that is part of the program.
    Program,
    /// Code of the program and of tests.
    AnyCode,
    Comment,
}

const PARTS_WHY: &str =
    "the parts that act on the world know the machine's words and not each other: the engine joins them";

pub(super) const USES: &[Uses] = &[
    Uses { module: "machine", only: &[], why: "decisions are a pure function of their inputs" },
    Uses {
        module: "config",
        only: &["machine"],
        why: "a configuration can be checked without anything running",
    },
    Uses { module: "dataplane", only: &["machine"], why: PARTS_WHY },
    Uses { module: "net", only: &["machine"], why: PARTS_WHY },
    Uses { module: "probe", only: &["machine"], why: PARTS_WHY },
    Uses { module: "runner", only: &["machine"], why: PARTS_WHY },
    Uses { module: "api", only: &["control", "machine"], why: "interfaces speak through the wire types" },
];

pub(super) const USED_BY: &[UsedBy] = &[
    module("net", &["engine", "trace"]),
    module("probe", &["engine"]),
    module("runner", &["engine"]),
    UsedBy {
        name: "dataplane",
        kind: Kind::Module,
        only: &["engine", "offline", "cli", "trace"],
        why: "the maps have one writer: the engine, or a command while there is none; `trace` only reads",
    },
    package("aya", &["dataplane"], "only the data plane loads programs and writes maps"),
    package("aya_log", &["dataplane"], "only the data plane loads programs and writes maps"),
    package("memmap2", &["dataplane"], "only the data plane writes maps"),
];

pub(super) const NEEDS: &[Needs] = &[
    Needs { package: "fastswitch-common", only: &[], why: "kernel and daemon both build on it" },
    Needs { package: "fastswitch-ebpf", only: &["fastswitch-common"], why: "it runs in the kernel" },
    Needs { package: "fastswitch-screen", only: &[], why: "the daemon and xtask both build on it" },
    Needs {
        package: "xtask",
        only: &["fastswitch-screen"],
        why: "it must build where the BPF toolchain is still missing",
    },
];

pub(super) const BANNED: &[Banned] = &[
    Banned { within: PURE, ..program("Instant::now", "time is an input here") },
    Banned { within: PURE, ..program("SystemTime::now", "time is an input here") },
    Banned { within: PURE, ..program("HashMap", "its order differs from run to run; use BTreeMap") },
    Banned { within: PURE, ..program("std::fs", "nothing here touches the world") },
    Banned { within: PURE, ..program("std::process", "nothing here touches the world") },
    Banned { within: PURE, ..program("std::thread", "nothing here touches the world") },
    Banned {
        within: &["fastswitch/src/config"],
        ..program("Instant::now", "a configuration means the same at all times")
    },
    Banned {
        within: &["fastswitch/src/config"],
        ..program("SystemTime::now", "a configuration means the same at all times")
    },
    program("todo!", "what is not there yet is not claimed"),
    program("unimplemented!", "what is not there yet is not claimed"),
    Banned {
        place: Place::AnyCode,
        ..program(
            "#[ignore",
            "a test that nobody runs says nothing; one that lacks privilege reports itself as skipped",
        )
    },
    Banned { place: Place::Comment, ..program("TODO", "open work belongs into the issues") },
    Banned { place: Place::Comment, ..program("FIXME", "open work belongs into the issues") },
];

/// Lines that a source file may have.
pub(super) const MOST_LINES: usize = 500;

const PURE: &[&str] = &["fastswitch/src/machine"];

const fn module(name: &'static str, only: &'static [&'static str]) -> UsedBy {
    UsedBy { name, kind: Kind::Module, only, why: PARTS_WHY }
}

const fn package(name: &'static str, only: &'static [&'static str], why: &'static str) -> UsedBy {
    UsedBy { name, kind: Kind::Package, only, why }
}

const fn program(text: &'static str, why: &'static str) -> Banned {
    Banned { text, place: Place::Program, within: &[], why }
}
