//! Binding a port, and accepting connections on it: HTTP, HTTPS, or both, where the first byte decides.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::exchange::{Door, respond};
use super::guests::Guest;
use super::last_asked::LastAsked;
use super::paced::Paced;
use crate::journal::Departure;
use crate::shared::{Desk, Shared};

/// How many connections one port holds at a time; the next one waits in the system's queue.
const MAX_CONNECTIONS: usize = 16_384;
/// A peer that sends nothing, or stalls a handshake, a header, a body or the reading of its answer, is left after this
/// time. Real time: it guards the machine, not the lab.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
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
/// ended.
pub(crate) async fn serve(
    listener: TcpListener,
    speaks: Speaks,
    desk: Arc<Desk>,
    shared: Arc<Shared>,
    stopping: CancellationToken,
    tasks: TaskTracker,
) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut rounds = interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let next = async {
            let place = Arc::clone(&room).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            now = rounds.tick() => {
                for peer in desk.guests.end_stalled(now, PATIENCE) {
                    shared.journal.left(peer, Departure::Stalled);
                }
                continue;
            }
            () = stopping.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: others must leave before another can come.
                tracing::warn!(%error, manager = desk.name, "cannot accept a connection");
                tokio::task::yield_now().await;
                continue;
            }
        };
        desk.guests.receive(peer, |guest| {
            let (desk, shared) = (Arc::clone(&desk), Arc::clone(&shared));
            tasks.spawn(async move {
                let _place = place;
                attend(stream, &guest, speaks, &desk, &shared).await;
            })
        });
    }
    desk.guests.end_all();
}

/// Attends to one connection until it ends.
async fn attend(stream: TcpStream, guest: &Guest, speaks: Speaks, desk: &Desk, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    let is_tls = match speaks {
        Speaks::Http => false,
        Speaks::Https => true,
        Speaks::Both => match timeout(PATIENCE, first_byte(&stream)).await {
            Ok(Some(byte)) => byte == TLS_HANDSHAKE,
            Ok(None) | Err(_) => return shared.journal.left(guest.peer, Departure::Silent),
        },
    };
    let last_asked = LastAsked::default();
    let door = Door { guest, tls: is_tls, desk, shared, last_asked: &last_asked };
    if !is_tls {
        return converse(stream, door).await;
    }
    let acceptor = TlsAcceptor::from(desk.tls.load_full());
    let why = match timeout(PATIENCE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => return Box::pin(converse(stream, door)).await,
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the handshake stalled".to_owned(),
    };
    shared.journal.handshake_failed(guest.peer, desk.number, shared.now(), why);
}

async fn first_byte(stream: &TcpStream) -> Option<u8> {
    let mut byte = [0];
    match stream.peek(&mut byte).await {
        Ok(1) => Some(byte[0]),
        _ => None,
    }
}

/// Answers requests on a connection until it ends.
async fn converse<S>(stream: S, door: Door<'_>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    // From here on, whoever makes the rounds sees to it that the peer does not stall: hyper's own timer is made and
    // dropped with every request, which costs more than the answer.
    door.guest.turn();
    let connection = http1::Builder::new().max_buf_size(16 * 1024).serve_connection(
        TokioIo::new(Paced::new(stream, door.guest)),
        service_fn(|request| respond(request, door)),
    );
    if let Err(error) = connection.await {
        door.shared.journal.left(door.guest.peer, Departure::Http(error.to_string()));
    }
}
