//! Serving a router: the console's port over HTTPS, and the lab's own door over plain HTTP. Not the hot path.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::rest_api::Peer;
use crate::runtime::connections::{Guest, Guests};
use crate::runtime::install_dir::Access;
use crate::runtime::journal::Departure;
use crate::runtime::state::{Desk, Service, Shared};
use crate::wire::activity::Paced;
use crate::wire::clients_port::PATIENCE;

/// How many connections one door holds at a time; the next one waits in the system's queue.
const MAX_CONNECTIONS: usize = 512;
/// No head of a request is longer.
const LONGEST_HEAD: usize = 64 * 1024;
/// How often somebody looks for peers that stall.
const ROUND: Duration = Duration::from_secs(3);

/// Serves a console until the token is cancelled; then the port is closed when this returns, and the connections are ended.
pub(crate) async fn serve_console(
    listener: TcpListener,
    router: Router,
    desk: Arc<Desk>,
    shared: Arc<Shared>,
    stopping: CancellationToken,
    tasks: TaskTracker,
) {
    let guests = Arc::clone(&desk.console.guests);
    let left = |peer| shared.journal.left(peer, Departure::Stalled);
    let attend = |stream, guest: Guest| {
        let (desk, shared, router) = (Arc::clone(&desk), Arc::clone(&shared), router.clone());
        async move { attend(stream, &guest, router, &desk, &shared).await }
    };
    welcome(&listener, &guests, &stopping, &tasks, left, attend).await;
}

/// Serves the lab's own door until the token is cancelled; when this returns, nobody is there any more.
pub(crate) async fn serve_plain(listener: TcpListener, router: Router, stopping: CancellationToken) {
    let (guests, tasks) = (Arc::<Guests>::default(), TaskTracker::new());
    let left = |peer| tracing::debug!(%peer, "somebody stalled at the lab's own door");
    let attend = |mut stream: TcpStream, guest: Guest| {
        let router = router.clone();
        async move {
            let _ = stream.set_nodelay(true);
            let web = TowerToHyperService::new(router);
            let respond = |request| {
                let response = web.call(request);
                async { response.await.map_err(|never| match never {}) }
            };
            if let Err(error) = answer(&mut stream, &guest, respond).await {
                tracing::debug!(peer = %guest.peer, %error, "a connection to the lab's own door broke off");
            }
        }
    };
    welcome(&listener, &guests, &stopping, &tasks, left, attend).await;
    tasks.close();
    tasks.wait().await;
}

/// Accepts connections until the token is cancelled, and looks for peers that stall.
async fn welcome<A: Future<Output = ()> + Send + 'static>(
    listener: &TcpListener,
    guests: &Arc<Guests>,
    stopping: &CancellationToken,
    tasks: &TaskTracker,
    left: impl Fn(SocketAddr),
    attend: impl Fn(TcpStream, Guest) -> A,
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
                guests.end_stalled(now, PATIENCE).into_iter().for_each(&left);
                continue;
            }
            () = stopping.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::task::yield_now().await;
                continue;
            }
        };
        guests.receive(peer, |guest| {
            let attending = attend(stream, guest);
            tasks.spawn(async move {
                let _place = place;
                attending.await;
            })
        });
    }
    guests.end_all();
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
    let web = TowerToHyperService::new(router);
    let drops = shared.site().assumptions().rest_drops_connection_after_post;
    let posted = AtomicBool::new(false);
    let respond = |request: Request<Body>| {
        let installation = desk.installation.get().map(|one| (one, Access::of(guest.peer.ip(), &request)));
        let is_dropped = drops && posted.load(Ordering::Relaxed);
        posted.fetch_or(request.method() == Method::POST, Ordering::Relaxed);
        let response = (!is_dropped).then(|| web.call(request));
        async move {
            let Some(response) = response else {
                return Err(io::Error::other(
                    "the connection has carried a POST, and is dropped as is assumed",
                ));
            };
            let Ok(response) = response.await;
            if let Some((installation, access)) = installation {
                let told =
                    (response.status().as_u16(), response.body().size_hint().exact().unwrap_or_default());
                installation.accessed(Service::Semsrv, &access, shared.now(), told);
            }
            Ok(response)
        }
    };
    if let Err(error) = Box::pin(answer(&mut stream, guest, respond)).await {
        shared.journal.left(guest.peer, Departure::Http(error.to_string()));
    }
}

/// Answers requests on a connection until it ends. The peer has its turn until a whole head has come, and when it reads.
async fn answer<S, R>(
    stream: &mut S,
    guest: &Guest,
    respond: impl Fn(Request<Body>) -> R,
) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
    R: Future<Output = io::Result<Response<Body>>>,
{
    guest.turn();
    let respond = |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(guest.peer));
        let response = respond(request.map(Body::new));
        async move {
            guest.turn();
            let response = response.await;
            guest.turn();
            response
        }
    };
    http1::Builder::new()
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(Paced::new(stream, guest)), service_fn(respond))
        .await
}
