//! One request, one answer.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use epm_protocol::heartbeat::http::{
    self, HELLO_QUERY, MAX_QUERY, MAX_UPLOAD, MOCK_HEADER, RequestError, SECARS_PATH, SIGNATURE_HEADER,
};
use epm_protocol::heartbeat::{AgentRequest, Artifact, ManagerResponse};
use epm_protocol::site::{Answer, Visit};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tokio::time::timeout;

use super::listen::PATIENCE;
use crate::journal::Record;
use crate::shared::{Desk, Shared};

/// Answers one request.
pub(super) async fn respond(
    request: Request<Incoming>,
    peer: SocketAddr,
    tls: bool,
    desk: &Arc<Desk>,
    shared: &Arc<Shared>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let note = |action, agent, status| {
        shared.journal.note(Record { at: shared.now(), desk: desk.number, peer, tls, action, agent, status });
    };
    if head.uri.path() != SECARS_PATH {
        let response = ManagerResponse::text(404, "this mock manager has /secars/secars.dll?hello,secars\n");
        note("unknown-path", None, 404);
        return Ok(written(response));
    }
    let query = head.uri.query().unwrap_or_default();
    if query.len() > MAX_QUERY {
        note("too-long", None, 414);
        return Ok(written(ManagerResponse::text(414, "the query is too long\n")));
    }
    let body = if head.method == Method::POST {
        match timeout(PATIENCE, Limited::new(body, MAX_UPLOAD).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Err(_) => {
                note("stalled", None, 408);
                return Ok(written(ManagerResponse::text(408, "the body did not come in time\n")));
            }
            Ok(Err(_)) => {
                note("too-large", None, 413);
                return Ok(written(ManagerResponse::text(413, "the body is too large\n")));
            }
        }
    } else {
        Bytes::new()
    };
    let publication = desk.publication.load();
    let asked = match http::decode(query, &body, &publication.kcs) {
        Ok(asked) => asked,
        Err(error) => {
            if matches!(error, RequestError::Kcs(_)) && query != HELLO_QUERY {
                shared.journal.bad_format(peer.ip());
            }
            note("refused", None, 400);
            return Ok(written(ManagerResponse::text(400, &format!("{error}\n"))));
        }
    };
    let (action, agent) = described(&asked);
    let answer = match &asked {
        AgentRequest::Hold { .. } => {
            drop(publication);
            shared.hold(desk, &asked).await
        }
        _ => {
            let (answer, visit) = shared.answer(&publication, &asked);
            if let Visit::Registering(registration) = visit {
                shared.register(&registration);
            }
            match answer {
                Answer::Now(response) => response,
                Answer::WhenChanged => ManagerResponse::empty(500),
            }
        }
    };
    note(action, agent, answer.status);
    Ok(written(answer))
}

/// The name of a request in the journal, and who asks.
fn described(asked: &AgentRequest) -> (&'static str, Option<epm_protocol::id::AgentId>) {
    match asked {
        AgentRequest::Hello => ("hello", None),
        AgentRequest::Register(_) => ("register", None),
        AgentRequest::Index { agent, .. } => ("index", Some(*agent)),
        AgentRequest::Hold { agent, .. } => ("hold", Some(*agent)),
        AgentRequest::Upload { agent, .. } => ("upload", Some(*agent)),
        AgentRequest::Fetch { agent, artifact } => {
            let action = match artifact {
                Artifact::Policy => "policy",
                Artifact::List => "list",
                Artifact::Package(_) => "package",
            };
            (action, Some(*agent))
        }
    }
}

/// The answer as HTTP.
fn written(answer: ManagerResponse) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(answer.content_type.header()));
    headers.insert(HeaderName::from_static(MOCK_HEADER.0), HeaderValue::from_static(MOCK_HEADER.1));
    if let Some(signature) = answer.signature
        && let Ok(value) = HeaderValue::from_maybe_shared(signature.as_bytes().clone())
    {
        headers.insert(HeaderName::from_static(SIGNATURE_HEADER), value);
    }
    response
}
