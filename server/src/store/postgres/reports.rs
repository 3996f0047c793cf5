//! Reads and writes reports of clients that run elsewhere. They are no part of the log: each replaces the one before.

use std::time::Duration;

use epm_protocol::time::Timestamp;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Row};

use super::column::read;
use super::trouble::Trouble;
use crate::store::{ReportKey, StoredReport};

/// Puts a report in the place of earlier ones.
pub(super) async fn put(client: &Client, stored: &StoredReport) -> Result<(), Trouble> {
    let Some(report) = &stored.report else { return Ok(()) };
    // This program's own type, which serialises.
    let content = serde_json::to_string(report).unwrap_or_default();
    let (part, parts) = (number(stored.part), number(report.parts));
    let (heard, origin) = (stored.heard.as_millis(), stored.origin);
    let (origin_source, origin_lab) = (origin.0.as_millis(), origin.1.as_millis());
    let put = "WITH earlier AS (DELETE FROM epm_lab.report WHERE source = $1 AND part <> $2 AND (instance IS DISTINCT FROM $3 OR part > $4)) \
               INSERT INTO epm_lab.report AS known (source, part, instance, number, came, heard, origin_source, origin_lab, content) \
               VALUES ($1, $2, $3, nextval('epm_lab.report_number'), clock_timestamp(), $5, $6, $7, $8) \
               ON CONFLICT (source, part) DO UPDATE SET \
               origin_source = coalesce(CASE WHEN known.instance = excluded.instance THEN known.origin_source END, excluded.origin_source), \
               origin_lab = coalesce(CASE WHEN known.instance = excluded.instance THEN known.origin_lab END, excluded.origin_lab), \
               instance = excluded.instance, number = excluded.number, came = excluded.came, heard = excluded.heard, \
               content = excluded.content";
    let columns: [(&(dyn ToSql + Sync), Type); 8] = [
        (&stored.source, Type::TEXT),
        (&part, Type::INT4),
        (&report.instance, Type::TEXT),
        (&parts, Type::INT4),
        (&heard, Type::INT8),
        (&origin_source, Type::INT8),
        (&origin_lab, Type::INT8),
        (&content, Type::TEXT),
    ];
    client.query_typed(put, &columns).await?;
    Ok(())
}

/// The rows of all reports; those with these numbers without their content. A report that comes from the future has no age.
pub(super) async fn all(client: &Client, known: &[i64]) -> Result<Vec<Row>, Trouble> {
    let query = "SELECT source, part, number, CASE WHEN came < clock_timestamp() + interval '5 seconds' THEN \
                 (greatest(extract(epoch FROM clock_timestamp() - greatest(came, 'epoch')), 0) * 1000)::bigint END AS came, \
                 heard, origin_source, origin_lab, CASE WHEN number = ANY($1) THEN NULL ELSE content END AS content, \
                 number = ANY($1) AS is_known FROM epm_lab.report";
    Ok(client.query_typed(query, &[(&known, Type::INT8_ARRAY)]).await?)
}

/// The report in a row.
pub(super) fn report(row: &Row) -> Result<StoredReport, Trouble> {
    let (source, part) = key(row)?;
    let number = |column| read::<i64>(row, "report", column);
    let time = |column| number(column).map(Timestamp::from_millis);
    let of = number("number")?;
    let mut bytes = 0;
    let report = if read(row, "report", "is_known")? {
        None
    } else {
        let content: &str = read(row, "report", "content")?;
        bytes = content.len();
        Some(serde_json::from_str(content).map_err(|error| {
            Trouble::damaged(format!(
                "the report of {source:?}, part {part}, is not what was written: {error}"
            ))
        })?)
    };
    Ok(StoredReport {
        number: of,
        age: Duration::from_millis(number("came")?.unsigned_abs()),
        heard: time("heard")?,
        origin: (time("origin_source")?, time("origin_lab")?),
        part,
        bytes,
        report,
        source,
    })
}

/// What tells the row of a report apart.
pub(super) fn key(row: &Row) -> Result<ReportKey, Trouble> {
    Ok((read(row, "report", "source")?, read::<i32>(row, "report", "part")?.unsigned_abs()))
}

/// Forgets the reports of a source. Returns whether there were any.
pub(super) async fn forget(client: &Client, source: &str) -> Result<bool, Trouble> {
    let forget = "DELETE FROM epm_lab.report WHERE source = $1 RETURNING part";
    Ok(!client.query_typed(forget, &[(&source, Type::TEXT)]).await?.is_empty())
}

fn number(part: u32) -> i32 {
    i32::try_from(part).unwrap_or(i32::MAX)
}
