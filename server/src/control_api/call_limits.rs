//! How many calls of the control API may be under way, so that short ones always find a connection.
//!
//! Listeners of the journal stay for as long as they like, and changes may wait for clients: each kind has fewer places
//! than there are connections. So has what makes a large answer in memory. Other reads wait for nothing and have no limit of their own.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use tokio::sync::Semaphore;

use super::error::Problem;
use super::journal::TAIL;
use super::page::EVENTS;
use super::scope::{CAPTURE, COMPARE, EVIDENCE};
use crate::runtime::descriptors::DESCRIPTORS;

/// Places of the calls that may last.
#[derive(Debug)]
pub(super) struct CallLimits {
    listeners: Kind,
    changes: Kind,
    files: Kind,
}

/// Path of the journal.
const JOURNAL: &str = "/v1/journal";
/// Number of answers that are made at the same time of whole journals, captures, or files that are compared.
const FILES: usize = 4;

#[derive(Debug)]
struct Kind {
    places: Arc<Semaphore>,
    most: usize,
}

impl Kind {
    fn of(most: usize) -> Self {
        Self { places: Arc::new(Semaphore::new(most)), most }
    }
}

impl CallLimits {
    /// Shares of the control API's connections: a quarter for listeners, half for changes.
    pub(super) fn new() -> Self {
        let connections = DESCRIPTORS.division.control_connections();
        Self {
            listeners: Kind::of(connections / 4),
            changes: Kind::of(connections / 2),
            files: Kind::of(FILES),
        }
    }
}

/// Whether the answer to a request can be as large as the journal, the capture or the lab.
fn is_file(request: &Request) -> bool {
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    [EVIDENCE, CAPTURE, COMPARE].contains(&path) || path == JOURNAL && query.contains("format=")
}

/// Answers a call that may last if it finds a place, and refuses it otherwise.
pub(super) async fn limit(limits: Arc<CallLimits>, request: Request, next: Next) -> Response {
    let (kind, what) = if [TAIL, EVENTS].contains(&request.uri().path()) {
        (&limits.listeners, "listeners of the journal and of the page")
    } else if is_file(&request) {
        (&limits.files, "calls that make a file of the journal, the capture or the lab, or compare files")
    } else if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return next.run(request).await;
    } else {
        (&limits.changes, "calls that change something")
    };
    let Ok(place) = Arc::clone(&kind.places).try_acquire_owned() else {
        let detail = format!(
            "too many {what}: {} are open, which is the limit; try again when one has ended",
            kind.most
        );
        let mut response = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail).into_response();
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        return response;
    };
    let (head, body) = next.run(request).await.into_parts();
    // The place of a listener is free when its stream is dropped.
    let is_endless = axum::body::HttpBody::size_hint(&body).exact().is_none();
    let body = match is_endless {
        true => Body::from_stream(body.into_data_stream().inspect(move |_| _ = &place)),
        false => body,
    };
    Response::from_parts(head, body)
}
