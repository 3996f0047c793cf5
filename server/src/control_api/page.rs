//! Serves the page of the lab: its views, its files, the session of a browser and the stream of changes. Views are in
//! `crate::page`; their JSON is what the control API answers to the same request, asked in this process.

use std::io::Cursor;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::comparison::{Comparison, LabNow, Run};
use crate::control_api::board::Board;
use crate::control_api::error::Problem;
use crate::control_api::extract::{File, Query, origin};
use crate::control_api::guard::Access;
use crate::control_api::session::{self, LOG_IN, SESSION, STYLE};
use crate::mock_site::MockSite;
use crate::page::{self, Answers, Api, Asked, CERTIFICATES, LARGEST_COMPARED, Place, Want};

/// Path of the endless response.
pub(super) const EVENTS: &str = "/page/events";
/// Longest silence of the endless response. A page that hears nothing for a few times as long says that the lab does not answer.
const ALIVE: Duration = Duration::from_secs(2);
/// What a page may load: only what the lab serves.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
);
/// Header of a request that a change of the lab causes, and not a user.
const LIVE: HeaderName = HeaderName::from_static("x-epm-live");
/// Most bytes of an answer for a view.
const LARGEST: usize = 64 * 1024 * 1024;

/// Most bytes of a part of evidence that a browser sends.
const LARGEST_PART: u64 = LARGEST_COMPARED as u64;

/// Files in a body, one after the other.
#[derive(Debug, Deserialize)]
pub(super) struct Compared {
    /// Name of the first file.
    first: String,
    /// Number of bytes of the first file.
    size: usize,
    /// Name of the second file; the lab as it is now when absent.
    second: Option<String>,
}

/// What the page needs to answer.
pub(super) struct Pages {
    /// The control API, without a guard: it is asked only for what a guarded request for a view needs.
    pub(super) api: Router,
    /// The API's OpenAPI document.
    pub(super) described: fn() -> &'static Value,
    pub(super) board: Arc<Board>,
    pub(super) access: Arc<Access>,
}

impl Pages {
    /// Answers a request that no operation of the control API is for.
    pub(super) async fn answer(self: Arc<Self>, request: Request) -> Response {
        let path = request.uri().path().to_owned();
        match (request.method(), path.as_str()) {
            (&Method::GET, EVENTS) => return self.events(),
            (&Method::POST, SESSION) => return self.session(request.headers()),
            (&Method::DELETE, SESSION) => return self.end_session(request.headers()),
            (&Method::GET, LOG_IN) => return html(StatusCode::OK, page::log_in()),
            (&Method::GET, STYLE) => {
                return file(
                    "text/css; charset=utf-8",
                    format!("{}{}", epm_client_agent::report::STYLE, page::STYLE),
                );
            }
            (&Method::GET, _) => {}
            _ => return unknown(),
        }
        if let Some((_, kind, text)) = page::FILES.iter().find(|(known, ..)| *known == path) {
            return file(kind, (*text).to_owned());
        }
        match Asked::of(&path, request.uri().query().unwrap_or_default()) {
            Some(asked) => self.view(&asked, request.headers()).await,
            None => unknown(),
        }
    }

    /// Answers with the view of what differs between files that a browser has sent, or between one of them and the lab.
    pub(super) async fn compare(
        self: Arc<Self>,
        Query(asked): Query<Compared>,
        headers: HeaderMap,
        File(content): File,
    ) -> Result<Response, Problem> {
        let invalid = |error: &dyn std::fmt::Display| Problem::invalid(error.to_string());
        let (first, rest) = content.split_at_checked(asked.size).ok_or_else(|| {
            invalid(&format!("`size` is {}, and the body has {} bytes", asked.size, content.len()))
        })?;
        let read = |name: &str, bytes: &[u8]| {
            Run::read(name, Cursor::new(bytes), LARGEST_PART).map_err(|error| invalid(&error))
        };
        let first = tokio::task::block_in_place(|| read(&asked.first, first))?;
        let second = match &asked.second {
            Some(name) => tokio::task::block_in_place(|| read(name, rest))?,
            None => self.lab_now().await?,
        };
        let compared = tokio::task::block_in_place(|| Comparison::of(&first, &second));
        let compared = serde_json::to_value(compared).map_err(|error| invalid(&error))?;
        let answers = vec![("summary", self.board.summary(false).await), ("comparison", compared)];
        let query = asked.second.map(|_| "second=file").unwrap_or_default();
        let view = Asked::of("/compare", query).ok_or_else(|| Problem::unknown("there is no such view"))?;
        Ok(html(StatusCode::OK, page::render(&view, &Answers(answers), &self.place(&headers))))
    }

