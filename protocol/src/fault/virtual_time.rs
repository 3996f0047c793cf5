//! The effect of a verdict in virtual time, where no byte is sent and an exchange takes no time. The table in `kind`
//! describes it for each kind.
//!
//! Byte counts are estimates: 200 for the head of an answer, 2,500 for a handshake; to the manager, 300 for a request
//! and 700 for a handshake. A fault of both directions counts both. A resumed session has a shorter handshake over
//! sockets, but counts like any other here.

use std::time::Duration;

use super::handshake::{AlertKind, HandshakeStage};
use super::kind::FaultKind;
use super::layer::Layer;
use super::mint::PresentedIdentity;
use super::rule::Direction;
use super::verdict::{Hit, Verdict};
use crate::heartbeat::{ExchangeFailure, NO_TLS, Stage};
use crate::policy::Protocol;

/// The facts of an exchange in virtual time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VirtualExchange<'a> {
    /// Host and port of the manager, as the client called them.
    pub address: &'a str,
    /// The protocol of the connection.
    pub protocol: Protocol,
    /// The time that the client waits for an answer.
    pub limit: Duration,
    /// The length of the answer's body in bytes; none before there is an answer. A verdict may have no effect before
    /// and be a failure then: half an answer is lost only if there is a whole one.
    pub body_bytes: Option<usize>,
}

/// The effect of a verdict in virtual time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VirtualEffect {
    /// The exchange fails, and the client finds this.
    Fails(ExchangeFailure),
    /// The answer is late by this much, but within the client's limit.
    Late(Duration),
    /// The manager shows other certificates: mint them, and let the client judge.
    Shows,
    /// The answer is altered: tamper with it.
    Alters,
    /// The end of the answer is missing, and the client does not notice.
    Cut {
        /// The number of missing bytes.
        bytes: usize,
    },
}

const HEAD_BYTES: u64 = 200;
const HANDSHAKE_BYTES: u64 = 2500;
const REQUEST_BYTES: u64 = 300;
const HANDSHAKE_BYTES_TO_MANAGER: u64 = 700;
/// The largest head that the lab's client reads, in bytes: hyper's own limit.
const LARGEST_HEAD: u64 = 417_792;

impl Verdict {
    /// Returns the effect of the verdict where no bytes are sent, if it has one.
    pub fn in_virtual_time(&self, meeting: &VirtualExchange<'_>) -> Option<VirtualEffect> {
        self.hit().and_then(|hit| hit.in_virtual_time(meeting))
    }
}

impl PresentedIdentity {
    /// Whether the manager can prove possession of the key to the certificate that it shows.
    pub fn is_possessed(&self) -> bool {
        self.chain.first().is_some_and(|first| first.public_key_der() == self.key.public_key_der())
    }
}

