//! The state of a manager before its last change. Only faults use it.

use std::sync::Arc;

use crate::fault::Past;
use crate::heartbeat::{AgentRequest, ManagerResponse};
use crate::site::{Answer, Publication, RegisteredClient};
use crate::trust::ServerIdentity;

/// The state of a manager before its last change: its publication and its certificates.
#[derive(Clone, Debug)]
pub struct Previous {
    /// The publication before the present one.
    pub publication: Arc<Publication>,
    /// The certificate that the clients' port showed before the present one; the present one if there was no other.
    pub identity: ServerIdentity,
    /// The certificate whose key signed before the present one; the present one if there was no other.
    pub signer: ServerIdentity,
}

impl Previous {
    /// Returns the previous state once `next` is published instead of `before`; none if both answer the same and
    /// nothing has changed. `known` is the previous state of `before`.
    pub fn after(before: &Arc<Publication>, next: &Publication, known: Option<&Self>) -> Option<Self> {
        if before.answers_as(next) {
            return None;
        }
        // If a certificate stays the same, the one before it stays the previous one.
        let replaced = |was: &ServerIdentity, is: &ServerIdentity, known: Option<&ServerIdentity>| {
            if was == is { known.unwrap_or(was).clone() } else { was.clone() }
        };
        Some(Self {
            publication: Arc::clone(before),
            identity: replaced(&before.identity, &next.identity, known.map(|one| &one.identity)),
            signer: replaced(&before.signer, &next.signer, known.map(|one| &one.signer)),
        })
    }

    /// Returns what faults can use of the state before this publication.
    pub fn past(previous: Option<&Self>, now: &Publication) -> Past {
        previous.map_or_else(Past::default, |before| Past {
            certificate: before.identity != now.identity,
            signer: before.signer != now.signer,
            publication: true,
        })
    }

    /// Returns what the manager would have answered to this request; none if it would have held the request.
    pub fn answer(
        &self,
        request: &AgentRequest,
        client: Option<&RegisteredClient>,
    ) -> Option<ManagerResponse> {
        match self.publication.answer(request, client).0 {
            Answer::Now(response) => Some(response),
            Answer::WhenChanged => None,
        }
    }
}
