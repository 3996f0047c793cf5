//! Expectations about the fleet, and the clients that do not meet them.

use std::collections::BTreeMap;

use epm_client_agent::agent::AgentView;
use epm_protocol::trust::Fingerprint;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lab::history::Trace;
use crate::lab::{ClientView, Lab, lock};
use crate::runtime::journal::{ConnectionClosed, Entry, Kind, Record};

/// Maximum number of counter-examples listed.
const NAMED: usize = 20;
/// Maximum number of registered expectations.
const MOST: usize = 1000;

/// An expectation about the fleet of a lab.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "expect", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Expectation {
    /// Every client holds this certificate; with `within_heartbeats`, at the latest after that many of its heartbeats
    /// since the expectation was registered.
    EveryClientHolds {
        /// SHA-256 of the DER form of the certificate, in hexadecimal digits.
        #[schemars(with = "String")]
        fingerprint: Fingerprint,
        /// Number of each client's heartbeats after which the certificate must be held; immediately when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        within_heartbeats: Option<u64>,
    },
    /// Every client holds the certificate that each manager presents now.
    EveryClientIsUpToDate,
    /// Every client whose machine is on is served.
    EveryClientIsServed,
    /// Every client authenticates its manager.
    EveryClientIsSecure,
    /// No client is orphaned now.
    NoClientIsOrphaned,
    /// No client has been orphaned at any time.
    NoClientWasOrphaned,
    /// No client has adopted a policy without a verified signature.
    NoUnsignedPolicyWasAdopted,
    /// Since the expectation was registered, no client has aborted a handshake and no manager has answered a client
    /// with an error. Without registration, since the lab started. Judged from the journal.
    NoClientWasTurnedAway,
}

/// A registered expectation, with each client's state at that time.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The expectation.
    pub expectation: Expectation,
    heartbeats: BTreeMap<String, u64>,
    /// Number of the journal's next entry when the expectation was registered.
    since: u64,
}

/// Outcome of an expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FindingResult {
    /// The expectation is met.
    Pass,
    /// The expectation is not met, and cannot be met any more.
    Fail,
    /// The expectation is not met yet, and still can be.
    Pending,
    /// The expectation cannot be judged, because the journal has dropped entries that it needs.
    Unknown,
}

/// Result of an expectation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// Name of the expectation.
    pub name: String,
    /// The expectation.
    pub expectation: Expectation,
    /// Outcome of the expectation.
    pub result: FindingResult,
    /// Number of clients that the expectation was judged for.
    pub clients: usize,
    /// Number of clients that do not meet the expectation.
    pub against: usize,
    /// Some of the clients that do not meet the expectation, each with the reason.
    pub counter_examples: Vec<String>,
}

/// One client's contribution to the result of an expectation.
enum Word {
    Meets,
    NotYet(String),
    Against(String),
    /// The data that is needed is no longer recorded.
    Forgotten(String),
}

impl Lab {
    /// Registers an expectation under a name, replacing another one of that name; the same one again changes nothing.
    /// False if there are too many.
    pub async fn expect(&self, name: &str, expectation: Expectation) -> bool {
        let views = self.views().await;
        let mut asked = lock(&self.expectations);
        if asked.get(name).is_some_and(|known| known.expectation == expectation) {
            return true;
        }
        if asked.len() >= MOST && !asked.contains_key(name) {
            return false;
        }
        let heartbeats = views.into_iter().map(|one| (one.client, one.view.heartbeats)).collect();
        let since = self.site.journal().next_number();
        asked.insert(name.to_owned(), Asked { expectation, heartbeats, since });
        true
    }

    /// Removes a registered expectation. Whether there was one.
    pub fn expect_no_longer(&self, name: &str) -> bool {
        lock(&self.expectations).remove(name).is_some()
    }

    /// Removes every registered expectation.
    pub(super) fn forget_expectations(&self) {
        lock(&self.expectations).clear();
    }

    /// Results of all registered expectations, by name.
    pub async fn findings(&self) -> Vec<Finding> {
        let asked: Vec<(String, Asked)> =
            lock(&self.expectations).iter().map(|(name, asked)| (name.clone(), asked.clone())).collect();
        self.judge(asked).await
    }

    /// Results of these expectations, judged now.
    pub async fn find(&self, expectations: Vec<Expectation>) -> Vec<Finding> {
        let asked = expectations.into_iter().enumerate().map(|(number, expectation)| {
            ((number + 1).to_string(), Asked { expectation, heartbeats: BTreeMap::new(), since: 0 })
        });
        self.judge(asked.collect()).await
    }

    async fn judge(&self, asked: Vec<(String, Asked)>) -> Vec<Finding> {
        let views = self.views().await;
        let in_force: Vec<Fingerprint> = self.certificates().into_values().collect();
        let departed = self.history.departed();
        let judge_one = |(name, asked): (String, Asked)| {
            let mut finding = Finding {
                name,
                expectation: asked.expectation.clone(),
                result: FindingResult::Pass,
                clients: views.len(),
                against: 0,
                counter_examples: Vec::new(),
            };
            if asked.expectation == Expectation::NoClientWasTurnedAway {
                self.hear_the_journal(&mut finding, asked.since);
                return finding;
            }
            for ClientView { client, on, view, .. } in &views {
                let trace = self.history.of(client).unwrap_or_default();
                finding.add(client, asked.word(view, *on, &trace, &in_force));
            }
            for (client, trace) in &departed {
                finding.add(
                    &format!("{client}, no longer in the fleet"),
                    asked.past(trace).unwrap_or(Word::Meets),
                );
            }
            finding
        };
        asked.into_iter().map(judge_one).collect()
    }
}

