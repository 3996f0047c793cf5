//! The store in a folder: an SQLite database, locked while a lab has it.
//!
//! A write-ahead log, synced at each commit: what was written is there after a crash of the process or of the machine. After a
//! failed write, on a full disk for example, the next one is tried like the first.

mod failed;
mod origin;

use std::fmt;
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::ops::RangeInclusive;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use epm_client_agent::wire::open_own;
use epm_protocol::id::{AgentId, Guid};
use epm_protocol::time::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags, Row, Transaction, params};

use self::failed::{failed, refused};
use self::origin::{check_origin, refuse_unknown_kinds};
use crate::runtime::clients::ClientStatus;
use crate::runtime::folder_lock::{LockError, holder, lock_file};
use crate::store::checksum::{checksum, entry_checksum};
use crate::store::schema::{APPLICATION, MIGRATIONS};
use crate::store::steps::Steps;
use crate::store::{Batch, Change, GivenBy, Kind, Log, LogEntry, Store, StoreError};

const DATABASE: &str = "lab.db";
const LOCK: &str = "lab.lock";
const STEPS: &str = "lab.steps";
/// The files of a data folder.
pub(crate) const FILES: [&str; 5] = [DATABASE, "lab.db-wal", "lab.db-shm", LOCK, STEPS];
/// The longest wait for another program that reads the database at the moment of a write.
const PATIENCE: Duration = Duration::from_secs(5);

/// The store in a folder.
#[derive(Debug)]
pub(crate) struct SqliteStore {
    file: PathBuf,
    connection: Mutex<Connection>,
    /// None for a reader.
    steps: Option<Steps>,
    /// What the database is on the disk; none for a reader.
    place: Option<Place>,
    /// Locked until the store is dropped or the process ends; none for a reader.
    _lock: Option<File>,
}

/// A file on the disk, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    device: u64,
    inode: u64,
}

impl Place {
    fn of(found: &Metadata) -> Self {
        Self { device: found.dev(), inode: found.ino() }
    }

    /// The file that has this name now.
    fn at(file: &Path) -> Option<Self> {
        std::fs::symlink_metadata(file).ok().map(|found| Self::of(&found))
    }
}

