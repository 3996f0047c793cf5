//! The logs in a manager's folder, like the product's: rotated and bounded.
//!
//! | file | writer | rotated |
//! |---|---|---|
//! | `data/inbox/log/ersecreg.log` [C S9, S35] | registration | by size, `ersecreg.log.1` and on |
//! | `tomcat/logs/scm-server-0.log` [C S22, S42b] | the manager | by size, `scm-server-1.log` and on |
//! | `tomcat/logs/semapisrv_access_log.DATE.log` [C S42b] | the REST API | by day and by size |
//! | `apache/logs/access-DATE.log`, `error-DATE.log` [C S42b] | the web server | by day and by size |
//!
//! The first has the site's secret, and mode 0600. Names without a mark, and the rotation, are assumptions: `log_kibibytes` and `logs_kept`.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use axum::http::{Method, Uri, Version};
use epm_client_agent::wire::open_own;
use epm_protocol::assumption::Assumptions;
use epm_protocol::time::Timestamp;
use parking_lot::Mutex;

use super::files::make_folder_of;
use crate::runtime::redact;

/// Maximum length of a line, since some contain what a peer sent.
const LONGEST_LINE: usize = 4096;

/// A log of a manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Log {
    Registration,
    Server,
    ApiAccess,
    WebAccess,
    WebError,
}

/// The logs in a manager's folder.
#[derive(Debug)]
pub(super) struct Logs {
    root: PathBuf,
    most_bytes: u64,
    /// Number of files kept per log, including the current one.
    kept: usize,
    /// Serialises writing, so that a rotation is never interleaved.
    writing: Mutex<()>,
}

/// A request to one of the web servers.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    peer: IpAddr,
    method: Method,
    uri: Uri,
    version: Version,
}

impl Access {
    pub(crate) fn of<B>(peer: IpAddr, request: &axum::http::Request<B>) -> Self {
        let (method, uri) = (request.method().clone(), redact::uri(request.uri()));
        Self { peer, method, uri, version: request.version() }
    }

    /// The line in the common log format, as Apache and Tomcat write it.
    pub(super) fn line(&self, at: Timestamp, status: u16, bytes: u64) -> String {
        let Self { peer, method, uri, version } = self;
        let at = at.civil().strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
        let target = uri.path_and_query().map_or("*", |one| one.as_str());
        let mut line = format!("{peer} - - [{at}] \"{method} {target} {version:?}\" {status} ");
        let _ = if bytes == 0 { write!(line, "-") } else { write!(line, "{bytes}") };
        line
    }
}

impl Log {
    /// Path of the current file, or of the file this many rotations back.
    fn path(self, now: Timestamp, back: usize) -> String {
        let day = || now.civil().strftime("%Y-%m-%d").to_string();
        let part = if back == 0 { String::new() } else { format!(".{back}") };
        match self {
            Self::Registration => format!("data/inbox/log/ersecreg.log{part}"),
            Self::Server => format!("tomcat/logs/scm-server-{back}.log"),
            Self::ApiAccess => format!("tomcat/logs/semapisrv_access_log.{}{part}.log", day()),
            Self::WebAccess => format!("apache/logs/access-{}{part}.log", day()),
            Self::WebError => format!("apache/logs/error-{}{part}.log", day()),
        }
    }

    /// Prefix of the file names of a log with one file per day.
    fn by_day(self) -> Option<&'static str> {
        match self {
            Self::Registration | Self::Server => None,
            Self::ApiAccess => Some("semapisrv_access_log."),
            Self::WebAccess => Some("access-"),
            Self::WebError => Some("error-"),
        }
    }
}

impl Logs {
    pub(super) fn new(root: &Path, assumptions: &Assumptions) -> Self {
        Self {
            root: root.to_owned(),
            most_bytes: u64::from(assumptions.log_kibibytes) * 1024,
            kept: usize::try_from(assumptions.logs_kept).unwrap_or(usize::MAX).clamp(1, 1000),
            writing: Mutex::new(()),
        }
    }

    /// Appends a line. A write error is logged, and nothing else.
    pub(super) fn add(&self, log: Log, now: Timestamp, line: &str) {
        if let Err(error) = self.append(log, now, line) {
            tracing::error!(%error, ?log, "cannot write a log");
        }
    }

