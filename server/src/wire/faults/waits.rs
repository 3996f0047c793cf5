//! Waiting as a fault has it: until the peer goes, or for so long.

use std::time::Duration;

use epm_protocol::time::Clock;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::wire::context::RequestContext;
use crate::wire::listener::PATIENCE;

/// How long the lab's clients wait for a session [C S13].
pub(super) const CLIENTS_LIMIT: Duration = Duration::from_secs(30);

/// Says nothing until the peer goes; whoever asks can know of it.
pub(super) async fn stall<S: AsyncRead + Unpin>(stream: &mut S, context: RequestContext<'_>) {
    let _stalled = context.manager.faults.stalls(context.connection.peer);
    hear_out(stream).await;
}

/// Listens until the peer goes.
async fn hear_out<S: AsyncRead + Unpin>(stream: &mut S) {
    let mut bytes = [0; 1024];
    while matches!(stream.read(&mut bytes).await, Ok(1..)) {}
}

/// Waits, unless the peer goes before.
pub(super) async fn pause<S: AsyncRead + Unpin>(
    stream: &mut S,
    context: RequestContext<'_>,
    time: Duration,
) -> Staying {
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
pub(super) enum Staying {
    Yes,
    No,
}

/// Closes the connection, and hears the peer out: if bytes were left unread, it would see a reset.
pub(super) async fn leave<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    if stream.shutdown().await.is_ok() {
        let _ = timeout(PATIENCE, hear_out(stream)).await;
    }
}
