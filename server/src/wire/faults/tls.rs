//! TLS under a fault: minted certificates, and failing handshakes.
//!
//! What rustls would not do is written as raw records and ends the connection: alerts, and versions or ciphers
//! without a match. A manager that only speaks TLS 1.0 or 1.1, or only versions after 1.3, answers with the alert
//! `protocol_version` as RFC 8446 requires; it never offers those versions.

use std::io::{self, Cursor};
use std::sync::Arc;

use epm_protocol::fault::{AlertKind, FaultKind, HandshakeStage, Hit};
use rustls::{ServerConfig, ServerConnection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::wire::clients_port::converse;
use crate::wire::context::RequestContext;
use crate::wire::faults::waits::{leave, stall};
use crate::wire::handshake;
use crate::wire::listener::PATIENCE;
use crate::wire::socket::{Socket, seen};

/// Maximum length of a TLS record, with its header.
const LONGEST_RECORD: usize = 5 + (1 << 14);

/// Serves a connection whose handshake a fault hits.
pub(super) async fn attend(mut stream: Socket, hit: &Hit, context: RequestContext<'_>) {
    let alert = match hit.what() {
        FaultKind::HandshakeStall { stage } => return break_off(stream, *stage, Break::Stall, context).await,
        FaultKind::HandshakeClose { stage } => return break_off(stream, *stage, Break::Close, context).await,
        FaultKind::Alert { alert } => alert.number(),
        FaultKind::NoSharedCipher => AlertKind::HandshakeFailure.number(),
        FaultKind::ProtocolTooOld | FaultKind::ProtocolTooNew => AlertKind::ProtocolVersion.number(),
        FaultKind::PlaintextOnTls => return say(&mut stream, CLEAR).await,
        FaultKind::TlsOnPlain => UNEXPECTED_MESSAGE,
        what => {
            let generation = context.manager.runtime.generation();
            let config = context.manager.fault_certificate(what, &generation).unwrap_or_else(|why| {
                context.manager.journal.fault_skipped(context.connection.peer, why);
                Arc::clone(&generation.tls.config)
            });
            if let Some(stream) = shake(stream, config, context).await {
                Box::pin(converse(stream, context.of(&generation))).await;
            }
            return;
        }
    };
    say(&mut stream, &alert_record(alert)).await;
}

/// A plain HTTP response, as from a port without TLS.
const CLEAR: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
/// Alert `unexpected_message`, the answer to bytes that are not TLS (RFC 8446).
const UNEXPECTED_MESSAGE: u8 = 10;

/// The record with a fatal alert, as the server's first message.
const fn alert_record(number: u8) -> [u8; 7] {
    const FATAL: u8 = 2;
    [0x15, 3, 3, 0, 2, FATAL, number]
}

/// Reads the client's first message, answers with these bytes, and closes the connection.
async fn say(stream: &mut Socket, bytes: &[u8]) {
    let _ = first_said(stream).await;
    if stream.write_all(bytes).await.is_ok() {
        leave(stream).await;
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Break {
    Stall,
    Close,
}

async fn break_off(mut stream: Socket, stage: HandshakeStage, how: Break, context: RequestContext<'_>) {
    match stage {
        HandshakeStage::BeforeHello => {}
        HandshakeStage::AfterClientHello => {
            let _ = first_said(&mut stream).await;
        }
        HandshakeStage::InServerFlight => {
            let Ok(hello) = first_said(&mut stream).await else { return };
            let config = Arc::clone(&context.manager.runtime.generation().tls.config);
            let Ok(flight) = flight(seen(config, context.flow), &hello) else { return };
            if stream.write_all(&flight[..flight.len() / 2]).await.is_err() {
                return;
            }
        }
        HandshakeStage::AfterFinished => {
            let config = Arc::clone(&context.manager.runtime.generation().tls.config);
            let Some(mut stream) = shake(stream, config, context).await else { return };
            return match how {
                Break::Stall => stall(&mut stream, context).await,
                Break::Close => leave(&mut stream).await,
            };
        }
    }
    match how {
        Break::Stall => stall(&mut stream, context).await,
        Break::Close => leave(&mut stream).await,
    }
}

async fn shake(
    stream: Socket,
    config: Arc<ServerConfig>,
    context: RequestContext<'_>,
) -> Option<tokio_rustls::server::TlsStream<Socket>> {
    let RequestContext { manager, connection, faulted, .. } = context;
    let shaken = handshake::shake(stream, config, &manager.runtime.counters.clients_port, context).await;
    shaken.map_err(|(at, why)| manager.journal.handshake_failed(connection.peer, at, why, faulted)).ok()
}

/// The client's first message: a whole TLS record, or whatever else arrives.
async fn first_said(stream: &mut Socket) -> io::Result<Vec<u8>> {
    let mut said = Vec::new();
    let reading = async {
        loop {
            let whole = match said[..] {
                [0x16, _, _, high, low, ..] => 5 + usize::from(u16::from_be_bytes([high, low])),
                [0x16, ..] | [] => 5,
                _ => 1,
            };
            if said.len() >= whole.min(LONGEST_RECORD) || stream.read_buf(&mut said).await? == 0 {
                return Ok(());
            }
        }
    };
    timeout(PATIENCE, reading).await.unwrap_or(Err(io::ErrorKind::TimedOut.into())).map(|()| said)
}

/// The server's answer to a ClientHello.
fn flight(config: Arc<ServerConfig>, hello: &[u8]) -> Result<Vec<u8>, rustls::Error> {
    let general = |error: io::Error| rustls::Error::General(error.to_string());
    let mut connection = ServerConnection::new(config)?;
    let mut hello = Cursor::new(hello);
    while connection.read_tls(&mut hello).map_err(general)? > 0 {
        connection.process_new_packets()?;
    }
    let mut flight = Vec::new();
    while connection.wants_write() {
        connection.write_tls(&mut flight).map_err(general)?;
    }
    Ok(flight)
}