impl Hit {
    fn in_virtual_time(&self, meeting: &VirtualExchange<'_>) -> Option<VirtualEffect> {
        let is_of_connection = self.rule.place.route.is_none();
        let is_tls = meeting.protocol == Protocol::Https;
        let first = if is_tls && is_of_connection { Stage::Handshake } else { Stage::Answer };
        // A fault on a route affects the answer alone.
        let means = |way: Direction| is_of_connection && self.direction().means(way);
        let (to_manager, to_client) =
            (means(Direction::ToManager), !is_of_connection || means(Direction::ToClient));
        let of_tls = |bytes: u64| if first == Stage::Handshake { bytes } else { 0 };
        let answer = meeting
            .body_bytes
            .map(|bytes| HEAD_BYTES + u64::try_from(bytes).unwrap_or(u64::MAX - HEAD_BYTES));
        // For each affected direction: the bytes of the handshake, and the bytes in all.
        let up = to_manager.then(|| {
            let handshake = of_tls(HANDSHAKE_BYTES_TO_MANAGER);
            (handshake, handshake + REQUEST_BYTES)
        });
        let down = to_client.then(|| {
            let handshake = of_tls(HANDSHAKE_BYTES);
            (handshake, handshake + answer.unwrap_or(0))
        });
        let ways = || up.into_iter().chain(down);
        let all: u64 = ways().map(|(_, all)| all).sum();
        let shaken: u64 = ways().map(|(handshake, _)| handshake).sum();
        let has_body = meeting.body_bytes.is_some_and(|bytes| bytes > 0);
        let ends_after = |bytes: u64| {
            let stages = ways().filter(|(_, all)| bytes < *all).map(|(handshake, _)| bytes < handshake);
            let in_handshake = stages.reduce(|one, other| one || other)?;
            let stage = if in_handshake { Stage::Handshake } else { Stage::Answer };
            Some(lost(stage, "the connection ended"))
        };
        // The duration in all, and until the end of the handshake.
        let slow = |ms: u64, handshake_ms: u64| {
            if handshake_ms >= millis(meeting.limit) {
                return Some(timed_out(Stage::Handshake, meeting));
            }
            answer.map(|_| late(Duration::from_millis(ms), Stage::Answer, meeting))
        };
        match self.what() {
            FaultKind::Refuse => Some(VirtualEffect::Fails(ExchangeFailure::ConnectionRefused {
                address: meeting.address.to_owned(),
            })),
            FaultKind::Blackhole => Some(timed_out(Stage::Connect, meeting)),
            FaultKind::AcceptThenStall { close_after_ms } => {
                Some(match close_after_ms.map(Duration::from_millis) {
                    Some(closed) if closed < meeting.limit => lost(first, "the connection was closed"),
                    _ => timed_out(first, meeting),
                })
            }
            FaultKind::Latency { .. } => {
                let delay = self.latency().unwrap_or_default();
                Some(late(if to_manager && to_client { delay * 2 } else { delay }, first, meeting))
            }
            FaultKind::Bandwidth { bytes_per_second } => {
                let ms = |bytes: u64| bytes.saturating_mul(1000) / (*bytes_per_second).max(1);
                slow(ms(all), ms(shaken))
            }
            FaultKind::Slicer { slice_bytes, gap_ms } => {
                let ms = |bytes: u64| (bytes / (*slice_bytes).max(1)).saturating_mul(*gap_ms);
                slow(ms(all), ms(shaken))
            }
            FaultKind::Reset { after_bytes: 0, after_ms: 1.. } | FaultKind::SlowClose { .. } => None,
            FaultKind::Reset { after_bytes: bytes, .. }
            | FaultKind::HalfClose { after_bytes: bytes }
            | FaultKind::LimitData { bytes } => ends_after(*bytes),
            FaultKind::HandshakeStall { stage } => Some(timed_out(stage_of(*stage), meeting)),
            FaultKind::HandshakeClose { stage } => Some(lost(stage_of(*stage), "the connection was closed")),
            FaultKind::Alert { alert } => Some(tls_failed(&alerted(*alert))),
            FaultKind::NoSharedCipher => Some(tls_failed(&alerted(AlertKind::HandshakeFailure))),
            FaultKind::ProtocolTooOld | FaultKind::ProtocolTooNew => {
                Some(tls_failed(&alerted(AlertKind::ProtocolVersion)))
            }
            FaultKind::PlaintextOnTls => Some(tls_failed(NO_TLS)),
            FaultKind::TlsOnPlain => Some(not_http("the manager speaks TLS")),
            FaultKind::Garbage { .. } => Some(not_http("the answer is not HTTP")),
            FaultKind::HugeHeaders { bytes } => {
                (*bytes > LARGEST_HEAD).then(|| not_http("message head is too large"))
            }
            FaultKind::Empty => Some(lost(Stage::Answer, "connection closed before message completed")),
            FaultKind::MalformedChunk => Some(lost(Stage::Answer, "error reading a body from connection")),
            FaultKind::Truncated { .. } => {
                has_body.then(|| lost(Stage::Answer, "end of file before message length reached"))
            }
            FaultKind::WrongLength { by } => match usize::try_from(by.unsigned_abs()).unwrap_or(usize::MAX) {
                bytes if *by < 0 => has_body.then_some(VirtualEffect::Cut { bytes }),
                _ => Some(lost(Stage::Answer, "end of file before message length reached")),
            },
            FaultKind::Dribbled { total_ms, .. } | FaultKind::SlowHeaders { total_ms } => {
                Some(late(Duration::from_millis(*total_ms), Stage::Answer, meeting))
            }
            FaultKind::WrongKey => Some(VirtualEffect::Shows),
            what if what.layer() == Layer::Certificate && is_of_connection => Some(VirtualEffect::Shows),
            _ => Some(VirtualEffect::Alters),
        }
    }
}

const fn stage_of(stage: HandshakeStage) -> Stage {
    match stage {
        HandshakeStage::AfterFinished => Stage::Answer,
        HandshakeStage::BeforeHello | HandshakeStage::AfterClientHello | HandshakeStage::InServerFlight => {
            Stage::Handshake
        }
    }
}

