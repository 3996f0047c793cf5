//! A lab that goes on from its store.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use epm_client_agent::agent::{Agent, SharedStates};
use epm_client_agent::wire::AgentCopy;
use epm_protocol::site::CommandTable;
use serde::de::DeserializeOwned;

use super::KeptBaseline;
use super::documents::{
    KeptCache, KeptChange, KeptClient, KeptClock, KeptFault, KeptLab, KeptPart, KeptSnapshot,
};
use super::trace::KeptTrace;
use super::written::{Written, WrittenClient};
use crate::lab::history::Trace;
use crate::lab::present_machines::PresentMachines;
use crate::lab::records::{RequestedAssumptions, Snapshot};
use crate::lab::{Lab, lock};
use crate::runtime::kept_journal::KeptEntry;
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
        self.go_on_with_site(store)?;
        self.go_on_with_rest(store)?;
        let parts: Vec<(String, KeptPart)> = read(store, Kind::Part)?;
        *lock(&self.parts) = parts.iter().map(|(name, part)| (name.clone(), part.plan())).collect();
        self.go_on_with_snapshots(store)?;
        self.go_on_with_clients(store).await?;
        for (name, part) in &parts {
            let Some(since) = part.presence_since else { continue };
            let followed = self.follow_presence_since(name, since).await;
            followed.map_err(|error| store.invalid(format!("the part {name:?}"), &error))?;
        }
        Ok(true)
    }

    fn go_on_with_site(&self, store: &dyn Store) -> Result<(), StoreError> {
        self.site.action_log().lose("the lab has been started anew since then, from its data folder");
        let mut changes: Vec<(String, KeptChange)> = read(store, Kind::SiteChange)?;
        changes.sort_by_key(|(_, change)| change.number);
        let mut written = lock(&self.written);
        if let Some((_, lab)) = read::<KeptLab>(store, Kind::Lab)?.into_iter().next() {
            // The last change may have been written after this.
            let last = changes.last().map_or(0, |(_, change)| change.number);
            let count = lab.changes.max(last);
            let changes = changes.into_iter().map(|(_, kept)| kept.change()).collect();
            self.site.pauses().go_on_from(count);
            written.changes = count;
            self.go_on_with_journal(store, &lab, &mut written)?;
            self.site.changes().go_on_from(lab.settings_at_start.settings(), count, changes);
            let start = Arc::new(lab.assumptions_at_start);
            *lock(&self.assumed) = RequestedAssumptions { start, next: lab.assumptions_after_reset };
            self.clock().set_hold(lab.clock.hold());
            let here: Vec<(String, KeptTrace)> = read(store, Kind::Trace)?;
            let departed: Vec<(String, KeptTrace)> = read(store, Kind::Departed)?;
            let traces = |all: Vec<(String, KeptTrace)>| -> Vec<(String, Trace)> {
                all.into_iter().map(|(client, kept)| (client, kept.trace())).collect()
            };
            self.history.go_on_from(lab.history, traces(here), traces(departed));
        }
        let faults: Vec<(String, Vec<KeptFault>)> = read(store, Kind::Faults)?;
        let faults = faults.into_iter().flat_map(|(_, faults)| faults);
        self.site.faults().go_on_with(faults.map(|one| (one.rule, one.since)).collect());
        *lock(&self.expectations) = read(store, Kind::Expectation)?.into_iter().collect();
        *lock(&self.updates) = self.site.take_updates();
        let baselines: Vec<(String, KeptBaseline)> = read(store, Kind::Baseline)?;
        let mut known = lock(&self.baselines);
        for (name, kept) in baselines {
            let mut baseline = kept.baseline;
            (baseline.changes, baseline.generation) = (kept.changes, kept.generation);
            for (client, one) in &mut baseline.clients {
                one.counts = kept.counts.get(client).copied().unwrap_or_default();
            }
            written.baselines.insert(name.clone(), (baseline.at, baseline.journal));
            known.insert(name, baseline);
        }
        Ok(())
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

    fn go_on_with_snapshots(&self, store: &dyn Store) -> Result<(), StoreError> {
        let mut sites = self.site.take_snapshots();
        let snapshots: Vec<(String, KeptSnapshot)> = read(store, Kind::Snapshot)?;
        for (name, kept) in snapshots {
            let what = || format!("the snapshot {name:?}");
            let KeptSnapshot { at, client_statuses, faults, agents, parts, texts } = kept;
            let (site, updates) =
                sites.remove(&name).ok_or_else(|| store.invalid(what(), &"the log has no site for it"))?;
            let site = site.finish(client_statuses.iter().map(|one| one.client.clone()));
            let agents = KeptSnapshot::agents(agents, &texts, site.assumptions())
                .map_err(|error| store.invalid(what(), &error))?;
            let mut states = SharedStates::default();
            let copy = |(part, agent, is_frozen)| (part, AgentCopy::sharing(agent, &mut states), is_frozen);
            let agents = agents.into_iter().map(copy).collect();
            let since = parts.iter().filter_map(|part| Some((part.plan().name, part.presence_since?)));
            let present = PresentMachines(BTreeMap::new(), since.collect());
            let parts = parts.iter().map(KeptPart::plan).collect();
            let logged = self.site.action_log().position(at);
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
        let mut fleet = self.fleet.write().await;
        fleet.assume(Arc::clone(&assumptions));
        // The history has another generation than at the start.
        fleet.watch(self.history.watcher(self.site.changes()));
        let mut written = lock(&self.written);
        written.is_known = true;
        for (name, client) in clients {
            let what = || format!("the client {name:?} of the fleet");
            let KeptClient { place, part, is_frozen, agent } = client;
            // Written in one step with the client.
            let Some(cache) = caches.remove(&name) else { continue };
            let own: Vec<String> = cache.names().cloned().collect();
            let cache = cache.cache(&text).map_err(|error| store.invalid(what(), &error))?;
            let agent: Agent = agent.agent(cache, Arc::clone(&assumptions));
            let source = self.sources.address_of(agent.profile());
            let member = fleet.bring_back(part, agent, source);
            member.handle.freeze(is_frozen);
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
