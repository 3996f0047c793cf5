//! Reads communications files and switches from the command line.

use std::path::Path;

use epm_protocol::sylink::Sylink;

use crate::cli::io;
use crate::cli::io::Failure;

/// Reads a communications file; an error names the file and the place in it.
pub(super) fn read(path: &Path) -> Result<Sylink, Failure> {
    Sylink::parse_bytes(&io::read(path)?)
        .map_err(|error| Failure::BadInput(format!("{}: {error}", path.display())))
}

/// Reads the value of a switch: `on` or `off`.
pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("expected on or off".to_owned()),
    }
}
