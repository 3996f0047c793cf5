//! What the manager remembers of its visitors: bounded, and saying what it has dropped.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use epm_client_agent::wire::LabClock;
use epm_protocol::fault::{FaultRule, Moment, Route};
use epm_protocol::id::AgentId;
use epm_protocol::time::{Clock, Timestamp};
use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// How many exchanges are remembered.
const RECORDS: usize = 10_000;
/// How many lines of the server's log are remembered.
const LINES: usize = 1_000;
/// How much of what somebody else has worded is remembered, in bytes.
const WORDS: usize = 512;
/// How much of a path is remembered.
const PATH: usize = 256;

/// One exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it was answered.
    pub at: Timestamp,
    /// Which manager, in the order of their names.
    pub manager: usize,
    /// Who asked.
    pub peer: SocketAddr,
    /// Whether over TLS.
    pub tls: bool,
    /// What was asked.
    pub action: &'static str,
    /// Which client, if it said so.
    pub agent: Option<AgentId>,
    /// The status of the answer.
    pub status: u16,
}

/// A fault that has hit.
#[derive(Clone, Debug, PartialEq)]
pub struct FaultApplied {
    /// When.
    pub at: Timestamp,
    /// Which manager, in the order of their names.
    pub manager: usize,
    /// Who came.
    pub peer: SocketAddr,
    /// Whether the connection was hit, or an exchange.
    pub moment: Moment,
    /// What was asked; none of a connection.
    pub route: Option<Route>,
    /// Which client, if it is known.
    pub agent: Option<AgentId>,
    /// The how-manieth time it came: what the verdict was drawn for.
    pub ordinal: u64,
    /// The fault, and what it does.
    pub rule: Arc<FaultRule>,
}

/// One call of the REST API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// When it was answered.
    pub at: Timestamp,
    /// Which manager, in the order of their names.
    pub manager: usize,
    /// Who asked.
    pub peer: Option<SocketAddr>,
    /// The method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The status of the answer: 501 where the product has something that the lab does not.
    pub status: u16,
    /// Whose token it was.
    pub who: Option<String>,
}

/// Why a connection ended before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConnectionClosed {
    /// It sent nothing.
    Silent,
    /// It did not finish a request, asked for nothing more, or did not read its answer.
    Stalled,
    /// The TLS handshake failed: the library's words, which name the peer's alert.
    Handshake(String),
    /// It broke off, or spoke no HTTP.
    Http(String),
}

/// The sorts of what the journal remembers; each is bounded for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Exchanges with clients.
    Exchange,
    /// Connections that ended before their time.
    ConnectionClosed,
    /// Faults that have hit.
    FaultApplied,
    /// Faults that hit and could not be carried out.
    FaultSkipped,
    /// Calls of the product's REST API.
    Call,
    /// What operators have done.
    OperatorAction,
}

impl Kind {
    /// All of them.
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
    /// How many entries of the kind are remembered.
    const fn limit(self) -> usize {
        match self {
            Self::Exchange | Self::FaultApplied | Self::Call => RECORDS,
            Self::ConnectionClosed | Self::FaultSkipped | Self::OperatorAction => LINES,
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

/// Anything that the journal remembers.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// An exchange.
    Exchange(Record),
    /// A connection that ended before its time.
    ConnectionClosed {
        /// When.
        at: Timestamp,
        /// Who left.
        peer: SocketAddr,
        /// Why.
        why: ConnectionClosed,
    },
    /// A fault that has hit.
    FaultApplied(FaultApplied),
    /// A fault that hit and could not be carried out.
    FaultSkipped {
        /// When.
        at: Timestamp,
        /// The peer that the fault skipped.
        peer: SocketAddr,
        /// What was missing.
        why: String,
    },
    /// A call of the product's REST API.
    Call(Box<Call>),
    /// What an operator has done, by any way.
    OperatorAction {
        /// When.
        at: Timestamp,
        /// What.
        what: String,
    },
}

impl Entry {
    /// Of which sort it is.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Exchange(_) => Kind::Exchange,
            Self::ConnectionClosed { .. } => Kind::ConnectionClosed,
            Self::FaultApplied(_) => Kind::FaultApplied,
            Self::FaultSkipped { .. } => Kind::FaultSkipped,
            Self::Call(_) => Kind::Call,
            Self::OperatorAction { .. } => Kind::OperatorAction,
        }
    }

