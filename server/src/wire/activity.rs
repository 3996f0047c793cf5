//! A stream that reports its writes to the connection register, so that a peer that never reads is found.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::runtime::connections::Connection;

/// Responses up to this size are sent as one buffer: copying them costs less than two pieces per system call.
const SMALL: usize = 2048;

/// A stream that restarts the connection's time limit with every write.
pub(super) struct ActivityStream<'a, S> {
    stream: S,
    connection: &'a Connection,
    together: Vec<u8>,
    closing: Option<LateClose>,
}

/// Completes when the connection may be closed.
pub(super) type LateClose = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<'a, S> ActivityStream<'a, S> {
    pub(super) const fn new(stream: S, connection: &'a Connection) -> Self {
        Self { stream, connection, together: Vec::new(), closing: None }
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
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ActivityStream<'_, S> {
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
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
