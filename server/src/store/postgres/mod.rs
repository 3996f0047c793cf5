//! The log that several processes share, in a PostgreSQL database.
//!
//! | file | what |
//! |---|---|
//! | `place` | where the database is, and the password |
//! | `tls` | TLS to it |
//! | `trouble` | why it cannot be used |
//! | `connection` | a connection |
//! | `state` | what the sessions have in common, and what each checks first |
//! | `schema` | its tables |
//! | `column` | a column of a row, read |
//! | `rows` | entries of the log and clients, read and written |
//! | `reports` | reports of clients that run elsewhere |
//! | `documents` | baselines and registered expectations |
//! | `session` | the session in which a process follows its site |
//!
//! A process has two sessions: one in which it follows, and one in which it changes something, so that a change that waits for
//! another process holds up nothing else. Both are driven by a thread of their own; a caller waits, for [`LIMIT`] at most.

mod column;
mod connection;
mod documents;
mod place;
mod reports;
mod rows;
mod schema;
mod session;
mod state;
mod tls;
mod trouble;

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::time::Duration;

use epm_client_agent::wire::machine_date;
use epm_protocol::id::AgentId;
use epm_protocol::time::Timestamp;
use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};
use tokio::sync::{OwnedMutexGuard, watch};
use tokio::time::timeout;
use tokio_postgres::Client;
use tokio_postgres::types::{ToSql, Type};

use column::read;
use connection::connect;
pub(crate) use place::{Passwords, Place};
use schema::{TABLES, VERSION};
pub(crate) use session::{Presence, Process};
use state::Shared;
use trouble::{LIMIT, Trouble};

use crate::runtime::clients::ChangedClients;
use crate::store::{
    Batch, Change, ClientNews, DocumentKey, Founded, FoundedWith, GivenBy, Kind, LastEntry, LinkState, Log,
    LogEntry, ReportKey, Rows, SharedDocument, SharedLog, Step, StoreError, StoredReport,
};

/// A site in a PostgreSQL database.
pub(crate) struct PgStore {
    shared: Arc<Shared>,
    /// None once the store is dropped.
    runtime: Option<Runtime>,
}

impl fmt::Debug for PgStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PgStore").field(&self.shared.place).finish()
    }
}

