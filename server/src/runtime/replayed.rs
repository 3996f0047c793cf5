//! The site that a lab begins with: a new one, or one that is made again from the log of its changes.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use epm_client_agent::wire::{ClockReading, LabClock};
use epm_protocol::assumption::Assumptions;
use epm_protocol::fault::FaultRule;
use epm_protocol::site::{Command, CommandError, Drawn, Founding, Replay, Site};
use epm_protocol::time::{Clock, Timestamp};

use crate::runtime::changes::Changes;
use crate::runtime::clients::{ChangedClients, ClientStatus};
use crate::runtime::pauses::Pauses;
use crate::runtime::shared_site::Followed;
use crate::runtime::updates::{MOST_UPDATES, Update, Updates};
use crate::store::{
    Batch, Change, FoundedManager, FoundedWith, Kind, Log, LogEntry, NamedUpdate, Replaced, SharedLog, Store,
    StoreError,
};

/// A log is compacted at a start if it has so many entries that its site no longer depends on.
const WORTHWHILE: i64 = 256;

/// A store for a lab, and what the lab that it has was founded with.
#[derive(Clone, Debug)]
pub(crate) struct Data {
    pub(crate) store: Arc<dyn Store>,
    /// None if the lab is new.
    pub(crate) founded: Option<FoundedWith>,
    /// Options of `epm-lab up` to be kept with a new lab.
    pub(crate) options: BTreeMap<String, String>,
    /// The command that starts the same lab anew, to be kept with a new lab.
    pub(crate) repeat: Option<String>,
}

/// What a site begins with.
pub(crate) struct Beginning {
    pub(crate) site: Site,
    pub(crate) clients: Vec<ClientStatus>,
    /// The site at each snapshot, with its named updates.
    pub(crate) snapshots: BTreeMap<String, (Replay, Updates)>,
    /// Named updates of certificates.
    pub(crate) updates: Updates,
    /// Faults that are set in every process of the site, with since when.
    pub(crate) faults: Vec<(FaultRule, Timestamp)>,
    /// The changes of a shared site so far, and the pauses between them.
    pub(crate) noted: Option<(Changes, Pauses)>,
    /// Number of the last entry of the log.
    pub(crate) sequence: i64,
}

/// Why a site cannot begin.
#[derive(Debug)]
pub(crate) enum CannotBegin {
    Site(CommandError),
    Store(StoreError),
}

impl From<CommandError> for CannotBegin {
    fn from(error: CommandError) -> Self {
        Self::Site(error)
    }
}

impl From<StoreError> for CannotBegin {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl Data {
    /// Reads what the lab in a store was founded with. A lab whose first start was not completed counts as none.
    pub(crate) fn read(store: Arc<dyn Store>, options: BTreeMap<String, String>) -> Result<Self, StoreError> {
        let founded = founded_in(store.as_ref())?;
        Ok(Self { store, founded, options, repeat: None })
    }

    /// Notes that the store has a whole lab.
    pub(crate) fn complete(store: &dyn Store) -> Result<(), StoreError> {
        match founded(store)? {
            Some(mut founded) if !founded.is_complete => {
                founded.is_complete = true;
                store.write(&Batch::of(Kind::Founding, Kind::Founding.name(), &founded))
            }
            _ => Ok(()),
        }
    }
}

/// What the lab of a store was founded with; none if no start of it was completed.
pub(crate) fn founded_in(store: &dyn Store) -> Result<Option<FoundedWith>, StoreError> {
    Ok(founded(store)?.filter(|founded| founded.is_complete))
}

/// The site that a store has, without its clients.
///
/// # Errors
///
/// When the log cannot be read or repeated.
pub(crate) fn replayed(founded: &FoundedWith, store: &dyn Store) -> Result<Replay, StoreError> {
    Ok(Replayed::from_log(founded, store, false)?.site)
}

/// All changes of the site that a store has, as its log tells them.
///
/// # Errors
///
/// When the log cannot be read or repeated.
pub(crate) fn changes_in(store: &dyn Store) -> Result<Vec<epm_client_agent::cause::Change>, StoreError> {
    let Some(founded) = founded(store)? else { return Ok(Vec::new()) };
    let noted = Replayed::from_log(&founded, store, true)?.noted;
    Ok(noted.map(|(changes, _)| changes.kept_after(0)).unwrap_or_default())
}

fn founded(store: &dyn Store) -> Result<Option<FoundedWith>, StoreError> {
    let documents = store.documents(Kind::Founding)?;
    let read = |(_, content): &(String, String)| {
        serde_json::from_str(content)
            .map_err(|error| store.invalid("the founding of the lab".to_owned(), &error))
    };
    documents.first().map(read).transpose()
}

impl Beginning {
    /// Founds a new site, and keeps with what; or makes the site again that the store has. `rest` has the port of each manager's
    /// REST API.
    pub(crate) fn of(
        data: Option<&Data>,
        founding: Founding,
        rest: &[Option<u16>],
        clock: &LabClock,
    ) -> Result<Self, CannotBegin> {
        if let Some(Data { store, founded: Some(founded), .. }) = data {
            return Ok(Self::again(founded, store.as_ref(), clock)?);
        }
        let at = clock.now();
        if let Some(Data { store, options, repeat, .. }) = data {
            let manager = |((name, ports), rest): (&(String, _), &Option<u16>)| {
                let ports: &epm_protocol::site::ManagerPorts = ports;
                FoundedManager {
                    name: name.clone(),
                    address: ports.address.clone(),
                    http: ports.http,
                    https: ports.https,
                    rest: *rest,
                }
            };
            let founded = FoundedWith {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                at,
                name: founding.name.clone(),
                seed: founding.seed,
                managers: founding.managers.iter().zip(rest).map(manager).collect(),
                assumptions: (*founding.assumptions).clone(),
                options: options.clone(),
                repeat: repeat.clone(),
                is_complete: false,
            };
            store.clear()?;
            store.write(&Batch::of(Kind::Founding, Kind::Founding.name(), &founded))?;
        }
        Ok(Self {
            site: Site::found(founding, at)?,
            clients: Vec::new(),
            snapshots: BTreeMap::new(),
            updates: Updates::new(),
            faults: Vec::new(),
            noted: None,
            sequence: 0,
        })
    }

