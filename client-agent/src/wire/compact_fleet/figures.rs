//! What a fleet measures: heartbeats, their causes of failure, and how long they take.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::lines::Quantiles;
use crate::agent::{Distrust, Health, Trouble};

/// The bits of a time in microseconds that a bucket distinguishes: a bucket is at most a sixteenth wide.
const BITS: u32 = 4;
/// The number of buckets: times up to 2^40 microseconds, 12 days.
const BUCKETS: usize = 37 << BITS;

/// How often times of each length occurred.
#[derive(Clone, Debug)]
pub(super) struct Histogram {
    buckets: Vec<u32>,
    count: u64,
    longest: Duration,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], count: 0, longest: Duration::ZERO }
    }
}

impl Histogram {
    /// Counts a time.
    pub(super) fn add(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        if let Some(bucket) = self.buckets.get_mut(bucket_of(micros).min(BUCKETS - 1)) {
            *bucket += 1;
        }
        self.count += 1;
        self.longest = self.longest.max(time);
    }

    /// Adds the counts of another one.
    pub(super) fn merge(&mut self, other: &Self) {
        for (bucket, more) in self.buckets.iter_mut().zip(&other.buckets) {
            *bucket = bucket.saturating_add(*more);
        }
        self.count += other.count;
        self.longest = self.longest.max(other.longest);
    }

    /// Median, 99th percentile and longest time; none without any.
    pub(super) fn quantiles(&self) -> Option<Quantiles> {
        (self.count > 0).then(|| Quantiles {
            p50_ms: self.at(0.5),
            p99_ms: self.at(0.99),
            longest_ms: millis(u64::try_from(self.longest.as_micros()).unwrap_or(u64::MAX)),
        })
    }

    /// The time in milliseconds that this share of the times does not exceed, rounded up by at most a sixteenth.
    fn at(&self, share: f64) -> f64 {
        let mut left = (self.count as f64 * share).ceil() as u64;
        let longest = u64::try_from(self.longest.as_micros()).unwrap_or(u64::MAX);
        for (place, count) in self.buckets.iter().enumerate() {
            left = left.saturating_sub(u64::from(*count));
            if left == 0 && *count > 0 {
                return millis(top_of(place).min(longest));
            }
        }
        millis(longest)
    }
}

fn millis(micros: u64) -> f64 {
    (micros as f64 / 10.0).round() / 100.0
}

/// The bucket of a time in microseconds.
fn bucket_of(micros: u64) -> usize {
    let high = 63 - (micros | 1).leading_zeros();
    let shift = high.saturating_sub(BITS);
    let within = usize::try_from(micros >> shift).unwrap_or(0);
    within + ((shift as usize) << BITS)
}

/// The longest time of a bucket in microseconds.
fn top_of(bucket: usize) -> u64 {
    let shift = (bucket >> BITS).saturating_sub(1);
    let within = bucket - (shift << BITS);
    ((within as u64 + 1) << shift) - 1
}

/// Counts of heartbeats that have ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub(super) heartbeats: u64,
    pub(super) unserved: u64,
    pub(super) exchanges: u64,
    /// Heartbeats in which no manager served the client, by the code of the cause.
    pub(super) causes: BTreeMap<String, u64>,
    /// From the beginning of a heartbeat to its end.
    pub(super) took: Histogram,
    /// From the time at which a heartbeat was due to its beginning.
    pub(super) late: Histogram,
}

impl Figures {
    /// Counts a heartbeat that has ended in this health.
    pub(super) fn count(&mut self, is_served: bool, health: &Health, exchanges: u64, took: Duration) {
        self.heartbeats += 1;
        self.exchanges += exchanges;
        self.took.add(took);
        if !is_served {
            self.unserved += 1;
            *self.causes.entry(cause(health)).or_default() += 1;
        }
    }

    /// Adds the counts of a later period.
    pub(super) fn merge(&mut self, later: &Self) {
        self.heartbeats += later.heartbeats;
        self.unserved += later.unserved;
        self.exchanges += later.exchanges;
        for (cause, count) in &later.causes {
            *self.causes.entry(cause.clone()).or_default() += count;
        }
        self.took.merge(&later.took);
        self.late.merge(&later.late);
    }
}

/// The code of the reason for which a client is not served.
pub(super) fn cause(health: &Health) -> String {
    match health {
        Health::New => "not-begun".to_owned(),
        Health::Connected { .. } => "none".to_owned(),
        Health::Orphaned { because, .. } => distrusted(because),
        Health::Disconnected { because, .. } => match because {
            Trouble::Exchange { failure } => failure.code().to_owned(),
            Trouble::Status { status, .. } => format!("status-{status}"),
            Trouble::Malformed { .. } => "malformed".to_owned(),
            Trouble::Untrusted { distrust } => distrusted(distrust),
            Trouble::Disabled => "disabled".to_owned(),
        },
    }
}

/// The layer of trust that failed, and how.
fn distrusted(distrust: &Distrust) -> String {
    match distrust {
        Distrust::Tls { rejection } => format!("tls-{}", code(rejection)),
        Distrust::Signature { error, .. } => format!("signature-{}", code(error)),
        Distrust::SharedSecret { .. } => "shared-secret".to_owned(),
    }
}

/// The code of a finding, as it is in its JSON.
fn code(finding: &impl Serialize) -> String {
    let code = serde_json::to_value(finding).ok().and_then(|json| Some(json["code"].as_str()?.to_owned()));
    code.unwrap_or_else(|| "unknown".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_at_most_a_sixteenth_too_long() {
        for micros in (0..5000).chain([1 << 20, (1 << 20) - 1, 123_456_789, 1 << 39]) {
            let top = top_of(bucket_of(micros));
            assert!(top >= micros && top - micros <= micros / 16, "{micros}: {top}");
        }
        let mut histogram = Histogram::default();
        assert_eq!(histogram.quantiles(), None);
        for ms in 1..=1000 {
            histogram.add(Duration::from_millis(ms));
        }
        let found = histogram.quantiles().unwrap();
        assert!((500.0..532.0).contains(&found.p50_ms), "{found:?}");
        assert!((990.0..=1000.0).contains(&found.p99_ms), "{found:?}");
        assert!((found.longest_ms - 1000.0).abs() < 0.01, "{found:?}");
    }
}
