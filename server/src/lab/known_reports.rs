//! The latest report of each part of each source of reports, what a report has to be, and why one is refused.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use epm_client_agent::agent::{AgentView, ClientReport, Contact, MOST_REPORTED, ReportedState};
use epm_client_agent::wire::{ByState, Glance, Stopwatch};
use epm_protocol::excerpt::expected_one_of;
use epm_protocol::id::AgentId;
use epm_protocol::site::{CommandError, Groups};
use epm_protocol::time::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::runtime::clients::ClientStatus;
use crate::store::{ReportKey, StoreError};

/// Maximum number of parts of all sources.
pub(super) const MOST_PARTS: usize = 1000;
/// Maximum number of clients of all sources.
pub(super) const MOST_CLIENTS: usize = 200_000;
/// Maximum length of the reports of all sources, in bytes of JSON: some twelve times that of 100,000 clients in 400 states.
pub(super) const MOST_BYTES: usize = 64 * 1024 * 1024;
/// Maximum length of the name of a source or a client, in bytes.
const LONGEST_NAME: usize = 255;
/// Maximum length of the state of a client, in bytes of JSON. That of a client with three managers has some 1,500.
const LONGEST_STATE: usize = 16 * 1024;
/// Intervals after which a source that is silent is taken for lost.
const INTERVALS: u32 = 3;
/// Maximum number of sources of which refused reports are known.
const MOST_REFUSED: usize = 16;
/// The longest pause of a process between two attempts to report.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// Intervals without a heartbeat after which a client is reported as silent.
const SILENT: u32 = 3;
/// The latest time in a report.
const LATEST: Timestamp = Timestamp::from_seconds(32_503_680_000); // 3000-01-01
/// A source whose clock differs from the lab's by less has the same time, as have the machines of managers.
pub(super) const SAME_TIME: Duration = Duration::from_secs(5);

/// Why a report is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The report is invalid.
    #[error("invalid report: {0}")]
    Invalid(String),
    /// Another process reports as the same source, and was started later.
    #[error(
        "another process, started later, reports as {source_name:?}; give one of the two another name with `--report-as`"
    )]
    Replaced {
        /// Name of the source.
        source_name: String,
    },
    /// There are too many clients or sources, or their reports are too long.
    #[error(
        "too many: found {parts} parts of sources with {clients} clients and {bytes} bytes, expected at most {MOST_PARTS}, {MOST_CLIENTS} \
         and {MOST_BYTES}; `DELETE /v1/reports/NAME` forgets a source"
    )]
    TooMany {
        /// Number of parts, with that of the report.
        parts: usize,
        /// Number of clients, with those of the report.
        clients: usize,
        /// Bytes of JSON, with those of the report.
        bytes: usize,
    },
    /// There is no such source.
    #[error("unknown source {found:?}: {}", expected_one_of(known))]
    Unknown {
        /// Name that was given.
        found: String,
        /// Names of the sources.
        known: Vec<String>,
    },
    /// The database that the managers share is not available.
    #[error(transparent)]
    NotStored(#[from] CommandError),
}

impl From<StoreError> for ReportError {
    fn from(error: StoreError) -> Self {
        CommandError::NoDatabase { why: error.to_string() }.into()
    }
}

/// The latest report of each part of each source.
#[derive(Default)]
pub(super) struct Reports {
    pub(super) parts: Mutex<BTreeMap<ReportKey, Part>>,
    /// What is wrong with each report that the processes of the site share and that cannot be read, until another one comes in its
    /// place.
    pub(super) damaged: Mutex<BTreeMap<ReportKey, String>>,
    /// The latest report of each source that was refused because a process that was started later reports as the same source.
    pub(super) refused: Mutex<BTreeMap<String, Refused>>,
    /// Clients that each source reported before, and may report again.
    pub(super) former: Mutex<BTreeMap<String, Former>>,
    /// Notified when a report has come.
    pub(super) heard: Notify,
}

/// A report that was refused because a process that was started later reports as the same source.
pub(super) struct Refused {
    refusal: Refusal,
    since: Stopwatch,
}

/// What the processes of a site tell each other of a refused report.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Refusal {
    clients: Vec<String>,
    /// The longest time until the next attempt.
    pause: Duration,
}

/// Clients that a source reported before, of which not every part has come since, or that runs anew and names its clients one after
/// the other.
#[derive(Default)]
pub(super) struct Former {
    pub(super) clients: HashSet<String>,
    /// Whether the source has been started again.
    runs_anew: bool,
}

