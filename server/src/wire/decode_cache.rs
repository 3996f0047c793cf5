//! The last decoded request of a connection: a client that keeps its connection open repeats its query until
//! something changes.
//!
//! The meaning of a query depends only on its text and the secret, so an equal query on the same connection need not
//! be verified and parsed again.

use bytes::Bytes;
use epm_protocol::heartbeat::AgentRequest;
use epm_protocol::heartbeat::http::{self, RequestError};
use epm_protocol::trust::Kcs;
use parking_lot::Mutex;

/// The last heartbeat on a connection, decoded.
#[derive(Debug, Default)]
pub(super) struct DecodeCache(Mutex<Option<Understood>>);

#[derive(Debug)]
struct Understood {
    query: String,
    kcs: Kcs,
    asked: AgentRequest,
}

impl DecodeCache {
    /// Like [`http::decode`], but faster for a repeated query.
    pub(super) fn decode(&self, query: &str, body: &Bytes, kcs: &Kcs) -> Result<AgentRequest, RequestError> {
        let mut last = self.0.lock();
        if let Some(last) = last.as_ref().filter(|last| last.query == query && last.kcs == *kcs) {
            return Ok(last.asked.clone());
        }
        let asked = http::decode(query, body, kcs)?;
        // For these, the query contains everything that matters.
        if matches!(asked, AgentRequest::Index { .. } | AgentRequest::Hold { .. }) {
            *last = Some(Understood { query: query.to_owned(), kcs: kcs.clone(), asked: asked.clone() });
        }
        Ok(asked)
    }
}

#[cfg(test)]
mod tests {
    use epm_protocol::id::{AgentId, Guid};
    use epm_protocol::trust::KcsError;

    use super::*;

    #[test]
    fn what_was_asked_last_is_understood_again_and_nothing_else_in_its_stead() {
        let (last, kcs) = (DecodeCache::default(), Kcs::derive(1));
        let index = |byte| AgentRequest::Index {
            agent: AgentId(Guid::from_bytes([byte; 16])),
            serial: None,
            turn: 0,
        };
        let decode = |query: &String, kcs: &Kcs| last.decode(query, &Bytes::new(), kcs);
        let sealed = |request: &AgentRequest| {
            let target = http::encode(request, &kcs).target;
            target.split_once('?').unwrap().1.to_owned()
        };
        for byte in [1, 1, 2, 2, 1] {
            assert_eq!(decode(&sealed(&index(byte)), &kcs), Ok(index(byte)));
        }
        let query = sealed(&index(1));
        assert_eq!(decode(&query, &Kcs::derive(2)), Err(RequestError::Kcs(KcsError::WrongSecret)));
        let forged = query.replace("agent=01", "agent=02");
        assert_eq!(decode(&forged, &kcs), Err(RequestError::Kcs(KcsError::WrongSecret)));
        assert_eq!(decode(&query, &kcs), Ok(index(1)));
    }
}