impl Drop for PgStore {
    fn drop(&mut self) {
        // May be dropped where nothing may block.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl PgStore {
    /// A store that has no session yet.
    ///
    /// # Errors
    ///
    /// When its thread cannot be started.
    pub(crate) fn new(place: Place) -> Result<Self, StoreError> {
        let runtime =
            Builder::new_multi_thread().worker_threads(1).thread_name("database").enable_all().build();
        let runtime = runtime
            .map_err(|error| StoreError::Database { place: place.to_string(), why: error.to_string() })?;
        let shared = Shared {
            place,
            link: watch::Sender::default(),
            follower: Mutex::default(),
            writer: Arc::default(),
            identity: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared), runtime: Some(runtime) })
    }

    /// The site in the database, if there is one.
    ///
    /// # Errors
    ///
    /// When the database cannot be reached, or its tables are not those of this program.
    pub(crate) fn founded(&self) -> Result<Option<Founded>, StoreError> {
        let shared = Arc::clone(&self.shared);
        self.wait(async move {
            let session = connect(&shared.place).await.map_err(|error| error.at(&shared.place))?;
            shared.founded(&session.client).await
        })
    }

    /// Founds a site with its first change, unless the database has one; then returns that.
    ///
    /// # Errors
    ///
    /// When the database cannot be reached or written, or its tables are not those of this program.
    pub(crate) fn found(
        &self,
        with: &FoundedWith,
        speed: u32,
        first: Change,
    ) -> Result<Option<Founded>, StoreError> {
        let (shared, with) = (Arc::clone(&self.shared), with.clone());
        let mut identity = [0_u8; 16];
        // Without random numbers sites cannot be told apart by it.
        let _ = aws_lc_rs::rand::fill(&mut identity);
        self.wait(async move {
            let here = |error: Trouble| error.at(&shared.place);
            let session = connect(&shared.place).await.map_err(here)?;
            let client = &session.client;
            // Two that found at once: the second one finds a site.
            let begin = "BEGIN; SELECT pg_advisory_xact_lock(hashtextextended('epm-lab found', 0))";
            client.batch_execute(begin).await.map_err(|error| here(error.into()))?;
            if let Some(known) = shared.founded(client).await? {
                return Ok(Some(known));
            }
            let made = async {
                client.batch_execute(TABLES).await?;
                let founding = serde_json::to_string(&with).unwrap_or_default();
                let identity = data_encoding::HEXLOWER.encode(&identity);
                let machine = machine_date().as_millis();
                let speed = i32::try_from(speed).unwrap_or(i32::MAX);
                let insert = "INSERT INTO epm_lab.site (version, identity, founding, speed, machine_time, last_sequence) \
                              VALUES ($1, $2, $3, $4, $5, 1)";
                let columns: [(&(dyn ToSql + Sync), Type); 5] = [
                    (&VERSION, Type::INT4),
                    (&identity, Type::TEXT),
                    (&founding, Type::TEXT),
                    (&speed, Type::INT4),
                    (&machine, Type::INT8),
                ];
                client.query_typed(insert, &columns).await?;
                rows::append(client, 1, &first, GivenBy::Up, with.at).await?;
                client.batch_execute("COMMIT").await?;
                Ok::<_, Trouble>(())
            };
            made.await.map_err(here)?;
            Ok(None)
        })
    }

    /// The error of a database without a site.
    pub(crate) fn not_founded(&self) -> StoreError {
        StoreError::NotFounded { place: self.shared.place.to_string() }
    }

    /// Takes the name of a manager, and follows the site from now on.
    ///
    /// # Errors
    ///
    /// When another process is that manager, the date of this machine is wrong, or the database cannot be used.
    pub(crate) fn follow_as(&self, presence: Presence) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        self.wait_for(session::NAME_PATIENCE + 2 * LIMIT, async move {
            let session = session::attach(&shared, &presence).await?;
            shared.check_clock(&session.client).await?;
            *shared.follower.lock() = Some(Arc::clone(&session.client));
            tokio::spawn(session::follow(shared, presence, session));
            Ok(())
        })
    }

    /// Opens a session to look at the site, as no manager.
    ///
    /// # Errors
    ///
    /// When the database has no site or cannot be used.
    pub(crate) fn look(&self) -> Result<Founded, StoreError> {
        let founded = self.founded()?.ok_or_else(|| self.not_founded())?;
        let shared = Arc::clone(&self.shared);
        self.wait(async move {
            let session = connect(&shared.place).await.map_err(|error| error.at(&shared.place))?;
            // Who is silent is told by this machine's date.
            shared.check_clock(&session.client).await?;
            *shared.follower.lock() = Some(session.client);
            Ok(founded)
        })
    }

    /// The processes that are managers, or were.
    ///
    /// # Errors
    ///
    /// When the database cannot be used.
    pub(crate) fn processes(&self) -> Result<Vec<Process>, StoreError> {
        let (client, shared) = (self.follower()?, Arc::clone(&self.shared));
        self.wait(async move { session::processes(&client).await.map_err(|error| error.at(&shared.place)) })
    }

    /// Runs something on the store's thread, and waits for it.
    fn wait<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.wait_for(LIMIT, work)
    }

    fn wait_for<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let ended = || Trouble::ended().at(&self.shared.place);
        let runtime = self.runtime.as_ref().ok_or_else(ended)?;
        let (sender, answer) = sync_channel(1);
        runtime.spawn(async move {
            let _ = sender.send(timeout(limit, work).await);
        });
        let receive = || answer.recv();
        let is_worker =
            Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
        let received = if is_worker { tokio::task::block_in_place(receive) } else { receive() };
        received.map_err(|_| ended())?.unwrap_or_else(|_| Err(Trouble::slow().at(&self.shared.place)))
    }

    /// The session in which the process follows.
    fn follower(&self) -> Result<Arc<Client>, StoreError> {
        let down = || {
            let why = self.shared.link.borrow().down.clone().unwrap_or_default();
            StoreError::Database { place: self.shared.place.to_string(), why }
        };
        self.shared.follower.lock().clone().ok_or_else(down)
    }
}

impl Log for PgStore {
    fn read_log(&self, each: &mut dyn FnMut(LogEntry) -> Result<(), StoreError>) -> Result<(), StoreError> {
        let (client, shared) = (self.follower()?, Arc::clone(&self.shared));
        // Before the log, which may grow meanwhile.
        let least =
            self.wait(
                async move { rows::last_sequence(&client).await.map_err(|error| error.at(&shared.place)) },
            )?;
        let mut after = 0;
        loop {
            let (client, shared) = (self.follower()?, Arc::clone(&self.shared));
            let page = self.wait(async move {
                rows::entries_after(&client, after).await.map_err(|error| error.at(&shared.place))
            })?;
            let Some(last) = page.last() else {
                return if after < least {
                    Err(rows::missing(after + 1).at(&self.shared.place))
                } else {
                    Ok(())
                };
            };
            after = last.sequence;
            page.into_iter().try_for_each(&mut *each)?;
        }
    }

