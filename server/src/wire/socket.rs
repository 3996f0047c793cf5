//! The socket of an accepted connection, which a capture may listen to.
//!
//! Without a capture it is the stream itself: each read and write looks at one pointer.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::ServerConfig;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::runtime::capture::Flow;
use crate::runtime::connections::Connection;
use crate::runtime::context::ManagerContext;
use crate::wire::context::Line;

/// The socket of an accepted connection.
#[derive(Debug)]
pub(super) struct Socket {
    stream: TcpStream,
    flow: Option<Arc<Flow>>,
}

impl Socket {
    /// The socket of a connection to this port of a manager.
    pub(super) fn new(
        stream: TcpStream,
        connection: &Connection,
        manager: &ManagerContext,
        port: &'static str,
    ) -> Self {
        let open = || {
            let (capture, at) = (manager.capture.as_ref()?, stream.local_addr().ok()?);
            let client = manager.faults.expected(connection.peer.ip()).map(|client| client.computer);
            let manager_at = (at, manager.runtime.name.as_str(), port);
            Some(capture.open((connection.peer, client.as_deref()), manager_at, &manager.clock))
        };
        let flow = open();
        Self { stream, flow }
    }

    /// What a capture knows of the connection.
    pub(super) fn flow(&self) -> Option<Arc<Flow>> {
        self.flow.clone()
    }

    /// The stream, for what a capture does not see.
    pub(super) const fn stream(&self) -> &TcpStream {
        &self.stream
    }

    fn see(flow: Option<&Arc<Flow>>, written: &Poll<io::Result<usize>>, pieces: &[IoSlice<'_>]) {
        let (Some(flow), Poll::Ready(Ok(count))) = (flow, written) else { return };
        let bytes: Vec<u8> = pieces.iter().flat_map(|piece| piece.iter()).take(*count).copied().collect();
        flow.written(&bytes);
    }
}

/// The configuration of a handshake on a connection; a capture takes its secrets.
pub(super) fn seen(config: Arc<ServerConfig>, flow: Option<&Arc<Flow>>) -> Arc<ServerConfig> {
    match flow {
        None => config,
        Some(flow) => flow.with_secrets(&config),
    }
}

impl Line for Socket {
    fn reset_when_dropped(&self) {
        self.stream.reset_when_dropped();
        if let Some(flow) = &self.flow {
            flow.reset_when_dropped();
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if let Some(flow) = &self.flow {
            flow.close();
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let (before, has_room) = (buffer.filled().len(), buffer.remaining() > 0);
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Some(flow) = &self.flow {
            match &read {
                Poll::Ready(Ok(())) if has_room => flow.read(&buffer.filled()[before..]),
                Poll::Ready(Err(_)) => flow.is_reset(),
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if self.flow.is_some() {
            Self::see(self.flow.as_ref(), &written, &[IoSlice::new(bytes)]);
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        if self.flow.is_some() {
            Self::see(self.flow.as_ref(), &written, pieces);
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(context);
        if let (Some(flow), Poll::Ready(Ok(()))) = (&self.flow, &shut) {
            flow.finish();
        }
        shut
    }
}
