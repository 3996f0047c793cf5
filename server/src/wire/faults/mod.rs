//! Carrying faults out over sockets. Nothing is decided here: the rules say what is to be done, and to whom.
//!
//! | file | what |
//! |---|---|
//! | `port` | a port that nobody listens on while a fault says so |
//! | here | a connection under a fault: stalls, and which of the others is to do it |
//! | `shaped_stream` | a connection whose bytes are late, slow, cut into pieces, or end |
//! | `tls` | TLS: certificates that faults mint, and handshakes that go wrong |
//! | `rsa_1024` | a key of 1024 bits, which no library signs with |
//! | `exchange` | an exchange under a fault |
//! | `raw_response` | an answer that is written byte by byte, where it is not HTTP as it should be |
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
//! - Where the clock stands and is moved, what comes late comes at once, if all in all it would be in time for a client; if
//!   not, the connection is held up.
//! - Delays are by the lab's clock.

mod exchange;
mod port;
mod raw_response;
mod shaped_stream;
mod tls;

use std::sync::Arc;
use std::time::Duration;

use epm_protocol::fault::{FaultKind, Hit, Layer};
use epm_protocol::time::Clock;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use crate::wire::clients_port::{PATIENCE, converse, greet};
use crate::wire::exchange::RequestContext;

pub(super) use exchange::answered;
pub(super) use port::{reopened, spoken, watch};
pub(super) use raw_response::{RawResponse, WrittenRaw};
use shaped_stream::ShapedStream;

/// How long the lab's clients wait for a session [C S13].
const CLIENTS_LIMIT: Duration = Duration::from_secs(30);

/// A connection, whatever it is wrapped in.
pub(super) trait Line: AsyncRead + AsyncWrite + Unpin + Send {
    /// When it is dropped, the peer sees a reset.
    fn reset_when_dropped(&self);
}

impl Line for TcpStream {
    fn reset_when_dropped(&self) {
        let _ = self.set_zero_linger();
    }
}

impl<S: Line> Line for TlsStream<S> {
    fn reset_when_dropped(&self) {
        self.get_ref().0.reset_when_dropped();
    }
}

/// Attends to a connection that a fault has hit, until it ends.
pub(super) async fn attend(mut stream: TcpStream, hit: Hit, context: RequestContext<'_>) {
    let clock = &context.manager.clock;
    match (hit.what().layer(), hit.what()) {
        (_, FaultKind::Refuse) => stream.reset_when_dropped(),
        (_, FaultKind::AcceptThenStall { close_after_ms: Some(after_ms) }) => {
            pause(&mut stream, context, Duration::from_millis(*after_ms)).await;
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

/// Writes what is to be written byte by byte, once nobody else does.
pub(super) async fn play<S: Line>(raw_response: RawResponse, mut stream: S, context: RequestContext<'_>) {
    context.connection.spare();
    raw_response.play(&mut stream, context).await;
}

/// Says nothing until the peer goes; whoever asks can know of it.
async fn stall<S: AsyncRead + Unpin>(stream: &mut S, context: RequestContext<'_>) {
    let _stalled = context.manager.faults.stalls(context.connection.peer);
    hear_out(stream).await;
}

/// Listens until the peer goes.
async fn hear_out<S: AsyncRead + Unpin>(stream: &mut S) {
    let mut bytes = [0; 1024];
    while matches!(stream.read(&mut bytes).await, Ok(1..)) {}
}

/// Waits, unless the peer goes before.
async fn pause<S: AsyncRead + Unpin>(stream: &mut S, context: RequestContext<'_>, time: Duration) -> Staying {
    let clock = &context.manager.clock;
    let _stalled = if context.manager.faults.at_once() {
        if time < CLIENTS_LIMIT {
            return Staying::Yes;
        }
        Some(context.manager.faults.stalls(context.connection.peer))
    } else {
        None
    };
    let until = clock.now() + time;
    tokio::select! {
        () = clock.sleep_until(until) => Staying::Yes,
        () = hear_out(stream) => Staying::No,
    }
}

/// Whether a peer is still there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Staying {
    Yes,
    No,
}

/// Closes the connection, and hears the peer out: if bytes were left unread, it would see a reset.
async fn leave<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    if stream.shutdown().await.is_ok() {
        let _ = timeout(PATIENCE, hear_out(stream)).await;
    }
}

/// Talks over a connection whose handshake is done.
async fn talk<S: Line>(stream: S, context: RequestContext<'_>) {
    Box::pin(converse(stream, context)).await;
}