impl SqliteStore {
    /// Opens the database of a folder, which is created with the folder if there is none.
    ///
    /// # Errors
    ///
    /// When the folder cannot be used or is in use, or its database is foreign, damaged, or of a newer version.
    pub(crate) fn open(folder: &Path) -> Result<Self, StoreError> {
        let bad = |source| StoreError::Folder { folder: folder.to_owned(), source };
        // The database has private keys and the secret.
        if !folder.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(bad)?;
        }
        if folder.metadata().map_err(bad)?.mode() & 0o002 != 0 {
            tracing::warn!(
                "every user of this machine can replace files in the data folder {0}, and with them the lab and its keys; \
                 `chmod o-w {0}`",
                folder.display()
            );
        }
        let lock = hold(folder)?;
        let file = folder.join(DATABASE);
        let database =
            open_own(OpenOptions::new().create(true).append(true).mode(0o600), &file).map_err(bad)?;
        let place = Place::of(&database.metadata().map_err(bad)?);
        let connection = Connection::open(&file).map_err(|error| failed(&file, &error))?;
        if Place::at(&file) != Some(place) {
            return Err(bad(io::Error::other("its database was replaced at this moment")));
        }
        let steps = Steps::open(&folder.join(STEPS)).map_err(bad)?;
        let noted = steps.noted().map_err(bad)?.unwrap_or_else(|| {
            tracing::warn!(
                "{} is damaged: whether the latest changes are missing in the data folder is not known",
                folder.join(STEPS).display()
            );
            0
        });
        let connection = Mutex::new(connection);
        let store = Self { file, connection, steps: Some(steps), place: Some(place), _lock: Some(lock) };
        store.prepare(noted)?;
        Ok(store)
    }

    /// Opens the database of a folder to be read, also while a lab has it.
    ///
    /// # Errors
    ///
    /// When there is none, or it is foreign or of a newer version.
    pub(crate) fn look(folder: &Path) -> Result<Self, StoreError> {
        let file = folder.join(DATABASE);
        let here = |error: rusqlite::Error| failed(&file, &error);
        let connection =
            Connection::open_with_flags(&file, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(here)?;
        connection.busy_timeout(PATIENCE).map_err(here)?;
        let connection = Mutex::new(connection);
        let store = Self { file: file.clone(), connection, steps: None, place: None, _lock: None };
        store.check_origin()?;
        Ok(store)
    }

    /// Reads everything, and so checks it.
    ///
    /// # Errors
    ///
    /// When something is not what was written.
    pub(crate) fn verify(&self) -> Result<(), StoreError> {
        self.read_log(&mut |_| Ok(()))?;
        self.clients()?;
        refuse_unknown_kinds(&self.file, &self.connection())?;
        Kind::ALL.into_iter().try_for_each(|kind| self.documents(kind).map(drop))
    }

    /// Copies everything into a new file, as it is at one moment.
    pub(crate) fn copy_into(&self, file: &Path) -> Result<(), StoreError> {
        OpenOptions::new()
            .create_new(true)
            .write(true)
            .mode(0o600)
            .open(file)
            .map_err(|source| StoreError::Folder { folder: file.to_owned(), source })?;
        let copied = self.connection().execute("VACUUM INTO ?1", [file.to_string_lossy()]);
        copied.map(drop).map_err(|error| failed(&self.file, &error))
    }

    /// Number of changes of the site, and of registered clients.
    pub(crate) fn counts(&self) -> Result<(u64, u64), StoreError> {
        let counts = self.connection().query_row(
            "SELECT (SELECT count(*) FROM log), (SELECT count(*) FROM client)",
            [],
            |row| Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get::<_, i64>(1)?.unsigned_abs())),
        );
        counts.map_err(|error| failed(&self.file, &error))
    }

    /// The rows of a view or table, as text.
    pub(crate) fn rows(&self, of: &str, columns: &[&str]) -> Result<Vec<Vec<String>>, StoreError> {
        let query = format!("SELECT {} FROM {of} WHERE ?1 = ''", columns.join(", "));
        self.read_all(&query, "", |row| {
            let text = |column| {
                Ok(match row.get_ref(column)? {
                    ValueRef::Null | ValueRef::Blob(_) => String::new(),
                    ValueRef::Integer(number) => number.to_string(),
                    ValueRef::Real(number) => number.to_string(),
                    ValueRef::Text(text) => String::from_utf8_lossy(text).into_owned(),
                })
            };
            (0..columns.len()).map(text).collect()
        })
    }

    /// Puts another change in the place of one in the log.
    pub(crate) fn replace_entry(&self, sequence: i64, change: &Change) -> Result<(), StoreError> {
        let written = self.written(change)?;
        self.in_one_step(|to| replace_entry(to, sequence, &written))
    }

    fn written(&self, change: &Change) -> Result<(String, Vec<Bytes>), StoreError> {
        change.written().map_err(|error| self.invalid("a change".to_owned(), &error))
    }

    /// Changes texts: records of clients, and documents with their names. `edit` returns none for what remains. The checksums are
    /// made anew, so everything has to be verified before.
    pub(crate) fn edit_texts(&self, edit: &dyn Fn(&str) -> Option<String>) -> Result<(), StoreError> {
        self.in_one_step(|to| {
            let mut clients = to.prepare("SELECT agent, record FROM client")?;
            let rows =
                clients.query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, String>(1)?)))?;
            for row in rows.collect::<rusqlite::Result<Vec<_>>>()? {
                if let Some(record) = edit(&row.1) {
                    let check = checksum(&[&row.0, record.as_bytes()]);
                    let update = "UPDATE client SET record = ?2, checksum = ?3 WHERE agent = ?1";
                    to.execute(update, params![row.0, record, check])?;
                }
            }
            let mut names = to.prepare("SELECT kind, name FROM document")?;
            let rows = names.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
            for (kind, name) in rows.collect::<rusqlite::Result<Vec<_>>>()? {
                let content: String = to.query_row(
                    "SELECT content FROM document WHERE kind = ?1 AND name = ?2",
                    params![kind, name],
                    |row| row.get(0),
                )?;
                let (new_name, new_content) = (edit(&name), edit(&content));
                if new_name.is_none() && new_content.is_none() {
                    continue;
                }
                let (now, content) = (new_name.as_ref().unwrap_or(&name), new_content.unwrap_or(content));
                let check = document_checksum(&kind, now, &content);
                let update =
                    "UPDATE document SET name = ?3, content = ?4, checksum = ?5 WHERE kind = ?1 AND name = ?2";
                to.execute(update, params![kind, name, now, content, check])?;
            }
            Ok(())
        })
    }

    /// Checks whose database it is and whether it is whole, and brings it to this program's version.
    fn prepare(&self, noted: u64) -> Result<(), StoreError> {
        let mut connection = self.connection();
        let here = |error: rusqlite::Error| failed(&self.file, &error);
        connection.busy_timeout(PATIENCE).map_err(here)?;
        let (version, known) = check_origin(&self.file, &connection)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(here)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(here)?;
        let found: String =
            connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(here)?;
        if found != "ok" {
            return Err(StoreError::Damaged { file: self.file.clone(), why: found });
        }
        let transaction = connection.transaction().map_err(here)?;
        let done = usize::try_from(version).unwrap_or(0);
        for migration in &MIGRATIONS[done..] {
            transaction.execute_batch(migration).map_err(here)?;
        }
        transaction.pragma_update(None, "application_id", APPLICATION).map_err(here)?;
        transaction.pragma_update(None, "user_version", known).map_err(here)?;
        let steps: i64 =
            transaction.query_row("SELECT steps FROM written", [], |row| row.get(0)).map_err(here)?;
        if steps.unsigned_abs() < noted {
            let found = if version == 0 { "it is missing or empty: ".to_owned() } else { String::new() };
            let why = format!(
                "{found}it has {steps} of {noted} steps that were written; without {STEPS}, it is used as it is"
            );
            return Err(StoreError::Damaged { file: self.file.clone(), why });
        }
        refuse_unknown_kinds(&self.file, &transaction)?;
        transaction.commit().map_err(here)
    }

    fn check_origin(&self) -> Result<(), StoreError> {
        check_origin(&self.file, &self.connection()).map(drop)
    }

    /// The error of content that is not what was written.
    fn differs(&self, what: &str) -> StoreError {
        let why = format!("{what} is not what was written");
        StoreError::Damaged { file: self.file.clone(), why }
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock()
    }

    /// Writes in one transaction.
    fn in_one_step(
        &self,
        write: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        let mut connection = self.connection();
        // SQLite would go on writing into a file that has no name any more.
        if self.place.is_some() && Place::at(&self.file) != self.place {
            let why = "the database was removed or replaced while the lab ran: what the lab knows is in its memory alone".to_owned();
            return Err(StoreError::Failed { file: self.file.clone(), why });
        }
        let written = connection.transaction().and_then(|transaction| {
            write(&transaction)?;
            let count = "UPDATE written SET steps = steps + 1 RETURNING steps";
            let steps: i64 = transaction.query_row(count, [], |row| row.get(0))?;
            transaction.commit()?;
            Ok(steps)
        });
        let steps = written.map_err(|error| refused(&connection, &self.file, &error))?;
        // Without the note, less can be found out after damage; nothing is lost.
        if let Some(Err(error)) = self.steps.as_ref().map(|noted| noted.note(steps.unsigned_abs())) {
            tracing::warn!(%error, "the number of written steps cannot be noted");
        }
        Ok(())
    }

    fn read_all<T>(
        &self,
        query: &str,
        of: &str,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        let connection = self.connection();
        let rows = connection
            .prepare(query)
            .and_then(|mut statement| statement.query_map([of], read)?.collect::<rusqlite::Result<Vec<T>>>());
        rows.map_err(|error| failed(&self.file, &error))
    }
}

