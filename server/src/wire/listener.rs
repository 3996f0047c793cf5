//! Binds a port and accepts connections on it, for any protocol.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::runtime::connections::{Connection, Connections};

/// Longest time in which a peer may send nothing, or stall a handshake, a header, a body or the reading of its
/// response. In real time: it protects the machine, not the lab.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Interval of the check for stalled peers, and so the tolerance of [`PATIENCE`].
const ROUND: Duration = Duration::from_secs(3);

/// Why a port cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} for manager {manager:?}: {source}{}", advice(source))]
pub struct BindError {
    /// Name of the manager.
    pub manager: String,
    /// Host and port.
    pub address: String,
    /// Error of the operating system.
    pub source: io::Error,
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            "; stop the program that listens there, or choose another port (0 for any free one)"
        }
        io::ErrorKind::PermissionDenied => "; ports below 1024 need privileges, choose a higher one",
        io::ErrorKind::AddrNotAvailable => "; this machine does not have that address",
        _ => "",
    }
}

/// Opens a port for a manager.
///
/// # Errors
///
/// When the port cannot be opened.
pub(crate) async fn bind(manager: &str, address: &str, port: u16) -> Result<TcpListener, BindError> {
    TcpListener::bind((address, port)).await.map_err(|source| BindError {
        manager: manager.to_owned(),
        address: format!("{address}:{port}"),
        source,
    })
}

/// The register for accepted connections, and their limit.
#[derive(Clone, Copy)]
pub(super) struct Room<'a> {
    pub(super) connections: &'a Arc<Connections>,
    /// A permit for each connection; further ones wait in the system's queue.
    pub(super) places: &'a Arc<Semaphore>,
    pub(super) tasks: &'a TaskTracker,
}

/// Accepts connections until the token is cancelled, each served by its own task. Stalled peers are disconnected and
/// passed to `stalled`.
pub(super) async fn accept<A: Future<Output = ()> + Send + 'static>(
    listener: &TcpListener,
    room: Room<'_>,
    stopping: &CancellationToken,
    stalled: impl Fn(SocketAddr),
    attend: impl Fn(TcpStream, Connection) -> A,
) {
    let mut rounds = interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let next = async {
            let place = Arc::clone(room.places).acquire_owned().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            now = rounds.tick() => {
                room.connections.end_stalled(now, PATIENCE).into_iter().for_each(&stalled);
                continue;
            }
            () = stopping.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Most likely out of descriptors: other connections must end first.
                tracing::warn!(%error, listener = ?listener.local_addr().ok(), "cannot accept a connection");
                tokio::task::yield_now().await;
                continue;
            }
        };
        room.connections.receive(peer, |connection| {
            let attending = attend(stream, connection);
            room.tasks.spawn(async move {
                let _place = place;
                attending.await;
            })
        });
    }
}
