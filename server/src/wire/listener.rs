//! Binds a port and accepts connections on it, for any protocol.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use epm_client_agent::wire::Stopwatch;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::runtime::connections::{Connection, Connections};
use crate::runtime::descriptors::DESCRIPTORS;
use crate::runtime::repeated::Repeated;

/// Longest time in which a peer may send nothing, or stall a handshake, a header, a body or the reading of its
/// response. In real time: it protects the machine, not the lab.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Interval of the check for stalled peers, and so the tolerance of [`PATIENCE`].
const ROUND: Duration = Duration::from_secs(3);

/// Pauses after a connection could not be accepted.
const SHORTEST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Time after which a full port looks again for an idle connection.
const SOON: Duration = Duration::from_millis(100);

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
    pub(super) places: &'a Places,
    pub(super) tasks: &'a TaskTracker,
}

/// Permits for connections. For the last one, the connections that have been idle for the longest time are ended; where
/// none is idle, a new connection waits in the system's queue.
#[derive(Debug)]
pub(super) struct Places {
    own: Arc<Semaphore>,
    /// Permits that all ports of the managers share; none for the control API.
    shared: Option<Arc<Semaphore>>,
}

impl Places {
    /// Places of a port of a manager.
    pub(super) fn of_a_port(most: usize) -> Self {
        Self { own: Arc::new(Semaphore::new(most)), shared: Some(Arc::clone(&DESCRIPTORS.ports)) }
    }

    /// Places of the control API.
    pub(super) fn of_the_control_api() -> Self {
        let most = DESCRIPTORS.division.control_connections();
        Self { own: Arc::new(Semaphore::new(most)), shared: None }
    }

    fn is_full(&self) -> bool {
        let shared = self.shared.as_ref().is_some_and(|shared| shared.available_permits() == 0);
        shared || self.own.available_permits() == 0
    }

    async fn take(&self) -> Place {
        let own = Arc::clone(&self.own).acquire_owned().await;
        let shared = match &self.shared {
            Some(shared) => Some(Arc::clone(shared).acquire_owned().await),
            None => None,
        };
        Place { _own: own, _shared: shared }
    }
}

type Permit = Result<OwnedSemaphorePermit, AcquireError>;

/// The place of a connection, free again when dropped.
struct Place {
    _own: Permit,
    _shared: Option<Permit>,
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
    let mut now = rounds.tick().await;
    let running = Stopwatch::start();
    let (mut full, mut failed) = (Repeated::new(), Repeated::new());
    let (mut backs_off, mut error) = (Duration::ZERO, None);
    loop {
        let is_full = room.places.is_full();
        if is_full {
            full.add();
            room.connections.end_idlest(now).into_iter().for_each(&stalled);
        }
        tell(listener, room.connections, (&mut full, &mut failed), error.as_ref(), running.elapsed());
        let next = async {
            if !backs_off.is_zero() {
                pause(backs_off).await;
            }
            let place = room.places.take().await;
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            () = pause(SOON), if is_full => continue,
            tick = rounds.tick() => {
                now = tick;
                room.connections.end_stalled(now, PATIENCE).into_iter().for_each(&stalled);
                continue;
            }
            () = stopping.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            // The peer has gone again.
            Err(gone) if gone.kind() == io::ErrorKind::ConnectionAborted => continue,
            Err(why) => {
                // Most likely something else in the process took the descriptors: it must end first.
                failed.add();
                backs_off = (backs_off * 2).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
                error = Some(why);
                continue;
            }
        };
        backs_off = Duration::ZERO;
        room.connections.receive(peer, |connection| {
            let attending = attend(stream, connection);
            room.tasks.spawn(async move {
                let _place = place;
                attending.await;
            })
        });
    }
}

async fn pause(time: Duration) {
    let _ = timeout(time, std::future::pending::<()>()).await;
}

/// Tells what a port could not do since it told last.
fn tell(
    listener: &TcpListener,
    connections: &Connections,
    (full, failed): (&mut Repeated, &mut Repeated),
    error: Option<&io::Error>,
    now: Duration,
) {
    let port = || listener.local_addr().map_or_else(|_| "a closed port".to_owned(), |port| port.to_string());
    if let Some(times) = full.due(now) {
        tracing::warn!(
            port = port(),
            connections = connections.count(),
            times,
            limit = DESCRIPTORS.division.limit,
            "port is full: idle connections are ended for further ones; a higher limit of files (ulimit -n) makes room"
        );
    }
    if let (Some(times), Some(error)) = (failed.due(now), error) {
        tracing::warn!(port = port(), %error, times, "cannot accept connections; trying again");
    }
}