impl Reports {
    /// Notes a report that is refused: its clients are unknown, as long as its process goes on trying. None of a process that has ended,
    /// and where there are too many.
    pub(super) fn refuse(&self, source: &str, report: &ClientReport) -> Option<Refusal> {
        let mut refused = self.refused.lock();
        refused.retain(|_, one| !one.is_over());
        // A process that ends is no longer one of two.
        if report.is_last {
            refused.remove(source);
            return None;
        }
        if refused.len() >= MOST_REFUSED && !refused.contains_key(source) {
            return None;
        }
        let clients = report.states.iter().flat_map(ReportedState::names).map(str::to_owned).collect();
        let pause = Duration::from_millis(report.interval_ms).max(LONGEST_PAUSE);
        let refusal = Refusal { clients, pause };
        let one = Refused { refusal: refusal.clone(), since: Stopwatch::start() };
        if refused.insert(source.to_owned(), one).is_none() {
            tracing::warn!(
                "two processes report as {source:?}: the clients of the one that was started earlier are unknown; give one of the two \
                 another name with `--report-as`"
            );
        }
        Some(refusal)
    }

    /// Takes out parts; returns the names of their clients, by source.
    pub(super) fn take_out(
        &self,
        mut is_gone: impl FnMut(&ReportKey, &mut Part) -> bool,
    ) -> BTreeMap<String, HashSet<String>> {
        let mut gone = BTreeMap::<String, HashSet<String>>::new();
        self.parts.lock().retain(|key, part| {
            let is_gone = is_gone(key, part);
            if is_gone {
                gone.entry(key.0.clone()).or_default().extend(part.names().map(str::to_owned));
            }
            !is_gone
        });
        gone
    }

    /// The clients that these sources, or others before, reported and that no source does any more. Of a source of which parts are still
    /// to come, or that has been started again, none, unless there are too many.
    pub(super) fn no_longer_reported(
        &self,
        parts: &BTreeMap<ReportKey, Part>,
        gone: BTreeMap<String, HashSet<String>>,
        runs_anew: bool,
    ) -> HashSet<String> {
        let mut former = self.former.lock();
        for (source, clients) in gone.into_iter().filter(|(_, clients)| !clients.is_empty()) {
            let known = former.entry(source).or_default();
            known.clients.extend(clients);
            known.runs_anew |= runs_anew;
        }
        if former.is_empty() {
            return HashSet::new();
        }
        let named: HashSet<&str> = parts.values().flat_map(Part::names).collect();
        former.values_mut().for_each(|one| one.clients.retain(|client| !named.contains(client.as_str())));
        let incomplete = incomplete(parts);
        let runs =
            |source: &str| parts.iter().any(|((name, _), part)| name == source && !part.report.is_last);
        let are_too_many = former.values().map(|one| one.clients.len()).sum::<usize>() > MOST_CLIENTS;
        let mut ended = HashSet::new();
        former.retain(|source, one| {
            let waits = incomplete.contains(source.as_str()) || one.runs_anew && runs(source);
            if !waits || are_too_many {
                ended.extend(std::mem::take(&mut one.clients));
            }
            !one.clients.is_empty()
        });
        ended
    }

    /// Notes what another process of the site has refused.
    pub(super) fn hear_refusal(&self, source: &str, refusal: Refusal) {
        self.refused.lock().insert(source.to_owned(), Refused { refusal, since: Stopwatch::start() });
    }

    /// Whether refused reports of this source come again.
    pub(super) fn are_refused(&self, source: &str) -> bool {
        self.refused.lock().get(source).is_some_and(|one| !one.is_over())
    }

    /// The clients of reports that were refused and come again.
    pub(super) fn refused_clients(&self) -> Vec<String> {
        let refused = self.refused.lock();
        refused
            .values()
            .filter(|one| !one.is_over())
            .flat_map(|one| one.refusal.clients.iter().cloned())
            .collect()
    }
}

impl Refused {
    fn is_over(&self) -> bool {
        self.since.elapsed() > self.refusal.pause * INTERVALS
    }
}

pub(super) struct Part {
    pub(super) report: ClientReport,
    /// Length of the report, in bytes of JSON.
    pub(super) bytes: usize,
    /// Number that no other report has.
    pub(super) number: i64,
    pub(super) heard: Timestamp,
    /// Time by the source's clock, and lab time, of the first report of the same run of the source.
    pub(super) origin: (Timestamp, Timestamp),
    /// The lab's time at which the source looked at its clients.
    pub(super) looked: Timestamp,
    /// Real time since the report came: how old it was when this process read it, and since then.
    pub(super) age: (Duration, Stopwatch),
    /// Whether a later report of the same part cannot be read.
    pub(super) is_outdated: bool,
}

impl Part {
    pub(super) fn age(&self) -> Duration {
        self.age.0 + self.age.1.elapsed()
    }

