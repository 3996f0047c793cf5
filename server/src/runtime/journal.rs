//! The journal of a site: bounded, and it reports what it has dropped.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use epm_client_agent::wire::LabClock;
use epm_protocol::fault::{FaultRule, Moment, Route};
use epm_protocol::id::AgentId;
use epm_protocol::time::{Clock, Timestamp};
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::runtime::transfer::{SharedTransfer, Transfer};

/// Number of exchanges that are kept, unless another is set; and of calls, and of applied faults.
pub(crate) const RECORDS: usize = 10_000;
/// Number of lines of the server's log that are kept.
const LINES: usize = 1_000;
/// Number of bytes that are kept of texts from peers and libraries.
const WORDS: usize = 512;
/// Number of bytes that are kept of a path.
const PATH: usize = 256;

/// An exchange with a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Lab time of the response.
    pub at: Timestamp,
    /// Index of the manager in name order.
    pub manager: usize,
    /// Address of the client.
    pub peer: SocketAddr,
    /// Whether the connection used TLS.
    pub tls: bool,
    /// What was requested.
    pub action: &'static str,
    /// The client, if the request named it.
    pub agent: Option<AgentId>,
    /// Status of the response.
    pub status: u16,
    /// Whether a fault acted on the exchange or on its connection.
    pub faulted: bool,
}

/// A fault that was applied.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultApplied {
    /// Lab time of the hit.
    pub at: Timestamp,
    /// Index of the manager in name order.
    pub manager: usize,
    /// Address of the peer.
    pub peer: SocketAddr,
    /// Whether a connection or an exchange was hit.
    pub moment: Moment,
    /// Route of the exchange; none for a connection.
    pub route: Option<Route>,
    /// The client, if it is known.
    pub agent: Option<AgentId>,
    /// Ordinal of the connection or exchange, which the decision is derived from.
    pub ordinal: u64,
    /// The rule of the fault.
    pub rule: Arc<FaultRule>,
}

/// A call of the vendor's REST API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Lab time of the response.
    pub at: Timestamp,
    /// Index of the manager in name order.
    pub manager: usize,
    /// Address of the caller.
    pub peer: Option<SocketAddr>,
    /// HTTP method.
    pub method: String,
    /// Path without the query.
    pub path: String,
    /// Status of the response; 501 for operations that the product has and the lab does not.
    pub status: u16,
    /// User of the token.
    pub who: Option<String>,
    /// Request and response, without passwords and tokens.
    pub transfer: SharedTransfer,
}

/// Why a connection ended prematurely.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionClosed {
    /// The peer sent nothing.
    Silent,
    /// The peer did not finish a request, sent no further one, or did not read its response.
    Stalled,
    /// The TLS handshake failed; the library's message names the peer's alert.
    Handshake(String),
    /// The peer disconnected, or did not speak HTTP.
    Http(String),
}

/// Kinds of journal entries; each is bounded separately.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Exchanges with clients.
    Exchange,
    /// Connections that ended prematurely.
    ConnectionClosed,
    /// Faults that were applied.
    FaultApplied,
    /// Faults that hit but could not be applied.
    FaultSkipped,
    /// Calls of the vendor's REST API.
    Call,
    /// Actions of operators.
    OperatorAction,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::Exchange,
        Self::ConnectionClosed,
        Self::FaultApplied,
        Self::FaultSkipped,
        Self::Call,
        Self::OperatorAction,
    ];
}

impl Kind {
    /// Number of entries of this kind that are kept, if so many exchanges are.
    const fn limit(self, exchanges: usize) -> usize {
        match self {
            Self::Exchange | Self::FaultApplied | Self::Call => exchanges,
            Self::ConnectionClosed | Self::FaultSkipped | Self::OperatorAction => exchanges.div_ceil(10),
        }
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Exchange => "exchange",
            Self::ConnectionClosed => "connection-closed",
            Self::FaultApplied => "fault-applied",
            Self::FaultSkipped => "fault-skipped",
            Self::Call => "call",
            Self::OperatorAction => "operator-action",
        })
    }
}

/// An entry of the journal.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// An exchange with a client.
    Exchange(Record, SharedTransfer),
    /// A connection that ended prematurely.
    ConnectionClosed {
        /// Lab time of the end.
        at: Timestamp,
        /// Address of the peer.
        peer: SocketAddr,
        /// Reason for the end.
        why: ConnectionClosed,
        /// Whether a fault acted on the connection.
        faulted: bool,
    },
    /// A fault that was applied.
    FaultApplied(FaultApplied),
    /// A fault that hit but could not be applied.
    FaultSkipped {
        /// Lab time of the hit.
        at: Timestamp,
        /// Address of the peer.
        peer: SocketAddr,
        /// What the fault needed and did not have.
        why: String,
    },
    /// A call of the vendor's REST API.
    Call(Box<Call>),
    /// An action of an operator, through any interface.
    OperatorAction {
        /// Lab time of the action.
        at: Timestamp,
        /// Description of the action.
        what: String,
    },
}

