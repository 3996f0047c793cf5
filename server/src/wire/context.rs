//! What a response is made from: the connection of the request, and the manager that answers.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::Guard;
use bytes::Bytes;
use epm_protocol::fault::{Hit, Moment};
use epm_protocol::heartbeat::http::{MOCK_HEADER, SIGNATURE_HEADER};
use epm_protocol::heartbeat::{AgentRequest, ContentType, ManagerResponse};
use epm_protocol::id::AgentId;
use epm_protocol::policy::Protocol;
use epm_protocol::time::{Clock, Timestamp};
use http_body_util::Full;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use crate::runtime::capture::Flow;
use crate::runtime::connections::Connection;
use crate::runtime::context::ManagerContext;
use crate::runtime::journal::Record;
use crate::runtime::manager::{Generation, Published};
use crate::wire::activity::LateClose;
use crate::wire::decode_cache::DecodeCache;
use crate::wire::faults::raw_response::RawResponse;

/// Protocols of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// HTTP and HTTPS, told apart by the first byte.
    Both,
    /// HTTP only.
    Http,
    /// HTTPS only.
    Https,
    /// The REST API over HTTPS.
    Rest,
}

/// Serves a connection from its first byte to its end; a fault may have changed the stream.
pub(super) trait Conversation: Sync {
    /// Serves the connection.
    fn greet<S: Line>(&self, stream: S, context: RequestContext<'_>) -> impl Future<Output = ()> + Send;
}

/// A connection, with or without TLS.
pub(super) trait Line: AsyncRead + AsyncWrite + Unpin + Send {
    /// Makes the peer see a reset when the connection is dropped.
    fn reset_when_dropped(&self);
}

impl Line for TcpStream {
    fn reset_when_dropped(&self) {
        let _ = self.set_zero_linger();
    }
}

impl<S: Line> Line for TlsStream<S> {
    fn reset_when_dropped(&self) {
        self.get_ref().0.reset_when_dropped();
    }
}

/// The connection of a request, and the manager that answers.
#[derive(Clone, Copy)]
pub(super) struct RequestContext<'a> {
    pub(super) connection: &'a Connection,
    pub(super) tls: bool,
    /// The generation of the handshake; none without TLS.
    pub(super) generation: Option<&'a Generation>,
    pub(super) manager: &'a ManagerContext,
    pub(super) decode_cache: &'a DecodeCache,
    /// Response that a fault writes instead of the HTTP one.
    pub(super) raw_response: &'a Mutex<Option<RawResponse>>,
    /// Delay before the connection is closed.
    pub(super) late_close: Duration,
    /// Whether a fault acts on this connection or exchange.
    pub(super) faulted: bool,
    /// What is known of the exchange in progress.
    pub(super) progress: &'a Mutex<ExchangeProgress>,
    /// What a capture knows of the connection; none unless the traffic is captured.
    pub(super) flow: Option<&'a Arc<Flow>>,
}

/// What is known of an exchange before its response is complete.
#[derive(Debug, Default)]
pub(super) struct ExchangeProgress {
    pub(super) body: Bytes,
    pub(super) record: Option<Record>,
}

impl<'a> RequestContext<'a> {
    /// Logs a message with another secret, as the manager does.
    pub(in crate::wire) fn note_bad_format(&self) {
        let (manager, peer) = (self.manager, self.connection.peer.ip());
        manager.journal.bad_format(peer);
        if let Some(installation) = manager.runtime.installation.get() {
            installation.bad_format(peer, manager.now());
        }
    }

    /// Returns the context of the same connection after a handshake with this generation.
    pub(super) fn of<'b>(self, generation: &'b Generation) -> RequestContext<'b>
    where
        'a: 'b,
    {
        RequestContext { generation: Some(generation), ..self }
    }

    /// Returns the publication that this connection answers from: the newest with the certificate of its handshake, or,
    /// without TLS, the present one.
    pub(super) fn published(self) -> Guard<Arc<Published>> {
        self.generation.map_or_else(|| self.manager.runtime.published(), Generation::published)
    }

    /// Passes the request to the site, and waits for its answer.
    pub(super) async fn ask(self, published: &Published, asked: &AgentRequest) -> ManagerResponse {
        let Self { manager, .. } = self;
        if matches!(asked, AgentRequest::Hold { .. }) {
            return self.hold(asked).await;
        }
        manager.site.serve(&published.publication, asked, manager.now())
    }

    /// Holds a request until there is an answer to it.
    pub(super) async fn hold(self, asked: &AgentRequest) -> ManagerResponse {
        let published = || Guard::into_inner(self.published());
        self.manager.clients.hold(published, (asked, self.connection), || self.manager.now()).await
    }

    /// Completes when the connection may be closed; none if it is closed without delay.
    pub(super) fn late(self) -> Option<LateClose> {
        let (clock, time) = (Arc::clone(&self.manager.clock), self.late_close);
        let late = async move { clock.sleep_until(clock.now() + time).await };
        (!time.is_zero()).then(|| Box::pin(late) as LateClose)
    }

    /// Tells a capture that a fault acts on the connection, or on the present exchange.
    pub(super) fn touched(self, hit: &Hit, moment: Moment) {
        if let Some(flow) = self.flow {
            flow.touch(hit, moment);
        }
    }

    /// Protocol that the client uses on this connection.
    pub(super) const fn protocol(self) -> Protocol {
        if self.tls { Protocol::Https } else { Protocol::Http }
    }

    /// Notes the outcome of an exchange, for the journal.
    pub(super) fn note(self, action: &'static str, agent: Option<AgentId>, status: u16, at: Timestamp) {
        let Self { connection, tls, manager, faulted, .. } = self;
        self.progress.lock().record = Some(Record {
            at,
            manager: manager.runtime.number,
            peer: connection.peer,
            tls,
            action,
            agent,
            status,
            faulted,
        });
    }
}

/// The answer as an HTTP response.
pub(super) fn written(answer: ManagerResponse) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    let content_type = match answer.content_type {
        ContentType::Text => &TEXT,
        ContentType::Xml => &XML,
        ContentType::Binary => &BINARY,
    };
    headers.insert(CONTENT_TYPE, content_type.clone());
    headers.insert(&MOCK_NAME, MOCK_VALUE.clone());
    if let Some(signature) = answer.signature
        && let Ok(value) = HeaderValue::from_maybe_shared(signature.as_bytes().clone())
    {
        headers.insert(&SIGNATURE_NAME, value);
    }
    response
}

static TEXT: HeaderValue = HeaderValue::from_static(ContentType::Text.header());
static XML: HeaderValue = HeaderValue::from_static(ContentType::Xml.header());
static BINARY: HeaderValue = HeaderValue::from_static(ContentType::Binary.header());
static MOCK_NAME: HeaderName = HeaderName::from_static(MOCK_HEADER.0);
static MOCK_VALUE: HeaderValue = HeaderValue::from_static(MOCK_HEADER.1);
static SIGNATURE_NAME: HeaderName = HeaderName::from_static(SIGNATURE_HEADER);