impl Log for SqliteStore {
    fn read_log(&self, each: &mut dyn FnMut(LogEntry) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let here = |error: rusqlite::Error| failed(&self.file, &error);
        let connection = self.connection();
        let mut contents = connection
            .prepare("SELECT content FROM log_file WHERE sequence = ?1 ORDER BY number")
            .map_err(here)?;
        let mut entries = connection
            .prepare("SELECT sequence, at, given_by, change, checksum FROM log ORDER BY sequence")
            .map_err(here)?;
        let mut rows = entries.query([]).map_err(here)?;
        let mut expected = 1;
        while let Some(row) = rows.next().map_err(here)? {
            let (sequence, at): (i64, i64) = (row.get(0).map_err(here)?, row.get(1).map_err(here)?);
            let files: Vec<Bytes> = contents
                .query_map([sequence], |row| row.get::<_, Vec<u8>>(0).map(Bytes::from))
                .and_then(Iterator::collect)
                .map_err(here)?;
            let given_by = row.get_ref(2).map_err(here)?.as_str().unwrap_or_default();
            let json = row.get_ref(3).map_err(here)?.as_str().unwrap_or_default();
            let check: i64 = row.get(4).map_err(here)?;
            if check != entry_checksum(sequence, at, given_by, json, &files) {
                return Err(self.differs(&format!("entry {sequence} of the log")));
            }
            let change = Change::read(json, files)
                .map_err(|error| self.invalid(format!("entry {sequence} of the log"), &error))?;
            let replaced = match &change {
                Change::RestoreSnapshot { replaces: Some(replaced), .. } => replaced.entries,
                _ => 0,
            };
            if sequence != expected + replaced {
                let why = format!("entry {expected} of the log is missing");
                return Err(StoreError::Damaged { file: self.file.clone(), why });
            }
            expected = sequence + 1;
            each(LogEntry { sequence, at: Timestamp::from_millis(at), written: None, change })?;
        }
        Ok(())
    }