    fn append(&self, log: Log, now: Timestamp, line: &str) -> io::Result<()> {
        let mut line: String = line.chars().take(LONGEST_LINE).collect();
        line = line.replace(['\r', '\n'], " ");
        line.push('\n');
        let _one = self.writing.lock();
        let place = self.root.join(log.path(now, 0));
        make_folder_of(&self.root, &place)?;
        let length = match fs::symlink_metadata(&place) {
            Ok(found) => found.len(),
            Err(_) => {
                self.sweep(log, &place)?;
                0
            }
        };
        if length > 0 && length + line.len() as u64 > self.most_bytes {
            for back in (1..self.kept).rev() {
                let (newer, older) = (log.path(now, back - 1), log.path(now, back));
                match fs::rename(self.root.join(newer), self.root.join(older)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
        }
        if self.kept == 1 && length + line.len() as u64 > self.most_bytes {
            fs::remove_file(&place)?;
        }
        let mode = if log == Log::Registration { 0o600 } else { 0o644 };
        open_own(OpenOptions::new().append(true).create(true).mode(mode), &place)?.write_all(line.as_bytes())
    }

    /// Removes the oldest files when a new day begins.
    fn sweep(&self, log: Log, place: &Path) -> io::Result<()> {
        let (Some(start), Some(folder)) = (log.by_day(), place.parent()) else { return Ok(()) };
        let mut old: Vec<PathBuf> = fs::read_dir(folder)?.filter_map(|one| Some(one.ok()?.path())).collect();
        let is_of = |path: &PathBuf| {
            path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(start))
        };
        old.retain(is_of);
        old.sort();
        let most = old.len().saturating_sub(self.kept - 1);
        old.into_iter().take(most).try_for_each(fs::remove_file)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp::from_seconds(1_767_614_400); // 2026-01-05T12:00:00Z

    fn names(root: &Path, folder: &str) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(root.join(folder))
            .unwrap()
            .map(|one| one.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn lines(root: &Path, path: &str) -> Vec<String> {
        fs::read_to_string(root.join(path)).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_log_that_is_full_becomes_the_one_before_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs { most_bytes: 20, ..Logs::new(folder.path(), &Assumptions::default()) };
        for number in 0..100 {
            for log in [Log::Server, Log::Registration, Log::WebAccess] {
                logs.add(log, NOON, &format!("line {number:04}")); // two fit
            }
        }
        let server: Vec<String> = (0..5).map(|back| format!("scm-server-{back}.log")).collect();
        assert_eq!(names(folder.path(), "tomcat/logs"), server);
        assert_eq!(lines(folder.path(), "tomcat/logs/scm-server-0.log"), ["line 0098", "line 0099"]);
        assert_eq!(lines(folder.path(), "tomcat/logs/scm-server-4.log"), ["line 0090", "line 0091"]);
        assert_eq!(names(folder.path(), "data/inbox/log").len(), 5);
        assert_eq!(lines(folder.path(), "data/inbox/log/ersecreg.log.1"), ["line 0096", "line 0097"]);
        assert_eq!(names(folder.path(), "apache/logs").len(), 5);
        assert_eq!(lines(folder.path(), "apache/logs/access-2026-01-05.1.log"), ["line 0096", "line 0097"]);
    }

    #[test]
    fn each_day_has_a_file_of_its_own_and_only_the_last_ones_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let logs = Logs::new(folder.path(), &Assumptions::default());
        for day in 0..30 {
            let now = NOON + std::time::Duration::from_secs(86_400 * day);
            logs.add(Log::WebError, now, "x");
            logs.add(Log::WebAccess, now, "x\ny");
        }
        let kept = names(folder.path(), "apache/logs");
        assert_eq!(kept.len(), 10, "{kept:?}");
        assert_eq!((kept[4].as_str(), kept[9].as_str()), ("access-2026-02-03.log", "error-2026-02-03.log"));
        assert_eq!(
            lines(folder.path(), "apache/logs/access-2026-02-03.log"),
            ["x y"],
            "one line is one line"
        );
    }

    #[test]
    fn no_link_leads_a_line_out_of_the_folder_and_no_file_is_emptied_in_place() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (root, victim) = (folder.path(), outside.path().join("victim"));
        fs::write(&victim, "precious\n".repeat(10)).unwrap();
        fs::create_dir_all(root.join("tomcat/logs")).unwrap();
        symlink(&victim, root.join("tomcat/logs/scm-server-0.log")).unwrap();
        symlink(outside.path(), root.join("apache")).unwrap();
        for kept in [1, 5] {
            let logs = Logs { most_bytes: 200, kept, ..Logs::new(root, &Assumptions::default()) };
            for log in [Log::Server, Log::WebAccess, Log::WebError] {
                assert!(logs.append(log, NOON, "x").is_err(), "{log:?}");
            }
            // An open file keeps what it had.
            logs.append(Log::Registration, NOON, &"a".repeat(150)).unwrap();
            let mut open = fs::File::open(root.join("data/inbox/log/ersecreg.log")).unwrap();
            logs.append(Log::Registration, NOON, &"b".repeat(150)).unwrap();
            let mode = open.metadata().unwrap().permissions().mode() & 0o777;
            let before = io::read_to_string(&mut open).unwrap();
            assert_eq!(mode, 0o600, "it has the secret");
            assert!(before.starts_with('a') || kept == 5, "{before}");
        }
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious\n".repeat(10));
        assert_eq!(names(outside.path(), "."), ["victim"]);
        // A link whose file is full is not moved away and written anew either way.
        assert!(root.join("tomcat/logs/scm-server-0.log").is_symlink());
    }

    #[test]
    fn a_request_is_told_in_the_common_log_format() {
        let request = axum::http::Request::get("http://x/secars/secars.dll?hello,secars").body(()).unwrap();
        let access = Access::of([127, 0, 0, 1].into(), &request);
        assert_eq!(
            access.line(NOON, 200, 2),
            "127.0.0.1 - - [05/Jan/2026:12:00:00 +0000] \"GET /secars/secars.dll?hello,secars HTTP/1.1\" 200 2"
        );
        assert!(access.line(NOON, 304, 0).ends_with(" 304 -"));
    }
}