    /// Makes the site again whose log several processes share, and says how far the log was read.
    ///
    /// # Errors
    ///
    /// When the log cannot be read or repeated.
    pub(crate) fn shared(founded: &FoundedWith, log: &dyn SharedLog) -> Result<(Self, Followed), StoreError> {
        let Replayed { site, updates, at, sequence, faults, noted, .. } =
            Replayed::from_log(founded, log, true)?;
        let news = log.exchange(&ChangedClients::default(), 0)?;
        let site = site.finish(news.clients.iter().map(|one| one.client.clone()));
        let followed = Followed { sequence, at, revision: news.revision };
        Ok((
            Self {
                site,
                clients: news.clients,
                snapshots: BTreeMap::new(),
                updates,
                faults,
                noted,
                sequence,
            },
            followed,
        ))
    }

    fn again(founded: &FoundedWith, store: &dyn Store, clock: &LabClock) -> Result<Self, StoreError> {
        let Replayed { site, snapshots, updates, at, sequence, history, .. } =
            Replayed::from_log(founded, store, false)?;
        let (removed, replaced) = history.dead();
        let dead: i64 = removed.iter().map(|range| range.end() - range.start() + 1).sum();
        if dead >= WORTHWHILE {
            store.compact(&removed, &replaced)?;
        }
        let clients = store.clients()?;
        // The time that was kept last can be a little older than the last change.
        if clock.speed() != 1 && clock.now() < at {
            clock.set(at);
        }
        let site = site.finish(clients.iter().map(|one| one.client.clone()));
        Ok(Self { site, clients, snapshots, updates, faults: Vec::new(), noted: None, sequence })
    }
}

/// The clock of a shared site: it always runs, and is never held.
const fn running(now: Timestamp, real: Duration) -> ClockReading {
    ClockReading { now, real, ran: real, hold: Duration::ZERO }
}

/// A site that was made again from its log.
struct Replayed {
    /// The site, without its clients.
    site: Replay,
    /// The site at each snapshot that was not removed.
    snapshots: BTreeMap<String, (Replay, Updates)>,
    updates: Updates,
    /// Lab time of the last entry, or of the founding.
    at: Timestamp,
    /// Number of the last entry.
    sequence: i64,
    faults: Vec<(FaultRule, Timestamp)>,
    history: SnapshotHistory,
    noted: Option<(Changes, Pauses)>,
}

/// Which entries took snapshots, and which put the site back to one.
#[derive(Debug, Default)]
struct SnapshotHistory {
    /// The entry that took each snapshot that was not removed.
    taken: BTreeMap<String, i64>,
    restored: Vec<Restored>,
}

/// An entry that put the site back.
#[derive(Debug)]
struct Restored {
    sequence: i64,
    /// The entry that had taken the snapshot.
    from: i64,
    name: String,
    assumptions: Option<Arc<Assumptions>>,
    /// What the site had drawn, and how many entries are missing already.
    drawn: Drawn,
    missing: i64,
}

impl SnapshotHistory {
    /// The entries without which the log makes the same site, and the entries that stand for them.
    fn dead(&self) -> (Vec<RangeInclusive<i64>>, Vec<(i64, Change)>) {
        let mut needed: BTreeSet<i64> = self.taken.values().copied().collect();
        let (mut removed, mut replaced) = (Vec::<RangeInclusive<i64>>::new(), Vec::new());
        for one in self.restored.iter().rev() {
            if removed.iter().any(|range| range.contains(&one.sequence)) {
                continue;
            }
            needed.insert(one.from);
            let between = one.from + 1..=one.sequence - 1;
            let entries = one.sequence - 1 - one.from;
            if entries - one.missing > 0 && needed.range(between.clone()).next().is_none() {
                removed.push(between);
                let replaces = Some(Replaced { entries, drawn: one.drawn });
                let (name, assumptions) = (one.name.clone(), one.assumptions.clone());
                replaced.push((one.sequence, Change::RestoreSnapshot { name, assumptions, replaces }));
            }
        }
        (removed, replaced)
    }
}

impl Replayed {
    /// Repeats every entry of the log.
    ///
    /// # Errors
    ///
    /// When the log cannot be read, or an entry is refused.
    fn from_log(founded: &FoundedWith, store: &dyn Log, notes_changes: bool) -> Result<Self, StoreError> {
        let begun = Replay::begin(founded.founding(), founded.at)
            .map_err(|error| store.invalid("the founding".to_owned(), &error))?;
        let mut this = Self {
            noted: notes_changes
                .then(|| (Changes::new(begun.site()), Pauses::new(running(founded.at, Duration::ZERO)))),
            site: begun,
            snapshots: BTreeMap::new(),
            updates: Updates::new(),
            at: founded.at,
            sequence: 0,
            faults: Vec::new(),
            history: SnapshotHistory::default(),
        };
        let mut first = None;
        store.read_log(&mut |LogEntry { sequence, at, written, change }| {
            this.at = this.at.max(at);
            this.sequence = sequence;
            let ends_pause = change.ends_pause();
            this.repeat(sequence, change, at)
                .map_err(|why| store.invalid(format!("entry {sequence} of the log"), &why))?;
            if let Some((changes, pauses)) = &this.noted {
                changes.note(this.site.site(), at);
                let written = written.unwrap_or(at);
                let real = written.since(*first.get_or_insert(written));
                if ends_pause {
                    pauses.site_changed(running(at, real), changes.count(), None);
                }
            }
            Ok(())
        })?;
        Ok(this)
    }

