//! Carries faults out over sockets. The rules decide which fault hits what.
//!
//! | file | what |
//! |---|---|
//! | `port` | a port that is closed while a fault says so |
//! | here | a connection under a fault: stalls, and dispatch to the other files |
//! | `shaped_stream` | a connection whose bytes are late, slow, fragmented or cut off |
//! | `tls` | TLS: certificates that faults mint, and failing handshakes |
//! | `exchange` | an exchange under a fault |
//! | `rest_call` | a call of the REST API under a fault |
//! | `raw_response` | a response written byte by byte, because it is not valid HTTP |
//! | `waits` | waiting for a duration, or until the peer disconnects |
//!
//! Limits and choices:
//!
//! - `refuse` for every client closes the port. For some clients only, the port stays open, and their connections are
//!   accepted and reset before a byte is read.
//! - `blackhole` cannot swallow a client's first packet without a firewall: the client is connected, and then nothing
//!   is answered, and the connection does not end.
//! - On a port that speaks both protocols, the first byte tells them apart, so faults begin with it.
//! - The clients of a lab on loopback are known by their addresses. Another client is known once it has sent a request: a
//!   connection belongs to the client seen at its address, if there was only one. A fault for a client that shares its
//!   address with others hits its exchanges, not its connections.
//! - Requests that are not a client's are not judged: other paths, and messages with another secret.
//! - A byte fault on a route hits only the response, whatever its direction, and the connection ends with it.
//! - Byte faults act on bytes to the client, unless the fault names the other direction, or both.
//! - While the clock is stopped, a late response arrives at once if the client would still wait for it; otherwise the
//!   connection is stalled.
//! - Delays use the lab's clock.
//! - At the REST API only faults of the listener, of TCP and of HTTP apply; its callers are counted by their addresses.

pub(super) mod exchange;
mod port;
pub(super) mod raw_response;
pub(super) mod rest_call;
mod shaped_stream;
mod tls;
mod waits;

use std::sync::Arc;
use std::time::Duration;

use epm_protocol::fault::{FaultKind, Hit, Layer};
use tokio::io::AsyncWriteExt;

use crate::wire::context::{Conversation, Line, RequestContext};
use crate::wire::faults::raw_response::RawResponse;
use crate::wire::socket::Socket;

pub(super) use port::listen;
use raw_response::{End, Piece};
use shaped_stream::ShapedStream;
use waits::{Staying, leave, linger, pause, stall};

/// Serves a connection that a fault hits, until it ends.
pub(super) async fn attend(
    mut stream: Socket,
    hit: Hit,
    context: RequestContext<'_>,
    conversation: &impl Conversation,
) {
    let clock = &context.manager.clock;
    match (hit.what().layer(), hit.what()) {
        (_, FaultKind::Refuse) => stream.reset_when_dropped(),
        (_, FaultKind::AcceptThenStall { close_after_ms: Some(after_ms) }) => {
            let time = Duration::from_millis(*after_ms);
            pause(&mut stream, context, time, time).await;
            leave(&mut stream).await;
        }
        (Layer::Listener, _) => stall(&mut stream, context).await,
        (_, FaultKind::Reset { after_bytes: 0, after_ms: 0 }) => stream.reset_when_dropped(),
        (_, FaultKind::SlowClose { delay_ms }) => {
            context.connection.spare();
            let context = RequestContext { late_close: Duration::from_millis(*delay_ms), ..context };
            conversation.greet(stream, context).await;
        }
        (Layer::Tcp, _) => {
            context.connection.spare();
            let shaped = ShapedStream::new(stream, &hit, Arc::clone(clock), context);
            Box::pin(conversation.greet(shaped, context)).await;
        }
        (Layer::Tls | Layer::Certificate, _) => Box::pin(tls::attend(stream, &hit, context)).await,
        // The rules never apply this kind to a connection.
        (Layer::Http | Layer::Artifact | Layer::List | Layer::Site, _) => {
            conversation.greet(stream, context).await;
        }
    }
}

/// Writes a response byte by byte, once nothing else writes to the connection.
pub(super) async fn write_raw<S: Line>(response: RawResponse, mut stream: S, context: RequestContext<'_>) {
    context.connection.spare();
    let mut late = Duration::ZERO;
    for piece in response.pieces {
        let staying = match piece {
            Piece::Send(bytes) => {
                let sent = async {
                    stream.write_all(&bytes).await?;
                    stream.flush().await
                };
                if sent.await.is_ok() { Staying::Yes } else { Staying::No }
            }
            Piece::Wait(time) | Piece::Linger(time) if time.is_zero() => Staying::Yes,
            Piece::Wait(time) => {
                late += time;
                pause(&mut stream, context, time, late).await
            }
            Piece::Linger(time) => linger(&mut stream, context, time).await,
        };
        if staying == Staying::No {
            return;
        }
    }
    match response.end {
        End::Close => leave(&mut stream).await,
        End::HalfClose => {
            if stream.shutdown().await.is_ok() {
                stall(&mut stream, context).await;
            }
        }
        End::Reset => stream.reset_when_dropped(),
    }
}
