//! Sessions of browsers: a token is exchanged for a cookie that no script can read and no other site sends. Which paths need
//! neither, and where a browser without a session is led.

use std::collections::VecDeque;

use aws_lc_rs::constant_time::verify_slices_are_equal as is_same;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, header};
use axum::response::{IntoResponse, Redirect, Response};
use parking_lot::Mutex;

use crate::page::{Asked, FILES};

/// Path of the form for the token.
pub(super) const LOG_IN: &str = "/log-in";
/// Path that exchanges a token for a session.
pub(super) const SESSION: &str = "/page/session";
/// Path of the style.
pub(super) const STYLE: &str = "/page/page.css";
/// Number of sessions that are kept, the latest ones.
const MOST: usize = 64;

/// Sessions of browsers, each with the header that it stands for.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<VecDeque<(String, HeaderValue)>>);

impl Sessions {
    /// Begins a session for this header; none if the operating system gives no random numbers.
    pub(super) fn begin(&self, authorization: &HeaderValue) -> Option<String> {
        let mut bytes = [0; 24];
        aws_lc_rs::rand::fill(&mut bytes).ok()?;
        let id = data_encoding::HEXLOWER.encode(&bytes);
        let mut all = self.0.lock();
        if all.len() == MOST {
            all.pop_front();
        }
        let mut authorization = authorization.clone();
        authorization.set_sensitive(true);
        all.push_back((id.clone(), authorization));
        Some(id)
    }

    /// Ends the session that a browser names.
    pub(super) fn end(&self, headers: &HeaderMap) {
        if let Some(id) = named(headers) {
            self.0.lock().retain(|(known, _)| known != id);
        }
    }

    /// Gives a request of a session the header that the session stands for, unless it has one of its own.
    pub(super) fn resume(&self, request: &mut Request) {
        if request.headers().contains_key(header::AUTHORIZATION) {
            return;
        }
        let Some(id) = named(request.headers()) else { return };
        let same = |(known, _): &&(String, HeaderValue)| is_same(known.as_bytes(), id.as_bytes()).is_ok();
        let found = self.0.lock().iter().find(same).map(|(_, authorization)| authorization.clone());
        if let Some(authorization) = found {
            request.headers_mut().insert(header::AUTHORIZATION, authorization);
        }
    }
}

/// The header that makes a browser keep this session, or forget it.
pub(super) fn cookie(headers: &HeaderMap, id: Option<&str>) -> Option<HeaderValue> {
    let age = if id.is_some() { "" } else { "; Max-Age=0" };
    let text =
        format!("{}={}; HttpOnly; SameSite=Strict; Path=/{age}", name(headers), id.unwrap_or_default());
    HeaderValue::from_str(&text).ok()
}

/// The name of the cookie: a browser does not tell the ports of a host apart.
fn name(headers: &HeaderMap) -> String {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let port = host.rsplit_once(':').map_or("80", |(_, port)| port);
    format!("epm-lab-{}", if port.bytes().all(|byte| byte.is_ascii_digit()) { port } else { "80" })
}

/// The session that a browser names.
fn named(headers: &HeaderMap) -> Option<&str> {
    let name = name(headers);
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|all| all.to_str().ok());
    let mut named = cookies.flat_map(|all| all.split(';')).filter_map(|one| one.trim().split_once('='));
    named.find(|(known, _)| *known == name).map(|(_, id)| id)
}

/// Whether a request needs no token: it is for the form for it, or for what that loads.
pub(super) fn is_public(path: &str) -> bool {
    path == LOG_IN || path == STYLE || path == FILES[0].0
}

/// Where a browser without a session is led, if it asks for a view.
pub(super) fn to_log_in(request: &Request) -> Option<Response> {
    let is_view = request.method() == Method::GET && Asked::of(request.uri().path(), "").is_some();
    let target = request.uri().path_and_query().map_or("/", |all| all.as_str());
    let target: String = form_urlencoded::byte_serialize(target.as_bytes()).collect();
    is_view.then(|| Redirect::to(&format!("{LOG_IN}?to={target}")).into_response())
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    #[test]
    fn a_session_stands_for_its_header_until_it_ends_and_only_at_its_port() {
        let sessions = Sessions::default();
        let bearer = HeaderValue::from_static("Bearer right-token-0123456");
        let id = sessions.begin(&bearer).expect("random numbers");
        let resumed = |host: &str, cookie: &str| {
            let request = Request::builder().header("host", host).header("cookie", cookie);
            let mut request = request.body(Body::empty()).expect("a request");
            sessions.resume(&mut request);
            request.headers().get(header::AUTHORIZATION).cloned()
        };
        let cookie = format!("other=1; epm-lab-8015={id}");
        assert_eq!(resumed("127.0.0.1:8015", &cookie), Some(bearer.clone()));
        assert_eq!(resumed("127.0.0.1:8016", &cookie), None);
        assert_eq!(resumed("127.0.0.1:8015", "epm-lab-8015="), None);
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("127.0.0.1:8015"));
        let set = super::cookie(&headers, Some(&id)).expect("a cookie");
        assert_eq!(
            set.to_str().expect("text"),
            format!("epm-lab-8015={id}; HttpOnly; SameSite=Strict; Path=/")
        );
        headers.insert("cookie", HeaderValue::from_str(&cookie).expect("a header"));
        sessions.end(&headers);
        assert_eq!(resumed("127.0.0.1:8015", &cookie), None);
        for _ in 0..=MOST {
            sessions.begin(&bearer).expect("random numbers");
        }
        assert_eq!(sessions.0.lock().len(), MOST);
    }
}
