//! Binding a port, and accepting connections on it: HTTP, HTTPS, or both, where the first byte decides.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use epm_protocol::time::Clock;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::runtime::connections::Connection;
use crate::runtime::context::ManagerContext;
use crate::runtime::faults::Port;
use crate::runtime::faults::judging::FaultQuery;
use crate::runtime::journal::ConnectionClosed;
use crate::wire::activity::ActivityStream;
use crate::wire::decode_cache::DecodeCache;
use crate::wire::exchange::{RequestContext, respond};
use crate::wire::faults::{self, Line};

/// How many connections one port holds at a time; the next one waits in the system's queue.
const MAX_CONNECTIONS: usize = 16_384;
/// A peer that sends nothing, or stalls a handshake, a header, a body or the reading of its answer, is left after this
/// time. Real time: it guards the machine, not the lab.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How often somebody looks for peers that stall a header or an answer; so much longer may they stay.
const ROUND: Duration = Duration::from_secs(3);
/// The first byte of a TLS record that carries a handshake.
const TLS_HANDSHAKE: u8 = 0x16;

/// What a port speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaks {
    /// HTTP and HTTPS; the first byte decides.
    Both,
    /// HTTP alone.
    Http,
    /// HTTPS alone.
    Https,
}

/// Why a port cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for manager {manager:?}: {source}{}", advice(source))]
pub struct BindError {
    /// The manager.
    pub manager: String,
    /// Host and port.
    pub address: String,
    /// What the system said.
    pub source: io::Error,
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; stop what listens there, or choose another port (0 takes any that is free)"
        }
        io::ErrorKind::PermissionDenied => "; ports below 1024 want privileges, choose a higher one",
        io::ErrorKind::AddrNotAvailable => "; this machine does not have that address",
        _ => "",
    }
}

/// Takes a port for a manager.
///
/// # Errors
///
/// When it cannot be had.
pub(crate) async fn bind(manager: &str, address: &str, port: u16) -> Result<TcpListener, BindError> {
    TcpListener::bind((address, port)).await.map_err(|source| BindError {
        manager: manager.to_owned(),
        address: format!("{address}:{port}"),
        source,
    })
}

/// Accepts connections until the token is cancelled; then the port is closed when this returns, and the connections are
/// ended. While a fault has the port closed, nobody listens.
pub(crate) async fn serve(
    mut listener: TcpListener,
    speaks: Speaks,
    manager: Arc<ManagerContext>,
    stopping: CancellationToken,
    tasks: TaskTracker,
) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let place = listener.local_addr();
    let note = |is_open| {
        if let Ok(address) = place {
            let port =
                Port { manager: manager.runtime.name.clone(), speaks: faults::spoken(speaks), is_open };
            manager.faults.port_is(address, port);
        }
    };
    note(true);
    loop {
        let pause = stopping.child_token();
        tasks.spawn(faults::watch(Arc::clone(&manager), speaks, pause.clone()));
        accept(&listener, speaks, &manager, &room, &pause, &tasks).await;
        let Ok(address) = listener.local_addr() else { break };
        if stopping.is_cancelled() {
            break;
        }
        drop(listener);
        note(false);
        match faults::reopened(address, &manager, speaks, &stopping).await {
            Some(again) => {
                listener = again;
                note(true);
            }
            None => break,
        }
    }
    manager.runtime.connections.end_all();
}

/// Accepts connections until the token is cancelled.
async fn accept(
    listener: &TcpListener,
    speaks: Speaks,
    manager: &Arc<ManagerContext>,
    room: &Arc<Semaphore>,
    pause: &CancellationToken,
    tasks: &TaskTracker,
) {
    let mut rounds = interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let next = async {
            let place = Arc::clone(room).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            now = rounds.tick() => {
                for peer in manager.runtime.connections.end_stalled(now, PATIENCE) {
                    manager.journal.left(peer, ConnectionClosed::Stalled);
                }
                continue;
            }
            () = pause.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: others must leave before another can come.
                tracing::warn!(%error, manager = manager.runtime.name, "cannot accept a connection");
                tokio::task::yield_now().await;
                continue;
            }
        };
        manager.runtime.connections.receive(peer, |connection| {
            let manager = Arc::clone(manager);
            tasks.spawn(async move {
                let _place = place;
                attend(stream, &connection, speaks, &manager).await;
            })
        });
    }
}

/// Attends to one connection until it ends.
async fn attend(stream: TcpStream, connection: &Connection, speaks: Speaks, manager: &ManagerContext) {
    let _ = stream.set_nodelay(true);
    if manager.runtime.stopped.load(Ordering::SeqCst) {
        return;
    }
    let is_tls = match speaks {
        Speaks::Http => false,
        Speaks::Https => true,
        Speaks::Both => match timeout(PATIENCE, first_byte(&stream)).await {
            Ok(Some(byte)) => byte == TLS_HANDSHAKE,
            Ok(None) | Err(_) => return manager.journal.left(connection.peer, ConnectionClosed::Silent),
        },
    };
    let (decode_cache, raw_response) = (DecodeCache::default(), Mutex::new(None));
    let late_close = Duration::ZERO;
    let context = RequestContext {
        connection,
        tls: is_tls,
        manager,
        decode_cache: &decode_cache,
        raw_response: &raw_response,
        late_close,
    };
    if manager.faults.any() {
        let asker = FaultQuery { peer: connection.peer, protocol: context.protocol(), manager };
        if let Some(hit) = asker.judge_connection() {
            return Box::pin(faults::attend(stream, hit, context)).await;
        }
    }
    greet(stream, context).await;
}

/// Attends to a connection from its first byte on.
pub(super) async fn greet<S: Line>(stream: S, context: RequestContext<'_>) {
    let RequestContext { connection, manager, .. } = context;
    if !context.tls {
        return converse(stream, context).await;
    }
    let acceptor = TlsAcceptor::from(manager.runtime.tls.load_full());
    let why = match timeout(PATIENCE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => return Box::pin(converse(stream, context)).await,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the handshake stalled".to_owned(),
    };
    manager.journal.handshake_failed(connection.peer, manager.runtime.number, manager.now(), why);
}

async fn first_byte(stream: &TcpStream) -> Option<u8> {
    let mut byte = [0];
    match stream.peek(&mut byte).await {
        Ok(1) => Some(byte[0]),
        _ => None,
    }
}

/// Answers requests on a connection until it ends.
pub(super) async fn converse<S: Line>(mut stream: S, context: RequestContext<'_>) {
    // From here on, whoever makes the rounds sees to it that the peer does not stall: hyper's own timer is made and
    // dropped with every request, which costs more than the answer.
    context.connection.turn();
    let mut paced = ActivityStream::new(&mut stream, context.connection);
    if !context.late_close.is_zero() {
        let (clock, time) = (Arc::clone(&context.manager.clock), context.late_close);
        paced = paced.closed_after(Box::pin(async move { clock.sleep_until(clock.now() + time).await }));
    }
    let connection = http1::Builder::new()
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(paced), service_fn(|request| respond(request, context)));
    let Err(error) = connection.await else { return };
    let raw_response = context.raw_response.lock().unwrap_or_else(PoisonError::into_inner).take();
    match raw_response {
        Some(raw_response) => Box::pin(faults::play(raw_response, stream, context)).await,
        None => {
            context.manager.journal.left(context.connection.peer, ConnectionClosed::Http(error.to_string()));
        }
    }
}
