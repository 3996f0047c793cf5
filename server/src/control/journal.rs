//! What the managers remember of their visitors: found, counted, followed, taken away; and what nearly fitted.

use std::convert::Infallible;

use aide::axum::ApiRouter;
use aide::axum::routing::get_with;
use axum::extract::State;
use axum::http::header;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use epm_protocol::id::AgentId;
use epm_protocol::time::Timestamp;
use futures_util::stream::{self, Stream};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::ask::Asked;
use super::problem::Problem;
use super::{Answer, Routes, Seen, answer};
use crate::journal::{Departure, Entry, Record};
use crate::lab::Lab;

/// The most entries of one answer.
const PAGE: usize = 10_000;

/// What is looked for; what is left out does not matter.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
struct Query {
    /// From this number on.
    since: u64,
    /// `exchange`, `departure`, `strike`, `spared`, `call` (of the product's REST API) or `deed`.
    kind: Option<String>,
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
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Format {
    #[default]
    Json,
    Ndjson,
    Har,
}

pub(super) fn routes() -> Routes {
    ApiRouter::new()
        .api_route(
            "/v1/journal",
            get_with(find, |op| {
                op.id("journal").summary("What the managers remember; also as NDJSON and HAR")
            }),
        )
        .api_route(
            "/v1/journal/count",
            get_with(count, |op| {
                op.id("countJournal").summary("How many entries fit, by kind, action and status")
            }),
        )
        .api_route(
            "/v1/journal/near-misses",
            get_with(near_misses, |op| {
                op.id("nearMisses").summary("Who nearly asked for something, and what was wrong with it")
            }),
        )
        .route("/v1/journal/tail", get(tail))
}

/// An entry, with the names that belong to its numbers.
struct Named<'a> {
    number: u64,
    entry: &'a Entry,
    manager: Option<String>,
    client: Option<String>,
}

impl Named<'_> {
    fn of<'a>(lab: &Lab, number: u64, entry: &'a Entry) -> Named<'a> {
        let (desk, agent) = match entry {
            Entry::Exchange(record) => (Some(record.desk), record.agent),
            Entry::Strike(strike) => (Some(strike.desk), strike.agent),
            Entry::Call(call) => (Some(call.desk), None),
            Entry::Departure { .. } | Entry::Spared { .. } | Entry::Deed { .. } => (None, None),
        };
        let manager = desk.and_then(|desk| lab.site.manager_name(desk));
        let client = agent.and_then(|agent| lab.site.seat(agent)).map(|seat| seat.client.computer_name);
        Named { number, entry, manager, client }
    }

    const fn at(&self) -> Timestamp {
        match self.entry {
            Entry::Exchange(Record { at, .. })
            | Entry::Departure { at, .. }
            | Entry::Spared { at, .. }
            | Entry::Deed { at, .. } => *at,
            Entry::Strike(strike) => strike.at,
            Entry::Call(call) => call.at,
        }
    }

    const fn kind(&self) -> &'static str {
        match self.entry {
            Entry::Exchange(_) => "exchange",
            Entry::Departure { .. } => "departure",
            Entry::Strike(_) => "strike",
            Entry::Spared { .. } => "spared",
            Entry::Call(_) => "call",
            Entry::Deed { .. } => "deed",
        }
    }

    fn fits(&self, query: &Query) -> bool {
        let (action, status, agent) = match self.entry {
            Entry::Exchange(record) => (Some(record.action), Some(record.status), record.agent),
            Entry::Strike(strike) => (None, None, strike.agent),
            Entry::Call(call) => (None, Some(call.status), None),
            Entry::Departure { .. } | Entry::Spared { .. } | Entry::Deed { .. } => (None, None, None),
        };
        query.kind.as_deref().is_none_or(|kind| kind == self.kind())
            && (query.manager.is_none() || query.manager == self.manager)
            && (query.client.is_none() || query.client == self.client)
            && (query.agent.is_none() || query.agent == agent)
            && query.action.as_deref().is_none_or(|wanted| Some(wanted) == action)
            && (query.status.is_none() || query.status == status)
            && query.from.is_none_or(|from| self.at() >= from)
    }

    fn shown(&self) -> Value {
        let mut shown = json!({ "number": self.number, "at": self.at().to_string(), "kind": self.kind() });
        let more = match self.entry {
            Entry::Exchange(record) => json!({
                "peer": record.peer, "tls": record.tls, "action": record.action, "agent": record.agent,
                "status": record.status,
            }),
            Entry::Departure { peer, why, .. } => {
                let (reason, words) = match why {
                    Departure::Silent => ("silent", None),
                    Departure::Stalled => ("stalled", None),
                    Departure::Handshake(words) => ("handshake", Some(words)),
                    Departure::Http(words) => ("http", Some(words)),
                };
                json!({ "peer": peer, "reason": reason, "words": words })
            }
            Entry::Strike(strike) => json!({
                "peer": strike.peer, "agent": strike.agent, "fault": strike.rule.name,
                "what": strike.rule.what.to_string(), "ordinal": strike.ordinal,
                "route": strike.route, "moment": strike.moment,
            }),
            Entry::Spared { peer, why, .. } => json!({ "peer": peer, "words": why }),
            Entry::Call(call) => json!({
                "peer": call.peer, "method": call.method, "path": call.path, "status": call.status, "who": call.who,
            }),
            Entry::Deed { what, .. } => json!({ "words": what }),
        };
        if let (Some(shown), Some(more)) = (shown.as_object_mut(), more.as_object()) {
            shown.extend(more.clone());
            if let Some(manager) = &self.manager {
                shown.insert("manager".to_owned(), json!(manager));
            }
            if let Some(client) = &self.client {
                shown.insert("client".to_owned(), json!(client));
            }
        }
        shown
    }
}

