//! Development tasks of fastswitch; the library part is what the end-to-end tests share with `cargo xtask run`.
//!
//! It never links the `fastswitch` crate: it runs the built program, as a user would.

use std::path::Path;

pub mod bench;
pub mod blob;
pub mod http;
pub mod interrupt;
pub mod lab;
pub mod load;
pub mod privilege;
pub mod programs;
pub mod run;
pub mod say;
pub mod server;
pub mod setup;
pub mod shell;
pub mod test;
pub mod tidy;
pub mod transfer;
pub mod wait;

/// The top folder of the repository.
pub fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}