impl Entry {
    /// Kind of this entry.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Exchange(..) => Kind::Exchange,
            Self::ConnectionClosed { .. } => Kind::ConnectionClosed,
            Self::FaultApplied(_) => Kind::FaultApplied,
            Self::FaultSkipped { .. } => Kind::FaultSkipped,
            Self::Call(_) => Kind::Call,
            Self::OperatorAction { .. } => Kind::OperatorAction,
        }
    }

    /// The address that a client of the lab may have sent from.
    pub(crate) const fn peer(&self) -> Option<IpAddr> {
        match self {
            Self::Exchange(record, _) => Some(record.peer.ip()),
            Self::FaultApplied(applied) => Some(applied.peer.ip()),
            Self::ConnectionClosed { peer, .. } | Self::FaultSkipped { peer, .. } => Some(peer.ip()),
            Self::Call(_) | Self::OperatorAction { .. } => None,
        }
    }

    /// Request and response of an exchange or a call.
    pub(crate) fn transfer(&self) -> Option<&Transfer> {
        match self {
            Self::Exchange(_, transfer) => Some(transfer),
            Self::Call(call) => Some(&call.transfer),
            _ => None,
        }
    }

    /// Lab time of this entry.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Exchange(Record { at, .. }, _)
            | Self::ConnectionClosed { at, .. }
            | Self::FaultApplied(FaultApplied { at, .. })
            | Self::FaultSkipped { at, .. }
            | Self::OperatorAction { at, .. } => *at,
            Self::Call(call) => call.at,
        }
    }
}

/// The journal of a site: a bounded ring buffer for each kind of entry.
#[derive(Debug)]
pub struct Journal {
    clock: Arc<LabClock>,
    /// Number of the next entry.
    next: AtomicU64,
    /// Number of exchanges that are kept.
    limit: AtomicUsize,
    /// Notified of every entry while there are listeners.
    grown: watch::Sender<()>,
    entries: [Mutex<Ring<Entry>>; Kind::ALL.len()],
    handshakes: Mutex<Ring<(Timestamp, usize)>>,
    /// Number of applied faults by manager and kind, since the process started.
    faults: Mutex<BTreeMap<(usize, &'static str), u64>>,
    log: Mutex<Ring<String>>,
}

/// Entries of one kind, each with its number in the journal.
#[derive(Debug)]
struct Ring<T> {
    entries: VecDeque<(u64, T)>,
    dropped: u64,
    /// Number of the last dropped entry.
    last_dropped: u64,
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), dropped: 0, last_dropped: 0 }
    }
}

impl<T> Ring<T> {
    fn push(&mut self, number: u64, entry: T, limit: usize) {
        while self.entries.len() >= limit.max(1) {
            self.last_dropped = self.entries.pop_front().map_or(0, |(number, _)| number);
            self.dropped += 1;
        }
        self.entries.push_back((number, entry));
    }

    fn all(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().map(|(_, entry)| entry)
    }

    /// Number of dropped entries, if one of them had this number or a later one.
    fn lacks(&self, since: u64) -> Option<u64> {
        (self.dropped > 0 && self.last_dropped >= since).then_some(self.dropped)
    }

    /// Entries from this number on.
    fn since(&self, number: u64) -> impl Iterator<Item = &(u64, T)> {
        let from = self.entries.partition_point(|(at, _)| *at < number);
        self.entries.iter().skip(from)
    }
}

impl Journal {
    pub(crate) fn new(clock: Arc<LabClock>) -> Self {
        Self {
            clock,
            next: AtomicU64::new(1),
            limit: AtomicUsize::new(RECORDS),
            grown: watch::Sender::new(()),
            entries: Default::default(),
            handshakes: Mutex::default(),
            faults: Mutex::default(),
            log: Mutex::default(),
        }
    }

    /// Sets how many exchanges are kept, and as many calls and applied faults; of other kinds a tenth.
    pub(crate) fn keep(&self, exchanges: usize) {
        self.limit.store(exchanges, Ordering::Relaxed);
    }

    fn limit(&self, kind: Kind) -> usize {
        kind.limit(self.limit.load(Ordering::Relaxed))
    }

    /// All kept entries from this number on, in order; numbers begin with 1.
    pub fn since(&self, number: u64) -> Vec<(u64, Entry)> {
        // Numbers are assigned under the lock of their kind: every entry with a lower number than this is present, or
        // will be once the lock is free. A reader that continues from the last number misses nothing.
        let end = self.next_number();
        let mut found: Vec<(u64, Entry)> = Vec::new();
        for ring in &self.entries {
            locked(ring, |ring| found.extend(ring.since(number).cloned()));
        }
        found.retain(|(number, _)| *number < end);
        found.sort_unstable_by_key(|(number, _)| *number);
        found
    }

