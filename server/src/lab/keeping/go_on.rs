//! A lab that goes on from its store.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use epm_client_agent::agent::{Agent, SharedStates};
use epm_client_agent::cause::{Change, RotationSettings};
use epm_client_agent::scenario::PartPlan;
use epm_client_agent::wire::AgentCopy;
use epm_protocol::site::CommandTable;
use epm_protocol::time::Clock;
use serde::de::DeserializeOwned;

use super::actions::{Downtime, KeptAction, done_until_now};
use super::documents::{
    KeptCache, KeptChange, KeptClient, KeptClock, KeptFault, KeptLab, KeptPart, KeptSnapshot,
};
use super::trace::KeptTrace;
use super::written::{Written, WrittenClient};
use crate::lab::baseline::KeptBaseline;
use crate::lab::history::{KeptHistory, Trace};
use crate::lab::present_machines::PresentMachines;
use crate::lab::records::{RequestedAssumptions, Snapshot};
use crate::lab::{Lab, RotationJudgement, held, lock};
use crate::runtime::action_log::{LogPosition, LoggedActions};
use crate::runtime::kept_journal::KeptEntry;
use crate::runtime::kept_pauses::KeptPauses;
use crate::runtime::pauses::Pause;
use crate::runtime::replayed::changes_in;
use crate::store::{Kind, Store, StoreError};

/// Number by which the numbers of the journal jump after a lab that was killed: what it recorded last is not known.
const JUMP: u64 = 1_000_000;

impl Lab {
    /// Goes on with everything that the store of the lab has beside its site: the clients continue as they were, with the
    /// heartbeats that have become due meanwhile. Returns false for a lab without a store.
    ///
    /// # Errors
    ///
    /// When the store cannot be read, or something in it cannot be used.
    pub async fn go_on(&self) -> Result<bool, StoreError> {
        let Some(store) = self.site.keeper().store() else { return Ok(false) };
        let store = store.as_ref();
        let positions = self.go_on_with_site(store)?;
        self.go_on_with_rest(store)?;
        let parts: Vec<(String, KeptPart)> = read(store, Kind::Part)?;
        let plans: BTreeMap<String, PartPlan> =
            parts.iter().map(|(name, part)| (name.clone(), part.plan())).collect();
        let push = held(plans.values(), |group, location| self.site.export_sylink(group, location));
        self.reserved.grow_to(push).map_err(|error| store.invalid("the fleet".to_owned(), &error))?;
        *lock(&self.parts) = plans;
        self.go_on_with_snapshots(store, &positions)?;
        self.site.serve();
        self.go_on_with_clients(store).await?;
        for (name, part) in &parts {
            let Some(since) = part.presence_since else { continue };
            let followed = self.follow_presence_since(name, since).await;
            followed.map_err(|error| store.invalid(format!("the part {name:?}"), &error))?;
        }
        Ok(true)
    }

    /// Returns the positions of the snapshots in the log of what was done.
    fn go_on_with_site(&self, store: &dyn Store) -> Result<BTreeMap<String, LogPosition>, StoreError> {
        let mut changes: Vec<(String, KeptChange)> = read(store, Kind::SiteChange)?;
        changes.sort_by_key(|(_, change)| change.number);
        let mut written = lock(&self.written);
        let mut positions = BTreeMap::new();
        if let Some((_, lab)) = read::<KeptLab>(store, Kind::Lab)?.into_iter().next() {
            positions = self.go_on_with_actions(store, &lab)?;
            // The last change may have been written after this.
            let last = changes.last().map_or(0, |(_, change)| change.number);
            written.changes = lab.changes.max(last);
            self.go_on_with_journal(store, &lab, &mut written)?;
            let changes = changes.into_iter().map(|(_, kept)| kept.change()).collect();
            let start = lab.settings_at_start.settings();
            let changes = self.with_those_of_the_log(store, &start, changes, written.changes)?;
            let count = changes.last().map_or(0, |change| change.number).max(written.changes);
            self.go_on_with_pauses(store, lab.pauses, count)?;
            self.site.changes().go_on_from(start, count, changes);
            let start = Arc::new(lab.assumptions_at_start);
            *lock(&self.assumed) = RequestedAssumptions { start, next: lab.assumptions_after_reset };
            *lock(&self.dismissed) = lab.dismissed;
            self.sources.go_on_after(lab.sources);
            self.clock().set_hold(lab.clock.hold());
            let traces = |kind| -> Result<Vec<(String, Trace)>, StoreError> {
                let all: Vec<(String, KeptTrace)> = read(store, kind)?;
                Ok(all.into_iter().map(|(client, kept)| (client, kept.trace())).collect())
            };
            let kept = KeptHistory {
                own: traces(Kind::Trace)?,
                reported: traces(Kind::Reported)?,
                departed: traces(Kind::Departed)?,
                left: lab.left,
            };
            self.history.go_on_from(lab.history, kept);
        }
        let faults: Vec<(String, Vec<KeptFault>)> = read(store, Kind::Faults)?;
        let faults = faults.into_iter().flat_map(|(_, faults)| faults);
        self.site.faults().go_on_with(faults.map(|one| (one.rule, one.since)).collect());
        self.site.faults().count_on_from(store.documents(Kind::FaultCount)?);
        *lock(&self.expectations) = read(store, Kind::Expectation)?.into_iter().collect();
        let judged: Vec<(String, RotationJudgement)> = read(store, Kind::Judgement)?;
        *lock(&self.judged) = judged.into_iter().next().map(|(_, judged)| judged);
        *lock(&self.updates) = self.site.take_updates();
        let baselines: Vec<(String, KeptBaseline)> = read(store, Kind::Baseline)?;
        let mut known = lock(&self.baselines);
        for (name, kept) in baselines {
            let baseline = kept.baseline();
            written.baselines.insert(name.clone(), (baseline.at, baseline.journal));
            known.insert(name, baseline);
        }
        Ok(positions)
    }

