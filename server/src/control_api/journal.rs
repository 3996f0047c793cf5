//! What the managers remember of their visitors: found, counted, followed, taken away; and what nearly fitted.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::net::SocketAddr;

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::Json;
use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use epm_protocol::fault::{Moment, Route};
use epm_protocol::id::AgentId;
use epm_protocol::time::Timestamp;
use futures_util::stream::{self, Stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::control_api::extract::{Answer, LabState, Problem, Routes, doc};
use crate::control_api::extract::{Events, Format, OtherForm, Query, Written};
use crate::lab::Lab;
use crate::runtime::journal::{ConnectionClosed, Entry, Kind};
use crate::schema::BridgedSchema;

/// The most entries of one answer.
const PAGE: usize = 10_000;

/// What is looked for; what is left out does not matter.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default)]
struct JournalQuery {
    /// From this number on.
    since: u64,
    /// Of one sort.
    kind: Option<Kind>,
    /// A manager, by name.
    manager: Option<String>,
    /// A client, by its identifier.
    #[schemars(with = "Option<String>")]
    agent: Option<AgentId>,
    /// A client, by its computer's name.
    client: Option<String>,
    /// What was asked: hello, register, index, policy, list, package, upload, hold, refused, unknown-path ...
    action: Option<String>,
    /// The status of the answer.
    status: Option<u16>,
    /// From this moment on, in the lab's time.
    #[schemars(with = "Option<String>")]
    from: Option<Timestamp>,
    /// How many to show, the last ones; 1000 when absent, at most 10000.
    limit: Option<usize>,
    /// `json`, `ndjson` or `har`.
    format: Format,
    /// EntryCount, or look for near misses, even if entries that could fit were dropped.
    partial: bool,
}

/// Entries of the journal.
#[derive(Debug, Serialize, JsonSchema)]
struct Entries {
    /// How many of those that are remembered fit.
    total: usize,
    /// Whether none was dropped that could fit.
    complete: bool,
    /// How many entries of any sort are no longer remembered.
    forgotten: u64,
    /// The number that the next entry gets.
    next: u64,
    /// Those that fit, the last ones, the oldest first.
    entries: Vec<JournalEntry>,
}

/// What the journal answers.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
enum JournalAnswer {
    /// Entries.
    Entries(Entries),
    /// The exchanges as an HTTP archive.
    Har(Archive),
}

impl OtherForm for JournalAnswer {
    const MEDIA_TYPE: &'static str = "application/x-ndjson";
}

/// An HTTP archive.
#[derive(Debug, Serialize, JsonSchema)]
struct Archive {
    /// See the HAR 1.2 specification.
    log: Value,
}

/// An entry; what does not belong to its sort is absent.
#[derive(Debug, Serialize, JsonSchema)]
struct JournalEntry {
    /// Its number; entries of all sorts are numbered together, from 1.
    number: u64,
    /// When it was, in the lab's time.
    #[schemars(with = "String")]
    at: Timestamp,
    /// Its sort.
    kind: Kind,
    /// The manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    manager: Option<String>,
    /// The client's computer.
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(flatten)]
    more: More,
}

/// What belongs to some sorts alone.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct More {
    /// Where it came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    peer: Option<SocketAddr>,
    /// The client's identifier.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    agent: Option<AgentId>,
    /// Of an exchange: whether over TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    tls: Option<bool>,
    /// Of an exchange: what was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
    /// Of an exchange or a call: the status of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    /// Of a connection that closed early: silent, stalled, handshake or http.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    /// In words.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// Of an applied fault: its name.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    /// Of an applied fault: what it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    what: Option<String>,
    /// Of an applied fault: how many times the client had come, this time included.
    #[serde(skip_serializing_if = "Option::is_none")]
    ordinal: Option<u64>,
    /// Of an applied fault: the route that was asked; none of a connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BridgedSchema<Route>>")]
    route: Option<Route>,
    /// Of an applied fault: whether the connection was hit, or an exchange.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<BridgedSchema<Moment>>")]
    moment: Option<Moment>,
    /// Of a call: the method.
    #[serde(skip_serializing_if = "Option::is_none")]
    method: Option<String>,
    /// Of a call: the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    /// Of a call: whose token it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
}

/// How many entries fit.
#[derive(Debug, Serialize, JsonSchema)]
struct EntryCount {
    /// How many in all.
    total: usize,
    /// How many of each sort, action and status.
    by: BTreeMap<String, u64>,
    /// How many entries of any sort are no longer remembered.
    forgotten: u64,
}

