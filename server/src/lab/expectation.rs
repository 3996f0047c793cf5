//! Expectations about the fleet, and the clients that do not meet them.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use epm_protocol::plural::{counted, either};
use epm_protocol::site::CommandError;
use epm_protocol::trust::Fingerprint;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lab::baseline::START_BASELINE;
use crate::lab::finding_result::FindingResult;
use crate::lab::history::Trace;
use crate::lab::rotation::{JudgedRotation, Rotation, RotationFinding};
use crate::lab::{BaselineError, Lab, Seen, lock};
use crate::runtime::journal::{ConnectionClosed, Entry, Kind as EntryKind, Record};
use crate::store::{Kind, StoreError};

/// Maximum number of counter-examples listed.
const NAMED: usize = 20;
/// Why nothing is known of the clients of a lab that has none.
const NO_CLIENT: &str = "it has no client of its own to judge";
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
    /// Every client whose machine is on is served, and has begun a heartbeat within the last three intervals.
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
    /// The server certificates were rotated since a baseline: the new ones are in both stores and in force, every group
    /// and location has its settings again, and no client was orphaned or lacks anything.
    Rotation(Rotation),
}

impl Expectation {
    /// Whether the past of the clients decides it, also of those that have left.
    const fn is_of_the_past(&self) -> bool {
        matches!(self, Self::NoClientWasOrphaned | Self::NoUnsignedPolicyWasAdopted)
    }

    /// The sentence that is true if the expectation is met; the same for every fingerprint and rotation.
    pub const fn title(&self) -> &'static str {
        match self {
            Self::EveryClientHolds { .. } => "every client holds the certificate",
            Self::EveryClientIsUpToDate => "every client holds every certificate in force",
            Self::EveryClientIsServed => "every client that is on is served",
            Self::EveryClientIsSecure => "every client is secure",
            Self::NoClientIsOrphaned => "no client is orphaned",
            Self::NoClientWasOrphaned => "no client was orphaned at any time",
            Self::NoUnsignedPolicyWasAdopted => "no client adopted an unsigned policy",
            Self::NoClientWasTurnedAway => "no client was turned away",
            Self::Rotation(_) => "the certificates were rotated without harm",
        }
    }
}

/// A registered expectation, with each client's state at that time.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Asked {
    /// The expectation.
    pub expectation: Expectation,
    heartbeats: BTreeMap<String, u64>,
    /// Number of the journal's next entry when the expectation was registered.
    since: u64,
    /// Generation of the clients' history then.
    #[serde(default)]
    generation: u64,
}

/// Result of an expectation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// Reasons why the expectation cannot be judged; empty where there is a judgement.
    pub not_judged: Vec<String>,
    /// The findings of a rotation, each with a result of its own; none for another expectation.
    pub findings: Vec<RotationFinding>,
    /// Facts about a rotation that are reported and fail nothing.
    pub notes: Vec<String>,
}

/// One client's contribution to the result of an expectation.
enum Word {
    Meets,
    NotYet(String),
    Against(String),
    /// The data that is needed is no longer recorded.
    Forgotten(String),
}

/// Looks into the history of a client: what it says about an expectation, and with which heartbeat a certificate came.
type Recorded<'a> = (&'a dyn Fn(&Asked) -> Option<Word>, &'a dyn Fn(&Fingerprint) -> Option<u64>);

impl Lab {
    /// Registers an expectation under a name, replacing another one of that name; the same one again changes nothing. None if
    /// there are too many, else its result.
    ///
    /// # Errors
    ///
    /// When the database that the managers share is not available.
    pub async fn expect(
        &self,
        name: &str,
        expectation: Expectation,
    ) -> Result<Option<Finding>, CommandError> {
        self.read_documents().map_err(|error| not_shared(&error))?;
        let mut heartbeats = BTreeMap::new();
        if let Expectation::EveryClientHolds { within_heartbeats: Some(_), .. } = expectation {
            self.look_at_everyone(|seen| {
                heartbeats.insert(seen.name.to_owned(), seen.glance.heartbeats);
            })
            .await;
        }
        let known = {
            let asked = lock(&self.expectations);
            if asked.len() >= MOST && !asked.contains_key(name) {
                return Ok(None);
            }
            asked.get(name).filter(|known| known.expectation == expectation).cloned()
        };
        let asked = match known {
            Some(known) => known,
            None => {
                let since = self.site.journal().next_number();
                let generation = self.history.generation.load(Ordering::SeqCst);
                let asked = Asked { expectation, heartbeats, since, generation };
                self.share(Kind::Expectation, name, &asked).map_err(|error| not_shared(&error))?;
                lock(&self.expectations).insert(name.to_owned(), asked.clone());
                asked
            }
        };
        Ok(self.judge(vec![(name.to_owned(), asked)]).await.pop())
    }