    fn invalid(&self, what: String, why: &dyn fmt::Display) -> StoreError {
        Trouble::Other(format!("{what} cannot be used: {why}")).at(&self.shared.place)
    }
}

impl SharedLog for PgStore {
    fn begin(&self, last: LastEntry) -> Result<(Vec<LogEntry>, Box<dyn Step + '_>), StoreError> {
        // While the database is not available, a change is refused at once.
        self.follower()?;
        let shared = Arc::clone(&self.shared);
        let (news, open) = self.wait(async move {
            let mut slot = Arc::clone(&shared.writer).lock_owned().await;
            let begun = async {
                let client = shared.writing(&mut slot).await?;
                let (sequence, revision) = lock(&client).await?;
                rows::check_last(&client, last).await?;
                let mut news = Vec::new();
                let mut after = last.sequence;
                while after < sequence {
                    news.extend(rows::entries_after(&client, after).await?);
                    after = match news.last() {
                        Some(entry) if entry.sequence > after => entry.sequence,
                        _ => {
                            return Err(rows::missing(after + 1));
                        }
                    };
                }
                Ok::<_, Trouble>((news, client, sequence, revision))
            };
            let (news, client, sequence, revision) = begun.await.map_err(|error| error.at(&shared.place))?;
            Ok((news, Open { slot, client, sequence, revision }))
        })?;
        Ok((news, Box::new(PgStep { store: self, open: Mutex::new(Some(open)) })))
    }

    fn read_after(&self, last: LastEntry) -> Result<Vec<LogEntry>, StoreError> {
        let (client, shared) = (self.follower()?, Arc::clone(&self.shared));
        self.wait(async move {
            let read = async {
                rows::check_last(&client, last).await?;
                rows::entries_after(&client, last.sequence).await
            };
            read.await.map_err(|error: Trouble| error.at(&shared.place))
        })
    }

    fn exchange(&self, own: &ChangedClients, after: i64) -> Result<ClientNews, StoreError> {
        let (client, shared) = (self.follower()?, Arc::clone(&self.shared));
        let (changes, own) = (!own.changed.is_empty() || !own.visited.is_empty(), own.clone());
        self.wait(async move {
            let exchanged = async {
                rows::write_seen(&client, &own.seen).await?;
                if !changes {
                    return rows::clients_after(&client, after).await;
                }
                let mut slot = shared.writer.lock().await;
                let client = shared.writing(&mut slot).await?;
                let revision = lock(&client).await?.1 + 1;
                let mut news = rows::clients_after(&client, after).await?;
                rows::write_clients(&client, &own, revision, after).await?;
                let end =
                    format!("UPDATE epm_lab.site SET last_revision = {revision}; NOTIFY epm_lab; COMMIT");
                client.batch_execute(&end).await?;
                *slot = Some(client);
                news.revision = revision;
                Ok(news)
            };
            exchanged.await.map_err(|error: Trouble| error.at(&shared.place))
        })
    }

    fn put_report(&self, stored: &StoredReport) -> Result<(), StoreError> {
        let (client, shared, stored) = (self.follower()?, Arc::clone(&self.shared), stored.clone());
        self.wait(
            async move { reports::put(&client, &stored).await.map_err(|error| error.at(&shared.place)) },
        )
    }

    fn reports(&self, known: &[i64]) -> Result<Rows<ReportKey, StoredReport>, StoreError> {
        let (client, shared, known) = (self.follower()?, Arc::clone(&self.shared), known.to_vec());
        self.wait(async move {
            let rows = reports::all(&client, &known).await.map_err(|error| error.at(&shared.place))?;
            column::sorted(&rows, &shared.place, reports::key, reports::report)
        })
    }

    fn forget_reports(&self, source: &str) -> Result<bool, StoreError> {
        let (client, shared, source) = (self.follower()?, Arc::clone(&self.shared), source.to_owned());
        self.wait(
            async move { reports::forget(&client, &source).await.map_err(|error| error.at(&shared.place)) },
        )
    }

