//! What processes elsewhere report of their clients: kept in memory and, where managers are in several processes, in their
//! database, so that each of them knows all. The clients are then judged as the lab's own.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use epm_client_agent::agent::{ClientReport, ReportedState};
use epm_client_agent::scenario::{ReportSource, Standing};
use epm_client_agent::wire::{Stopwatch, wait};
use epm_protocol::site::{CommandError, RegisteredClient};
use epm_protocol::time::{Clock, Timestamp};
use epm_protocol::trust::Fingerprint;
use tokio::time::timeout;

use crate::lab::known_reports::{
    MOST_BYTES, MOST_CLIENTS, MOST_PARTS, Part, ReportError, Reported, SAME_TIME, check, complete,
    incomplete, lab_time,
};
use crate::lab::time_error::{PATIENCE, TimeError};
use crate::lab::{ClientView, Lab, Seen, lock};
use crate::store::{Kind, ReportKey, Rows, StoreError, StoredReport, tell_new};

/// What is known of the clients beside what each of them holds.
#[derive(Default)]
pub(crate) struct Heard {
    pub(super) sources: Vec<ReportSource>,
    /// Clients whose state is not known.
    pub(crate) unknown: Vec<String>,
    /// Number of registered clients that run outside of the lab's process and that no process reports. A client that has been registered with several hardware
    /// ids is one, and of clones that share a record each is known by its own name.
    pub(super) elsewhere: usize,
    /// Clients that several sources report, or one beside the lab's own.
    pub(super) reported_twice: Vec<String>,
    /// Why not every report is known; none if each is.
    pub(super) not_read: Option<String>,
}

impl Lab {
    /// Takes a report in the place of the same source's earlier ones.
    ///
    /// # Errors
    ///
    /// When the report is invalid, another process reports as this source, there are too many clients, or the database that the
    /// managers share is not available.
    pub fn take_report(&self, source: &str, report: ClientReport) -> Result<ReportSource, ReportError> {
        check(source, &report)?;
        // This program's own type, which serialises.
        let length = serde_json::to_vec(&report).map_or(usize::MAX, |json| json.len());
        self.read_reports()?;
        let now = self.clock().now();
        let number = {
            let parts = self.reports.parts.lock();
            let own = || parts.iter().filter(|((name, _), _)| name == source).map(|(_, part)| part);
            let is_other = |part: &Part| part.report.instance != report.instance;
            // Of two that were started at the same moment one counts, and always the same one.
            let is_later = |one: &ClientReport| (one.began, &one.instance) > (report.began, &report.instance);
            if own().any(|part| {
                is_other(part) && is_later(&part.report) && !part.is_silent() && !part.report.is_last
            }) {
                drop(parts);
                match self.reports.refuse(source, &report) {
                    Some(refusal) => self.share(Kind::Refusal, source, &refusal)?,
                    None => self.share_no_longer(Kind::Refusal, source)?,
                }
                return Err(ReportError::Replaced { source_name: source.to_owned() });
            }
            let stays = |key: &(String, u32), part: &Part| {
                key.0 != source || !is_other(part) && key.1 != report.part && key.1 <= report.parts
            };
            let others = parts.iter().filter(|(key, part)| stays(key, part));
            let own = (1, report.states.iter().map(ReportedState::count).sum(), length);
            let (parts_of_all, clients, bytes) = others.fold(own, |(count, clients, bytes), (_, part)| {
                (count + 1, clients + part.clients(), bytes.saturating_add(part.bytes))
            });
            if parts_of_all > MOST_PARTS || clients > MOST_CLIENTS || bytes > MOST_BYTES {
                return Err(ReportError::TooMany { parts: parts_of_all, clients, bytes });
            }
            parts.values().map(|part| part.number).max().unwrap_or_default() + 1
        };
        let stored = StoredReport {
            source: source.to_owned(),
            number,
            age: Duration::ZERO,
            heard: now,
            origin: (report.at, now),
            part: report.part,
            bytes: length,
            report: Some(report),
        };
        match self.site.shared_log() {
            Some(log) => {
                log.put_report(&stored)?;
                self.read_reports()?;
                if let Some(why) = self.reports.damaged.lock().get(&(stored.source, stored.part)) {
                    return Err(CommandError::NoDatabase { why: why.clone() }.into());
                }
            }
            None => self.adopt_report(stored),
        }
        let found = self.sources().into_iter().find(|one| one.source == source);
        found.ok_or_else(|| ReportError::Replaced { source_name: source.to_owned() })
    }