    /// Removes a registered expectation, if there is one of that name.
    ///
    /// # Errors
    ///
    /// When the database that the managers share is not available.
    pub fn expect_no_longer(&self, name: &str) -> Result<(), CommandError> {
        self.read_documents().map_err(|error| not_shared(&error))?;
        self.share_no_longer(Kind::Expectation, name).map_err(|error| not_shared(&error))?;
        lock(&self.expectations).remove(name);
        Ok(())
    }

    /// Removes every registered expectation, and the judgement of a rotation.
    pub(super) fn forget_expectations(&self) {
        lock(&self.expectations).clear();
        *lock(&self.judged) = None;
    }

    /// Results of all registered expectations, by name.
    ///
    /// # Errors
    ///
    /// When the database that the managers share is not available, or has one that cannot be read.
    pub async fn findings(&self) -> Result<Vec<Finding>, CommandError> {
        self.read_documents().map_err(|error| not_shared(&error))?;
        self.check_documents(Kind::Expectation, None)?;
        Ok(self.known_findings().await)
    }

    /// Results of the registered expectations that this process knows of.
    pub(crate) async fn known_findings(&self) -> Vec<Finding> {
        let asked: Vec<(String, Asked)> =
            lock(&self.expectations).iter().map(|(name, asked)| (name.clone(), asked.clone())).collect();
        self.judge(asked).await
    }

    /// Results of these expectations, judged now.
    pub async fn find(&self, expectations: Vec<Expectation>) -> Vec<Finding> {
        let findings = self.judge_now(expectations).await;
        self.remember_rotation(&findings);
        findings
    }

    pub(super) async fn judge_now(&self, expectations: Vec<Expectation>) -> Vec<Finding> {
        // That of the lab's start, or of its last reset.
        let generation = lock(&self.baselines).get(START_BASELINE).map_or(0, |start| start.generation);
        let asked = expectations.into_iter().enumerate().map(|(number, expectation)| {
            let asked = Asked { expectation, heartbeats: BTreeMap::new(), since: 0, generation };
            ((number + 1).to_string(), asked)
        });
        self.judge(asked.collect()).await
    }

