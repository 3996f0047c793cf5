//! The connection of an agent to its manager: opened when an exchange needs it, closed when the session ends.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use epm_protocol::heartbeat::http::{self, SIGNATURE_HEADER};
use epm_protocol::heartbeat::{
    AgentRequest, Artifact, ContentType, ExchangeFailure, ManagerResponse, SignatureHeader, Stage,
};
use epm_protocol::policy::Protocol;
use epm_protocol::time::{Clock, Timestamp};
use epm_protocol::trust::Rejection;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Method, Request, header};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;

use super::clock::{LabClock, wait};
use super::tls_memory::{SharedTls, TicketSlot, TlsMemory};
use super::verifier::rejection_in;
use crate::agent::{Exchange, Server};

/// The largest client package that a client accepts, in bytes.
const MAX_PACKAGE: usize = 64 * 1024 * 1024;
/// The largest other answer that a client accepts, in bytes. A fleet may have dozens of them at once.
const MAX_ANSWER: usize = 16 * 1024 * 1024;
/// The most bytes that are read at once. A larger buffer full of interim answers (1xx) would keep a thread for seconds.
pub(super) const AT_ONCE: usize = 16 * 1024;
/// The longest time that the orderly end of a connection takes.
const GOODBYE: Duration = Duration::from_secs(1);

/// The session of an agent: a connection, and the TLS memory that outlives it.
#[derive(Debug)]
pub(super) struct Session {
    clock: Arc<LabClock>,
    memory: Option<TlsMemory>,
    /// What a client of a fleet shares with others, and its own ticket.
    shared: Option<(Arc<SharedTls>, Arc<TicketSlot>)>,
    open: Option<Open>,
    handshakes: Arc<Handshakes>,
    endpoint: Arc<Endpoint>,
}

/// A client's end of its connections, as seen from outside.
#[derive(Debug, Default)]
pub(super) struct Endpoint {
    /// The source address of connections to loopback; the system's choice if none.
    source: Option<Ipv4Addr>,
    /// Whether a closed connection leaves no port behind that waits for late packets.
    leaves_nothing: bool,
    /// The source of the open or last connection.
    at: Mutex<Option<SocketAddr>>,
    /// The connection to abandon.
    given_up: Mutex<Option<SocketAddr>>,
    /// Told when there is one.
    gives_up: Notify,
}

impl Endpoint {
    /// Makes the end of a client with this source address.
    pub(super) fn from(source: Option<Ipv4Addr>) -> Self {
        Self { source, ..Self::default() }
    }

    /// Makes the end of a client of a large fleet, whose connections leave no ports behind when they are closed: there
    /// would be none left after a few thousand. Its source is not known from outside, and it is never told to give up.
    pub(super) fn leaving_nothing(source: Option<Ipv4Addr>) -> Self {
        Self { source, leaves_nothing: true, ..Self::default() }
    }

    /// The source of the open or last connection.
    pub(super) fn at(&self) -> Option<SocketAddr> {
        *self.at.lock()
    }

    /// Abandons the open connection, as if the time limit of its exchange were over.
    pub(super) fn give_up(&self) {
        *self.given_up.lock() = self.at();
        self.gives_up.notify_waiters();
    }

    /// Returns when the open connection is to be abandoned.
    async fn ends(&self) {
        loop {
            let told = self.gives_up.notified();
            let given_up = *self.given_up.lock();
            if given_up.is_some() && given_up == self.at() {
                return;
            }
            told.await;
        }
    }

    fn is_at(&self, place: Option<SocketAddr>) {
        *self.at.lock() = place;
    }

    /// Opens a connection; from the source address, if there is one and the system allows it.
    async fn dial(&self, address: &str, port: u16) -> io::Result<TcpStream> {
        self.is_at(None);
        let target = address.parse::<Ipv4Addr>().ok().filter(Ipv4Addr::is_loopback);
        let own = self.source.zip(target).and_then(|(source, target)| {
            let socket = TcpSocket::new_v4().ok()?;
            socket.bind((source, 0).into()).ok()?;
            Some((socket, target))
        });
        let stream = match own {
            Some((socket, target)) => socket.connect((target, port).into()).await,
            None => TcpStream::connect((address, port)).await,
        }?;
        if self.leaves_nothing {
            let _ = stream.set_zero_linger();
        } else {
            self.is_at(stream.local_addr().ok());
        }
        Ok(stream)
    }
}