    /// Reads the reports that other processes of the site have taken. Nothing to do for a site of one process.
    pub(crate) fn read_reports(&self) -> Result<(), StoreError> {
        let Some(log) = self.site.shared_log() else { return Ok(()) };
        let known: HashMap<(String, u32), i64> =
            self.reports.parts.lock().iter().map(|(key, part)| (key.clone(), part.number)).collect();
        let numbers: Vec<i64> = known.values().copied().collect();
        let Rows { mut read, damaged } = log.reports(&numbers)?;
        let mut damaged: BTreeMap<ReportKey, String> =
            damaged.into_iter().map(|(key, error)| (key, error.to_string())).collect();
        read.retain(|one| {
            let valid = one.report.as_ref().map_or(Ok(()), |report| check(&one.source, report));
            let key = (one.source.clone(), one.part);
            let why = |error| format!("the report of {:?}, part {}: {error}", one.source, one.part);
            valid.map_err(|error| damaged.insert(key, why(error))).is_ok()
        });
        let there: BTreeSet<ReportKey> = read.iter().map(|one| (one.source.clone(), one.part)).collect();
        let gone = self.reports.take_out(|key, part| {
            part.is_outdated = damaged.contains_key(key);
            !there.contains(key) && !part.is_outdated && known.get(key) == Some(&part.number)
        });
        tell_new(
            &mut self.reports.damaged.lock(),
            damaged,
            "a report cannot be read, and its clients are unknown until its source reports again",
        );
        read.into_iter().filter(|one| one.report.is_some()).for_each(|one| self.adopt_report(one));
        // One that another source reports now has not gone.
        self.end_histories(gone, true);
        Ok(())
    }

    fn adopt_report(&self, stored: StoredReport) {
        let StoredReport { source, number, age, heard, origin, part: of, bytes, report } = stored;
        let Some(mut report) = report else { return };
        let mut parts = self.reports.parts.lock();
        let key = (source, of);
        let known = parts.get(&key);
        if known.is_some_and(|known| known.number >= number) {
            return;
        }
        let origin =
            known.filter(|one| one.report.instance == report.instance).map_or(origin, |one| one.origin);
        let speed = self.clock().speed();
        let (at, looked) = (report.at, lab_time(origin, report.at, speed).min(heard));
        for state in &mut report.states {
            state.map_times(|client, since| {
                let first = lab_time((at, heard), since, speed).min(heard);
                self.history.contact_since(client, since, first)
            });
        }
        let (instance, count) = (report.instance.clone(), report.parts);
        let age = (age, Stopwatch::start());
        let part = Part { report, bytes, number, heard, origin, looked, age, is_outdated: false };
        let changes = self.site.changes().count();
        part.views().for_each(|(view, _)| self.history.hear(&view, heard, changes));
        let names: HashSet<&str> = part.names().collect();
        let (mut gone, mut runs_anew) = (HashSet::new(), false);
        parts.retain(|(name, of), one| {
            let stays = *name != key.0 || one.report.instance == instance && *of <= count && *of != key.1;
            if !stays {
                runs_anew |= one.report.instance != instance;
                gone.extend(one.names().filter(|client| !names.contains(client)).map(str::to_owned));
            }
            stays
        });
        let source = key.0.clone();
        parts.insert(key, part);
        drop(parts);
        self.end_histories(BTreeMap::from([(source, gone)]), runs_anew);
        self.reports.heard.notify_waiters();
    }