    /// Continues with what was done. Returns the position of each snapshot in it.
    fn go_on_with_actions(
        &self,
        store: &dyn Store,
        lab: &KeptLab,
    ) -> Result<BTreeMap<String, LogPosition>, StoreError> {
        let [entry, _] = self.site.keeper().entries();
        let from = lab.clock.now(lab.clock.written());
        let downtime = Downtime { from, to: self.clock().now(), was_stopped: lab.is_stopped, entry };
        let others: Vec<(String, KeptAction)> = read(store, Kind::Action)?;
        let others = others.into_iter().map(|(_, kept)| kept);
        let (done, positions) = done_until_now(store, others, downtime)?;
        self.site.action_log().go_on_with(match &lab.recording_gap {
            Some(gap) => LoggedActions::lost(gap),
            None => done,
        });
        Ok(positions)
    }

    /// Continues with the pauses between changes, if they are those of the whole log; `count` is the number of changes.
    fn go_on_with_pauses(
        &self,
        store: &dyn Store,
        kept: Option<KeptPauses>,
        count: u64,
    ) -> Result<(), StoreError> {
        let [entries, _] = self.site.keeper().entries();
        let last = read::<KeptPauses>(store, Kind::Pauses)?.into_iter().next().map(|(_, kept)| kept);
        // A change that was recorded before the pauses were written for the first time ended one that is not known.
        let Some(kept) = kept.or(last).filter(|kept| kept.log_entries == entries) else {
            self.site.pauses().go_on_from(count);
            return Ok(());
        };
        // By number, since a store has documents in the order of their names.
        let pauses: Vec<(String, Pause)> = read(store, Kind::Pause)?;
        let pauses = pauses.into_iter().map(|(_, pause)| pause);
        self.site.go_on_with_pauses(kept.state, pauses, kept.changes, count);
        Ok(())
    }

    /// The changes that were kept, of which there were `count`, with those after them: a lab that was killed has its last changes in the
    /// log, and not here.
    fn with_those_of_the_log(
        &self,
        store: &dyn Store,
        start: &Arc<RotationSettings>,
        mut changes: Vec<Change>,
        count: u64,
    ) -> Result<Vec<Change>, StoreError> {
        let last = changes.last().map_or(start, |change| &change.after);
        if **last == self.site.look(RotationSettings::of) {
            return Ok(changes);
        }
        let all = changes_in(store)?;
        let known = all.iter().rposition(|change| change.after == *last).map(|place| place + 1);
        let first = known.or_else(|| all.iter().rposition(|change| change.before == *last));
        let missing = all.into_iter().skip(first.unwrap_or_default());
        changes.extend((count + 1..).zip(missing).map(|(number, change)| Change { number, ..change }));
        Ok(changes)
    }

    fn go_on_with_journal(
        &self,
        store: &dyn Store,
        lab: &KeptLab,
        written: &mut Written,
    ) -> Result<(), StoreError> {
        let mut kept = Vec::new();
        for (name, entry) in read::<KeptEntry>(store, Kind::Journal)? {
            // An entry of a later version is of no use to this one.
            let (Ok(number), Some(entry)) = (name.parse::<u64>(), entry.entry()) else { continue };
            written.journal_entries[entry.kind() as usize].push_back(number);
            kept.push((number, entry));
        }
        let last = kept.last().map_or(0, |(number, _)| *number);
        let next = if lab.is_stopped { lab.journal } else { lab.journal.max(last + 1) + JUMP };
        written.journal = next;
        self.site.journal().go_on_from(next, lab.journal_counts, kept, lab.is_stopped);
        Ok(())
    }

