//! A lab that is killed before any of its writes, or loses power, leaves an installation that starts.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use epm_fixtures::power_loss;
use epm_protocol::trust::{CertificateRequest, KeyPool, Validity, issue};

use super::*;
use crate::runtime::install_dir::files::stop;

const NOON: Timestamp = Timestamp::from_seconds(1_767_614_400);

fn identity(key: usize) -> ServerIdentity {
    let key = KeyPool::of_site(1).get(key);
    let validity = Validity { not_before: NOON, not_after: Timestamp::from_seconds(1_800_000_000) };
    let names = vec!["sepm".to_owned()];
    let request = CertificateRequest { common_name: "sepm".to_owned(), names, validity, serial: 1 };
    let certificate = issue(&key, &request).unwrap();
    ServerIdentity::new(key, certificate).unwrap()
}

fn settings() -> RecoverySettings {
    let domain = "0123456789ABCDEF0123456789ABCDEF".parse().unwrap();
    RecoverySettings { secret: Kcs::derive(7), domain }
}

fn found(root: &Path) -> [ServerIdentity; 2] {
    // A process that another test starts has the lock of a folder that was open, until it runs its program.
    let installation =
        epm_fixtures::until("the lock of the folder", || match Installation::open(root, &Arc::default()) {
            Err(InstallationError::InUse { .. }) => None,
            opened => Some(opened.unwrap()),
        });
    let read = |service| installation.read_store(service).unwrap();
    let (newest, broken) = installation.recoveries();
    assert!(newest.is_some() && broken.is_empty(), "{broken:?}");
    let left: Vec<_> = fs::read_dir(root.join(BACKUPS)).unwrap().map(|one| one.unwrap().path()).collect();
    assert!(left.iter().all(|path| path.extension().is_some_and(|end| end == "zip")), "{left:?}");
    [read(Service::Semsrv), read(Service::Semwebsrv)]
}

#[test]
fn an_update_that_is_killed_before_any_write_leaves_both_stores_old_or_both_new() {
    let settings = settings();
    let (old, new) = (identity(0), identity(1));
    let of = |one| Stored { console: one, client: one, settings: &settings };
    let (mut killed, mut seen_old, mut seen_new) = (0, 0, 0);
    loop {
        let folder = tempfile::tempdir().unwrap();
        let installation = Installation::open(folder.path(), &Arc::default()).unwrap();
        installation.write_stores(&of(&old), Stores::Both, NOON).unwrap();
        stop::after(Some(killed));
        let written = installation.write_stores(&of(&new), Stores::Both, NOON);
        stop::after(None);
        installation.release(); // as the end of the process does
        match found(folder.path()) {
            [console, client] if console == old && client == old => seen_old += 1,
            [console, client] if console == new && client == new => seen_new += 1,
            _ => panic!("killed before step {killed}, it is half of each"),
        }
        if written.is_ok() {
            break;
        }
        killed += 1;
    }
    // Before the marker is in place, no write counts; afterwards, all do.
    assert!(seen_old > 10 && seen_new > 4, "{seen_old} old, {seen_new} new");
}

#[test]
fn a_first_layout_that_is_killed_is_none_or_whole() {
    let settings = settings();
    let one = identity(0);
    for killed in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let installation = Installation::open(folder.path(), &Arc::default()).unwrap();
        stop::after(Some(killed));
        let kept = Stored { console: &one, client: &one, settings: &settings };
        let written = installation.write_stores(&kept, Stores::Both, NOON);
        stop::after(None);
        installation.release();
        let again = Installation::open(folder.path(), &Arc::default()).unwrap();
        if again.is_laid_out() {
            again.release();
            assert_eq!(found(folder.path()), [one.clone(), one.clone()], "killed before step {killed}");
        }
        if written.is_ok() {
            return;
        }
    }
}

