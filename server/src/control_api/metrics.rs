//! `/metrics`: what a lab does, for Prometheus and other tools that read OpenMetrics.
//!
//! Everything is read at the moment of the request, from what the lab has anyway and from counters. `docs/metrics.md` lists
//! the metrics for people.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use epm_client_agent::agent::{Health, TrustLayer};
use epm_client_agent::wire::ByState;
use epm_protocol::time::Clock;
use epm_protocol::trust::Fingerprint;

use super::error::Problem;
use super::extract::LabState;
use super::metrics_text::{Durations, Exposition, Labels, Metrics};
use crate::lab::{Lab, Seen};
use crate::runtime::counters::{BOUNDS, Handshake, Histogram, Outcome};
use crate::runtime::journal::Kind;

/// Answers a scrape.
pub(super) async fn metrics(State(lab): LabState, headers: HeaderMap) -> Response {
    let form = Exposition::accepted(&headers);
    let mut metrics = Metrics::default();
    about_the_lab(&lab, &mut metrics);
    about_managers(&lab, &mut metrics);
    about_clients(&lab, &mut metrics).await;
    about_records(&lab, &mut metrics);
    about_the_process(&mut metrics);
    match metrics.write(form) {
        Ok(text) => ([(header::CONTENT_TYPE, form.media_type())], text).into_response(),
        Err(_) => {
            let detail = "the metrics cannot be written";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "metrics", detail).into_response()
        }
    }
}

fn about_the_lab(lab: &Lab, metrics: &mut Metrics) {
    let about = vec![
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("site", lab.site.look(|site| site.name().to_owned())),
        ("instance_name", lab.instance().to_owned()),
    ];
    metrics.gauge("epm_lab_build_info", "Version of the program, and name of the site", [(about, 1.0)]);
    let now = lab.clock().now();
    metrics.gauge("epm_lab_time_seconds", "Lab time, since 1970", [one(now.as_seconds() as f64)]);
    let speed = f64::from(lab.clock().speed());
    metrics.gauge("epm_lab_clock_speed", "Speed of lab time; 0 while it stands", [one(speed)]);
}

fn about_managers(lab: &Lab, metrics: &mut Metrics) {
    let managers = lab.site.managers();
    let named = |manager: usize| ("manager", managers[manager].name.clone());
    let each = || (0..managers.len()).map(|place| (place, &managers[place].counters));
    let outcomes = each().flat_map(|(place, counters)| {
        counters.exchanges().flat_map(move |(action, counts, _)| {
            let outcomes = Outcome::ALL.into_iter().zip(counts);
            outcomes.map(move |(outcome, count)| (place, action, outcome, count))
        })
    });
    let outcomes: Vec<_> = outcomes.collect();
    metrics.counter(
        "epm_lab_heartbeats",
        "Heartbeats of clients: requests for the index, by outcome",
        outcomes.iter().filter(|(_, action, ..)| *action == "index").map(|(place, _, outcome, count)| {
            (vec![named(*place), ("outcome", outcome.name().to_owned())], float(*count))
        }),
    );
    metrics.counter(
        "epm_lab_exchanges",
        "Exchanges with clients by action and outcome, heartbeats among them",
        outcomes.iter().map(|(place, action, outcome, count)| {
            let outcome = ("outcome", outcome.name().to_owned());
            (vec![named(*place), ("action", (*action).to_owned()), outcome], float(*count))
        }),
    );
    metrics.durations(
        "epm_lab_exchange_duration_seconds",
        "Real time from the head of a request of a client to its response, by action",
        each().flat_map(|(place, counters)| {
            let happened = counters.exchanges().filter(|(_, counts, _)| *counts != [0; 3]);
            happened.map(move |(action, _, times)| {
                (vec![named(place), ("action", action.to_owned())], durations(times))
            })
        }),
    );
    let ports = || {
        each().flat_map(|(place, counters)| {
            [(place, "clients", &counters.clients_port), (place, "rest", &counters.rest_port)]
        })
    };
    let on_port = |place, port: &str| vec![named(place), ("port", port.to_owned())];
    metrics.counter(
        "epm_lab_tls_handshakes",
        "TLS handshakes by port, result, and whether the session of an earlier one was resumed",
        ports().flat_map(|(place, port, counters)| {
            let counts = Handshake::ALL.into_iter().zip(counters.handshakes());
            counts.map(move |(how, count)| {
                let (result, resumed) = match how {
                    Handshake::Full => ("completed", "false"),
                    Handshake::Resumed => ("completed", "true"),
                    Handshake::Failed => ("failed", "false"),
                };
                let mut labels = on_port(place, port);
                labels.extend([("result", result.to_owned()), ("resumed", resumed.to_owned())]);
                (labels, float(count))
            })
        }),
    );
    metrics.durations(
        "epm_lab_tls_handshake_duration_seconds",
        "Real time of completed TLS handshakes by port",
        ports().map(|(place, port, counters)| (on_port(place, port), durations(&counters.handshake_time))),
    );
    metrics.counter(
        "epm_lab_rest_calls",
        "Calls of the REST API by class of the status; none if a fault wrote no HTTP",
        each().flat_map(|(place, counters)| {
            let classes = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(counters.calls());
            classes
                .map(move |(class, count)| (vec![named(place), ("status", class.to_owned())], float(count)))
        }),
    );
    metrics.durations(
        "epm_lab_rest_call_duration_seconds",
        "Real time from the head of a call of the REST API to the head of its response",
        each().map(|(place, counters)| (vec![named(place)], durations(&counters.call_time))),
    );
    metrics.gauge(
        "epm_lab_connections",
        "Open connections by port",
        managers.iter().enumerate().flat_map(|(place, manager)| {
            let (clients, rest) = (manager.connections.count(), manager.rest.connections.count());
            [("clients", clients), ("rest", rest)].map(|(port, count)| (on_port(place, port), count as f64))
        }),
    );
    metrics.gauge(
        "epm_lab_services_down",
        "Services of a manager that did not start",
        managers.iter().enumerate().map(|(place, manager)| {
            (vec![named(place)], lab.site.stopped_services(&manager.name).len() as f64)
        }),
    );
}

