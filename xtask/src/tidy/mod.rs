//! Holds the source to the rules that keep its parts apart; the rules themselves are in `rules`.
//!
//! Reads text only: it compiles nothing, and leaves to clippy what clippy can see.

mod paths;
mod rules;
mod source;

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use rules::{BANNED, Kind, MOST_LINES, NEEDS, Place, USED_BY, USES};
use source::Source;

/// A place where the tree breaks a rule.
#[derive(Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Finding {
    /// Relative to the top of the tree.
    path: PathBuf,
    line: usize,
    rule: String,
    why: &'static str,
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}: {}", self.path.display(), self.line, self.rule, self.why)
    }
}

/// `cargo xtask tidy`: prints what breaks a rule.
///
/// # Errors
/// When something does, or the tree cannot be read.
pub fn main() -> anyhow::Result<()> {
    let findings = check(crate::workspace())?;
    for finding in &findings {
        eprintln!("{finding}");
    }
    anyhow::ensure!(findings.is_empty(), "{} places break a rule", findings.len());
    Ok(())
}

/// Every place in the tree at `root` that breaks a rule, in the order of paths and lines.
///
/// # Errors
/// When a folder or file cannot be read.
pub fn check(root: &Path) -> anyhow::Result<Vec<Finding>> {
    let mut files = Vec::new();
    walk(root, &mut files)?;
    let mut findings = Vec::new();
    for file in &files {
        let text =
            std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let path = file.strip_prefix(root).unwrap_or(file);
        if file.ends_with("Cargo.toml") {
            check_manifest(path, &text, &mut findings);
        } else {
            File::new(path, &text).check(&mut findings);
        }
    }
    findings.sort();
    Ok(findings)
}

/// Collects sources and manifests; hidden folders and build output are not part of the tree.
fn walk(folder: &Path, files: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    for entry in entries {
        let path = entry.with_context(|| format!("cannot read {}", folder.display()))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                walk(&path, files)?;
            }
        } else if name.ends_with(".rs") || name == "Cargo.toml" {
            files.push(path);
        }
    }
    Ok(())
}

/// A source file, with what the rules ask of it.
struct File<'a> {
    path: &'a Path,
    text: &'a str,
    source: Source,
    /// The module of `fastswitch/src` that it belongs to; `lib` and `main` are modules here too.
    module: Option<String>,
    /// Whether it is compiled for tests only.
    test: bool,
}

impl<'a> File<'a> {
    fn new(path: &'a Path, text: &'a str) -> File<'a> {
        let module = path
            .strip_prefix("fastswitch/src")
            .ok()
            .and_then(|inner| inner.components().next())
            .map(|first| first.as_os_str().to_string_lossy().trim_end_matches(".rs").to_owned());
        let test = path.components().any(|part| part.as_os_str() == "tests")
            || path.file_stem().is_some_and(|stem| stem == "tests");
        File { path, text, source: Source::parse(text), module, test }
    }

    fn check(&self, findings: &mut Vec<Finding>) {
        let lines = self.text.lines().count();
        if lines > MOST_LINES {
            let why = "a file has one purpose; find where it comes apart";
            findings.push(self.finding(lines, format!("{lines} lines, more than {MOST_LINES}"), why));
        }
        if !self.text.starts_with("//!") {
            let why = "a reader learns first what a file owns and what it refuses to do";
            findings.push(self.finding(1, "no `//!` at the top".to_owned(), why));
        }
        self.check_banned(findings);
        if let Some(module) = &self.module
            && !self.test
        {
            self.check_module(module, findings);
        }
    }

    fn check_banned(&self, findings: &mut Vec<Finding>) {
        for rule in BANNED {
            let text = match rule.place {
                Place::Program if self.test => continue,
                Place::Program => &self.source.program,
                Place::AnyCode => &self.source.code,
                Place::Comment => &self.source.comments,
            };
            let module = self.path.with_extension("");
            if !rule.within.is_empty() && !rule.within.iter().any(|folder| module.starts_with(folder)) {
                continue;
            }
            for (at, _) in text.match_indices(rule.text) {
                findings.push(self.finding(line_of(text, at), format!("`{}`", rule.text), rule.why));
            }
        }
    }

    /// The dependency rules between the modules of `fastswitch/src`.
    fn check_module(&self, module: &str, findings: &mut Vec<Finding>) {
        let code = &self.source.program;
        for (at, used) in paths::modules(code, self.depth()).into_iter().filter(|(_, used)| *used != module) {
            let uses = USES.iter().filter(|rule| rule.module == module && !rule.only.contains(&used));
            let used_by = used_by(Kind::Module, module).filter(|rule| rule.name == used);
            for why in uses.map(|rule| rule.why).chain(used_by.map(|rule| rule.why)).take(1) {
                findings.push(self.finding(line_of(code, at), format!("`{module}` uses `{used}`"), why));
            }
        }
        for rule in used_by(Kind::Package, module) {
            for at in paths::package(code, rule.name) {
                let text = format!("`{module}` uses the package `{}`", rule.name);
                findings.push(self.finding(line_of(code, at), text, rule.why));
            }
        }
    }

    /// How many modules deep in the package it lies.
    fn depth(&self) -> usize {
        let folders = self.path.components().count() - "fastswitch/src/".split('/').count();
        if self.path.ends_with("mod.rs") { folders } else { folders + 1 }
    }

    fn finding(&self, line: usize, rule: String, why: &'static str) -> Finding {
        Finding { path: self.path.to_owned(), line, rule, why }
    }
}

/// Rules that keep `module` from using something.
fn used_by(kind: Kind, module: &str) -> impl Iterator<Item = &'static rules::UsedBy> {
    USED_BY
        .iter()
        .filter(move |rule| rule.kind == kind && rule.name != module && !rule.only.contains(&module))
}

/// The line, counted from 1, of the byte at `at`.
fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

/// Holds a manifest to what its package may need.
fn check_manifest(path: &Path, text: &str, findings: &mut Vec<Finding>) {
    let package = path.parent().unwrap_or(path);
    let Some(rule) = NEEDS.iter().find(|rule| package == Path::new(rule.package)) else { return };
    let mut in_dependencies = false;
    for (index, line) in text.lines().enumerate() {
        let mut entry = line.trim();
        if let Some(section) = entry.strip_prefix('[') {
            // Either `[dependencies]`, entries follow, or `[dependencies.name]`.
            in_dependencies = section.contains("dependencies");
            entry = section.rsplit_once("dependencies.").map_or("", |(_, name)| name);
        }
        let name = entry.split(['=', '.', ' ', ']']).next().unwrap_or_default();
        let ours = name == "xtask" || name.starts_with("fastswitch");
        if in_dependencies && ours && !rule.only.contains(&name) {
            let text = format!("`{}` depends on `{name}`", rule.package);
            findings.push(Finding { path: path.to_owned(), line: index + 1, rule: text, why: rule.why });
        }
    }
}

#[cfg(test)]
mod tests;