    pub(super) fn is_silent(&self) -> bool {
        let is_late = || self.age() > Duration::from_millis(self.report.interval_ms) * INTERVALS;
        self.is_outdated || !self.report.is_last && is_late()
    }

    pub(super) fn clients(&self) -> usize {
        self.report.states.iter().map(ReportedState::count).sum()
    }

    /// Names of the clients.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.report.states.iter().flat_map(ReportedState::names)
    }

    /// What is seen of each client, with its name. Clients in one state share what they look like.
    pub(super) fn glances(&self) -> impl Iterator<Item = (&str, Glance)> {
        self.report.states.iter().flat_map(move |state| {
            let first = Glance::of_view(state.first.clone(), state.on, state.silent);
            state.clients().map(move |own| {
                (
                    own.name,
                    Glance {
                        since: own.since.unwrap_or(Timestamp::EPOCH),
                        heartbeats: own.heartbeats,
                        heartbeats_served: own.heartbeats_served,
                        ..first.clone()
                    },
                )
            })
        })
    }

    /// The clients, each with whether it is on.
    pub(super) fn views(&self) -> impl Iterator<Item = (AgentView, bool)> {
        self.report.states.iter().flat_map(|state| state.views().map(|view| (view, state.on)))
    }
}

/// The lab's time for one of a source's clock, if the source's showed `pair.0` when the lab's showed `pair.1`.
pub(super) fn lab_time(pair: (Timestamp, Timestamp), time: Timestamp, speed: u32) -> Timestamp {
    let (source, lab) = (pair.0.as_millis(), pair.1.as_millis());
    let is_same = u128::from(lab.abs_diff(source)) < SAME_TIME.as_millis();
    if speed == 1 && is_same {
        return time;
    }
    let since = time.as_millis().saturating_sub(source).saturating_mul(speed.max(1).into());
    Timestamp::from_millis(lab.saturating_add(since))
}

/// A client that is reported.
pub(super) struct Reported<'a> {
    /// Place of the part among all parts.
    pub(super) place: usize,
    pub(super) source: &'a str,
    pub(super) name: &'a str,
    pub(super) glance: Glance,
    /// The lab's time at which its process looked at it.
    pub(super) looked: Timestamp,
    /// The client's identifier, and when a manager saw it last: of several records of its name the one seen last.
    pub(super) record: Option<(AgentId, Timestamp)>,
}

impl Reported<'_> {
    /// Takes what a record of the site says of a client of this name.
    pub(super) fn learn(&mut self, record: &ClientStatus) {
        if self.record.is_none_or(|(_, seen)| seen < record.last_seen) {
            self.record = Some((record.client.agent, record.last_seen));
        }
    }
}

/// The sources of which not every part has come: their other clients cannot even be named.
pub(super) fn incomplete(parts: &BTreeMap<ReportKey, Part>) -> HashSet<&str> {
    let mut sources: HashMap<&str, (u32, i64, u32)> = HashMap::new();
    for ((source, _), part) in parts {
        let (count, newest, of) = sources.entry(source).or_default();
        *count += 1;
        if part.number >= *newest {
            (*newest, *of) = (part.number, part.report.parts);
        }
    }
    sources.into_iter().filter(|(_, (count, _, of))| count < of).map(|(source, _)| source).collect()
}

