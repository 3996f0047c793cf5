//! Binding a port, and accepting connections on it, whatever is spoken there.

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

/// How long a peer may send nothing, or stall a handshake, a header, a body or the reading of its answer. Real time: it
/// guards the machine, not the lab.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How often stalled peers are looked for; a peer may stay so much longer than [`PATIENCE`].
const ROUND: Duration = Duration::from_secs(3);

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

/// Where accepted connections are entered, and how many there may be.
pub(super) struct Room<'a> {
    pub(super) connections: &'a Arc<Connections>,
    /// A place for each connection; the next one waits in the system's queue.
    pub(super) places: &'a Arc<Semaphore>,
    pub(super) tasks: &'a TaskTracker,
}

/// Accepts connections until the token is cancelled, each attended to by a task of its own. Peers that stall are sent away
/// and told to `stalled`.
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
                // Out of descriptors, most likely: others must leave before another can come.
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
