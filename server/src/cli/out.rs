//! The files and folders that a command writes. What can be known before the work begins is refused then, and a file appears
//! whole or not at all: it is written beside its place and renamed.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use epm_client_agent::program::foreign;

use super::io::Failure;

/// Marks a folder as one that a command fills again and again, for example at each start of a lab.
const MARK: &str = ".epm-lab";

/// A file that a command will write.
#[derive(Debug)]
pub(super) struct OutFile {
    path: PathBuf,
    force: bool,
    mode: u32,
    /// Whether it is a device or a pipe, which is written to as it is.
    is_special: bool,
}

impl OutFile {
    /// Checks that the file can be written; one that exists is refused without `force`.
    pub(super) fn new(path: &Path, force: bool) -> Result<Self, Failure> {
        let found = fs::metadata(path);
        let is_special = found.as_ref().is_ok_and(|found| !found.is_file() && !found.is_dir());
        let refused = |why: &dyn std::fmt::Display| {
            Failure::BadInput(format!("cannot write {}: {why}", path.display()))
        };
        if found.as_ref().is_ok_and(fs::Metadata::is_dir) || path.file_name().is_none() {
            return Err(refused(&"it is a folder; give the name of a file"));
        }
        // A link to a file is kept, and the file replaced; a link to nothing is replaced itself.
        let path = if found.is_ok() {
            path.canonicalize().map_err(|error| refused(&error))?
        } else {
            path.to_owned()
        };
        let file = Self { path, force, mode: 0o666, is_special };
        if !is_special {
            file.refuse_existing()?;
            let beside = file.beside();
            let tried = create(&beside, file.mode).and_then(|_| fs::remove_file(&beside));
            tried.map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => refused(&"its folder does not exist"),
                _ => refused(&error),
            })?;
        }
        Ok(file)
    }

    /// A file in a folder that a command fills: it takes the place of what has its name, also that of a link or a pipe, to which
    /// nothing is written. One that exists is refused without `force`.
    pub(super) fn inside(folder: &Path, name: &str, mode: u32, force: bool) -> Result<Self, Failure> {
        let path = folder.join(name);
        let bad = |why: &str| Err(Failure::BadInput(format!("cannot write {}: {why}", path.display())));
        if Path::new(name).components().count() != 1 || path.file_name().is_none() {
            return bad("it is no name for a file in that folder");
        }
        if fs::symlink_metadata(&path).is_ok_and(|found| found.is_dir()) {
            return bad("it is a folder, and a file is to be in its place: remove it");
        }
        let file = Self { path, force, mode, is_special: false };
        file.refuse_existing()?;
        Ok(file)
    }

    /// As [`OutFile::new`]; only the owner may read the file.
    pub(super) fn secret(path: &Path, force: bool) -> Result<Self, Failure> {
        Ok(Self { mode: 0o600, ..Self::new(path, force)? })
    }

    /// Writes the file.
    pub(super) fn write(&self, content: &[u8]) -> Result<(), Failure> {
        write_together(&[(self, content)])
    }

    fn refuse_existing(&self) -> Result<(), Failure> {
        if self.force || fs::symlink_metadata(&self.path).is_err() {
            return Ok(());
        }
        Err(Failure::BadInput(format!("{} already exists; `--force` overwrites it", self.path.display())))
    }

    /// The name under which the file is written first.
    fn beside(&self) -> PathBuf {
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        self.path.with_file_name(format!(".{name}.{}.new", std::process::id()))
    }

    fn failed(&self, error: &io::Error) -> Failure {
        Failure::Failed(format!("cannot write {}: {error}", self.path.display()))
    }

    fn stage(&self, content: &[u8]) -> Result<(), Failure> {
        let written = if self.is_special {
            fs::OpenOptions::new().write(true).open(&self.path).and_then(|mut file| file.write_all(content))
        } else {
            create(&self.beside(), self.mode)
                .and_then(|mut file| file.write_all(content).and_then(|()| file.sync_all()))
        };
        written.map_err(|error| self.failed(&error))
    }

    fn take_place(&self) -> Result<(), Failure> {
        if self.is_special {
            return Ok(());
        }
        self.refuse_existing()?;
        fs::rename(self.beside(), &self.path).map_err(|error| self.failed(&error))
    }
}

/// Writes all of these files, or, if one cannot be written, none.
pub(super) fn write_together(files: &[(&OutFile, &[u8])]) -> Result<(), Failure> {
    let staged = files.iter().try_for_each(|(file, content)| file.stage(content));
    let placed = staged.and_then(|()| files.iter().try_for_each(|(file, _)| file.take_place()));
    if placed.is_err() {
        for (file, _) in files.iter().filter(|(file, _)| !file.is_special) {
            let _ = fs::remove_file(file.beside());
        }
    }
    placed
}

