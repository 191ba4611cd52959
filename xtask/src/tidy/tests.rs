//! The rules on small trees that break them.

use super::*;

/// The findings in a tree of these files, one line each.
fn findings(files: &[(&str, &str)]) -> Vec<String> {
    let root = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let file = root.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    check(root.path()).unwrap().iter().map(Finding::to_string).collect()
}

/// Asserts that a tree of one file breaks exactly one rule, and where.
#[track_caller]
fn assert_breaks(path: &str, text: &str, expected: &str) {
    let found = findings(&[(path, text)]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with(expected), "{}", found[0]);
}

#[track_caller]
fn assert_holds(path: &str, text: &str) {
    assert_eq!(findings(&[(path, text)]), [""; 0]);
}

#[test]
fn this_tree_holds_them() {
    let found = check(crate::workspace()).unwrap();
    assert!(found.is_empty(), "{}", found.iter().map(|finding| format!("{finding}\n")).collect::<String>());
}

#[test]
fn parts_do_not_know_each_other() {
    let text = "//! Probes.\nuse crate::machine::Health;\nuse crate::runner::Script;\n";
    let expected = "fastswitch/src/probe/http.rs:3: `probe` uses `runner`: the parts";
    assert_breaks("fastswitch/src/probe/http.rs", text, expected);
    assert_breaks("fastswitch/src/probe.rs", text, "fastswitch/src/probe.rs:3: `probe` uses `runner`");
}

#[test]
fn a_way_around_by_super_is_seen() {
    let expected = "fastswitch/src/machine/mod.rs:2: `machine` uses `config`: decisions";
    assert_breaks("fastswitch/src/machine/mod.rs", "//! Core.\nuse super::config;\n", expected);
    assert_holds("fastswitch/src/machine/health.rs", "//! Health.\nuse super::config;\n");
}

#[test]
fn only_the_engine_sees_the_parts() {
    let text = "//! Who.\nfn main() {\n    crate::probe::start();\n}\n";
    assert_breaks("fastswitch/src/cli/run.rs", text, "fastswitch/src/cli/run.rs:3: `cli` uses `probe`");
    assert_holds("fastswitch/src/engine/mod.rs", text);
    assert_holds("fastswitch/src/cli/status.rs", "//! Who.\nuse crate::dataplane::Maps;\n");
}

#[test]
fn only_the_data_plane_names_aya() {
    let text = "//! Who.\nuse aya::maps::Array;\n";
    let expected = "fastswitch/src/engine.rs:2: `engine` uses the package `aya`";
    assert_breaks("fastswitch/src/engine.rs", text, expected);
    assert_holds("fastswitch/src/dataplane/maps.rs", text);
}

#[test]
fn comments_literals_and_tests_are_free() {
    let text = "//! Not `crate::probe`.\nconst A: &str = \"crate::net\";\n#[cfg(test)]\nmod tests {\n    use crate::config;\n}\n";
    assert_holds("fastswitch/src/machine/mod.rs", text);
    assert_holds("fastswitch/src/machine/tests.rs", "//! Tests.\nuse crate::config;\n");
}

#[test]
fn the_core_has_no_clock() {
    let text = "//! Core.\nfn now() {\n    std::time::Instant::now();\n}\n";
    let expected = "fastswitch/src/machine.rs:3: `Instant::now`: time is an input";
    assert_breaks("fastswitch/src/machine.rs", text, expected);
    assert_breaks("fastswitch/src/config/raw.rs", text, "fastswitch/src/config/raw.rs:3: `Instant::now`");
    assert_holds("fastswitch/src/engine.rs", text);
}

#[test]
fn nothing_is_left_open_or_ignored() {
    assert_breaks("xtask/src/a.rs", "//! A.\n// TODO: more.\n", "xtask/src/a.rs:2: `TODO`");
    assert_breaks("xtask/src/a.rs", "//! A.\nfn a() {\n    todo!()\n}\n", "xtask/src/a.rs:3: `todo!`");
    let ignored = "//! A.\n#[cfg(test)]\nmod tests {\n    #[ignore]\n    fn a() {}\n}\n";
    assert_breaks("fastswitch/src/a.rs", ignored, "fastswitch/src/a.rs:4: `#[ignore`");
    assert_breaks("tests/a.rs", "//! A.\n#[ignore = \"slow\"]\nfn a() {}\n", "tests/a.rs:2: `#[ignore`");
}

#[test]
fn files_are_small_and_say_what_they_are() {
    let long = format!("//! Long.\n{}", "\n".repeat(500));
    assert_breaks("xtask/src/a.rs", &long, "xtask/src/a.rs:501: 501 lines, more than 500");
    assert_breaks("xtask/src/a.rs", "fn a() {}\n", "xtask/src/a.rs:1: no `//!`");
}

#[test]
fn packages_need_only_what_they_may() {
    let manifest = |section: &str, name: &str| {
        format!("[package]\nname = \"x\"\n\n[{section}]\n{name}.workspace = true\n")
    };
    let breaks = |package: &str, text: &str, expected: &str| {
        assert_breaks(&format!("{package}/Cargo.toml"), text, &format!("{package}/Cargo.toml:{expected}"));
    };
    breaks("xtask", &manifest("dependencies", "fastswitch"), "5: `xtask` depends on `fastswitch`");
    breaks("xtask", &manifest("dev-dependencies", "fastswitch"), "5: `xtask` depends");
    breaks("xtask", "[dependencies.fastswitch]\npath = \"..\"\n", "1: `xtask` depends on `fastswitch`");
    breaks("fastswitch-ebpf", &manifest("dependencies", "fastswitch"), "5: `fastswitch-ebpf` depends");
    assert_holds("fastswitch-ebpf/Cargo.toml", &manifest("dependencies", "fastswitch-common"));
    assert_holds("fastswitch/Cargo.toml", &manifest("dependencies", "fastswitch-common"));
}

#[test]
fn build_output_and_hidden_folders_are_no_source() {
    let files =
        [("target/debug/build/x.rs", "fn a() {}"), (".hidden/x.rs", "fn a() {}"), ("notes.txt", "TODO")];
    assert_eq!(findings(&files), [""; 0]);
}
