//! A store after a power loss: its system calls are recorded, and cut off at every point.
//!
//! The disk keeps what was synced; of what was written since, anything, in any order, or half of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command as Process;

use epm_fixtures::needs;

use super::*;

/// Number of changes that are recorded.
const CHANGES: i64 = 12;
/// The folder of the process whose calls are recorded.
const FOLDER: &str = "EPM_TESTS_POWER_LOSS";
/// What that process writes after each change.
const DONE: &str = "done ";

/// A file of the folder: what is on disk, and the writes since.
#[derive(Clone, Debug, Default)]
struct Disk {
    synced: Option<Vec<u8>>,
    since: Vec<Write>,
}

#[derive(Clone, Debug)]
enum Write {
    Bytes(usize, Vec<u8>),
    Length(usize),
}

impl Disk {
    /// The file with those writes since the last sync that `keeps` says, each as a whole or by half.
    fn with(&self, keeps: impl Fn(usize) -> Option<usize>) -> Option<Vec<u8>> {
        let mut file = self.synced.clone();
        for (number, write) in self.since.iter().enumerate() {
            let Some(divisor) = keeps(number) else { continue };
            let file = file.get_or_insert_default();
            match write {
                Write::Bytes(at, bytes) => {
                    let bytes = &bytes[..bytes.len() / divisor];
                    let end = at + bytes.len();
                    file.resize(file.len().max(end), 0);
                    file[*at..end].copy_from_slice(bytes);
                }
                Write::Length(length) => file.resize(*length, 0),
            }
        }
        file
    }

    fn sync(&mut self) {
        self.synced = self.with(|_| Some(1)).or(Some(Vec::new()));
        self.since.clear();
    }
}

/// The recorded process: writes changes into the store, and says when each is written.
#[test]
fn writes_changes() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let store = SqliteStore::open(Path::new(&folder)).unwrap();
    for number in 0..CHANGES {
        let mut with = Batch::default();
        let text = format!("text {number} ").repeat(200);
        with.documents.push((Kind::Text, format!("text-{}", number % 7), Some(text)));
        store.append(&super::damage::change(number), GivenBy::ControlApi, Timestamp::EPOCH, &with).unwrap();
        eprintln!("{DONE}{number}.");
        if number == 7 {
            store.connection().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        }
    }
}

