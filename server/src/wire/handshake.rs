//! The TLS handshake of a connection, and what counters and journal learn of it.

use std::sync::Arc;

use epm_client_agent::wire::Stopwatch;
use epm_protocol::time::Timestamp;
use rustls::ServerConfig;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::runtime::counters::{Handshake, PortCounters};
use crate::wire::context::{Line, RequestContext};
use crate::wire::listener::PATIENCE;
use crate::wire::socket::seen;

/// Performs the handshake.
///
/// # Errors
///
/// Why it failed, with the lab time at which it began: a client that refuses the certificate goes on before the manager has read
/// its alert, and a clock that is moved goes on with it.
pub(super) async fn shake<S: Line>(
    stream: S,
    config: Arc<ServerConfig>,
    counters: &PortCounters,
    context: RequestContext<'_>,
) -> Result<TlsStream<S>, (Timestamp, String)> {
    let (began, watch) = (context.manager.now(), Stopwatch::start());
    let acceptor = TlsAcceptor::from(seen(config, context.flow));
    let why = match timeout(PATIENCE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            counters.handshake(Handshake::of(stream.get_ref().1), watch.elapsed());
            return Ok(stream);
        }
        Ok(Err(error)) => error.to_string(),
        Err(_) => "the handshake stalled".to_owned(),
    };
    counters.handshake(Handshake::Failed, watch.elapsed());
    Err((began, why))
}