    fn go_on_with_rest(&self, store: &dyn Store) -> Result<(), StoreError> {
        let invalid = |kind: Kind, error| store.invalid(format!("the {}", kind.name()), &error);
        for (_, json) in store.documents(Kind::RestSettings)? {
            let restored = self.site.restore_rest_settings(&json);
            restored.map_err(|error| invalid(Kind::RestSettings, error))?;
        }
        for (_, json) in store.documents(Kind::RestLogIns)? {
            self.site.restore_rest_log_ins(&json).map_err(|error| invalid(Kind::RestLogIns, error))?;
        }
        let commands: Vec<(String, CommandTable)> = read(store, Kind::ClientCommands)?;
        if let Some((_, commands)) = commands.into_iter().next() {
            self.site.restore_commands(commands);
        }
        Ok(())
    }

    fn go_on_with_snapshots(
        &self,
        store: &dyn Store,
        positions: &BTreeMap<String, LogPosition>,
    ) -> Result<(), StoreError> {
        let mut sites = self.site.take_snapshots();
        let snapshots: Vec<(String, KeptSnapshot)> = read(store, Kind::Snapshot)?;
        for (name, kept) in snapshots {
            let what = || format!("the snapshot {name:?}");
            let KeptSnapshot { at, client_statuses, faults, agents, parts, texts } = kept;
            let (site, updates) =
                sites.remove(&name).ok_or_else(|| store.invalid(what(), &"the log has no site for it"))?;
            let site = site.finish(client_statuses.iter().map(|one| one.client.clone()));
            let agents = KeptSnapshot::agents(agents, &texts, site.assumptions(), at)
                .map_err(|error| store.invalid(what(), &error))?;
            let mut states = SharedStates::default();
            let copy = |(part, agent, is_frozen)| (part, AgentCopy::sharing(agent, &mut states), is_frozen);
            let agents = agents.into_iter().map(copy).collect();
            let since = parts.iter().filter_map(|part| Some((part.plan().name, part.presence_since?)));
            let present = PresentMachines(BTreeMap::new(), since.collect());
            let parts = parts.iter().map(KeptPart::plan).collect();
            let logged =
                *positions.get(&name).ok_or_else(|| store.invalid(what(), &"the log has no site for it"))?;
            let snapshot =
                Snapshot { at, site, client_statuses, faults, agents, parts, present, updates, logged };
            lock(&self.snapshots).insert(name, snapshot);
        }
        Ok(())
    }

    async fn go_on_with_clients(&self, store: &dyn Store) -> Result<(), StoreError> {
        let mut clients: Vec<(String, KeptClient)> = read(store, Kind::Client)?;
        clients.sort_by_key(|(_, client)| client.place);
        let mut caches: HashMap<String, KeptCache> = read(store, Kind::Cache)?.into_iter().collect();
        let texts: HashMap<String, Arc<str>> =
            store.documents(Kind::Text)?.into_iter().map(|(name, text)| (name, text.into())).collect();
        let text = |name: &str| texts.get(name).cloned();
        let assumptions = self.site.look(|site| Arc::clone(site.assumptions()));
        let now = self.clock().now();
        let then = kept_clock(store)?.map_or(now, |clock| clock.now(clock.written()));
        let mut fleet = self.fleet.write().await;
        fleet.assume(Arc::clone(&assumptions));
        // The history has another generation than at the start.
        fleet.watch(self.history.watcher(self.site.changes()));
        let mut written = lock(&self.written);
        written.is_known = true;
        for (name, client) in clients {
            let what = || format!("the client {name:?} of the fleet");
            let KeptClient { place, part, is_frozen, source, agent } = client;
            // Written in one step with the client.
            let Some(cache) = caches.remove(&name) else { continue };
            let own: Vec<String> = cache.names().cloned().collect();
            let cache = cache.cache(&text).map_err(|error| store.invalid(what(), &error))?;
            let agent: Agent = agent.agent(cache, Arc::clone(&assumptions), then, now);
            if let Some(source) = source {
                self.sources.remember(&name, source);
            }
            let source = self.sources.address_of(agent.profile());
            fleet.bring_back(part, agent, source, is_frozen);
            for text in &own {
                *written.texts.entry(text.clone()).or_default() += 1;
            }
            let one =
                WrittenClient { place, is_frozen, texts: own, has_cache: true, ..WrittenClient::default() };
            written.clients.insert(name, one);
            written.next_place = written.next_place.max(place + 1);
        }
        drop(written);
        drop(fleet);
        Ok(())
    }
}

/// The clock of the lab that a store has.
pub(crate) fn kept_clock(store: &dyn Store) -> Result<Option<KeptClock>, StoreError> {
    Ok(read::<KeptLab>(store, Kind::Lab)?.into_iter().next().map(|(_, lab)| lab.clock))
}

/// The documents of a kind, by name.
fn read<T: DeserializeOwned>(store: &dyn Store, kind: Kind) -> Result<Vec<(String, T)>, StoreError> {
    let parse = |(name, content): (String, String)| {
        let value = serde_json::from_str(&content);
        let value = value.map_err(|error| store.invalid(format!("the {} {name:?}", kind.name()), &error));
        Ok((name, value?))
    };
    store.documents(kind)?.into_iter().map(parse).collect()
}
