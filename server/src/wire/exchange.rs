//! One request and its response.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use epm_client_agent::wire::Stopwatch;
use epm_protocol::heartbeat::http::{HELLO_QUERY, MAX_QUERY, MAX_UPLOAD, RequestError, SECARS_PATH};
use epm_protocol::heartbeat::{AgentRequest, ManagerResponse};
use epm_protocol::manager::refusal;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, Uri};
use tokio::time::timeout;

use crate::runtime::install_dir::Access;
use crate::runtime::redact;
use crate::runtime::service::Service;
use crate::runtime::transfer::{KeptBody, KeptResponse, Transfer};
use crate::wire::body_budget::CLIENTS_PORTS;
use crate::wire::context::{ExchangeProgress, RequestContext, written};
use crate::wire::faults::exchange::answered;
use crate::wire::faults::raw_response::WrittenRaw;
use crate::wire::listener::PATIENCE;

/// The result of a request.
type Outcome = Result<Response<Full<Bytes>>, WrittenRaw>;

/// A response, ready in most cases: only uploads and held requests have to wait.
pub(super) enum Responding<'a> {
    Ready(Option<Response<Full<Bytes>>>),
    Waiting(Pin<Box<dyn Future<Output = Outcome> + Send + 'a>>),
}

/// Answers one request, and records the exchange in the journal; a manager with an installation folder also writes its access
/// log.
pub(super) fn respond(request: Request<Incoming>, context: RequestContext<'_>) -> Responding<'_> {
    let (watch, began) = (Stopwatch::start(), context.manager.now());
    let installation = context.manager.runtime.installation.get();
    let access = installation.map(|one| (one, Access::of(context.connection.peer.ip(), &request)));
    let (head, body) = request.into_parts();
    let responding = responding(&head, body, context);
    let answered = move |response: Option<&Response<Full<Bytes>>>| {
        if let (Some((installation, access)), Some(response)) = (access, response) {
            let told = (response.status().as_u16(), response.body().size_hint().exact().unwrap_or_default());
            installation.accessed(Service::Semwebsrv, &access, context.manager.now(), told);
        }
        let ExchangeProgress { body, record } = std::mem::take(&mut *context.progress.lock());
        if let Some(record) = record {
            let took = watch.elapsed();
            context.manager.runtime.counters.exchange(&record, took);
            let response = response.map(|response| KeptResponse {
                headers: response.headers().clone(),
                body: KeptBody::of(&content(response)),
            });
            // No client sends credentials, but a tool may by mistake.
            let mut head = head;
            redact::headers(&mut head.headers);
            head.uri = redact::uri(&head.uri);
            let mut transfer = Transfer { took, response, ..Transfer::of(head, began) };
            transfer.request_body = KeptBody::received(&body);
            context.manager.journal.note(record, transfer);
        }
    };
    match responding {
        Responding::Ready(response) => {
            answered(response.as_ref());
            Responding::Ready(response)
        }
        Responding::Waiting(outcome) => Responding::Waiting(Box::pin(async move {
            let outcome = outcome.await;
            answered(outcome.as_ref().ok());
            outcome
        })),
    }
}

/// The body of a response, which is in memory.
fn content(response: &Response<Full<Bytes>>) -> Bytes {
    let mut body = response.body().clone();
    match Pin::new(&mut body).poll_frame(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
        _ => Bytes::new(),
    }
}

fn responding<'a>(head: &Parts, body: Incoming, context: RequestContext<'a>) -> Responding<'a> {
    if head.uri.path() != SECARS_PATH {
        let words = "unknown path: this mock manager serves /secars/secars.dll, for example /secars/secars.dll?hello,secars\n";
        return context.refuse("unknown-path", 404, words).into();
    }
    let query = head.uri.query().unwrap_or_default();
    if query.len() > MAX_QUERY {
        return context.refuse("too-long", 414, "the query is too long\n").into();
    }
    if head.method == Method::POST {
        return context.waiting(context.upload(head.uri.clone(), body));
    }
    context.answer(query, &Bytes::new())
}

impl<'a> RequestContext<'a> {
    /// Answers once the body has arrived.
    async fn upload(self, uri: Uri, body: Incoming) -> Outcome {
        let body = match timeout(PATIENCE, Limited::new(CLIENTS_PORTS.body(body), MAX_UPLOAD).collect()).await
        {
            Ok(Ok(body)) => body.to_bytes(),
            Err(_) => return Ok(self.refuse("stalled", 408, "timed out waiting for the body\n")),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                return Ok(self.refuse("too-large", 413, "the body is too large\n"));
            }
            Ok(Err(_)) => {
                return Ok(self.refuse("broken-off", 400, "the body is incomplete or malformed\n"));
            }
        };
        self.progress.lock().body = body.clone();
        self.answer(uri.query().unwrap_or_default(), &body).await
    }

    fn answer(self, query: &str, body: &Bytes) -> Responding<'a> {
        let Self { manager, .. } = self;
        let published = self.published();
        let asked = match self.decode_cache.decode(query, body, &published.publication.kcs) {
            Ok(asked) => asked,
            Err(error) => {
                if matches!(error, RequestError::Kcs(_)) && query != HELLO_QUERY {
                    self.note_bad_format();
                }
                self.note("refused", None, 400, manager.now());
                return written(refusal(&error)).into();
            }
        };
        if manager.faults.any() {
            return self.waiting(answered(self, asked));
        }
        let (action, agent) = (asked.action(), asked.agent());
        if matches!(asked, AgentRequest::Hold { .. }) {
            return self.waiting(async move {
                let answer = self.hold(&asked).await;
                self.note(action, agent, answer.status, manager.now());
                Ok(written(answer))
            });
        }
        let now = manager.now();
        let answer = manager.site.serve(&published.publication, &asked, now);
        self.note(action, agent, answer.status, now);
        written(answer).into()
    }

    fn refuse(self, action: &'static str, status: u16, words: &str) -> Response<Full<Bytes>> {
        self.note(action, None, status, self.manager.now());
        written(ManagerResponse::text(status, words))
    }

    /// The manager has the turn until the answer is ready.
    fn waiting(self, response: impl Future<Output = Outcome> + Send + 'a) -> Responding<'a> {
        Responding::Waiting(Box::pin(async move {
            self.connection.turn();
            let response = response.await;
            self.connection.turn();
            response
        }))
    }
}

impl From<Response<Full<Bytes>>> for Responding<'_> {
    fn from(response: Response<Full<Bytes>>) -> Self {
        Self::Ready(Some(response))
    }
}

impl Future for Responding<'_> {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Ready(response) => {
                response.take().map_or(Poll::Pending, |response| Poll::Ready(Ok(response)))
            }
            Self::Waiting(response) => response.as_mut().poll(context),
        }
    }
}
