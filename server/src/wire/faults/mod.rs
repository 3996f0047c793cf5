//! Carrying faults out over sockets. Nothing is decided here: the rules say what is to be done, and to whom.
//!
//! | file | what |
//! |---|---|
//! | `port` | a port that nobody listens on while a fault says so |
//! | here | a connection under a fault: stalls, and which of the others is to do it |
//! | `shaped_stream` | a connection whose bytes are late, slow, cut into pieces, or end |
//! | `tls` | TLS: certificates that faults mint, and handshakes that go wrong |
//! | `exchange` | an exchange under a fault |
//! | `raw_response` | an answer that is written byte by byte, where it is not HTTP as it should be |
//! | `waits` | waiting until the peer goes, or for so long |
//!
//! What is done where a verdict cannot be had to the letter:
//!
//! - `refuse` for everybody closes the port. For some only, the port stays open, and those are accepted and reset before
//!   a byte is read.
//! - `blackhole` cannot swallow a client's first packet without a firewall: the client is connected, and then nothing
//!   it sends is answered, nor does the connection end.
//! - On a port that speaks both, what is spoken is known from the first byte, so faults begin with it.
//! - A client is known once it has asked for something. Of a connection, it is whoever has been seen at its address, if it
//!   was one alone; a fault for a client that shares its address with others hits its exchanges, not its connections.
//! - What is no request of a client's is not judged: another path, or a message with the wrong secret.
//! - A fault of bytes on a route strikes the answer alone, whatever the direction, and the connection ends with it.
//! - Faults of bytes are of those to the client, unless the fault says the other direction, or both.
//! - While the clock stands, what comes late comes at once if all in all it would be in time for a client; if not, the
//!   connection is held up.
//! - Delays are by the lab's clock.

pub(super) mod exchange;
mod port;
pub(super) mod raw_response;
mod shaped_stream;
mod tls;
mod waits;

use std::sync::Arc;
use std::time::Duration;

use epm_protocol::fault::{FaultKind, Hit, Layer};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::wire::clients_port::greet;
use crate::wire::context::{Line, RequestContext};
use crate::wire::faults::raw_response::RawResponse;

pub(super) use port::{reopened, spoken, watch};
use raw_response::{End, Piece};
use shaped_stream::ShapedStream;
use waits::{Staying, leave, linger, pause, stall};

/// Attends to a connection that a fault has hit, until it ends.
pub(super) async fn attend(mut stream: TcpStream, hit: Hit, context: RequestContext<'_>) {
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
            greet(stream, context).await;
        }
        (Layer::Tcp, _) => {
            context.connection.spare();
            Box::pin(greet(ShapedStream::new(stream, &hit, Arc::clone(clock), context), context)).await;
        }
        (Layer::Tls | Layer::Certificate, _) => Box::pin(tls::attend(stream, &hit, context)).await,
        // The rules do not say such a thing of a connection.
        (Layer::Http | Layer::Artifact | Layer::List | Layer::Site, _) => greet(stream, context).await,
    }
}

/// Writes an answer byte by byte, once nothing else writes to the connection.
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