    /// Ends the histories of clients that each of these sources reported, and that no source does any more. Those of a source of which
    /// parts are still to come may be in these.
    fn end_histories(&self, gone: BTreeMap<String, HashSet<String>>, runs_anew: bool) {
        let parts = self.reports.parts.lock();
        let ended = self.reports.no_longer_reported(&parts, gone, runs_anew);
        let now = self.clock().now();
        ended.iter().for_each(|client| self.history.leave_reported(client, now));
    }

    /// Forgets the reports of a source.
    ///
    /// # Errors
    ///
    /// When there is no such source, or the database that the managers share is not available.
    pub fn forget_source(&self, source: &str) -> Result<(), ReportError> {
        self.read_reports()?;
        let is_known = match self.site.shared_log() {
            Some(log) => log.forget_reports(source)?,
            None => self.reports.parts.lock().keys().any(|(name, _)| name == source),
        };
        if !is_known {
            let known: BTreeSet<String> = self.sources().into_iter().map(|one| one.source).collect();
            return Err(ReportError::Unknown {
                found: source.to_owned(),
                known: known.into_iter().collect(),
            });
        }
        self.reports.refused.lock().remove(source);
        // What happened to its clients is not forgotten with it.
        self.end_histories(self.reports.take_out(|(name, _), _| name == source), false);
        Ok(())
    }

    /// The sources of reports, by name.
    pub fn sources(&self) -> Vec<ReportSource> {
        let mut sources: BTreeMap<String, ReportSource> = BTreeMap::new();
        for ((name, _), part) in self.reports.parts.lock().iter() {
            let ago = u64::try_from(part.age().as_millis()).unwrap_or(u64::MAX);
            let one = ReportSource {
                source: name.clone(),
                clients: part.clients(),
                heard: part.heard,
                heard_ms_ago: ago,
                interval_ms: part.report.interval_ms,
                silent: part.is_silent(),
                ended: part.report.is_last,
            };
            sources
                .entry(name.clone())
                .and_modify(|known| {
                    known.clients += one.clients;
                    known.heard = known.heard.min(one.heard);
                    known.heard_ms_ago = known.heard_ms_ago.max(one.heard_ms_ago);
                    known.silent |= one.silent;
                    known.ended &= one.ended;
                })
                .or_insert(one);
        }
        sources.into_values().collect()
    }

    /// A number that differs if a report has come, or a source has fallen silent.
    pub(crate) fn reports_mark(&self) -> (i64, usize) {
        let parts = self.reports.parts.lock();
        let silent = parts.values().filter(|one| one.is_silent()).count();
        (parts.values().map(|one| one.number).max().unwrap_or_default(), silent + parts.len() * MOST_PARTS)
    }

