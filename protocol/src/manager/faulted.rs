//! The effect of a fault on a decoded request, in this order: an answer instead of the manager's
//! ([`intercept`]), a held request whose answer is lost at once ([`intercept`]), and last the manager's own answer,
//! altered ([`alter`]).
//!
//! [`crate::fault::FaultSet`] decides whether a rule hits. The driver handles faults of the bytes on the wire.

use super::previous::Previous;
use crate::fault::tamper::{self, TamperError, TamperInput, Tampered};
use crate::fault::{Hit, Route, Verdict, VirtualEffect, VirtualExchange};
use crate::heartbeat::{AgentRequest, ExchangeFailure, ManagerResponse};
use crate::site::{Publication, RegisteredClient};
use crate::time::Timestamp;

/// The effect of a fault before the manager is asked. The site does not learn of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intercepted {
    /// The fault answers instead of the manager.
    Answered(Tampered),
    /// The client gets no answer.
    Lost(ExchangeFailure),
}

/// Returns the effect of the fault before the manager is asked, if it has one.
pub fn intercept(hit: &Hit, request: &AgentRequest, meeting: &VirtualExchange<'_>) -> Option<Intercepted> {
    if let Some(tampered) = tamper::instead(hit) {
        return Some(Intercepted::Answered(tampered));
    }
    // A held request is answered some time later, but the fault acts at once.
    if !matches!(request, AgentRequest::Hold { .. }) {
        return None;
    }
    match Verdict::Hit(hit.clone()).in_virtual_time(&VirtualExchange { body_bytes: None, ..*meeting }) {
        Some(VirtualEffect::Fails(failure)) => Some(Intercepted::Lost(failure)),
        _ => None,
    }
}

/// Returns the answer that the fault gives to a call of the REST API, instead of the API, if it does.
pub fn intercept_call(hit: &Hit) -> Option<Tampered> {
    tamper::instead(hit)
}

/// Returns the manager's answer as the fault alters it. `client` is the client's record from before the request.
///
/// # Errors
///
/// When something that the fault needs is missing. Then the client gets the answer as it is.
pub fn alter(
    hit: &Hit,
    request: &AgentRequest,
    answer: ManagerResponse,
    client: Option<&RegisteredClient>,
    publication: &Publication,
    previous: Option<&Previous>,
    now: Timestamp,
) -> Result<Tampered, TamperError> {
    let answered_before = previous.and_then(|previous| previous.answer(request, client));
    let materials = TamperInput {
        signer: &publication.signer,
        retired: previous.map(|previous| &previous.signer),
        previous: answered_before.as_ref(),
        missing_status: publication.missing_status(),
        now,
    };
    tamper::alter(hit, Route::of(request), answer, &materials)
}
