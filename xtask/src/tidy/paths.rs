//! Finds what a piece of code (comments and literals already blank) names: modules of its own package, and packages.

/// The package's modules that `code` names, with where; `depth` says how many modules deep in the package it lies.
pub(super) fn modules(code: &str, depth: usize) -> Vec<(usize, &str)> {
    let up = "super::".repeat(depth);
    let starts = ["crate::", &up].map(|prefix| {
        let whole = |at: &usize| !code[..*at].ends_with(is_path);
        let after: Vec<usize> =
            code.match_indices(prefix).map(|(at, _)| at).filter(whole).map(|at| at + prefix.len()).collect();
        after
    });
    starts.into_iter().flatten().flat_map(|start| first_names(code, start)).collect()
}

/// Where `code` names the package `name`.
pub(super) fn package(code: &str, name: &str) -> Vec<usize> {
    let named = |at: usize| {
        let (before, after) = (&code[..at], &code[at + name.len()..]);
        let in_a_path = before.strip_suffix("::").unwrap_or(before).ends_with(is_name);
        let imported =
            before.trim_end_matches(':').trim_end().ends_with("use") && !after.starts_with(is_name);
        !in_a_path && (after.starts_with("::") || imported)
    };
    code.match_indices(name).map(|(at, _)| at).filter(|at| named(*at)).collect()
}

/// The name at `start`, or the first names of the paths of the group `{a::b, c}` there.
fn first_names(code: &str, start: usize) -> Vec<(usize, &str)> {
    let Some(group) = code[start..].strip_prefix('{') else {
        return name_at(code, start).into_iter().collect();
    };
    let mut names = Vec::new();
    let mut expected = true;
    let mut depth = 1;
    for (offset, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => expected = true,
            _ if expected && is_name(character) => {
                names.extend(name_at(code, start + 1 + offset));
                expected = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names
}

fn name_at(code: &str, start: usize) -> Option<(usize, &str)> {
    let rest = &code[start..];
    let name = &rest[..rest.find(|character| !is_name(character)).unwrap_or(rest.len())];
    (!name.is_empty() && name != "super").then_some((start, name))
}

fn is_name(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn is_path(character: char) -> bool {
    is_name(character) || character == ':'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(code: &str, depth: usize) -> Vec<&str> {
        modules(code, depth).into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn single_paths() {
        assert_eq!(names("use crate::machine::Spec; crate::net::go()", 1), ["machine", "net"]);
        assert_eq!(names("pub(crate) fn f(a: my_crate::b::C) {}", 1), [""; 0]);
    }

    #[test]
    fn groups() {
        assert_eq!(
            names("use crate::{\n    config::{self, raw},\n    net,\n};\nuse std::io;", 1),
            ["config", "net"]
        );
    }

    #[test]
    fn paths_upwards() {
        assert_eq!(names("use super::probe;", 1), ["probe"]);
        assert_eq!(names("use super::probe;", 2), [""; 0]);
        assert_eq!(names("use super::super::probe;", 2), ["probe"]);
    }

    #[test]
    fn packages() {
        assert_eq!(package("use aya::maps; aya::Ebpf::load(x); use ::aya;", "aya").len(), 3);
        assert_eq!(package("use aya;\nuse {x, aya::y};", "aya").len(), 2);
        assert_eq!(package("use aya_log::X; crate::aya::x(); let aya = 1; naya::z()", "aya"), [0; 0]);
    }
}