fn late(delay: Duration, stage: Stage, meeting: &VirtualExchange<'_>) -> VirtualEffect {
    if delay >= meeting.limit { timed_out(stage, meeting) } else { VirtualEffect::Late(delay) }
}

fn timed_out(stage: Stage, meeting: &VirtualExchange<'_>) -> VirtualEffect {
    VirtualEffect::Fails(ExchangeFailure::TimedOut { stage, after_ms: millis(meeting.limit) })
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn lost(stage: Stage, detail: &str) -> VirtualEffect {
    VirtualEffect::Fails(ExchangeFailure::ConnectionLost { stage, detail: detail.to_owned() })
}

fn tls_failed(detail: &str) -> VirtualEffect {
    VirtualEffect::Fails(ExchangeFailure::TlsFailed { detail: detail.to_owned() })
}

fn not_http(detail: &str) -> VirtualEffect {
    VirtualEffect::Fails(ExchangeFailure::NotHttp { detail: detail.to_owned() })
}

/// The alert, in the words of the TLS library.
fn alerted(alert: AlertKind) -> String {
    format!("received fatal alert: {alert:?}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::super::{FaultRule, Route};
    use super::*;

    fn verdict(what: &Value, route: Option<Route>) -> Verdict {
        let mut rule = FaultRule::new("one", serde_json::from_value(what.clone()).unwrap());
        rule.place.route = route;
        Verdict::Hit(Hit { rule: Arc::new(rule), drawn: 1, age: Duration::ZERO })
    }

    fn meeting(protocol: Protocol, body_bytes: Option<usize>) -> VirtualExchange<'static> {
        VirtualExchange { address: "127.0.0.1:8014", protocol, limit: Duration::from_secs(30), body_bytes }
    }

    /// A short form: the code and the stage of a failure, or the other effect.
    fn met(what: &Value, route: Option<Route>, meeting: &VirtualExchange<'_>) -> String {
        match verdict(what, route).in_virtual_time(meeting) {
            None => "nothing".to_owned(),
            Some(VirtualEffect::Late(delay)) => format!("late {}", delay.as_millis()),
            Some(VirtualEffect::Cut { bytes }) => format!("cut {bytes}"),
            Some(VirtualEffect::Shows) => "judged".to_owned(),
            Some(VirtualEffect::Alters) => "altered".to_owned(),
            Some(VirtualEffect::Fails(failure)) => {
                let told = serde_json::to_value(&failure).unwrap();
                let stage = told.get("stage").and_then(Value::as_str).map(|stage| format!(" in {stage}"));
                format!("{}{}", failure.code(), stage.unwrap_or_default())
            }
        }
    }

    #[test]
    fn the_table_of_kinds_says_what_each_comes_to_in_virtual_time() {
        for info in FaultKind::kinds() {
            let met = met(&json!(info.name), None, &meeting(Protocol::Https, Some(800)));
            let code = met.split(' ').next().unwrap();
            let said = info.virtual_time.replace("a delay", "late");
            assert!(said.contains(code), "{}: {met}, but the table says {said}", info.name);
        }
    }

    #[test]
    fn a_connection_is_lost_in_the_stage_in_which_its_bytes_end() {
        let (https, http) = (meeting(Protocol::Https, Some(800)), meeting(Protocol::Http, Some(800)));
        let reset = |after: u64| json!({"kind": "reset", "after_bytes": after});
        assert_eq!(met(&reset(0), None, &https), "connection-lost in handshake");
        assert_eq!(met(&reset(2600), None, &https), "connection-lost in answer");
        assert_eq!(met(&reset(9000), None, &https), "nothing");
        assert_eq!(met(&reset(0), None, &http), "connection-lost in answer");
        assert_eq!(met(&reset(0), Some(Route::Policy), &https), "connection-lost in answer");
        assert_eq!(met(&reset(999), Some(Route::Policy), &https), "connection-lost in answer");
        assert_eq!(met(&reset(1000), Some(Route::Policy), &https), "nothing");
        // Whichever comes first.
        let either = json!({"kind": "reset", "after_bytes": 999, "after_ms": 10});
        assert_eq!(met(&either, Some(Route::Policy), &https), "connection-lost in answer");
        // Before there is an answer, only the handshake can be lost.
        assert_eq!(met(&reset(0), None, &meeting(Protocol::Http, None)), "nothing");
        assert_eq!(met(&reset(0), None, &meeting(Protocol::Https, None)), "connection-lost in handshake");
        assert_eq!(met(&json!("truncated"), None, &meeting(Protocol::Http, Some(0))), "nothing");
        assert_eq!(met(&json!({"kind": "reset", "after_ms": 10}), None, &https), "nothing");
    }

    #[test]
    fn each_direction_ends_and_is_late_on_its_own() {
        let going = |what: Value, direction: Direction, meeting: &VirtualExchange<'_>| {
            let mut rule = FaultRule::new("one", serde_json::from_value(what).unwrap());
            rule.place.direction = Some(direction);
            let hit = Hit { rule: Arc::new(rule), drawn: 1, age: Duration::ZERO };
            Verdict::Hit(hit).in_virtual_time(meeting)
        };
        let (https, http) = (meeting(Protocol::Https, Some(800)), meeting(Protocol::Http, Some(800)));
        let cut = |bytes: u64| json!({"kind": "limit-data", "bytes": bytes});
        let ends = |stage: Stage| Some(lost(stage, "the connection ended"));
        for (bytes, direction, expected) in [
            (650, Direction::ToManager, ends(Stage::Handshake)),
            (900, Direction::ToManager, ends(Stage::Answer)),
            (1100, Direction::ToManager, None),
            (900, Direction::ToClient, ends(Stage::Handshake)),
            (2700, Direction::ToClient, ends(Stage::Answer)),
            (900, Direction::Both, ends(Stage::Handshake)),
            (2700, Direction::Both, ends(Stage::Answer)),
            (9000, Direction::Both, None),
        ] {
            assert_eq!(going(cut(bytes), direction, &https), expected, "{bytes} {direction:?}");
        }
        assert_eq!(going(cut(299), Direction::ToManager, &http), ends(Stage::Answer));
        assert_eq!(going(cut(300), Direction::ToManager, &http), None);
        let late = |seconds: u64| Some(VirtualEffect::Late(Duration::from_secs(seconds)));
        let latency = || json!({"kind": "latency", "ms": 10_000});
        assert_eq!(going(latency(), Direction::ToManager, &http), late(10));
        assert_eq!(going(latency(), Direction::Both, &http), late(20));
        let slow = || json!({"kind": "bandwidth", "bytes_per_second": 100});
        assert_eq!(going(slow(), Direction::ToManager, &http), late(3));
        assert_eq!(going(slow(), Direction::Both, &http), late(13));
        assert_eq!(
            going(json!({"kind": "bandwidth", "bytes_per_second": 50}), Direction::ToClient, &https),
            Some(timed_out(Stage::Handshake, &https))
        );
    }

    #[test]
    fn an_exchange_longer_than_the_clients_limit_times_out() {
        let https = meeting(Protocol::Https, Some(1800));
        for (what, expected) in [
            (json!({"kind": "latency", "ms": 29_999}), "late 29999"),
            (json!({"kind": "latency", "ms": 30_000}), "timed-out in handshake"),
            (json!({"kind": "bandwidth", "bytes_per_second": 450}), "late 10000"),
            (json!({"kind": "bandwidth", "bytes_per_second": 100}), "timed-out in answer"),
            (json!({"kind": "slicer", "slice_bytes": 45, "gap_ms": 10}), "late 1000"),
            (json!({"kind": "slow-headers", "total_ms": 45_000}), "timed-out in answer"),
            (json!("blackhole"), "timed-out in connect"),
            (json!("accept-then-stall"), "timed-out in handshake"),
            (json!({"kind": "accept-then-stall", "close_after_ms": 500}), "connection-lost in handshake"),
            (json!({"kind": "handshake-stall", "stage": "after-finished"}), "timed-out in answer"),
        ] {
            assert_eq!(met(&what, None, &https), expected, "{what}");
        }
        assert_eq!(
            met(&json!("accept-then-stall"), None, &meeting(Protocol::Http, None)),
            "timed-out in answer"
        );
    }

    #[test]
    fn a_length_that_is_too_small_cuts_the_answer_and_one_that_is_too_large_loses_it() {
        let http = meeting(Protocol::Http, Some(10));
        assert_eq!(met(&json!({"kind": "wrong-length", "by": -4}), None, &http), "cut 4");
        assert_eq!(met(&json!({"kind": "wrong-length", "by": 4}), None, &http), "connection-lost in answer");
    }
}
