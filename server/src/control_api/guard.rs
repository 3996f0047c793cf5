//! Which requests the control API answers: those to a known host, from no other site's page, and with a token of the right
//! scope where one is set. Knows nothing of the lab.
//!
//! A browser on the lab's machine reaches the control API for every page that it shows. What such a page can make it send
//! is refused by what the page cannot choose: `Host`, `Origin`, `Sec-Fetch-Site` and the content type of a form. A name
//! that is made to resolve to this machine (DNS rebinding) is a host that is not known.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::Request;
use axum::http::header::{self, AsHeaderName, HeaderName, HeaderValue};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::error::Problem;
use super::scope::{Scope, Tokens};
use super::session::{Sessions, is_public, to_log_in};
use crate::runtime::connections::Peer;
use crate::runtime::failed_attempts::{Attempt, FailedAttempts};

/// Tokens of the control API, and the names that it answers to.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct Access {
    tokens: Tokens,
    names: Vec<String>,
    /// Requests with a wrong token, whose answers wait after several of a peer.
    failed: Arc<FailedAttempts>,
    /// Sessions of browsers that have given a token.
    sessions: Arc<Sessions>,
}

impl Access {
    /// No token, and no name but `localhost` and addresses.
    pub fn open() -> Self {
        Self::default()
    }

    /// Refuses requests without this token, which may do everything.
    pub fn token(self, token: &str) -> Self {
        self.scoped(Scope::Control, token)
    }

    /// Lets requests with this token do what its scope allows.
    pub(crate) fn scoped(mut self, scope: Scope, token: &str) -> Self {
        self.tokens.add(scope, token);
        self
    }

    /// Answers requests to this host name too.
    ///
    /// # Errors
    ///
    /// When it is not a host name, such as one with a scheme or a port.
    pub fn allow_host(mut self, name: &str) -> Result<Self, InvalidHost> {
        let is_host = matches!(Host::of(name), Some(Host { port: None, .. }));
        if !is_host {
            return Err(InvalidHost { found: name.to_owned() });
        }
        self.names.push(name.to_ascii_lowercase());
        Ok(self)
    }

    /// Whether requests need a token.
    pub(super) fn needs_token(&self) -> bool {
        !self.tokens.is_empty()
    }

    /// Whether a request with these headers may do everything.
    pub(super) fn controls(&self, headers: &HeaderMap) -> bool {
        self.tokens.is_empty() || self.scope_of(headers) == Some(Scope::Control)
    }

    /// The scope of the token of a request; none without a token, or with a wrong one.
    fn scope_of(&self, headers: &HeaderMap) -> Option<Scope> {
        let given = only(headers, header::AUTHORIZATION)?.strip_prefix("Bearer ")?;
        self.tokens.scope_of(given)
    }

    /// Sessions of browsers that have given the token.
    pub(super) fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    fn knows(&self, host: &Host<'_>) -> bool {
        host.is_address
            || host.name.eq_ignore_ascii_case("localhost")
            || self.names.iter().any(|name| host.name.eq_ignore_ascii_case(name))
    }

    /// Why a request is refused; none if it is not.
    fn refusal(&self, request: &Request) -> Option<Problem> {
        self.foreign(request.method(), request.uri(), request.headers())
            .or_else(|| self.unauthorized(request.method(), request.uri(), request.headers()))
    }

