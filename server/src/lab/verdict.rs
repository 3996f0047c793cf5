//! Who holds what, who is lost since when and why, and who would be if something were done now.

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

/// How the clients of a lab stand at this moment, and how they stood.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct LabVerdict {
    /// The lab's time.
    #[schemars(with = "String")]
    pub now: Timestamp,
    /// Whether every client is served, secure, and holds the certificates in force.
    pub well: bool,
    /// How many clients run in this lab's process.
    pub clients: usize,
    /// How many are registered and run elsewhere: of these no more is known than what they tell their manager.
    pub elsewhere: usize,
    /// The certificate that each manager shows its clients.
    #[schemars(with = "BTreeMap<String, String>")]
    pub certificates: BTreeMap<String, Fingerprint>,
    /// Who holds what, part by part.
    #[schemars(with = "Vec<BridgedSchema<PartHolding>>")]
    pub parts: Vec<PartOfFleet>,
    /// Who is lost.
    pub lost: Vec<LostClient>,
    /// Who is neither lost nor served.
    pub out_of_touch: Vec<String>,
    /// Who is served, but does not authenticate its manager.
    pub not_secure: Vec<String>,
    /// Who is served, but does not hold every certificate that is in force.
    pub behind: Vec<String>,
    /// Whose machine is off, and who is not lost, but not well either.
    pub away: Vec<String>,
    /// Who was lost at some moment, whether or not it is now, and whether or not it is still in the fleet.
    pub ever_lost: Vec<String>,
    /// Who was lost, and brought back by a communications file that was imported.
    pub brought_back: Vec<String>,
    /// Who adopted a policy that nobody vouched for.
    pub ever_unsigned: Vec<String>,
    /// How many entries the journal has forgotten.
    pub journal_forgotten: u64,
}

/// What the clients of one part hold, counted.
pub type PartOfFleet = PartHolding;

/// A client that is lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct LostClient {
    /// Its computer's name.
    pub client: String,
    /// The part of the fleet that it belongs to.
    pub part: String,
    /// Since when.
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// The layer of trust that broke.
    pub layer: String,
    /// In words.
    pub why: String,
    /// What was expected, and what was found.
    #[schemars(with = "BridgedSchema<Distrust>")]
    pub because: Distrust,
}

impl LostClient {
    /// The client as it is now, if it is lost.
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
    /// How every client stands.
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

    /// Which clients would be lost if these commands were given now and each client had its next heartbeats at once.
    /// Nothing is changed: a copy of the site is asked, and copies of the clients.
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
