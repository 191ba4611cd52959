//! Tests that need privilege: shown as ignored without it, and failing in CI rather than being ignored.

use libtest_mimic::{Failed, Trial};

/// A test that needs root's capabilities (loading programs, making namespaces). `test` fails by panicking.
pub fn trial(name: impl Into<String>, test: impl FnOnce() + Send + 'static) -> Trial {
    let (privileged, ci) = (is_privileged(), std::env::var_os("CI").is_some());
    let run = move || {
        if !privileged {
            return Err(Failed::from("needs root, and in CI no test may be skipped"));
        }
        test();
        Ok(())
    };
    let kind = if privileged { "" } else { "needs root" };
    Trial::test(name, run).with_kind(kind).with_ignored_flag(!privileged && !ci)
}

/// Whether this process may make namespaces, administer the network and load programs.
fn is_privileged() -> bool {
    const NET_ADMIN: u64 = 1 << 12;
    const SYS_ADMIN: u64 = 1 << 21;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let effective = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0);
    effective & NET_ADMIN != 0 && effective & SYS_ADMIN != 0
}
