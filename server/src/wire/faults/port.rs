//! A port that is closed while a fault says so.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use epm_protocol::policy::Protocol;
use epm_protocol::time::Clock;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

use crate::runtime::connections::Connection;
use crate::runtime::context::ManagerContext;
use crate::runtime::faults::{Port, closes};
use crate::runtime::journal::ConnectionClosed;
use crate::runtime::service::Service;
use crate::wire::context::Speaks;
use crate::wire::listener::{Room, accept};

/// Length of the system's queue of waiting connections, as at the first opening.
const QUEUE: u32 = 1024;
/// Interval between attempts to bind the port again.
const AGAIN: Duration = Duration::from_millis(5);

/// Accepts connections until the token is cancelled, each attended by its own task. While a fault closes the port, or the service
/// behind it has failed to start, it does not listen.
pub(in super::super) async fn listen<A: Future<Output = ()> + Send + 'static>(
    mut listener: TcpListener,
    speaks: Speaks,
    manager: &Arc<ManagerContext>,
    room: Room<'_>,
    stopping: &CancellationToken,
    attend: impl Fn(TcpStream, Connection) -> A,
) {
    let stalled = |peer| manager.journal.connection_closed(peer, ConnectionClosed::Stalled);
    let place = listener.local_addr();
    let _recorded = Recorded { manager, place: place.as_ref().ok().copied() };
    let note = |is_open| {
        if let Ok(address) = place {
            let port = Port { manager: manager.runtime.name.clone(), speaks: spoken(speaks), is_open };
            manager.faults.port_is(address, port);
        }
    };
    loop {
        // Of a port that is closed from the start, no connection is accepted.
        let is_closed = tokio::select! {
            biased;
            () = until(manager, speaks, Wanted::Closed) => true,
            () = std::future::ready(()) => false,
        };
        if !is_closed {
            note(true);
            let pause = stopping.child_token();
            room.tasks.spawn(watch(Arc::clone(manager), speaks, pause.clone()));
            accept(&listener, room, &pause, stalled, &attend).await;
        }
        let Ok(address) = listener.local_addr() else { break };
        if stopping.is_cancelled() {
            break;
        }
        drop(listener);
        note(false);
        match reopened(address, manager, speaks, stopping).await {
            Some(again) => listener = again,
            None => break,
        }
    }
}

/// Forgets a port when its listener ends.
struct Recorded<'a> {
    manager: &'a ManagerContext,
    place: Option<SocketAddr>,
}

impl Drop for Recorded<'_> {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.manager.faults.port_has_ended(place);
        }
    }
}

/// Cancels the token when the port is to be closed; ends when another task cancels it.
async fn watch(manager: Arc<ManagerContext>, speaks: Speaks, pause: CancellationToken) {
    tokio::select! {
        () = until(&manager, speaks, Wanted::Closed) => pause.cancel(),
        () = pause.cancelled() => {}
    }
}

/// Reopens the port when the fault ends; none if the site stops before.
///
/// While the port is closed, a socket reserves its number without listening, so that no other process gets it as a
/// free port. Open connections stay open.
async fn reopened(
    address: SocketAddr,
    manager: &ManagerContext,
    speaks: Speaks,
    stopping: &CancellationToken,
) -> Option<TcpListener> {
    let mut held = None;
    // The closed listener may keep the number for a moment, while another thread still uses it.
    let mut again = interval(AGAIN);
    {
        let mut opening = pin!(until(manager, speaks, Wanted::Open));
        loop {
            tokio::select! {
                () = &mut opening => break,
                _ = again.tick(), if held.is_none() => held = hold(address).ok(),
                () = stopping.cancelled() => return None,
            }
        }
    }
    loop {
        let socket = held.take().map_or_else(|| hold(address), Ok);
        match socket.and_then(|socket| socket.listen(QUEUE)) {
            Ok(listener) => return Some(listener),
            Err(error) => {
                tracing::debug!(%error, %address, manager = manager.runtime.name, "the port is not free yet");
            }
        }
        tokio::select! {
            _ = again.tick() => {}
            () = stopping.cancelled() => return None,
        }
    }
}

/// The wanted state of a port.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Open,
    Closed,
}

async fn until(manager: &ManagerContext, speaks: Speaks, wanted: Wanted) {
    let port = spoken(speaks);
    let service = if port.is_some() { Service::Semwebsrv } else { Service::Semsrv };
    let mut stopped = manager.runtime.service(service).0.subscribe();
    let mut changes = manager.faults.changes();
    loop {
        changes.mark_unchanged();
        let now = manager.clock.now();
        let set = manager.faults.set();
        let is_stopped = *stopped.borrow_and_update();
        let is_closed = is_stopped || closes(&set, &manager.runtime.name, port, now);
        if is_closed == (wanted == Wanted::Closed) {
            return;
        }
        tokio::select! {
            _ = changes.changed() => {}
            _ = stopped.changed() => {}
            () = manager.clock.sleep_until(set.next_turn(now)) => {
                manager.faults.sweep();
            }
        }
    }
}

/// The protocols of a port for clients; none for that of the REST API.
const fn spoken(speaks: Speaks) -> Option<&'static [Protocol]> {
    Some(match speaks {
        Speaks::Both => &[Protocol::Http, Protocol::Https],
        Speaks::Http => &[Protocol::Http],
        Speaks::Https => &[Protocol::Https],
        Speaks::Rest => return None,
    })
}

fn hold(address: SocketAddr) -> std::io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
