//! What each client holds, which clients are orphaned since when and why, and which would be after given commands.

use std::collections::BTreeMap;

use epm_client_agent::agent::{Agent, Distrust};
use epm_client_agent::rehearsal::{WouldBeLost, would_be_lost};
use epm_client_agent::scenario::{PartHolding, Verdict, holdings};
use epm_protocol::site::{Command, CommandError};
use epm_protocol::time::{Clock, Timestamp};
use epm_protocol::trust::Fingerprint;
use schemars::JsonSchema;
use serde::Serialize;

use crate::lab::{ClientView, Lab};
use crate::schema::BridgedSchema;

/// Verdict on the clients of a lab: their state now, and what happened to them.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct LabVerdict {
    /// Lab time of the verdict.
    #[schemars(with = "String")]
    pub now: Timestamp,
    /// Whether every client is served, secure, and holds the certificates in force.
    pub well: bool,
    /// Number of clients in this lab's process.
    pub clients: usize,
    /// Number of registered clients outside this lab's process; only what they report to their manager is known.
    pub elsewhere: usize,
    /// Certificate that each manager presents to clients, by manager.
    #[schemars(with = "BTreeMap<String, String>")]
    pub certificates: BTreeMap<String, Fingerprint>,
    /// What the clients of each part hold, counted.
    #[schemars(with = "Vec<BridgedSchema<PartHolding>>")]
    pub parts: Vec<PartOfFleet>,
    /// Clients that are orphaned now.
    pub lost: Vec<LostClient>,
    /// Clients that are not served, but not orphaned either.
    pub out_of_touch: Vec<String>,
    /// Clients that are served without authenticating their manager.
    pub not_secure: Vec<String>,
    /// Clients that are served, but do not hold every certificate in force.
    pub behind: Vec<String>,
    /// Clients whose machine is off, and that are neither orphaned nor up to date.
    pub away: Vec<String>,
    /// Clients that were orphaned at any time, including those served again and those no longer in the fleet.
    pub ever_lost: Vec<String>,
    /// Clients that were orphaned and brought back by an imported communications file.
    pub brought_back: Vec<String>,
    /// Clients that adopted a policy without a verified signature.
    pub ever_unsigned: Vec<String>,
    /// Number of entries that the journal has dropped.
    pub journal_forgotten: u64,
}

/// What the clients of one part hold, counted.
pub type PartOfFleet = PartHolding;

/// An orphaned client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct LostClient {
    /// Computer name of the client.
    pub client: String,
    /// Part of the fleet that the client belongs to.
    pub part: String,
    /// Lab time at which the client became orphaned.
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// Layer of trust that broke.
    pub layer: String,
    /// Reason, as a text for people.
    pub why: String,
    /// Expected and found value.
    #[schemars(with = "BridgedSchema<Distrust>")]
    pub because: Distrust,
}

impl LostClient {
    /// The client, if it is orphaned now.
    fn of(ClientView { client, part, view, .. }: &ClientView) -> Option<Self> {
        let (since, because) = view.health.orphaned()?;
        Some(Self {
            client: client.clone(),
            part: part.clone(),
            since,
            layer: because.layer().to_owned(),
            why: because.to_string(),
            because: because.clone(),
        })
    }
}

impl Lab {
    /// The verdict on every client.
    pub async fn verdict(&self) -> LabVerdict {
        let clients = self.views().await;
        let certificates = self.certificates();
        let in_force: Vec<Fingerprint> = certificates.values().copied().collect();
        let mut parts: Vec<&str> = Vec::new();
        let mut standings = Verdict::default();
        let (mut ever_lost, mut ever_unsigned) = (Vec::new(), Vec::new());
        for ClientView { client, part, on, view, .. } in &clients {
            if !parts.contains(&part.as_str()) {
                parts.push(part);
            }
            standings.add(part, view, &in_force, *on);
            let ever =
                self.history.ask(client, |trace| (!trace.orphaned.is_empty(), !trace.unsigned.is_empty()));
            let (was_lost, was_unsigned) = ever.unwrap_or_default();
            ever_lost.extend(was_lost.then(|| client.clone()));
            ever_unsigned.extend(was_unsigned.then(|| client.clone()));
        }
        for (name, trace) in self.history.departed() {
            if !trace.orphaned.is_empty() && !ever_lost.contains(&name) {
                ever_lost.push(name.clone());
            }
            if !trace.unsigned.is_empty() && !ever_unsigned.contains(&name) {
                ever_unsigned.push(name);
            }
        }
        let lost: Vec<LostClient> = clients.iter().filter_map(LostClient::of).collect();
        let registered = self.site.look(|site| site.clients().count());
        let here = clients.iter().filter(|one| one.view.serial.is_some()).count();
        let brought_back = clients.iter().filter(|one| one.view.brought_back);
        LabVerdict {
            now: self.clock().now(),
            well: lost.is_empty() && standings.is_well(),
            clients: clients.len(),
            elsewhere: registered.saturating_sub(here),
            certificates,
            parts: holdings(parts, clients.iter().map(|one| (one.part.as_str(), one.view.clone()))),
            lost,
            out_of_touch: standings.out_of_touch,
            not_secure: standings.not_secure,
            behind: standings.behind,
            away: standings.away,
            ever_lost,
            brought_back: brought_back.map(|one| one.client.clone()).collect(),
            ever_unsigned,
            journal_forgotten: self.site.journal().forgotten(),
        }
    }

    /// Clients that would be orphaned if these commands were applied now and each client then had its next
    /// heartbeats. Works on copies of the site and the clients; changes nothing.
    ///
    /// # Errors
    ///
    /// When the site would refuse one of the commands.
    pub async fn if_now(&self, commands: &[Command]) -> Result<Vec<WouldBeLost>, CommandError> {
        let now = self.clock().now();
        let mut next = self.site.look(Clone::clone);
        next.apply_all(commands, now)?;
        let known = |(_, agent, _): (String, Agent, bool)| {
            let client = agent.cache().state.agent.and_then(|id| next.client(id)).cloned();
            (agent, client)
        };
        let clients: Vec<_> = self.agents().await.into_iter().map(known).collect();
        Ok(tokio::task::block_in_place(|| would_be_lost(clients, &next, now)))
    }
}
