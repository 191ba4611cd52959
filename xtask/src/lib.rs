//! Development tasks of fastswitch; the library part is what the end-to-end tests share with `cargo xtask run`.