    async fn judge(&self, asked: Vec<(String, Asked)>) -> Vec<Finding> {
        let in_force: Vec<Fingerprint> = self.certificates().into_values().collect();
        let new_finding = |(name, asked): &(String, Asked)| Finding {
            name: name.clone(),
            expectation: asked.expectation.clone(),
            result: FindingResult::Pass,
            clients: 0,
            against: 0,
            counter_examples: Vec::new(),
            not_judged: Vec::new(),
            findings: Vec::new(),
            notes: Vec::new(),
        };
        let mut findings: Vec<Finding> = asked.iter().map(new_finding).collect();
        // Each with what is asked client by client; the others are judged as a whole.
        let mut of_clients: Vec<(&Asked, &mut Finding)> = Vec::new();
        for ((_, asked), finding) in asked.iter().zip(&mut findings) {
            match asked.expectation {
                Expectation::NoClientWasTurnedAway => self.hear_the_journal(finding, asked.since),
                Expectation::Rotation(_) => {}
                _ => of_clients.push((asked, finding)),
            }
        }
        let mut clients = 0;
        let generation = self.history.generation.load(Ordering::SeqCst);
        // Most clients of a large fleet were never anything that their history would have to be asked for.
        let marked = self.history.marked();
        let heard = self
            .look_at_everyone(|seen| {
                clients += 1;
                let name = seen.name;
                // Also if it happened since the others were asked for.
                let view = &seen.glance.common;
                let is_marked =
                    marked.contains_key(name) || view.health.orphaned().is_some() || !view.harm.is_none();
                for (asked, finding) in &mut of_clients {
                    let past = |asked: &Asked| {
                        let known = is_marked.then(|| self.history.ask(name, |trace| asked.past(trace)));
                        known.flatten().flatten()
                    };
                    let since = |certificate: &Fingerprint| {
                        let is_known = asked.generation == generation;
                        let known =
                            is_known.then(|| self.history.ask(name, |trace| trace.held_since(certificate)));
                        known.flatten().flatten()
                    };
                    finding.add(name, asked.word(&seen, (&past, &since), &in_force));
                }
            })
            .await;
        // Read after the fleet was looked at, so that a client that leaves meanwhile is in one of the two.
        let departed = self.history.departed();
        let has_no_client = clients == 0 && heard.unknown.is_empty();
        for (asked, finding) in &mut of_clients {
            let is_of_the_past = asked.expectation.is_of_the_past();
            if is_of_the_past && asked.generation != generation {
                let why =
                    "a snapshot was restored, and what happened to the clients before is not known any more";
                finding.add("the lab", Word::Forgotten(why.to_owned()));
            }
            if has_no_client && (!is_of_the_past || departed.is_empty()) {
                finding.add("the lab", Word::Forgotten(NO_CLIENT.to_owned()));
            }
            if let Some(why) = &heard.not_read {
                finding.add("the reports", Word::Forgotten(why.clone()));
            }
            for client in &heard.unknown {
                finding.add(client, Word::Forgotten("no process reports what it holds".to_owned()));
            }
            for (client, trace) in &departed {
                let word = asked.past(trace).unwrap_or(Word::Meets);
                finding.add(&format!("{client}, no longer in the fleet"), word);
            }
        }
        for finding in &mut findings {
            finding.clients = clients;
            if has_no_client && matches!(finding.expectation, Expectation::NoClientWasTurnedAway) {
                finding.add("the lab", Word::Forgotten(NO_CLIENT.to_owned()));
            }
            if let Expectation::Rotation(rotation) = finding.expectation.clone() {
                match self.judge_rotation(&rotation).await {
                    Some(judged) => finding.add_rotation(judged),
                    None => {
                        let damaged = self.check_documents(Kind::Baseline, Some(&rotation.since)).err();
                        let why = damaged.map_or_else(|| "it was removed".to_owned(), |why| why.to_string());
                        finding.add("the baseline", Word::Forgotten(why));
                    }
                }
            }
            // What fails is judged, whatever else is not known.
            if finding.result != FindingResult::Unknown {
                finding.not_judged.clear();
            }
        }
        findings
    }

    /// Checks that what these expectations name is known.
    ///
    /// # Errors
    ///
    /// When a baseline, or a manager or client of a rotation, is unknown.
    pub fn check_expectations(&self, expectations: &[Expectation]) -> Result<(), BaselineError> {
        expectations.iter().try_for_each(|one| match one {
            Expectation::Rotation(rotation) => self.check_rotation(rotation),
            _ => Ok(()),
        })
    }
}