    /// The error for a request that a browser may have sent for another site's page.
    fn foreign(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Problem> {
        let refused = |code, detail: String| Some(Problem::new(StatusCode::FORBIDDEN, code, detail));
        let host = only(headers, header::HOST).and_then(|text| Some((text, Host::of(text)?)));
        let Some((text, host)) = host else {
            return refused("host", "invalid request: expected one `Host` header with a host name or an address, and a port or none".to_owned());
        };
        let is_other = uri.authority().is_some_and(|one| !one.as_str().eq_ignore_ascii_case(text));
        if is_other || !self.knows(&host) {
            let asked = uri.authority().map_or(text, |one| one.as_str());
            let name = Host::of(asked).map_or(asked, |host| host.name);
            return refused(
                "host",
                format!(
                    "unknown host {name:?}: the control API answers at an IP address, at localhost, and at the names of `epm-lab up --address` and `--allow-host`; add it there if the lab is to have this name"
                ),
            );
        }
        if headers.contains_key(header::ORIGIN) {
            let own = |origin: &str| {
                let place = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
                place.is_some_and(|place| place.eq_ignore_ascii_case(text))
            };
            if !only(headers, header::ORIGIN).is_some_and(own) {
                return refused("origin", "a page of another origin asks: the control API answers its own pages, and programs that are no browser".to_owned());
            }
        }
        // Sent by browsers alone. "same-site" is another port of this machine.
        if headers.get_all(&FETCH_SITE).iter().any(|site| site != "same-origin" && site != "none") {
            return refused("origin", "a page of another site leads here: the control API answers its own pages, and programs that are no browser; type its address instead".to_owned());
        }
        let changes = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        let kinds = headers.get_all(header::CONTENT_TYPE);
        if changes && kinds.iter().any(|kind| kind.to_str().map_or(true, is_of_a_form)) {
            let detail = "content type of an HTML form: expected a JSON body with `content-type: application/json`, or a file with `content-type: application/octet-stream`";
            return Some(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "form", detail));
        }
        None
    }

    /// The error for a request without a token, or with one of another scope. The state of health and the form for the token
    /// need none.
    fn unauthorized(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Option<Problem> {
        if self.tokens.is_empty() || uri.path() == "/v1/health" || is_public(uri.path()) {
            return None;
        }
        let Some(scope) = self.scope_of(headers) else {
            let detail = "missing or wrong token: expected the header `Authorization: Bearer TOKEN`";
            return Some(Problem::new(StatusCode::UNAUTHORIZED, NO_TOKEN, detail));
        };
        let needed = Scope::needed(method, uri.path());
        (scope != needed && scope != Scope::Control).then(|| {
            let detail = format!(
                "the token has the scope `{scope}`: {method} {} needs a token of the scope `{needed}`{}",
                uri.path(),
                if needed == Scope::Control { "" } else { " or `control`" }
            );
            Problem::new(StatusCode::FORBIDDEN, needed.code(), detail)
        })
    }
}

impl From<Option<String>> for Access {
    fn from(token: Option<String>) -> Self {
        token.iter().fold(Self::default(), |access, token| access.token(token))
    }
}

/// A host name that cannot be one.
#[derive(Debug, thiserror::Error)]
#[error("invalid host name {found:?}: expected a name without scheme, port and path, such as manager")]
pub struct InvalidHost {
    /// What was given.
    pub found: String,
}

/// Refuses what the access does not allow, and gives every answer the headers that keep a browser from using it
/// elsewhere. No header for CORS is ever sent.
pub(super) async fn guard(access: Arc<Access>, mut request: Request, next: Next) -> Response {
    access.sessions.resume(&mut request);
    let mut response = match access.refusal(&request) {
        Some(problem) => {
            if problem.code() == NO_TOKEN && request.headers().contains_key(header::AUTHORIZATION) {
                let attempt = Attempt::of(request.extensions().get::<Peer>().map(|peer| peer.0), None);
                // Where too many wait, the answer is the same and comes at once: nothing was looked at.
                let _ = access.failed.turn(attempt).await;
                access.failed.failed(attempt);
            }
            let led = if problem.code() == NO_TOKEN { to_log_in(&request) } else { None };
            led.unwrap_or_else(|| problem.into_response())
        }
        None => next.run(request).await,
    };
    let headers = response.headers_mut();
    for (name, value) in &HEADERS {
        headers.entry(name).or_insert_with(|| value.clone());
    }
    response
}

/// The code of the error for a request without the token.
const NO_TOKEN: &str = "token";
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The header by which an answer says that it is from a lab.
pub(crate) const MARK: &str = "x-epm-lab";
/// Headers of every answer. A page has a policy of its own.
const HEADERS: [(HeaderName, HeaderValue); 8] = [
    (HeaderName::from_static(MARK), HeaderValue::from_static("mock")),
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox",
        ),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
];

/// The host of a `Host` header.
#[derive(Debug, PartialEq, Eq)]
struct Host<'a> {
    name: &'a str,
    port: Option<&'a str>,
    is_address: bool,
}

