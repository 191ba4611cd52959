//! `bpf-linker`: reads what the BPF toolchain's LLVM wrote, so its own LLVM must not be older.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::apt::Apt;
use super::toolchain::Toolchain;
use super::{find_program, first_line, install_by};
use crate::shell;

/// The version that is installed; older ones know older LLVMs only.
const VERSION: Version = (0, 13);
const EXACT_VERSION: &str = "0.13.0";
/// The LLVMs it can be built with: its features `llvm-NN`.
const LLVMS: [u32; 3] = [21, 22, 23];

type Version = (u32, u32);

/// What linker there is, if it can read what LLVM `written_by` (its major version) writes; any will do for `None`.
pub(super) fn find(written_by: Option<u32>) -> Result<String, String> {
    let file = find_program("bpf-linker")?;
    let line = first_line(Command::new(&file).arg("--version"))?;
    let version = parse_version(&line).ok_or_else(|| format!("`bpf-linker --version` says \"{line}\""))?;
    if version < VERSION {
        return Err(format!("{line} is older than {EXACT_VERSION}"));
    }
    match (own_llvm(&file), written_by) {
        (Some(own), Some(other)) if own < other => {
            Err(format!("{line} has LLVM {own}, and the BPF toolchain writes LLVM {other}"))
        }
        (Some(own), _) => Ok(format!("{line}, LLVM {own}")),
        // The published binaries contain the newest LLVM of their time.
        (None, _) => Ok(format!("{line}, LLVM built in")),
    }
}

/// Whether a linker for LLVM `llvm` is there or could be installed.
pub(super) fn obtainable(apt: &Apt, llvm: u32) -> bool {
    find(Some(llvm)).is_ok() || choose_llvm(apt, llvm).is_some() || find_program("cargo-binstall").is_ok()
}

/// Installs a linker for what `toolchain` writes.
pub(super) fn install(apt: &Apt, toolchain: &Toolchain) -> anyhow::Result<()> {
    if let Some(llvm) = choose_llvm(apt, toolchain.llvm) {
        if !development_files(llvm) {
            apt.install("bpf-linker", &[&format!("llvm-{llvm}-dev")])?;
        }
        let mut cargo = Command::new("cargo");
        cargo.args(["install", "bpf-linker", "--version", EXACT_VERSION, "--locked", "--force"]);
        cargo.args(["--no-default-features", "--features", &format!("llvm-{llvm}")]);
        // Its build script looks for LLVM in the usual folders only.
        return install_by("bpf-linker", cargo.env("LLVM_PREFIX", prefix(llvm)));
    }
    if find_program("cargo-binstall").is_ok() {
        let package = format!("bpf-linker@{EXACT_VERSION}");
        return install_by(
            "bpf-linker",
            Command::new("cargo").args(["binstall", "--no-confirm", "--force", &package]),
        );
    }
    anyhow::bail!(
        "{toolchain} needs a linker with LLVM {llvm} or newer, and there is no package llvm-{llvm}-dev here. Either \
         install the published binary: `cargo install cargo-binstall && cargo binstall bpf-linker@{EXACT_VERSION}`; or \
         take Debian's toolchain: `FASTSWITCH_BPF_TOOLCHAIN=fastswitch-bpf cargo xtask setup`",
        llvm = toolchain.llvm
    )
}

/// The oldest LLVM that reads what LLVM `written_by` writes and can be had: installed ones first.
fn choose_llvm(apt: &Apt, written_by: u32) -> Option<u32> {
    let fit = || LLVMS.into_iter().filter(move |llvm| *llvm >= written_by);
    fit()
        .find(|llvm| development_files(*llvm))
        .or_else(|| fit().find(|llvm| apt.offers(&[&format!("llvm-{llvm}-dev")])))
}

/// Where Debian's packages put an LLVM.
fn prefix(llvm: u32) -> PathBuf {
    format!("/usr/lib/llvm-{llvm}").into()
}

fn development_files(llvm: u32) -> bool {
    prefix(llvm).join("lib/libLLVM.so").exists() && prefix(llvm).join("bin/llvm-config").exists()
}

/// The major version of the LLVM library that `linker` loads; `None` when it has LLVM built in.
fn own_llvm(linker: &Path) -> Option<u32> {
    let output = shell::run(Command::new("ldd").arg(linker)).ok()?;
    parse_loaded_llvm(&String::from_utf8_lossy(&output.stdout))
}

/// From the output of `ldd`, as in `libLLVM.so.22.1 => /usr/lib/..`; earlier ones are named `libLLVM-17.so.1`.
fn parse_loaded_llvm(ldd: &str) -> Option<u32> {
    let name = ldd.lines().find_map(|line| line.trim().strip_prefix("libLLVM"))?;
    name.trim_start_matches(['.', '-', 's', 'o']).split(['.', '-', ' ']).next()?.parse().ok()
}

/// Major and minor, as in `bpf-linker 0.13.0`.
fn parse_version(line: &str) -> Option<Version> {
    let mut numbers = line.split_whitespace().nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn llvm_of_a_dynamic_linker() {
        let ldd = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibLLVM.so.22.1 => /usr/lib/llvm-22/lib/libLLVM.so.22.1 (0x0)\n";
        assert_eq!(parse_loaded_llvm(ldd), Some(22));
        assert_eq!(parse_loaded_llvm("\tlibLLVM-17.so.1 => /lib/libLLVM-17.so.1 (0x0)"), Some(17));
        assert_eq!(parse_loaded_llvm("\tlibLLVM.so.22.1-rust-1.95.0-stable => not found"), Some(22));
    }

    #[test]
    fn llvm_of_a_static_linker() {
        assert_eq!(parse_loaded_llvm("\tstatically linked\n"), None);
        assert_eq!(parse_loaded_llvm("\tlibc.so.6 => /lib/libc.so.6 (0x0)\n"), None);
    }

    #[test]
    fn versions() {
        assert_eq!(parse_version("bpf-linker 0.13.0"), Some((0, 13)));
        assert_eq!(parse_version("bpf-linker 0.9.15"), Some((0, 9)));
        assert!(parse_version("bpf-linker 0.9.15") < Some(VERSION));
        assert_eq!(parse_version("bpf-linker"), None);
    }
}
