//! The files that `epm-lab up` writes while a lab starts: what may be replaced, and what is refused.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::cli::io::{Failure, read, read_password, warning};
use crate::cli::lab::ReadyFile;
use crate::cli::out::{OutFile, can_be_filled, refuse_foreign};
use crate::rest_api::DEFAULT_PASSWORD;
use crate::runtime::install_dir::ROOTS;

/// The error without random numbers.
pub(super) const NO_RANDOM_NUMBERS: &str = "the operating system's random generator failed";

/// Checks the folder of one manager's files, or of several managers' folders: nothing else may be in it without `force`.
pub(super) fn check_root(root: &Path, managers: &[String], force: bool) -> Result<(), Failure> {
    if !force {
        refuse_foreign(root, |name| {
            if managers.len() == 1 { ROOTS.contains(&name) } else { managers.iter().any(|one| one == name) }
        })?;
    }
    can_be_filled(root)
}

/// Checks a ready file. One of an earlier lab is replaced, another file is not without `force`.
pub(super) fn check_ready_file(file: &Path, force: bool) -> Result<(), Failure> {
    let is_ours = |content: &[u8]| content.is_empty() || content.starts_with(br#"{"ready":"#);
    let is_file = file.is_file();
    if is_file && !force && !is_ours(&read(file)?) {
        return Err(Failure::BadInput(format!(
            "{} was not written by a lab; `--force` overwrites it",
            file.display()
        )));
    }
    let earlier = if is_file && !force { ReadyFile::read(file).ok() } else { None };
    if let Some(earlier) = earlier.filter(ReadyFile::is_of_a_running_lab) {
        return Err(Failure::BadInput(format!(
            "{} is that of {}, which runs: stop it, or give this lab a file of its own; `--force` overwrites it",
            file.display(),
            earlier.writer()
        )));
    }
    OutFile::new(file, is_file).map(|_| ())
}

/// Refuses a file with a secret that others can replace, and warns of one that others can read: a cluster mounts them so.
pub(super) fn check_permissions(file: &Path, what: &str) -> Result<(), Failure> {
    let mode = std::fs::metadata(file).map_or(0, |found| found.permissions().mode()) & 0o777;
    let name = file.display();
    if mode & 0o022 != 0 {
        return Err(Failure::BadInput(format!(
            "{name}: others can write the {what} (mode {mode:03o}): `chmod go-w {name}`, and change the {what} if it was theirs"
        )));
    }
    if mode & 0o044 != 0 {
        warning(&format!("{name}: others can read the {what} (mode {mode:03o})"));
    }
    Ok(())
}

/// The password of the REST API. The default one is refused at an address that other machines reach.
pub(super) fn rest_password(
    password: Option<&str>,
    file: Option<&Path>,
    exposed: Option<String>,
) -> Result<String, Failure> {
    let password = match file {
        Some(file) => read_password(file)?,
        None => password.unwrap_or(DEFAULT_PASSWORD).to_owned(),
    };
    if password.is_empty() {
        return Err(Failure::BadInput("the password of the REST API is empty".to_owned()));
    }
    if let Some(address) = exposed.filter(|_| password == DEFAULT_PASSWORD) {
        return Err(Failure::BadInput(format!(
            "{address} can be reached from other machines, and the REST API's default password is public; \
             set another with `--rest-password-file`, or disable the API with `--no-rest`"
        )));
    }
    Ok(password)
}

/// Draws a seed of 53 bits, which every JSON reader takes exactly.
pub(super) fn new_seed() -> Result<u64, Failure> {
    let mut bytes = [0; 8];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Failure::Failed(NO_RANDOM_NUMBERS.to_owned()))?;
    Ok(u64::from_be_bytes(bytes) >> 11)
}
