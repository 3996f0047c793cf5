//! A call of the REST API under a fault: answered by the fault, or answered by the API and then changed.

use axum::body::Body;
use bytes::Bytes;
use epm_protocol::fault::tamper::Tampered;
use epm_protocol::fault::{FaultKind, Hit};
use epm_protocol::heartbeat::{ContentType, ManagerResponse};
use epm_protocol::manager::faulted::intercept_call;
use http_body_util::BodyExt;
use hyper::header::CONTENT_TYPE;
use hyper::{Response, StatusCode};

use crate::wire::context::RequestContext;
use crate::wire::faults::exchange::sent;
use crate::wire::faults::raw_response::WrittenRaw;

/// Answers a call as the fault does: instead of the API, or with its changed answer.
pub(in super::super) async fn answered(
    hit: &Hit,
    context: RequestContext<'_>,
    api: impl Future<Output = Response<Body>>,
) -> Result<Response<Body>, WrittenRaw> {
    let mut answer = match intercept_call(hit) {
        Some(answer) => answer,
        None => whole(api.await).await,
    };
    if let FaultKind::WrongType { content_type } = hit.what() {
        answer.headers.retain(|(name, _)| *name != CONTENT_TYPE.as_str());
        answer.headers.push(("content-type", content_type.clone()));
    }
    sent(hit, answer, context, written)
}

/// Status of the answer that the fault gives instead of the API, if it does.
pub(in super::super) fn status_instead(hit: &Hit) -> Option<u16> {
    intercept_call(hit).map(|answer| answer.response.status)
}

/// An answer of the API, with its body read.
async fn whole(response: Response<Body>) -> Tampered {
    let (head, body) = response.into_parts();
    // The body of an answer is in memory already.
    let body = body.collect().await.map_or_else(|_| Bytes::new(), http_body_util::Collected::to_bytes);
    let header = |name: &'static str| {
        let value = head.headers.get(name).and_then(|value| value.to_str().ok());
        value.map(|value| (name, value.to_owned()))
    };
    let headers = ["content-type", WWW_AUTHENTICATE_NAME].into_iter().filter_map(header).collect();
    let status = head.status.as_u16();
    let response = ManagerResponse { status, content_type: ContentType::Text, signature: None, body };
    Tampered { response, headers }
}

const WWW_AUTHENTICATE_NAME: &str = "www-authenticate";

fn written(answer: ManagerResponse) -> Response<Body> {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}
