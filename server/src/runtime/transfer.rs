//! The HTTP messages of an exchange or a call, as far as the journal keeps them.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header, request};
use bytes::Bytes;
use epm_protocol::time::Timestamp;

use crate::runtime::redact;

/// What a path ends with that was cut.
const CUT: &[u8] = b"...cut";
/// Number of bytes that are kept of a body, of a path, and of the headers.
pub(crate) const KEPT: usize = 8 * 1024;

/// A request and its response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// Lab time of the request.
    pub began: Timestamp,
    /// Real time from the head of the request to the response.
    pub took: Duration,
    /// HTTP method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// HTTP version of the request.
    pub version: Version,
    /// Headers of the request.
    pub request_headers: HeaderMap,
    /// Body of the request.
    pub request_body: KeptBody,
    /// Response; none if a fault wrote something else.
    pub response: Option<KeptResponse>,
}

/// The headers and the body of a response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptResponse {
    /// Headers of the response; the server adds its date and the length of the body.
    pub headers: HeaderMap,
    /// Body of the response.
    pub body: KeptBody,
}

/// The beginning of a body, and its length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeptBody {
    /// At most 8 KiB from the beginning.
    pub bytes: Bytes,
    /// Length of the whole body.
    pub length: usize,
    /// Whether the body is longer than what is kept.
    pub is_cut: bool,
}

impl KeptBody {
    /// Keeps the beginning of a body that was made here. A short one is shared, not copied.
    pub(crate) fn of(body: &Bytes) -> Self {
        let bytes = if body.len() <= KEPT { body.clone() } else { Bytes::copy_from_slice(&body[..KEPT]) };
        Self { bytes, length: body.len(), is_cut: body.len() > KEPT }
    }

    /// Keeps the beginning of a body that was received: a copy, since what was received is part of a larger buffer.
    pub(crate) fn received(body: &Bytes) -> Self {
        let bytes = Bytes::copy_from_slice(&body[..body.len().min(KEPT)]);
        Self { bytes, length: body.len(), is_cut: body.len() > KEPT }
    }

    /// The kept bytes as text, if they are text; a character that was cut is left out.
    pub fn text(&self) -> Option<&str> {
        match std::str::from_utf8(&self.bytes) {
            Ok(text) => Some(text),
            Err(error) if self.is_cut && error.error_len().is_none() => {
                std::str::from_utf8(&self.bytes[..error.valid_up_to()]).ok()
            }
            Err(_) => None,
        }
    }
}

impl Transfer {
    /// A transfer with this head of a request, and nothing else.
    pub(crate) fn of(head: request::Parts, began: Timestamp) -> Self {
        let request::Parts { method, uri, version, mut headers, .. } = head;
        let uri = copied(&uri, &mut headers);
        Self {
            began,
            took: Duration::ZERO,
            method,
            uri,
            version,
            request_headers: headers,
            request_body: KeptBody::default(),
            response: None,
        }
    }

    /// A transfer with the head of this request, without secrets, and nothing else.
    pub(crate) fn seen<B>(request: &Request<B>, began: Timestamp) -> Self {
        let mut head = Request::new(()).into_parts().0;
        (head.method, head.version) = (request.method().clone(), request.version());
        (head.uri, head.headers) = (redact::uri(request.uri()), request.headers().clone());
        redact::headers(&mut head.headers);
        Self::of(head, began)
    }

    /// The host that the request names.
    pub fn host(&self) -> Option<&str> {
        self.request_headers.get(header::HOST).and_then(|host| host.to_str().ok())
    }

    /// The header by which a tool's trace finds the request (W3C Trace Context).
    pub fn traceparent(&self) -> Option<&str> {
        self.request_headers.get("traceparent").and_then(|value| value.to_str().ok())
    }

    /// Milliseconds from request to response, in real time.
    pub fn took_ms(&self) -> f64 {
        (self.took.as_secs_f64() * 1_000_000.0).round() / 1000.0
    }
}