    /// Number of the next entry.
    pub fn next_number(&self) -> u64 {
        self.next.load(Ordering::SeqCst)
    }

    /// Number of entries of each kind so far, in the order of [`Kind::ALL`].
    pub(crate) fn counts(&self) -> [u64; Kind::ALL.len()] {
        Kind::ALL.map(|kind| locked(self.ring(kind), |ring| ring.dropped + ring.entries.len() as u64))
    }

    /// Continues an earlier journal with the entries of it that were kept, in order: the next one has the number `next`. With
    /// `is_whole`, nothing is lost but what had been dropped before.
    pub(crate) fn go_on_from(
        &self,
        next: u64,
        counts: [u64; Kind::ALL.len()],
        kept: Vec<(u64, Entry)>,
        is_whole: bool,
    ) {
        self.next.store(next.max(1), Ordering::SeqCst);
        for (number, entry) in kept {
            let kind = entry.kind();
            locked(self.ring(kind), |ring| ring.push(number, entry, self.limit(kind)));
        }
        for (kind, count) in Kind::ALL.into_iter().zip(counts) {
            locked(self.ring(kind), |ring| {
                ring.dropped = count.saturating_sub(ring.entries.len() as u64);
                let first = ring.entries.front().map_or(next, |(number, _)| *number);
                let end = if is_whole { first } else { next };
                ring.last_dropped = end.saturating_sub(1);
                if !is_whole {
                    ring.dropped += 1;
                }
            });
        }
    }

    /// The number of the oldest kept entry of each kind, in the order of [`Kind::ALL`].
    pub(crate) fn oldest(&self) -> [Option<u64>; Kind::ALL.len()] {
        Kind::ALL.map(|kind| locked(self.ring(kind), |ring| ring.entries.front().map(|(number, _)| *number)))
    }

    /// Notifies of new entries.
    pub fn growth(&self) -> watch::Receiver<()> {
        self.grown.subscribe()
    }

    /// Number of dropped entries of all kinds.
    pub fn forgotten(&self) -> u64 {
        self.entries.iter().map(|ring| locked(ring, |ring| ring.dropped)).sum()
    }

    /// Number of dropped entries of each kind, in the order of [`Kind::ALL`].
    pub(crate) fn drops(&self) -> [u64; Kind::ALL.len()] {
        Kind::ALL.map(|kind| locked(self.ring(kind), |ring| ring.dropped))
    }

    /// Number of faults that were applied since the process started, by manager and kind.
    pub(crate) fn faults_by_kind(&self) -> BTreeMap<(usize, &'static str), u64> {
        self.faults.lock().clone()
    }

    /// Number of dropped entries of a kind, if one of them had this number or a later one: then the history since
    /// that number is incomplete.
    pub fn lacks(&self, kind: Kind, since: u64) -> Option<u64> {
        locked(self.ring(kind), |ring| ring.lacks(since))
    }

    /// Kept exchanges, oldest first.
    pub fn records(&self) -> Vec<Record> {
        self.each(
            Kind::Exchange,
            |one| if let Entry::Exchange(record, _) = one { Some(*record) } else { None },
        )
    }

    /// Number of dropped exchanges.
    pub fn dropped(&self) -> u64 {
        locked(self.ring(Kind::Exchange), |ring| ring.dropped)
    }

    /// Connections that ended prematurely, oldest first.
    pub fn connections_closed(&self) -> Vec<(SocketAddr, ConnectionClosed)> {
        self.each(Kind::ConnectionClosed, |one| match one {
            Entry::ConnectionClosed { peer, why, .. } => Some((*peer, why.clone())),
            _ => None,
        })
    }

    /// Failed handshakes, oldest first: lab time, and index of the manager in name order.
    pub fn failed_handshakes(&self) -> Vec<(Timestamp, usize)> {
        locked(&self.handshakes, |ring| ring.all().copied().collect())
    }

    /// Applied faults, oldest first.
    pub fn faults_applied(&self) -> Vec<FaultApplied> {
        self.each(Kind::FaultApplied, |one| {
            if let Entry::FaultApplied(applied) = one { Some(applied.clone()) } else { None }
        })
    }

    /// Faults that hit but could not be applied, oldest first: peer and reason. The exchange continued as if there
    /// were no fault.
    pub fn faults_skipped(&self) -> Vec<(SocketAddr, String)> {
        self.each(Kind::FaultSkipped, |one| match one {
            Entry::FaultSkipped { peer, why, .. } => Some((*peer, why.clone())),
            _ => None,
        })
    }

    /// Lines of `ersecreg.log`, oldest first.
    pub fn server_log(&self) -> Vec<String> {
        locked(&self.log, |ring| ring.all().cloned().collect())
    }

