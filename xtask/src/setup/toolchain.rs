//! The Rust toolchain that compiles the XDP program: which one it is, and the two ways to get one.
//!
//! - The ordinary way: a nightly with rust-src, which builds `core` for the BPF target along with the program.
//! - Debian's way, where that cannot be had: its packages ship `core` built for the BPF target, and rustup calls them
//!   `fastswitch-bpf`.
//!
//! The build script of `fastswitch` chooses by the same rule: what `FASTSWITCH_BPF_TOOLCHAIN` names, else
//! `fastswitch-bpf` if there is one, else `nightly`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use super::apt::Apt;
use super::{install_by, linker, report};
use crate::shell;

/// The environment variable that names the toolchain.
const OVERRIDE: &str = "FASTSWITCH_BPF_TOOLCHAIN";
/// What rustup calls Debian's toolchain.
const LINKED: &str = "fastswitch-bpf";
/// Where Debian's toolchain lies.
const DEBIAN_SYSROOT: &str = "/usr";
const DEBIAN_PACKAGES: [&str; 3] = ["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"];
const DEBIAN_CLIPPY: &str = "rust-web-clippy";
const TARGET: &str = "bpfel-unknown-none";

/// A toolchain that can compile the XDP program.
#[derive(Debug)]
pub struct Toolchain {
    /// What `rustup run` calls it.
    name: String,
    /// Major version of the LLVM whose bitcode it writes.
    pub(super) llvm: u32,
    version: String,
    sysroot: PathBuf,
}

impl fmt::Display for Toolchain {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}, LLVM {}", self.name, self.version, self.llvm)
    }
}

/// The toolchain that a build would take.
///
/// # Errors
/// When there is none, or it lacks something: what that is.
pub fn find() -> Result<Toolchain, String> {
    match std::env::var(OVERRIDE) {
        Ok(name) => rustc(&name)
            .and_then(|rustc| inspect(&name, rustc))
            .map_err(|missing| format!("{missing} ({OVERRIDE} asks for it)")),
        Err(_) => match rustc(LINKED) {
            // A linked toolchain that has become unusable is still the one that a build takes.
            Ok(rustc) => inspect(LINKED, rustc),
            Err(_) => inspect("nightly", rustc("nightly")?),
        },
    }
}

/// Installs a toolchain: nightly with rust-src if that can be had, else Debian's.
pub(super) fn install(apt: &Apt) -> anyhow::Result<()> {
    match std::env::var(OVERRIDE) {
        Ok(name) if name == LINKED => return install_debian(apt),
        Ok(name) => return install_ordinary(apt, &name),
        Err(_) if rustc(LINKED).is_ok() => return install_debian(apt),
        Err(_) => {}
    }
    let Err(refused) = install_ordinary(apt, "nightly") else { return Ok(()) };
    report("not so", "bpf-toolchain", &format!("{refused:#}; trying Debian's packages"));
    install_debian(apt).context(
        "neither way is open; where rustup reaches its server: \
         `rustup toolchain install nightly --profile minimal --component rust-src,clippy`",
    )
}

/// Installs clippy into `toolchain`: the lints then see the very code that is compiled, for its own target.
pub(super) fn install_clippy(apt: &Apt, toolchain: &Toolchain) -> anyhow::Result<()> {
    if toolchain.sysroot == Path::new(DEBIAN_SYSROOT) {
        return apt.install("bpf-clippy", &[DEBIAN_CLIPPY]);
    }
    let add = ["component", "add", "clippy", "--toolchain", &toolchain.name];
    install_by("bpf-clippy", rustup().args(add))
}

impl Toolchain {
    /// `cargo SUBCOMMAND` of this toolchain, set to the BPF target.
    pub fn cargo(&self, subcommand: &str) -> Command {
        let mut command = rustup();
        command.args(["run", &self.name, "cargo", subcommand, "--target", TARGET]);
        if self.name == LINKED {
            // aya-ebpf uses one unstable feature.
            command.env("RUSTC_BOOTSTRAP", "aya_ebpf");
        } else {
            command.args(["-Z", "build-std=core"]);
        }
        command
    }

    /// Whether it has clippy.
    pub(super) fn find_clippy(&self) -> Result<String, String> {
        // Not by asking cargo, which would find the one of another toolchain on PATH.
        if ["cargo-clippy", "clippy-driver"].iter().all(|file| self.sysroot.join("bin").join(file).is_file())
        {
            return Ok(format!("clippy of {}", self.name));
        }
        Err(format!("toolchain `{}` has no clippy", self.name))
    }
}