async fn about_clients(lab: &Lab, metrics: &mut Metrics) {
    let health = |health: &Health| match health {
        Health::New => "new",
        Health::Connected { .. } => "connected",
        Health::Disconnected { .. } => "disconnected",
        Health::Orphaned { .. } => "orphaned",
    };
    let layers = [TrustLayer::Tls, TrustLayer::Signature, TrustLayer::SharedSecret];
    let code = |layer: TrustLayer| {
        let code = serde_json::to_value(layer).ok();
        code.and_then(|code| code.as_str().map(str::to_owned)).unwrap_or_default()
    };
    let mut by_health: BTreeMap<_, f64> =
        ["new", "connected", "disconnected", "orphaned"].map(|name| (name, 0.0)).into();
    let mut by_layer: BTreeMap<_, f64> = layers.map(|layer| (layer.title(), 0.0)).into();
    let in_force: Vec<Fingerprint> = lab.certificates().into_values().collect();
    let mut holders: BTreeMap<Fingerprint, f64> = in_force.iter().map(|one| (*one, 0.0)).collect();
    let (mut clients, mut covered, mut off, mut frozen, mut silent) = (0.0, 0.0, 0.0, 0.0, 0.0);
    let mut states = ByState::<f64>::default();
    let heard = lab
        .look_at_everyone(|Seen { glance, .. }| {
            *states.of(&glance.common, |_| 0.0) += 1.0;
            clients += 1.0;
            off += f64::from(u8::from(!glance.is_on));
            frozen += f64::from(u8::from(glance.is_frozen));
            silent += f64::from(u8::from(glance.is_silent));
        })
        .await;
    let unknown = heard.unknown.len();
    for (view, count) in states.iter() {
        *by_health.entry(health(&view.health)).or_default() += count;
        if let Health::Orphaned { because, .. } = &view.health {
            *by_layer.entry(because.layer().title()).or_default() += count;
        }
        view.certificates.iter().for_each(|one| *holders.entry(*one).or_default() += count);
        covered += count * f64::from(u8::from(in_force.iter().all(|one| view.certificates.contains(one))));
    }
    let labelled = |name: &'static str, value: String, count: f64| (vec![(name, value)], count);
    metrics.gauge(
        "epm_lab_clients",
        "Clients in the lab's process, and those that are reported to it, by health",
        by_health.into_iter().map(|(name, count)| labelled("health", name.to_owned(), count)),
    );
    metrics.gauge(
        "epm_lab_orphaned_clients",
        "Orphaned clients by the layer of trust that failed",
        layers.map(|layer| labelled("layer", code(layer), by_layer[layer.title()])),
    );
    metrics.gauge(
        "epm_lab_certificate_holders",
        "Clients that hold a certificate, by its SHA-256, and whether a manager presents it to clients now",
        holders.into_iter().map(|(one, count)| {
            let is_served = in_force.contains(&one).to_string();
            (vec![("certificate", one.to_string()), ("in_force", is_served)], count)
        }),
    );
    // Without clients there is no share.
    let coverage = (clients > 0.0).then(|| covered / clients);
    metrics.gauge(
        "epm_lab_coverage_ratio",
        "Share of the clients that hold every certificate in force, from 0 to 1; absent without clients",
        coverage.map(one),
    );
    metrics.gauge(
        "epm_lab_clients_apart",
        "Clients that are switched off, frozen, on and without a heartbeat for three intervals, or of which nothing is known",
        [("off", off), ("frozen", frozen), ("silent", silent), ("unknown", unknown as f64)]
            .map(|(state, count)| labelled("state", state.to_owned(), count)),
    );
    let registered = lab.site.look(|site| site.clients().count());
    metrics.gauge(
        "epm_lab_registered_clients",
        "Clients that are registered, also those outside of the lab's process",
        [one(registered as f64)],
    );
    metrics.gauge(
        "epm_lab_held_requests",
        "Requests of push mode that managers hold",
        [one(lab.site.held() as f64)],
    );
}