impl Lab {
    /// Searches the journal for clients that were turned away.
    fn hear_the_journal(&self, finding: &mut Finding, since: u64) {
        let journal = self.site.journal();
        for (number, entry) in journal.since(since) {
            let (who, why) = match entry {
                Entry::Exchange(Record { agent, peer, action, status, .. }) if status >= 400 => {
                    let client = agent.and_then(|agent| self.site.client_status(agent));
                    let who = client
                        .map_or_else(|| peer.to_string(), |client_status| client_status.client.computer_name);
                    (who, format!("{action} was answered with {status}"))
                }
                Entry::ConnectionClosed { peer, why: ConnectionClosed::Handshake(words), .. } => {
                    (peer.to_string(), format!("handshake aborted: {words}"))
                }
                _ => continue,
            };
            finding.add(&who, Word::Against(format!("{why} (entry {number})")));
        }
        for kind in [Kind::Exchange, Kind::ConnectionClosed] {
            if let Some(dropped) = journal.lacks(kind, since) {
                let forgotten = format!("{dropped} entries of the kind {kind} were dropped");
                finding.add("the journal", Word::Forgotten(forgotten));
            }
        }
    }
}

impl Finding {
    fn add(&mut self, client: &str, word: Word) {
        let (why, result) = match word {
            Word::Meets => return,
            Word::NotYet(why) => (why, FindingResult::Pending),
            Word::Against(why) => (why, FindingResult::Fail),
            Word::Forgotten(what) => (what, FindingResult::Unknown),
        };
        self.against += 1;
        if self.counter_examples.len() < NAMED {
            self.counter_examples.push(format!("{client}: {why}"));
        }
        // A failure decides first, then a client that cannot be judged.
        let weight = |one: FindingResult| match one {
            FindingResult::Pass => 0,
            FindingResult::Pending => 1,
            FindingResult::Unknown => 2,
            FindingResult::Fail => 3,
        };
        if weight(result) > weight(self.result) {
            self.result = result;
        }
    }
}

impl Asked {
    fn word(&self, view: &AgentView, is_on: bool, trace: &Trace, in_force: &[Fingerprint]) -> Word {
        match &self.expectation {
            Expectation::EveryClientHolds { fingerprint, within_heartbeats } => {
                let from = self.heartbeats.get(&view.computer_name).copied().unwrap_or(0);
                let limit = within_heartbeats.map(|within| from.saturating_add(within));
                let since = trace.certificates.iter().find(|(one, _)| one == fingerprint).map(|(_, at)| *at);
                match (view.certificates.contains(fingerprint), limit) {
                    (true, Some(limit)) if since.is_some_and(|since| since > limit) => {
                        Word::Against("it received the certificate too late".to_owned())
                    }
                    (true, _) => Word::Meets,
                    (false, Some(limit)) if view.heartbeats < limit => {
                        Word::NotYet(format!("{} heartbeats left", limit - view.heartbeats))
                    }
                    (false, _) => {
                        let held: Vec<String> = view.certificates.iter().map(ToString::to_string).collect();
                        Word::Against(format!("it holds {}", held.join(", ")))
                    }
                }
            }
            Expectation::EveryClientIsUpToDate => {
                match in_force.iter().find(|one| !view.certificates.contains(one)) {
                    None => Word::Meets,
                    Some(missing) => Word::Against(format!("it lacks {missing}")),
                }
            }
            Expectation::EveryClientIsServed if !is_on || view.health.is_connected() => Word::Meets,
            Expectation::EveryClientIsServed => Word::Against("it is not served".to_owned()),
            Expectation::EveryClientIsSecure if view.secure_communications => Word::Meets,
            Expectation::EveryClientIsSecure => {
                Word::Against("it does not authenticate its manager".to_owned())
            }
            Expectation::NoClientIsOrphaned => match view.health.orphaned() {
                None => Word::Meets,
                Some((since, because)) => Word::Against(format!("since {since}: {because}")),
            },
            Expectation::NoClientWasOrphaned | Expectation::NoUnsignedPolicyWasAdopted => {
                self.past(trace).unwrap_or(Word::Meets)
            }
            // Judged from the journal, not from clients.
            Expectation::NoClientWasTurnedAway => Word::Meets,
        }
    }

    /// What is known from a client's past, also after it has left the fleet.
    fn past(&self, trace: &Trace) -> Option<Word> {
        match &self.expectation {
            Expectation::NoClientWasOrphaned => trace.orphaned.front().map(|one| {
                let until = one.until.map_or_else(|| "now".to_owned(), |until| until.to_string());
                Word::Against(format!("from {} to {until}: {}", one.since, one.because))
            }),
            Expectation::NoUnsignedPolicyWasAdopted => {
                let unsigned = trace.unsigned.front();
                unsigned.map(|one| Word::Against(format!("at {}: the policy {}", one.at, one.serial)))
            }
            _ => None,
        }
    }
}
