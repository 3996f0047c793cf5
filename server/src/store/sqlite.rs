//! The store in a folder: an SQLite database, locked while a lab has it.
//!
//! A write-ahead log, synced at each commit: what was written is there after a crash of the process or of the machine. After a
//! failed write, on a full disk for example, the next one is tried like the first.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use epm_protocol::id::{AgentId, Guid};
use epm_protocol::time::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use rusqlite::{Connection, ErrorCode, Row, Transaction, params};

use crate::runtime::clients::ClientStatus;
use crate::runtime::folder_lock::{LockError, lock_file};
use crate::store::schema::{APPLICATION, MIGRATIONS};
use crate::store::{Batch, Change, GivenBy, Kind, LogEntry, Store, StoreError};

const DATABASE: &str = "lab.db";
const LOCK: &str = "lab.lock";
/// The files of a data folder.
pub(crate) const FILES: [&str; 4] = [DATABASE, "lab.db-wal", "lab.db-shm", LOCK];
/// The longest wait for another program that reads the database at the moment of a write.
const PATIENCE: Duration = Duration::from_secs(5);

/// The store in a folder.
#[derive(Debug)]
pub(crate) struct SqliteStore {
    file: PathBuf,
    connection: Mutex<Connection>,
    /// Locked until the store is dropped or the process ends.
    _lock: File,
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
        let lock = lock_file(&folder.join(LOCK)).map_err(|error| match error {
            LockError::InUse { by } => StoreError::InUse { folder: folder.to_owned(), by },
            LockError::Io(source) => bad(source),
        })?;
        let file = folder.join(DATABASE);
        OpenOptions::new().create(true).append(true).mode(0o600).open(&file).map_err(bad)?;
        let connection = Connection::open(&file).map_err(|error| failed(&file, &error))?;
        let store = Self { file, connection: Mutex::new(connection), _lock: lock };
        store.prepare()?;
        Ok(store)
    }

    /// Checks whose database it is and whether it is whole, and brings it to this program's version.
    fn prepare(&self) -> Result<(), StoreError> {
        let mut connection = self.connection();
        let here = |error: rusqlite::Error| failed(&self.file, &error);
        connection.busy_timeout(PATIENCE).map_err(here)?;
        let number = |name: &str, connection: &Connection| {
            connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(here)
        };
        let (application, version) =
            (number("application_id", &connection)?, number("user_version", &connection)?);
        let is_new = application == 0 && version == 0 && number("schema_version", &connection)? == 0;
        if !is_new && application != APPLICATION {
            return Err(StoreError::Foreign { file: self.file.clone() });
        }
        let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
        if version > known {
            return Err(StoreError::Newer { file: self.file.clone(), found: version, known });
        }
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
        transaction.commit().map_err(here)
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
        let written = connection.transaction().and_then(|transaction| {
            write(&transaction)?;
            transaction.commit()
        });
        written.map_err(|error| failed(&self.file, &error))
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

impl Store for SqliteStore {
    fn append(&self, change: &Change, by: GivenBy, at: Timestamp, with: &Batch) -> Result<(), StoreError> {
        let (json, files) = change.written().map_err(|error| self.invalid("a change".to_owned(), &error))?;
        self.in_one_step(|to| {
            to.execute(
                "INSERT INTO log (at, given_by, change) VALUES (?1, ?2, ?3)",
                params![at.as_millis(), by.name(), json],
            )?;
            let sequence = to.last_insert_rowid();
            for (number, content) in files.iter().enumerate() {
                to.execute(
                    "INSERT INTO log_file (sequence, number, content) VALUES (?1, ?2, ?3)",
                    params![sequence, i64::try_from(number).unwrap_or(i64::MAX), &content[..]],
                )?;
            }
            write(to, with)
        })
    }

    fn write(&self, batch: &Batch) -> Result<(), StoreError> {
        self.in_one_step(|to| write(to, batch))
    }

    fn read_log(&self, each: &mut dyn FnMut(LogEntry) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let here = |error: rusqlite::Error| failed(&self.file, &error);
        let connection = self.connection();
        let mut contents = connection
            .prepare("SELECT content FROM log_file WHERE sequence = ?1 ORDER BY number")
            .map_err(here)?;
        let mut entries =
            connection.prepare("SELECT sequence, at, change FROM log ORDER BY sequence").map_err(here)?;
        let mut rows = entries.query([]).map_err(here)?;
        let mut expected = 1;
        while let Some(row) = rows.next().map_err(here)? {
            let (sequence, at): (i64, i64) = (row.get(0).map_err(here)?, row.get(1).map_err(here)?);
            if sequence != expected {
                let why = format!("entry {expected} of the log is missing");
                return Err(StoreError::Damaged { file: self.file.clone(), why });
            }
            expected += 1;
            let files = contents
                .query_map([sequence], |row| row.get::<_, Vec<u8>>(0).map(Bytes::from))
                .and_then(Iterator::collect)
                .map_err(here)?;
            let json = row.get_ref(2).map_err(here)?.as_str().unwrap_or_default();
            let change = Change::read(json, files)
                .map_err(|error| self.invalid(format!("entry {sequence} of the log"), &error))?;
            each(LogEntry { sequence, at: Timestamp::from_millis(at), change })?;
        }
        Ok(())
    }

    fn clients(&self) -> Result<Vec<ClientStatus>, StoreError> {
        let rows = self.read_all(
            "SELECT record, last_seen.at FROM client LEFT JOIN last_seen USING (agent) WHERE ?1 = ''",
            "",
            |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<i64>>(1)?)),
        )?;
        let client = |(record, seen): (String, Option<i64>)| {
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
        self.read_all(
            "SELECT name, content FROM document WHERE kind = ?1 ORDER BY name",
            kind.name(),
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
    }

    fn clear(&self) -> Result<(), StoreError> {
        self.in_one_step(|to| {
            to.execute_batch(
                "DELETE FROM log_file; DELETE FROM log; DELETE FROM client; DELETE FROM last_seen; DELETE FROM document;",
            )
        })
    }

    fn invalid(&self, what: String, why: &dyn fmt::Display) -> StoreError {
        StoreError::Invalid { file: self.file.clone(), what, why: why.to_string() }
    }
}

fn write(to: &Transaction<'_>, batch: &Batch) -> rusqlite::Result<()> {
    if batch.forgets_clients {
        to.execute_batch("DELETE FROM client; DELETE FROM last_seen;")?;
    }
    for agent in &batch.removed {
        to.execute("DELETE FROM client WHERE agent = ?1", [key(*agent)])?;
        to.execute("DELETE FROM last_seen WHERE agent = ?1", [key(*agent)])?;
    }
    let mut record = to.prepare("INSERT OR REPLACE INTO client (agent, record) VALUES (?1, ?2)")?;
    let mut seen = to.prepare("INSERT OR REPLACE INTO last_seen (agent, at) VALUES (?1, ?2)")?;
    for client in &batch.clients {
        let agent = client.client.agent;
        let json = serde_json::to_string(client)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))?;
        record.execute(params![key(agent), json])?;
        seen.execute(params![key(agent), client.last_seen.as_millis()])?;
    }
    for (agent, at) in &batch.seen {
        seen.execute(params![key(*agent), at.as_millis()])?;
    }
    for kind in &batch.cleared {
        to.execute("DELETE FROM document WHERE kind = ?1", [kind.name()])?;
    }
    let mut put = to.prepare("INSERT OR REPLACE INTO document (kind, name, content) VALUES (?1, ?2, ?3)")?;
    for (kind, name, content) in &batch.documents {
        match content {
            Some(content) => put.execute(params![kind.name(), name, content])?,
            None => {
                to.execute("DELETE FROM document WHERE kind = ?1 AND name = ?2", params![kind.name(), name])?
            }
        };
    }
    Ok(())
}

fn key(agent: AgentId) -> [u8; 16] {
    let AgentId(id) = agent;
    let id: Guid = id;
    *id.as_bytes()
}

fn failed(file: &Path, error: &rusqlite::Error) -> StoreError {
    let (file, why) = (file.to_owned(), error.to_string());
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => StoreError::Damaged { file, why },
        _ => StoreError::Failed { file, why },
    }
}
