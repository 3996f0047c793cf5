//! A damaged store is refused, or is whole: each page and each frame of the write-ahead log is damaged in turn.

use std::fs;
use std::path::Path;

use epm_fixtures::until;
use epm_protocol::site::Command;

use super::*;

/// Everything that is read from a store.
#[derive(Debug, PartialEq)]
pub(super) struct Content {
    pub(super) log: Vec<(i64, Timestamp, Change)>,
    documents: Vec<(&'static str, String, String)>,
    clients: usize,
}

pub(super) fn content(folder: &Path) -> Result<Content, StoreError> {
    // A process that another test starts has the lock of a folder that was open, until it runs its program.
    let store = until("the lock of the folder", || match SqliteStore::open(folder) {
        Err(StoreError::InUse { .. }) => None,
        opened => Some(opened),
    })?;
    let mut log = Vec::new();
    store.read_log(&mut |entry| {
        log.push((entry.sequence, entry.at, entry.change));
        Ok(())
    })?;
    let mut documents = Vec::new();
    for kind in [Kind::Founding, Kind::Client, Kind::Text] {
        documents.extend(store.documents(kind)?.into_iter().map(|(name, text)| (kind.name(), name, text)));
    }
    Ok(Content { log, documents, clients: store.clients()?.len() })
}

pub(super) fn change(number: i64) -> Change {
    let group = format!(r"My Company\Group {number}");
    let commands = vec![Command::AddGroup { group, inherits: number % 2 == 0 }];
    Change::Commands { commands, clocks: [("sepm-1".to_owned(), number)].into(), update: None }
}

/// A store of which a part is in the database, and the rest in the write-ahead log.
fn image() -> (tempfile::TempDir, Content) {
    let folder = tempfile::tempdir().unwrap();
    let original = folder.path().join("original");
    let store = SqliteStore::open(&original).unwrap();
    let at = Timestamp::from_seconds(1_700_000_000);
    for number in 0..40 {
        let mut with = Batch::default();
        let text = format!("text {number} ").repeat(if number % 8 == 0 { 900 } else { 20 });
        with.documents.push((Kind::Text, format!("text-{number}"), Some(text)));
        with.put(Kind::Client, &format!("client-{number}"), &number);
        store.append(&change(number), GivenBy::ControlApi, at, &with).unwrap();
        if number == 25 {
            store.connection().query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
        }
    }
    let copy = folder.path().join("image");
    fs::create_dir(&copy).unwrap();
    for name in [DATABASE, "lab.db-wal", STEPS] {
        fs::copy(original.join(name), copy.join(name)).unwrap();
    }
    drop(store);
    let whole = content(&original).unwrap();
    assert_eq!(whole.log.len(), 40);
    (folder, whole)
}

#[test]
fn each_page_and_each_frame_is_damaged_and_the_store_is_refused_or_whole() {
    let (folder, whole) = image();
    let (image, tried) = (folder.path().join("image"), folder.path().join("tried"));
    let sizes = [(DATABASE, 4096), ("lab.db-wal", 24 + 4096), (STEPS, 16)];
    let (mut refused, mut unharmed) = (0, 0);
    for (name, size) in sizes {
        let bytes = fs::read(image.join(name)).unwrap();
        // Frames follow the header of the write-ahead log.
        let start = if name == "lab.db-wal" { 32 } else { 0 };
        let parts = (bytes.len() - start) / size;
        assert!(parts > if name == STEPS { 0 } else { 10 }, "{name}: {parts}");
        let damage = |part: usize, way: usize| {
            let mut damaged = bytes.clone();
            let part = &mut damaged[start + part * size..][..size];
            match way {
                0 => part.fill(0),
                1 => part.reverse(),
                2 => part[..8.min(size)].iter_mut().for_each(|byte| *byte ^= 0x10),
                // One byte, each time another one.
                _ => part[way * 1031 % size] ^= 1 << (way % 8),
            }
            damaged
        };
        let mut all: Vec<Vec<u8>> = (0..parts)
            .flat_map(|part| (0..6).map(move |way| (part, way)))
            .map(|(part, way)| damage(part, way))
            .collect();
        if start > 0 {
            all.extend((0..start).map(|at| {
                let mut damaged = bytes.clone();
                damaged[at] ^= 0x40;
                damaged
            }));
        }
        all.push(bytes[..bytes.len() / 2].to_vec());
        for (number, damaged) in all.into_iter().enumerate() {
            let _ = fs::remove_dir_all(&tried);
            fs::create_dir(&tried).unwrap();
            for other in [DATABASE, "lab.db-wal", STEPS] {
                fs::copy(image.join(other), tried.join(other)).unwrap();
            }
            fs::write(tried.join(name), damaged).unwrap();
            match content(&tried) {
                Ok(found) => {
                    assert_eq!(found, whole, "{name}, damage {number}");
                    unharmed += 1;
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 300 && unharmed > 0, "{refused} refused, {unharmed} unharmed");
}

#[test]
fn a_document_of_a_kind_that_nobody_reads_is_not_lost_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let store = SqliteStore::open(&data).unwrap();
    let mut with = Batch::default();
    with.put(Kind::Client, "desk-1", &1);
    store.append(&change(1), GivenBy::ControlApi, Timestamp::from_seconds(1_700_000_000), &with).unwrap();
    store.connection().execute("UPDATE document SET kind = 'cli/nt' WHERE kind = 'client'", []).unwrap();
    assert!(matches!(store.verify(), Err(StoreError::Damaged { .. })));
    drop(store);
    let refused = content(&data).unwrap_err().to_string();
    assert!(refused.contains("a document of the kind \"cli/nt\" is not what was written"), "{refused}");
}