impl Lab {
    /// Searches the journal for clients that were turned away.
    fn hear_the_journal(&self, finding: &mut Finding, since: u64) {
        let journal = self.site.journal();
        if self.site.is_shared() {
            let why = "of this process alone: the other managers have journals of their own";
            finding.add("the journal", Word::Forgotten(why.to_owned()));
        }
        for (number, entry) in journal.since(since) {
            let (who, why) = match entry {
                Entry::Exchange(Record { agent, peer, action, status, .. }, _) if status >= 400 => {
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
        for kind in [EntryKind::Exchange, EntryKind::ConnectionClosed] {
            if let Some(dropped) = journal.lacks(kind, since) {
                let forgotten = format!(
                    "{} dropped",
                    either(
                        dropped,
                        &format!("entry of the kind {kind} was"),
                        &format!("entries of the kind {kind} were")
                    )
                );
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
        let example = format!("{client}: {why}");
        if result == FindingResult::Unknown && self.not_judged.len() < NAMED {
            self.not_judged.push(example.clone());
        }
        if self.counter_examples.len() < NAMED {
            self.counter_examples.push(example);
        }
        self.result = self.result.worse(result);
    }

    /// Takes over the judgement of a rotation.
    fn add_rotation(&mut self, judged: JudgedRotation) {
        for one in &judged.findings {
            self.result = self.result.worse(one.result);
            self.against += one.against;
            let examples = one.counter_examples.iter().map(|example| format!("{}: {example}", one.title));
            if one.result == FindingResult::Unknown {
                self.not_judged.extend(examples.clone());
            }
            self.counter_examples.extend(examples);
        }
        self.counter_examples.truncate(NAMED);
        self.not_judged.truncate(NAMED);
        (self.clients, self.findings, self.notes) = (judged.clients, judged.findings, judged.notes);
        if self.clients == 0 {
            self.notes.push("no client was judged, only the managers were".to_owned());
        }
    }
}

fn not_shared(error: &StoreError) -> CommandError {
    CommandError::NoDatabase { why: error.to_string() }
}

impl Asked {
    /// Takes the journal of this process from this entry on: another process has registered the expectation, and knows only its own.
    pub(super) const fn hear_from(&mut self, entry: u64) {
        self.since = entry;
    }

    /// What a client contributes; `past` and `since` look into its history.
    fn word(&self, seen: &Seen<'_>, (past, since): Recorded<'_>, in_force: &[Fingerprint]) -> Word {
        let (name, glance) = (seen.name, seen.glance);
        let (view, is_on, is_silent) = (&*glance.common, glance.is_on, glance.is_silent);
        match &self.expectation {
            Expectation::EveryClientHolds { fingerprint, within_heartbeats } => {
                let from = self.heartbeats.get(name).copied().unwrap_or(0);
                let limit = within_heartbeats.map(|within| from.saturating_add(within));
                match (view.certificates.contains(fingerprint), limit) {
                    (true, Some(limit)) if glance.heartbeats > limit => match since(fingerprint) {
                        Some(since) if since <= limit => Word::Meets,
                        Some(_) if seen.reported_by.is_none() => {
                            Word::Against("it received the certificate too late".to_owned())
                        }
                        _ => Word::Forgotten("when it received the certificate is not known".to_owned()),
                    },
                    (true, _) => Word::Meets,
                    (false, Some(limit)) if glance.heartbeats < limit => {
                        Word::NotYet(format!("{} left", counted(limit - glance.heartbeats, "heartbeat")))
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
            Expectation::EveryClientIsServed if is_silent => {
                Word::Against("it had no heartbeat for three intervals".to_owned())
            }
            Expectation::EveryClientIsServed if !is_on || view.health.is_connected() => Word::Meets,
            Expectation::EveryClientIsServed => Word::Against("it is not served".to_owned()),
            Expectation::EveryClientIsSecure if view.secure_communications => Word::Meets,
            Expectation::EveryClientIsSecure => {
                Word::Against("it does not authenticate its manager".to_owned())
            }
            Expectation::NoClientIsOrphaned => match view.health.orphaned() {
                None => Word::Meets,
                Some((_, because)) => Word::Against(format!("since {}: {because}", glance.since)),
            },
            Expectation::NoClientWasOrphaned | Expectation::NoUnsignedPolicyWasAdopted => {
                past(self).unwrap_or(Word::Meets)
            }
            // Not judged client by client.
            Expectation::NoClientWasTurnedAway | Expectation::Rotation(_) => Word::Meets,
        }
    }

    /// What is known from a client's past, also after it has left the fleet.
    fn past(&self, trace: &Trace) -> Option<Word> {
        let is_told = |grown: bool, before: u8, what: &str| {
            if grown {
                Some(Word::Against(format!("it {what}, as it tells: when and why was not seen")))
            } else {
                (before > 0)
                    .then(|| Word::Forgotten(format!("it {what} before its first report here, as it tells")))
            }
        };
        match &self.expectation {
            Expectation::NoClientWasOrphaned => match trace.orphaned.front() {
                Some(one) => {
                    let until = one.until.map_or_else(|| "now".to_owned(), |until| until.to_string());
                    Some(Word::Against(format!("from {} to {until}: {}", one.since, one.because)))
                }
                None => trace
                    .told
                    .and_then(|told| is_told(told.grown.orphaned, told.first.orphaned, "was orphaned")),
            },
            Expectation::NoUnsignedPolicyWasAdopted => match trace.unsigned.front() {
                Some(one) => Some(Word::Against(format!("at {}: the policy {}", one.at, one.serial))),
                None => trace.told.and_then(|told| {
                    is_told(
                        told.grown.unsigned,
                        told.first.unsigned,
                        "adopted a policy without a verified signature",
                    )
                }),
            },
            _ => None,
        }
    }
}
