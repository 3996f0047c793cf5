//! Entries of the journal, as a store keeps them.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Version};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use epm_protocol::fault::{FaultRule, Moment, Route};
use epm_protocol::id::AgentId;
use epm_protocol::time::Timestamp;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::runtime::journal::{Call, ConnectionClosed, Entry, FaultApplied, Record};
use crate::runtime::transfer::{KeptBody, KeptResponse, Transfer};

/// Most names of actions, and the longest.
const ACTIONS: (usize, usize) = (100, 64);
const VERSIONS: [(Version, u8); 4] =
    [(Version::HTTP_09, 9), (Version::HTTP_10, 10), (Version::HTTP_11, 11), (Version::HTTP_2, 20)];

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum KeptEntry {
    Exchange(KeptExchange, KeptTransfer),
    Closed { at: Timestamp, peer: SocketAddr, how: How, words: String, faulted: bool },
    Applied(KeptFault),
    Skipped { at: Timestamp, peer: SocketAddr, why: String },
    Call(KeptCall, KeptTransfer),
    Action { at: Timestamp, what: String },
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeptExchange {
    at: Timestamp,
    manager: usize,
    peer: SocketAddr,
    tls: bool,
    action: String,
    agent: Option<AgentId>,
    status: u16,
    faulted: bool,
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum How {
    Silent,
    Stalled,
    Handshake,
    Http,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeptFault {
    at: Timestamp,
    manager: usize,
    peer: SocketAddr,
    moment: Moment,
    route: Option<Route>,
    agent: Option<AgentId>,
    ordinal: u64,
    rule: FaultRule,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeptCall {
    at: Timestamp,
    manager: usize,
    peer: Option<SocketAddr>,
    method: String,
    path: String,
    status: u16,
    who: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeptTransfer {
    began: Timestamp,
    took_ns: u64,
    method: String,
    uri: String,
    version: u8,
    headers: Vec<(String, String)>,
    body: Body,
    response: Option<(Vec<(String, String)>, Body)>,
}

/// Base64, the length of the whole, and whether it was cut.
#[derive(Debug, Serialize, Deserialize)]
struct Body(String, usize, bool);

impl KeptEntry {
    pub(crate) fn of(entry: &Entry) -> Self {
        match entry {
            Entry::Exchange(record, transfer) => {
                let Record { at, manager, peer, tls, action, agent, status, faulted } = *record;
                let action = action.to_owned();
                let exchange = KeptExchange { at, manager, peer, tls, action, agent, status, faulted };
                Self::Exchange(exchange, KeptTransfer::of(transfer))
            }
            Entry::ConnectionClosed { at, peer, why, faulted } => {
                let (how, words) = match why {
                    ConnectionClosed::Silent => (How::Silent, ""),
                    ConnectionClosed::Stalled => (How::Stalled, ""),
                    ConnectionClosed::Handshake(words) => (How::Handshake, words.as_str()),
                    ConnectionClosed::Http(words) => (How::Http, words.as_str()),
                };
                Self::Closed { at: *at, peer: *peer, how, words: words.to_owned(), faulted: *faulted }
            }
            Entry::FaultApplied(one) => {
                let FaultApplied { at, manager, peer, moment, route, agent, ordinal, rule } = one.clone();
                Self::Applied(KeptFault {
                    at,
                    manager,
                    peer,
                    moment,
                    route,
                    agent,
                    ordinal,
                    rule: (*rule).clone(),
                })
            }
            Entry::FaultSkipped { at, peer, why } => Self::Skipped { at: *at, peer: *peer, why: why.clone() },
            Entry::Call(call) => {
                let Call { at, manager, peer, method, path, status, who, transfer } = Call::clone(call);
                let call = KeptCall { at, manager, peer, method, path, status, who };
                Self::Call(call, KeptTransfer::of(&transfer))
            }
            Entry::OperatorAction { at, what } => Self::Action { at: *at, what: what.clone() },
        }
    }

    /// The entry; none if this version does not know something in it.
    pub(crate) fn entry(self) -> Option<Entry> {
        Some(match self {
            Self::Exchange(exchange, transfer) => {
                let KeptExchange { at, manager, peer, tls, action, agent, status, faulted } = exchange;
                let action = action_named(&action)?;
                let record = Record { at, manager, peer, tls, action, agent, status, faulted };
                Entry::Exchange(record, Arc::new(transfer.transfer()?))
            }
            Self::Closed { at, peer, how, words, faulted } => {
                let why = match how {
                    How::Silent => ConnectionClosed::Silent,
                    How::Stalled => ConnectionClosed::Stalled,
                    How::Handshake => ConnectionClosed::Handshake(words),
                    How::Http => ConnectionClosed::Http(words),
                };
                Entry::ConnectionClosed { at, peer, why, faulted }
            }
            Self::Applied(KeptFault { at, manager, peer, moment, route, agent, ordinal, rule }) => {
                let rule = Arc::new(rule);
                Entry::FaultApplied(FaultApplied { at, manager, peer, moment, route, agent, ordinal, rule })
            }
            Self::Skipped { at, peer, why } => Entry::FaultSkipped { at, peer, why },
            Self::Call(KeptCall { at, manager, peer, method, path, status, who }, transfer) => {
                let transfer = Arc::new(transfer.transfer()?);
                Entry::Call(Box::new(Call { at, manager, peer, method, path, status, who, transfer }))
            }
            Self::Action { at, what } => Entry::OperatorAction { at, what },
        })
    }
}

impl KeptEntry {
    /// Changes the kept bytes of bodies; `edit` returns none for what remains. Returns whether something has changed.
    pub(crate) fn edit_bodies(&mut self, edit: &dyn Fn(&[u8]) -> Option<Vec<u8>>) -> bool {
        let (Self::Exchange(_, transfer) | Self::Call(_, transfer)) = self else { return false };
        let response = transfer.response.as_mut().map(|(_, body)| body);
        let mut is_changed = false;
        for Body(bytes, ..) in std::iter::once(&mut transfer.body).chain(response) {
            if let Some(other) = STANDARD.decode(&*bytes).ok().and_then(|body| edit(&body)) {
                *bytes = STANDARD.encode(other);
                is_changed = true;
            }
        }
        is_changed
    }
}

impl KeptTransfer {
    fn of(transfer: &Transfer) -> Self {
        let version = VERSIONS.into_iter().find(|(version, _)| *version == transfer.version);
        Self {
            began: transfer.began,
            took_ns: u64::try_from(transfer.took.as_nanos()).unwrap_or(u64::MAX),
            method: transfer.method.to_string(),
            uri: transfer.uri.to_string(),
            version: version.map_or(11, |(_, number)| number),
            headers: headers_of(&transfer.request_headers),
            body: Body::of(&transfer.request_body),
            response: transfer.response.as_ref().map(|one| (headers_of(&one.headers), Body::of(&one.body))),
        }
    }

    fn transfer(self) -> Option<Transfer> {
        let version = VERSIONS.into_iter().find(|(_, number)| *number == self.version)?;
        let response = match self.response {
            Some((headers, body)) => {
                Some(KeptResponse { headers: headers_from(headers)?, body: body.body()? })
            }
            None => None,
        };
        Some(Transfer {
            began: self.began,
            took: Duration::from_nanos(self.took_ns),
            method: self.method.parse().ok()?,
            uri: self.uri.parse().ok()?,
            version: version.0,
            request_headers: headers_from(self.headers)?,
            request_body: self.body.body()?,
            response,
        })
    }
}

impl Body {
    fn of(body: &KeptBody) -> Self {
        Self(STANDARD.encode(&body.bytes), body.length, body.is_cut)
    }

    fn body(self) -> Option<KeptBody> {
        let Self(bytes, length, is_cut) = self;
        Some(KeptBody { bytes: STANDARD.decode(bytes).ok()?.into(), length, is_cut })
    }
}

/// The name of an action, of which each program has a few; one copy of each stays for good.
fn action_named(name: &str) -> Option<&'static str> {
    static KNOWN: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
    let mut known = KNOWN.lock();
    if let Some(found) = known.get(name) {
        return Some(found);
    }
    let (most, longest) = ACTIONS;
    (known.len() < most && name.len() <= longest).then(|| {
        let name: &'static str = Box::leak(name.into());
        known.insert(name);
        name
    })
}

/// Headers; a byte of a value is a character.
fn headers_of(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &HeaderValue| value.as_bytes().iter().map(|byte| char::from(*byte)).collect();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}

fn headers_from(headers: Vec<(String, String)>) -> Option<HeaderMap> {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        let bytes: Option<Vec<u8>> = value.chars().map(|one| u8::try_from(u32::from(one)).ok()).collect();
        map.append(HeaderName::try_from(name).ok()?, HeaderValue::from_bytes(&bytes?).ok()?);
    }
    Some(map)
}
