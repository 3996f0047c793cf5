//! What one manager has done since the process started: plain counters, cheap enough for the hot path.
//!
//! They are read at a scrape of the metrics, and nothing decides by them.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::runtime::journal::Record;

/// What clients request, in the words of the journal; the last entry stands for every other word.
pub(crate) const ACTIONS: [&str; 10] =
    ["index", "policy", "list", "hold", "upload", "hello", "register", "package", "probe", "other"];

/// Upper limits of the classes of a duration, in microseconds.
pub(crate) const BOUNDS: [u64; 15] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    5_000_000, 30_000_000,
];

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The manager served the request.
    Served,
    /// The manager refused the request, with a status from 400 on.
    Refused,
    /// A fault acted on the exchange or on its connection.
    Faulted,
}

impl Outcome {
    pub(crate) const ALL: [Self; 3] = [Self::Served, Self::Refused, Self::Faulted];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Served => "served",
            Self::Refused => "refused",
            Self::Faulted => "faulted",
        }
    }
}

/// How a TLS handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handshake {
    /// Completed, with a certificate.
    Full,
    /// Completed with the session of an earlier one.
    Resumed,
    /// Failed, or stalled.
    Failed,
}

impl Handshake {
    pub(crate) const ALL: [Self; 3] = [Self::Full, Self::Resumed, Self::Failed];

    /// How a completed handshake ended.
    pub(crate) fn of(connection: &rustls::ServerConnection) -> Self {
        match connection.handshake_kind() {
            Some(rustls::HandshakeKind::Resumed) => Self::Resumed,
            _ => Self::Full,
        }
    }
}

/// The counters of one port.
#[derive(Debug, Default)]
pub(crate) struct PortCounters {
    handshakes: [AtomicU64; Handshake::ALL.len()],
    /// Real time of the completed handshakes.
    pub(crate) handshake_time: Histogram,
}

/// The counters of one manager.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    exchanges: [[AtomicU64; Outcome::ALL.len()]; ACTIONS.len()],
    exchange_times: [Histogram; ACTIONS.len()],
    pub(crate) clients_port: PortCounters,
    pub(crate) rest_port: PortCounters,
    /// Calls of the REST API by the first digit of the status; 0 stands for none.
    calls: [AtomicU64; 6],
    /// Real time of the calls of the REST API.
    pub(crate) call_time: Histogram,
}

/// Durations, counted in classes.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    counts: [AtomicU64; BOUNDS.len() + 1],
    micros: AtomicU64,
}

impl Counters {
    /// Counts an exchange with a client.
    pub(crate) fn exchange(&self, record: &Record, took: Duration) {
        let outcome = match record.status {
            _ if record.faulted => Outcome::Faulted,
            400.. => Outcome::Refused,
            _ => Outcome::Served,
        };
        let action = ACTIONS.iter().position(|one| *one == record.action).unwrap_or(ACTIONS.len() - 1);
        add(&self.exchanges[action][outcome as usize]);
        self.exchange_times[action].add(took);
    }

    /// Counts a call of the REST API; no status if a fault wrote something that is none.
    pub(crate) fn call(&self, status: Option<u16>, took: Duration) {
        let class = status.map_or(0, |status| usize::from(status / 100).min(5));
        add(&self.calls[class]);
        self.call_time.add(took);
    }

    /// Each action with its numbers by outcome, in the order of [`Outcome::ALL`], and with its durations.
    pub(crate) fn exchanges(&self) -> impl Iterator<Item = (&'static str, [u64; 3], &Histogram)> {
        let counted = self.exchanges.iter().map(|outcomes| outcomes.each_ref().map(read));
        let each = ACTIONS.into_iter().zip(counted).zip(&self.exchange_times);
        each.map(|((action, outcomes), times)| (action, outcomes, times))
    }

    /// Numbers of calls by the first digit of the status; 0 stands for none.
    pub(crate) fn calls(&self) -> [u64; 6] {
        self.calls.each_ref().map(read)
    }
}

impl PortCounters {
    /// Counts a handshake.
    pub(crate) fn handshake(&self, how: Handshake, took: Duration) {
        add(&self.handshakes[how as usize]);
        if how != Handshake::Failed {
            self.handshake_time.add(took);
        }
    }

    /// Numbers of handshakes in the order of [`Handshake::ALL`].
    pub(crate) fn handshakes(&self) -> [u64; 3] {
        self.handshakes.each_ref().map(read)
    }
}

impl Histogram {
    fn add(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let class = BOUNDS.iter().position(|bound| micros <= *bound).unwrap_or(BOUNDS.len());
        add(&self.counts[class]);
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }

    /// The numbers in each class, and the sum in seconds.
    pub(crate) fn read(&self) -> ([u64; BOUNDS.len() + 1], f64) {
        let micros = Duration::from_micros(read(&self.micros));
        (self.counts.each_ref().map(read), micros.as_secs_f64())
    }
}

fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use epm_protocol::time::Timestamp;

    use super::*;

    #[test]
    fn a_duration_is_counted_in_the_first_class_that_it_does_not_exceed() {
        let times = Histogram::default();
        for micros in [0, 100, 101, 30_000_000, 30_000_001] {
            times.add(Duration::from_micros(micros));
        }
        let (counts, seconds) = times.read();
        assert_eq!((counts[0], counts[1], counts[14], counts[15]), (2, 1, 1, 1));
        assert!((seconds - 60.000_202).abs() < 1e-9, "{seconds}");
    }

    #[test]
    fn an_unknown_word_is_counted_as_another_action() {
        let counters = Counters::default();
        let exchange = |action, status, faulted| Record {
            at: Timestamp::from_seconds(0),
            manager: 0,
            peer: ([127, 0, 0, 1], 1).into(),
            tls: false,
            action,
            agent: None,
            status,
            faulted,
        };
        counters.exchange(&exchange("unknown-path", 404, false), Duration::ZERO);
        counters.exchange(&exchange("index", 200, false), Duration::ZERO);
        counters.exchange(&exchange("index", 503, true), Duration::ZERO);
        let counted: Vec<_> = counters.exchanges().filter(|(_, outcomes, _)| *outcomes != [0; 3]).collect();
        assert_eq!(
            counted.iter().map(|(action, outcomes, _)| (*action, *outcomes)).collect::<Vec<_>>(),
            [("index", [1, 0, 1]), ("other", [0, 1, 0])]
        );
    }
}
