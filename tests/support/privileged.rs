//! Tests that need root. Without it they are shown as ignored; where CI is set, they fail instead, so that a green
//! run never means that they did not run.

use libtest_mimic::{Failed, Trial};

/// A test that runs as root only. It fails by its result or by panicking.
pub(crate) fn trial<R: Verdict>(name: impl Into<String>, run: impl FnOnce() -> R + Send + 'static) -> Trial {
    let root = nix::unistd::geteuid().is_root();
    let ci = std::env::var_os("CI").is_some();
    let guarded = move || {
        if root { run().verdict() } else { Err("needs root, and in CI no test may be skipped".into()) }
    };
    Trial::test(name, guarded).with_ignored_flag(!root && !ci)
}

/// What a test may return.
pub(crate) trait Verdict {
    fn verdict(self) -> Result<(), Failed>;
}

impl Verdict for () {
    fn verdict(self) -> Result<(), Failed> {
        Ok(())
    }
}

impl Verdict for Result<(), Failed> {
    fn verdict(self) -> Result<(), Failed> {
        self
    }
}
