//! Reads and writes the rows of the database: entries of the log, and clients.

use bytes::Bytes;
use epm_protocol::heartbeat::OperationalState;
use epm_protocol::id::{AgentId, Guid};
use epm_protocol::policy::PolicySerial;
use epm_protocol::site::RegisteredClient;
use epm_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::column::read;
use super::trouble::Trouble;
use crate::runtime::clients::{ChangedClients, ClientStatus};
use crate::store::checksum::entry_checksum;
use crate::store::{Batch, Change, ClientNews, GivenBy, LastEntry, LogEntry};

/// Number of entries that are read at once.
pub(super) const PAGE: i64 = 500;

/// Milliseconds by which the clocks of two machines may differ: each may be five seconds off.
const APART: i64 = 10_000;

/// What a client's visits change.
#[derive(Serialize, Deserialize)]
struct Visit {
    manager: Option<String>,
    serial: Option<PolicySerial>,
    state: Option<OperationalState>,
}

/// Columns of clients that are written in one statement.
#[derive(Default)]
struct Columns {
    agents: Vec<Vec<u8>>,
    registrations: Vec<String>,
    visits: Vec<String>,
    since: Vec<i64>,
    seen: Vec<i64>,
}

impl Columns {
    fn of<'a>(clients: impl IntoIterator<Item = &'a ClientStatus>) -> Self {
        let mut columns = Self::default();
        for one in clients {
            let ClientStatus { client, since, last_seen, manager, serial, state } = one;
            let visit = Visit { manager: manager.clone(), serial: *serial, state: state.clone() };
            // This program's own types, which serialise.
            let json = |value: serde_json::Result<String>| value.unwrap_or_default();
            columns.agents.push(key(client.agent));
            columns.registrations.push(json(serde_json::to_string(client)));
            columns.visits.push(json(serde_json::to_string(&visit)));
            columns.since.push(since.as_millis());
            columns.seen.push(last_seen.as_millis());
        }
        columns
    }
}

/// Number of the last entry of the log, as the site has it.
pub(super) async fn last_sequence(client: &Client) -> Result<i64, Trouble> {
    let row = client.query_typed_one("SELECT last_sequence FROM epm_lab.site", &[]).await?;
    read(&row, "site", "last_sequence")
}

/// The error of a log that lacks an entry.
pub(super) fn missing(entry: i64) -> Trouble {
    Trouble::damaged(format!(
        "entry {entry} of the log is missing: put a backup of the database back, or found the site anew in another database"
    ))
}

/// Reads at most a page of the entries after this one.
pub(super) async fn entries_after(client: &Client, after: i64) -> Result<Vec<LogEntry>, Trouble> {
    let query = "SELECT sequence, at, given_by, change, checksum, floor(extract(epoch FROM written) * 1000)::bigint AS written \
                 FROM epm_lab.log WHERE sequence > $1 ORDER BY sequence LIMIT $2";
    let rows = client.query_typed(query, &[(&after, Type::INT8), (&PAGE, Type::INT8)]).await?;
    let Some(last) = rows.last() else { return Ok(Vec::new()) };
    let last: i64 = read(last, "log", "sequence")?;
    let query = "SELECT sequence, content FROM epm_lab.log_file WHERE sequence > $1 AND sequence <= $2 ORDER BY sequence, number";
    let files = client.query_typed(query, &[(&after, Type::INT8), (&last, Type::INT8)]).await?;
    let file = |row: &Row| {
        let content: &[u8] = read(row, "log_file", "content")?;
        Ok((read::<i64>(row, "log_file", "sequence")?, Bytes::copy_from_slice(content)))
    };
    let files = files.iter().map(file).collect::<Result<Vec<_>, Trouble>>()?;
    let mut files = files.into_iter().peekable();
    let mut entries = Vec::with_capacity(rows.len());
    for (row, expected) in rows.iter().zip(after + 1..) {
        let number = |column| read::<i64>(row, "log", column);
        let (sequence, at) = (number("sequence")?, number("at")?);
        if sequence != expected {
            return Err(missing(expected));
        }
        let own = std::iter::from_fn(|| files.next_if(|(of, _)| *of == sequence));
        let own: Vec<Bytes> = own.map(|(_, content)| content).collect();
        let (given_by, json): (&str, &str) = (read(row, "log", "given_by")?, read(row, "log", "change")?);
        if number("checksum")? != entry_checksum(sequence, at, given_by, json, &own) {
            return Err(Trouble::damaged(format!("entry {sequence} of the log is not what was written")));
        }
        let change = Change::read(json, own).map_err(|error| {
            Trouble::damaged(format!("entry {sequence} of the log cannot be used: {error}"))
        })?;
        let written = Some(Timestamp::from_millis(number("written")?));
        entries.push(LogEntry { sequence, at: Timestamp::from_millis(at), written, change });
    }
    Ok(entries)
}

