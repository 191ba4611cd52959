//! The `fastswitch` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    fastswitch::cli::main()
}
