//! `epm-lab site status`: which managers of a site run, and what its clients hold as far as the managers know.

use clap::Args;
use epm_client_agent::scenario::Span;
use epm_protocol::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

#[cfg(not(feature = "postgres"))]
use crate::cli::io::{Ending, Failure};
use crate::cli::site::database::Database;
#[cfg(not(feature = "postgres"))]
use crate::cli::site::database::MISSING;

/// Show the managers and the clients of a site.
#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    database: Database,
    /// Wait until every manager runs and every client holds the newest policy of its group, for this long at most
    #[arg(long, value_name = "DURATION")]
    wait: Option<Span>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// What the help of `epm-lab site status` ends with.
pub(super) const HELP: &str = "\
Examples:
  epm-lab site status --site postgres://lab@127.0.0.1/lab
  epm-lab site status --site postgres://lab@127.0.0.1/lab --wait 5m

It reads the database: what the clients told their managers, up to a second ago.
That is no verdict: a client that is orphaned is one that is behind or silent here.
Between two updates of certificates wait until no client is either.

Exit codes: 0 every manager runs, and every client holds the newest policy of its
group and was seen in its last three heartbeats; 1 not so, or the database failed;
2 invalid input, or the database has no site of this program.";

/// The managers and the clients of a site, as the database has them.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct SiteStatus {
    /// Name of the site.
    site: String,
    /// Lab time of this status.
    #[schemars(with = "String")]
    now: Timestamp,
    /// Number of changes since the site was founded, the founding included.
    changes: i64,
    /// Managers of the site, by name.
    managers: Vec<ManagerStatus>,
    /// Number of registered clients.
    clients: usize,
    /// Clients that do not hold the newest policy of their group.
    behind: Vec<ClientSeen>,
    /// Clients that were not seen in their last three heartbeats.
    silent: Vec<ClientSeen>,
    /// Whether every manager runs and no client is behind or silent.
    settled: bool,
}

/// A manager of a site.
#[derive(Debug, Serialize, JsonSchema)]
struct ManagerStatus {
    /// Name of the manager.
    manager: String,
    /// Certificate that its clients' port has to present: SHA-256.
    certificate: String,
    /// Whether a process that is this manager was there in the last five seconds.
    runs: bool,
    /// The process and its machine; absent if there never was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    process: Option<String>,
    /// When the process was there last, by the database's clock; absent if there never was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    seen: Option<String>,
}

/// A client, and when it was last seen.
#[derive(Debug, Serialize, JsonSchema)]
struct ClientSeen {
    /// Computer name of the client.
    client: String,
    /// The manager that it asked last.
    manager: Option<String>,
    /// Lab time at which it was last seen.
    #[schemars(with = "String")]
    last_seen: Timestamp,
}

#[cfg(not(feature = "postgres"))]
impl Status {
    pub(crate) async fn go(self) -> Result<Ending, Failure> {
        Err(Failure::BadInput(MISSING.to_owned()))
    }
}

#[cfg(feature = "postgres")]
mod read {
    use std::collections::HashMap;
    use std::fmt::Write;
    use std::time::Duration;

    use epm_client_agent::wire::{Stopwatch, machine_date, wait};
    use epm_protocol::plural::counted;
    use epm_protocol::policy::PolicySerial;

    use crate::StoreError;
    use crate::cli::io::{Ending, Failure, say, say_json};
    use crate::cli::site::database;
    use crate::cli::site::status::{ClientSeen, ManagerStatus, SiteStatus, Status};
    use crate::cli::table::Table;
    use crate::runtime::replayed::Beginning;
    use crate::store::Founded;
    use crate::store::postgres::PgStore;

    /// How often the database is asked while it is waited for.
    const EVERY: Duration = Duration::from_millis(500);
    /// Clients that are named to people.
    const NAMED: usize = 10;