fn about_records(lab: &Lab, metrics: &mut Metrics) {
    let mut active = BTreeMap::<&'static str, f64>::new();
    for fault in lab.site.faults().list() {
        *active.entry(fault.rule.what.name()).or_default() += 1.0;
    }
    let of_kind = |kind: &str| ("kind", kind.to_owned());
    metrics.gauge(
        "epm_lab_faults",
        "Faults that are set, by kind",
        active.into_iter().map(|(kind, count)| (vec![of_kind(kind)], count)),
    );
    let journal = lab.site.journal();
    metrics.counter(
        "epm_lab_faults_applied",
        "Connections and exchanges that a fault hit, by manager and kind",
        journal.faults_by_kind().into_iter().map(|((manager, kind), count)| {
            let manager = lab.site.manager_name(manager).unwrap_or_default();
            (vec![("manager", manager), of_kind(kind)], float(count))
        }),
    );
    let entries = |counts: [u64; Kind::ALL.len()]| {
        let each = Kind::ALL.into_iter().zip(counts);
        each.map(move |(kind, count)| (vec![of_kind(&kind.to_string())], float(count)))
    };
    metrics.counter("epm_lab_journal_entries", "Entries of the journal by kind", entries(journal.counts()));
    metrics.counter(
        "epm_lab_journal_drops",
        "Entries that the journal has dropped to stay within its limit, by kind",
        entries(journal.drops()),
    );
    let keeper = lab.site.keeper();
    let [writes, failed] = keeper.writes();
    let store = keeper.store();
    let if_kept = |count: u64| store.map(|_| one(float(count)));
    metrics.gauge(
        "epm_lab_store_bytes",
        "Size of the files in the data folder; absent without `--data`",
        store.map(|store| one(float(store.bytes()))),
    );
    metrics.counter("epm_lab_store_writes", "Writes into the data folder", if_kept(writes));
    metrics.counter("epm_lab_store_failures", "Writes into the data folder that failed", if_kept(failed));
}

/// The process, with the names that all programs give these metrics; absent where the system does not tell.
fn about_the_process(metrics: &mut Metrics) {
    use rustix::process::{Resource, getrlimit};
    let fields = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name of the program may have spaces; fields are numbered from 1, and the third follows it.
    let fields: Vec<&str> = fields.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3).and_then(|field| field.parse::<f64>().ok());
    // Linux counts in hundredths for programs, whatever its own clock does.
    let seconds = field(14).zip(field(15)).map(|(user, system)| (user + system) / 100.0);
    metrics.counter("process_cpu_seconds", "Processor time of the process in seconds", seconds.map(one));
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let memory = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<f64>().ok().map(|kibibytes| kibibytes * 1024.0)
    };
    metrics.gauge("process_resident_memory_bytes", "Resident memory in bytes", memory("VmRSS:").map(one));
    let files = std::fs::read_dir("/proc/self/fd").ok().map(|files| files.count() as f64);
    metrics.gauge("process_open_fds", "Open file descriptors", files.map(one));
    let most = getrlimit(Resource::Nofile).current.map(float);
    metrics.gauge("process_max_fds", "Limit of open file descriptors", most.map(one));
}

/// A sample without labels.
const fn one(value: f64) -> (Labels, f64) {
    (Vec::new(), value)
}

fn float(count: u64) -> f64 {
    count as f64
}

fn durations(times: &Histogram) -> Durations {
    let (counts, sum) = times.read();
    let limits = BOUNDS.iter().map(|micros| float(*micros) / 1e6).chain([f64::INFINITY]);
    Durations { classes: limits.zip(counts).collect(), sum }
}
