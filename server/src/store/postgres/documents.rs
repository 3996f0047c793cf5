//! Reads and writes what the processes of a site share beside its log: baselines and registered expectations.

use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use super::column::read;
use super::trouble::Trouble;
use crate::store::{Kind, SharedDocument};

/// Puts a document in the place of one of that kind and name. Returns its number.
pub(super) async fn put(client: &Client, kind: Kind, name: &str, content: &str) -> Result<i64, Trouble> {
    let put = "INSERT INTO epm_lab.document (kind, name, number, content) \
               VALUES ($1, $2, nextval('epm_lab.document_number'), $3) \
               ON CONFLICT (kind, name) DO UPDATE SET number = excluded.number, content = excluded.content RETURNING number";
    let columns: [(&(dyn ToSql + Sync), Type); 3] =
        [(&kind.name(), Type::TEXT), (&name, Type::TEXT), (&content, Type::TEXT)];
    read(&client.query_typed_one(put, &columns).await?, "document", "number")
}

/// Every document; those with these numbers without their content.
pub(super) async fn all(client: &Client, known: &[i64]) -> Result<Vec<SharedDocument>, Trouble> {
    let query = "SELECT kind, name, number, CASE WHEN number = ANY($1) THEN NULL ELSE content END AS content FROM epm_lab.document";
    let rows = client.query_typed(query, &[(&known, Type::INT8_ARRAY)]).await?;
    let document = |row: &tokio_postgres::Row| {
        let kind: &str = read(row, "document", "kind")?;
        let known = Kind::ALL.into_iter().find(|one| one.name() == kind);
        let kind =
            known.ok_or_else(|| Trouble::damaged(format!("a document of an unknown kind, {kind:?}")))?;
        let (name, number) = (read(row, "document", "name")?, read(row, "document", "number")?);
        Ok(SharedDocument { kind, name, number, content: read(row, "document", "content")? })
    };
    rows.iter().map(document).collect()
}

/// Removes a document.
pub(super) async fn remove(client: &Client, kind: Kind, name: &str) -> Result<(), Trouble> {
    let remove = "DELETE FROM epm_lab.document WHERE kind = $1 AND name = $2 RETURNING number";
    client.query_typed(remove, &[(&kind.name(), Type::TEXT), (&name, Type::TEXT)]).await?;
    Ok(())
}
