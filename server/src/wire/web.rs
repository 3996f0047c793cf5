//! Serves a router: the REST API over HTTPS, and the control API over plain HTTP. Not the hot path.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

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
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::rest_api::Peer;
use crate::runtime::connections::{Connection, Connections};
use crate::runtime::context::ManagerContext;
use crate::runtime::install_dir::Access;
use crate::runtime::journal::ConnectionClosed;
use crate::runtime::service::Service;
use crate::wire::activity::ActivityStream;
use crate::wire::listener::{PATIENCE, Room, accept};

/// Maximum number of connections per listener; further ones wait in the system's queue.
const MAX_CONNECTIONS: usize = 512;
/// Maximum size of a request head, in bytes.
const LONGEST_HEAD: usize = 64 * 1024;

/// Serves the REST API until the token is cancelled, then closes the port and ends the connections before it returns.
pub(crate) async fn serve_rest(
    listener: TcpListener,
    router: Router,
    manager: Arc<ManagerContext>,
    stopping: CancellationToken,
    tasks: TaskTracker,
) {
    let connections = Arc::clone(&manager.runtime.rest.connections);
    let stalled = |peer| manager.journal.connection_closed(peer, ConnectionClosed::Stalled);
    let attend = |stream, connection: Connection| {
        let (manager, router) = (Arc::clone(&manager), router.clone());
        async move { attend(stream, &connection, router, &manager).await }
    };
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let room = Room { connections: &connections, places: &places, tasks: &tasks };
    accept(&listener, room, &stopping, stalled, attend).await;
    connections.end_all();
}

/// Serves the control API until the token is cancelled; returns when every connection has ended.
pub(crate) async fn serve_plain(listener: TcpListener, router: Router, stopping: CancellationToken) {
    let (connections, tasks) = (Arc::<Connections>::default(), TaskTracker::new());
    let stalled = |peer| tracing::debug!(%peer, "stalled peer disconnected from the control API");
    let attend = |mut stream: TcpStream, connection: Connection| {
        let router = router.clone();
        async move {
            let _ = stream.set_nodelay(true);
            let web = TowerToHyperService::new(router);
            let respond = |request| {
                let response = web.call(request);
                async { response.await.map_err(|never| match never {}) }
            };
            if let Err(error) = answer(&mut stream, &connection, respond).await {
                tracing::debug!(peer = %connection.peer, %error, "a connection to the control API failed");
            }
        }
    };
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let room = Room { connections: &connections, places: &places, tasks: &tasks };
    accept(&listener, room, &stopping, stalled, attend).await;
    connections.end_all();
    tasks.close();
    tasks.wait().await;
}

/// Serves one connection until it ends.
async fn attend(stream: TcpStream, connection: &Connection, router: Router, manager: &ManagerContext) {
    let _ = stream.set_nodelay(true);
    if manager.runtime.rest.stopped.load(Ordering::SeqCst) {
        return;
    }
    let Some(tls) = manager.runtime.rest.tls.load_full() else { return };
    let tls = Arc::clone(&tls.config);
    let mut stream = match timeout(PATIENCE, TlsAcceptor::from(tls).accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => {
            return manager
                .journal
                .connection_closed(connection.peer, ConnectionClosed::Handshake(error.to_string()));
        }
        Err(_) => return manager.journal.connection_closed(connection.peer, ConnectionClosed::Stalled),
    };
    let web = TowerToHyperService::new(router);
    let drops = manager.site.read().assumptions().rest_drops_connection_after_post;
    let posted = AtomicBool::new(false);
    let respond = |request: Request<Body>| {
        let installation =
            manager.runtime.installation.get().map(|one| (one, Access::of(connection.peer.ip(), &request)));
        let is_dropped = drops && posted.load(Ordering::Relaxed);
        posted.fetch_or(request.method() == Method::POST, Ordering::Relaxed);
        let response = (!is_dropped).then(|| web.call(request));
        async move {
            let Some(response) = response else {
                return Err(io::Error::other("dropping the connection after a POST, by assumption"));
            };
            let Ok(response) = response.await;
            if let Some((installation, access)) = installation {
                let told =
                    (response.status().as_u16(), response.body().size_hint().exact().unwrap_or_default());
                installation.accessed(Service::Semsrv, &access, manager.now(), told);
            }
            Ok(response)
        }
    };
    if let Err(error) = Box::pin(answer(&mut stream, connection, respond)).await {
        manager.journal.connection_closed(connection.peer, ConnectionClosed::Http(error.to_string()));
    }
}

/// Answers requests on a connection until it ends. The peer has the turn until a whole head has arrived, and while it
/// reads.
async fn answer<S, R>(
    stream: &mut S,
    connection: &Connection,
    respond: impl Fn(Request<Body>) -> R,
) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
    R: Future<Output = io::Result<Response<Body>>>,
{
    connection.turn();
    let respond = |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(connection.peer));
        let response = respond(request.map(Body::new));
        async move {
            connection.turn();
            let response = response.await;
            connection.turn();
            response
        }
    };
    http1::Builder::new()
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(ActivityStream::new(stream, connection)), service_fn(respond))
        .await
}
