//! What the sessions of a process have in common, and what each checks first.

use std::sync::Arc;

use epm_client_agent::wire::machine_date;
use epm_protocol::time::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_postgres::types::FromSql;
use tokio_postgres::{Client, Row};

use super::column::read;
use super::connection::connect;
use super::place::Place;
use super::schema::VERSION;
use super::trouble::Trouble;
use crate::store::{Founded, FoundedWith, LinkState, StoreError};

/// Seconds by which the dates of this machine and of the database's may differ.
const MOST_APART: i64 = 5;

/// What the sessions of a process have in common.
pub(super) struct Shared {
    pub(super) place: Place,
    pub(super) link: watch::Sender<LinkState>,
    /// The session in which the process follows; none while the database is not available.
    pub(super) follower: Mutex<Option<Arc<Client>>>,
    /// The session in which changes are made; none before the first one, and after an error.
    pub(super) writer: Arc<tokio::sync::Mutex<Option<Client>>>,
    /// Name that no other site has, once it is known.
    pub(super) identity: Mutex<Option<String>>,
}

impl Shared {
    /// Takes the session for changes out of its slot, or opens one. It is put back when everything went well.
    pub(super) async fn writing(&self, slot: &mut Option<Client>) -> Result<Client, Trouble> {
        if let Some(client) = slot.take().filter(|client| !client.is_closed()) {
            return Ok(client);
        }
        let session = connect(&self.place).await?;
        self.check(&session.client).await.map_err(|error| Trouble::Other(error.to_string()))?;
        Arc::into_inner(session.client).ok_or_else(Trouble::ended)
    }

    /// The site in the database, if there is one.
    pub(super) async fn founded(&self, client: &Client) -> Result<Option<Founded>, StoreError> {
        let Some(row) = self.site(client).await? else { return Ok(None) };
        let here = |why: String| Trouble::damaged(why).at(&self.place);
        let with: FoundedWith = serde_json::from_str(self.column(&row, "founding")?)
            .map_err(|error| here(format!("the founding of the site cannot be used: {error}")))?;
        let speed: i32 = self.column(&row, "speed")?;
        let machine = Timestamp::from_millis(self.column(&row, "machine_time")?);
        *self.identity.lock() = Some(self.column(&row, "identity")?);
        Ok(Some(Founded { with, speed: u32::try_from(speed).unwrap_or(1).max(1), machine }))
    }

    /// Reads a column of the row of the site.
    fn column<'a, T: FromSql<'a>>(&self, row: &'a Row, column: &str) -> Result<T, StoreError> {
        read(row, "site", column).map_err(|error| error.at(&self.place))
    }

    /// The row of the site, if the database has tables and they are those of this program.
    async fn site(&self, client: &Client) -> Result<Option<Row>, StoreError> {
        let here = |error: tokio_postgres::Error| Trouble::from(error).at(&self.place);
        let there =
            client.query_typed_one("SELECT to_regclass('epm_lab.site') IS NOT NULL AS known", &[]).await;
        if !self.column::<bool>(&there.map_err(here)?, "known")? {
            return Ok(None);
        }
        let version = client.query_typed_opt("SELECT version FROM epm_lab.site", &[]).await.map_err(here)?;
        let Some(version) = version else { return Ok(None) };
        let version: i32 = self.column(&version, "version")?;
        if version != VERSION {
            let place = self.place.to_string();
            return Err(StoreError::OtherVersion { place, found: version, known: VERSION });
        }
        let query = "SELECT version, identity, founding, speed, machine_time FROM epm_lab.site";
        client.query_typed_opt(query, &[]).await.map_err(here)
    }

    /// Checks that the database has the site that this process is of.
    pub(super) async fn check(&self, client: &Client) -> Result<(), StoreError> {
        let place = || self.place.to_string();
        let row = self.site(client).await?.ok_or_else(|| StoreError::NotFounded { place: place() })?;
        let found: String = self.column(&row, "identity")?;
        let known = self.identity.lock().clone();
        if known.is_some_and(|known| known != found) {
            let why =
                "it has another site than at the start of this process: restart the managers".to_owned();
            return Err(StoreError::Database { place: place(), why });
        }
        Ok(())
    }

    /// Compares the dates of this machine and of the database's.
    pub(super) async fn check_clock(&self, client: &Client) -> Result<(), StoreError> {
        let query = "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now";
        let before = machine_date().as_millis();
        let row = client.query_typed_one(query, &[]).await;
        let after = machine_date().as_millis();
        let row = row.map_err(|error| Trouble::from(error).at(&self.place))?;
        let theirs: i64 = self.column(&row, "now")?;
        let Some((apart, way)) = too_far_apart(before, after, theirs) else { return Ok(()) };
        Err(StoreError::ClockOff { place: self.place.to_string(), apart, way, most: MOST_APART })
    }
}

/// Seconds between the dates of this machine, before and after the database was asked, and of the database's, and which way, if they
/// are too many. An answer that took long says less.
fn too_far_apart(before: i64, after: i64, theirs: i64) -> Option<(i64, &'static str)> {
    let (apart, way) =
        if theirs < before { (before - theirs, "ahead of") } else { (theirs - after, "behind") };
    (apart > MOST_APART * 1000).then_some((apart / 1000, way))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_whose_date_is_more_than_five_seconds_off_is_found_also_by_a_slow_answer() {
        for (before, after, theirs, expected) in [
            (100_000, 100_010, 100_005, None),
            (100_000, 100_010, 105_010, None),
            (100_000, 100_010, 105_011, Some((5, "behind"))),
            (100_000, 100_010, 160_010, Some((60, "behind"))),
            (100_000, 109_000, 113_000, None),
            (100_000, 109_000, 40_000, Some((60, "ahead of"))),
        ] {
            assert_eq!(too_far_apart(before, after, theirs), expected, "{before} {after} {theirs}");
        }
    }
}
