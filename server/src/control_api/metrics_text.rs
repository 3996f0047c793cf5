//! Metrics as text: OpenMetrics for those who ask for it, and the older text format of Prometheus for others.
//!
//! Knows nothing of the lab. What a metric is about is in `metrics.rs`.

use std::fmt;

use axum::http::{HeaderMap, header};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

/// Names and values of a sample's labels.
pub(super) type Labels = Vec<(&'static str, String)>;

/// All metrics at one moment.
#[derive(Debug, Default)]
pub(super) struct Metrics(Vec<Family>);

/// The samples of one name.
#[derive(Debug)]
struct Family {
    name: &'static str,
    help: &'static str,
    samples: Samples,
}

#[derive(Debug)]
enum Samples {
    Counters(Vec<(Labels, f64)>),
    Gauges(Vec<(Labels, f64)>),
    Durations(Vec<(Labels, Durations)>),
}

/// Durations in classes: the upper limit in seconds and the number of each, and the sum in seconds.
#[derive(Debug)]
pub(super) struct Durations {
    pub(super) classes: Vec<(f64, u64)>,
    pub(super) sum: f64,
}

/// The format of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exposition {
    OpenMetrics,
    /// The text format of Prometheus, version 0.0.4.
    Plain,
}

impl Exposition {
    /// The format that a request accepts.
    pub(super) fn accepted(headers: &HeaderMap) -> Self {
        let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|one| one.to_str().ok());
        match accepted.any(|one| one.contains("application/openmetrics-text")) {
            true => Self::OpenMetrics,
            false => Self::Plain,
        }
    }

    pub(super) const fn media_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

impl Metrics {
    /// Adds a number that only grows; its samples end in `_total`.
    pub(super) fn counter(
        &mut self,
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels, f64)>,
    ) {
        let samples = Samples::Counters(samples.into_iter().collect());
        self.0.push(Family { name, help, samples });
    }

    /// Adds a number that may grow and shrink.
    pub(super) fn gauge(
        &mut self,
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels, f64)>,
    ) {
        let samples = Samples::Gauges(samples.into_iter().collect());
        self.0.push(Family { name, help, samples });
    }

    /// Adds a metric of durations, each with its labels.
    pub(super) fn durations(
        &mut self,
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = (Labels, Durations)>,
    ) {
        let samples = Samples::Durations(samples.into_iter().collect());
        self.0.push(Family { name, help, samples });
    }

    /// The metrics in a format.
    pub(super) fn write(self, form: Exposition) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(match form {
            Exposition::OpenMetrics => text,
            Exposition::Plain => plain(&text),
        })
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for Family { name, help, samples } in &self.0 {
            let kind = match samples {
                Samples::Counters(_) => MetricType::Counter,
                Samples::Gauges(_) => MetricType::Gauge,
                Samples::Durations(_) => MetricType::Histogram,
            };
            let mut family = encoder.encode_descriptor(name, help, None, kind)?;
            match samples {
                Samples::Counters(all) => {
                    each(&mut family, all, |mut one, value| {
                        one.encode_counter::<NoLabelSet, _, u64>(value, None)
                    })?;
                }
                Samples::Gauges(all) => each(&mut family, all, |mut one, value| one.encode_gauge(value))?,
                Samples::Durations(all) => each(&mut family, all, |mut one, Durations { classes, sum }| {
                    let count = classes.iter().map(|(_, count)| count).sum();
                    one.encode_histogram::<NoLabelSet>(*sum, count, classes, None)
                })?,
            }
        }
        Ok(())
    }
}

/// Writes each sample with its labels.
fn each<V>(
    family: &mut MetricEncoder<'_>,
    samples: &[(Labels, V)],
    write: impl Fn(MetricEncoder<'_>, &V) -> fmt::Result,
) -> fmt::Result {
    samples.iter().try_for_each(|(labels, value)| write(family.encode_family(labels)?, value))
}

/// The text format of Prometheus of this text: a counter is described by the name of its samples, and no end is marked.
fn plain(open_metrics: &str) -> String {
    let lines: Vec<&str> = open_metrics.lines().collect();
    let mut text = String::with_capacity(open_metrics.len());
    for (place, line) in lines.iter().enumerate() {
        let described = |kind: &str| line.strip_prefix("# ").and_then(|rest| rest.strip_prefix(kind));
        if *line == "# EOF" {
            continue;
        }
        if let Some((name, help)) = described("HELP ").and_then(|rest| rest.split_once(' ')) {
            let is_counter = lines.get(place + 1).is_some_and(|next| next.ends_with(" counter"));
            let total = if is_counter { "_total" } else { "" };
            text += &format!("# HELP {name}{total} {help}\n");
        } else if let Some(name) = described("TYPE ").and_then(|rest| rest.strip_suffix(" counter")) {
            text += &format!("# TYPE {name}_total counter\n");
        } else {
            text += line;
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> Metrics {
        let mut metrics = Metrics::default();
        let labels = || vec![("name", "a \"b\" \\ c\nd".to_owned())];
        metrics.counter("beats", "Number of beats", [(labels(), 2.0)]);
        metrics.gauge("held", "Number of requests that are held", [(Vec::new(), 3.0)]);
        let classes = vec![(0.5, 1), (f64::INFINITY, 1)];
        metrics.durations(
            "beat_seconds",
            "How long beats take",
            [(labels(), Durations { classes, sum: 4.5 })],
        );
        metrics
    }

    #[test]
    fn a_counter_is_described_by_the_name_that_each_format_wants() {
        let open = metrics().write(Exposition::OpenMetrics).unwrap();
        assert!(
            open.contains("# TYPE beats counter\nbeats_total{name=\"a \\\"b\\\" \\\\ c\\nd\"} 2.0\n"),
            "{open}"
        );
        assert!(open.ends_with("# EOF\n"), "{open}");
        let plain = metrics().write(Exposition::Plain).unwrap();
        assert!(
            plain.contains("# HELP beats_total Number of beats\n# TYPE beats_total counter\nbeats_total{"),
            "{plain}"
        );
        assert!(plain.contains("# TYPE held gauge\nheld 3.0\n") && !plain.contains("# EOF"), "{plain}");
        assert!(plain.contains("le=\"+Inf\"") && plain.contains("beat_seconds_count{"), "{plain}");
    }
}
