//! Serves a router: the REST API over HTTPS, and the control API over plain HTTP. Not the hot path.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use epm_client_agent::wire::Stopwatch;
use epm_protocol::fault::Moment;
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::runtime::connections::{Connection, Connections, Peer};
use crate::runtime::context::ManagerContext;
use crate::runtime::faults::judging::RestQuery;
use crate::runtime::install_dir::Access;
use crate::runtime::journal::{Call, ConnectionClosed};
use crate::runtime::redact;
use crate::runtime::service::Service;
use crate::runtime::transfer::Transfer;
use crate::wire::activity::{ActivityStream, LateClose};
use crate::wire::body_budget::{Budget, CONTROL_API, REST_APIS};
use crate::wire::context::{Conversation, Line, RequestContext, Speaks};
use crate::wire::decode_cache::DecodeCache;
use crate::wire::faults;
use crate::wire::faults::raw_response::WrittenRaw;
use crate::wire::handshake::shake;
use crate::wire::listener::{Places, Room, accept};
use crate::wire::socket::Socket;

/// Maximum number of connections per REST API; for further ones, idle ones are ended.
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
    let attend = |stream, connection: Connection| {
        let (manager, router) = (Arc::clone(&manager), router.clone());
        async move { attend(stream, &connection, router, &manager).await }
    };
    let connections = &manager.runtime.rest.connections;
    let places = Places::of_a_port(MAX_CONNECTIONS);
    let room = Room { connections, places: &places, tasks: &tasks };
    let mut listener = listener;
    loop {
        let here = stopping.child_token();
        let next = tokio::select! {
            () = faults::listen(listener, Speaks::Rest, &manager, room, &here, &attend) => break,
            next = manager.runtime.rest.moved() => TcpListener::from_std(next),
        };
        here.cancel();
        match next {
            Ok(next) => listener = next,
            Err(error) => {
                tracing::error!(%error, manager = manager.runtime.name, "cannot serve the new port");
                break;
            }
        }
    }
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
            let respond = |request: Request<_>| {
                let (method, uri) = (request.method().clone(), redact::uri(request.uri()));
                let response = web.call(request);
                async move {
                    let Ok(response) = response.await;
                    tracing::debug!(%method, %uri, status = response.status().as_u16(), "control API call");
                    Ok(response)
                }
            };
            if let Err(error) = answer(&mut stream, &connection, (&CONTROL_API, None), respond).await {
                tracing::debug!(peer = %connection.peer, %error, "a connection to the control API failed");
            }
        }
    };
    let places = Places::of_the_control_api();
    let room = Room { connections: &connections, places: &places, tasks: &tasks };
    accept(&listener, room, &stopping, stalled, attend).await;
    connections.end_all();
    tasks.close();
    tasks.wait().await;
}

/// Serves one connection until it ends.
async fn attend(stream: TcpStream, connection: &Connection, router: Router, manager: &ManagerContext) {
    let _ = stream.set_nodelay(true);
    let stream = Socket::new(stream, connection, manager, "REST API");
    let flow = stream.flow();
    if *manager.runtime.rest.stopped.borrow() {
        return;
    }
    let (decode_cache, raw_response) = (DecodeCache::default(), Mutex::new(None));
    let progress = Mutex::default();
    let context = RequestContext {
        connection,
        tls: true,
        generation: None,
        manager,
        decode_cache: &decode_cache,
        raw_response: &raw_response,
        late_close: Duration::ZERO,
        faulted: false,
        progress: &progress,
        flow: flow.as_ref(),
    };
    let rest = RestConversation { router };
    if manager.faults.any() {
        let query = RestQuery { peer: connection.peer, manager };
        if let Some(hit) = query.judge(Moment::Connection) {
            context.touched(&hit, Moment::Connection);
            let context = RequestContext { faulted: true, ..context };
            return Box::pin(faults::attend(stream, hit, context, &rest)).await;
        }
    }
    rest.greet(stream, context).await;
}

/// The conversation with a caller of the REST API.
struct RestConversation {
    router: Router,
}

