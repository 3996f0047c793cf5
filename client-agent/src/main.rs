//! The program `epm-agent`.

use std::process::ExitCode;

fn main() -> ExitCode {
    epm_client_agent::cli::main()
}