    /// The lab as it is now; what was done to it only where it can tell that.
    async fn lab_now(&self) -> Result<Run, Problem> {
        let get = |path| self.ask(Method::GET, path, Body::empty());
        let (verdict, assumptions) = (get("/v1/verdict").await, get("/v1/assumptions").await);
        let recorded = get("/v1/scenario").await;
        let scenario = recorded["scenario"].as_str();
        let lab = LabNow {
            name: "this lab".to_owned(),
            site: self.board.summary(false).await["site"].as_str().unwrap_or_default().to_owned(),
            verdict: &verdict,
            assumptions: &assumptions,
            scenario: scenario.ok_or_else(|| recorded["detail"].as_str().unwrap_or_default().to_owned()),
        };
        Run::of_lab(lab)
            .map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "comparison", error.to_string()))
    }

    async fn view(&self, asked: &Asked, headers: &HeaderMap) -> Response {
        let is_live = headers.contains_key(LIVE);
        let mut answers = Answers::default();
        let mut status = StatusCode::OK;
        for (name, want) in asked.wants() {
            let answer = match want {
                Want::Summary => self.board.summary(is_live).await,
                Want::Why(client) => self.board.why(&client).await,
                Want::Get(path) if path == CERTIFICATES => self.certificates().await,
                Want::Document(Api::Rest) => {
                    serde_json::from_slice(&MockSite::rest_openapi()).unwrap_or_default()
                }
                Want::Document(Api::Control) => (self.described)().clone(),
                Want::Get(path) => self.ask(Method::GET, &path, Body::empty()).await,
                Want::Post(path, body) => self.ask(Method::POST, path, Body::from(body.to_string())).await,
            };
            if page::is_problem(&answer) {
                let number = answer["status"].as_u64().and_then(|one| u16::try_from(one).ok());
                status =
                    number.and_then(|one| StatusCode::from_u16(one).ok()).unwrap_or(StatusCode::NOT_FOUND);
            }
            answers.0.push((name, answer));
        }
        html(status, page::render(asked, &answers, &self.place(headers)))
    }

    fn place(&self, headers: &HeaderMap) -> Place {
        Place {
            origin: origin(headers),
            has_token: self.access.needs_token(),
            controls: self.access.controls(headers),
        }
    }

    /// What the control API answers; a problem as it is.
    async fn ask(&self, method: Method, path: &str, body: Body) -> Value {
        let request = axum::http::Request::builder()
            .method(method)
            .uri(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body);
        let Ok(request) = request else { return Value::Null };
        let Ok(response) = TowerToHyperService::new(self.api.clone()).call(request).await;
        let read = to_bytes(response.into_body(), LARGEST).await;
        read.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// The certificates of every manager, by name.
    async fn certificates(&self) -> Value {
        let mut all = Map::new();
        for name in self.board.managers() {
            let path = format!(
                "/v1/managers/{}/certificate",
                percent_encoding::utf8_percent_encode(&name, percent_encoding::NON_ALPHANUMERIC)
            );
            let answer = self.ask(Method::GET, &path, Body::empty()).await;
            all.insert(name, answer);
        }
        Value::Object(all)
    }

    /// Changes of the lab, at most a few a second, until the listener disconnects.
    fn events(&self) -> Response {
        let start = (self.board.listen(), true);
        let events = stream::unfold(start, |(mut changes, is_first)| async move {
            if !is_first && changes.changed().await.is_err() {
                return None;
            }
            let data = changes.borrow_and_update().clone();
            Some((Ok::<_, std::convert::Infallible>(Event::default().data(&*data)), (changes, false)))
        });
        // A comment would keep the connection, and a page would not learn from it that the lab still answers.
        let alive = Event::default().event("alive").data("alive");
        Sse::new(events).keep_alive(KeepAlive::new().interval(ALIVE).event(alive)).into_response()
    }

    /// A session for the token of this request, which has been checked.
    fn session(&self, headers: &HeaderMap) -> Response {
        match headers.get(header::AUTHORIZATION).and_then(|token| self.access.sessions().begin(token)) {
            Some(id) => with_cookie(headers, Some(&id)),
            None => Problem::invalid("no token: a session is for a lab that needs one").into_response(),
        }
    }

    fn end_session(&self, headers: &HeaderMap) -> Response {
        self.access.sessions().end(headers);
        with_cookie(headers, None)
    }
}

fn with_cookie(headers: &HeaderMap, id: Option<&str>) -> Response {
    let mut response = StatusCode::NO_CONTENT.into_response();
    response.headers_mut().extend(session::cookie(headers, id).map(|cookie| (header::SET_COOKIE, cookie)));
    response
}

fn html(status: StatusCode, text: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, POLICY),
    ];
    (status, headers, text).into_response()
}

fn file(kind: &'static str, text: String) -> Response {
    // A worker has the policy of its own file.
    let headers =
        [(header::CONTENT_TYPE, HeaderValue::from_static(kind)), (header::CONTENT_SECURITY_POLICY, POLICY)];
    (headers, text).into_response()
}

fn unknown() -> Response {
    Problem::unknown("unknown path: /v1/openapi.json describes every path").into_response()
}