    /// When it was.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::Exchange(Record { at, .. })
            | Self::ConnectionClosed { at, .. }
            | Self::FaultApplied(FaultApplied { at, .. })
            | Self::FaultSkipped { at, .. }
            | Self::OperatorAction { at, .. } => *at,
            Self::Call(call) => call.at,
        }
    }
}

/// The journal of a site: a bounded ring for each kind of entry.
#[derive(Debug)]
pub struct Journal {
    clock: Arc<LabClock>,
    /// The number of the next entry.
    next: AtomicU64,
    /// Is told of every entry while something listens.
    grown: watch::Sender<()>,
    entries: [Mutex<Ring<Entry>>; Kind::ALL.len()],
    handshakes: Mutex<Ring<(Timestamp, usize)>>,
    log: Mutex<Ring<String>>,
}

/// What is remembered of one sort, each with its number in the journal.
#[derive(Debug)]
struct Ring<T> {
    entries: VecDeque<(u64, T)>,
    dropped: u64,
    /// The number of the last that was dropped.
    last_dropped: u64,
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), dropped: 0, last_dropped: 0 }
    }
}

impl<T> Ring<T> {
    fn push(&mut self, number: u64, entry: T, limit: usize) {
        if self.entries.len() == limit {
            self.last_dropped = self.entries.pop_front().map_or(0, |(number, _)| number);
            self.dropped += 1;
        }
        self.entries.push_back((number, entry));
    }

    fn all(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().map(|(_, entry)| entry)
    }

    /// How many were dropped, if one of them had this number or a later one.
    fn lacks(&self, since: u64) -> Option<u64> {
        (self.dropped > 0 && self.last_dropped >= since).then_some(self.dropped)
    }

