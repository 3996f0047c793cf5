//! What a fault makes of a request that the manager has understood, in this order: an answer in the manager's stead
//! ([`intercept`]), a held request whose answer is lost at once ([`intercept`]), and at last the manager's own answer,
//! altered ([`alter`]).
//!
//! Whether a rule hits is [`crate::fault::FaultSet`]'s to say. What concerns bytes on the wire is the driver's.

use super::previous::Previous;
use crate::fault::tamper::{self, TamperError, TamperInput, Tampered};
use crate::fault::{Hit, Route, Verdict, VirtualEffect, VirtualExchange};
use crate::heartbeat::{AgentRequest, ExchangeFailure, ManagerResponse};
use crate::site::{Publication, RegisteredClient};
use crate::time::Timestamp;

/// What a fault does before the manager is asked. The site does not learn of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intercepted {
    /// This is answered in the manager's stead.
    Answered(Tampered),
    /// The client is not answered at all.
    Lost(ExchangeFailure),
}

/// What the fault does before the manager is asked, if anything.
pub fn intercept(hit: &Hit, request: &AgentRequest, meeting: &VirtualExchange<'_>) -> Option<Intercepted> {
    if let Some(tampered) = tamper::instead(hit) {
        return Some(Intercepted::Answered(tampered));
    }
    // The answer to a held request comes some time, and the fault is there at once.
    if !matches!(request, AgentRequest::Hold { .. }) {
        return None;
    }
    match Verdict::Hit(hit.clone()).in_virtual_time(&VirtualExchange { body_bytes: None, ..*meeting }) {
        Some(VirtualEffect::Fails(failure)) => Some(Intercepted::Lost(failure)),
        _ => None,
    }
}

/// What the fault makes of the manager's answer. `client` is the client's record from before the request.
///
/// # Errors
///
/// When the fault needs something that there is not. Then the client gets the answer as it is.
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
