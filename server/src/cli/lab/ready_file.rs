//! The ready file of a lab: written when the lab is ready, removed when it ends.
//!
//! A lab that is killed leaves its file behind. The file therefore names the instance of the lab, which no other lab has, and
//! which the control API tells.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::cli::io::{Failure, read_text};

/// What the command line needs of a ready file.
#[derive(Debug, Deserialize)]
pub(crate) struct ReadyFile {
    /// Name of the file.
    #[serde(skip)]
    pub(super) file: String,
    pub(super) control_api: String,
    pub(super) pid: u32,
    pub(super) started: String,
    pub(super) instance: String,
}

impl ReadyFile {
    /// Reads the file.
    pub(crate) fn read(file: &Path) -> Result<Self, Failure> {
        let name = file.display().to_string();
        if !file.exists() {
            return Err(Failure::BadInput(format!(
                "there is no {name}: its lab is not ready yet, or has ended; `epm-lab up --ready-file {name}` writes it"
            )));
        }
        let found: Self = serde_json::from_str(&read_text(file)?).map_err(|error| {
            Failure::BadInput(format!(
                "{name} is no ready file: {error}; expected what `epm-lab up --ready-file` writes"
            ))
        })?;
        Ok(Self { file: name, ..found })
    }

    /// Whether the process that wrote the file runs, as far as its number and name tell.
    pub(crate) fn is_of_a_running_lab(&self) -> bool {
        self.pid != std::process::id()
            && name_of(&self.pid.to_string()).is_some_and(|name| Some(name) == name_of("self"))
    }

    /// The lab that wrote the file.
    pub(crate) fn writer(&self) -> String {
        format!("the lab of process {}, started at {}", self.pid, self.started)
    }
}

/// The ready file that this process writes; removed when this is dropped, unless another lab has written it since.
#[derive(Debug)]
pub(crate) struct OwnReadyFile {
    file: PathBuf,
    written: Option<String>,
}

impl OwnReadyFile {
    /// Takes the place of a file of an earlier lab, which would report this one as ready.
    pub(crate) fn at(file: &Path) -> Self {
        if is_plain(file) {
            let _ = fs::remove_file(file);
        }
        Self { file: file.to_owned(), written: None }
    }

    /// Writes the file as a whole: a reader sees all of it or none. It holds the site's secret, so that only its owner may
    /// read it.
    pub(crate) fn write(&mut self, text: &str) -> Result<(), Failure> {
        let written = if self.file.exists() && !is_plain(&self.file) {
            // A pipe without a reader is an error, and no wait.
            let mut options = fs::OpenOptions::new();
            let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
            let opened = options.write(true).truncate(true).custom_flags(nonblocking).open(&self.file);
            opened.and_then(|mut file| file.write_all(text.as_bytes()))
        } else {
            let beside = self.file.with_added_extension(std::process::id().to_string());
            let mut options = fs::OpenOptions::new();
            let opened = options.write(true).create_new(true).mode(0o600).open(&beside);
            let written = opened
                .and_then(|mut file| file.write_all(text.as_bytes()))
                .and_then(|()| fs::rename(&beside, &self.file));
            if written.is_err() {
                let _ = fs::remove_file(&beside);
            }
            written
        };
        written
            .map_err(|error| Failure::BadInput(format!("cannot write {}: {error}", self.file.display())))?;
        self.written = Some(text.to_owned());
        Ok(())
    }
}

impl Drop for OwnReadyFile {
    fn drop(&mut self) {
        let is_own = |text: &String| fs::read_to_string(&self.file).is_ok_and(|found| found == *text);
        if is_plain(&self.file) && self.written.as_ref().is_some_and(is_own) {
            let _ = fs::remove_file(&self.file);
        }
    }
}

/// The name of a process that has not ended.
fn name_of(process: &str) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (name, state) = stat.rsplit_once(')')?;
    let has_ended = state.trim_start().starts_with(['Z', 'X']);
    (!has_ended).then(|| name.split_once('(').map(|(_, name)| name.to_owned()))?
}

/// Whether the path is a file or a link to one, and no pipe or device: those are written to, and a file is replaced, so that
/// nothing that a link leads to gets the secret.
fn is_plain(file: &Path) -> bool {
    fs::metadata(file).is_ok_and(|found| found.is_file())
}