/// Completes what is seen of clients by what the site's records say: what no report has.
pub(super) fn complete(reported: &mut [Reported<'_>], groups: &Groups) {
    let mut intervals: ByState<Option<Duration>> = ByState::default();
    for Reported { glance, looked, record, .. } in reported {
        let Some((agent, seen)) = *record else { continue };
        let interval = *intervals.of(&glance.common, |view| longest_interval(groups, view.group.as_deref()?));
        let wakes = glance.is_on && !glance.is_silent;
        glance.agent = Some(agent);
        glance.contact = interval.map(|interval| Contact {
            heartbeat: last_heartbeat(seen, *looked, wakes.then_some(interval)),
            interval,
            stays_until: None,
        });
    }
}

/// The longest time between two regular heartbeats of clients in a group, at any of its locations.
fn longest_interval(groups: &Groups, group: &str) -> Option<Duration> {
    let settings = groups.effective(group).ok()?;
    let own = settings.locations.values().filter_map(|one| Some(&one.own.as_ref()?.communication));
    let seconds = own.chain([&settings.communication]).map(|one| one.heartbeat_seconds).max()?;
    // The jitter is at most the interval itself.
    Some(Duration::from_secs(seconds.into()) * 2)
}

/// A time not after the last heartbeat that had ended when the client's process looked at it; none if that is not known. `interval` is
/// that of a client that wakes for its heartbeats.
fn last_heartbeat(seen: Timestamp, looked: Timestamp, interval: Option<Duration>) -> Option<Timestamp> {
    // A later visit is of a heartbeat that the report does not know; then the client's silence would be.
    if seen <= looked { Some(seen) } else { interval.map(|interval| looked - interval * SILENT) }
}

/// Checks that a report is valid.
pub(super) fn check(source: &str, report: &ClientReport) -> Result<(), ReportError> {
    let invalid = |why: String| Err(ReportError::Invalid(why));
    let is_name =
        |name: &str| !name.is_empty() && name.len() <= LONGEST_NAME && !name.chars().any(char::is_control);
    if !is_name(source) || !is_name(&report.instance) {
        return invalid(format!(
            "name of the source or its run: expected 1 to {LONGEST_NAME} bytes without control characters"
        ));
    }
    if !(1000..=3_600_000).contains(&report.interval_ms) {
        return invalid(format!("interval_ms: {}, expected 1000 to 3600000", report.interval_ms));
    }
    let most = u32::try_from(MOST_PARTS).unwrap_or(u32::MAX);
    if !(1..=most).contains(&report.parts) || !(1..=report.parts).contains(&report.part) {
        return invalid(format!(
            "part {} of {}: expected 1 to {MOST_PARTS} parts, and one of them",
            report.part, report.parts
        ));
    }
    let is_time = |time: Timestamp| (Timestamp::EPOCH..=LATEST).contains(&time);
    let (began, at) = (report.began, report.at);
    if !is_time(began) || !is_time(at) || began > at {
        return invalid(format!(
            "began: {began}, at: {at}: expected times from 1970-01-01 to 3000-01-01, the first not after the second"
        ));
    }
    let count: usize = report.states.iter().map(ReportedState::count).sum();
    if count > MOST_REPORTED {
        return invalid(format!(
            "{count} clients: expected at most {MOST_REPORTED} in one report, the others in further parts"
        ));
    }
    for state in &report.states {
        let length = serde_json::to_vec(&state.first).map_or(usize::MAX, |json| json.len());
        if length > LONGEST_STATE {
            let (name, most) = (&state.first.computer_name, LONGEST_STATE);
            return invalid(format!("the state of {name:?} has {length} bytes: expected at most {most}"));
        }
        if report.is_last && state.on {
            let name = &state.first.computer_name;
            return invalid(format!(
                "the client {name:?} is on in a last report: expected every client to be off once its process has ended"
            ));
        }
        if let Some((name, since)) =
            state.clients().find_map(|one| Some((one.name, one.since.filter(|since| !is_time(*since))?)))
        {
            return invalid(format!(
                "the client {name:?} is in its state since {since}: expected a time from 1970-01-01 to 3000-01-01"
            ));
        }
    }
    let mut names = HashSet::new();
    for name in report.states.iter().flat_map(ReportedState::names) {
        if !is_name(name) {
            return invalid(format!(
                "the client {name:?}: expected a name of 1 to {LONGEST_NAME} bytes without control characters"
            ));
        }
        if !names.insert(name) {
            return invalid(format!("the client {name:?} is in it twice"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_several_times_what_a_hundred_thousand_clients_in_many_states_need() {
        let certificate = "c0".repeat(32);
        let view = |name: &str| {
            serde_json::json!({ "computer_name": name, "version": "14.3", "certificates": [certificate, certificate, certificate],
                "serial": null, "policy_vouched_by": null, "complete": null,
                "group": "My Company\\Branch\\Default Group", "secure_communications": true, "list": "Default Management Server List",
                "server": null, "location": "Default",
                "health": { "state": "connected", "since": "2026-01-05T08:00:00Z" }, "brought_back": false, "quarantined": false,
                "heartbeats": 100, "heartbeats_served": 100 })
        };
        let state = |number: usize| {
            let others: Vec<_> = (1..250)
                .map(|one| (format!("desktop-{number}-{one}"), "2026-01-05T08:00:00.123Z", 100, 100))
                .collect();
            serde_json::json!({ "on": true, "silent": false, "first": view(&format!("desktop-{number}")), "others": others })
        };
        let states: Vec<_> = (0..20).map(state).collect();
        let report = serde_json::json!({ "instance": "0123456789abcdef", "began": "2026-01-05T08:00:00Z", "at": "2026-01-05T08:00:09Z",
            "interval_ms": 5000, "part": 1, "parts": 20, "states": states });
        let report: ClientReport = serde_json::from_value(report).unwrap();
        check("fleet", &report).unwrap();
        let bytes = 20 * serde_json::to_vec(&report).unwrap().len();
        assert!(MOST_BYTES / bytes >= 7, "{bytes}");
    }
}