#[test]
fn an_update_of_one_store_leaves_the_files_of_the_other_and_says_what_it_writes_over() {
    let settings = settings();
    let (old, new) = (identity(0), identity(1));
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let installation = Installation::open(root, &Arc::default()).unwrap();
    let log = || fs::read_to_string(root.join("tomcat/logs/scm-server-0.log")).unwrap_or_default();
    let write = |one, stores| {
        let kept = Stored { console: one, client: one, settings: &settings };
        installation.write_stores(&kept, stores, NOON).unwrap();
    };
    write(&old, Stores::Both);
    fs::write(root.join(CERTIFICATE), "brought by a tool").unwrap();
    write(&new, Stores::Console);
    assert_eq!(fs::read(root.join(CERTIFICATE)).unwrap(), b"brought by a tool");
    assert_eq!(log(), "");
    write(&new, Stores::Both);
    let wanted = "WARNING: apache/conf/ssl/server.crt was replaced, and no service had read it";
    assert!(log().contains(wanted) && log().lines().count() == 1, "{}", log());
    installation.release();
    assert_eq!(found(root), [new.clone(), new.clone()]);
    // A change that a service has read causes no warning.
    fs::write(root.join(CERTIFICATE), old.certificates_pem()).unwrap();
    installation.read_store(Service::Semwebsrv).unwrap_err();
    write(&new, Stores::Both);
    assert_eq!(log().lines().count(), 1, "{}", log());
}

#[test]
fn an_update_that_finds_a_folder_in_the_place_of_a_file_is_refused_and_stays_so_after_a_restart() {
    let settings = settings();
    let (old, new) = (identity(0), identity(1));
    let of = |one| Stored { console: one, client: one, settings: &settings };
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let installation = Installation::open(root, &Arc::default()).unwrap();
    installation.write_stores(&of(&old), Stores::Both, NOON).unwrap();
    let (key, aside) = (root.join(KEY), root.join("key"));
    fs::rename(&key, &aside).unwrap();
    fs::create_dir(&key).unwrap();
    installation.write_stores(&of(&new), Stores::Both, NOON).unwrap_err();
    installation.release();
    fs::remove_dir(&key).unwrap();
    fs::rename(&aside, &key).unwrap();
    assert_eq!(found(root), [old.clone(), old]);
}

#[test]
fn after_a_power_loss_at_any_point_there_is_the_last_set_of_stores_or_the_one_that_was_being_written() {
    let settings = settings();
    let [one, two, three] = [0, 1, 2].map(identity);
    // The sets in order: a first layout, and updates of both stores and of one.
    let sets = [(&one, &one), (&two, &two), (&two, &three)];
    let stores = [Stores::Both, Stores::Both, Stores::Client];
    let folder = tempfile::tempdir().unwrap();
    let installation = Installation::open(folder.path(), &Arc::default()).unwrap();
    let recording = power_loss::record(folder.path(), |promise| {
        for (number, ((console, client), stores)) in (1..).zip(sets.into_iter().zip(stores)) {
            let kept = Stored { console, client, settings: &settings };
            installation.write_stores(&kept, stores, NOON).unwrap();
            promise(number);
        }
    });
    let (mut old, mut new) = (0, 0);
    for state in recording.states() {
        let folder = tempfile::tempdir().unwrap();
        state.lay_out(folder.path());
        let (promised, what) = (usize::try_from(state.promised).unwrap(), &state.what);
        let again = Installation::open(folder.path(), &Arc::default()).unwrap();
        if promised == 0 && !again.is_laid_out() {
            old += 1;
            continue;
        }
        let read = |service| again.read_store(service).unwrap_or_else(|error| panic!("{what}: {error}"));
        let found = (&read(Service::Semsrv), &read(Service::Semwebsrv));
        let (newest, broken) = again.recoveries();
        assert!(
            newest.is_some_and(|one| one.settings == settings) && broken.is_empty(),
            "{what}: {broken:?}"
        );
        if promised > 0 && found == sets[promised - 1] {
            old += 1;
        } else {
            assert_eq!(Some(&found), sets.get(promised), "{promised} sets were written: {what}");
            new += 1;
        }
    }
    println!("{old} states with the last set, {new} with the one that was being written");
    assert!(old > 50 && new > 10, "{old} old, {new} new");
}
