//! Keeps a lab in its store, and makes it again from there: everything beside the log of its site.
//!
//! | file | what |
//! |---|---|
//! | `documents` | the documents in the store |
//! | `actions` | what was done to the lab |
//! | `trace` | the history of a client |
//! | `written` | what of a lab its store has |
//! | `go_on` | a lab that goes on from its store |
//!
//! Small documents are compared with what was written last; the clients of the fleet are asked for a number that grows when
//! something happens. So a lab in which nothing happens writes little.

mod actions;
mod documents;
mod go_on;
mod trace;
pub(super) mod written;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use epm_client_agent::wire::{Fleet, Member, machine_date, wait};
use epm_protocol::fault::FaultRule;
use epm_protocol::time::{Clock, Timestamp};

use actions::KeptAction;
use documents::{
    KeptCache, KeptChange, KeptClient, KeptClock, KeptFault, KeptLab, KeptPart, KeptSettings, KeptSnapshot,
};
pub(crate) use go_on::kept_clock;
use trace::KeptTrace;
use written::{Written, WrittenClient};

use crate::lab::baseline::KeptBaseline;
use crate::lab::history::{KeptHistory, Left, Trace};
use crate::lab::records::Snapshot;
use crate::lab::{Lab, lock};
use crate::runtime::changes;
use crate::runtime::faults::CountsToKeep;
use crate::runtime::kept_journal::KeptEntry;
use crate::store::{Batch, Kind, StoreError};

/// How often a lab is written. When its process is killed, as much is lost, and what happened during the last write.
const EVERY: Duration = Duration::from_secs(4);
/// So many new entries of the journal are written each time; more only with every fifth time, and at the end.
const FEW: u64 = 200;
const PAUSES: u32 = 5;
/// Kinds of documents that are compared with what was written last.
const COMPARED: [Kind; 7] = [
    Kind::Faults,
    Kind::Part,
    Kind::Expectation,
    Kind::Judgement,
    Kind::Reported,
    Kind::Departed,
    Kind::RestLogIns,
];
/// Kinds of documents that are written as a whole after an error.
const WRITTEN_ANEW: [Kind; 17] = [
    Kind::Faults,
    Kind::FaultCount,
    Kind::Part,
    Kind::Expectation,
    Kind::Judgement,
    Kind::Reported,
    Kind::Departed,
    Kind::Baseline,
    Kind::SiteChange,
    Kind::Client,
    Kind::Cache,
    Kind::Trace,
    Kind::Text,
    Kind::ClientCommands,
    Kind::RestSettings,
    Kind::RestLogIns,
    Kind::Journal,
];

impl Lab {
    /// Whether the lab has a store.
    pub fn is_kept(&self) -> bool {
        self.site.keeper().store().is_some()
    }

    /// Keeps the lab in its store from time to time. Never returns, and does nothing without a store.
    pub async fn keep_on(&self) {
        if !self.is_kept() {
            return std::future::pending().await;
        }
        let mut was_written = true;
        loop {
            wait(EVERY).await;
            let written = self.keep().await;
            if let Err(error) = &written
                && was_written
            {
                tracing::error!(%error, "the lab cannot be kept; it is tried again");
            }
            was_written = written.is_ok();
        }
    }

    /// Writes everything that has happened since the last time into the store.
    ///
    /// # Errors
    ///
    /// When the store cannot be written; the next call writes it all.
    pub async fn keep(&self) -> Result<(), StoreError> {
        self.keep_as(false).await
    }

    /// Writes everything as of a lab that is stopped: a lab that goes on with a copy of the store misses nothing. [`Lab::keep`] must follow.
    ///
    /// # Errors
    ///
    /// As [`Lab::keep`].
    pub(crate) async fn keep_whole(&self) -> Result<(), StoreError> {
        self.keep_as(true).await
    }

    async fn keep_as(&self, is_stopped: bool) -> Result<(), StoreError> {
        if !self.is_kept() {
            return Ok(());
        }
        let present = self.present.lock().await.1.clone();
        // Held to the end, so that no snapshot is restored in between.
        let fleet = self.fleet.read().await;
        tokio::task::block_in_place(|| {
            let mut written = lock(&self.written);
            let mut batch = Batch::default();
            let is_known = written.is_known;
            if !is_known {
                let next_place = written.next_place;
                *written = Written { is_known: true, next_place, ..Written::default() };
                batch.cleared.extend(WRITTEN_ANEW);
            }
            let gap = self.add_actions(&mut written, &mut batch);
            let KeptHistory { reported, departed, left, .. } = self.history.to_keep();
            batch.put(Kind::Lab, Kind::Lab.name(), &self.kept_lab(gap, is_stopped, left));
            self.compare(
                &present,
                [(Kind::Reported, reported), (Kind::Departed, departed)],
                &mut written,
                &mut batch,
            );
            self.add_fault_counts(!is_known, &mut batch);
            self.add_baselines(&mut written, &mut batch);
            self.add_changes(&mut written, &mut batch);
            self.add_clients(&fleet, &mut written, &mut batch);
            self.add_commands_and_settings(&mut written, &mut batch);
            self.add_journal(is_stopped, &mut written, &mut batch);
            let result = self.site.write_clients(batch);
            written.is_known = result.is_ok();
            result
        })
    }

