//! What an author of a test expects of the fleet, and who does not meet it.

use std::collections::BTreeMap;

use epm_client_agent::agent::AgentView;
use epm_protocol::trust::Fingerprint;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lab::history::Trace;
use crate::lab::{ClientView, Lab, lock};
use crate::runtime::journal::{ConnectionClosed, Entry, Kind, Record};

/// How many counter-examples are named.
const NAMED: usize = 20;
/// How many expectations a lab keeps.
const MOST: usize = 1000;

/// What is expected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "expect", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Expectation {
    /// Every client holds this certificate; with a number, within so many of its heartbeats from when this was asked.
    EveryClientHolds {
        /// The certificate: the SHA-256 of its DER form, in hexadecimal digits.
        #[schemars(with = "String")]
        fingerprint: Fingerprint,
        /// Within how many of each client's heartbeats; at once when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        within_heartbeats: Option<u64>,
    },
    /// Every client holds the certificate that each manager shows now.
    EveryClientIsUpToDate,
    /// Every client whose machine is on is served.
    EveryClientIsServed,
    /// Every client authenticates its manager.
    EveryClientIsSecure,
    /// Nobody is orphaned now.
    NoClientIsOrphaned,
    /// Nobody was orphaned at any moment.
    NoClientWasOrphaned,
    /// No policy was adopted that nobody vouched for.
    NoUnsignedPolicyWasAdopted,
    /// No manager was left in a handshake, and none answered a client with an error, since this was asked; since the lab
    /// began, if it is asked without a name. The journal is asked.
    NoClientWasTurnedAway,
}

/// An expectation that was asked, and how far every client was then.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What.
    pub expectation: Expectation,
    heartbeats: BTreeMap<String, u64>,
    /// The number of the journal's next entry then.
    since: u64,
}

/// How an expectation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FindingResult {
    /// It is met.
    Pass,
    /// It is not, and will not be.
    Fail,
    /// It is not yet, and there is time.
    Pending,
    /// It cannot be said: what would be needed was forgotten.
    Unknown,
}

/// What came of an expectation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Finding {
    /// Its name.
    pub name: String,
    /// What is expected.
    pub expectation: Expectation,
    /// How it stands.
    pub result: FindingResult,
    /// How many clients it was asked of.
    pub clients: usize,
    /// How many do not meet it.
    pub against: usize,
    /// Some of them, each with the reason.
    pub counter_examples: Vec<String>,
}

/// What speaks against an expectation.
enum Word {
    Meets,
    NotYet(String),
    Against(String),
    /// What would be needed was forgotten.
    Forgotten(String),
}

impl Lab {
    /// Expects something under a name; what was expected under it before is forgotten. The same again changes nothing.
    /// Returns false where there are too many.
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

    /// Expects it no longer. Whether it was.
    pub fn expect_no_longer(&self, name: &str) -> bool {
        lock(&self.expectations).remove(name).is_some()
    }

    /// Expects nothing any more.
    pub(super) fn forget_expectations(&self) {
        lock(&self.expectations).clear();
    }

    /// How all that is expected stands, by name.
    pub async fn findings(&self) -> Vec<Finding> {
        let asked: Vec<(String, Asked)> =
            lock(&self.expectations).iter().map(|(name, asked)| (name.clone(), asked.clone())).collect();
        self.judge(asked).await
    }

    /// How these stand, asked now.
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
                finding.add(&format!("{client}, which has left"), asked.past(trace).unwrap_or(Word::Meets));
            }
            finding
        };
        asked.into_iter().map(judge_one).collect()
    }
}

impl Lab {
    /// Looks in the journal for who was turned away.
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
                    (peer.to_string(), format!("left in the handshake: {words}"))
                }
                _ => continue,
            };
            finding.add(&who, Word::Against(format!("{why} (entry {number})")));
        }
        for kind in [Kind::Exchange, Kind::ConnectionClosed] {
            if let Some(dropped) = journal.lacks(kind, since) {
                let forgotten = format!("{dropped} entries of the kind {kind} are no longer remembered");
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
        // Whoever fails decides; then whoever cannot be judged.
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
                        Word::Against("it holds it, and came by it too late".to_owned())
                    }
                    (true, _) => Word::Meets,
                    (false, Some(limit)) if view.heartbeats < limit => {
                        Word::NotYet(format!("{} heartbeats to go", limit - view.heartbeats))
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
            // Of this the journal tells, and no client.
            Expectation::NoClientWasTurnedAway => Word::Meets,
        }
    }

    /// What speaks of what was, and stays so when a client has left.
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
