//! Who holds what, who is lost since when and why, and who would be if something were done now.

use std::collections::BTreeMap;

use epm_client_agent::agent::Distrust;
use epm_client_agent::rehearsal::{WouldBeLost, would_be_lost};
use epm_client_agent::scenario::{PartHolding, Standing, holdings};
use epm_protocol::site::{Command, CommandError};
use epm_protocol::time::{Clock, Timestamp};
use epm_protocol::trust::Fingerprint;
use schemars::JsonSchema;
use serde::Serialize;

use crate::lab::{ClientView, Lab, Orphaning};
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

impl Lab {
    /// How every client stands.
    pub async fn verdict(&self) -> LabVerdict {
        let clients = self.views().await;
        let in_force: BTreeMap<String, Fingerprint> = self.site.look(|site| {
            let managers = site.managers();
            managers.map(|one| (one.name.clone(), one.client.certificate().fingerprint())).collect()
        });
        let fingerprints: Vec<Fingerprint> = in_force.values().copied().collect();
        let mut parts: Vec<&str> = Vec::new();
        for one in &clients {
            if !parts.contains(&one.part.as_str()) {
                parts.push(&one.part);
            }
        }
        let views = clients.iter().map(|one| (one.part.as_str(), one.view.clone()));
        let registered = self.site.look(|site| site.clients().count());
        let mut verdict = LabVerdict {
            now: self.clock().now(),
            well: false,
            clients: clients.len(),
            elsewhere: 0,
            parts: holdings(parts, views),
            certificates: in_force,
            lost: Vec::new(),
            out_of_touch: Vec::new(),
            not_secure: Vec::new(),
            behind: Vec::new(),
            away: Vec::new(),
            ever_lost: Vec::new(),
            brought_back: Vec::new(),
            ever_unsigned: Vec::new(),
            journal_forgotten: self.site.journal().forgotten(),
        };
        let mut here = 0;
        for ClientView { client, part, on, view, .. } in &clients {
            let name = client.clone();
            let ever =
                self.history.ask(&name, |trace| (!trace.orphaned.is_empty(), !trace.unsigned.is_empty()));
            let (was_lost, was_unsigned) = ever.unwrap_or_default();
            if was_lost {
                verdict.ever_lost.push(name.clone());
            }
            if view.brought_back {
                verdict.brought_back.push(name.clone());
            }
            if was_unsigned {
                verdict.ever_unsigned.push(name.clone());
            }
            here += usize::from(view.serial.is_some());
            let names = match Standing::of(view, &fingerprints) {
                Standing::Well => continue,
                Standing::Lost => {
                    verdict.lost.extend(view.health.orphaned().map(|(since, because)| LostClient {
                        client: name,
                        part: part.clone(),
                        since,
                        layer: because.layer().to_owned(),
                        why: because.to_string(),
                        because: because.clone(),
                    }));
                    continue;
                }
                _ if !on => &mut verdict.away,
                Standing::OutOfTouch => &mut verdict.out_of_touch,
                Standing::NotSecure => &mut verdict.not_secure,
                Standing::Behind => &mut verdict.behind,
            };
            names.push(name);
        }
        for (name, trace) in self.history.departed() {
            if !trace.orphaned.is_empty() && !verdict.ever_lost.contains(&name) {
                verdict.ever_lost.push(name.clone());
            }
            if !trace.unsigned.is_empty() && !verdict.ever_unsigned.contains(&name) {
                verdict.ever_unsigned.push(name);
            }
        }
        verdict.elsewhere = registered.saturating_sub(here);
        let failings = [&verdict.out_of_touch, &verdict.not_secure, &verdict.behind];
        verdict.well = verdict.lost.is_empty() && failings.iter().all(|names| names.is_empty());
        verdict
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
        let agents = self.agents().await;
        let known = |agent: &epm_client_agent::agent::Agent| {
            agent.cache().state.agent.and_then(|id| next.client(id)).cloned()
        };
        let clients: Vec<_> = agents
            .into_iter()
            .map(|(_, agent, _)| {
                let client_status = known(&agent);
                (agent, client_status)
            })
            .collect();
        Ok(tokio::task::block_in_place(|| would_be_lost(clients, &next, now)))
    }

    /// When a client was orphaned.
    pub fn orphanings(&self, client: &str) -> Vec<Orphaning> {
        self.history.ask(client, |trace| trace.orphaned.iter().cloned().collect()).unwrap_or_default()
    }
}
