//! The session in which a process follows its site: notifications, its name, and what it is seen by.

use std::sync::Arc;
use std::time::Duration;

use epm_client_agent::wire::wait;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::column::read;
use super::connection::{Session, connect};
use super::state::Shared;
use super::trouble::{LIMIT, Trouble};
use crate::store::{LinkState, StoreError};

/// The pauses between two attempts to reach a database: from the first one, twice as long each time.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How often a process says that it is there, and asks whether the database is.
const TICK: Duration = Duration::from_secs(1);
/// The longest wait for the session of a process that was killed a moment ago.
pub(super) const NAME_PATIENCE: Duration = Duration::from_secs(12);

/// A manager as the others see it.
#[derive(Clone, Debug)]
pub(crate) struct Presence {
    /// Name of the manager.
    pub(crate) name: String,
    /// Name of the process that no other one has.
    pub(crate) instance: String,
    /// Name of the machine.
    pub(crate) host: String,
}

/// A process that is a manager, or was.
#[derive(Debug)]
pub(crate) struct Process {
    /// Name of the manager.
    pub(crate) name: String,
    /// The process and its machine.
    pub(crate) place: String,
    /// When it was there last, by the database's clock.
    pub(crate) seen: String,
    /// Whether that was in the last five seconds.
    pub(crate) runs: bool,
}

/// The processes that are managers, or were.
pub(super) async fn processes(client: &Client) -> Result<Vec<Process>, Trouble> {
    let query = "SELECT name, 'process ' || process || ' on ' || host AS place, \
                 to_char(seen AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS seen, \
                 seen > clock_timestamp() - interval '5 seconds' AS runs FROM epm_lab.manager";
    let rows = client.query_typed(query, &[]).await?;
    let process = |row: &Row| {
        let text = |column| read(row, "manager", column);
        let (name, place, seen) = (text("name")?, text("place")?, text("seen")?);
        Ok(Process { name, place, seen, runs: read(row, "manager", "runs")? })
    };
    rows.iter().map(process).collect()
}

/// Takes the name of a manager, and begins to be seen. Waits a while for the session of a process that has just ended.
pub(super) async fn attach(shared: &Shared, presence: &Presence) -> Result<Session, StoreError> {
    let here = |trouble: Trouble| trouble.at(&shared.place);
    let session = connect(&shared.place).await.map_err(here)?;
    let client = &session.client;
    shared.check(client).await?;
    let mut waited = Duration::ZERO;
    while !lock_name(client, &presence.name).await.map_err(here)? {
        if waited >= NAME_PATIENCE {
            let by = holder(client, &presence.name).await.map_err(here)?;
            return Err(StoreError::NameInUse { name: presence.name.clone(), by });
        }
        wait(FIRST_PAUSE).await;
        waited += FIRST_PAUSE;
    }
    client.batch_execute("LISTEN epm_lab").await.map_err(|error| here(error.into()))?;
    let insert = "INSERT INTO epm_lab.manager (name, instance, host, process, version, since, seen) \
                  VALUES ($1, $2, $3, $4, $5, clock_timestamp(), clock_timestamp()) ON CONFLICT (name) DO UPDATE SET \
                  instance = excluded.instance, host = excluded.host, process = excluded.process, version = excluded.version, \
                  since = CASE WHEN epm_lab.manager.instance = excluded.instance THEN epm_lab.manager.since ELSE excluded.since END, \
                  seen = excluded.seen";
    let process = i64::from(std::process::id());
    let columns: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 5] = [
        (&presence.name, Type::TEXT),
        (&presence.instance, Type::TEXT),
        (&presence.host, Type::TEXT),
        (&process, Type::INT8),
        (&env!("CARGO_PKG_VERSION"), Type::TEXT),
    ];
    client.query_typed(insert, &columns).await.map_err(|error| here(error.into()))?;
    Ok(session)
}

/// Follows in this session, and in others after it. Ends when the name is lost.
pub(super) async fn follow(shared: Arc<Shared>, presence: Presence, first: Session) {
    let mut session = Some(first);
    let mut pause = FIRST_PAUSE;
    loop {
        let why = match session.take() {
            Some(session) => {
                pause = FIRST_PAUSE;
                *shared.follower.lock() = Some(Arc::clone(&session.client));
                shared
                    .link
                    .send_modify(|link| *link = LinkState { news: link.news + 1, ..LinkState::default() });
                stay(&shared.link, &presence, session).await.reason()
            }
            None => match attach(&shared, &presence).await {
                Ok(new) => {
                    session = Some(new);
                    continue;
                }
                Err(StoreError::NameInUse { by, .. }) => {
                    shared.link.send_modify(|link| link.name_taken_by = Some(by));
                    return;
                }
                Err(StoreError::Database { why, .. }) => why,
                Err(error) => error.to_string(),
            },
        };
        *shared.follower.lock() = None;
        shared.link.send_modify(|link| link.down = Some(why));
        wait(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Passes on notifications as long as the session lasts; returns why it has ended.
async fn stay(link: &watch::Sender<LinkState>, presence: &Presence, session: Session) -> Trouble {
    let Session { client, mut news } = session;
    loop {
        tokio::select! {
            heard = news.recv() => match heard {
                Some(()) => link.send_modify(|link| link.news += 1),
                None => return Trouble::ended(),
            },
            () = wait(TICK) => {
                let seen = "UPDATE epm_lab.manager SET seen = clock_timestamp() WHERE name = $1";
                let columns: [(&(dyn tokio_postgres::types::ToSql + Sync), Type); 1] = [(&presence.name, Type::TEXT)];
                match timeout(LIMIT, client.query_typed(seen, &columns)).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => return error.into(),
                    Err(_) => return Trouble::slow(),
                }
            }
        }
    }
}

/// Locks a name as long as the session lasts. Whether it was free.
async fn lock_name(client: &Client, name: &str) -> Result<bool, Trouble> {
    let lock = "SELECT pg_try_advisory_lock(hashtextextended('epm-lab manager ' || $1, 0)) AS locked";
    read(&client.query_typed_one(lock, &[(&name, Type::TEXT)]).await?, "manager", "locked")
}

/// The process that has a name.
async fn holder(client: &Client, name: &str) -> Result<String, Trouble> {
    let query = "SELECT host, process, to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') AS since FROM epm_lab.manager WHERE name = $1";
    let row = client.query_typed_opt(query, &[(&name, Type::TEXT)]).await?;
    let Some(row) = row else { return Ok("in a process that has just started".to_owned()) };
    let text = |column| read::<&str>(&row, "manager", column);
    let (host, since, process) = (text("host")?, text("since")?, read::<i64>(&row, "manager", "process")?);
    Ok(format!("as process {process} on {host} since {since}"))
}
