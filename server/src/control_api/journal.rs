//! The journal: listed, counted, followed and exported, and near misses.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::Json;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use epm_client_agent::report::EvidenceEvent;
use epm_protocol::id::AgentId;
use epm_protocol::plural::either;
use epm_protocol::time::Timestamp;
use futures_util::stream::{self, Stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::control_api::extract::{Answer, LabState, Problem, Routes, doc};
use crate::control_api::extract::{Events, Format, OtherForm, Query, Written};
use crate::control_api::har::{self, Traffic};
use crate::control_api::journal_entry::{JournalEntry, More, name_identifiers};
use crate::lab::Lab;
use crate::runtime::journal::{ConnectionClosed, Entry, Kind};
use crate::runtime::transfer::{KeptBody, Transfer};

/// Path of the endless response.
pub(super) const TAIL: &str = "/v1/journal/tail";
/// Maximum number of entries per response.
const PAGE: usize = 100_000;

/// Filters for journal entries; absent ones match everything.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct JournalQuery {
    /// Only entries from this number on.
    since: u64,
    /// Only entries up to this number.
    until: Option<u64>,
    /// Only entries of this kind.
    kind: Option<Kind>,
    /// Only entries of this manager.
    manager: Option<String>,
    /// Only entries about the client with this identifier.
    #[schemars(with = "Option<String>")]
    agent: Option<AgentId>,
    /// Only entries about the client with this computer name.
    client: Option<String>,
    /// Only exchanges with this action: hello, register, index, policy, list, package, upload, hold, refused,
    /// unknown-path ...
    action: Option<String>,
    /// Only responses with this status.
    status: Option<u16>,
    /// Only exchanges and calls whose request had this header `traceparent`, or one with this trace identifier (32 hexadecimal
    /// digits), as tools that trace their requests send it.
    traceparent: Option<String>,
    /// Only entries from this lab time on.
    #[schemars(with = "Option<String>")]
    from: Option<Timestamp>,
    /// Maximum number of entries to return, the latest ones; 1000 when absent, at most 100000.
    limit: Option<usize>,
    /// Format of the response: `json`, `ndjson` or `har`.
    format: Format,
    /// Return a result even if matching entries may have been dropped.
    partial: bool,
}

/// Entries of the journal.
#[derive(Debug, Serialize, JsonSchema)]
struct Entries {
    /// Number of kept entries that match.
    total: usize,
    /// Whether no matching entry can have been dropped.
    complete: bool,
    /// Number of dropped entries of all kinds.
    forgotten: u64,
    /// Number that the next entry will get.
    next: u64,
    /// Latest matching entries, oldest first.
    entries: Vec<JournalEntry>,
}

/// Response of the journal.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
enum JournalAnswer {
    /// Entries.
    Entries(Entries),
    /// Exchanges and calls as an HTTP archive.
    Har(Archive),
}

impl OtherForm for JournalAnswer {
    const MEDIA_TYPE: &'static str = "application/x-ndjson";
}

/// An HTTP archive.
#[derive(Debug, Serialize, JsonSchema)]
struct Archive {
    /// Log object as in the HAR 1.2 specification.
    log: Value,
}

/// Number of matching entries.
#[derive(Debug, Serialize, JsonSchema)]
struct EntryCount {
    /// Number of matching entries.
    total: usize,
    /// Number of matching entries per kind, action and status.
    by: BTreeMap<String, u64>,
    /// Number of dropped entries of all kinds.
    forgotten: u64,
}

/// An entry about a request that came close to a valid one.
#[derive(Debug, Serialize, JsonSchema)]
struct NearMiss {
    /// What was wrong with the request.
    why: &'static str,
    /// The entry of the request.
    entry: JournalEntry,
}

