//! An exchange while there are faults: the rules are asked once, and what they say is carried out.

use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use epm_protocol::fault::tamper::{TamperInput, Tampered, alter, instead};
use epm_protocol::fault::{Hit, Route, Verdict, VirtualEffect, VirtualExchange};
use epm_protocol::heartbeat::{AgentRequest, ManagerResponse};
use epm_protocol::site::{Answer, RegisteredClient};
use http_body_util::Full;
use hyper::Response;
use hyper::header::{HeaderName, HeaderValue};

use crate::runtime::faults::judging::FaultQuery;
use crate::wire::exchange::{RequestContext, written};
use crate::wire::faults::raw_response::{RawResponse, WrittenRaw};

/// Answers a request as the site would, and as the faults have it.
pub(in super::super) async fn answered(
    context: RequestContext<'_>,
    asked: AgentRequest,
) -> Result<Response<Full<Bytes>>, WrittenRaw> {
    let RequestContext { connection, manager, .. } = context;
    let asker = FaultQuery { peer: connection.peer, protocol: context.protocol(), manager };
    let Some(hit) = asker.judge_exchange(&asked) else {
        let answer = context.ask(&asked).await;
        note(context, &asked, answer.status);
        return Ok(written(answer));
    };
    let tampered = match instead(&hit) {
        Some(tampered) => tampered,
        None if is_lost_at_once(&hit, &asked, context) => plain(ManagerResponse::empty(200)),
        None => {
            let client = who(&asked)
                .and_then(|agent| manager.clients.status(agent))
                .map(|client_status| client_status.client);
            let answer = context.ask(&asked).await;
            altered(&hit, &asked, client.as_ref(), answer, context)
        }
    };
    note(context, &asked, tampered.response.status);
    match RawResponse::of(&hit, &tampered) {
        Some(raw_response) => {
            *context.raw_response.lock().unwrap_or_else(PoisonError::into_inner) = Some(raw_response);
            Err(WrittenRaw)
        }
        None => Ok(with_headers(tampered)),
    }
}

/// A held request is answered some time, and a fault that loses the answer is there at once.
fn is_lost_at_once(hit: &Hit, asked: &AgentRequest, context: RequestContext<'_>) -> bool {
    let meeting =
        VirtualExchange { address: "", protocol: context.protocol(), limit: Duration::MAX, body_bytes: None };
    let verdict = Verdict::Hit(hit.clone());
    matches!(asked, AgentRequest::Hold { .. })
        && matches!(verdict.in_virtual_time(&meeting), Some(VirtualEffect::Fails(_)))
}

/// What the fault makes of the answer; the answer as it is, if the fault needs something that there is not.
fn altered(
    hit: &Hit,
    asked: &AgentRequest,
    client: Option<&RegisteredClient>,
    answer: ManagerResponse,
    context: RequestContext<'_>,
) -> Tampered {
    let RequestContext { manager, connection, .. } = context;
    let publication = manager.runtime.publication.load_full();
    let earlier = manager.runtime.earlier.load_full();
    let previous = earlier.as_ref().and_then(|earlier| match earlier.published.answer(asked, client).0 {
        Answer::Now(response) => Some(response),
        Answer::WhenChanged => None,
    });
    let missing_status = manager.site.read().assumptions().missing_status;
    let materials = TamperInput {
        signer: &publication.signer,
        retired: earlier.as_ref().map(|earlier| &earlier.signer),
        previous: previous.as_ref(),
        missing_status,
        now: manager.now(),
    };
    alter(hit, Route::of(asked), answer.clone(), &materials).unwrap_or_else(|error| {
        manager.journal.spares(connection.peer, error.to_string());
        plain(answer)
    })
}

fn with_headers(tampered: Tampered) -> Response<Full<Bytes>> {
    let mut response = written(tampered.response);
    for (name, value) in tampered.headers {
        if let Ok(value) = HeaderValue::try_from(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}

fn note(context: RequestContext<'_>, asked: &AgentRequest, status: u16) {
    let (action, agent) = (asked.action(), asked.agent());
    context.note(action, agent, status, context.manager.now());
}

fn who(asked: &AgentRequest) -> Option<epm_protocol::id::AgentId> {
    asked.agent()
}

const fn plain(response: ManagerResponse) -> Tampered {
    Tampered { response, headers: Vec::new() }
}