/// A nightly of rustup's; in vain, and so refused, if no linker could read what it writes.
fn install_ordinary(apt: &Apt, name: &str) -> anyhow::Result<()> {
    let mut rustup = rustup();
    if rustc(name).is_ok() {
        rustup.args(["component", "add", "rust-src", "--toolchain", name]);
    } else {
        rustup.args(["toolchain", "install", name, "--profile", "minimal", "--component", "rust-src,clippy"]);
        rustup.arg("--no-self-update");
    }
    // A machine without a way to rustup's server must learn so soon.
    rustup.env("RUSTUP_MAX_RETRIES", "1").env("RUSTUP_DOWNLOAD_TIMEOUT", "30");
    install_by("bpf-toolchain", &mut rustup)?;
    let toolchain = rustc(name).and_then(|rustc| inspect(name, rustc)).map_err(anyhow::Error::msg)?;
    anyhow::ensure!(
        linker::obtainable(apt, toolchain.llvm),
        "no bpf-linker for LLVM {} of toolchain `{name}` can be had here",
        toolchain.llvm
    );
    Ok(())
}

fn install_debian(apt: &Apt) -> anyhow::Result<()> {
    apt.install("bpf-toolchain", &DEBIAN_PACKAGES)?;
    install_by("bpf-toolchain", rustup().args(["toolchain", "link", LINKED, DEBIAN_SYSROOT]))
}

/// What the compiler says of itself.
struct Rustc {
    version: String,
    /// Major version of its LLVM.
    llvm: u32,
}

/// The toolchain called `name`, if a build can use it.
fn inspect(name: &str, rustc: Rustc) -> Result<Toolchain, String> {
    let Rustc { version, llvm } = rustc;
    let sysroot = shell::run(rustup().args(["run", name, "rustc", "--print", "sysroot"]))
        .map(|output| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
        .map_err(|error| format!("{error:#}"))?;
    if name == LINKED {
        if !has_core(&sysroot) {
            return Err(format!("toolchain `{name}` has no `core` for {TARGET}"));
        }
    } else if !version.contains("nightly") {
        return Err(format!("toolchain `{name}` is {version}; only a nightly builds `core` for {TARGET}"));
    } else if !sysroot.join("lib/rustlib/src/rust/library/core/Cargo.toml").is_file() {
        return Err(format!("toolchain `{name}` has no rust-src to build `core` for {TARGET} from"));
    }
    Ok(Toolchain { name: name.to_owned(), llvm, version, sysroot })
}

/// The compiler of the toolchain called `name`.
fn rustc(name: &str) -> Result<Rustc, String> {
    let output = shell::run(rustup().args(["run", name, "rustc", "-vV"]))
        .map_err(|_| format!("there is no toolchain `{name}`"))?;
    Rustc::parse(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| format!("`rustc -vV` of toolchain `{name}` names no LLVM version"))
}

impl Rustc {
    /// From the output of `rustc -vV`.
    fn parse(text: &str) -> Option<Rustc> {
        let version = text.lines().next()?.split(" (").next()?.to_owned();
        let llvm = text.lines().find_map(|line| line.strip_prefix("LLVM version: "))?;
        Some(Rustc { version, llvm: llvm.split('.').next()?.parse().ok()? })
    }
}

fn has_core(sysroot: &Path) -> bool {
    let folder = sysroot.join("lib/rustlib").join(TARGET).join("lib");
    std::fs::read_dir(folder).is_ok_and(|files| {
        files.flatten().any(|file| file.file_name().to_string_lossy().starts_with("libcore-"))
    })
}

/// `rustup`, kept from installing a toolchain only because somebody asks about it.
fn rustup() -> Command {
    let mut command = Command::new("rustup");
    command.env("RUSTUP_AUTO_INSTALL", "0");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_of_rustc() {
        let text = "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)\nbinary: rustc\nLLVM version: 22.1.8\n";
        let rustc = Rustc::parse(text).unwrap();
        assert_eq!((rustc.version.as_str(), rustc.llvm), ("rustc 1.96.0", 22));
        assert!(Rustc::parse("rustc 1.96.0\n").is_none());
        assert!(Rustc::parse("").is_none());
    }

    #[test]
    fn core_is_found_by_its_library() {
        let sysroot = tempfile::tempdir().unwrap();
        assert!(!has_core(sysroot.path()));
        let folder = sysroot.path().join("lib/rustlib").join(TARGET).join("lib");
        std::fs::create_dir_all(&folder).unwrap();
        assert!(!has_core(sysroot.path()));
        std::fs::write(folder.join("libcore-0123456789abcdef.rlib"), "").unwrap();
        assert!(has_core(sysroot.path()));
    }
}
