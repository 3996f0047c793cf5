//! A response that is written byte by byte, because it is not valid HTTP or is slowed down. The connection ends with
//! it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use epm_protocol::fault::tamper::Tampered;
use epm_protocol::fault::{FaultKind, Hit};
use epm_protocol::heartbeat::ManagerResponse;
use epm_protocol::heartbeat::http::{MOCK_HEADER, SIGNATURE_HEADER};

/// The bytes of a response, and how the connection ends.
#[derive(Debug)]
pub(in super::super) struct RawResponse {
    pub(super) pieces: Vec<Piece>,
    pub(super) end: End,
}

/// Signals that the response is given by a [`RawResponse`] instead of HTTP.
#[derive(Debug)]
pub(in super::super) struct WrittenRaw;

/// A piece of a response that is written byte by byte.
#[derive(Debug)]
pub(super) enum Piece {
    Send(Bytes),
    /// Pause during which the client waits for more.
    Wait(Duration),
    /// Pause after the complete response.
    Linger(Duration),
}

/// How the connection ends after the last piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Close,
    /// Closed for sending, open until the client disconnects.
    HalfClose,
    Reset,
}

impl fmt::Display for WrittenRaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fault writes the response")
    }
}

impl std::error::Error for WrittenRaw {}

impl RawResponse {
    /// The response as this fault writes it; none if HTTP can express it.
    pub(super) fn of(hit: &Hit, answer: &Tampered) -> Option<Self> {
        let Tampered { response, .. } = answer;
        let length = response.body.len();
        let written = || whole(answer, length);
        let closing = |pieces| Self { pieces, end: End::Close };
        Some(match hit.what() {
            FaultKind::Empty => closing(Vec::new()),
            FaultKind::Garbage { bytes } => closing(vec![Piece::Send(hit.noise(size(*bytes)).into())]),
            FaultKind::MalformedChunk => {
                let mut bytes = head(answer, "Transfer-Encoding: chunked");
                bytes.extend_from_slice(b"no-length\r\n");
                closing(vec![Piece::Send(bytes.into())])
            }
            FaultKind::Truncated { percent } => {
                let missing = length - length * usize::from(*percent) / 100;
                closing(vec![Piece::Send(first(&written(), written().len() - missing))])
            }
            FaultKind::Dribbled { chunks, total_ms } => {
                let all = written();
                let piece = all.len().div_ceil(size(*chunks).max(1)).max(1);
                closing(paced(&all, piece, Duration::from_millis(*total_ms) / count(&all, piece)))
            }
            FaultKind::HugeHeaders { bytes } => closing(vec![Piece::Send(huge(answer, size(*bytes)))]),
            FaultKind::SlowHeaders { total_ms } => {
                let all = written();
                let body = all.slice(all.len() - length..);
                let head = all.slice(..all.len() - length);
                let gap = Duration::from_millis(*total_ms) / count(&head, 1);
                let mut pieces = paced(&head, 1, gap);
                pieces.push(Piece::Send(body));
                closing(pieces)
            }
            FaultKind::WrongLength { by } => {
                let by_size = size(by.unsigned_abs());
                let said =
                    if *by < 0 { length.saturating_sub(by_size) } else { length.saturating_add(by_size) };
                closing(vec![Piece::Send(whole(answer, said))])
            }
            // Byte faults on the response of a route; the request is complete by then.
            FaultKind::Latency { .. } => {
                closing(vec![Piece::Wait(hit.latency().unwrap_or_default()), Piece::Send(written())])
            }
            FaultKind::Bandwidth { bytes_per_second } => {
                let piece = size((bytes_per_second / 20).max(1));
                let nanos = (piece as u64).saturating_mul(1_000_000_000) / (*bytes_per_second).max(1);
                closing(paced(&written(), piece, Duration::from_nanos(nanos)))
            }
            FaultKind::Slicer { slice_bytes, gap_ms } => {
                closing(paced(&written(), size(*slice_bytes).max(1), Duration::from_millis(*gap_ms)))
            }
            FaultKind::Reset { after_bytes: 0, after_ms: ms @ 1.. } => Self {
                pieces: vec![Piece::Send(written()), Piece::Linger(Duration::from_millis(*ms))],
                end: End::Reset,
            },
            FaultKind::Reset { after_bytes, after_ms } => {
                let all = written();
                let end = if all.len() > size(*after_bytes) { End::Reset } else { End::Close };
                let wait = Piece::Linger(Duration::from_millis(*after_ms));
                Self { pieces: vec![Piece::Send(first(&all, size(*after_bytes))), wait], end }
            }
            FaultKind::HalfClose { after_bytes } => {
                Self { pieces: vec![Piece::Send(first(&written(), size(*after_bytes)))], end: End::HalfClose }
            }
            FaultKind::LimitData { bytes } => closing(vec![Piece::Send(first(&written(), size(*bytes)))]),
            FaultKind::SlowClose { delay_ms } => {
                closing(vec![Piece::Send(written()), Piece::Linger(Duration::from_millis(*delay_ms))])
            }
            _ => return None,
        })
    }
}

/// The head of a response, with this line about its length.
fn head(answer: &Tampered, length: &str) -> Vec<u8> {
    let Tampered { response, headers } = answer;
    let ManagerResponse { status, content_type, signature, .. } = response;
    let reason = hyper::StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason());
    let mut text = format!("HTTP/1.1 {status} {}\r\n", reason.unwrap_or("Unknown"));
    let mut line = |name: &str, value: &str| {
        if !headers.iter().any(|(set, _)| *set == name) {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
    };
    line("content-type", content_type.header());
    line(MOCK_HEADER.0, MOCK_HEADER.1);
    if let Some(signature) = signature {
        line(SIGNATURE_HEADER, &String::from_utf8_lossy(signature.as_bytes()));
    }
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str(&format!("{length}\r\nConnection: close\r\n\r\n"));
    text.into_bytes()
}

/// The whole response, with this declared body length.
fn whole(answer: &Tampered, length: usize) -> Bytes {
    let mut bytes = head(answer, &format!("Content-Length: {length}"));
    bytes.extend_from_slice(&answer.response.body);
    bytes.into()
}

/// The whole response, with a head of at least this size.
fn huge(answer: &Tampered, least: usize) -> Bytes {
    const LINE: usize = 4000;
    let mut lines = String::new();
    for number in 0..least.div_ceil(LINE) {
        lines.push_str(&format!("x-filler-{number}: {}\r\n", "x".repeat(LINE)));
    }
    lines.push_str(&format!("Content-Length: {}", answer.response.body.len()));
    let mut bytes = head(answer, &lines);
    bytes.extend_from_slice(&answer.response.body);
    bytes.into()
}

fn first(bytes: &Bytes, count: usize) -> Bytes {
    bytes.slice(..count.min(bytes.len()))
}

/// Pieces of this size, with a pause before each.
fn paced(bytes: &Bytes, piece: usize, gap: Duration) -> Vec<Piece> {
    let parts = bytes.chunks(piece).map(|part| Piece::Send(bytes.slice_ref(part)));
    parts.flat_map(|part| [Piece::Wait(gap), part]).collect()
}

fn count(bytes: &Bytes, piece: usize) -> u32 {
    u32::try_from(bytes.len().div_ceil(piece.max(1))).unwrap_or(u32::MAX).max(1)
}

fn size(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