pub(super) fn routes() -> Routes {
    ApiRouter::new()
        .api_route(
            "/v1/journal",
            get_with(find, doc("journal", "List journal entries, as JSON, NDJSON or HAR")),
        )
        .api_route(
            "/v1/journal/count",
            get_with(count, doc("countJournal", "Count the matching entries by kind, action and status")),
        )
        .api_route(
            "/v1/journal/near-misses",
            get_with(
                near_misses,
                doc(
                    "nearMisses",
                    "List requests that came close to a known one, and what was wrong with each",
                ),
            ),
        )
        .api_route(
            TAIL,
            get_with(tail, doc("tailJournal", "Follow new entries as server-sent events, without end")),
        )
}

/// An entry with the names of its manager and client.
struct NamedEntry<'a> {
    number: u64,
    entry: &'a Entry,
    manager: Option<String>,
    client: Option<String>,
}

impl NamedEntry<'_> {
    fn of<'a>(lab: &Lab, number: u64, entry: &'a Entry) -> NamedEntry<'a> {
        let (manager, agent) = match entry {
            Entry::Exchange(record, _) => (Some(record.manager), record.agent),
            Entry::FaultApplied(applied) => (Some(applied.manager), applied.agent),
            Entry::Call(call) => (Some(call.manager), None),
            Entry::ConnectionClosed { .. } | Entry::FaultSkipped { .. } | Entry::OperatorAction { .. } => {
                (None, None)
            }
        };
        let manager = manager.and_then(|manager| lab.site.manager_name(manager));
        // A client has its address before it is registered, and when its record has changed hands.
        let at_address = entry.peer().and_then(|peer| lab.site.faults().client_at(peer));
        let registered = || Some(lab.site.client_status(agent?)?.client.computer_name);
        let client = at_address.or_else(registered);
        NamedEntry { number, entry, manager, client }
    }

    fn fits(&self, query: &JournalQuery) -> bool {
        let (action, status, agent) = match self.entry {
            Entry::Exchange(record, _) => (Some(record.action), Some(record.status), record.agent),
            Entry::FaultApplied(applied) => (None, None, applied.agent),
            Entry::Call(call) => (None, Some(call.status), None),
            Entry::ConnectionClosed { .. } | Entry::FaultSkipped { .. } | Entry::OperatorAction { .. } => {
                (None, None, None)
            }
        };
        query.until.is_none_or(|last| self.number <= last)
            && query.kind.is_none_or(|kind| kind == self.entry.kind())
            && (query.manager.is_none() || query.manager == self.manager)
            && (query.client.is_none() || query.client == self.client)
            && (query.agent.is_none() || query.agent == agent)
            && query.action.as_deref().is_none_or(|wanted| Some(wanted) == action)
            && (query.status.is_none() || query.status == status)
            && query
                .traceparent
                .as_deref()
                .is_none_or(|wanted| self.entry.transfer().is_some_and(|one| is_of(one, wanted)))
            && query.from.is_none_or(|from| self.entry.at() >= from)
    }

    const fn is_traffic(&self) -> bool {
        matches!(self.entry, Entry::Exchange(..) | Entry::Call(_))
    }

    /// The request and the response of an exchange or a call.
    fn traffic(&self) -> Option<Traffic<'_>> {
        let Self { number, entry, manager, client } = self;
        let manager = manager.as_deref().unwrap_or("manager");
        let of = |who: Option<&str>| {
            who.map_or_else(|| format!("entry {number}"), |who| format!("entry {number}, {who}"))
        };
        Some(match entry {
            Entry::Exchange(record, transfer) => Traffic {
                transfer,
                tls: record.tls,
                manager,
                peer: Some(record.peer.to_string()),
                status: record.status,
                comment: format!("{}, {}", of(client.as_deref()), record.action),
            },
            Entry::Call(call) => Traffic {
                transfer: &call.transfer,
                tls: true,
                manager,
                peer: call.peer.map(|peer| peer.to_string()),
                status: call.status,
                comment: of(call.who.as_deref()),
            },
            _ => return None,
        })
    }

    fn row(self) -> JournalEntry {
        let NamedEntry { number, entry, manager, client } = self;
        let more = match entry {
            Entry::Exchange(record, transfer) => More {
                peer: Some(record.peer),
                faulted: record.faulted.then_some(true),
                duration_ms: Some(transfer.took_ms()),
                agent: record.agent,
                tls: Some(record.tls),
                action: Some(record.action),
                status: Some(record.status),
                traceparent: transfer.traceparent().map(str::to_owned),
                ..More::default()
            },
            Entry::ConnectionClosed { peer, why, faulted, .. } => {
                let faulted = faulted.then_some(true);
                let (reason, words) = match why {
                    ConnectionClosed::Silent => ("silent", None),
                    ConnectionClosed::Stalled => ("stalled", None),
                    ConnectionClosed::Handshake(words) => ("handshake", Some(words.clone())),
                    ConnectionClosed::Http(words) => ("http", Some(words.clone())),
                };
                More { peer: Some(*peer), reason: Some(reason), text: words, faulted, ..More::default() }
            }
            Entry::FaultApplied(applied) => More {
                peer: Some(applied.peer),
                agent: applied.agent,
                fault: Some(applied.rule.name.clone()),
                what: Some(applied.rule.what.to_string()),
                ordinal: Some(applied.ordinal),
                route: applied.route,
                moment: Some(applied.moment),
                ..More::default()
            },
            Entry::FaultSkipped { peer, why, .. } => {
                More { peer: Some(*peer), text: Some(why.clone()), ..More::default() }
            }
            Entry::Call(call) => More {
                peer: call.peer,
                status: Some(call.status),
                method: Some(call.method.clone()),
                path: Some(call.path.clone()),
                query: call.transfer.uri.query().map(str::to_owned),
                body: Some(&call.transfer.request_body).filter(|body| body.length > 0).map(shown),
                duration_ms: Some(call.transfer.took_ms()),
                user: call.who.clone(),
                traceparent: call.transfer.traceparent().map(str::to_owned),
                ..More::default()
            },
            Entry::OperatorAction { what, .. } => More { text: Some(what.clone()), ..More::default() },
        };
        JournalEntry { number, at: entry.at(), kind: entry.kind(), manager, client, more }
    }
}

