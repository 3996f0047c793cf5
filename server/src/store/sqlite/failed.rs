//! What an error of the database means, and what a failed commit leaves in the write-ahead log.

use std::path::Path;

use rusqlite::{Connection, Error, ErrorCode};

use crate::store::StoreError;

/// The error of the store for one of the database.
pub(super) fn failed(file: &Path, error: &rusqlite::Error) -> StoreError {
    let (file, why) = (file.to_owned(), error.to_string());
    // A value of another type than was written.
    let is_unreadable = matches!(
        error,
        Error::Utf8Error(..) | Error::InvalidColumnType(..) | Error::FromSqlConversionFailure(..)
    );
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => StoreError::Damaged { file, why },
        _ if is_unreadable => StoreError::Damaged { file, why },
        _ => StoreError::Failed { file, why },
    }
}

/// The error of a write that was rolled back. After an I/O error nothing of the write is left in the file, unless the error says so.
pub(super) fn refused(connection: &Connection, file: &Path, error: &rusqlite::Error) -> StoreError {
    let is_io = error.sqlite_error_code() == Some(ErrorCode::SystemIoFailure);
    if is_io && overwrite(connection).is_err() {
        let why =
            format!("{error}; if the lab is killed now, its next start may find the change all the same");
        return StoreError::Failed { file: file.to_owned(), why };
    }
    failed(file, error)
}

/// Puts a commit without a change over the frames of one that was refused, in the file, without a sync.
///
/// A commit is written before it is synced. Where the sync fails, SQLite has rolled it back for this process, and its frames are whole
/// all the same: a process that opened the database now would find the change that was refused.
fn overwrite(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "synchronous", "OFF")?;
    let overwritten = connection.execute_batch(
        "BEGIN IMMEDIATE;
         INSERT INTO written VALUES (0);
         DELETE FROM written WHERE rowid = last_insert_rowid();
         COMMIT;",
    );
    if !connection.is_autocommit() {
        connection.execute_batch("ROLLBACK")?;
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    overwritten
}
