//! What is asked for: a view, its query, and the answers of the control API that it needs.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::json::Fields;
use super::words::segment;

/// A view of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum View {
    /// The verdict, the fleet and the site.
    Home,
    /// Clients that would be orphaned by a next step.
    Ahead,
    /// The clients of the fleet.
    Clients,
    /// A client.
    Client(String),
    /// What the operator and the managers did, from the journal.
    Timeline,
    /// An entry of the journal.
    Entry(u64),
    /// The faults that are set, and a form for a kind.
    Faults,
    /// Lab time, and how fast it passes.
    Clock,
    /// The snapshots, and what has changed since one.
    Snapshots,
    /// The failure catalogue.
    Failures,
    /// A failure of the catalogue.
    Failure(String),
    /// The calls of an API.
    Reference(Api),
    /// What was done to the lab, as a scenario.
    Recorded,
    /// Two runs compared.
    Compare,
}

/// An API of the lab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Api {
    /// The control API of the lab.
    Control,
    /// The REST API of the managers.
    Rest,
}

impl Api {
    pub(super) const ALL: [Self; 2] = [Self::Control, Self::Rest];

    pub(super) const fn title(self) -> &'static str {
        match self {
            Self::Control => "Control API of the lab",
            Self::Rest => "REST API of the managers",
        }
    }

    /// The path of its reference.
    pub(super) const fn path(self) -> &'static str {
        match self {
            Self::Control => "/reference/control",
            Self::Rest => "/reference/rest",
        }
    }

    /// The path of its OpenAPI document, at the API itself.
    pub(crate) const fn document(self) -> &'static str {
        match self {
            Self::Control => "/v1/openapi.json",
            Self::Rest => "/sepm/api/v1/openapi.json",
        }
    }
}

/// Filters of the clients, as the control API has them.
pub(super) const CLIENT_FILTERS: [&str; 14] = [
    "name",
    "reason",
    "part",
    "state",
    "standing",
    "machine",
    "version",
    "group",
    "location",
    "list",
    "server",
    "certificate",
    "serial",
    "unserved",
];
/// Filters of the journal, as the control API has them.
pub(super) const TIMELINE_FILTERS: [&str; 6] = ["kind", "client", "manager", "action", "status", "from"];

/// The query of an address: names and values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Query(BTreeMap<String, String>);

/// A view with its query.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) view: View,
    pub(crate) query: Query,
}

/// An answer that a view needs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Want {
    /// The summary of the fleet: verdict, counts and samples.
    Summary,
    /// Why a client is not well, and what is to be noted of it.
    Why(String),
    /// What `GET` of this path of the control API answers.
    Get(String),
    /// The OpenAPI document of an API.
    Document(Api),
    /// What `POST` of this body to this path answers; only for what changes nothing.
    Post(&'static str, Value),
}