    fn kept_lab(&self, recording_gap: Option<String>, is_stopped: bool, left: Left) -> KeptLab {
        let clock = self.clock();
        let hold = u64::try_from(clock.read().hold.as_millis()).unwrap_or(u64::MAX);
        let assumed = lock(&self.assumed);
        KeptLab {
            clock: KeptClock::new(clock.now(), machine_date(), clock.speed(), hold),
            journal: self.site.journal().next_number(),
            journal_counts: self.site.journal().counts(),
            changes: self.site.changes().count(),
            settings_at_start: KeptSettings::of(&self.site.changes().start()),
            history: self.history.generation.load(std::sync::atomic::Ordering::SeqCst),
            assumptions_at_start: (*assumed.start).clone(),
            assumptions_after_reset: assumed.next.clone(),
            is_stopped,
            dismissed: lock(&self.dismissed).clone(),
            left,
            pauses: None,
            sources: self.sources.count(),
            recording_gap,
        }
    }

    /// Adds the small documents that differ from what was written, and removes those that are no more.
    fn compare(
        &self,
        present: &BTreeMap<String, Timestamp>,
        traces: [(Kind, Vec<(String, Trace)>); 2],
        written: &mut Written,
        batch: &mut Batch,
    ) {
        let mut now = HashMap::new();
        let mut put = |kind: Kind, name: &str, content: serde_json::Result<String>| {
            now.insert((kind.name(), name.to_owned()), content.unwrap_or_default());
        };
        let faults: Vec<KeptFault> = self
            .site
            .faults()
            .list()
            .iter()
            .map(|one| KeptFault { rule: (*one.rule).clone(), since: one.since })
            .collect();
        put(Kind::Faults, Kind::Faults.name(), serde_json::to_string(&faults));
        for (name, plan) in lock(&self.parts).iter() {
            let part = KeptPart::of(plan, present.get(name).copied());
            put(Kind::Part, name, serde_json::to_string(&part));
        }
        for (name, asked) in lock(&self.expectations).iter() {
            put(Kind::Expectation, name, serde_json::to_string(asked));
        }
        if let Some(judged) = &*lock(&self.judged) {
            put(Kind::Judgement, Kind::Judgement.name(), serde_json::to_string(judged));
        }
        if let Some(log_ins) = self.site.rest_log_ins() {
            put(Kind::RestLogIns, Kind::RestLogIns.name(), Ok(log_ins));
        }
        for (kind, traces) in traces {
            for (name, trace) in traces {
                put(kind, &name, serde_json::to_string(&KeptTrace::of(&trace)));
            }
        }
        for kind in COMPARED {
            let gone: Vec<String> = written
                .compared
                .keys()
                .filter(|key| key.0 == kind.name() && !now.contains_key(*key))
                .map(|key| key.1.clone())
                .collect();
            batch.documents.extend(gone.into_iter().map(|name| (kind, name, None)));
            let new = now.iter().filter(|(key, content)| {
                key.0 == kind.name() && written.compared.get(*key) != Some(*content)
            });
            batch
                .documents
                .extend(new.map(|((_, name), content)| (kind, name.clone(), Some(content.clone()))));
        }
        written.compared = now;
    }

    /// Adds what was counted under faults since the last time, or all of it.
    fn add_fault_counts(&self, everything: bool, batch: &mut Batch) {
        let CountsToKeep { clears, counts } = self.site.faults().counts_to_keep(everything);
        if clears && !everything {
            batch.cleared.push(Kind::FaultCount);
        }
        batch.documents.extend(counts.into_iter().map(|(name, count)| (Kind::FaultCount, name, count)));
    }

    fn add_baselines(&self, written: &mut Written, batch: &mut Batch) {
        let baselines = lock(&self.baselines);
        let gone: Vec<String> =
            written.baselines.keys().filter(|name| !baselines.contains_key(*name)).cloned().collect();
        for name in gone {
            written.baselines.remove(&name);
            batch.documents.push((Kind::Baseline, name, None));
        }
        for (name, one) in baselines.iter() {
            if written.baselines.insert(name.clone(), (one.at, one.journal)) == Some((one.at, one.journal)) {
                continue;
            }
            batch.put(Kind::Baseline, name, &KeptBaseline::of(one));
        }
    }