    fn invalid(&self, what: String, why: &dyn fmt::Display) -> StoreError {
        StoreError::Invalid { file: self.file.clone(), what, why: why.to_string() }
    }
}

impl Store for SqliteStore {
    fn append(&self, change: &Change, by: GivenBy, at: Timestamp, with: &Batch) -> Result<(), StoreError> {
        let (json, files) = self.written(change)?;
        self.in_one_step(|to| {
            let next = "SELECT coalesce(max(sequence), 0) + 1 FROM log";
            let sequence: i64 = to.query_row(next, [], |row| row.get(0))?;
            let check = entry_checksum(sequence, at.as_millis(), by.name(), &json, &files);
            to.execute(
                "INSERT INTO log (sequence, at, given_by, change, checksum) VALUES (?1, ?2, ?3, ?4, ?5)",
                params![sequence, at.as_millis(), by.name(), json, check],
            )?;
            add_files(to, sequence, &files)?;
            write(to, with)
        })
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        self.in_one_step(|to| write(to, batch))
    }

    fn clients(&self) -> Result<Vec<ClientStatus>, StoreError> {
        let rows = self.read_all(
            "SELECT client.agent, record, client.checksum, last_seen.at, last_seen.checksum \
             FROM client LEFT JOIN last_seen USING (agent) WHERE ?1 = ''",
            "",
            |row| {
                let (agent, record): (Vec<u8>, String) = (row.get(0)?, row.get(1)?);
                let seen: Option<i64> = row.get(3)?;
                let is_whole = row.get::<_, i64>(2)? == checksum(&[&agent, record.as_bytes()])
                    && seen.is_none_or(|at| row.get(4) == Ok(seen_checksum(&agent, at)));
                Ok((record, seen, is_whole))
            },
        )?;
        let client = |(record, seen, is_whole): (String, Option<i64>, bool)| {
            if !is_whole {
                return Err(self.differs("the record of a client"));
            }
            let mut status: ClientStatus = serde_json::from_str(&record)
                .map_err(|error| self.invalid("the record of a client".to_owned(), &error))?;
            if let Some(seen) = seen {
                status.last_seen = Timestamp::from_millis(seen);
            }
            Ok(status)
        };
        rows.into_iter().map(client).collect()
    }

    fn documents(&self, kind: Kind) -> Result<Vec<(String, String)>, StoreError> {
        let rows = self.read_all(
            "SELECT name, content, checksum FROM document WHERE kind = ?1 ORDER BY name",
            kind.name(),
            |row| {
                let (name, content): (String, String) = (row.get(0)?, row.get(1)?);
                let is_whole = row.get::<_, i64>(2)? == document_checksum(kind.name(), &name, &content);
                Ok((name, content, is_whole))
            },
        )?;
        let document = |(name, content, is_whole): (String, String, bool)| match is_whole {
            true => Ok((name, content)),
            false => Err(self.differs(&format!("the {} {name:?}", kind.name()))),
        };
        rows.into_iter().map(document).collect()
    }

    fn compact(&self, removed: &[RangeInclusive<i64>], replaced: &[(i64, Change)]) -> Result<(), StoreError> {
        let replaced = replaced
            .iter()
            .map(|(sequence, change)| Ok((*sequence, self.written(change)?)))
            .collect::<Result<Vec<_>, StoreError>>()?;
        self.in_one_step(|to| {
            for range in removed {
                let range = [range.start(), range.end()];
                to.execute("DELETE FROM log_file WHERE sequence BETWEEN ?1 AND ?2", range)?;
                to.execute("DELETE FROM log WHERE sequence BETWEEN ?1 AND ?2", range)?;
            }
            replaced.iter().try_for_each(|(sequence, written)| replace_entry(to, *sequence, written))
        })
    }

