//! The `fastswitch` command.

fn main() {}