/// Copies the path, and the values of the headers in place. As they were received, each is a part of the connection's buffer, so that one of
/// them would keep all of its 8 KiB.
fn copied(uri: &Uri, headers: &mut HeaderMap) -> Uri {
    let mut text = uri.to_string().into_bytes();
    // A path that was cut is one all the same; nothing says so but its end.
    if text.len() > KEPT {
        text.truncate(KEPT - CUT.len());
        text.extend_from_slice(CUT);
    }
    let path = text.len();
    keep_the_first(headers);
    text.reserve_exact(headers.values().map(HeaderValue::len).sum());
    headers.values().for_each(|value| text.extend_from_slice(value.as_bytes()));
    let mut text = Bytes::from(text);
    let uri = Uri::from_maybe_shared(text.split_to(path)).unwrap_or_default();
    for value in headers.values_mut() {
        if let Ok(copy) = HeaderValue::from_maybe_shared(text.split_to(value.len())) {
            *value = copy;
        }
    }
    uri
}

/// Leaves out the headers for which there is no room, and says how many those are.
fn keep_the_first(headers: &mut HeaderMap) {
    let mut length = 0;
    let mut fits = |(name, value): &(&HeaderName, &HeaderValue)| {
        length += name.as_str().len() + value.len();
        length <= KEPT
    };
    let first = headers.iter().take_while(&mut fits).count();
    if first == headers.len() {
        return;
    }
    let left_out = headers.len() - first;
    let mut kept: HeaderMap =
        headers.iter().take(first).map(|(name, value)| (name.clone(), value.clone())).collect();
    kept.insert("x-epm-lab-headers-left-out", left_out.into());
    *headers = kept;
}

/// A transfer of an entry; entries are cloned, the transfer is not.
pub(crate) type SharedTransfer = Arc<Transfer>;

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    #[test]
    fn what_is_kept_of_a_request_does_not_keep_the_buffer_that_it_was_read_into() {
        let buffer = Bytes::from(b"/secars/secars.dll?h=1manager:8014body".to_vec());
        let uri = Uri::from_maybe_shared(buffer.slice(..22)).unwrap();
        let host = HeaderValue::from_maybe_shared(buffer.slice(22..34)).unwrap();
        let request = Request::post(uri).header(header::HOST, host).body(()).unwrap();
        let mut transfer = Transfer::of(request.into_parts().0, Timestamp::EPOCH);
        transfer.request_body = KeptBody::received(&buffer.slice(34..));
        assert!(buffer.is_unique());
        assert_eq!(transfer.uri, "/secars/secars.dll?h=1");
        assert_eq!(transfer.host(), Some("manager:8014"));
        assert_eq!(transfer.request_body.text(), Some("body"));
    }

    #[test]
    fn of_a_long_request_the_beginning_is_kept_and_what_is_left_out_is_said() {
        let mut request = Request::builder().uri(format!("/{}", "a".repeat(3 * KEPT)));
        for number in 0..30 {
            request = request.header(format!("x-{number}"), "v".repeat(1000));
        }
        let transfer = Transfer::of(request.body(()).unwrap().into_parts().0, Timestamp::EPOCH);
        let path = transfer.uri.to_string();
        assert!(path.len() == KEPT && path.ends_with("...cut"), "{} bytes", path.len());
        let kept = transfer.request_headers.iter().filter(|(_, value)| value.len() == 1000).count();
        assert_eq!(
            (kept, &transfer.request_headers["x-epm-lab-headers-left-out"]),
            (8, &HeaderValue::from(22))
        );
    }

    #[test]
    fn a_request_is_kept_with_each_of_its_headers_and_any_form_of_its_target() {
        for target in ["/a?b=c", "http://manager:8014/a?b=c", "*", "manager:8014"] {
            let mut request = Request::builder().uri(target);
            for (name, value) in [("x", "first"), ("x", ""), ("y", "second"), ("x", "third")] {
                request = request.header(name, value);
            }
            let head = request.body(()).unwrap().into_parts().0;
            let (uri, headers) = (head.uri.clone(), head.headers.clone());
            let transfer = Transfer::of(head, Timestamp::EPOCH);
            assert_eq!((transfer.uri, transfer.request_headers), (uri, headers));
        }
    }
}
