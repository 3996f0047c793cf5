//! Reads and writes what the processes of a site share beside its log: baselines and registered expectations.

use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::column::read;
use super::trouble::Trouble;
use crate::store::{DocumentKey, Kind, SharedDocument};

/// Puts a document in the place of one of that kind and name. Returns its number.
pub(super) async fn put(client: &Client, kind: Kind, name: &str, content: &str) -> Result<i64, Trouble> {
    let put = "INSERT INTO epm_lab.document (kind, name, number, content) \
               VALUES ($1, $2, nextval('epm_lab.document_number'), $3) \
               ON CONFLICT (kind, name) DO UPDATE SET number = excluded.number, content = excluded.content RETURNING number";
    let columns: [(&(dyn ToSql + Sync), Type); 3] =
        [(&kind.name(), Type::TEXT), (&name, Type::TEXT), (&content, Type::TEXT)];
    read(&client.query_typed_one(put, &columns).await?, "document", "number")
}

/// The rows of all documents; those with these numbers without their content.
pub(super) async fn all(client: &Client, known: &[i64]) -> Result<Vec<Row>, Trouble> {
    let query = "SELECT kind, name, number, CASE WHEN number = ANY($1) THEN NULL ELSE content END AS content, \
                 number = ANY($1) AS is_known FROM epm_lab.document";
    Ok(client.query_typed(query, &[(&known, Type::INT8_ARRAY)]).await?)
}

/// The document in a row.
pub(super) fn document(row: &Row) -> Result<SharedDocument, Trouble> {
    let text = |column| read::<&str>(row, "document", column);
    let (kind, name) = (text("kind")?, text("name")?.to_owned());
    let known = Kind::ALL.into_iter().find(|one| one.name() == kind);
    let kind =
        known.ok_or_else(|| Trouble::damaged(format!("document {name:?} of an unknown kind, {kind:?}")))?;
    let number = read(row, "document", "number")?;
    let is_known: bool = read(row, "document", "is_known")?;
    let content = if is_known { None } else { Some(text("content")?.to_owned()) };
    Ok(SharedDocument { kind, name, number, content })
}

/// What tells the row of a document apart.
pub(super) fn key(row: &Row) -> Result<DocumentKey, Trouble> {
    Ok((read(row, "document", "kind")?, read(row, "document", "name")?))
}

/// Removes a document.
pub(super) async fn remove(client: &Client, kind: Kind, name: &str) -> Result<(), Trouble> {
    let remove = "DELETE FROM epm_lab.document WHERE kind = $1 AND name = $2 RETURNING number";
    client.query_typed(remove, &[(&kind.name(), Type::TEXT), (&name, Type::TEXT)]).await?;
    Ok(())
}
