//! Tokens: issued, refreshed, expired by the lab's clock, and revoked by a logout or a restart of the service.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use epm_client_agent::wire::provider;
use epm_protocol::time::Timestamp;
use parking_lot::{Mutex, MutexGuard};
use serde::{Deserialize, Serialize};

use crate::rest_api::auth::admin_store::{Administrator, Administrators};
use crate::rest_api::http::ApiError;

/// Maximum number of valid tokens; the oldest is replaced by the next.
const MOST: usize = 4_096;

/// The session of a token.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// The administrator.
    pub(crate) who: Arc<Administrator>,
    /// Access token.
    pub(crate) token: String,
    /// Time at which the token was issued.
    begun: Timestamp,
    /// Refresh token.
    pub(crate) refresh_token: String,
    /// Time at which the administrator logged in.
    refresh_begun: Timestamp,
    /// Sequence number of the token.
    number: u64,
}

impl Session {
    /// End of the token's validity.
    pub(crate) fn ends(&self, lasting: Lifetimes) -> Timestamp {
        self.begun + lasting.token
    }

    /// End of the refresh token's validity.
    pub(crate) fn refresh_ends(&self, lasting: Lifetimes) -> Timestamp {
        self.refresh_begun + lasting.refresh
    }
}

/// A session, as it outlives the process.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct KeptSession {
    who: String,
    token: String,
    begun: Timestamp,
    refresh_token: String,
    refresh_begun: Timestamp,
    number: u64,
}

/// Validity of tokens. A change applies to tokens that have been issued already too.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lifetimes {
    pub(crate) token: Duration,
    pub(crate) refresh: Duration,
}

/// The tokens of one manager.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    book: Mutex<Book>,
}

#[derive(Debug, Default)]
struct Book {
    /// Restart count of the service that the tokens belong to.
    restarts: u64,
    issued: u64,
    sessions: HashMap<String, Arc<Session>>,
}

impl Tokens {
    /// Issues a token.
    pub(crate) fn issue(
        &self,
        who: Arc<Administrator>,
        lasting: Lifetimes,
        restarts: u64,
        now: Timestamp,
    ) -> Arc<Session> {
        let mut book = self.book(restarts);
        book.sessions.retain(|_, one| now < one.refresh_ends(lasting) || now < one.ends(lasting));
        book.add(who, random_uuid(), now, now)
    }

    /// The session of a token.
    ///
    /// # Errors
    ///
    /// When the token is not valid.
    pub(crate) fn find(
        &self,
        token: &str,
        lasting: Lifetimes,
        restarts: u64,
        now: Timestamp,
    ) -> Result<Arc<Session>, ApiError> {
        match self.book(restarts).sessions.get(token) {
            Some(session) if now < session.ends(lasting) => Ok(Arc::clone(session)),
            _ => Err(ApiError::Token {
                error: "invalid_token".to_owned(),
                description: format!("Invalid access token: {}", shortened(token)),
            }),
        }
    }

    /// Issues a token for a refresh token. The old token is revoked if `ends` is set, otherwise it stays valid.
    pub(crate) fn refresh(
        &self,
        refresh_token: &str,
        lasting: Lifetimes,
        ends: bool,
        restarts: u64,
        now: Timestamp,
    ) -> Result<Arc<Session>, ApiError> {
        let mut book = self.book(restarts);
        let known = book.sessions.values().filter(|one| one.refresh_token == refresh_token);
        let known = known.max_by_key(|one| one.number);
        let Some(known) = known.filter(|one| now < one.refresh_ends(lasting)).cloned() else {
            return Err(ApiError::Grant {
                error: "invalid_grant".to_owned(),
                description: format!("Invalid refresh token: {}", shortened(refresh_token)),
            });
        };
        if ends {
            book.sessions.remove(&known.token);
        }
        let (refresh_token, refresh_begun) = (known.refresh_token.clone(), known.refresh_begun);
        Ok(book.add(Arc::clone(&known.who), refresh_token, refresh_begun, now))
    }

    /// All sessions, to be kept.
    pub(crate) fn kept(&self, restarts: u64) -> Vec<KeptSession> {
        let book = self.book(restarts);
        let mut kept: Vec<KeptSession> = book
            .sessions
            .values()
            .map(|one| KeptSession {
                who: one.who.login_name.clone(),
                token: one.token.clone(),
                begun: one.begun,
                refresh_token: one.refresh_token.clone(),
                refresh_begun: one.refresh_begun,
                number: one.number,
            })
            .collect();
        kept.sort_unstable_by_key(|one| one.number);
        kept
    }

    /// Continues with sessions of an earlier run.
    pub(crate) fn restore(&self, kept: Vec<KeptSession>, administrators: &Administrators) {
        let mut book = self.locked();
        book.issued = kept.iter().map(|one| one.number).max().unwrap_or(0);
        for KeptSession { who, token, begun, refresh_token, refresh_begun, number } in kept {
            let Some(who) = administrators.named(&who) else { continue };
            let session = Session { who, token: token.clone(), begun, refresh_token, refresh_begun, number };
            book.sessions.insert(token, Arc::new(session));
        }
    }

    /// Revokes a token, and with its refresh token all tokens that were issued for that.
    pub(crate) fn end(&self, token: &str, restarts: u64) {
        let mut book = self.book(restarts);
        if let Some(ended) = book.sessions.remove(token) {
            book.sessions.retain(|_, one| one.refresh_token != ended.refresh_token);
        }
    }

    /// Revokes all tokens.
    pub(crate) fn end_all(&self) {
        self.locked().sessions.clear();
    }