impl JournalQuery {
    /// Whether an entry of this kind can match.
    fn wants(&self, kind: Kind) -> bool {
        let (has_action, has_status, has_agent) = match kind {
            Kind::Exchange => (true, true, true),
            Kind::Call => (false, true, false),
            Kind::FaultApplied => (false, false, true),
            Kind::ConnectionClosed | Kind::FaultSkipped | Kind::OperatorAction => (false, false, false),
        };
        self.kind.is_none_or(|wanted| wanted == kind)
            && (self.action.is_none() || has_action)
            && (self.status.is_none() || has_status)
            && (self.agent.is_none() || has_agent)
            && (self.client.is_none() || !matches!(kind, Kind::Call | Kind::OperatorAction))
            && (self.manager.is_none() || has_agent || kind == Kind::Call)
            && (self.traceparent.is_none() || has_status)
    }

    /// Fails if a matching entry may have been dropped.
    fn refuse_gaps(&self, lab: &Lab, kinds: &[Kind]) -> Result<(), Problem> {
        if self.partial {
            return Ok(());
        }
        let journal = lab.site.journal();
        for kind in kinds.iter().filter(|kind| self.wants(**kind)) {
            if let Some(dropped) = journal.lacks(*kind, self.since) {
                return Err(Problem::dropped(format!(
                    "{} dropped, and could match: filter by a later `since`, or set `partial=true` to search the rest",
                    either(
                        dropped,
                        &format!("entry of the kind {kind} was"),
                        &format!("entries of the kind {kind} were")
                    )
                )));
            }
        }
        Ok(())
    }
}

/// Whether a request belongs to this trace: named by the whole header, or by the identifier in it.
fn is_of(transfer: &Transfer, trace: &str) -> bool {
    transfer.traceparent().is_some_and(|header| header == trace || header.split('-').nth(1) == Some(trace))
}

/// All matching entries, oldest first.
fn found(lab: &Lab, query: &JournalQuery) -> Vec<JournalEntry> {
    let entries = lab.site.journal().since(query.since);
    let named = entries.iter().map(|(number, entry)| NamedEntry::of(lab, *number, entry));
    named.filter(|one| one.fits(query)).map(NamedEntry::row).collect()
}

