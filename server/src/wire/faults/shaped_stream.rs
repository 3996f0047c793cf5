//! A connection whose bytes are late, slow, fragmented, or cut off after a number.
//!
//! Each direction has a pace and optionally an end. Bytes are counted on the wire, including the TLS handshake and
//! record headers.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use epm_client_agent::wire::LabClock;
use epm_protocol::fault::{Direction, FaultKind, Hit};
use epm_protocol::time::{Clock, Timestamp};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::runtime::faults::{FaultState, Stalled};
use crate::wire::context::{Line, RequestContext};
use crate::wire::faults::waits::{CLIENTS_LIMIT, pass};
use crate::wire::socket::Socket;

/// Maximum number of bytes per read.
const PIECE: usize = 4096;

type Waiting = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A connection under a byte fault.
pub(super) struct ShapedStream<'a> {
    stream: Socket,
    clock: Arc<LabClock>,
    to_manager: DirectionState,
    to_client: DirectionState,
    ending: Ending,
    /// Earliest end of the connection.
    not_before: Option<Timestamp>,
    /// Wakes the task at that time.
    lifetime: Option<Waiting>,
    /// Whether the direction to the client is closed.
    closed: bool,
    /// Total delay so far that was not waited for, because the clock was stopped.
    owed: Duration,
    faults: &'a FaultState,
    peer: SocketAddr,
    /// Set once the delay exceeds what any client would wait for.
    stalled: Option<Stalled<'a>>,
}

/// State of one direction.
struct DirectionState {
    pace: Pace,
    /// Number of bytes that may still pass; none for no limit.
    left: Option<u64>,
    waiting: Option<Waiting>,
    /// Whether the other direction had its turn since bytes last passed here.
    fresh: bool,
}

#[derive(Clone, Copy)]
enum Pace {
    Free,
    Late(Duration),
    Pieces { bytes: usize, gap: Duration },
}

/// What happens after the last byte.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Reset,
    Close,
    HalfClose,
}

impl<'a> ShapedStream<'a> {
    pub(super) fn new(stream: Socket, hit: &Hit, clock: Arc<LabClock>, context: RequestContext<'a>) -> Self {
        let (mut pace, mut left, mut ending, mut lives_ms) = (Pace::Free, None, Ending::Close, None);
        match hit.what() {
            FaultKind::Latency { .. } => pace = Pace::Late(hit.latency().unwrap_or_default()),
            FaultKind::Bandwidth { bytes_per_second } => pace = per_second(*bytes_per_second),
            FaultKind::Slicer { slice_bytes, gap_ms } => {
                pace = Pace::Pieces { bytes: size(*slice_bytes), gap: Duration::from_millis(*gap_ms) };
            }
            FaultKind::Reset { after_bytes, after_ms } => {
                ending = Ending::Reset;
                lives_ms = (*after_ms > 0).then_some(*after_ms);
                left = (*after_bytes > 0 || *after_ms == 0).then_some(*after_bytes);
            }
            FaultKind::HalfClose { after_bytes } => {
                ending = Ending::HalfClose;
                left = Some(*after_bytes);
            }
            FaultKind::LimitData { bytes } => left = Some(*bytes),
            _ => {}
        }
        let lane = |way: Direction| {
            if hit.direction().means(way) {
                DirectionState { pace, left, waiting: None, fresh: true }
            } else {
                DirectionState::free()
            }
        };
        let (to_manager, to_client) = (lane(Direction::ToManager), lane(Direction::ToClient));
        let faults = &context.manager.faults;
        let not_before = lives_ms.map(|ms| clock.now() + Duration::from_millis(ms));
        let lifetime = not_before.map(|moment| match left {
            // The client has its answers by then.
            None => {
                let clock = Arc::clone(&clock);
                Box::pin(async move { clock.sleep_until(moment).await })
            }
            Some(_) => sleep(&clock, moment),
        });
        Self {
            stream,
            clock,
            to_manager,
            to_client,
            ending,
            not_before,
            lifetime,
            closed: false,
            owed: Duration::ZERO,
            faults,
            peer: context.connection.peer,
            stalled: None,
        }
    }

    /// Whether the connection has ended; otherwise the task is woken when its time comes.
    fn is_over(&mut self, context: &mut Context<'_>) -> bool {
        match &mut self.lifetime {
            None => true,
            Some(lifetime) => {
                let over = lifetime.as_mut().poll(context).is_ready();
                if over {
                    self.lifetime = None;
                }
                over
            }
        }
    }

    /// Whether the connection has ended by time alone.
    fn expires(&mut self, context: &mut Context<'_>) -> bool {
        let by_time_alone =
            self.not_before.is_some() && self.to_client.left.is_none() && self.to_manager.left.is_none();
        by_time_alone && self.is_over(context)
    }

