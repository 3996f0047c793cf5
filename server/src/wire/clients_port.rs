//! The clients' port of a manager: HTTP, HTTPS, or both, told apart by the first byte.

use std::sync::Arc;
use std::time::Duration;

use epm_protocol::fault::Moment;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::runtime::connections::Connection;
use crate::runtime::context::ManagerContext;
use crate::runtime::faults::judging::FaultQuery;
use crate::runtime::journal::ConnectionClosed;
use crate::wire::activity::ActivityStream;
use crate::wire::context::{Conversation, Line, RequestContext, Speaks};
use crate::wire::decode_cache::DecodeCache;
use crate::wire::exchange::respond;
use crate::wire::faults;
use crate::wire::handshake::shake;
use crate::wire::listener::{PATIENCE, Places, Room};
use crate::wire::socket::Socket;

/// Maximum number of connections per port; for further ones, idle ones are ended.
const MAX_CONNECTIONS: usize = 16_384;
/// First byte of a TLS handshake record.
const TLS_HANDSHAKE: u8 = 0x16;

/// Accepts connections until the token is cancelled, then closes the port and ends the connections before it returns.
/// While a fault closes the port, it does not listen.
pub(crate) async fn serve(
    listener: TcpListener,
    speaks: Speaks,
    manager: Arc<ManagerContext>,
    stopping: CancellationToken,
    tasks: TaskTracker,
) {
    let attend = |stream, connection: Connection| {
        let manager = Arc::clone(&manager);
        async move { attend(stream, &connection, speaks, &manager).await }
    };
    let connections = &manager.runtime.connections;
    let places = Places::of_a_port(MAX_CONNECTIONS);
    let room = Room { connections, places: &places, tasks: &tasks };
    faults::listen(listener, speaks, &manager, room, &stopping, attend).await;
    manager.runtime.connections.end_all();
}

/// Serves one connection until it ends.
async fn attend(stream: TcpStream, connection: &Connection, speaks: Speaks, manager: &ManagerContext) {
    let _ = stream.set_nodelay(true);
    let stream = Socket::new(stream, connection, manager, "clients' port");
    let flow = stream.flow();
    if *manager.runtime.stopped.borrow() {
        return;
    }
    let is_tls = match speaks {
        Speaks::Http => false,
        Speaks::Https | Speaks::Rest => true,
        Speaks::Both => match timeout(PATIENCE, first_byte(stream.stream())).await {
            Ok(Some(byte)) => byte == TLS_HANDSHAKE,
            Ok(None) | Err(_) => {
                return manager.journal.connection_closed(connection.peer, ConnectionClosed::Silent);
            }
        },
    };
    let (decode_cache, raw_response) = (DecodeCache::default(), Mutex::new(None));
    let (late_close, progress) = (Duration::ZERO, Mutex::default());
    let context = RequestContext {
        connection,
        tls: is_tls,
        generation: None,
        manager,
        decode_cache: &decode_cache,
        raw_response: &raw_response,
        late_close,
        faulted: false,
        progress: &progress,
        flow: flow.as_ref(),
    };
    if manager.faults.any() {
        let asker = FaultQuery { peer: connection.peer, protocol: context.protocol(), manager };
        if let Some(hit) = asker.judge_connection() {
            context.touched(&hit, Moment::Connection);
            let context = RequestContext { faulted: true, ..context };
            return Box::pin(faults::attend(stream, hit, context, &Clients)).await;
        }
    }
    greet(stream, context).await;
}

/// The conversation with a client.
#[derive(Clone, Copy, Debug)]
struct Clients;

impl Conversation for Clients {
    async fn greet<S: Line>(&self, stream: S, context: RequestContext<'_>) {
        greet(stream, context).await;
    }
}

/// Serves a connection from its first byte on.
async fn greet<S: Line>(stream: S, context: RequestContext<'_>) {
    let RequestContext { connection, manager, .. } = context;
    if !context.tls {
        return converse(stream, context).await;
    }
    let generation = manager.runtime.generation();
    let (config, counters) = (Arc::clone(&generation.tls.config), &manager.runtime.counters.clients_port);
    match shake(stream, config, counters, context).await {
        Ok(stream) => Box::pin(converse(stream, context.of(&generation))).await,
        Err((at, why)) => {
            manager.journal.note_handshake(at, manager.runtime.number);
            manager.journal.handshake_failed(connection.peer, at, why, context.faulted);
        }
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
pub(super) async fn converse<S: Line>(mut stream: S, context: RequestContext<'_>) {
    // From here on the register of connections finds stalled peers: hyper's own timer is created with every request,
    // which costs more than the answer.
    context.connection.turn();
    let mut paced = ActivityStream::new(&mut stream, context.connection);
    if let Some(late) = context.late() {
        paced = paced.closed_after(late);
    }
    let connection = http1::Builder::new()
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(paced), service_fn(|request| respond(request, context)));
    let Err(error) = connection.await else { return };
    if error.is_shutdown() {
        return; // The peer has gone after its last answer; only the goodbye did not reach it.
    }
    let raw_response = context.raw_response.lock().take();
    match raw_response {
        Some(raw_response) => Box::pin(faults::write_raw(raw_response, stream, context)).await,
        None => {
            let why = ConnectionClosed::Http(error.to_string());
            context.manager.journal.connection_ended(context.connection.peer, why, context.faulted);
        }
    }
}
