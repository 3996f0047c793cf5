//! An exchange under faults: the rules are asked once, and their verdict is carried out.

use std::time::Duration;

use arc_swap::Guard;
use bytes::Bytes;
use epm_protocol::fault::FaultKind;
use epm_protocol::fault::tamper::Tampered;
use epm_protocol::fault::{Hit, Moment, VirtualExchange};
use epm_protocol::heartbeat::{AgentRequest, ManagerResponse};
use epm_protocol::manager::Registrar as _;
use epm_protocol::manager::faulted::{Intercepted, alter, intercept};
use epm_protocol::site::RegisteredClient;
use http_body_util::Full;
use hyper::Response;
use hyper::header::{HeaderName, HeaderValue};

use crate::runtime::faults::judging::FaultQuery;
use crate::runtime::manager::Published;
use crate::wire::context::{RequestContext, written};
use crate::wire::faults::raw_response::{RawResponse, WrittenRaw};

/// Answers a request as the site would, changed by the faults.
pub(in super::super) async fn answered(
    context: RequestContext<'_>,
    asked: AgentRequest,
) -> Result<Response<Full<Bytes>>, WrittenRaw> {
    let RequestContext { connection, manager, .. } = context;
    let asker = FaultQuery { peer: connection.peer, protocol: context.protocol(), manager };
    let published = Guard::into_inner(context.published());
    let Some(hit) = asker.judge_exchange(&asked) else {
        let answer = context.ask(&published, &asked).await;
        note(context, &asked, answer.status);
        return Ok(written(answer));
    };
    context.touched(&hit, Moment::Exchange);
    let context = RequestContext { faulted: true, ..context };
    // The client itself notices a missing answer, and when to give up.
    let meeting =
        VirtualExchange { address: "", protocol: context.protocol(), limit: Duration::MAX, body_bytes: None };
    let tampered = match intercept(&hit, &asked, &meeting) {
        Some(Intercepted::Answered(tampered)) => tampered,
        Some(Intercepted::Lost(_)) => plain(ManagerResponse::empty(200)),
        None => {
            let client = match &asked {
                AgentRequest::Probe(probe) => Some((&manager.site).admitted(&probe.registration)),
                asked => asked.agent().and_then(|agent| manager.clients.status(agent)).map(|one| one.client),
            };
            let answer = context.ask(&published, &asked).await;
            altered(&hit, &asked, client.as_ref(), answer, &published, context)
        }
    };
    if matches!(hit.rule.what, FaultKind::KcsChanged) {
        context.note_bad_format();
    }
    note(context, &asked, tampered.response.status);
    sent(&hit, tampered, context, written)
}

/// The answer changed by the fault, or unchanged if the fault lacks what it needs.
fn altered(
    hit: &Hit,
    asked: &AgentRequest,
    client: Option<&RegisteredClient>,
    answer: ManagerResponse,
    Published { publication, previous }: &Published,
    context: RequestContext<'_>,
) -> Tampered {
    let RequestContext { manager, connection, .. } = context;
    alter(hit, asked, answer.clone(), client, publication, previous.as_deref(), manager.now()).unwrap_or_else(
        |error| {
            manager.journal.fault_skipped(connection.peer, error.to_string());
            plain(answer)
        },
    )
}

/// Sends a changed answer as HTTP, in the form that `written` gives it, with the headers of the fault; or leaves it in the context to
/// be written byte by byte. The journal is told of a header that cannot be sent.
pub(super) fn sent<B>(
    hit: &Hit,
    answer: Tampered,
    context: RequestContext<'_>,
    written: impl FnOnce(ManagerResponse) -> Response<B>,
) -> Result<Response<B>, WrittenRaw> {
    if let Some(raw_response) = RawResponse::of(hit, &answer) {
        *context.raw_response.lock() = Some(raw_response);
        return Err(WrittenRaw);
    }
    let mut response = written(answer.response);
    for (name, value) in answer.headers {
        match HeaderValue::try_from(value) {
            Ok(value) => {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
            Err(error) => {
                let why = format!("the header {name} cannot be sent: {error}");
                context.manager.journal.fault_skipped(context.connection.peer, why);
            }
        }
    }
    Ok(response)
}

fn note(context: RequestContext<'_>, asked: &AgentRequest, status: u16) {
    let (action, agent) = (asked.action(), asked.agent());
    context.note(action, agent, status, context.manager.now());
}

const fn plain(response: ManagerResponse) -> Tampered {
    Tampered { response, headers: Vec::new() }
}