/// Who nearly asked for something.
#[derive(Debug, Serialize, JsonSchema)]
struct NearMiss {
    /// What was wrong with it.
    why: &'static str,
    /// The entry.
    entry: JournalEntry,
}

pub(super) fn routes() -> Routes {
    ApiRouter::new()
        .api_route(
            "/v1/journal",
            get_with(find, doc("journal", "What the managers remember; also as NDJSON and HAR")),
        )
        .api_route(
            "/v1/journal/count",
            get_with(count, doc("countJournal", "How many entries fit, by kind, action and status")),
        )
        .api_route(
            "/v1/journal/near-misses",
            get_with(
                near_misses,
                doc("nearMisses", "Who nearly asked for something, and what was wrong with it"),
            ),
        )
        .api_route(
            "/v1/journal/tail",
            get_with(tail, doc("tailJournal", "The entries to come, as server-sent events; it does not end")),
        )
}

/// An entry, with the names that belong to its numbers.
struct NamedEntry<'a> {
    number: u64,
    entry: &'a Entry,
    manager: Option<String>,
    client: Option<String>,
}

impl NamedEntry<'_> {
    fn of<'a>(lab: &Lab, number: u64, entry: &'a Entry) -> NamedEntry<'a> {
        let (manager, agent) = match entry {
            Entry::Exchange(record) => (Some(record.manager), record.agent),
            Entry::FaultApplied(applied) => (Some(applied.manager), applied.agent),
            Entry::Call(call) => (Some(call.manager), None),
            Entry::ConnectionClosed { .. } | Entry::FaultSkipped { .. } | Entry::OperatorAction { .. } => {
                (None, None)
            }
        };
        let manager = manager.and_then(|manager| lab.site.manager_name(manager));
        let client = agent
            .and_then(|agent| lab.site.client_status(agent))
            .map(|client_status| client_status.client.computer_name);
        NamedEntry { number, entry, manager, client }
    }

    fn fits(&self, query: &JournalQuery) -> bool {
        let (action, status, agent) = match self.entry {
            Entry::Exchange(record) => (Some(record.action), Some(record.status), record.agent),
            Entry::FaultApplied(applied) => (None, None, applied.agent),
            Entry::Call(call) => (None, Some(call.status), None),
            Entry::ConnectionClosed { .. } | Entry::FaultSkipped { .. } | Entry::OperatorAction { .. } => {
                (None, None, None)
            }
        };
        query.kind.is_none_or(|kind| kind == self.entry.kind())
            && (query.manager.is_none() || query.manager == self.manager)
            && (query.client.is_none() || query.client == self.client)
            && (query.agent.is_none() || query.agent == agent)
            && query.action.as_deref().is_none_or(|wanted| Some(wanted) == action)
            && (query.status.is_none() || query.status == status)
            && query.from.is_none_or(|from| self.entry.at() >= from)
    }

    fn row(self) -> JournalEntry {
        let NamedEntry { number, entry, manager, client } = self;
        let more = match entry {
            Entry::Exchange(record) => More {
                peer: Some(record.peer),
                agent: record.agent,
                tls: Some(record.tls),
                action: Some(record.action),
                status: Some(record.status),
                ..More::default()
            },
            Entry::ConnectionClosed { peer, why, .. } => {
                let (reason, words) = match why {
                    ConnectionClosed::Silent => ("silent", None),
                    ConnectionClosed::Stalled => ("stalled", None),
                    ConnectionClosed::Handshake(words) => ("handshake", Some(words.clone())),
                    ConnectionClosed::Http(words) => ("http", Some(words.clone())),
                };
                More { peer: Some(*peer), reason: Some(reason), text: words, ..More::default() }
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
                user: call.who.clone(),
                ..More::default()
            },
            Entry::OperatorAction { what, .. } => More { text: Some(what.clone()), ..More::default() },
        };
        JournalEntry { number, at: entry.at(), kind: entry.kind(), manager, client, more }
    }
}

impl JournalQuery {
    /// Whether an entry of this sort can fit.
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
            && ((self.agent.is_none() && self.client.is_none()) || has_agent)
            && (self.manager.is_none() || has_agent || kind == Kind::Call)
    }

    /// Refuses what cannot be answered: an entry that could fit was dropped.
    fn refuse_gaps(&self, lab: &Lab, kinds: &[Kind]) -> Result<(), Problem> {
        if self.partial {
            return Ok(());
        }
        let journal = lab.site.journal();
        for kind in kinds.iter().filter(|kind| self.wants(**kind)) {
            if let Some(dropped) = journal.lacks(*kind, self.since) {
                return Err(Problem::dropped(format!(
                    "{dropped} entries of the kind {kind} are no longer remembered, and some of them could fit; ask since a later entry, or with partial=true for what is left"
                )));
            }
        }
        Ok(())
    }
}