    /// Those from this number on.
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
            grown: watch::Sender::new(()),
            entries: Default::default(),
            handshakes: Mutex::default(),
            log: Mutex::default(),
        }
    }

    /// All that is remembered from this number on, in order; numbers begin with 1.
    pub fn since(&self, number: u64) -> Vec<(u64, Entry)> {
        // Numbers are given under the lock of their sort, so what has a lower one than this is there, or will be when the
        // lock is free: whoever goes on from the last number misses nothing.
        let end = self.next_number();
        let mut found: Vec<(u64, Entry)> = Vec::new();
        for ring in &self.entries {
            locked(ring, |ring| found.extend(ring.since(number).cloned()));
        }
        found.retain(|(number, _)| *number < end);
        found.sort_unstable_by_key(|(number, _)| *number);
        found
    }

    /// The number that the next entry gets.
    pub fn next_number(&self) -> u64 {
        self.next.load(Ordering::SeqCst)
    }

    /// Is told whenever the journal grows.
    pub fn growth(&self) -> watch::Receiver<()> {
        self.grown.subscribe()
    }

    /// How many entries of any sort are no longer remembered.
    pub fn forgotten(&self) -> u64 {
        self.entries.iter().map(|ring| locked(ring, |ring| ring.dropped)).sum()
    }

    /// How many of a sort are no longer remembered, if one of them had this number or a later one: then nobody can say what
    /// has happened since.
    pub fn lacks(&self, kind: Kind, since: u64) -> Option<u64> {
        locked(self.ring(kind), |ring| ring.lacks(since))
    }

    /// The exchanges that are remembered, the oldest first.
    pub fn records(&self) -> Vec<Record> {
        self.each(Kind::Exchange, |one| if let Entry::Exchange(record) = one { Some(*record) } else { None })
    }

    /// How many exchanges are no longer remembered.
    pub fn dropped(&self) -> u64 {
        locked(self.ring(Kind::Exchange), |ring| ring.dropped)
    }

    /// The connections that ended before their time, the oldest first.
    pub fn connections_closed(&self) -> Vec<(SocketAddr, ConnectionClosed)> {
        self.each(Kind::ConnectionClosed, |one| match one {
            Entry::ConnectionClosed { peer, why, .. } => Some((*peer, why.clone())),
            _ => None,
        })
    }

    /// The handshakes that came to nothing, the oldest first: when, and with which manager, in the order of their names.
    pub fn failed_handshakes(&self) -> Vec<(Timestamp, usize)> {
        locked(&self.handshakes, |ring| ring.all().copied().collect())
    }

    /// The faults that have hit, the oldest first.
    pub fn faults_applied(&self) -> Vec<FaultApplied> {
        self.each(Kind::FaultApplied, |one| {
            if let Entry::FaultApplied(applied) = one { Some(applied.clone()) } else { None }
        })
    }

    /// The faults that hit and could not be carried out, the oldest first: the peer, and what was missing. The exchange went
    /// on there as if there were none.
    pub fn faults_skipped(&self) -> Vec<(SocketAddr, String)> {
        self.each(Kind::FaultSkipped, |one| match one {
            Entry::FaultSkipped { peer, why, .. } => Some((*peer, why.clone())),
            _ => None,
        })
    }

    /// The lines of `ersecreg.log`, the oldest first.
    pub fn server_log(&self) -> Vec<String> {
        locked(&self.log, |ring| ring.all().cloned().collect())
    }

    /// The calls of the REST API that are remembered, the oldest first.
    pub fn calls(&self) -> Vec<Call> {
        self.each(Kind::Call, |one| if let Entry::Call(call) = one { Some(Call::clone(call)) } else { None })
    }

    pub(crate) fn call(&self, mut call: Call) {
        if call.status == 501 {
            tracing::warn!(
                method = call.method,
                path = call.path,
                "the product serves this, and the lab does not"
            );
        }
        if call.path.len() > PATH {
            call.path = call.path.chars().take(PATH).collect();
        }
        self.add(Entry::Call(Box::new(call)));
    }

    pub(crate) fn note(&self, record: Record) {
        self.add(Entry::Exchange(record));
    }

    pub(crate) fn fault_applied(&self, applied: FaultApplied) {
        tracing::debug!(peer = %applied.peer, fault = applied.rule.name, kind = %applied.rule.what, "a fault hits");
        self.add(Entry::FaultApplied(applied));
    }

    pub(crate) fn fault_skipped(&self, peer: SocketAddr, why: String) {
        tracing::warn!(%peer, why, "a fault cannot be carried out");
        self.add(Entry::FaultSkipped { at: self.clock.now(), peer, why: cut(why) });
    }

    /// An operator has done something.
    pub(crate) fn operator_action(&self, what: String) {
        tracing::info!(what, "operator action");
        self.add(Entry::OperatorAction { at: self.clock.now(), what: cut(what) });
    }

    pub(crate) fn connection_closed(&self, peer: SocketAddr, why: ConnectionClosed) {
        tracing::debug!(%peer, ?why, "a connection ended before its time");
        let why = match why {
            ConnectionClosed::Handshake(words) => ConnectionClosed::Handshake(cut(words)),
            ConnectionClosed::Http(words) => ConnectionClosed::Http(cut(words)),
            ConnectionClosed::Silent | ConnectionClosed::Stalled => why,
        };
        self.add(Entry::ConnectionClosed { at: self.clock.now(), peer, why });
    }

    /// A handshake with this manager came to nothing.
    pub(crate) fn handshake_failed(&self, peer: SocketAddr, manager: usize, at: Timestamp, why: String) {
        locked(&self.handshakes, |ring| ring.push(0, (at, manager), RECORDS));
        self.connection_closed(peer, ConnectionClosed::Handshake(why));
    }

    /// A message whose secret does not fit: the product's two lines [C S9].
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
            ring.push(number, entry, kind.limit());
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

/// No more of it than is remembered.
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