impl Conversation for RestConversation {
    async fn greet<S: Line>(&self, stream: S, context: RequestContext<'_>) {
        let RequestContext { manager, connection, .. } = context;
        let Some(tls) = manager.runtime.rest.tls.load_full() else { return };
        let counters = &manager.runtime.counters.rest_port;
        let mut stream = match shake(stream, Arc::clone(&tls.config), counters, context).await {
            Ok(stream) => stream,
            Err((at, why)) => {
                return manager.journal.handshake_failed(connection.peer, at, why, context.faulted);
            }
        };
        let web = TowerToHyperService::new(self.router.clone());
        let posted = AtomicBool::new(false);
        let respond = |request: Request<Body>| {
            let drops = || manager.site.read().assumptions().rest_drops_connection_after_post;
            let is_dropped = posted.load(Ordering::Relaxed) && drops();
            posted.fetch_or(request.method() == Method::POST, Ordering::Relaxed);
            let web = web.clone();
            async move {
                if is_dropped {
                    return Err(io::Error::other("dropping the connection after a POST, by assumption"));
                }
                let watch = Stopwatch::start();
                let called = called(request, &web, context).await;
                let status = called.as_ref().ok().map(|response| response.status().as_u16());
                manager.runtime.counters.call(status, watch.elapsed());
                called.map_err(io::Error::other)
            }
        };
        let answered = Box::pin(answer(&mut stream, connection, (&REST_APIS, context.late()), respond)).await;
        let Err(error) = answered else { return };
        let raw_response = context.raw_response.lock().take();
        match raw_response {
            Some(raw_response) => Box::pin(faults::write_raw(raw_response, stream, context)).await,
            None => {
                let why = ConnectionClosed::Http(error.to_string());
                manager.journal.connection_ended(connection.peer, why, context.faulted);
            }
        }
    }
}

/// Answers one call, which a fault may hit. A manager with an installation folder also writes its access log.
async fn called(
    request: Request<Body>,
    web: &TowerToHyperService<Router>,
    context: RequestContext<'_>,
) -> Result<Response<Body>, WrittenRaw> {
    let RequestContext { manager, connection, .. } = context;
    let installation =
        manager.runtime.installation.get().map(|one| (one, Access::of(connection.peer.ip(), &request)));
    let query = RestQuery { peer: connection.peer, manager };
    let hit = if manager.faults.any() { query.judge(Moment::Exchange) } else { None };
    let seen = hit.as_ref().map(|_| Transfer::seen(&request, manager.now()));
    let path = redact::uri(request.uri()).path().to_owned();
    let api = async {
        let Ok(response) = web.call(request).await;
        response
    };
    let response = match hit {
        None => api.await,
        Some(hit) => {
            context.touched(&hit, Moment::Exchange);
            if let Some((status, transfer)) = faults::rest_call::status_instead(&hit).zip(seen) {
                // The API itself does not learn of the call.
                manager.journal.call(Call {
                    at: manager.now(),
                    manager: manager.runtime.number,
                    peer: Some(connection.peer),
                    method: transfer.method.to_string(),
                    path,
                    status,
                    who: None,
                    transfer: Arc::new(transfer),
                });
            }
            faults::rest_call::answered(&hit, context, api).await?
        }
    };
    if let Some((installation, access)) = installation {
        let told = (response.status().as_u16(), response.body().size_hint().exact().unwrap_or_default());
        installation.accessed(Service::Semsrv, &access, manager.now(), told);
    }
    Ok(response)
}

/// Answers requests on a connection until it ends. The peer has the turn until a whole head has arrived, and while it
/// reads.
async fn answer<S, R>(
    stream: &mut S,
    connection: &Connection,
    (budget, late): (&Budget, Option<LateClose>),
    respond: impl Fn(Request<Body>) -> R,
) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
    R: Future<Output = io::Result<Response<Body>>>,
{
    connection.turn();
    let respond = |mut request: Request<Incoming>| {
        request.extensions_mut().insert(Peer(connection.peer));
        let response = respond(request.map(|body| Body::new(budget.body(body))));
        async move {
            connection.turn();
            let response = response.await;
            if response.as_ref().is_ok_and(|response| response.body().size_hint().exact().is_none()) {
                connection.streams();
            }
            connection.turn();
            response
        }
    };
    let mut stream = ActivityStream::new(stream, connection);
    if let Some(late) = late {
        stream = stream.closed_after(late);
    }
    http1::Builder::new()
        .max_buf_size(LONGEST_HEAD)
        .serve_connection(TokioIo::new(stream), service_fn(respond))
        .await
}