    /// Whether this many bytes would arrive too late for any client. Then nothing passes any more, and the task is
    /// woken when the peer disconnects.
    fn is_too_late(
        &mut self,
        context: &mut Context<'_>,
        way: Direction,
        wanted: usize,
    ) -> Poll<io::Result<()>> {
        if self.stalled.is_none() {
            let lane = if way == Direction::ToManager { &self.to_manager } else { &self.to_client };
            if self.waits() || self.owed + lane.lateness(wanted) < CLIENTS_LIMIT {
                return Poll::Ready(Ok(()));
            }
            self.stalled = Some(self.faults.stalls(self.peer));
        }
        loop {
            let mut bytes = [0; PIECE];
            let mut heard = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.stream).poll_read(context, &mut heard))?;
            if heard.filled().is_empty() {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
        }
    }

    /// Accounts for passed bytes.
    fn passed(&mut self, way: Direction, count: usize) {
        let waits = self.waits();
        let lane = if way == Direction::ToManager { &mut self.to_manager } else { &mut self.to_client };
        if waits {
            lane.passed(&self.clock, count);
        } else {
            self.owed += lane.passed_at_once(count);
        }
    }

    /// Whether delays wait for the lab's clock.
    fn waits(&self) -> bool {
        self.clock.speed() != 0
    }

    fn reset(&self) -> io::Error {
        self.stream.reset_when_dropped();
        io::Error::new(io::ErrorKind::ConnectionReset, "a fault resets the connection")
    }

    /// Ends the direction to the manager.
    fn end_of_reading(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.ending != Ending::Reset {
            // End of the client's data.
            return Poll::Ready(Ok(()));
        }
        if self.is_over(context) { Poll::Ready(Err(self.reset())) } else { Poll::Pending }
    }

    /// Ends the direction to the client.
    fn end_of_writing(&mut self, context: &mut Context<'_>, length: usize) -> Poll<io::Result<usize>> {
        if self.ending == Ending::Reset {
            return if self.is_over(context) { Poll::Ready(Err(self.reset())) } else { Poll::Pending };
        }
        if !self.closed {
            ready!(Pin::new(&mut self.stream).poll_shutdown(context))?;
            self.closed = true;
        }
        Poll::Ready(match self.ending {
            Ending::HalfClose => Ok(length),
            _ => Err(io::Error::new(io::ErrorKind::BrokenPipe, "a fault closes the connection")),
        })
    }
}

impl Line for ShapedStream<'_> {
    fn reset_when_dropped(&self) {
        self.stream.reset_when_dropped();
    }
}

impl AsyncRead for ShapedStream<'_> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.expires(context) {
            return Poll::Ready(Err(this.reset()));
        }
        if this.to_manager.left == Some(0) {
            return this.end_of_reading(context);
        }
        // The delay counts from the arrival of the bytes, not from the read.
        ready!(this.stream.stream().poll_peek(context, &mut ReadBuf::new(&mut [0])))?;
        ready!(this.is_too_late(context, Direction::ToManager, 0))?;
        let waits = this.waits();
        let most = ready!(this.to_manager.room(context, &this.clock, buffer.remaining(), waits));
        let mut bytes = [0; PIECE];
        let mut part = ReadBuf::new(&mut bytes[..most.min(PIECE)]);
        ready!(Pin::new(&mut this.stream).poll_read(context, &mut part))?;
        let read = part.filled();
        buffer.put_slice(read);
        if !read.is_empty() {
            let count = read.len();
            this.passed(Direction::ToManager, count);
            this.to_client.fresh = true;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ShapedStream<'_> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.expires(context) {
            return Poll::Ready(Err(this.reset()));
        }
        if this.to_client.left == Some(0) {
            return this.end_of_writing(context, bytes.len());
        }
        ready!(this.is_too_late(context, Direction::ToClient, bytes.len()))?;
        let waits = this.waits();
        let most = ready!(this.to_client.room(context, &this.clock, bytes.len(), waits));
        let count = ready!(Pin::new(&mut this.stream).poll_write(context, &bytes[..most]))?;
        this.passed(Direction::ToClient, count);
        this.to_manager.fresh = true;
        Poll::Ready(Ok(count))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl DirectionState {
    const fn free() -> Self {
        Self { pace: Pace::Free, left: None, waiting: None, fresh: true }
    }

    /// Number of bytes that may pass now, of the bytes that are ready.
    fn room(
        &mut self,
        context: &mut Context<'_>,
        clock: &Arc<LabClock>,
        wanted: usize,
        waits: bool,
    ) -> Poll<usize> {
        if let (Pace::Late(delay), true, true) = (self.pace, self.fresh, waits) {
            self.fresh = false;
            self.waiting = Some(sleep(clock, clock.now() + delay));
        }
        if let Some(waiting) = &mut self.waiting {
            ready!(waiting.as_mut().poll(context));
            self.waiting = None;
        }
        let piece = match self.pace {
            Pace::Pieces { bytes, .. } if waits => bytes,
            Pace::Free | Pace::Late(_) | Pace::Pieces { .. } => usize::MAX,
        };
        Poll::Ready(wanted.min(piece).min(self.left.map_or(usize::MAX, size)))
    }

    /// Delay of this many bytes when nothing waits. A constant delay counts once.
    fn lateness(&self, count: usize) -> Duration {
        match self.pace {
            Pace::Free => Duration::ZERO,
            Pace::Late(delay) => delay,
            Pace::Pieces { bytes, gap } => gap * u32::try_from(count / bytes.max(1)).unwrap_or(u32::MAX),
        }
    }

    /// Accounts for bytes that passed without waiting; returns the delay that they would have had.
    fn passed_at_once(&mut self, count: usize) -> Duration {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(count as u64);
        }
        let lateness = self.lateness(count);
        if matches!(self.pace, Pace::Late(_)) {
            self.pace = Pace::Free;
        }
        lateness
    }

    fn passed(&mut self, clock: &Arc<LabClock>, count: usize) {
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(count as u64);
        }
        if let Pace::Pieces { gap, .. } = self.pace {
            self.waiting = Some(sleep(clock, clock.now() + gap));
        }
    }
}

/// Completes when the lab's clock shows this time, or is stopped.
fn sleep(clock: &Arc<LabClock>, until: Timestamp) -> Waiting {
    let clock = Arc::clone(clock);
    Box::pin(async move { pass(&clock, until).await })
}

/// A pace in pieces of a twentieth of a second, or of one byte.
fn per_second(bytes: u64) -> Pace {
    let piece = (bytes / 20).max(1);
    let gap = Duration::from_nanos(piece.saturating_mul(1_000_000_000) / bytes.max(1));
    Pace::Pieces { bytes: size(piece), gap: gap.max(Duration::from_millis(1)) }
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
