//! Serving a router over HTTPS: the console's port. Not the hot path.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::guests::Guest;
use super::listen::PATIENCE;
use super::paced::Paced;
use crate::console::Peer;
use crate::installation::Access;
use crate::journal::Departure;
use crate::shared::{Desk, Service, Shared};

/// How many connections one console holds at a time; the next one waits in the system's queue.
const MAX_CONNECTIONS: usize = 512;
/// How often somebody looks for peers that stall.
const ROUND: Duration = Duration::from_secs(3);

/// Accepts connections until the token is cancelled; then the port is closed when this returns, and the connections are
/// ended.
pub(crate) async fn serve_console(
    listener: TcpListener,
    router: Router,
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
                for peer in desk.console.guests.end_stalled(now, PATIENCE) {
                    shared.journal.left(peer, Departure::Stalled);
                }
                continue;
            }
            () = stopping.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, manager = desk.name, "cannot accept a connection of the console");
                tokio::task::yield_now().await;
                continue;
            }
        };
        desk.console.guests.receive(peer, |guest| {
            let (desk, shared, router) = (Arc::clone(&desk), Arc::clone(&shared), router.clone());
            tasks.spawn(async move {
                let _place = place;
                attend(stream, &guest, router, &desk, &shared).await;
            })
        });
    }
    desk.console.guests.end_all();
}

/// Attends to one connection until it ends.
async fn attend(stream: TcpStream, guest: &Guest, router: Router, desk: &Desk, shared: &Shared) {
    let _ = stream.set_nodelay(true);
    if desk.console.stopped.load(Ordering::SeqCst) {
        return;
    }
    let Some(tls) = desk.console.tls.load_full() else { return };
    let mut stream = match timeout(PATIENCE, TlsAcceptor::from(tls).accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return shared.journal.left(guest.peer, Departure::Handshake(error.to_string())),
        Err(_) => return shared.journal.left(guest.peer, Departure::Stalled),
    };
    guest.turn();
    let web = TowerToHyperService::new(router);
    let drops = shared.site().assumptions().rest_drops_connection_after_post;
    let posted = AtomicBool::new(false);
    let respond = |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(guest.peer));
        let installation = desk.installation.get().map(|one| (one, Access::of(guest.peer.ip(), &request)));
        let is_dropped = drops && posted.load(Ordering::Relaxed);
        posted.fetch_or(request.method() == Method::POST, Ordering::Relaxed);
        let response = (!is_dropped).then(|| web.call(request.map(Body::new)));
        async move {
            guest.turn();
            let Some(response) = response else {
                return Err(io::Error::other(
                    "the connection has carried a POST, and is dropped as is assumed",
                ));
            };
            let response = response.await.map_err(|never| match never {});
            guest.turn();
            if let (Some((installation, access)), Ok(response)) = (installation, &response) {
                let told =
                    (response.status().as_u16(), response.body().size_hint().exact().unwrap_or_default());
                installation.accessed(Service::Semsrv, &access, shared.now(), told);
            }
            response
        }
    };
    let connection = http1::Builder::new()
        .serve_connection(TokioIo::new(Paced::new(&mut stream, guest)), service_fn(respond));
    if let Err(error) = Box::pin(connection).await {
        shared.journal.left(guest.peer, Departure::Http(error.to_string()));
    }
}