/// The number of TLS handshakes of an agent.
#[derive(Debug, Default)]
pub struct Handshakes {
    full: AtomicU64,
    resumed: AtomicU64,
}

impl Handshakes {
    /// The number of handshakes in which the manager showed its certificate.
    pub fn full(&self) -> u64 {
        self.full.load(Ordering::Relaxed)
    }

    /// The number of handshakes that resumed a session.
    pub fn resumed(&self) -> u64 {
        self.resumed.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Open {
    server: Server,
    /// None once the connection is to end.
    sender: Option<SendRequest<Full<Bytes>>>,
    task: JoinHandle<()>,
}

impl Open {
    fn is_open(&self) -> bool {
        self.sender.as_ref().is_some_and(|sender| !sender.is_closed())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Carries out an exchange on a connection of its own.
///
/// # Errors
///
/// When the exchange fails.
pub async fn ask_once(clock: Arc<LabClock>, exchange: &Exchange) -> Result<ManagerResponse, ExchangeFailure> {
    ask_from(None, clock, exchange).await
}

/// Carries out an exchange on a connection of its own, from this source address if the server is on loopback.
///
/// # Errors
///
/// When the exchange fails.
pub(super) async fn ask_from(
    source: Option<Ipv4Addr>,
    clock: Arc<LabClock>,
    exchange: &Exchange,
) -> Result<ManagerResponse, ExchangeFailure> {
    Session::new(clock, Arc::default(), Arc::new(Endpoint::from(source))).exchange(exchange).await
}

type Failed = Result<(), ExchangeFailure>;

/// Makes a call of an administrator's tool over HTTPS, and returns the status of the answer. Only the server, the check
/// of its certificate, and the deadline of the exchange are used.
///
/// # Errors
///
/// As for an exchange of a client.
pub async fn call_once(
    clock: Arc<LabClock>,
    exchange: &Exchange,
    call: Request<Full<Bytes>>,
) -> Result<u16, ExchangeFailure> {
    let lost = |detail: String| ExchangeFailure::ConnectionLost { stage: Stage::Answer, detail };
    let started = clock.now();
    let mut session = Session::new(clock, Arc::default(), Arc::default());
    session.connect(exchange, started).await?;
    let sender = session.open.as_mut().and_then(|open| open.sender.as_mut());
    let Some(sender) = sender else { return Err(lost("no connection".into())) };
    let response = sender.send_request(call).await.map_err(|error| lost(error.to_string()))?;
    Ok(response.status().as_u16())
}

impl Session {
    pub(super) fn new(clock: Arc<LabClock>, handshakes: Arc<Handshakes>, endpoint: Arc<Endpoint>) -> Self {
        Self { clock, memory: None, shared: None, open: None, handshakes, endpoint }
    }

    /// Makes the session of a client of a fleet, which lasts for one heartbeat: the fleet keeps configurations and ticket.
    pub(super) fn sharing(self, tls: Arc<SharedTls>, tickets: Arc<TicketSlot>) -> Self {
        Self { shared: Some((tls, tickets)), ..self }
    }

    pub(super) fn close(&mut self) {
        self.open = None;
    }

    /// Whether there is a connection that the next exchange may use.
    pub(super) fn is_open(&self) -> bool {
        self.open.as_ref().is_some_and(Open::is_open)
    }

    /// Closes the connection in order, TLS first, and returns when it is closed; after a second at the latest.
    pub(super) async fn end(&mut self) {
        let Some(mut open) = self.open.take() else { return };
        open.sender = None;
        tokio::select! {
            biased;
            _ = &mut open.task => {}
            () = wait(GOODBYE) => {}
        }
    }

    /// Carries out an exchange.
    pub(super) async fn exchange(&mut self, exchange: &Exchange) -> Result<ManagerResponse, ExchangeFailure> {
        let outcome = self.carry_out(exchange).await;
        let Server { protocol, address, port, .. } = &exchange.server;
        let action = exchange.request.action();
        match &outcome {
            Ok(ManagerResponse { status, .. }) => {
                tracing::debug!(%protocol, address, port, action, status, "exchange");
            }
            Err(failure) => tracing::debug!(%protocol, address, port, action, %failure, "exchange failed"),
        }
        outcome
    }

    async fn carry_out(&mut self, exchange: &Exchange) -> Result<ManagerResponse, ExchangeFailure> {
        let started = self.clock.now();
        let is_there = self.open.as_ref().is_some_and(|open| open.server == exchange.server);
        let reusable = is_there && self.is_open();
        if !reusable {
            self.open = None;
            self.connect(exchange, started).await?;
        }
        let clock = Arc::clone(&self.clock);
        let outcome =
            match within(&clock, &Arc::clone(&self.endpoint), exchange.deadline, self.ask(exchange)).await {
                Some(outcome) => outcome,
                None => Err(timed_out(&clock, Stage::Answer, started, exchange.deadline)),
            };
        if outcome.is_err() {
            self.open = None;
        }
        outcome
    }

    async fn connect(&mut self, exchange: &Exchange, started: Timestamp) -> Failed {
        let Server { address, port, protocol, .. } = &exchange.server;
        let clock = Arc::clone(&self.clock);
        let endpoint = Arc::clone(&self.endpoint);
        let dial = endpoint.dial(address, *port);
        let stream = match within(&clock, &endpoint, exchange.deadline, dial).await {
            None => return Err(timed_out(&clock, Stage::Connect, started, exchange.deadline)),
            Some(Err(error)) => return Err(connect_failure(&error, &exchange.server)),
            Some(Ok(stream)) => stream,
        };
        let _ = stream.set_nodelay(true);
        if *protocol == Protocol::Http {
            return self.speak(stream, exchange).await;
        }
        let memory = self.memory_for(exchange);
        let (verifier, config) = (Arc::clone(&memory.verifier), Arc::clone(&memory.config));
        let name = ServerName::try_from(address.clone())
            .map_err(|_| ExchangeFailure::NameNotResolved { host: address.clone() })?;
        let handshake = TlsConnector::from(config).connect(name, stream);
        let stream = match within(&clock, &endpoint, exchange.deadline, handshake).await {
            None => return Err(timed_out(&clock, Stage::Handshake, started, exchange.deadline)),
            Some(Err(error)) => return Err(handshake_failure(&error)),
            Some(Ok(stream)) => stream,
        };
        let connection = stream.get_ref().1;
        let shown = connection.peer_certificates().and_then(<[_]>::first);
        let judged = match shown {
            Some(certificate) => verifier.judge(certificate, address),
            None => Err(Rejection::Malformed { detail: "no certificate was presented".into() }),
        };
        let count = match connection.handshake_kind() {
            Some(rustls::HandshakeKind::Resumed) => &self.handshakes.resumed,
            _ => &self.handshakes.full,
        };
        count.fetch_add(1, Ordering::Relaxed);
        judged.map_err(|rejection| ExchangeFailure::TlsRejected { rejection })?;
        self.speak(stream, exchange).await
    }

    /// Speaks HTTP on a stream whose certificate is trusted.
    async fn speak<S>(&mut self, stream: S, exchange: &Exchange) -> Failed
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(AT_ONCE)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| ExchangeFailure::NotHttp { detail: error.to_string() })?;
        let task = tokio::spawn(async move {
            let _ = connection.await;
        });
        self.open = Some(Open { server: exchange.server.clone(), sender: Some(sender), task });
        Ok(())
    }

    async fn ask(&mut self, exchange: &Exchange) -> Result<ManagerResponse, ExchangeFailure> {
        let lost = |detail: String| ExchangeFailure::ConnectionLost { stage: Stage::Answer, detail };
        let sender = self.open.as_mut().and_then(|open| open.sender.as_mut());
        let Some(sender) = sender else { return Err(lost("no connection".into())) };
        let asked = http::encode(&exchange.request, &exchange.kcs);
        let server = &exchange.server;
        let method = if asked.body.is_some() { Method::POST } else { Method::GET };
        let request = Request::builder()
            .method(method)
            .uri(asked.target)
            .header(header::HOST, format!("{}:{}", server.address, server.port))
            .header(header::USER_AGENT, "Smc") // [C S35]
            .body(Full::new(asked.body.unwrap_or_default()))
            .map_err(|error| lost(error.to_string()))?;
        sender.ready().await.map_err(|error| lost(innermost(&error)))?;
        let response = sender.send_request(request).await.map_err(|error| {
            if error.is_parse() {
                ExchangeFailure::NotHttp { detail: chain(&error) }
            } else {
                lost(innermost(&error))
            }
        })?;
        let status = response.status().as_u16();
        let signature =
            response.headers().get(SIGNATURE_HEADER).map(|value| SignatureHeader::received(value.as_bytes()));
        let limit = match exchange.request {
            AgentRequest::Fetch { artifact: Artifact::Package(..), .. } => MAX_PACKAGE,
            _ => MAX_ANSWER,
        };
        let body = Limited::new(response.into_body(), limit).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                ExchangeFailure::TooLarge { limit }
            } else {
                lost(innermost(&*error))
            }
        })?;
        Ok(ManagerResponse { status, content_type: ContentType::Binary, signature, body: body.to_bytes() })
    }

    /// The TLS configuration for these beliefs; a new one, without tickets, if they have changed.
    fn memory_for(&mut self, exchange: &Exchange) -> &TlsMemory {
        let kept = self.memory.take().filter(|memory| memory.fits(exchange));
        let make = || match &self.shared {
            Some((tls, tickets)) => tls.memory_for(exchange, &self.clock, tickets),
            None => TlsMemory::new(exchange, &self.clock),
        };
        let memory = kept.unwrap_or_else(make);
        self.memory.insert(memory)
    }
}

