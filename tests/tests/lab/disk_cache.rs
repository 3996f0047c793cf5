//! The client's cache on disk: at any moment a reader finds one complete state.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::sync::Arc;

use epm_client_agent::agent::{AgentState, Cache};
use epm_client_agent::wire::{DiskCache, StoreError};
use epm_fixtures::until;
use epm_protocol::policy::Protocol;
use epm_protocol::site::Stores;
use epm_protocol::sylink::Sylink;
use epm_protocol::time::Clock;
use epm_tests::TestSite;

/// The environment variable that tells the child where to save.
const FOLDER: &str = "EPM_TESTS_SAVE_IN";
/// The number of times that a child is killed.
const TIMES: u64 = 50;

/// The state with this number, which is in both files, so that a mixture is detected.
fn state(number: u64) -> Cache {
    let mut sylink = Sylink::parse(&exported()).expect("the sample can be read");
    sylink.set_preferred_group(&number.to_string());
    // Of different lengths, so that a truncated or overwritten file is detected as well.
    let padding = "x".repeat(usize::try_from(number * 977 % 50_000).unwrap_or(0));
    let state =
        AgentState { group: Some(number.to_string()), location: Some(padding), ..AgentState::default() };
    Cache { sylink: Arc::new(sylink), state }
}

fn number_of(cache: &Cache) -> u64 {
    let number = cache.sylink.preferred_group().expect("the sample prefers a group");
    assert_eq!(cache.state.group.as_ref(), Some(&number), "half of one state and half of another");
    let number = number.parse().expect("a number");
    assert_eq!(*cache, state(number), "the whole of it");
    number
}

fn exported() -> String {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/sylink/exported.xml");
    fs::read_to_string(sample).expect("the sample is there")
}

/// Opens a cache. A process that another test starts has the lock of a folder that was open, until it runs its program.
fn opened(folder: &Path) -> DiskCache {
    until("the lock of the folder", || match DiskCache::open(folder) {
        Err(StoreError::InUse { .. }) => None,
        opened => Some(opened.unwrap()),
    })
}

#[test]
fn a_folder_has_one_client_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = opened(folder.path());
    assert!(matches!(DiskCache::open(folder.path()), Err(StoreError::InUse { .. })));
    drop(first);
    opened(folder.path());
}

/// Not a test: the child that saves until it is killed. Without the variable it does nothing.
#[test]
fn saves_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let mut disk = opened(Path::new(&folder));
    let first = disk.load().unwrap().map_or(0, |cache| number_of(&cache));
    for number in first + 1.. {
        disk.save(&state(number)).unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "saved {number}").and_then(|()| out.flush()).unwrap();
    }
}

#[test]
fn a_client_that_is_killed_while_it_saves_finds_the_old_state_or_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut last = 0;
    let mut left_behind = [0; 5];
    for time in 0..TIMES {
        let mut child = KillOnDrop(
            Process::new(std::env::current_exe().unwrap())
                .args(["--exact", "--nocapture", "disk_cache::saves_until_it_is_killed"])
                .env(FOLDER, folder.path())
                .stdout(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        let lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        let mut saved = lines
            .map_while(Result::ok)
            .filter_map(|line| line.rsplit_once("saved ").and_then(|(_, number)| number.parse::<u64>().ok()));
        let saved = saved.next().expect("it saves");
        // It is killed as soon as it is seen to write another state.
        let far = usize::try_from(time % 5).unwrap();
        let start = seen(folder.path());
        while !is_so_far(folder.path(), &start, far) {
            assert!(child.0.try_wait().unwrap().is_none(), "the child has ended by itself");
        }
        drop(child);

        let end = seen(folder.path());
        left_behind[far] += u64::from(end.folders > 1 || end.next);
        let found = opened(folder.path()).load().unwrap();
        let found = number_of(&found.expect("what was saved is there"));
        assert!(found >= saved, "{saved} had been saved, {found} is found");
        assert!(found > last, "it goes on from there");
        last = found;
    }
    let broken_off: u64 = left_behind.iter().sum();
    assert!(broken_off > TIMES / 4, "killed {TIMES} times, in the midst of saving only {left_behind:?}");
}

/// The state of a cache as seen from outside.
#[derive(Debug, PartialEq)]
struct Seen {
    current: Option<PathBuf>,
    folders: usize,
    files: usize,
    next: bool,
}

fn seen(folder: &Path) -> Seen {
    let names = |at: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(at).into_iter().flatten();
        entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect()
    };
    let is_folder = |at: &&PathBuf| at.is_dir() && !at.is_symlink();
    let all = names(folder);
    let folders: Vec<&PathBuf> = all.iter().filter(is_folder).collect();
    Seen {
        current: fs::read_link(folder.join("current")).ok(),
        folders: folders.len(),
        files: folders.iter().map(|folder| names(folder).len()).sum(),
        next: folder.join(".next").is_symlink(),
    }
}