/// All that fit, the oldest first.
fn found(lab: &Lab, query: &Query) -> Vec<Value> {
    let entries = lab.site.journal().since(query.since);
    let named = entries.iter().map(|(number, entry)| Named::of(lab, *number, entry));
    named.filter(|one| one.fits(query)).map(|one| one.shown()).collect()
}

async fn find(State(lab): Seen, Asked(query): Asked<Query>) -> Result<Response, Problem> {
    let mut rows = found(&lab, &query);
    let total = rows.len();
    let limit = query.limit.unwrap_or(1000).min(PAGE);
    let rows = rows.split_off(total.saturating_sub(limit));
    let journal = lab.site.journal();
    match query.format {
        Format::Json => Ok(answer(&json!({
            "total": total,
            "forgotten": journal.forgotten(),
            "next": journal.next_number(),
            "entries": rows,
        }))?
        .into_response()),
        Format::Ndjson => {
            let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
            Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], text).into_response())
        }
        Format::Har => Ok(answer(&har(&rows))?.into_response()),
    }
}

/// The exchanges as an HTTP archive, as far as the journal knows them.
fn har(rows: &[Value]) -> Value {
    let entries = rows.iter().filter(|row| row["kind"] == "exchange").map(|row| {
        let scheme = if row["tls"] == true { "https" } else { "http" };
        let manager = row["manager"].as_str().unwrap_or("manager");
        let action = row["action"].as_str().unwrap_or_default();
        json!({
            "startedDateTime": row["at"],
            "time": 0,
            "request": {
                "method": if action == "upload" { "POST" } else { "GET" },
                "url": format!("{scheme}://{manager}/secars/secars.dll?action={action}"),
                "httpVersion": "HTTP/1.1", "cookies": [], "headers": [], "queryString": [],
                "headersSize": -1, "bodySize": -1,
            },
            "response": {
                "status": row["status"], "statusText": "", "httpVersion": "HTTP/1.1", "cookies": [], "headers": [],
                "content": { "size": -1, "mimeType": "" }, "redirectURL": "", "headersSize": -1, "bodySize": -1,
            },
            "cache": {},
            "timings": { "send": 0, "wait": 0, "receive": 0 },
            "serverIPAddress": "",
            "connection": row["peer"],
            "comment": row["client"],
        })
    });
    json!({ "log": {
        "version": "1.2",
        "creator": { "name": "epm-lab", "version": env!("CARGO_PKG_VERSION") },
        "entries": entries.collect::<Vec<_>>(),
    }})
}

async fn count(State(lab): Seen, Asked(query): Asked<Query>) -> Answer {
    let rows = found(&lab, &query);
    let mut by = std::collections::BTreeMap::<String, u64>::new();
    for row in &rows {
        let words = [&row["kind"], &row["action"], &row["reason"]].into_iter().filter_map(Value::as_str);
        let mut name = words.collect::<Vec<_>>().join(" ");
        if let Some(status) = row["status"].as_u64() {
            name.push_str(&format!(" {status}"));
        }
        *by.entry(name).or_default() += 1;
    }
    answer(&json!({ "total": rows.len(), "by": by, "forgotten": lab.site.journal().forgotten() }))
}

async fn near_misses(State(lab): Seen, Asked(query): Asked<Query>) -> Answer {
    let rows = found(&lab, &query).into_iter().filter_map(|row| {
        let why = match (row["kind"].as_str()?, row["action"].as_str(), row["reason"].as_str()) {
            ("exchange", Some("unknown-path"), _) => "asked for a path that the product's clients do not ask for",
            ("exchange", Some("refused"), _) => {
                "asked in the right place, and the message was not understood: its secret (KCS) or its form does not fit"
            }
            ("exchange", Some("too-long" | "too-large"), _) => "asked for more than the manager takes",
            ("exchange", Some("stalled" | "broken-off"), _) => "broke off in the middle of a request",
            ("exchange", Some(_), _) if row["status"].as_u64().is_some_and(|status| status >= 400) => {
                "asked rightly, and was not served: not registered, of another domain, or for what does not exist"
            }
            ("departure", _, Some("handshake")) => "left in the TLS handshake: most often, the certificate is not believed",
            ("departure", _, Some("http")) => "spoke something that is not HTTP, or broke off",
            ("departure", _, Some("silent" | "stalled")) => "connected and said nothing, or stopped in the middle",
            _ => return None,
        };
        Some(json!({ "why": why, "entry": row }))
    });
    answer(&rows.collect::<Vec<_>>())
}

/// Entries as server-sent events, from `since` on, for as long as somebody listens.
async fn tail(
    State(lab): Seen,
    Asked(query): Asked<Query>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let growth = lab.site.journal().growth();
    let next = if query.since == 0 { lab.site.journal().next_number() } else { query.since };
    let start = (lab, growth, query, next, std::collections::VecDeque::new());
    let events = stream::unfold(start, |(lab, mut growth, mut query, mut next, mut waiting)| async move {
        loop {
            if let Some(row) = waiting.pop_front() {
                let row: Value = row;
                let event = Event::default().id(row["number"].to_string()).data(row.to_string());
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
    Sse::new(events).keep_alive(KeepAlive::default())
}
