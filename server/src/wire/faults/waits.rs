//! Waiting as a fault has it: until the peer goes, or for so long.

use std::time::Duration;

use epm_client_agent::wire::LabClock;
use epm_protocol::time::{Clock, Timestamp};
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

/// Waits so long by the lab's clock, unless the peer goes before. While the clock stands, it does not wait, or, if what
/// the peer waits for would be too late for any client in all, it waits until the peer goes.
pub(super) async fn pause<S: AsyncRead + Unpin>(
    stream: &mut S,
    context: RequestContext<'_>,
    time: Duration,
    in_all: Duration,
) -> Staying {
    let staying = linger(stream, context, time).await;
    if staying == Staying::Yes && in_all >= CLIENTS_LIMIT && context.manager.clock.speed() == 0 {
        stall(stream, context).await;
        return Staying::No;
    }
    staying
}

/// Waits so long by the lab's clock, unless the peer goes before, or the clock stands.
pub(super) async fn linger<S: AsyncRead + Unpin>(
    stream: &mut S,
    context: RequestContext<'_>,
    time: Duration,
) -> Staying {
    let clock = &context.manager.clock;
    let until = clock.now() + time;
    tokio::select! {
        biased;
        () = pass(clock, until) => Staying::Yes,
        () = hear_out(stream) => Staying::No,
    }
}

/// Returns when the lab's clock shows this moment, or stands.
pub(super) async fn pass(clock: &LabClock, until: Timestamp) {
    tokio::select! {
        () = clock.sleep_until(until) => {}
        () = clock.stands() => {}
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