/// Answers for a view, by the name under which it wanted each.
#[derive(Debug, Default)]
pub(crate) struct Answers(pub(crate) Vec<(&'static str, Value)>);

impl Answers {
    /// The answer of this name; null if there is none.
    pub(super) fn of(&self, name: &str) -> &Value {
        self.0.iter().find(|(known, _)| *known == name).map_or(&Value::Null, |(_, value)| value)
    }
}

/// Whether an answer is an error of the control API.
pub(crate) fn is_problem(answer: &Value) -> bool {
    answer.text("type").starts_with("urn:epm-lab:problem:")
}

impl View {
    /// The path of the view in the navigation that this one belongs to.
    pub(super) const fn place(&self) -> &'static str {
        match self {
            Self::Home | Self::Ahead | Self::Recorded | Self::Compare => "/",
            Self::Clients | Self::Client(_) => "/clients",
            Self::Timeline | Self::Entry(_) => "/timeline",
            Self::Faults => "/faults",
            Self::Clock => "/clock",
            Self::Snapshots => "/snapshots",
            Self::Failures | Self::Failure(_) => "/failures",
            Self::Reference(_) => "/reference/control",
        }
    }
}

impl Query {
    /// Reads the query of an address.
    pub(crate) fn of(text: &str) -> Self {
        Self(
            form_urlencoded::parse(text.as_bytes())
                .into_owned()
                .filter(|(_, value)| !value.is_empty())
                .collect(),
        )
    }

    /// The value of a name; empty if it is absent.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// The same query with another value of this name.
    pub(super) fn with(&self, name: &str, value: &str) -> Self {
        let mut all = self.0.clone();
        all.insert(name.to_owned(), value.to_owned());
        Self(all)
    }

    /// The query as part of an address, with the names of `only`.
    pub(super) fn written(&self, only: &[&str]) -> String {
        let known = self.0.iter().filter(|(name, value)| only.contains(&name.as_str()) && !value.is_empty());
        known
            .map(|(name, value)| format!("{}={}", segment(name), segment(value)))
            .collect::<Vec<_>>()
            .join("&")
    }
}

impl Asked {
    /// The view at a path; none if there is none. The segments of the path are percent-encoded.
    pub(crate) fn of(path: &str, query: &str) -> Option<Self> {
        let segments: Vec<String> = path
            .split('/')
            .skip(1)
            .map(|one| percent_encoding::percent_decode_str(one).decode_utf8_lossy().into_owned())
            .collect();
        let view = match segments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [""] => View::Home,
            ["ahead"] => View::Ahead,
            ["scenario"] => View::Recorded,
            ["compare"] => View::Compare,
            ["clients"] => View::Clients,
            ["clients", name] if !name.is_empty() => View::Client(name.to_owned()),
            ["timeline"] => View::Timeline,
            ["faults"] => View::Faults,
            ["clock"] => View::Clock,
            ["snapshots"] => View::Snapshots,
            ["failures"] => View::Failures,
            ["failures", number] if !number.is_empty() => View::Failure(number.to_owned()),
            ["timeline", number] => View::Entry(number.parse().ok()?),
            ["reference", "control"] => View::Reference(Api::Control),
            ["reference", "rest"] => View::Reference(Api::Rest),
            _ => return None,
        };
        Some(Self { view, query: Query::of(query) })
    }

    /// The answers that the view needs, by name.
    pub(crate) fn wants(&self) -> Vec<(&'static str, Want)> {
        let get = |path: &str| Want::Get(path.to_owned());
        let mut wants = vec![("summary", Want::Summary)];
        match &self.view {
            View::Home => wants.extend([
                ("site", get("/v1/site")),
                ("health", get("/v1/health")),
                ("lists", get("/v1/lists")),
                ("groups", get("/v1/groups")),
                ("assumptions", get("/v1/assumptions")),
                ("certificates", Want::Get(CERTIFICATES.to_owned())),
            ]),
            View::Ahead if self.query.get("manager").is_empty() => wants.push(("site", get("/v1/site"))),
            View::Ahead => {
                let manager = self.query.get("manager");
                let step = json!([{ "update-certificate": { "manager": manager, "certificate": { "generate": {} } } }]);
                wants.push(("ahead", Want::Post("/v1/verdict/if-now", step)));
            }
            View::Recorded => wants.push(("recorded", get("/v1/scenario?folder=my-files"))),
            View::Compare => {}
            View::Clients => {
                let filters = self.query.written(&[&CLIENT_FILTERS[..], &["offset"]].concat());
                wants.push(("clients", Want::Get(format!("/v1/clients?limit={CLIENTS}&{filters}"))));
            }
            View::Client(name) => wants.extend([
                ("client", Want::Get(format!("/v1/clients/{}", segment(name)))),
                ("why", Want::Why(name.clone())),
                ("log", Want::Get(format!("/v1/clients/{}/log?limit=1000", segment(name)))),
                ("site", get("/v1/site")),
                ("groups", get("/v1/groups")),
                ("journal", Want::Get(format!("/v1/journal?partial=true&limit=25&client={}", segment(name)))),
            ]),
            View::Timeline => {
                let journal = |query: &Query| {
                    let query = query.with("from", &moment(query.get("from")));
                    let filters = query.written(&[&TIMELINE_FILTERS[..], &["until"]].concat());
                    Want::Get(format!("/v1/journal?partial=true&limit={ROWS}&{filters}"))
                };
                if self.query.get("show") == "acts" {
                    wants.push(("journal", journal(&self.query.with("kind", "operator-action"))));
                    wants.push(("calls", journal(&self.query.with("kind", "call"))));
                } else {
                    wants.push(("journal", journal(&self.query)));
                }
            }
            View::Faults => wants.extend([
                ("faults", get("/v1/faults")),
                ("kinds", get("/v1/fault-kinds")),
                ("groups", get("/v1/groups")),
                ("site", get("/v1/site")),
                ("hits", Want::Get(format!("/v1/journal?partial=true&kind=fault-applied&limit={HITS}"))),
            ]),
            View::Clock => wants.push(("clock", get("/v1/clock"))),
            View::Snapshots => {
                wants.push(("snapshots", get("/v1/snapshots")));
                if !self.query.get("since").is_empty() {
                    wants.push((
                        "changes",
                        Want::Get(format!("/v1/snapshots/{}/changes", segment(self.query.get("since")))),
                    ));
                }
            }
            View::Failures => wants.push(("failures", get("/v1/failures"))),
            View::Failure(number) => wants.extend([
                ("failure", Want::Get(format!("/v1/failures/{}", segment(number)))),
                ("groups", get("/v1/groups")),
            ]),
            View::Reference(api) => wants.push(("document", Want::Document(*api))),
            View::Entry(number) => {
                let (from, to) = (number.saturating_sub(AROUND), number.saturating_add(AROUND));
                wants.extend([
                    ("around", Want::Get(format!("/v1/journal?partial=true&since={from}&until={to}"))),
                    (
                        "har",
                        Want::Get(format!(
                            "/v1/journal?partial=true&format=har&since={number}&until={number}"
                        )),
                    ),
                ]);
            }
        }
        wants
    }
}