/// All that fit, the oldest first.
fn found(lab: &Lab, query: &JournalQuery) -> Vec<JournalEntry> {
    let entries = lab.site.journal().since(query.since);
    let named = entries.iter().map(|(number, entry)| NamedEntry::of(lab, *number, entry));
    named.filter(|one| one.fits(query)).map(NamedEntry::row).collect()
}

async fn find(
    State(lab): LabState,
    Query(query): Query<JournalQuery>,
) -> Result<Written<JournalAnswer>, Problem> {
    let mut entries = found(&lab, &query);
    let total = entries.len();
    let limit = query.limit.unwrap_or(1000).min(PAGE);
    let entries = entries.split_off(total.saturating_sub(limit));
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
        Format::Har => Ok(Written::Json(JournalAnswer::Har(har(&entries)))),
        Format::Junit => Err(query.format.refused()),
    }
}

fn line(row: &JournalEntry) -> String {
    serde_json::to_string(row).unwrap_or_default()
}

/// The exchanges as an HTTP archive, as far as the journal knows them.
fn har(rows: &[JournalEntry]) -> Archive {
    let entries = rows.iter().filter(|row| row.kind == Kind::Exchange).map(|row| {
        let scheme = if row.more.tls == Some(true) { "https" } else { "http" };
        let manager = row.manager.as_deref().unwrap_or("manager");
        let action = row.more.action.unwrap_or_default();
        json!({
            "startedDateTime": row.at,
            "time": 0,
            "request": {
                "method": if action == "upload" { "POST" } else { "GET" },
                "url": format!("{scheme}://{manager}/secars/secars.dll?action={action}"),
                "httpVersion": "HTTP/1.1", "cookies": [], "headers": [], "queryString": [],
                "headersSize": -1, "bodySize": -1,
            },
            "response": {
                "status": row.more.status, "statusText": "", "httpVersion": "HTTP/1.1", "cookies": [], "headers": [],
                "content": { "size": -1, "mimeType": "" }, "redirectURL": "", "headersSize": -1, "bodySize": -1,
            },
            "cache": {},
            "timings": { "send": 0, "wait": 0, "receive": 0 },
            "serverIPAddress": "",
            "connection": row.more.peer,
            "comment": row.client,
        })
    });
    let log = json!({
        "version": "1.2",
        "creator": { "name": "epm-lab", "version": env!("CARGO_PKG_VERSION") },
        "entries": entries.collect::<Vec<_>>(),
    });
    Archive { log }
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
    let misses = found(&lab, &query).into_iter().filter_map(|entry| {
        let why = match (entry.kind, entry.more.action, entry.more.reason) {
            (Kind::Exchange, Some("unknown-path"), _) => {
                "asked for a path that the product's clients do not ask for"
            }
            (Kind::Exchange, Some("refused"), _) => {
                "asked in the right place, and the message was not understood: its secret (KCS) or its form does not fit"
            }
            (Kind::Exchange, Some("too-long" | "too-large"), _) => "asked for more than the manager takes",
            (Kind::Exchange, Some("stalled" | "broken-off"), _) => "broke off in the middle of a request",
            (Kind::Exchange, Some(_), _) if entry.more.status.is_some_and(|status| status >= 400) => {
                "asked rightly, and was not served: not registered, of another domain, or for what does not exist"
            }
            (Kind::ConnectionClosed, _, Some("handshake")) => {
                "left in the TLS handshake: most often, the certificate is not believed"
            }
            (Kind::ConnectionClosed, _, Some("http")) => "spoke something that is not HTTP, or broke off",
            (Kind::ConnectionClosed, _, Some("silent" | "stalled")) => {
                "connected and said nothing, or stopped in the middle"
            }
            _ => return None,
        };
        Some(NearMiss { why, entry })
    });
    Ok(Json(misses.collect()))
}

/// Entries as server-sent events, from `since` on, for as long as somebody listens.
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
            waiting.extend(found(&lab, &query));
            if waiting.is_empty() && growth.changed().await.is_err() {
                return None;
            }
        }
    });
    Events(Sse::new(events).keep_alive(KeepAlive::default()))
}