    /// Kept calls of the REST API, oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.each(Kind::Call, |one| if let Entry::Call(call) = one { Some(Call::clone(call)) } else { None })
    }

    pub(crate) fn call(&self, mut call: Call) {
        tracing::info!(method = call.method, path = call.path, status = call.status, "REST call");
        if call.status == 501 {
            tracing::warn!(
                method = call.method,
                path = call.path,
                "operation of the product that the lab does not have"
            );
        }
        if call.path.len() > PATH {
            call.path = call.path.chars().take(PATH).collect();
        }
        self.add(Entry::Call(Box::new(call)));
    }

    pub(crate) fn note(&self, record: Record, transfer: Transfer) {
        let Record { peer, tls, action, status, .. } = &record;
        let agent = record.agent.map(tracing::field::display);
        tracing::debug!(%peer, tls, action, agent, status, "exchange");
        self.add(Entry::Exchange(record, Arc::new(transfer)));
    }

    pub(crate) fn fault_applied(&self, applied: FaultApplied) {
        tracing::debug!(peer = %applied.peer, fault = applied.rule.name, kind = %applied.rule.what, "fault applied");
        *self.faults.lock().entry((applied.manager, applied.rule.what.name())).or_default() += 1;
        self.add(Entry::FaultApplied(applied));
    }

    pub(crate) fn fault_skipped(&self, peer: SocketAddr, why: String) {
        tracing::warn!(%peer, why, "cannot apply a fault");
        self.add(Entry::FaultSkipped { at: self.clock.now(), peer, why: cut(why) });
    }

    /// Records an action of an operator.
    pub(crate) fn operator_action(&self, what: String) {
        tracing::info!(what, "operator action");
        self.add(Entry::OperatorAction { at: self.clock.now(), what: cut(what) });
    }

    pub(crate) fn connection_closed(&self, peer: SocketAddr, why: ConnectionClosed) {
        self.connection_ended(peer, why, false);
    }

    /// Records a connection that ended prematurely; `faulted` if a fault acted on it.
    pub(crate) fn connection_ended(&self, peer: SocketAddr, why: ConnectionClosed, faulted: bool) {
        self.ended_at(self.clock.now(), peer, why, faulted);
    }

    /// Records a connection whose handshake, begun at this time, failed.
    pub(crate) fn handshake_failed(&self, peer: SocketAddr, at: Timestamp, why: String, faulted: bool) {
        self.ended_at(at, peer, ConnectionClosed::Handshake(why), faulted);
    }

    fn ended_at(&self, at: Timestamp, peer: SocketAddr, why: ConnectionClosed, faulted: bool) {
        tracing::debug!(%peer, ?why, "connection ended prematurely");
        let why = match why {
            ConnectionClosed::Handshake(words) => ConnectionClosed::Handshake(cut(words)),
            ConnectionClosed::Http(words) => ConnectionClosed::Http(cut(words)),
            ConnectionClosed::Silent | ConnectionClosed::Stalled => why,
        };
        self.add(Entry::ConnectionClosed { at, peer, why, faulted });
    }

    /// Notes a failed handshake with this manager, for [`Self::failed_handshakes`].
    pub(crate) fn note_handshake(&self, at: Timestamp, manager: usize) {
        locked(&self.handshakes, |ring| ring.push(0, (at, manager), RECORDS));
    }

    /// Records a message with another secret, in the product's two lines [C S9].
    pub(crate) fn bad_format(&self, peer: IpAddr) {
        tracing::info!(%peer, "4 Bad format.");
        for line in ["4 Bad format.".to_owned(), format!("<{peer}>--FAILED")] {
            locked(&self.log, |ring| ring.push(0, line, LINES));
        }
    }

    fn add(&self, entry: Entry) {
        let kind = entry.kind();
        locked(self.ring(kind), |ring| {
            let number = self.next.fetch_add(1, Ordering::SeqCst);
            ring.push(number, entry, self.limit(kind));
        });
        if self.grown.receiver_count() > 0 {
            self.grown.send_replace(());
        }
    }

    const fn ring(&self, kind: Kind) -> &Mutex<Ring<Entry>> {
        &self.entries[kind as usize]
    }

    fn each<R>(&self, kind: Kind, of: impl Fn(&Entry) -> Option<R>) -> Vec<R> {
        locked(self.ring(kind), |ring| ring.entries.iter().filter_map(|(_, one)| of(one)).collect())
    }
}

/// Truncates a text to the length that is kept.
fn cut(mut words: String) -> String {
    let mut end = words.len().min(WORDS);
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    words.truncate(end);
    words
}

fn locked<T, R>(ring: &Mutex<Ring<T>>, with: impl FnOnce(&mut Ring<T>) -> R) -> R {
    with(&mut ring.lock())
}
