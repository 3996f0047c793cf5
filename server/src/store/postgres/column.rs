//! Reads a column of a row: the tables may have been altered.

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use super::place::Place;
use super::trouble::Trouble;
use crate::store::{Rows, StoreError};

/// The types of the columns of the tables.
const TYPES: [Type; 5] = [Type::TEXT, Type::INT8, Type::INT4, Type::BOOL, Type::BYTEA];

/// Reads a column of a row of this table. The first column tells the rows of a table apart.
pub(super) fn read<'a, T: FromSql<'a>>(row: &'a Row, table: &str, column: &str) -> Result<T, Trouble> {
    row.try_get(column).map_err(|_| not_read(row, table, column, T::accepts))
}

/// Reads each row for itself.
///
/// # Errors
///
/// When a row cannot even be told apart from others.
pub(super) fn sorted<K, T>(
    rows: &[Row],
    place: &Place,
    key: impl Fn(&Row) -> Result<K, Trouble>,
    one: impl Fn(&Row) -> Result<T, Trouble>,
) -> Result<Rows<K, T>, StoreError> {
    let mut sorted = Rows { read: Vec::new(), damaged: Vec::new() };
    for row in rows {
        match one(row) {
            Ok(read) => sorted.read.push(read),
            Err(error) => {
                sorted.damaged.push((key(row).map_err(|error| error.at(place))?, error.at(place)));
            }
        }
    }
    Ok(sorted)
}

/// Why a column cannot be read: it has another type, or is NULL.
fn not_read(row: &Row, table: &str, column: &str, is_type: fn(&Type) -> bool) -> Trouble {
    let first = || {
        let text = row.try_get::<_, &str>(0).map(|text| format!("{text:?}"));
        let number = || row.try_get::<_, i64>(0).map(|number| number.to_string());
        let bytes = || row.try_get::<_, &[u8]>(0).map(|bytes| data_encoding::HEXLOWER.encode(bytes));
        text.or_else(|_| number()).or_else(|_| bytes()).ok()
    };
    let is_first = row.columns().first().is_some_and(|one| one.name() == column);
    let of = first().filter(|_| !is_first).map(|first| format!(" of the row {first}")).unwrap_or_default();
    let expected = TYPES.iter().find(|one| is_type(one)).map_or("another type", Type::name);
    let found = match row.columns().iter().find(|one| one.name() == column).map(|one| one.type_()) {
        None => "no such column",
        Some(found) if is_type(found) => "NULL",
        Some(found) => found.name(),
    };
    Trouble::damaged(format!("column {column}{of} of the table {table}: expected {expected}, found {found}"))
}