    fn add_changes(&self, written: &mut Written, batch: &mut Batch) {
        let name = |number: u64| format!("{number:020}");
        for change in self.site.changes().kept_after(written.changes) {
            batch.put(Kind::SiteChange, &name(change.number), &KeptChange::of(&change));
            if let Some(oldest) = change.number.checked_sub(changes::MOST as u64) {
                batch.documents.push((Kind::SiteChange, name(oldest), None));
            }
            written.changes = change.number;
        }
    }

    /// Adds what was done since the last time beside the commands of the log; returns why not all is known, if it is not.
    fn add_actions(&self, written: &mut Written, batch: &mut Batch) -> Option<String> {
        let (gap, count, new) = self.site.action_log().to_keep(written.actions.unwrap_or_default());
        if written.actions.is_none_or(|known| known > count) {
            batch.cleared.push(Kind::Action);
        }
        for (number, one) in new {
            if let Some(kept) = KeptAction::of(&one) {
                batch.put(Kind::Action, &format!("{number:020}"), &kept);
            }
        }
        written.actions = Some(count);
        gap
    }

    fn add_commands_and_settings(&self, written: &mut Written, batch: &mut Batch) {
        let (commands, settings) = self.site.revisions();
        let known = written.revisions.replace((commands, settings));
        if known.is_none_or(|known| known.0 != commands) {
            batch.put(Kind::ClientCommands, Kind::ClientCommands.name(), &self.site.client_commands());
        }
        if known.is_none_or(|known| known.1 != settings)
            && let Some(json) = self.site.rest_settings()
        {
            let name = Kind::RestSettings.name().to_owned();
            batch.documents.push((Kind::RestSettings, name, Some(json)));
        }
    }

    /// Adds the new entries of the journal. Many are written less often: most will be dropped again.
    fn add_journal(&self, is_stopped: bool, written: &mut Written, batch: &mut Batch) {
        let journal = self.site.journal();
        let first = written.journal.max(1);
        let new = journal.next_number().saturating_sub(first);
        written.pauses_of_journal += 1;
        if new == 0 || (new > FEW && !is_stopped && written.pauses_of_journal < PAUSES) {
            return;
        }
        written.pauses_of_journal = 0;
        let name = |number: u64| format!("{number:020}");
        for (number, entry) in journal.since(first) {
            batch.put(Kind::Journal, &name(number), &KeptEntry::of(&entry));
            written.journal_entries[entry.kind() as usize].push_back(number);
            written.journal = number + 1;
        }
        for (kind, oldest) in journal.oldest().into_iter().enumerate() {
            let Some(oldest) = oldest else { continue };
            let entries = &mut written.journal_entries[kind];
            while entries.front().is_some_and(|number| *number < oldest) {
                let gone = entries.pop_front().map(|number| (Kind::Journal, name(number), None));
                batch.documents.extend(gone);
            }
        }
    }

    fn add_clients(&self, fleet: &Fleet, written: &mut Written, batch: &mut Batch) {
        let changes = self.site.changes().count();
        for member in fleet.members() {
            self.add_client(member, changes, written, batch);
        }
        if fleet.members().len() < written.clients.len() {
            let here: BTreeSet<&str> = fleet.members().iter().map(|one| one.name.as_str()).collect();
            let gone: Vec<String> =
                written.clients.keys().filter(|name| !here.contains(name.as_str())).cloned().collect();
            for name in gone {
                let texts = written.clients.remove(&name).map(|one| one.texts).unwrap_or_default();
                written.release(&texts, batch);
                for kind in [Kind::Client, Kind::Cache, Kind::Trace] {
                    batch.documents.push((kind, name.clone(), None));
                }
            }
        }
    }

