//! Development tasks of fastswitch; the library part is what the end-to-end tests share with `cargo xtask run`.

use std::path::Path;

pub mod setup;
pub mod shell;
pub mod test;
pub mod tidy;

/// The top folder of the repository.
pub fn workspace() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}