/// The same, with names for the identifiers in calls.
fn named(lab: &Lab, query: &JournalQuery) -> Vec<JournalEntry> {
    let mut entries = found(lab, query);
    name_identifiers(lab, &mut entries);
    entries
}

async fn find(
    State(lab): LabState,
    Query(query): Query<JournalQuery>,
) -> Result<Written<JournalAnswer>, Problem> {
    let mut entries = found(&lab, &query);
    let total = entries.len();
    let limit = query.limit.unwrap_or(1000).min(PAGE);
    let mut entries = entries.split_off(total.saturating_sub(limit));
    name_identifiers(&lab, &mut entries);
    let journal = lab.site.journal();
    match query.format {
        Format::Json => Ok(Written::Json(JournalAnswer::Entries(Entries {
            total,
            complete: query.refuse_gaps(&lab, &Kind::ALL).is_ok(),
            forgotten: journal.forgotten(),
            next: journal.next_number(),
            entries,
        }))),
        Format::Ndjson => Ok(Written::Other(entries.iter().map(|row| line(row) + "\n").collect())),
        Format::Har => Ok(Written::Json(JournalAnswer::Har(har(&lab, &query, limit)))),
        Format::Junit => Err(query.format.refused()),
    }
}

/// A kept body as text.
fn shown(body: &KeptBody) -> String {
    body.text().map_or_else(|| format!("{} bytes that are not text", body.length), str::to_owned)
}

fn line(row: &JournalEntry) -> String {
    serde_json::to_string(row).unwrap_or_default()
}

/// The matching exchanges and calls as an HTTP archive, at most so many, the latest ones.
fn har(lab: &Lab, query: &JournalQuery, limit: usize) -> Archive {
    let entries = lab.site.journal().since(query.since);
    let named = entries.iter().map(|(number, entry)| NamedEntry::of(lab, *number, entry));
    let fits: Vec<NamedEntry<'_>> = named.filter(|one| one.is_traffic() && one.fits(query)).collect();
    let latest = fits.iter().skip(fits.len().saturating_sub(limit));
    Archive { log: har::log(latest.filter_map(NamedEntry::traffic)) }
}

/// All kept entries, one on each line.
pub(super) fn all_lines(lab: &Lab) -> String {
    named(lab, &JournalQuery::default()).iter().map(|row| line(row) + "\n").collect()
}

/// All kept exchanges and calls as an HTTP archive.
pub(super) fn all_as_har(lab: &Lab) -> String {
    serde_json::to_string_pretty(&har(lab, &JournalQuery::default(), PAGE)).unwrap_or_default()
}

/// What happened beside exchanges that went well, oldest first.
pub(super) fn events(lab: &Lab) -> Vec<EvidenceEvent> {
    let rows = named(lab, &JournalQuery::default()).into_iter();
    let is_fault = |row: &JournalEntry| row.more.faulted == Some(true);
    let is_refused = |row: &JournalEntry| row.more.status.is_some_and(|status| status >= 400);
    let worth = rows.filter(|row| row.kind != Kind::Exchange || is_refused(row) || is_fault(row));
    let event = |row: JournalEntry| {
        let is_bad = is_refused(&row) || row.more.reason.is_some() || row.kind == Kind::FaultApplied;
        let names = row.named();
        let JournalEntry { at, kind, manager, client, more, .. } = row;
        let status = more.status.map(|status| format!("answered with {status}"));
        let route = more.route.and_then(|route| serde_json::to_value(route).ok());
        let route = route.and_then(|route| route.as_str().map(|route| format!("on the route {route}")));
        let words = [
            more.method,
            more.path,
            names,
            more.action.map(str::to_owned),
            more.fault.map(|fault| format!("fault {fault}:")),
            more.what,
            route,
            more.reason.map(str::to_owned),
            more.text,
            status,
        ];
        let peer = more.peer.map(|peer| peer.to_string());
        let operator = (kind == Kind::OperatorAction).then(|| "operator".to_owned());
        let who =
            [client.or(more.user).or(peer).or(operator), manager.map(|manager| format!("at {manager}"))];
        EvidenceEvent {
            at,
            kind: kind.to_string(),
            who: who.into_iter().flatten().collect::<Vec<_>>().join(" "),
            what: words.into_iter().flatten().collect::<Vec<_>>().join(" "),
            times: (1, at),
            is_bad,
        }
    };
    worth.map(event).collect()
}

