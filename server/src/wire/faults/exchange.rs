//! An exchange while there are faults: the rules are asked once, and what they say is carried out.

use std::sync::PoisonError;
use std::time::Duration;

use bytes::Bytes;
use epm_protocol::fault::tamper::{Materials, Tampered, alter, instead};
use epm_protocol::fault::{Effect, Hit, Meeting, Route, Verdict};
use epm_protocol::heartbeat::{AgentRequest, ManagerResponse};
use epm_protocol::site::{Answer, Client};
use http_body_util::Full;
use hyper::Response;
use hyper::header::{HeaderName, HeaderValue};

use crate::runtime::faults::Asker;
use crate::wire::exchange::{Door, written};
use crate::wire::faults::raw_response::{Script, Scripted};

/// Answers a request as the site would, and as the faults have it.
pub(in super::super) async fn answered(
    door: Door<'_>,
    asked: AgentRequest,
) -> Result<Response<Full<Bytes>>, Scripted> {
    let Door { guest, desk, shared, .. } = door;
    let asker = Asker { peer: guest.peer, protocol: door.protocol(), desk, shared };
    let Some(hit) = asker.judge_exchange(&asked) else {
        let answer = door.ask(&asked).await;
        note(door, &asked, answer.status);
        return Ok(written(answer));
    };
    let tampered = match instead(&hit) {
        Some(tampered) => tampered,
        None if is_lost_at_once(&hit, &asked, door) => plain(ManagerResponse::empty(200)),
        None => {
            let client = who(&asked).and_then(|agent| shared.seat(agent)).map(|seat| seat.client);
            let answer = door.ask(&asked).await;
            altered(&hit, &asked, client.as_ref(), answer, door)
        }
    };
    note(door, &asked, tampered.response.status);
    match Script::of(&hit, &tampered) {
        Some(script) => {
            *door.script.lock().unwrap_or_else(PoisonError::into_inner) = Some(script);
            Err(Scripted)
        }
        None => Ok(with_headers(tampered)),
    }
}

/// A held request is answered some time, and a fault that loses the answer is there at once.
fn is_lost_at_once(hit: &Hit, asked: &AgentRequest, door: Door<'_>) -> bool {
    let meeting = Meeting { address: "", protocol: door.protocol(), limit: Duration::MAX, body_bytes: None };
    let verdict = Verdict::Hit(hit.clone());
    matches!(asked, AgentRequest::Hold { .. })
        && matches!(verdict.in_virtual_time(&meeting), Some(Effect::Fails(_)))
}

/// What the fault makes of the answer; the answer as it is, if the fault needs something that there is not.
fn altered(
    hit: &Hit,
    asked: &AgentRequest,
    client: Option<&Client>,
    answer: ManagerResponse,
    door: Door<'_>,
) -> Tampered {
    let Door { desk, shared, guest, .. } = door;
    let publication = desk.publication.load_full();
    let earlier = desk.earlier.load_full();
    let previous = earlier.as_ref().and_then(|earlier| match earlier.published.answer(asked, client).0 {
        Answer::Now(response) => Some(response),
        Answer::WhenChanged => None,
    });
    let missing_status = shared.site().assumptions().missing_status;
    let materials = Materials {
        signer: &publication.signer,
        retired: earlier.as_ref().map(|earlier| &earlier.signer),
        previous: previous.as_ref(),
        missing_status,
        now: shared.now(),
    };
    alter(hit, Route::of(asked), answer.clone(), &materials).unwrap_or_else(|error| {
        shared.journal.spares(guest.peer, error.to_string());
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

fn note(door: Door<'_>, asked: &AgentRequest, status: u16) {
    let (action, agent) = (asked.action(), asked.agent());
    door.note(action, agent, status, door.shared.now());
}

fn who(asked: &AgentRequest) -> Option<epm_protocol::id::AgentId> {
    asked.agent()
}

const fn plain(response: ManagerResponse) -> Tampered {
    Tampered { response, headers: Vec::new() }
}