fn is_so_far(folder: &Path, start: &Seen, far: usize) -> bool {
    let now = seen(folder);
    match far {
        0 => now.folders > 1,
        1 => now.files > 2,
        2 => now.files > 3,
        3 => now.next,
        _ => now.current != start.current,
    }
}

/// Kills with SIGKILL.
struct KillOnDrop(Child);

impl Drop for KillOnDrop {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn whatever_a_crash_leaves_behind_is_passed_over_and_the_next_save_goes_well() {
    type Leave = fn(&Path);
    let leftovers: [(&str, Leave); 7] = [
        ("an empty folder", |at| fs::create_dir(at.join("00000002")).unwrap()),
        ("a folder with half a file", |at| {
            fs::create_dir(at.join("00000002")).unwrap();
            fs::write(at.join("00000002/sylink.xml"), "<ServerSett").unwrap();
        }),
        ("a folder without the state", |at| {
            fs::create_dir(at.join("00000002")).unwrap();
            fs::write(at.join("00000002/sylink.xml"), exported()).unwrap();
        }),
        ("a whole folder that nothing names", |at| {
            fs::create_dir(at.join("00000002")).unwrap();
            fs::write(at.join("00000002/sylink.xml"), exported()).unwrap();
            fs::write(at.join("00000002/state.json"), "{}").unwrap();
        }),
        ("the link that would have been next", |at| symlink("00000002", at.join(".next")).unwrap()),
        ("the folder before, half removed", |at| {
            fs::create_dir(at.join("00000000")).unwrap();
            fs::write(at.join("00000000/state.json"), "{}").unwrap();
        }),
        ("the file that tried whether it can be written", |at| fs::write(at.join(".writable"), "").unwrap()),
    ];
    for (what, leave) in leftovers {
        let folder = tempfile::tempdir().unwrap();
        opened(folder.path()).save(&state(1)).unwrap();
        leave(folder.path());
        let mut disk = opened(folder.path());
        assert_eq!(number_of(&disk.load().unwrap().unwrap()), 1, "{what}");
        for number in [2, 3] {
            disk.save(&state(number)).unwrap_or_else(|error| panic!("{what}: {error}"));
            let again = DiskCache::read(folder.path()).unwrap().unwrap();
            assert_eq!(number_of(&again), number, "{what}");
        }
        let left = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(left, 2, "{what}: the link, and the folder that it names, are all that is left");
    }
}

#[test]
fn a_crash_before_the_first_state_is_whole_leaves_no_state() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("00000001")).unwrap();
    fs::write(folder.path().join("00000001/sylink.xml"), "<Ser").unwrap();
    let mut disk = opened(folder.path());
    assert_eq!(disk.load().unwrap(), None);
    disk.save(&state(1)).unwrap();
    assert_eq!(number_of(&disk.load().unwrap().unwrap()), 1);
}

