//! The program `epm-lab`.

use std::process::ExitCode;

fn main() -> ExitCode {
    epm_server::cli::main()
}