/// Awaits the future; none if the lab's clock passes the deadline first, or the client is told to give up.
async fn within<F: Future>(
    clock: &LabClock,
    endpoint: &Endpoint,
    deadline: Timestamp,
    future: F,
) -> Option<F::Output> {
    tokio::select! {
        biased;
        result = future => Some(result),
        () = clock.sleep_until(deadline) => None,
        () = endpoint.ends() => None,
    }
}

fn timed_out(clock: &LabClock, stage: Stage, started: Timestamp, deadline: Timestamp) -> ExchangeFailure {
    let after = clock.now().max(deadline).since(started).as_millis();
    ExchangeFailure::TimedOut { stage, after_ms: u64::try_from(after).unwrap_or(u64::MAX) }
}

fn connect_failure(error: &io::Error, server: &Server) -> ExchangeFailure {
    let Server { address, port, protocol, .. } = server;
    let place = format!("{address}:{port}");
    let is_name = address.parse::<std::net::IpAddr>().is_err();
    match error.kind() {
        io::ErrorKind::ConnectionRefused => ExchangeFailure::ConnectionRefused { address: place },
        // The connection was open already, and its end came before the client was told of its beginning.
        io::ErrorKind::ConnectionReset => {
            let stage = if *protocol == Protocol::Https { Stage::Handshake } else { Stage::Answer };
            ExchangeFailure::ConnectionLost { stage, detail: error.to_string() }
        }
        _ if is_name && error.raw_os_error().is_none() => {
            ExchangeFailure::NameNotResolved { host: address.clone() }
        }
        _ => ExchangeFailure::Unreachable { address: place, detail: error.to_string() },
    }
}