    fn folder(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new("."))
    }

    fn bytes(&self) -> u64 {
        let sizes = FILES.iter().filter_map(|name| self.file.with_file_name(name).metadata().ok());
        sizes.map(|file| file.len()).sum()
    }

    fn clear(&self) -> Result<(), StoreError> {
        self.in_one_step(|to| {
            to.execute_batch(
                "DELETE FROM log_file; DELETE FROM log; DELETE FROM client; DELETE FROM last_seen; DELETE FROM document;",
            )
        })
    }
}

/// Whether a lab has a data folder.
pub(crate) fn is_held(folder: &Path) -> Result<bool, StoreError> {
    let found = holder(&folder.join(LOCK));
    found.map(|by| by.is_some()).map_err(|source| StoreError::Folder { folder: folder.to_owned(), source })
}

/// Locks a data folder, so that no lab takes it while the lock is held.
pub(crate) fn hold(folder: &Path) -> Result<File, StoreError> {
    lock_file(&folder.join(LOCK)).map_err(|error| match error {
        LockError::InUse { by } => StoreError::InUse { folder: folder.to_owned(), by },
        LockError::Io(source) => StoreError::Folder { folder: folder.to_owned(), source },
    })
}

fn replace_entry(
    to: &Transaction<'_>,
    sequence: i64,
    (json, files): &(String, Vec<Bytes>),
) -> rusqlite::Result<()> {
    let find = "SELECT at, given_by FROM log WHERE sequence = ?1";
    let (at, by): (i64, String) = to.query_row(find, [sequence], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let check = entry_checksum(sequence, at, &by, json, files);
    let update = "UPDATE log SET change = ?2, checksum = ?3 WHERE sequence = ?1";
    to.execute(update, params![sequence, json, check])?;
    to.execute("DELETE FROM log_file WHERE sequence = ?1", [sequence])?;
    add_files(to, sequence, files)
}

fn add_files(to: &Transaction<'_>, sequence: i64, files: &[Bytes]) -> rusqlite::Result<()> {
    for (number, content) in files.iter().enumerate() {
        to.execute(
            "INSERT INTO log_file (sequence, number, content) VALUES (?1, ?2, ?3)",
            params![sequence, i64::try_from(number).unwrap_or(i64::MAX), &content[..]],
        )?;
    }
    Ok(())
}

fn write(to: &Transaction<'_>, batch: &Batch) -> rusqlite::Result<()> {
    if batch.forgets_clients {
        to.execute_batch("DELETE FROM client; DELETE FROM last_seen;")?;
    }
    for agent in &batch.removed {
        to.execute("DELETE FROM client WHERE agent = ?1", [key(*agent)])?;
        to.execute("DELETE FROM last_seen WHERE agent = ?1", [key(*agent)])?;
    }
    let mut record =
        to.prepare("INSERT OR REPLACE INTO client (agent, record, checksum) VALUES (?1, ?2, ?3)")?;
    let mut seen =
        to.prepare("INSERT OR REPLACE INTO last_seen (agent, at, checksum) VALUES (?1, ?2, ?3)")?;
    for client in &batch.clients {
        let agent = client.client.agent;
        let json = serde_json::to_string(client)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        let (agent, at) = (key(agent), client.last_seen.as_millis());
        record.execute(params![agent, json, checksum(&[&agent, json.as_bytes()])])?;
        seen.execute(params![agent, at, seen_checksum(&agent, at)])?;
    }
    for (agent, at) in &batch.seen {
        let (agent, at) = (key(*agent), at.as_millis());
        seen.execute(params![agent, at, seen_checksum(&agent, at)])?;
    }
    for kind in &batch.cleared {
        to.execute("DELETE FROM document WHERE kind = ?1", [kind.name()])?;
    }
    let put = "INSERT OR REPLACE INTO document (kind, name, content, checksum) VALUES (?1, ?2, ?3, ?4)";
    let mut put = to.prepare(put)?;
    for (kind, name, content) in &batch.documents {
        match content {
            Some(content) => {
                let check = document_checksum(kind.name(), name, content);
                put.execute(params![kind.name(), name, content, check])?
            }
            None => {
                to.execute("DELETE FROM document WHERE kind = ?1 AND name = ?2", params![kind.name(), name])?
            }
        };
    }
    Ok(())
}

fn seen_checksum(agent: &[u8], at: i64) -> i64 {
    checksum(&[agent, &at.to_le_bytes()])
}

fn document_checksum(kind: &str, name: &str, content: &str) -> i64 {
    checksum(&[kind, name, content].map(str::as_bytes))
}

fn key(agent: AgentId) -> [u8; 16] {
    let AgentId(id) = agent;
    let id: Guid = id;
    *id.as_bytes()
}

#[cfg(test)]
mod tests;