/// A folder that a command will fill.
#[derive(Debug)]
pub(super) struct OutFolder {
    path: PathBuf,
    /// What a later run of the same command reads to know the folder as its own; none if it is filled once.
    mark: Option<String>,
}

impl OutFolder {
    /// Checks that the folder can be filled: it is absent or empty, or `force` is given.
    pub(super) fn new(path: &Path, force: bool) -> Result<Self, Failure> {
        Self::checked(path, force, None, &[])
    }

    /// As [`OutFolder::new`], and it may have been filled by the same command before. The files in `named` are those that
    /// the command line names.
    pub(super) fn again(path: &Path, force: bool, by: &str, named: &[&Path]) -> Result<Self, Failure> {
        Self::checked(path, force, Some(format!("filled by {by}")), named)
    }

    fn checked(path: &Path, force: bool, mark: Option<String>, named: &[&Path]) -> Result<Self, Failure> {
        let folder = Self { path: path.to_owned(), mark };
        let marked = fs::read_to_string(path.join(MARK)).ok();
        let is_ours = folder.mark.is_some() && marked.as_deref().map(str::trim) == folder.mark.as_deref();
        if !force && !is_ours {
            let named: Vec<PathBuf> = named.iter().filter_map(|one| one.canonicalize().ok()).collect();
            refuse_foreign(path, |name| {
                path.join(name).canonicalize().is_ok_and(|one| named.contains(&one))
            })?;
        }
        can_be_filled(path)?;
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the folder and writes these files into it, each in place of an earlier one of its name.
    pub(super) fn fill(&self, files: &[(&str, &[u8])]) -> Result<(), Failure> {
        self.filled(files, 0o666)
    }

    /// As [`OutFolder::fill`]; only the owner may read the files.
    pub(super) fn fill_secretly(&self, files: &[(&str, &[u8])]) -> Result<(), Failure> {
        self.filled(files, 0o600)
    }

    fn filled(&self, files: &[(&str, &[u8])], mode: u32) -> Result<(), Failure> {
        fs::create_dir_all(&self.path).map_err(|error| {
            Failure::Failed(format!("cannot create the folder {}: {error}", self.path.display()))
        })?;
        let mark = self.mark.as_ref().map(|mark| format!("{mark}\n"));
        let mark = mark.iter().map(|mark| (MARK, mark.as_bytes()));
        let files: Vec<(OutFile, &[u8])> = mark
            .chain(files.iter().copied())
            .map(|(name, content)| Ok((OutFile::inside(&self.path, name, mode, true)?, content)))
            .collect::<Result<_, Failure>>()?;
        let files: Vec<(&OutFile, &[u8])> = files.iter().map(|(file, content)| (file, *content)).collect();
        write_together(&files)
    }
}

/// Refuses a folder with entries that are not the program's own. What a killed process has left is its own.
pub(super) fn refuse_foreign(folder: &Path, is_own: impl Fn(&str) -> bool) -> Result<(), Failure> {
    match foreign(folder, |name| is_left(name) || is_own(name)) {
        Some(why) => {
            Err(Failure::BadInput(format!("{why}; give an empty one, or write into it with `--force`")))
        }
        None => Ok(()),
    }
}

/// Whether a name is that of a file before it takes its place: `.NAME.PROCESS.new`.
fn is_left(name: &str) -> bool {
    let inner = name.strip_prefix('.').and_then(|name| name.strip_suffix(".new"));
    inner.and_then(|name| name.rsplit_once('.')).is_some_and(|(_, process)| process.parse::<u32>().is_ok())
}

/// Refuses a folder that cannot be made or written to.
pub(super) fn can_be_filled(folder: &Path) -> Result<(), Failure> {
    let there =
        folder.ancestors().find(|one| one.as_os_str().is_empty() || fs::symlink_metadata(one).is_ok());
    let there = there.filter(|one| !one.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let probe = there.join(format!("{MARK}.{}.new", std::process::id()));
    create(&probe, 0o600).and_then(|_| fs::remove_file(&probe)).map_err(|error| {
        Failure::BadInput(format!("cannot write into the folder {}: {error}", folder.display()))
    })
}

/// Creates a file under a name with the id of this process. One that is there was left by a process that had the same id and
/// was killed, as in a container, where ids begin anew.
fn create(file: &Path, mode: u32) -> io::Result<fs::File> {
    let open = || fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(file);
    match open() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            fs::remove_file(file)?;
            open()
        }
        opened => opened,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn of_two_files_of_which_one_cannot_be_written_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] =
            ["one", "other"].map(|name| OutFile::new(&folder.path().join(name), false).unwrap());
        fs::write(folder.path().join("other"), "came in between").unwrap();
        assert!(write_together(&[(&other, b"x"), (&one, b"x")]).is_err());
        assert_eq!(names(folder.path()), ["other"]);
        assert_eq!(fs::read(folder.path().join("other")).unwrap(), b"came in between");
        let forced = OutFile::new(&folder.path().join("other"), true).unwrap();
        write_together(&[(&forced, b"new"), (&one, b"x")]).unwrap();
        assert_eq!(fs::read(folder.path().join("other")).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["one", "other"]);
    }

    #[test]
    fn a_folder_with_nothing_but_what_killed_processes_have_left_is_filled() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".epm-lab.23157.new", "..epm-lab.7.new", ".sylink.xml.4194304.new"] {
            fs::write(folder.path().join(name), "half").unwrap();
        }
        OutFolder::new(folder.path(), false).unwrap();
        for name in [".notes.new", "epm-lab.1.new", ".a.b.new", ".a.1.news"] {
            fs::write(folder.path().join(name), "").unwrap();
            assert!(OutFolder::new(folder.path(), false).is_err(), "{name}");
            fs::remove_file(folder.path().join(name)).unwrap();
        }
    }

    #[test]
    fn what_a_killed_process_with_the_same_id_has_left_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let left = format!(".state.json.{}.new", std::process::id());
        fs::write(folder.path().join(left), "half").unwrap();
        let file = OutFile::new(&folder.path().join("state.json"), true).unwrap();
        file.write(b"whole").unwrap();
        assert_eq!(fs::read(folder.path().join("state.json")).unwrap(), b"whole");
        assert_eq!(names(folder.path()), ["state.json"]);
    }

    #[test]
    fn a_device_and_the_target_of_a_link_stay_what_they_are() {
        OutFile::new(Path::new("/dev/null"), false).unwrap().write(b"x").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        let folder = tempfile::tempdir().unwrap();
        let [target, link] = ["target", "link"].map(|name| folder.path().join(name));
        fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(OutFile::new(&link, false).is_err());
        OutFile::new(&link, true).unwrap().write(b"new").unwrap();
        assert_eq!((fs::read(&target).unwrap(), link.is_symlink()), (b"new".to_vec(), true));
    }

    #[test]
    fn a_folder_is_filled_in_the_place_of_links_and_of_nothing_that_they_lead_to() {
        let outside = tempfile::tempdir().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let victim = outside.path().join("victim");
        fs::write(&victim, "old").unwrap();
        for (name, target) in [
            ("sylink.xml", victim.as_path()),
            ("absent", &outside.path().join("absent")),
            ("device", Path::new("/dev/null")),
            (MARK, &victim),
        ] {
            std::os::unix::fs::symlink(target, folder.path().join(name)).unwrap();
        }
        let files: [(&str, &[u8]); 3] = [("sylink.xml", b"new"), ("absent", b"new"), ("device", b"new")];
        OutFolder::again(folder.path(), true, "export", &[]).unwrap().fill_secretly(&files).unwrap();
        assert_eq!(fs::read(&victim).unwrap(), b"old");
        assert_eq!(names(outside.path()), ["victim"]);
        for (name, _) in files {
            let file = folder.path().join(name);
            assert!(fs::symlink_metadata(&file).unwrap().is_file(), "{name}");
            assert_eq!(fs::read(&file).unwrap(), b"new", "{name}");
        }
        assert_eq!(fs::read_to_string(folder.path().join(MARK)).unwrap(), "filled by export\n");
        fs::remove_file(folder.path().join("device")).unwrap();
        fs::create_dir(folder.path().join("device")).unwrap();
        assert!(OutFolder::new(folder.path(), true).unwrap().fill(&[("device", b"new")]).is_err());
        assert!(OutFolder::new(folder.path(), true).unwrap().fill(&[("../victim", b"new")]).is_err());
    }

    #[test]
    fn a_folder_is_filled_again_by_the_command_that_filled_it_and_by_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("a/b");
        OutFolder::again(&at, false, "export", &[]).unwrap().fill(&[("x", b"1")]).unwrap();
        OutFolder::again(&at, false, "export", &[]).unwrap().fill(&[("x", b"2")]).unwrap();
        assert_eq!(fs::read(at.join("x")).unwrap(), b"2");
        assert!(OutFolder::again(&at, false, "live", &[]).is_err());
        assert!(OutFolder::new(&at, false).is_err());
        OutFolder::new(&at, true).unwrap();
        let token = folder.path().join("token");
        fs::write(&token, "").unwrap();
        fs::remove_dir_all(folder.path().join("a")).unwrap();
        assert!(OutFolder::again(folder.path(), false, "export", &[]).is_err());
        OutFolder::again(folder.path(), false, "export", &[&token]).unwrap();
    }
}