    fn put_document(&self, kind: Kind, name: &str, content: &str) -> Result<i64, StoreError> {
        let (client, shared) = (self.follower()?, Arc::clone(&self.shared));
        let (name, content) = (name.to_owned(), content.to_owned());
        self.wait(async move {
            documents::put(&client, kind, &name, &content).await.map_err(|error| error.at(&shared.place))
        })
    }

    fn documents(&self, known: &[i64]) -> Result<Rows<DocumentKey, SharedDocument>, StoreError> {
        let (client, shared, known) = (self.follower()?, Arc::clone(&self.shared), known.to_vec());
        self.wait(async move {
            let rows = documents::all(&client, &known).await.map_err(|error| error.at(&shared.place))?;
            column::sorted(&rows, &shared.place, documents::key, documents::document)
        })
    }

    fn remove_document(&self, kind: Kind, name: &str) -> Result<(), StoreError> {
        let (client, shared, name) = (self.follower()?, Arc::clone(&self.shared), name.to_owned());
        self.wait(async move {
            documents::remove(&client, kind, &name).await.map_err(|error| error.at(&shared.place))
        })
    }

    fn seen_after(&self, at: Timestamp) -> Result<Vec<(AgentId, Timestamp)>, StoreError> {
        let (client, shared) = (self.follower()?, Arc::clone(&self.shared));
        self.wait(async move { rows::seen_after(&client, at).await.map_err(|error| error.at(&shared.place)) })
    }

    fn running(&self) -> Result<Vec<String>, StoreError> {
        let running = self.processes()?.into_iter().filter(|one| one.runs);
        Ok(running.map(|one| one.name).collect())
    }

    fn link(&self) -> watch::Receiver<LinkState> {
        self.shared.link.subscribe()
    }
}

/// Locks the site until the end of the transaction; returns the numbers of its last entry and of the last revision.
async fn lock(client: &Client) -> Result<(i64, i64), Trouble> {
    client.batch_execute("BEGIN").await?;
    let row = client
        .query_typed_one("SELECT last_sequence, last_revision FROM epm_lab.site FOR UPDATE", &[])
        .await?;
    let number = |column| read(&row, "site", column);
    Ok((number("last_sequence")?, number("last_revision")?))
}

/// A change that is being made.
struct PgStep<'a> {
    store: &'a PgStore,
    /// None once the change has been appended.
    open: Mutex<Option<Open>>,
}

/// An open transaction that has the lock of the site.
struct Open {
    slot: OwnedMutexGuard<Option<Client>>,
    client: Client,
    sequence: i64,
    revision: i64,
}

impl Step for PgStep<'_> {
    fn append(&self, change: &Change, by: GivenBy, at: Timestamp, with: &Batch) -> Result<i64, StoreError> {
        let place = self.store.shared.place.clone();
        let open = self.open.lock().take().ok_or_else(|| Trouble::ended().at(&place))?;
        let (change, with) = (change.clone(), with.for_clients());
        // The end has a limit of its own, and words of its own.
        self.store.wait_for(2 * LIMIT, async move {
            let Open { mut slot, client, sequence, revision } = open;
            let sequence = sequence + 1;
            let written = async {
                rows::append(&client, sequence, &change, by, at).await?;
                rows::write_batch(&client, &with, revision + 1).await
            };
            let has_clients = written.await.map_err(|error| error.at(&place))?;
            let revision = revision + i64::from(has_clients);
            let update =
                format!("UPDATE epm_lab.site SET last_sequence = {sequence}, last_revision = {revision}; NOTIFY epm_lab");
            client.batch_execute(&update).await.map_err(|error| Trouble::from(error).at(&place))?;
            let ended = timeout(LIMIT, client.batch_execute("COMMIT")).await;
            let why = match ended {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(place::why(&error)),
                Err(_) => Some(format!("no answer in {} s", LIMIT.as_secs())),
            };
            if let Some(why) = why {
                let why = format!("{why}, at the last moment: the change may have been made, so look before you repeat it");
                return Err(Trouble::Other(why).at(&place));
            }
            *slot = Some(client);
            Ok(sequence)
        })
    }
}

impl Drop for PgStep<'_> {
    fn drop(&mut self) {
        let Some(Open { mut slot, client, .. }) = self.open.lock().take() else { return };
        let rolled_back = self.store.wait(async move {
            if client.batch_execute("ROLLBACK").await.is_ok() {
                *slot = Some(client);
            }
            Ok(())
        });
        // Otherwise the session has ended, and the transaction with it.
        drop(rolled_back);
    }
}