fn handshake_failure(error: &io::Error) -> ExchangeFailure {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(tls) => match rejection_in(tls) {
            Some(rejection) => ExchangeFailure::TlsRejected { rejection },
            None => ExchangeFailure::TlsFailed { detail: tls.to_string() },
        },
        None => ExchangeFailure::ConnectionLost { stage: Stage::Handshake, detail: innermost(error) },
    }
}

/// The cause of an error that has no cause itself, which says what happened.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let cause = std::iter::successors(Some(error), |error| error.source()).last().unwrap_or(error);
    match cause.downcast_ref::<io::Error>() {
        // The words of the TLS library for it are advice to programmers.
        Some(ended) if ended.kind() == io::ErrorKind::UnexpectedEof => "the other side closed it".to_owned(),
        _ => cause.to_string(),
    }
}

/// An error with all its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_that_is_reset_before_the_client_looks_was_lost() {
        let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let reset = async {
            let (stream, _) = listener.accept().unwrap();
            stream.set_nonblocking(true).unwrap();
            TcpStream::from_std(stream).unwrap().set_zero_linger().unwrap();
        };
        let endpoint = Endpoint::default();
        let (dialed, ()) = tokio::join!(endpoint.dial("127.0.0.1", port), reset);
        let error = dialed.expect_err("the reset came first");
        for (protocol, expected) in [(Protocol::Http, Stage::Answer), (Protocol::Https, Stage::Handshake)] {
            let server = Server { address: "127.0.0.1".to_owned(), port, protocol, verify_ca: false };
            let failure = connect_failure(&error, &server);
            let is_lost =
                matches!(failure, ExchangeFailure::ConnectionLost { stage, .. } if stage == expected);
            assert!(is_lost, "{failure}");
        }
    }
}