    impl Status {
        pub(crate) async fn go(self) -> Result<Ending, Failure> {
            let failed = |error: StoreError| database::failed(&error);
            let store = self.database.open()?;
            let founded = tokio::task::block_in_place(|| store.look()).map_err(failed)?;
            let began = Stopwatch::start();
            let status = loop {
                let status =
                    tokio::task::block_in_place(|| SiteStatus::of(&store, &founded)).map_err(failed)?;
                if status.settled || self.wait.is_none_or(|limit| began.elapsed() >= limit.0) {
                    break status;
                }
                wait(EVERY).await;
            };
            if self.json {
                say_json(&status)?;
            } else {
                say(&status.shown());
            }
            Ok(if status.settled { Ending::Well } else { Ending::NotWell })
        }
    }

    impl SiteStatus {
        fn of(store: &PgStore, founded: &Founded) -> Result<Self, StoreError> {
            let (begun, followed) = Beginning::shared(&founded.with, store)?;
            let now = founded.lab_time(machine_date());
            let mut newest = HashMap::new();
            for (path, group) in begun.site.groups().iter() {
                let every =
                    begun.site.groups().effective(path).map_or(0, |own| own.communication.heartbeat_seconds);
                newest.insert(group.id, (PolicySerial::new(group.id, group.changed), every));
            }
            let (mut behind, mut silent) = (Vec::new(), Vec::new());
            let seen = |one: &crate::ClientStatus| ClientSeen {
                client: one.client.computer_name.clone(),
                manager: one.manager.clone(),
                last_seen: one.last_seen,
            };
            for one in &begun.clients {
                let known = newest.get(&one.client.group);
                if known.is_none_or(|(serial, _)| one.serial != Some(*serial)) {
                    behind.push(seen(one));
                }
                // What a manager knows is written once a second.
                let limit = known.map_or(0, |(_, every)| 3 * u64::from(*every)) + 3;
                if now.since(one.last_seen) > Duration::from_secs(limit) {
                    silent.push(seen(one));
                }
            }
            let processes = store.processes()?;
            let manager = |one: &epm_protocol::site::Manager| {
                let process = processes.iter().find(|process| process.name == one.name);
                ManagerStatus {
                    manager: one.name.clone(),
                    certificate: one.client.certificate().fingerprint().to_string(),
                    runs: process.is_some_and(|process| process.runs),
                    process: process.map(|process| process.place.clone()),
                    seen: process.map(|process| process.seen.clone()),
                }
            };
            let managers: Vec<ManagerStatus> = begun.site.managers().map(manager).collect();
            let settled = managers.iter().all(|one| one.runs) && behind.is_empty() && silent.is_empty();
            Ok(Self {
                site: begun.site.name().to_owned(),
                now,
                changes: followed.sequence,
                managers,
                clients: begun.clients.len(),
                behind,
                silent,
                settled,
            })
        }

        fn shown(&self) -> String {
            let mut table = Table::new(&["manager", "runs", "process", "certificate"]);
            for one in &self.managers {
                let process = match (&one.process, &one.seen) {
                    (Some(process), Some(seen)) if !one.runs => format!("{process}, last there {seen}"),
                    (Some(process), _) => process.clone(),
                    (None, _) => "never started".to_owned(),
                };
                let runs = if one.runs { "yes" } else { "no" };
                let certificate: String = one.certificate.replace(':', "").chars().take(8).collect();
                table.add_row([one.manager.clone(), runs.to_owned(), process, certificate]);
            }
            let mut text = format!("{table}\n{}", counted(self.clients, "client"));
            for (clients, what) in
                [(&self.behind, "without the newest policy of the group"), (&self.silent, "silent")]
            {
                let _ = write!(text, ", {} {what}", clients.len());
            }
            text.push('\n');
            for (clients, what) in [(&self.behind, "behind"), (&self.silent, "silent")] {
                for one in clients.iter().take(NAMED) {
                    let manager = one.manager.as_deref().unwrap_or("no manager yet");
                    let _ =
                        writeln!(text, "  {what}: {}, last seen {} by {manager}", one.client, one.last_seen);
                }
                if clients.len() > NAMED {
                    let _ = writeln!(text, "  {what}: {} more", clients.len() - NAMED);
                }
            }
            text
        }
    }
}
