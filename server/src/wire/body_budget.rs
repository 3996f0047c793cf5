//! Bounds the bytes of unfinished request bodies, all connections of a kind together.
//!
//! A body is kept until its last byte has come, so that many slow ones add up. The first bytes of each are free: a
//! message of a client never waits. Further ones need a share of the budget; without one the body is not read on, until
//! another has ended or its own time is over.

use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::PollSemaphore;

/// Bytes of each body that need no share.
const FREE: usize = 4 * 1024;

/// Budget of the clients' ports, in bytes.
pub(super) static CLIENTS_PORTS: LazyLock<Budget> = LazyLock::new(|| Budget::of(32 * 1024 * 1024));
/// Budget of the control API, in bytes: two files of the largest size.
pub(super) static CONTROL_API: LazyLock<Budget> = LazyLock::new(|| Budget::of(128 * 1024 * 1024));
/// Budget of the REST APIs, in bytes, which callers without a token share: they never keep the control API waiting.
pub(super) static REST_APIS: LazyLock<Budget> = LazyLock::new(|| Budget::of(128 * 1024 * 1024));

/// Bytes that unfinished bodies may take together.
#[derive(Debug)]
pub(super) struct Budget(Arc<Semaphore>);

impl Budget {
    fn of(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes)))
    }

    /// The body, read as far as the budget allows.
    pub(super) fn body<B>(&self, body: B) -> Budgeted<B> {
        let shares = PollSemaphore::new(Arc::clone(&self.0));
        Budgeted { body, shares, free: FREE, waiting: None, held: None }
    }
}

/// A body with a share of a budget, which it gives back when it is dropped.
#[derive(Debug)]
pub(super) struct Budgeted<B> {
    body: B,
    shares: PollSemaphore,
    free: usize,
    /// A piece that has no share yet, and the bytes that it needs.
    waiting: Option<(Frame<Bytes>, usize)>,
    held: Option<OwnedSemaphorePermit>,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Budgeted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        if this.waiting.is_none() {
            let frame = match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                other => return Poll::Ready(other),
            };
            let length = frame.data_ref().map_or(0, Bytes::len);
            let cost = length.saturating_sub(this.free);
            this.free -= length - cost;
            if cost == 0 {
                return Poll::Ready(Some(Ok(frame)));
            }
            this.waiting = Some((frame, cost));
        }
        let cost = this.waiting.as_ref().map_or(0, |(_, cost)| *cost);
        // None only when the semaphore is closed, which it never is.
        let share = ready!(this.shares.poll_acquire_many(context, u32::try_from(cost).unwrap_or(u32::MAX)));
        match (&mut this.held, share) {
            (Some(held), Some(share)) => held.merge(share),
            (held, share) => *held = share,
        }
        Poll::Ready(this.waiting.take().map(|(frame, _)| Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.waiting.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.waiting {
            None => self.body.size_hint(),
            Some(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::{StreamExt, stream};
    use http_body_util::{BodyExt, StreamBody};

    use super::*;

    type Pieces = Pin<Box<dyn stream::Stream<Item = Result<Frame<Bytes>, Infallible>> + Send>>;

    /// A body of pieces of this size, which then never ends.
    fn slow(pieces: usize, size: usize) -> StreamBody<Pieces> {
        let piece = move |_| Ok(Frame::data(Bytes::from(vec![0; size])));
        StreamBody::new(Box::pin(stream::iter(0..pieces).map(piece).chain(stream::pending())))
    }

    /// Reads as long as there is something to read at once; returns the number of bytes.
    async fn read(body: &mut Budgeted<StreamBody<Pieces>>) -> usize {
        let mut bytes = 0;
        loop {
            tokio::select! {
                biased;
                frame = body.frame() => match frame {
                    Some(Ok(frame)) => bytes += frame.data_ref().map_or(0, Bytes::len),
                    Some(Err(never)) => match never {},
                    None => return bytes,
                },
                () = std::future::ready(()) => return bytes,
            }
        }
    }

    #[tokio::test]
    async fn unfinished_bodies_take_no_more_than_the_budget_and_small_ones_do_not_wait() {
        let budget = Budget::of(64 * 1024);
        let mut bodies: Vec<_> = (0..100).map(|_| budget.body(slow(64, 1024))).collect();
        let mut kept = 0;
        for body in &mut bodies {
            kept += read(body).await;
        }
        assert_eq!(kept, 64 * 1024 + bodies.len() * FREE);
        let mut small = budget.body(slow(4, 1024));
        assert_eq!(read(&mut small).await, 4 * 1024, "a small body needs no share");
        let mut next = budget.body(slow(8, 1024));
        assert_eq!(read(&mut next).await, FREE, "a large one waits");
        drop(bodies);
        assert_eq!(read(&mut next).await, 8 * 1024 - FREE, "until others have ended");
    }
}
