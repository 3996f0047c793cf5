//! Programs of PyPI in a virtual environment below `target`, made once. Where it cannot be made, nothing is proved, and it is
//! said loudly.

#![allow(clippy::missing_panics_doc, reason = "a test that cannot go on should stop")]

use std::path::{Path, PathBuf};
use std::process::Command as Process;
use std::sync::OnceLock;

/// What is installed, pinned.
const PACKAGES: &[&str] = &["sepm-api==0.0.9", "schemathesis==4.32.5", "hypothesis==6.170.17"];
/// Where this is set, it is a failure if they cannot be had.
const REQUIRED: &str = "EPM_LAB_REST_CLIENTS";
/// For how many seconds `schemathesis` looks for faults: longer where it must be had.
pub fn search_seconds() -> &'static str {
    if std::env::var_os(REQUIRED).is_some() { "40" } else { "12" }
}

/// The programs of the virtual environment; none where it cannot be had.
pub fn environment() -> Option<&'static Path> {
    static MADE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let top = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/rest-clients");
        let (programs, stamp) = (top.join("bin"), top.join("installed"));
        let wanted = PACKAGES.join("\n");
        if std::fs::read_to_string(&stamp).is_ok_and(|found| found == wanted) {
            return Some(programs);
        }
        let ran = |program: &Path, arguments: &[&str]| {
            let out = Process::new(program).args(arguments).output();
            out.map_err(|error| error.to_string()).and_then(|out| {
                let words = String::from_utf8_lossy(&out.stderr).into_owned();
                if out.status.success() { Ok(()) } else { Err(words) }
            })
        };
        let path = top.to_str()?.to_owned();
        let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
        let arguments: Vec<&str> = pip.iter().chain(PACKAGES).copied().collect();
        let made = ran(Path::new("python3"), &["-m", "venv", "--clear", &path])
            .and_then(|()| ran(&programs.join("python3"), &arguments));
        match made {
            Ok(()) => {
                std::fs::write(&stamp, wanted).ok()?;
                Some(programs)
            }
            Err(error) => {
                assert!(
                    std::env::var_os(REQUIRED).is_none(),
                    "{REQUIRED} is set, and this is missing: {error}"
                );
                eprintln!("NOTHING WAS PROVED: {PACKAGES:?} cannot be installed: {error}");
                None
            }
        }
    });
    made.as_deref()
}
