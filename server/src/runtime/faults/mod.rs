//! The faults of a running site, for tests, operators and the drivers.
//!
//! The rules are one value behind an `ArcSwap`, replaced as a whole. While there are none, a connection and an
//! exchange cost one relaxed load each, and nothing is counted. [`epm_protocol::fault::FaultSet`] decides which
//! exchanges are hit.

pub(crate) mod certs;
mod counts;
pub(crate) mod judging;
mod rsa_1024;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use epm_client_agent::wire::LabClock;
use epm_protocol::fault::{FaultError, FaultRule, FaultSet, InstalledFault};
use epm_protocol::id::AgentId;
use epm_protocol::policy::Protocol;
use epm_protocol::time::{Clock, Timestamp};
use epm_protocol::trust::SigningKey;
use epm_protocol::version::ClientVersion;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::runtime::journal::Journal;
use crate::runtime::service::Service;
pub(crate) use counts::CountsToKeep;
pub(crate) use counts::Key;
use counts::OrdinalCounter;

/// The faults of a running site. Clones refer to the same faults.
#[derive(Clone)]
pub struct Faults(Arc<FaultState>);

/// A fault that is removed when this guard is dropped, unless [`keep`](FaultGuard::keep) is called.
#[derive(Debug)]
#[must_use = "a guard that is dropped removes its fault at once"]
pub struct FaultGuard {
    /// None if the fault stays.
    faults: Option<Faults>,
    rule: Arc<FaultRule>,
}

/// The faults, shared by the tasks of a site.
#[derive(Debug)]
pub(crate) struct FaultState {
    clock: Arc<LabClock>,
    journal: Arc<Journal>,
    any: AtomicBool,
    set: ArcSwap<FaultSet>,
    /// Keys of authorities that sign certificates of the site, as far as they are known.
    authorities: ArcSwap<Vec<SigningKey>>,
    /// Held while the set is changed.
    changing: Mutex<()>,
    changed: watch::Sender<()>,
    counts: Mutex<OrdinalCounter>,
    /// Clients that are known by their address before they send a request.
    expected: Mutex<HashMap<IpAddr, ExpectedClient>>,
    /// Every port, and whether it is open.
    ports: watch::Sender<BTreeMap<SocketAddr, Port>>,
    /// Peers whose connections are stalled indefinitely.
    stalled: watch::Sender<HashSet<SocketAddr>>,
}

/// A client that is identified by its address.
#[derive(Clone, Debug)]
pub(crate) struct ExpectedClient {
    pub(crate) agent: AgentId,
    pub(crate) computer: String,
    pub(crate) version: ClientVersion,
}

/// A port of a manager.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    pub(crate) manager: String,
    /// Protocols of a port for clients; none for that of the REST API.
    pub(crate) speaks: Option<&'static [Protocol]>,
    pub(crate) is_open: bool,
}

/// Marks a connection as stalled while it exists.
pub(crate) struct Stalled<'a> {
    faults: &'a FaultState,
    peer: SocketAddr,
}

impl Drop for Stalled<'_> {
    fn drop(&mut self) {
        self.faults.stalled.send_modify(|stalled| {
            stalled.remove(&self.peer);
        });
    }
}

/// Whether a fault closes this port: one for clients with its protocols, or that of the REST API.
pub(crate) fn closes(
    set: &FaultSet,
    manager: &str,
    speaks: Option<&'static [Protocol]>,
    now: Timestamp,
) -> bool {
    match speaks {
        Some(speaks) => set.closed(manager, speaks, now).is_some(),
        None => set.rest_closed(manager, now).is_some(),
    }
}

impl Faults {
    pub(crate) const fn of(state: Arc<FaultState>) -> Self {
        Self(state)
    }

    /// Adds a fault after the others, replacing one of the same name. It applies from the next connection and
    /// exchange on; a port that it closes is closed shortly afterwards.
    ///
    /// # Errors
    ///
    /// When the rule is invalid; nothing has changed then.
    pub fn add(&self, rule: FaultRule) -> Result<FaultGuard, FaultError> {
        let now = self.0.clock.now();
        let installed = self.0.change(|set| set.add(rule, now))?;
        Ok(FaultGuard { faults: Some(self.clone()), rule: installed.rule })
    }