/// A lab time as the control API reads it, of one as the page shows it: `2026-01-05 08:00:00`.
fn moment(shown: &str) -> String {
    let text = shown.trim().replacen(' ', "T", 1);
    let has_zone = text.ends_with(['Z', 'z']) || text.get(11..).is_some_and(|time| time.contains(['+', '-']));
    if text.contains('T') && !has_zone { text + "Z" } else { text }
}

/// Number of clients on a page.
pub(super) const CLIENTS: u64 = 100;
/// Number of rows of the timeline on a page.
pub(super) const ROWS: usize = 100;
/// Number of hits of faults that are counted.
pub(super) const HITS: usize = 2000;
/// Number of entries before and after one that are looked at for what belongs to it.
const AROUND: u64 = 400;
/// The certificates of every manager, as one answer.
pub(crate) const CERTIFICATES: &str = "/v1/managers/*/certificate";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_a_view_or_nothing() {
        let view = |path| Asked::of(path, "").map(|asked| asked.view);
        assert_eq!(view("/"), Some(View::Home));
        assert_eq!(view("/clients/a%2Fb"), Some(View::Client("a/b".to_owned())));
        assert_eq!(view("/timeline/7"), Some(View::Entry(7)));
        assert_eq!((view("/timeline/x"), view("/clients/"), view("/v1/x")), (None, None, None));
        assert_eq!(view("//"), None);
    }

    #[test]
    fn a_query_is_read_and_written() {
        let query = Query::of("name=a%26b&part=&x=1");
        assert_eq!((query.get("name"), query.get("part")), ("a&b", ""));
        assert_eq!(query.with("offset", "100").written(&["name", "offset"]), "name=a%26b&offset=100");
    }
}
