//! Waits of faults: for a duration, or until the peer disconnects.

use std::time::Duration;

use epm_client_agent::wire::LabClock;
use epm_protocol::time::{Clock, Timestamp};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

use crate::wire::context::RequestContext;
use crate::wire::listener::PATIENCE;

/// Session limit of the lab's clients [C S13].
pub(super) const CLIENTS_LIMIT: Duration = Duration::from_secs(30);

/// Sends nothing until the peer disconnects; the connection is marked as stalled meanwhile.
pub(super) async fn stall<S: AsyncRead + Unpin>(stream: &mut S, context: RequestContext<'_>) {
    let _stalled = context.manager.faults.stalls(context.connection.peer);
    hear_out(stream).await;
}

/// Reads until the peer disconnects.
async fn hear_out<S: AsyncRead + Unpin>(stream: &mut S) {
    let mut bytes = [0; 1024];
    while matches!(stream.read(&mut bytes).await, Ok(1..)) {}
}

/// Waits by the lab's clock, unless the peer disconnects first. With the clock stopped, it does not wait, or, if the
/// total delay exceeds what any client waits for, it waits until the peer disconnects.
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

/// Waits by the lab's clock, unless the peer disconnects first or the clock is stopped.
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

/// Completes when the lab's clock shows this time, or is stopped.
pub(super) async fn pass(clock: &LabClock, until: Timestamp) {
    tokio::select! {
        () = clock.sleep_until(until) => {}
        () = clock.stands() => {}
    }
}

/// Whether the peer is still connected.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Staying {
    Yes,
    No,
}

/// Closes the connection and reads the rest of what the peer sends: unread bytes would cause a reset.
pub(super) async fn leave<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S) {
    if stream.shutdown().await.is_ok() {
        let _ = timeout(PATIENCE, hear_out(stream)).await;
    }
}
