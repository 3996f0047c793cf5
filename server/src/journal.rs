//! What the manager remembers of its visitors: bounded, and saying what it has dropped.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use epm_protocol::fault::{FaultRule, Moment, Route};
use epm_protocol::id::AgentId;
use epm_protocol::time::Timestamp;

/// How many exchanges are remembered.
const RECORDS: usize = 10_000;
/// How many lines of the server's log are remembered.
const LINES: usize = 1_000;

/// One exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it was answered.
    pub at: Timestamp,
    /// Which manager, in the order of their names.
    pub desk: usize,
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
pub struct Strike {
    /// When.
    pub at: Timestamp,
    /// Which manager, in the order of their names.
    pub desk: usize,
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

/// Why a connection ended before its time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Departure {
    /// It sent nothing.
    Silent,
    /// It did not finish a request, asked for nothing more, or did not read its answer.
    Stalled,
    /// The TLS handshake failed: the library's words, which name the peer's alert.
    Handshake(String),
    /// It broke off, or spoke no HTTP.
    Http(String),
}

/// The journal of a site.
#[derive(Debug, Default)]
pub struct Journal {
    records: Mutex<Ring<Record>>,
    departures: Mutex<Ring<(SocketAddr, Departure)>>,
    handshakes: Mutex<Ring<(Timestamp, usize)>>,
    strikes: Mutex<Ring<Strike>>,
    spared: Mutex<Ring<(SocketAddr, String)>>,
    log: Mutex<Ring<String>>,
}

#[derive(Debug)]
struct Ring<T> {
    entries: VecDeque<T>,
    dropped: u64,
}

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self { entries: VecDeque::new(), dropped: 0 }
    }
}

impl<T> Ring<T> {
    fn push(&mut self, entry: T, limit: usize) {
        if self.entries.len() == limit {
            self.entries.pop_front();
            self.dropped += 1;
        }
        self.entries.push_back(entry);
    }
}

impl Journal {
    /// The exchanges that are remembered, the oldest first.
    pub fn records(&self) -> Vec<Record> {
        locked(&self.records, |ring| ring.entries.iter().copied().collect())
    }

    /// How many exchanges are no longer remembered.
    pub fn dropped(&self) -> u64 {
        locked(&self.records, |ring| ring.dropped)
    }

    /// The connections that ended before their time, the oldest first.
    pub fn departures(&self) -> Vec<(SocketAddr, Departure)> {
        locked(&self.departures, |ring| ring.entries.iter().cloned().collect())
    }

    /// The handshakes that came to nothing, the oldest first: when, and with which manager, in the order of their names.
    pub fn failed_handshakes(&self) -> Vec<(Timestamp, usize)> {
        locked(&self.handshakes, |ring| ring.entries.iter().copied().collect())
    }

    /// The faults that have hit, the oldest first.
    pub fn strikes(&self) -> Vec<Strike> {
        locked(&self.strikes, |ring| ring.entries.iter().cloned().collect())
    }

    /// The faults that hit and could not be carried out, the oldest first: whom they spared, and what was missing. It went
    /// on there as if there were none.
    pub fn spared(&self) -> Vec<(SocketAddr, String)> {
        locked(&self.spared, |ring| ring.entries.iter().cloned().collect())
    }

    /// The lines of `ersecreg.log`, the oldest first.
    pub fn server_log(&self) -> Vec<String> {
        locked(&self.log, |ring| ring.entries.iter().cloned().collect())
    }

    pub(crate) fn note(&self, record: Record) {
        locked(&self.records, |ring| ring.push(record, RECORDS));
    }

    pub(crate) fn struck(&self, strike: Strike) {
        tracing::debug!(peer = %strike.peer, fault = strike.rule.name, kind = %strike.rule.what, "a fault hits");
        locked(&self.strikes, |ring| ring.push(strike, RECORDS));
    }

    pub(crate) fn spares(&self, peer: SocketAddr, why: String) {
        tracing::warn!(%peer, why, "a fault cannot be carried out");
        locked(&self.spared, |ring| ring.push((peer, why), LINES));
    }

    pub(crate) fn left(&self, peer: SocketAddr, why: Departure) {
        tracing::debug!(%peer, ?why, "a connection ended before its time");
        locked(&self.departures, |ring| ring.push((peer, why), LINES));
    }

    /// A handshake with this manager came to nothing.
    pub(crate) fn handshake_failed(&self, peer: SocketAddr, desk: usize, at: Timestamp, why: String) {
        locked(&self.handshakes, |ring| ring.push((at, desk), RECORDS));
        self.left(peer, Departure::Handshake(why));
    }

    /// A message whose secret does not fit: the product's two lines [C S9].
    pub(crate) fn bad_format(&self, peer: IpAddr) {
        tracing::warn!(%peer, "4 Bad format.");
        for line in ["4 Bad format.".to_owned(), format!("<{peer}>--FAILED")] {
            locked(&self.log, |ring| ring.push(line, LINES));
        }
    }
}

fn locked<T, R>(ring: &Mutex<Ring<T>>, with: impl FnOnce(&mut Ring<T>) -> R) -> R {
    with(&mut ring.lock().unwrap_or_else(PoisonError::into_inner))
}
