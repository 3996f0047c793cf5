//! Scopes of tokens: what the holder of each may do at the control API. Knows nothing of the lab.

use std::fmt;

use aws_lc_rs::constant_time::verify_slices_are_equal as is_same;
use axum::http::Method;

use super::session::SESSION;

/// What a token is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Reads everything but files with private keys or session secrets, and changes nothing.
    Read,
    /// Sends reports of clients that run elsewhere, and nothing else.
    Report,
    /// Reads, changes and reports everything that the control API has.
    Control,
}

impl Scope {
    /// The scope that a request needs; none is enough besides [`Scope::Control`].
    pub(super) fn needed(method: &Method, path: &str) -> Self {
        if method == Method::PUT && path.starts_with(REPORTS) {
            return Self::Report;
        }
        let is_read = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        // Files with private keys, or with the secrets that decrypt what tools have sent. A session is only another form of the
        // token, and what a browser sends to be compared changes nothing.
        let is_recovery = path.starts_with("/v1/managers/") && path.ends_with("/recovery");
        let has_keys = is_recovery || [EVIDENCE, CAPTURE, SCENARIO, RECORDED].contains(&path);
        if is_read && !has_keys || [SESSION, COMPARE].contains(&path) { Self::Read } else { Self::Control }
    }

    /// The code of the error for a token of another scope.
    pub(super) const fn code(self) -> &'static str {
        match self {
            Self::Read => "scope-read",
            Self::Report => "scope-report",
            Self::Control => "scope-control",
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Report => "report",
            Self::Control => "control",
        })
    }
}

/// The tokens of a control API. None is ever shown.
#[derive(Clone, Default)]
pub(super) struct Tokens(Vec<(Scope, String)>);

impl Tokens {
    pub(super) fn add(&mut self, scope: Scope, token: &str) {
        self.0.push((scope, token.to_owned()));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The scope of this token; none if it is unknown. Takes as long for each token of one length.
    pub(super) fn scope_of(&self, given: &str) -> Option<Scope> {
        self.0.iter().fold(None, |found, (scope, token)| {
            if is_same(given.as_bytes(), token.as_bytes()).is_ok() { Some(*scope) } else { found }
        })
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(scope, _)| scope)).finish()
    }
}

/// Path of the evidence, which has the lab itself.
pub(super) const EVIDENCE: &str = "/v1/evidence";
/// Path at which a browser has files compared.
pub(super) const COMPARE: &str = "/page/compare";
/// Path of the capture.
pub(super) const CAPTURE: &str = "/v1/capture";
/// Path of the recorded scenario, with the keys that were imported.
pub(super) const SCENARIO: &str = "/v1/scenario";
/// Path of the page's view of the recorded scenario.
pub(super) const RECORDED: &str = "/scenario";
/// The beginning of the paths of reports.
pub(super) const REPORTS: &str = "/v1/reports/";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_enough_for_what_it_is_named_after() {
        for (method, path, needed) in [
            (Method::GET, "/v1/verdict", Scope::Read),
            (Method::GET, "/v1/scenario", Scope::Control),
            (Method::GET, "/scenario", Scope::Control),
            (Method::HEAD, "/metrics", Scope::Read),
            (Method::GET, "/clients/desk-1", Scope::Read),
            (Method::POST, "/page/session", Scope::Read),
            (Method::POST, "/page/compare", Scope::Read),
            (Method::GET, "/v1/reports", Scope::Read),
            (Method::GET, "/v1/managers/sepm-1/recovery", Scope::Control),
            (Method::GET, "/v1/evidence", Scope::Control),
            (Method::GET, "/v1/capture", Scope::Control),
            (Method::PUT, "/v1/reports/fleet", Scope::Report),
            (Method::PUT, "/v1/reports", Scope::Control),
            (Method::DELETE, "/v1/reports/fleet", Scope::Control),
            (Method::POST, "/v1/expectations", Scope::Control),
            (Method::POST, "/v1/commands", Scope::Control),
            (Method::PUT, "/v1/clock", Scope::Control),
        ] {
            assert_eq!(Scope::needed(&method, path), needed, "{method} {path}");
        }
    }

    #[test]
    fn tokens_are_told_apart_and_not_shown() {
        let mut tokens = Tokens::default();
        tokens.add(Scope::Control, "control-0123456789");
        tokens.add(Scope::Read, "read-0123456789abc");
        assert_eq!(tokens.scope_of("control-0123456789"), Some(Scope::Control));
        assert_eq!(tokens.scope_of("read-0123456789abc"), Some(Scope::Read));
        assert_eq!(tokens.scope_of("read-0123456789ab"), None);
        assert!(!format!("{tokens:?}").contains("0123456789"));
    }
}