#[test]
fn what_was_kept_holds_the_secret_so_nobody_else_may_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut disk = opened(folder.path());
    for number in [1, 2] {
        disk.save(&state(number)).unwrap();
        for file in ["sylink.xml", "state.json"] {
            let mode = fs::metadata(folder.path().join("current").join(file)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{file}");
        }
    }
    let folders = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(folders, 2, "the link, and the folder that it names: the old one is gone");
}

#[test]
fn a_folder_that_cannot_be_written_is_named_with_what_was_tried() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let below = file.path().join("state");
    let error = DiskCache::open(&below).unwrap_err();
    assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
    let text = error.to_string();
    assert!(
        text.starts_with("cannot create the folder") && text.contains(&below.display().to_string()),
        "{text}"
    );
    if Path::new("/proc/self").exists() {
        let text = DiskCache::open(Path::new("/proc")).unwrap_err().to_string();
        assert!(text.starts_with("cannot write to the folder /proc: "), "{text}");
    }
}

#[test]
fn a_state_that_cannot_be_kept_leaves_the_one_before_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let mut disk = opened(folder.path());
    disk.save(&state(1)).unwrap();
    fs::write(folder.path().join("00000002"), "a file where a folder should be made").unwrap();
    let error = disk.save(&state(2)).unwrap_err().to_string();
    assert!(error.starts_with("cannot create the folder"), "{error}");
    assert_eq!(number_of(&disk.load().unwrap().unwrap()), 1);
    fs::remove_file(folder.path().join("00000002")).unwrap();
    disk.save(&state(3)).unwrap();
    assert_eq!(number_of(&disk.load().unwrap().unwrap()), 3);
}

#[tokio::test]
async fn a_hand_edited_file_is_read_at_the_next_start_and_a_broken_one_is_named_with_the_place() {
    let lab = TestSite::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut spec = lab.client("edited", "14.3");
    spec.disk = Some(opened(folder.path()));
    let fleet = lab.fleet(vec![spec]).await;
    let served = fleet.members()[0].handle.view();
    assert_eq!(served.server.map(|one| one.protocol), Some(Protocol::Https));
    fleet.stop().await.unwrap();

    // The HTTPS port is removed by hand, so that the client speaks HTTP.
    let path = folder.path().join("current").join("sylink.xml");
    let text = fs::read_to_string(&path).unwrap();
    let port = format!(" HttpsPort=\"{}\"", lab.socket().port());
    assert!(text.contains(&port), "{text}");
    fs::write(&path, text.replace(&port, "").replace("<ServerSettings", "<!-- by hand -->\n<ServerSettings"))
        .unwrap();
    lab.update(Stores::Client); // over HTTPS it would be orphaned
    let kept = opened(folder.path()).load().unwrap().unwrap();
    let (sylink, state) = (Arc::clone(&kept.sylink), kept.state.clone());
    let agent = epm_client_agent::agent::Agent::new(
        epm_tests::profile("edited", "14.3"),
        Cache { sylink, state },
        Arc::default(),
    );
    let disk = opened(folder.path());
    let (handle, life) = epm_client_agent::wire::drive(agent, Arc::clone(lab.clock()), lab.log(), Some(disk));
    let life = tokio::spawn(life);
    let before = lab.site().journal().records().len();
    handle.tell(epm_client_agent::agent::Input::Start { booted: lab.clock().now() }).await;
    epm_tests::eventually("it asks over HTTP", || {
        lab.site().journal().records().iter().skip(before).any(|one| !one.tls)
    })
    .await;
    drop(handle);
    life.await.unwrap().unwrap();

    fs::write(&path, "<ServerSettings DomainId=\"x\">\n  <CommConf>\n</ServerSettings>\n").unwrap();
    let error = opened(folder.path()).load().unwrap_err();
    assert!(matches!(error, StoreError::Sylink { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("sylink.xml") && text.contains("line 3"), "{text}");
}