    /// Adds faults that have been active since an earlier time. Invalid ones are left out.
    pub(crate) fn go_on_with(&self, faults: Vec<(FaultRule, Timestamp)>) {
        if !faults.is_empty() {
            self.0.change(|set| faults.into_iter().for_each(|(rule, since)| drop(set.add(rule, since))));
        }
    }

    /// Counts connections and exchanges on from where an earlier run with these faults was.
    pub(crate) fn count_on_from(&self, counts: impl IntoIterator<Item = (String, String)>) {
        let since = self.0.set().counting_since();
        self.0.with_counter(|counter| counter.go_on_with(since, counts));
    }

    /// What a store has to write of the counts: what has changed since the last time, or everything.
    pub(crate) fn counts_to_keep(&self, everything: bool) -> CountsToKeep {
        self.0.with_counter(|counter| counter.take_changed(self.0.set().counting_since(), everything))
    }

    /// Removes a fault.
    ///
    /// # Errors
    ///
    /// When there is no active fault of that name.
    pub fn remove(&self, name: &str) -> Result<InstalledFault, FaultError> {
        self.0.change(|set| set.remove(name))
    }

    /// Removes all faults, and returns them.
    pub fn clear(&self) -> Vec<InstalledFault> {
        self.0.change(FaultSet::clear)
    }

    /// Gives the faults the key of an authority that signs certificates of the site: certificate faults sign with it, so
    /// that a client that trusts the authority finds the property wrong that the fault names, and no other.
    pub fn sign_with(&self, authority: &SigningKey) {
        self.0.authorities.rcu(|known| {
            let mut keys = Vec::clone(known);
            keys.push(authority.clone());
            keys
        });
    }

    /// All active faults, in the order in which they are judged.
    pub fn list(&self) -> Vec<InstalledFault> {
        let now = self.0.clock.now();
        let set = self.0.set.load();
        set.list().iter().filter(|one| now < one.ends()).cloned().collect()
    }

    /// The current rules with the seed, to predict hits.
    pub fn set(&self) -> Arc<FaultSet> {
        self.0.set()
    }

    /// Identifies the client at this address. Faults see its address as 127.0.0.1, as in virtual time.
    pub(crate) fn expect(&self, from: IpAddr, client: ExpectedClient) {
        self.0.expected.lock().insert(from, client);
    }

    /// The active faults that hit the last contact of clients, each with the client: by its number, or by its address.
    pub(crate) fn last_hits(&self) -> Vec<(Key, String)> {
        let active = self.list();
        let hits = self.0.with_counter(|counts| counts.last_hits());
        let is_active = |rule: &Arc<FaultRule>| active.iter().any(|one| Arc::ptr_eq(&one.rule, rule));
        hits.into_iter()
            .filter(|(_, rule)| is_active(rule))
            .map(|(key, rule)| (key, rule.name.clone()))
            .collect()
    }

    /// The clients' ports that faults close, each with the fault.
    pub(crate) fn closed_by(&self) -> BTreeMap<u16, String> {
        let (set, now) = (self.0.set(), self.0.clock.now());
        let closed = |(address, port): (&SocketAddr, &Port)| {
            let fault = set.closed(&port.manager, port.speaks?, now)?;
            Some((address.port(), fault.rule.name.clone()))
        };
        self.0.ports.borrow().iter().filter_map(closed).collect()
    }

    /// The name of the client that has this address to itself.
    pub(crate) fn client_at(&self, address: IpAddr) -> Option<String> {
        self.0.expected(address).map(|client| client.computer)
    }

    /// Peers whose connections are stalled indefinitely.
    pub(crate) fn stalled(&self) -> watch::Receiver<HashSet<SocketAddr>> {
        self.0.stalled.subscribe()
    }

    /// Returns when every port that a fault closes is closed, and every other port is open.
    pub(crate) async fn ports_settled(&self) {
        let faults = &self.0;
        let mut ports = faults.ports.subscribe();
        let is_so = |ports: &BTreeMap<SocketAddr, Port>| {
            let (set, now) = (faults.set(), faults.clock.now());
            ports.values().all(|port| port.is_open != closes(&set, &port.manager, port.speaks, now))
        };
        let _ = ports.wait_for(is_so).await;
    }
}