impl<'a> Host<'a> {
    /// Reads `NAME`, `ADDRESS` or `[ADDRESS]`, with a port or none; nothing else.
    fn of(text: &'a str) -> Option<Self> {
        let (name, rest, is_address) = match text.strip_prefix('[') {
            Some(inner) => {
                let (address, rest) = inner.split_once(']')?;
                address.parse::<Ipv6Addr>().ok()?;
                (address, rest, true)
            }
            None => {
                let end = text.find(':').unwrap_or(text.len());
                let (name, rest) = text.split_at(end);
                (name, rest, name.parse::<Ipv4Addr>().is_ok())
            }
        };
        let port = match rest {
            "" => None,
            _ => Some(rest.strip_prefix(':').filter(|port| port.bytes().all(|byte| byte.is_ascii_digit()))?),
        };
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let is_host = is_address || (!name.is_empty() && name.bytes().all(is_name));
        is_host.then_some(Self { name, port, is_address })
    }
}

/// The header, if there is exactly one, as text.
fn only(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    let mut all = headers.get_all(name).iter();
    let first = all.next()?.to_str().ok()?;
    all.next().is_none().then_some(first)
}

/// Whether an HTML form, and so any page, can send a body of this type.
fn is_of_a_form(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    ["application/x-www-form-urlencoded", "multipart/form-data", "text/plain"]
        .iter()
        .any(|one| kind.eq_ignore_ascii_case(one))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    /// The code and status of the refusal of a request with these headers.
    fn refused(access: &Access, method: &str, target: &str, headers: &[(&str, &str)]) -> Option<String> {
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let problem = access.refusal(&request.body(Body::empty()).expect("a request"))?;
        Some(serde_json::to_value(problem).expect("JSON")["code"].as_str().expect("a code").to_owned())
    }

    #[test]
    fn a_request_is_answered_at_addresses_and_at_names_that_were_given() {
        let access = Access::open().allow_host("Manager").expect("a name");
        for (host, is_known) in [
            ("127.0.0.1", true),
            ("127.0.0.1:8015", true),
            ("[::1]:8015", true),
            ("192.0.2.7:1", true),
            ("LocalHost:8015", true),
            ("MANAGER:8015", true),
            ("manager", true),
            ("evil.example", false),
            ("evil.example:8015", false),
            ("manager.evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example", false),
            ("evil.example@127.0.0.1", false),
            ("127.0.0.1@evil.example", false),
            ("[[127.0.0.1]]", false),
            ("[::1", false),
            ("[evil.example]", false),
            ("127.0.0.1:x", false),
            ("127.0.0.1:80:80", false),
            ("127.0.0.1, evil.example", false),
            ("", false),
        ] {
            let found = refused(&access, "GET", "/v1", &[("host", host)]);
            assert_eq!(found.is_none(), is_known, "{host:?}: {found:?}");
        }
        assert_eq!(refused(&access, "GET", "/v1", &[]).as_deref(), Some("host"));
        let twice = [("host", "127.0.0.1"), ("host", "evil.example")];
        assert_eq!(refused(&access, "GET", "/v1", &twice).as_deref(), Some("host"));
        let absolute = refused(&access, "GET", "http://evil.example/v1", &[("host", "127.0.0.1")]);
        assert_eq!(absolute.as_deref(), Some("host"));
        let proxied = refused(&access, "GET", "http://127.0.0.1:8015/v1", &[("host", "127.0.0.1:8015")]);
        assert_eq!(proxied, None);
        for name in ["", "http://manager", "manager:8015", "*", "a b", "manager/"] {
            let error = Access::open().allow_host(name).expect_err("no host name").to_string();
            assert!(error.contains(&format!("{name:?}")) && error.contains("such as manager"), "{error}");
        }
    }

    #[test]
    fn a_header_for_a_token_opens_nothing_and_the_right_token_does_not_replace_the_host() {
        let evil = ("host", "evil.example:8015");
        for given in ["Bearer x", "Basic eDp5", "Bearer right-token-0123456"] {
            let header = [evil, ("authorization", given)];
            for access in [Access::open(), Access::open().token("right-token-0123456")] {
                assert_eq!(refused(&access, "GET", "/v1", &header).as_deref(), Some("host"), "{given}");
            }
        }
        let access = Access::open().token("right-token-0123456");
        let here = ("host", "127.0.0.1:8015");
        for (given, expected) in [
            ("Bearer right-token-0123456", None),
            ("Bearer right-token-012345", Some("token")),
            ("bearer right-token-0123456", Some("token")),
            ("right-token-0123456", Some("token")),
        ] {
            let found = refused(&access, "GET", "/v1", &[here, ("authorization", given)]);
            assert_eq!(found.as_deref(), expected, "{given}");
        }
        assert_eq!(refused(&access, "GET", "/v1", &[here]).as_deref(), Some("token"));
        assert_eq!(refused(&access, "GET", "/v1/health", &[here]), None);
        assert_eq!(refused(&access, "GET", "/v1/health", &[evil]).as_deref(), Some("host"));
        let both = [here, ("authorization", "Bearer right-token-0123456"), ("authorization", "Bearer x")];
        assert_eq!(refused(&access, "GET", "/v1", &both).as_deref(), Some("token"));
    }

    #[test]
    fn a_token_does_what_its_scope_allows_and_the_error_names_the_scope_that_is_needed() {
        let access = Access::open()
            .token("control-token-0123456")
            .scoped(Scope::Read, "read-token-0123456789")
            .scoped(Scope::Report, "report-token-01234567");
        let expected = |method: &str, target: &str| {
            ["control-token-0123456", "read-token-0123456789", "report-token-01234567", "wrong"].map(
                |token| {
                    let bearer = format!("Bearer {token}");
                    let headers = [("host", "127.0.0.1:8015"), ("authorization", bearer.as_str())];
                    refused(&access, method, target, &headers).unwrap_or_default()
                },
            )
        };
        assert_eq!(expected("GET", "/v1/verdict"), ["", "", "scope-read", "token"]);
        assert_eq!(expected("PUT", "/v1/reports/a"), ["", "scope-report", "", "token"]);
        assert_eq!(expected("POST", "/v1/commands"), ["", "scope-control", "scope-control", "token"]);
        assert_eq!(expected("DELETE", "/v1/reports/a"), ["", "scope-control", "scope-control", "token"]);
        assert_eq!(expected("GET", "/v1/health"), [""; 4]);
    }

    #[test]
    fn what_a_page_of_another_site_can_send_is_refused() {
        let here = ("host", "127.0.0.1:8015");
        let access = Access::open();
        for (method, header, expected) in [
            ("GET", ("origin", "http://127.0.0.1:8015"), None),
            ("GET", ("origin", "http://127.0.0.1:8016"), Some("origin")),
            ("GET", ("origin", "http://127.0.0.1"), Some("origin")),
            ("GET", ("origin", "null"), Some("origin")),
            ("GET", ("origin", ""), Some("origin")),
            ("GET", ("origin", "chrome-extension://127.0.0.1:8015"), Some("origin")),
            ("GET", ("sec-fetch-site", "none"), None),
            ("GET", ("sec-fetch-site", "same-origin"), None),
            ("GET", ("sec-fetch-site", "same-site"), Some("origin")),
            ("GET", ("sec-fetch-site", "cross-site"), Some("origin")),
            ("OPTIONS", ("origin", "http://evil.example"), Some("origin")),
            ("POST", ("content-type", "application/json"), None),
            ("POST", ("content-type", "text/plain"), Some("form")),
            ("PUT", ("content-type", "Text/Plain; charset=utf-8"), Some("form")),
            ("DELETE", ("content-type", "application/x-www-form-urlencoded"), Some("form")),
            ("POST", ("content-type", "multipart/form-data; boundary=x"), Some("form")),
            ("GET", ("content-type", "text/plain"), None),
        ] {
            let found = refused(&access, method, "/v1", &[here, header]);
            assert_eq!(found.as_deref(), expected, "{method} {header:?}");
        }
        assert_eq!(refused(&access, "POST", "/v1", &[here]), None, "a program's call without a body");
    }
}
