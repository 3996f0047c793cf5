//! A stream that reports its writes to the connection register, so that a peer that never reads is found, and that
//! reads on after its last response, so that a peer that is still sending gets to read it.

use std::future::{Pending, pending};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Timeout, timeout};

use crate::runtime::connections::Connection;

/// Responses up to this size are sent as one buffer: copying them costs less than two pieces per system call.
const SMALL: usize = 2048;

/// How long a connection stays open for a peer that has not ended it after the last response.
const LINGER: Duration = Duration::from_secs(5);

/// A stream that restarts the connection's time limit with every write.
///
/// After its end it reads on until the peer ends the connection too, for a bounded time: a socket that is closed while
/// a refused body still arrives is reset, and many senders then never look for the response.
pub(super) struct ActivityStream<'a, S> {
    stream: S,
    connection: &'a Connection,
    together: Vec<u8>,
    closing: Option<LateClose>,
    /// Whether nothing more can be read.
    is_read: bool,
    /// The limit of reading on; set once this side has ended.
    lingering: Option<Pin<Box<Timeout<Pending<()>>>>>,
}

/// Completes when the connection may be closed.
pub(super) type LateClose = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<'a, S> ActivityStream<'a, S> {
    pub(super) const fn new(stream: S, connection: &'a Connection) -> Self {
        Self { stream, connection, together: Vec::new(), closing: None, is_read: false, lingering: None }
    }

    /// The same stream, closed only once `closing` completes.
    pub(super) fn closed_after(self, closing: LateClose) -> Self {
        Self { closing: Some(closing), ..self }
    }

    fn noted(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.connection.goes_on();
        }
        written
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ActivityStream<'_, S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, has_room) = (buffer.filled().len(), buffer.remaining() > 0);
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        self.is_read |= match &read {
            Poll::Ready(Ok(())) => has_room && buffer.filled().len() == before,
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        };
        read
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for ActivityStream<'_, S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.noted(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let Self { stream, together, .. } = &mut *self;
        let stream = Pin::new(stream);
        let written = match pieces {
            [one] => stream.poll_write(context, one),
            _ if pieces.iter().map(|piece| piece.len()).sum::<usize>() <= SMALL => {
                together.clear();
                pieces.iter().for_each(|piece| together.extend_from_slice(piece));
                stream.poll_write(context, together)
            }
            _ => stream.poll_write_vectored(context, pieces),
        };
        self.noted(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let Some(closing) = &mut self.closing {
            ready!(closing.as_mut().poll(context));
            self.closing = None;
        }
        if self.lingering.is_none() {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            if self.is_read {
                return Poll::Ready(Ok(()));
            }
        }
        let mut thrown = [0; 8192];
        while !self.is_read {
            let limit = self.lingering.get_or_insert_with(|| Box::pin(timeout(LINGER, pending())));
            if limit.as_mut().poll(context).is_ready() {
                break;
            }
            // An error ends it as the peer's end does.
            let _ = ready!(self.as_mut().poll_read(context, &mut ReadBuf::new(&mut thrown)));
        }
        Poll::Ready(Ok(()))
    }
}
