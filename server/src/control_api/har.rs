//! Exchanges and calls of the journal as an HTTP archive, HAR 1.2.

use axum::http::{HeaderMap, StatusCode, Version, header};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use epm_protocol::time::Timestamp;
use serde_json::{Value, json};

use crate::runtime::redact;
use crate::runtime::transfer::{KeptBody, Transfer};

/// An exchange or a call.
pub(super) struct Traffic<'a> {
    pub(super) transfer: &'a Transfer,
    /// Whether the connection used TLS.
    pub(super) tls: bool,
    /// Name of the manager, for a request that names no host.
    pub(super) manager: &'a str,
    /// Address and port of the peer.
    pub(super) peer: Option<String>,
    /// Status of the response.
    pub(super) status: u16,
    /// Number of the entry, and who asked.
    pub(super) comment: String,
}

/// The log of an archive.
pub(super) fn log<'a>(traffic: impl Iterator<Item = Traffic<'a>>) -> Value {
    json!({
        "version": "1.2",
        "creator": { "name": "epm-lab", "version": env!("CARGO_PKG_VERSION") },
        "entries": traffic.map(entry).collect::<Vec<_>>(),
    })
}

fn entry(traffic: Traffic<'_>) -> Value {
    let Traffic { transfer, tls, manager, peer, status, comment } = traffic;
    let took = transfer.took_ms();
    let mut entry = json!({
        "startedDateTime": date(transfer.began),
        "time": took,
        "request": request(transfer, if tls { "https" } else { "http" }, manager),
        "response": response(transfer, status),
        "cache": {},
        "timings": { "send": 0, "wait": took, "receive": 0 },
        "comment": comment,
    });
    if let Some(peer) = peer {
        entry["connection"] = Value::from(peer);
    }
    entry
}

fn request(transfer: &Transfer, scheme: &str, manager: &str) -> Value {
    let Transfer { method, uri, request_headers, request_body, .. } = transfer;
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let query: Vec<Value> = query.map(|(name, value)| json!({ "name": name, "value": value })).collect();
    // The line, its line end, and the empty line behind the headers.
    let line = method.as_str().len() + target.len() + "  HTTP/1.1\r\n\r\n".len();
    let mut request = json!({
        "method": method.as_str(),
        "url": format!("{scheme}://{}{target}", transfer.host().unwrap_or(manager)),
        "httpVersion": http_version(transfer.version),
        "cookies": [],
        "headers": headers(request_headers),
        "queryString": query,
        "headersSize": line + request_headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum::<usize>(),
        "bodySize": request_body.length,
    });
    if request_body.length > 0 {
        let mime_type = content_type(request_headers);
        let (text, comment) = match request_body.text() {
            Some(text) => (redact::text(text), cut(request_body)),
            None => (BASE64_STANDARD.encode(&request_body.bytes), format!("base64{}", cut(request_body))),
        };
        request["postData"] =
            json!({ "mimeType": mime_type, "params": [], "text": text, "comment": comment });
    }
    request
}

fn response(transfer: &Transfer, status: u16) -> Value {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    let (none, empty) = (HeaderMap::new(), KeptBody::default());
    let (of_response, body) =
        transfer.response.as_ref().map_or((&none, &empty), |response| (&response.headers, &response.body));
    let mut content = json!({ "size": body.length, "mimeType": content_type(of_response) });
    match body.text() {
        Some(text) => content["text"] = Value::from(redact::text(text)),
        None => {
            content["text"] = Value::from(BASE64_STANDARD.encode(&body.bytes));
            content["encoding"] = Value::from("base64");
        }
    }
    if body.is_cut {
        content["comment"] = Value::from(cut(body));
    }
    let mut response = json!({
        "status": status,
        "statusText": reason.unwrap_or_default(),
        "httpVersion": http_version(transfer.version),
        "cookies": [],
        "headers": headers(of_response),
        "content": content,
        "redirectURL": "",
        "headersSize": -1,
        "bodySize": if transfer.response.is_some() { i64::try_from(body.length).unwrap_or(-1) } else { -1 },
    });
    if transfer.response.is_none() {
        response["comment"] = Value::from("a fault wrote the response byte by byte");
    }
    response
}

/// The archive without bodies that are no text: they can have anything packed in them.
pub(super) fn without_binary(archive: &str) -> String {
    let mut archive: Value = serde_json::from_str(archive).unwrap_or_default();
    for entry in archive.pointer_mut("/log/entries").and_then(Value::as_array_mut).into_iter().flatten() {
        let is_binary = entry["response"]["content"]["encoding"] == "base64";
        if is_binary {
            entry["response"]["content"]["text"] = Value::from("");
        }
        let comment = entry["request"]["postData"]["comment"].as_str().unwrap_or_default();
        if comment.starts_with("base64") {
            entry["request"]["postData"]["text"] = Value::from("");
        }
    }
    serde_json::to_string_pretty(&archive).unwrap_or_default()
}

fn headers(headers: &HeaderMap) -> Vec<Value> {
    let one = |(name, value): (&header::HeaderName, &header::HeaderValue)| json!({ "name": name.as_str(), "value": String::from_utf8_lossy(value.as_bytes()) });
    headers.iter().map(one).collect()
}

fn content_type(headers: &HeaderMap) -> &str {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("application/octet-stream")
}

fn cut(body: &KeptBody) -> String {
    if body.is_cut {
        format!("the first {} of {} bytes", body.bytes.len(), body.length)
    } else {
        String::new()
    }
}

fn http_version(version: Version) -> String {
    format!("{version:?}")
}

/// A moment with milliseconds, as readers of archives expect it.
fn date(at: Timestamp) -> String {
    at.to_string()
}