/// Checks that the log still has the last entry that the process has followed: a database that was put back to an earlier state has
/// none of this number, or another one.
pub(super) async fn check_last(client: &Client, last: LastEntry) -> Result<(), Trouble> {
    if last.sequence == 0 {
        return Ok(());
    }
    let query = "SELECT at FROM epm_lab.log WHERE sequence = $1";
    let rows = client.query_typed(query, &[(&last.sequence, Type::INT8)]).await?;
    if let Some(row) = rows.first()
        && read::<i64>(row, "log", "at")? == last.at.as_millis()
    {
        return Ok(());
    }
    Err(Trouble::Other(format!(
        "it was put back to an earlier state: entry {} of its log, which this process has followed, is gone; restart every manager",
        last.sequence
    )))
}

/// Adds an entry to the log.
pub(super) async fn append(
    client: &Client,
    sequence: i64,
    change: &Change,
    by: GivenBy,
    at: Timestamp,
) -> Result<(), Trouble> {
    let (json, files) = change.written().map_err(|error| Trouble::damaged(format!("a change: {error}")))?;
    let (at, by) = (at.as_millis(), by.name());
    let check = entry_checksum(sequence, at, by, &json, &files);
    let files: Vec<&[u8]> = files.iter().map(|file| &file[..]).collect();
    let insert = "WITH entry AS (INSERT INTO epm_lab.log (sequence, at, given_by, change, checksum) VALUES ($1, $2, $3, $4, $5)) \
                  INSERT INTO epm_lab.log_file (sequence, number, content) \
                  SELECT $1, number, content FROM unnest($6) WITH ORDINALITY AS file (content, number)";
    let columns: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 6] = [
        (&sequence, Type::INT8),
        (&at, Type::INT8),
        (&by, Type::TEXT),
        (&json, Type::TEXT),
        (&check, Type::INT8),
        (&files, Type::BYTEA_ARRAY),
    ];
    client.query_typed(insert, &columns).await?;
    Ok(())
}

/// Writes what a change does to records of clients, at this revision. Returns whether there was anything.
pub(super) async fn write_batch(client: &Client, batch: &Batch, revision: i64) -> Result<bool, Trouble> {
    if batch.forgets_clients {
        let forget = "UPDATE epm_lab.client SET is_gone = true, revision = $1 WHERE NOT is_gone";
        client.query_typed(forget, &[(&revision, Type::INT8)]).await?;
    }
    if !batch.removed.is_empty() {
        let agents: Vec<Vec<u8>> = batch.removed.iter().map(|agent| key(*agent)).collect();
        let forget = "UPDATE epm_lab.client SET is_gone = true, revision = $1 WHERE agent = ANY($2)";
        client.query_typed(forget, &[(&revision, Type::INT8), (&agents, Type::BYTEA_ARRAY)]).await?;
    }
    // The change was decided on the newest records.
    register(client, &batch.clients, revision, i64::MAX).await?;
    Ok(batch.forgets_clients || !batch.removed.is_empty() || !batch.clients.is_empty())
}

/// Writes the clients that a process has changed, at this revision. The registration of one that others have changed after `after`
/// stays as theirs.
pub(super) async fn write_clients(
    client: &Client,
    own: &ChangedClients,
    revision: i64,
    after: i64,
) -> Result<(), Trouble> {
    register(client, &own.changed, revision, after).await?;
    if own.visited.is_empty() {
        return Ok(());
    }
    let Columns { agents, visits, seen, .. } = Columns::of(&own.visited);
    // Machines' clocks differ a little. An older visit that was written after a newer one is right again with the next heartbeat.
    let update = "UPDATE epm_lab.client AS known \
                  SET visit = new.visit, last_seen = greatest(known.last_seen, new.seen), revision = $4 \
                  FROM unnest($1, $2, $3) AS new (agent, visit, seen) \
                  WHERE known.agent = new.agent AND NOT known.is_gone AND new.seen + $5 >= known.last_seen";
    let columns: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 5] = [
        (&agents, Type::BYTEA_ARRAY),
        (&visits, Type::TEXT_ARRAY),
        (&seen, Type::INT8_ARRAY),
        (&revision, Type::INT8),
        (&APART, Type::INT8),
    ];
    client.query_typed(update, &columns).await?;
    Ok(())
}