    fn repeat(&mut self, sequence: i64, change: Change, at: Timestamp) -> Result<(), String> {
        let refused = |error: CommandError| format!("this version refuses it: {error}");
        match change {
            Change::Commands { commands, clocks, update } => {
                self.site.repeat(&commands, &clocks, at).map_err(refused)?;
                if let Some(update) = update {
                    self.note(&commands, &update, at);
                }
            }
            Change::Assume(assumptions) => self.site.assume(assumptions),
            Change::DrawOnFrom(certificate) => self.site.draw_on_from(certificate),
            Change::TakeSnapshot(name) => {
                self.history.taken.insert(name.clone(), sequence);
                self.snapshots.insert(name, (self.site.clone(), self.updates.clone()));
            }
            Change::RemoveSnapshot(name) => {
                self.history.taken.remove(&name);
                self.snapshots.remove(&name);
            }
            Change::RestoreSnapshot { name, assumptions, replaces } => {
                let earlier = self.snapshots.get(&name).cloned();
                let earlier = earlier.ok_or_else(|| format!("there is no snapshot {name:?}"))?;
                let drawn = replaces.map_or(self.site.drawn(), |one| one.drawn);
                let missing = replaces.map_or(0, |one| one.entries);
                let from = self.history.taken.get(&name).copied().unwrap_or(sequence);
                let (kept_name, kept) = (name, assumptions.clone());
                self.history.restored.push(Restored {
                    sequence,
                    from,
                    name: kept_name,
                    assumptions: kept,
                    drawn,
                    missing,
                });
                self.site.restore(earlier.0, assumptions, drawn);
                self.updates = earlier.1;
            }
            // A process that starts has nothing to restart.
            Change::Restart { .. } => {}
            Change::SetFault(rule) => {
                self.faults.retain(|(one, _)| one.name != rule.name);
                self.faults.push((FaultRule::clone(&rule), at));
            }
            Change::RemoveFault(name) => {
                self.faults.retain(|(one, _)| name.as_ref().is_some_and(|name| one.name != *name));
            }
        }
        Ok(())
    }

