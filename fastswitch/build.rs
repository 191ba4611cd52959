//! Builds the XDP program from source; `dataplane` embeds the object.

use anyhow::Context as _;

/// Name of a linked toolchain that has `core` for the BPF target; `cargo xtask setup` makes it where no nightly
/// with rust-src is to be had.
const LINKED_TOOLCHAIN: &str = "fastswitch-bpf";

fn main() -> anyhow::Result<()> {
    println!("cargo:rerun-if-env-changed=FASTSWITCH_BPF_TOOLCHAIN");
    let toolchain =
        std::env::var("FASTSWITCH_BPF_TOOLCHAIN").unwrap_or_else(|_| default_toolchain().to_owned());
    if toolchain == LINKED_TOOLCHAIN {
        // aya-ebpf uses one unstable feature. Naming the crate, rather than `1`, keeps aya-build from asking for
        // build-std, which this toolchain does not need.
        // SAFETY: this is the build script's only thread.
        unsafe { std::env::set_var("RUSTC_BOOTSTRAP", "aya_ebpf") };
    }
    // aya-build makes a warning of each line that the inner cargo prints; its progress is none.
    // SAFETY: this is the build script's only thread.
    unsafe { std::env::set_var("CARGO_TERM_QUIET", "true") };
    let package = aya_build::Package {
        name: "fastswitch-ebpf",
        root_dir: concat!(env!("CARGO_MANIFEST_DIR"), "/../fastswitch-ebpf"),
        ..Default::default()
    };
    aya_build::build_ebpf([package], aya_build::Toolchain::Custom(&toolchain))
        .context("building the XDP program failed; `cargo xtask setup` installs what it needs")
}

fn default_toolchain() -> &'static str {
    let linked = std::process::Command::new("rustup")
        .args(["run", LINKED_TOOLCHAIN, "rustc", "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    if linked { LINKED_TOOLCHAIN } else { "nightly" }
}