impl fmt::Debug for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list().iter().map(|one| one.rule.name.clone())).finish()
    }
}

impl FaultGuard {
    /// The rule of the fault.
    pub const fn rule(&self) -> &Arc<FaultRule> {
        &self.rule
    }

    /// Keeps the fault for as long as its rule says.
    pub fn keep(mut self) {
        self.faults = None;
    }
}

impl Drop for FaultGuard {
    fn drop(&mut self) {
        let Some(faults) = self.faults.take() else { return };
        faults.0.change(|set| {
            // A newer fault of the same name stays.
            if set.list().iter().any(|one| Arc::ptr_eq(&one.rule, &self.rule)) {
                let _ = set.remove(&self.rule.name);
            }
        });
    }
}

impl FaultState {
    pub(crate) fn new(seed: u64, clock: Arc<LabClock>, journal: Arc<Journal>) -> Self {
        Self {
            clock,
            journal,
            any: AtomicBool::new(false),
            set: ArcSwap::from_pointee(FaultSet::new(seed)),
            authorities: ArcSwap::default(),
            changing: Mutex::new(()),
            changed: watch::Sender::new(()),
            counts: Mutex::default(),
            expected: Mutex::default(),
            ports: watch::Sender::default(),
            stalled: watch::Sender::default(),
        }
    }

    /// Whether there is any fault: the only check on the hot path.
    pub(crate) fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    pub(crate) fn set(&self) -> Arc<FaultSet> {
        self.set.load_full()
    }

    /// The keys of authorities that sign certificates of the site.
    pub(crate) fn authorities(&self) -> Arc<Vec<SigningKey>> {
        self.authorities.load_full()
    }

    /// Records that a port is open or closed.
    pub(crate) fn port_is(&self, address: SocketAddr, port: Port) {
        self.ports.send_modify(|ports| {
            ports.insert(address, port);
        });
    }

    /// The ports of a service of a manager that are closed now.
    pub(crate) fn closed_ports(&self, manager: &str, service: Service) -> Vec<SocketAddr> {
        let is_of = |port: &Port| {
            port.manager == manager
                && port.speaks.is_some() == (service == Service::Semwebsrv)
                && !port.is_open
        };
        self.ports.borrow().iter().filter(|(_, port)| is_of(port)).map(|(address, _)| *address).collect()
    }

    /// Forgets a port that is served no longer.
    pub(crate) fn port_has_ended(&self, address: SocketAddr) {
        self.ports.send_modify(|ports| {
            ports.remove(&address);
        });
    }

    /// Marks a connection as stalled.
    pub(crate) fn stalls(&self, peer: SocketAddr) -> Stalled<'_> {
        self.stalled.send_modify(|stalled| {
            stalled.insert(peer);
        });
        Stalled { faults: self, peer }
    }

    /// The client that is expected from this address.
    pub(crate) fn expected(&self, from: IpAddr) -> Option<ExpectedClient> {
        self.expected.lock().get(&from).cloned()
    }

    /// Notifies of changes of the faults.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Changes the faults, after removing expired ones.
    fn change<R>(&self, with: impl FnOnce(&mut FaultSet) -> R) -> R {
        let changing = self.changing.lock();
        let mut set = FaultSet::clone(&self.set.load());
        let now = self.clock.now();
        for ended in set.list().iter().filter(|one| one.ends() <= now) {
            self.journal.operator_action(format!("fault {:?} ended by itself", ended.rule.name));
        }
        set.sweep(now);
        let result = with(&mut set);
        let was_any = self.any();
        if !was_any && !set.is_empty() {
            self.with_counter(|counts| counts.begin(&self.journal.records()));
        }
        self.any.store(!set.is_empty(), Ordering::Relaxed);
        self.set.store(Arc::new(set));
        drop(changing);
        let _ = self.changed.send(());
        result
    }

    /// Removes expired faults.
    pub(crate) fn sweep(&self) {
        let now = self.clock.now();
        if self.any() && self.set.load().list().iter().any(|one| one.ends() <= now) {
            self.change(|_| ());
        }
    }

    fn with_counter<R>(&self, with: impl FnOnce(&mut OrdinalCounter) -> R) -> R {
        with(&mut self.counts.lock())
    }
}
