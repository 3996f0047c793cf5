//! Binding a port, and accepting connections on it: HTTP, HTTPS, or both, where the first byte decides.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::exchange::respond;
use crate::journal::Departure;
use crate::shared::{Desk, Shared};

/// How many connections one port holds at a time; the next one waits in the system's queue.
const MAX_CONNECTIONS: usize = 16_384;
/// A peer that sends nothing, or stalls a handshake, a header or a body, is left after this time. Real time: it guards
/// the machine, not the lab.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
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
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stopping.cancelled() => return,
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
        let (desk, shared, stopping) = (Arc::clone(&desk), Arc::clone(&shared), stopping.clone());
        let restarting = desk.restarting.load_full();
        tasks.spawn(async move {
            let _place = place;
            tokio::select! {
                biased; // or a request that has come meanwhile could be answered after the restart
                () = restarting.cancelled() => {}
                () = stopping.cancelled() => {}
                () = attend(stream, peer, speaks, &desk, &shared) => {}
            }
        });
    }
}

/// Attends to one connection until it ends.
async fn attend(stream: TcpStream, peer: SocketAddr, speaks: Speaks, desk: &Arc<Desk>, shared: &Arc<Shared>) {
    let _ = stream.set_nodelay(true);
    let is_tls = match speaks {
        Speaks::Http => false,
        Speaks::Https => true,
        Speaks::Both => match timeout(PATIENCE, first_byte(&stream)).await {
            Ok(Some(byte)) => byte == TLS_HANDSHAKE,
            Ok(None) | Err(_) => return shared.journal.left(peer, Departure::Silent),
        },
    };
    if !is_tls {
        return converse(stream, peer, false, desk, shared).await;
    }
    let acceptor = TlsAcceptor::from(desk.tls.load_full());
    match timeout(PATIENCE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => Box::pin(converse(stream, peer, true, desk, shared)).await,
        Ok(Err(error)) => shared.journal.left(peer, Departure::Handshake(error.to_string())),
        Err(_) => shared.journal.left(peer, Departure::Handshake("the handshake stalled".into())),
    }
}

async fn first_byte(stream: &TcpStream) -> Option<u8> {
    let mut byte = [0];
    match stream.peek(&mut byte).await {
        Ok(1) => Some(byte[0]),
        _ => None,
    }
}

/// Answers requests on a connection until it ends.
async fn converse<S>(stream: S, peer: SocketAddr, tls: bool, desk: &Arc<Desk>, shared: &Arc<Shared>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| respond(request, peer, tls, desk, shared));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_headers(64)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        shared.journal.left(peer, Departure::Http(error.to_string()));
    }
}