    /// Notes a named update, which the site has repeated.
    fn note(&mut self, commands: &[Command], update: &NamedUpdate, at: Timestamp) {
        for command in commands {
            let Command::UpdateCertificate { manager, stores, .. } = command else { continue };
            let Some(fingerprint) = self.site.certificate(manager, *stores) else { continue };
            let NamedUpdate { name, request } = update.clone();
            let update = Update { update: name, at, stores: *stores, fingerprint, request };
            let known = self.updates.entry(manager.clone()).or_default();
            if known.len() == MOST_UPDATES {
                known.remove(0);
            }
            known.push(update);
        }
    }
}

#[cfg(test)]
mod tests {
    use epm_protocol::site::{NewCertificate, Stores};

    use super::*;
    use crate::store::{GivenBy, SqliteStore};

    /// What a replayed log makes: the site's groups, certificate and draws, and the snapshots with theirs.
    fn made(founded: &FoundedWith, store: &dyn Store) -> (Vec<(String, String)>, String, usize) {
        let Replayed { site, snapshots, history, .. } = Replayed::from_log(founded, store, false).unwrap();
        let facts = |replay: Replay| {
            let drawn = format!("{:?} {:?}", replay.drawn(), replay.certificate("sepm-1", Stores::Client));
            let groups =
                replay.finish([]).groups().iter().map(|(path, _)| path.to_owned()).collect::<Vec<_>>();
            format!("{drawn} {groups:?}")
        };
        let snapshots = snapshots.into_iter().map(|(name, (site, _))| (name, facts(site))).collect();
        (snapshots, facts(site), history.dead().0.len())
    }

    #[test]
    fn what_the_site_no_longer_depends_on_is_removed_from_the_log_and_nothing_else_changes() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(folder.path()).unwrap();
        let at = Timestamp::from_seconds(1_700_000_000);
        let manager = FoundedManager {
            name: "sepm-1".to_owned(),
            address: "127.0.0.1".to_owned(),
            http: Some(8014),
            https: None,
            rest: None,
        };
        let founded = FoundedWith {
            version: String::new(),
            at,
            name: "My Site".to_owned(),
            seed: 7,
            managers: vec![manager],
            assumptions: Assumptions::default(),
            options: BTreeMap::new(),
            repeat: None,
            is_complete: true,
        };
        let append =
            |change: &Change| store.append(change, GivenBy::ControlApi, at, &Batch::default()).unwrap();
        let group = |name: &str| {
            let commands = vec![Command::AddGroup { group: format!(r"My Company\{name}"), inherits: true }];
            append(&Change::Commands { commands, clocks: BTreeMap::new(), update: None });
        };
        let update = || {
            let certificate = NewCertificate::Generate { common_name: None, valid_days: None };
            let (manager, stores) = ("sepm-1".to_owned(), Stores::Both);
            let commands = vec![Command::UpdateCertificate { manager, certificate, stores }];
            append(&Change::Commands { commands, clocks: BTreeMap::new(), update: None });
        };
        let restore = |name: &str| {
            append(&Change::RestoreSnapshot { name: name.to_owned(), assumptions: None, replaces: None });
        };
        let take = |name: &str| append(&Change::TakeSnapshot(name.to_owned()));
        group("a");
        take("start");
        // Dead, with a snapshot that is dead too.
        group("b");
        update();
        // What tells the causes: the same for a manager's process that joins later.
        let changes = Replayed::from_log(&founded, &store, true).unwrap().noted.unwrap().0;
        let updates = changes.after(0).unwrap().into_iter().filter(|one| !one.updated().is_empty());
        assert_eq!((changes.count(), updates.count()), (3, 1));
        take("gone");
        restore("start");
        group("c");
        append(&Change::RemoveSnapshot("gone".to_owned()));
        restore("start");
        // Not dead: a snapshot in between is needed.
        group("d");
        take("kept");
        update();
        restore("start");
        // Dead again.
        group("e");
        restore("kept");
        group("f");
        let (snapshots, site, ranges) = made(&founded, &store);
        let (removed, replaced) = Replayed::from_log(&founded, &store, false).unwrap().history.dead();
        assert_eq!((ranges, &removed[..], replaced.len()), (2, &[12..=14, 3..=8][..], 2));
        store.compact(&removed, &replaced).unwrap();
        assert_eq!(store.counts().unwrap().0, 7);
        assert_eq!(made(&founded, &store), (snapshots, site, 0));
        // It goes on, and is compacted again.
        update();
        restore("kept");
        let (.., ranges) = made(&founded, &store);
        assert_eq!(ranges, 1);
        let (removed, replaced) = Replayed::from_log(&founded, &store, false).unwrap().history.dead();
        let before = made(&founded, &store);
        store.compact(&removed, &replaced).unwrap();
        assert_eq!(made(&founded, &store), (before.0, before.1, 0));
    }
}