    /// The tokens issued since the last restart.
    fn book(&self, restarts: u64) -> MutexGuard<'_, Book> {
        let mut book = self.locked();
        if book.restarts < restarts {
            book.restarts = restarts;
            book.sessions.clear();
        }
        book
    }

    fn locked(&self) -> MutexGuard<'_, Book> {
        self.book.lock()
    }
}

impl Book {
    fn add(
        &mut self,
        who: Arc<Administrator>,
        refresh_token: String,
        refresh_begun: Timestamp,
        begun: Timestamp,
    ) -> Arc<Session> {
        if self.sessions.len() >= MOST
            && let Some(oldest) = self.sessions.values().min_by_key(|one| one.number).cloned()
        {
            self.sessions.remove(&oldest.token);
        }
        self.issued += 1;
        let number = self.issued;
        let session = Session { who, token: random_uuid(), begun, refresh_token, refresh_begun, number };
        let session = Arc::new(session);
        self.sessions.insert(session.token.clone(), Arc::clone(&session));
        session
    }
}

/// The error for a missing token.
pub(crate) fn none(error: &str) -> ApiError {
    ApiError::Token {
        error: error.to_owned(),
        description: "Full authentication is required to access this resource".to_owned(),
    }
}

/// A token, shortened for an error message.
fn shortened(token: &str) -> String {
    token.chars().take(80).collect()
}

/// A random UUID in lower case.
fn random_uuid() -> String {
    let mut bytes = [0; 16];
    if provider().secure_random.fill(&mut bytes).is_err() {
        tracing::error!("the operating system's random generator failed: the next token is predictable");
    }
    bytes[6] = bytes[6] & 0x0F | 0x40;
    bytes[8] = bytes[8] & 0x3F | 0x80;
    bytes.iter().enumerate().fold(String::with_capacity(36), |mut text, (at, byte)| {
        if matches!(at, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LASTING: Lifetimes =
        Lifetimes { token: Duration::from_secs(10), refresh: Duration::from_secs(100) };

    fn admin() -> Arc<Administrator> {
        Arc::new(Administrator::first("admin", "epm-lab"))
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn a_token_is_in_force_until_its_time_and_a_refreshed_one_takes_its_place() {
        let tokens = Tokens::default();
        let first = tokens.issue(admin(), LASTING, 0, at(0));
        assert!(tokens.find(&first.token, LASTING, 0, at(9)).is_ok());
        assert!(tokens.find(&first.token, LASTING, 0, at(10)).is_err());
        let second = tokens.refresh(&first.refresh_token, LASTING, true, 0, at(50)).unwrap();
        assert!(tokens.find(&second.token, LASTING, 0, at(59)).is_ok());
        assert!(tokens.find(&first.token, LASTING, 0, at(9)).is_err());
        let shorter = Lifetimes { token: Duration::from_secs(5), ..LASTING };
        assert!(tokens.find(&second.token, shorter, 0, at(54)).is_ok());
        assert!(tokens.find(&second.token, shorter, 0, at(55)).is_err());
        let third = tokens.refresh(&second.refresh_token, LASTING, false, 0, at(55)).unwrap();
        assert!(
            tokens.find(&second.token, LASTING, 0, at(56)).is_ok()
                && tokens.find(&third.token, LASTING, 0, at(56)).is_ok()
        );
        assert!(tokens.refresh(&second.refresh_token, LASTING, true, 0, at(100)).is_err());
        // Another log-in ends no token that is still in force.
        let long = Lifetimes { token: Duration::from_secs(300), ..LASTING };
        tokens.issue(admin(), long, 0, at(200));
        assert!(tokens.find(&third.token, long, 0, at(200)).is_ok());
    }

    #[test]
    fn a_restart_and_a_logout_end_tokens_for_good() {
        let tokens = Tokens::default();
        let [one, other] = [0, 1].map(|_| tokens.issue(admin(), LASTING, 0, at(0)));
        tokens.end(&one.token, 0);
        assert!(tokens.find(&one.token, LASTING, 0, at(1)).is_err());
        assert!(tokens.refresh(&one.refresh_token, LASTING, true, 0, at(1)).is_err());
        let refreshed = tokens.refresh(&other.refresh_token, LASTING, false, 0, at(1)).unwrap();
        let third = tokens.issue(admin(), LASTING, 0, at(1));
        tokens.end(&refreshed.token, 0);
        assert!(tokens.find(&other.token, LASTING, 0, at(1)).is_err(), "of the same refresh token");
        assert!(tokens.refresh(&other.refresh_token, LASTING, true, 0, at(1)).is_err());
        let other = third;
        assert!(tokens.find(&other.token, LASTING, 0, at(1)).is_ok());
        assert!(tokens.find(&other.token, LASTING, 1, at(1)).is_err());
        assert!(tokens.find(&other.token, LASTING, 0, at(1)).is_err());
    }

    #[test]
    fn the_oldest_token_makes_room_for_the_next() {
        let tokens = Tokens::default();
        let first = tokens.issue(admin(), LASTING, 0, at(0));
        let second = tokens.issue(admin(), LASTING, 0, at(0));
        for _ in 1..MOST {
            tokens.issue(admin(), LASTING, 0, at(0));
        }
        assert!(tokens.find(&first.token, LASTING, 0, at(1)).is_err());
        assert!(tokens.find(&second.token, LASTING, 0, at(1)).is_ok());
    }

    #[test]
    fn a_token_is_a_lower_case_uuid() {
        let uuid = random_uuid();
        assert_eq!((uuid.len(), uuid.matches('-').count()), (36, 4));
        assert_eq!(uuid, uuid.to_lowercase());
        assert_ne!(uuid, random_uuid());
    }
}