    /// Calls `see` with the lab's own clients and those that are reported; of several reports of one client the latest counts, and
    /// the lab's own client before any. A name is unknown as well if any other report of it has a client that is not well.
    pub(crate) async fn look_at_everyone(&self, mut see: impl FnMut(Seen<'_>)) -> Heard {
        // Without the database the reports that are known grow old, and their clients unknown.
        let not_read = self.read_reports().err().map(|error| error.to_string());
        let not_read = not_read.or_else(|| self.reports.damaged.lock().values().next().cloned());
        let not_read = not_read.or_else(|| self.damaged_documents(Some(Kind::Refusal)).into_iter().next());
        let fleet = self.fleet.read().await;
        let now = self.clock().now();
        fleet.members().iter().for_each(|one| see(Seen::of(one, &one.handle.glance(now))));
        let is_here = |name: &str| fleet.named(name).is_some();
        let (mut reported_twice, mut unknown) = (BTreeSet::new(), BTreeSet::new());
        let in_force: Vec<Fingerprint> = self.certificates().into_values().collect();
        let mut unwell = Vec::new();
        let last_seen = self.seen_of_ended();
        let sources = self.sources();
        let parts = self.reports.parts.lock();
        let incomplete = incomplete(&parts);
        let is_known =
            |key: &ReportKey, part: &Part| !part.is_silent() && !incomplete.contains(key.0.as_str());
        let mut latest: Vec<_> =
            parts.iter().enumerate().filter(|(_, (key, part))| is_known(key, part)).collect();
        latest.sort_by_key(|(_, (_, part))| part.age());
        let mut reported = Vec::new();
        // The place of each reported client among all of them.
        let mut seen: HashMap<&str, usize> = HashMap::new();
        for (place, ((source, _), part)) in latest {
            let looked = part.looked;
            for (name, glance) in part.glances() {
                let is_back = |last: &Timestamp| *last > part.heard + SAME_TIME;
                let may_be_back =
                    || last_seen.as_ref().is_none_or(|seen| seen.get(name).is_some_and(is_back));
                if part.report.is_last && may_be_back() {
                    unknown.insert(name.to_owned());
                } else if is_here(name) || seen.contains_key(name) {
                    reported_twice.insert(name.to_owned());
                    let is_well =
                        !glance.is_silent && Standing::of(&glance.common, &in_force) == Standing::Well;
                    unwell.extend((!is_well && !part.report.is_last).then(|| name.to_owned()));
                } else {
                    seen.insert(name, reported.len());
                    reported.push(Reported { place, source, name, glance, looked, record: None });
                }
            }
        }
        if !reported.is_empty() {
            self.site.each_client(|record| {
                if let Some(place) = seen.get(record.client.computer_name.as_str()) {
                    reported[*place].learn(record);
                }
            });
            complete(&mut reported, &self.site.look(|site| site.groups().clone()));
        }
        // In the same order each time, for those who read them page by page.
        reported.sort_by_key(|one| one.place);
        for Reported { source, name, glance, .. } in &reported {
            see(Seen { name, part: source, glance, reported_by: Some(source), member: None });
        }
        let lost = parts.iter().filter(|(key, part)| !is_known(key, part));
        unknown.extend(lost.flat_map(|(_, part)| part.names()).map(str::to_owned));
        unknown.extend(self.reports.former.lock().values().flat_map(|one| &one.clients).cloned());
        let dismissed = lock(&self.dismissed);
        let is_gone = |client: &RegisteredClient| {
            let last = || self.site.client_status(client.agent).map(|one| one.last_seen);
            dismissed.get(&client.computer_name).is_some_and(|then| last().is_none_or(|last| last <= *then))
        };
        let is_seen = |name: &str| seen.contains_key(name);
        let elsewhere: BTreeSet<String> = self.site.look(|site| {
            let others = site.clients().filter(|one| {
                let name = one.computer_name.as_str();
                !is_here(name) && !is_seen(name) && !is_gone(one)
            });
            others.map(|one| one.computer_name.clone()).collect()
        });
        let number = elsewhere.len();
        unknown.extend(elsewhere);
        unknown.retain(|name| !is_seen(name) && !is_here(name));
        // Also one that the other process of the same source reports: of two such clients one is not known.
        let refused = self.reports.refused_clients();
        reported_twice.extend(refused.iter().filter(|name| is_seen(name)).cloned());
        unknown.extend(refused);
        unknown.extend(unwell);
        Heard {
            sources,
            unknown: unknown.into_iter().collect(),
            elsewhere: number,
            reported_twice: reported_twice.into_iter().collect(),
            not_read,
        }
    }

    /// When managers last saw each client, if the process of any has ended: a client that was seen since runs elsewhere now. None if
    /// that is not known.
    fn seen_of_ended(&self) -> Option<HashMap<String, Timestamp>> {
        let ended = |parts: &BTreeMap<_, Part>| {
            let ended = parts.values().filter(|part| part.report.is_last);
            ended.map(|part| part.heard).min()
        };
        let Some(first) = ended(&self.reports.parts.lock()) else { return Some(HashMap::new()) };
        let Some(log) = self.site.shared_log() else {
            let mut seen = HashMap::new();
            self.site.each_client(|one| {
                seen.insert(one.client.computer_name.clone(), one.last_seen);
            });
            return Some(seen);
        };
        let seen = log.seen_after(first + SAME_TIME).ok()?.into_iter();
        Some(self.site.look(|site| {
            seen.filter_map(|(agent, at)| Some((site.client(agent)?.computer_name.clone(), at))).collect()
        }))
    }

    /// Number of clients that are known, and that this process has no copy of.
    pub(crate) async fn not_predicted(&self) -> usize {
        let mut reported = 0;
        let heard = self.look_at_everyone(|seen| reported += usize::from(seen.reported_by.is_some())).await;
        reported + heard.unknown.len()
    }

    /// A client that is reported.
    pub(crate) async fn reported(&self, name: &str) -> Option<ClientView> {
        let mut found = None;
        self.look_at_everyone(|seen| {
            if seen.name == name && seen.reported_by.is_some() {
                found = Some(ClientView::of(&seen));
            }
        })
        .await;
        found
    }

    /// Waits until each client that is reported and on has ended this many more heartbeats, until `limit` after `began`. The first
    /// report after the call is what they are counted from.
    pub(super) async fn pass_reported_heartbeats(
        &self,
        heartbeats: u64,
        limit: Duration,
        began: Stopwatch,
    ) -> Result<(), TimeError> {
        // A lab that has clients of its own which are on has something to wait for.
        let has_own = self.fleet.read().await.members().iter().any(|one| !one.handle.agent().is_stopped());
        let called = Stopwatch::start();
        let mut unheard = Stopwatch::start();
        let mut first: HashMap<String, u64> = HashMap::new();
        loop {
            let heard = self.reports.heard.notified();
            let _ = self.read_reports();
            let (mut clients, mut missing) = (0, Vec::new());
            {
                let parts = self.reports.parts.lock();
                for part in parts.values().filter(|part| !part.is_silent() && !part.report.is_last) {
                    let is_new = part.age() < called.elapsed();
                    for (view, _) in part.views().filter(|(_, is_on)| *is_on) {
                        clients += 1;
                        let (client, ended) = (view.computer_name, view.heartbeats);
                        let from = is_new.then(|| *first.entry(client.clone()).or_insert(ended));
                        if from.is_none_or(|from| ended < from.saturating_add(heartbeats)) {
                            missing.push(client);
                        }
                    }
                }
                let silent = parts.iter().filter(|(_, part)| part.is_silent()).map(|((name, _), _)| name);
                let damaged = self.reports.damaged.lock();
                let silent: BTreeSet<&String> = silent.chain(damaged.keys().map(|(name, _)| name)).collect();
                if clients == 0 && !silent.is_empty() && !has_own {
                    // What reports them, or the database, may be starting anew.
                    if unheard.elapsed() >= PATIENCE || began.elapsed() >= limit {
                        let sources = silent.into_iter().cloned().collect();
                        return Err(TimeError::Unreported { sources });
                    }
                } else if missing.is_empty() {
                    return Ok(());
                } else {
                    unheard = Stopwatch::start();
                }
            }
            if began.elapsed() >= limit && !missing.is_empty() {
                let (missing, example) = (missing.len(), missing.swap_remove(0));
                return Err(TimeError::Waited { heartbeats, limit, missing, clients, example });
            }
            let _ = timeout(LOOK_EVERY, heard).await;
        }
    }
}

/// How often the reports that other processes have taken are looked for while they are waited for.
const LOOK_EVERY: Duration = Duration::from_millis(250);

impl Lab {
    /// Follows the reports that other processes of the site take or refuse, so that the history of each client has them, and none is known
    /// of which two processes report. Never returns.
    pub(crate) async fn follow_reports(&self) {
        loop {
            wait(LOOK_EVERY * 4).await;
            // An error is logged where the log is followed.
            let _ = self.read_reports();
            let _ = self.read_documents();
            for source in self.shared_names(Kind::Refusal) {
                if !self.reports.are_refused(&source) {
                    let _ = self.share_no_longer(Kind::Refusal, &source);
                }
            }
        }
    }
}
