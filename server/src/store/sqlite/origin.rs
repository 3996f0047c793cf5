//! Whether a database is the store's, of a version that is known, and has nothing that would not be read.

use std::path::Path;

use rusqlite::Connection;

use super::failed::failed;
use crate::store::schema::{APPLICATION, MIGRATIONS};
use crate::store::{Kind, StoreError};

/// Checks whose database it is; returns its version and the newest one that is known.
pub(super) fn check_origin(file: &Path, connection: &Connection) -> Result<(i64, i64), StoreError> {
    let number = |name: &str| {
        let value = connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        value.map_err(|error| failed(file, &error))
    };
    let (application, version) = (number("application_id")?, number("user_version")?);
    let is_new = application == 0 && version == 0 && number("schema_version")? == 0;
    if !is_new && application != APPLICATION {
        return Err(StoreError::Foreign { file: file.to_owned() });
    }
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if version > known {
        return Err(StoreError::Newer { file: file.to_owned(), found: version, known });
    }
    // Before anything is read: in the place of a table, a foreign view could be without an end, and a foreign trigger would run with
    // the next change.
    let here = |error: rusqlite::Error| failed(file, &error);
    if schema(connection).map_err(here)? != schema_of(version).map_err(here)? {
        let why = "its tables and views are not those of epm-lab".to_owned();
        return Err(StoreError::Damaged { file: file.to_owned(), why });
    }
    Ok((version, known))
}

/// The text of every table, view, index and trigger.
fn schema(of: &Connection) -> rusqlite::Result<Vec<Option<String>>> {
    let mut statement = of.prepare("SELECT sql FROM sqlite_schema ORDER BY type, name")?;
    let texts = statement.query_map([], |row| row.get(0))?;
    texts.collect()
}

/// The schema of a new database of a version.
fn schema_of(version: i64) -> rusqlite::Result<Vec<Option<String>>> {
    let new = Connection::open_in_memory()?;
    let migrations = &MIGRATIONS[..usize::try_from(version).unwrap_or(0)];
    migrations.iter().try_for_each(|migration| new.execute_batch(migration))?;
    schema(&new)
}

/// Refuses documents of a kind that no reader asks for: they would be lost without a word.
pub(super) fn refuse_unknown_kinds(file: &Path, connection: &Connection) -> Result<(), StoreError> {
    let here = |error: rusqlite::Error| failed(file, &error);
    let mut kinds = connection.prepare("SELECT DISTINCT kind FROM document").map_err(here)?;
    let kinds = kinds.query_map([], |row| row.get::<_, String>(0)).map_err(here)?;
    for kind in kinds {
        let kind = kind.map_err(here)?;
        if Kind::ALL.iter().all(|known| known.name() != kind) {
            let why = format!("a document of the kind {kind:?} is not what was written");
            return Err(StoreError::Damaged { file: file.to_owned(), why });
        }
    }
    Ok(())
}