async fn count(State(lab): LabState, Query(query): Query<JournalQuery>) -> Answer<EntryCount> {
    query.refuse_gaps(&lab, &Kind::ALL)?;
    let rows = found(&lab, &query);
    let mut by = BTreeMap::<String, u64>::new();
    for row in &rows {
        let mut name = row.kind.to_string();
        let words = [row.more.action, row.more.reason].into_iter().flatten().map(str::to_owned);
        for word in words.chain(row.more.status.map(|status| status.to_string())) {
            name.push(' ');
            name.push_str(&word);
        }
        *by.entry(name).or_default() += 1;
    }
    Ok(Json(EntryCount { total: rows.len(), by, forgotten: lab.site.journal().forgotten() }))
}

async fn near_misses(State(lab): LabState, Query(query): Query<JournalQuery>) -> Answer<Vec<NearMiss>> {
    query.refuse_gaps(&lab, &[Kind::Exchange, Kind::ConnectionClosed])?;
    // What a fault of the lab refused has missed nothing.
    let missed = |entry: &JournalEntry| entry.more.faulted != Some(true);
    let misses = found(&lab, &query).into_iter().filter(missed).filter_map(|entry| {
        let why = match (entry.kind, entry.more.action, entry.more.reason) {
            (Kind::Exchange, Some("unknown-path"), _) => {
                "requested a path that the product's clients do not use"
            }
            (Kind::Exchange, Some("refused"), _) => {
                "used the right path, but the message cannot be decoded: its secret (KCS) or its format is wrong"
            }
            (Kind::Exchange, Some("too-long" | "too-large"), _) => "sent more than the manager accepts",
            (Kind::Exchange, Some("stalled" | "broken-off"), _) => "disconnected within a request",
            (Kind::Exchange, Some(_), _) if entry.more.status.is_some_and(|status| status >= 400) => {
                "sent a valid request but was not served: not registered, of another domain, or for something that does not exist"
            }
            (Kind::ConnectionClosed, _, Some("handshake")) => {
                "aborted the TLS handshake, most often because it does not trust the certificate"
            }
            (Kind::ConnectionClosed, _, Some("http")) => "did not speak HTTP, or disconnected",
            (Kind::ConnectionClosed, _, Some("silent" | "stalled")) => {
                "connected and sent nothing, or stalled within a request"
            }
            _ => return None,
        };
        Some(NearMiss { why, entry })
    });
    Ok(Json(misses.collect()))
}

/// Entries from `since` on as server-sent events, until the listener disconnects.
async fn tail(
    State(lab): LabState,
    Query(query): Query<JournalQuery>,
) -> Events<impl Stream<Item = Result<Event, Infallible>>> {
    let growth = lab.site.journal().growth();
    let next = if query.since == 0 { lab.site.journal().next_number() } else { query.since };
    let start = (lab, growth, query, next, VecDeque::<JournalEntry>::new());
    let events = stream::unfold(start, |(lab, mut growth, mut query, mut next, mut waiting)| async move {
        loop {
            if let Some(row) = waiting.pop_front() {
                let event = Event::default().id(row.number.to_string()).data(line(&row));
                return Some((Ok(event), (lab, growth, query, next, waiting)));
            }
            growth.mark_unchanged();
            query.since = next;
            next = lab.site.journal().next_number();
            waiting.extend(named(&lab, &query));
            if waiting.is_empty() && growth.changed().await.is_err() {
                return None;
            }
        }
    });
    Events(Sse::new(events).keep_alive(KeepAlive::default()))
}