#[needs(strace)]
#[test]
fn after_a_power_loss_each_change_that_was_written_is_there_and_none_is_half() {
    let folder = tempfile::tempdir().unwrap();
    // Where no process may trace another, nothing can be recorded.
    let probe = Process::new("strace").args(["-o", "/dev/null", "true"]).output().unwrap();
    if !probe.status.success() {
        eprintln!("not tried: {}", String::from_utf8_lossy(&probe.stderr));
        return;
    }
    let (data, log) = (folder.path().join("data"), folder.path().join("calls"));
    let calls = "trace=openat,close,pwrite64,write,ftruncate,fsync,fdatasync,unlink";
    let out = Process::new("strace")
        .args(["-ff", "-xx", "-s", "2000000", "-e", calls, "-o"])
        .arg(&log)
        .arg(std::env::current_exe().unwrap())
        .args(["--nocapture", "--exact", "store::sqlite::tests::power::writes_changes"])
        .env(FOLDER, &data)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    // The calls of each thread are in a file of their own.
    let threads = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let texts = threads.filter(|path| path.is_file()).map(|path| fs::read_to_string(path).unwrap());
    let calls = texts.max_by_key(String::len).unwrap();
    let tried = folder.path().join("tried");
    let (mut files, mut open) = (BTreeMap::<String, Disk>::new(), BTreeMap::<String, String>::new());
    let (mut done, mut states) = (0, 0);
    for call in calls.lines() {
        let Some((name, rest)) = call.split_once('(') else {
            continue;
        };
        let (arguments, result) = rest.rsplit_once(')').unwrap_or((rest, ""));
        let result = result.trim_start_matches([' ', '=']);
        let number = arguments.split([',', ')']).next().unwrap_or_default().to_owned();
        let text = || bytes(arguments.split('"').nth(1).unwrap_or_default());
        let last = || arguments.rsplit(", ").next().and_then(|at| at.parse::<usize>().ok()).unwrap();
        match name {
            "openat" => {
                let path = PathBuf::from(String::from_utf8_lossy(&text()).into_owned());
                let is_ours = path.parent() == Some(&data) && !result.starts_with('-');
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if is_ours && [DATABASE, "lab.db-wal", STEPS].contains(&name.as_str()) {
                    open.insert(result.split(' ').next().unwrap_or_default().to_owned(), name);
                }
            }
            "close" => drop(open.remove(&number)),
            "pwrite64" => {
                if let Some(file) = open.get(&number) {
                    files.entry(file.clone()).or_default().since.push(Write::Bytes(last(), text()));
                }
            }
            "ftruncate" => {
                if let Some(file) = open.get(&number) {
                    files.entry(file.clone()).or_default().since.push(Write::Length(last()));
                }
            }
            "write" if text().starts_with(DONE.as_bytes()) => {
                done += 1;
                states += lost(&files, done, &tried);
            }
            "fsync" | "fdatasync" => {
                states += lost(&files, done, &tried);
                if let Some(file) = open.get(&number) {
                    files.entry(file.clone()).or_default().sync();
                }
            }
            _ => {}
        }
    }
    assert_eq!(done, CHANGES);
    assert!(states > 200, "{states}");
    eprintln!("{states} states of the disk");
}

/// Makes every state in which the power may leave the disk now, and opens the store in each. Returns their number.
fn lost(files: &BTreeMap<String, Disk>, done: i64, tried: &Path) -> usize {
    let none = Disk::default();
    let of = |name: &str| files.get(name).unwrap_or(&none);
    let pending = |name: &str| of(name).since.len();
    // Of the database and its log: all writes, none, each one alone, all but one, one by half.
    let mut keeps: Vec<(usize, usize)> = vec![(0, 0), (1, 0)];
    for number in 0..pending(DATABASE) + pending("lab.db-wal") {
        keeps.extend([(2, number), (3, number), (4, number)]);
    }
    for (way, one) in &keeps {
        let file = |name: &str, first: usize| {
            of(name).with(|number| {
                let is_it = first + number == *one;
                match way {
                    0 => Some(1),
                    2 => is_it.then_some(1),
                    3 => (!is_it).then_some(1),
                    4 => Some(if is_it { 2 } else { 1 }),
                    _ => None,
                }
            })
        };
        let _ = fs::remove_dir_all(tried);
        fs::create_dir(tried).unwrap();
        let steps = of(STEPS).with(|_| Some(1));
        let all = [
            (DATABASE, file(DATABASE, 0)),
            ("lab.db-wal", file("lab.db-wal", pending(DATABASE))),
            (STEPS, steps),
        ];
        for (name, content) in all {
            if let Some(content) = content {
                fs::write(tried.join(name), content).unwrap();
            }
        }
        let found = super::damage::content(tried);
        let what = || format!("{done} changes were written; of the writes since the last sync {way} {one}");
        let found = found.unwrap_or_else(|error| panic!("{}: {error}", what()));
        let count = found.log.len();
        assert!((done..=done + 1).contains(&i64::try_from(count).unwrap()), "{count} are there: {}", what());
        for (number, entry) in (0..).zip(&found.log) {
            assert_eq!(entry.2, super::damage::change(number), "{}", what());
        }
    }
    keeps.len()
}

/// The bytes of a text in hexadecimal escapes.
fn bytes(text: &str) -> Vec<u8> {
    text.split(r"\x").skip(1).map(|byte| u8::from_str_radix(&byte[..2], 16).unwrap()).collect()
}