/// Writes when clients were last seen.
pub(super) async fn write_seen(client: &Client, seen: &[(AgentId, Timestamp)]) -> Result<(), Trouble> {
    if seen.is_empty() {
        return Ok(());
    }
    let agents: Vec<Vec<u8>> = seen.iter().map(|(agent, _)| key(*agent)).collect();
    let times: Vec<i64> = seen.iter().map(|(_, at)| at.as_millis()).collect();
    let update = "UPDATE epm_lab.client AS known SET last_seen = new.seen FROM unnest($1, $2) AS new (agent, seen) \
                  WHERE known.agent = new.agent AND new.seen > known.last_seen";
    client.query_typed(update, &[(&agents, Type::BYTEA_ARRAY), (&times, Type::INT8_ARRAY)]).await?;
    Ok(())
}

/// The clients whose records have changed after this revision.
pub(super) async fn clients_after(client: &Client, after: i64) -> Result<ClientNews, Trouble> {
    let query = "SELECT agent, registration, visit, since, last_seen, is_gone, revision FROM epm_lab.client WHERE revision > $1";
    let rows = client.query_typed(query, &[(&after, Type::INT8)]).await?;
    let mut news = ClientNews { revision: after, ..ClientNews::default() };
    for row in &rows {
        news.revision = news.revision.max(read(row, "client", "revision")?);
        if read(row, "client", "is_gone")? {
            news.removed.push(agent_of(row)?);
        } else {
            news.clients.push(status(row)?);
        }
    }
    Ok(news)
}

/// The clients that any manager has seen after this lab time, each with when.
pub(super) async fn seen_after(client: &Client, at: Timestamp) -> Result<Vec<(AgentId, Timestamp)>, Trouble> {
    let query = "SELECT agent, last_seen FROM epm_lab.client WHERE last_seen > $1 AND NOT is_gone";
    let rows = client.query_typed(query, &[(&at.as_millis(), Type::INT8)]).await?;
    rows.iter().map(|row| Ok((agent_of(row)?, time(row, "last_seen")?))).collect()
}

/// A time of a client.
fn time(row: &Row, column: &str) -> Result<Timestamp, Trouble> {
    read(row, "client", column).map(Timestamp::from_millis)
}

/// The identifier of a client.
fn agent_of(row: &Row) -> Result<AgentId, Trouble> {
    let agent = <[u8; 16]>::try_from(read::<&[u8]>(row, "client", "agent")?)
        .map_err(|_| Trouble::damaged("the identifier of a client is not what was written".to_owned()))?;
    Ok(AgentId(Guid::from_bytes(agent)))
}

async fn register(
    client: &Client,
    clients: &[ClientStatus],
    revision: i64,
    after: i64,
) -> Result<(), Trouble> {
    if clients.is_empty() {
        return Ok(());
    }
    let Columns { agents, registrations, visits, since, seen } = Columns::of(clients);
    let insert = "INSERT INTO epm_lab.client AS known (agent, registration, visit, since, last_seen, is_gone, revision) \
                  SELECT agent, registration, visit, since, seen, false, $6 \
                  FROM unnest($1, $2, $3, $4, $5) AS new (agent, registration, visit, since, seen) \
                  ON CONFLICT (agent) DO UPDATE SET \
                  registration = CASE WHEN known.revision > $7 AND NOT known.is_gone THEN known.registration ELSE excluded.registration END, \
                  visit = CASE WHEN known.is_gone OR excluded.last_seen + $8 >= known.last_seen THEN excluded.visit ELSE known.visit END, \
                  since = CASE WHEN known.is_gone THEN excluded.since ELSE least(known.since, excluded.since) END, \
                  last_seen = CASE WHEN known.is_gone THEN excluded.last_seen ELSE greatest(known.last_seen, excluded.last_seen) END, \
                  is_gone = false, revision = excluded.revision";
    let columns: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 8] = [
        (&agents, Type::BYTEA_ARRAY),
        (&registrations, Type::TEXT_ARRAY),
        (&visits, Type::TEXT_ARRAY),
        (&since, Type::INT8_ARRAY),
        (&seen, Type::INT8_ARRAY),
        (&revision, Type::INT8),
        (&after, Type::INT8),
        (&APART, Type::INT8),
    ];
    client.query_typed(insert, &columns).await?;
    Ok(())
}

fn status(row: &Row) -> Result<ClientStatus, Trouble> {
    let agent = agent_of(row)?;
    let invalid = |error: serde_json::Error| {
        Trouble::damaged(format!("the record of the client {agent} cannot be used: {error}"))
    };
    let text = |column| read(row, "client", column);
    let (since, last_seen) = (time(row, "since")?, time(row, "last_seen")?);
    let client: RegisteredClient = serde_json::from_str(text("registration")?).map_err(invalid)?;
    let Visit { manager, serial, state } = serde_json::from_str(text("visit")?).map_err(invalid)?;
    Ok(ClientStatus { client, since, last_seen, manager, serial, state })
}

fn key(agent: AgentId) -> Vec<u8> {
    let AgentId(id) = agent;
    let id: Guid = id;
    id.as_bytes().to_vec()
}