    fn add_client(&self, member: &Member, changes: u64, written: &mut Written, batch: &mut Batch) {
        // Read before the agent: what happens in between is written the next time again.
        let (revision, is_frozen) = (member.handle.revision(), member.handle.is_frozen());
        let next_place = written.next_place;
        let known = written.clients.entry(member.name.clone()).or_insert_with(|| {
            written.next_place += 1;
            WrittenClient { place: next_place, ..WrittenClient::default() }
        });
        if known.has_cache && known.revision == revision && known.is_frozen == is_frozen {
            return;
        }
        let agent = member.handle.keep(self.clock().now());
        let (part, source) = (member.part.clone(), self.sources.known(&member.name));
        let kept = KeptClient { place: known.place, part, is_frozen, source, agent };
        batch.put(Kind::Client, &member.name, &kept);
        let mut given_up = Vec::new();
        if !known.has_cache || known.revision.1 != revision.1 || known.revision.0 > revision.0 {
            let (cache, texts) = KeptCache::of(&member.handle.cache());
            let before = std::mem::replace(&mut known.texts, cache.names().cloned().collect());
            for (name, text) in texts {
                let count = written.texts.entry(name.clone()).or_default();
                *count += 1;
                if *count == 1 {
                    batch.documents.push((Kind::Text, name, Some(text)));
                }
            }
            batch.put(Kind::Cache, &member.name, &cache);
            given_up = before;
        }
        let events = self.history.ask_own(&member.name, |trace| trace.counts).unwrap_or_default();
        if known.trace != Some((changes, events)) || known.revision.1 != revision.1 {
            if let Some(trace) = self.history.ask_own(&member.name, KeptTrace::of) {
                batch.put(Kind::Trace, &member.name, &trace);
            }
            known.trace = Some((changes, events));
        }
        (known.revision, known.is_frozen, known.has_cache) = (revision, is_frozen, true);
        written.release(&given_up, batch);
    }

    /// Writes everything for the last time, when the clients have stopped.
    pub(super) async fn keep_at_the_end(&self) {
        if let Err(error) = self.keep_as(true).await {
            tracing::error!(%error, "the end of the lab cannot be kept");
        }
    }

    /// A snapshot for the store.
    pub(super) fn kept_snapshot(&self, name: &str, snapshot: &Snapshot) -> Batch {
        let mut batch = Batch::default();
        if !self.is_kept() {
            return batch;
        }
        let mut texts = BTreeMap::new();
        let agents = snapshot.agents.iter().enumerate().map(|(place, (part, agent, is_frozen))| {
            let agent = agent.agent();
            let (cache, own) = KeptCache::of(agent.cache());
            texts.extend(own);
            let client = KeptClient {
                place: place as u64,
                part: part.clone(),
                is_frozen: *is_frozen,
                source: self.sources.known(&agent.profile().computer_name),
                agent: agent.keep(snapshot.at),
            };
            (client, cache)
        });
        let agents = agents.collect();
        let kept = KeptSnapshot {
            at: snapshot.at,
            client_statuses: snapshot.client_statuses.clone(),
            faults: snapshot.faults.clone(),
            agents,
            parts: snapshot
                .parts
                .iter()
                .map(|plan| KeptPart::of(plan, snapshot.present.1.get(&plan.name).copied()))
                .collect(),
            texts,
        };
        batch.put(Kind::Snapshot, name, &kept);
        batch
    }

    /// What a snapshot that is restored changes in the store, beside the site and its clients.
    pub(super) fn restored(&self, snapshot: &Snapshot) -> Batch {
        let mut batch = Batch::default();
        if !self.is_kept() {
            return batch;
        }
        batch.cleared.extend([
            Kind::Faults,
            Kind::FaultCount,
            Kind::Part,
            Kind::Reported,
            Kind::Departed,
            Kind::Client,
            Kind::Cache,
            Kind::Trace,
            Kind::Text,
        ]);
        let now = self.clock().now();
        let fault = |rule: &FaultRule| KeptFault { rule: rule.clone(), since: now };
        let faults: Vec<KeptFault> = snapshot.faults.iter().map(fault).collect();
        batch.put(Kind::Faults, Kind::Faults.name(), &faults);
        for plan in &snapshot.parts {
            let part = KeptPart::of(plan, snapshot.present.1.get(&plan.name).copied());
            batch.put(Kind::Part, &plan.name, &part);
        }
        for (place, (part, agent, is_frozen)) in snapshot.agents.iter().enumerate() {
            let agent = agent.agent();
            let name = agent.profile().computer_name.clone();
            let (cache, texts) = KeptCache::of(agent.cache());
            let agent = agent.resumed(snapshot.at, now).keep(now);
            let source = self.sources.known(&name);
            let (place, part) = (place as u64, part.clone());
            let client = KeptClient { place, part, is_frozen: *is_frozen, source, agent };
            batch.put(Kind::Client, &name, &client);
            batch.put(Kind::Cache, &name, &cache);
            batch.documents.extend(texts.into_iter().map(|(name, text)| (Kind::Text, name, Some(text))));
        }
        batch
    }

    /// Notes that the store has other documents than those that were written last: the next time all are written.
    pub(super) fn forget_written(&self) {
        lock(&self.written).is_known = false;
    }
}
