//! `epm-agent fleet`: many clients in one process.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use epm_protocol::plural::counted;
use epm_protocol::sylink::{CommunicationMode, Sylink};
use epm_protocol::time::{Clock, Timestamp};
use epm_protocol::version::ClientVersion;
use parking_lot::Mutex;

use super::failure::Failure;
use super::report::{ReportOptions, Reports};
use crate::agent::MOST_REPORTED;
use crate::program::{is_heard, say, say_whole};
use crate::scenario::{Span, SpanError};
use crate::wire::{
    ClientChange, CompactFleet, FleetFigures, FleetLine, FleetNeeds, FleetPlan, FleetSpec, FleetStore,
    LabClock, MachineLimits, Quantiles, interrupted, outlive_the_file_limit, shard,
};

/// The number of changes of clients that are named to people.
const NAMED: usize = 10;
/// How long the heartbeats under way have to end when the fleet is stopped.
const PATIENCE: Duration = Duration::from_secs(5);

/// Options of `epm-agent fleet`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  epm-agent fleet --count 1000 --sylink lab/sylink.xml
  epm-agent fleet --count 100000 --sylink lab/sylink.xml --heartbeat 20s --for 10m
      5,000 heartbeats a second, for ten minutes
  epm-agent fleet --count 100000 --shard 2/4 --sylink lab/sylink.xml --json
      clients 25,001 to 50,000 of the same fleet, and figures as lines of JSON
  epm-agent fleet --count 30 --sylink lab/sylink.xml --report http://127.0.0.1:8015
      tell the lab what each client holds, for its verdict

Without --state the clients keep everything in memory. `epm-agent schema fleet`
prints the schema of a line of JSON.
Exit codes: 0 every client was served in its last heartbeat; 1 some were not;
2 invalid input, or more than the machine can do.")]
pub(super) struct Fleet {
    /// The communications file to start with, or a folder or zip archive with a sylink.xml in it
    #[arg(long, value_name = "FILE")]
    sylink: PathBuf,
    /// The number of clients of the whole fleet, from 1 to 1000000
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    count: u32,
    /// The interval between two heartbeats of a client; defaults to the communications settings
    #[arg(long, value_name = "DURATION", value_parser = positive)]
    heartbeat: Option<Span>,
    /// Run only shard I of N: a consecutive part of the fleet, the same clients in every run. An index from 0, as a job of
    /// Kubernetes has it, is written as INDEX+1/N
    #[arg(long, value_name = "I/N")]
    shard: Option<Shard>,
    /// The beginning of the computers' names; the clients are NAME-1, NAME-2 and so on
    #[arg(long, default_value = "fleet", value_name = "NAME")]
    name: String,
    /// The seed from which hardware ids and the times of heartbeats derive
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    seed: u64,
    /// The version of the clients to emulate
    #[arg(long, default_value = "14.3.8289", value_name = "VERSION")]
    client_version: ClientVersion,
    /// The location that the clients are in; defaults to their group's default location
    #[arg(long, value_name = "LOCATION")]
    location: Option<String>,
    /// The number of clients that may be in a heartbeat at the same time
    #[arg(long, default_value = "64", value_name = "NUMBER")]
    in_flight: NonZeroU32,
    /// Start at most this many clients per second; defaults to as many as are served
    #[arg(long, value_name = "NUMBER")]
    ramp: Option<NonZeroU32>,
    /// Stop after this time; defaults to running until Ctrl-C
    #[arg(long = "for", value_name = "DURATION", value_parser = positive)]
    length: Option<Span>,
    /// Print figures at this interval
    #[arg(long, default_value = "5s", value_name = "DURATION", value_parser = positive)]
    every: Span,
    #[command(flatten)]
    reports: ReportOptions,
    /// Keep the clients' caches in this file, and continue from it at the next start
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,
    /// Print lines of JSON: a plan, figures, each client that is no longer served or served again, and an end
    #[arg(long)]
    json: bool,
}

/// A part of a fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shard {
    number: u32,
    of: u32,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |number: &str| match number.strip_suffix("+1") {
            Some(index) => index.parse::<u32>().ok()?.checked_add(1),
            None => number.parse().ok(),
        };
        let numbers = text.split_once('/').and_then(|(one, of)| Some((number(one)?, of.parse().ok()?)));
        match numbers {
            Some((number, of)) if 1 <= number && number <= of => Ok(Self { number, of }),
            _ => Err("expected I/N with I from 1 to N, such as 2/4, or from 0 as 1+1/4".to_owned()),
        }
    }
}

fn positive(text: &str) -> Result<Span, String> {
    let span: Span = text.parse().map_err(|error: SpanError| error.to_string())?;
    if span.0.is_zero() { Err("expected more than nothing, such as 20s".to_owned()) } else { Ok(span) }
}

impl Fleet {
    /// The communications file to start with.
    pub(super) fn sylink(&self) -> &Path {
        &self.sylink
    }

    /// Runs the fleet with this communications file. Returns whether every client was served in its last heartbeat.
    pub(super) fn go(self, sylink: Arc<Sylink>) -> Result<bool, Failure> {
        let spec = self.spec(sylink)?;
        let holds = spec.sylink.conf().settings.mode == CommunicationMode::Push;
        let (clients, in_flight) = (spec.clients, spec.in_flight.min(spec.clients));
        let needs = FleetNeeds { clients, in_flight, holds, own_addresses: spec.own_addresses };
        let machine = MachineLimits::read();
        needs.check(&machine).map_err(|error| Failure::BadInput(error.to_string()))?;
        let store = self.state.as_deref().map(|path| FleetStore::open(path, &spec.name, spec.seed));
        let store = store.transpose().map_err(|error| Failure::BadInput(error.to_string()))?;
        let printer = Arc::new(Printer { json: self.json, named: Mutex::default() });
        printer.plan(&self.plan(&spec, &needs, &machine), &spec);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|error| Failure::Failed(format!("cannot start the runtime: {error}")))?;
        runtime.block_on(async { outlive_the_file_limit() });
        runtime.block_on(self.run(spec, store, &printer))
    }

    fn spec(&self, sylink: Arc<Sylink>) -> Result<FleetSpec, Failure> {
        let (first, clients) = match self.shard {
            Some(Shard { number, of }) => shard(self.count, number, of),
            None => (1, self.count),
        };
        if clients == 0 {
            let why = format!(
                "this shard has no client: the fleet has only {}",
                counted(self.count as usize, "client")
            );
            return Err(Failure::BadInput(why));
        }
        let is_loopback = |address: &str| {
            address == "localhost"
                || address.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
        };
        let own_addresses = sylink.conf().list.servers().all(|server| is_loopback(&server.address));
        Ok(FleetSpec {
            name: self.name.clone(),
            seed: self.seed,
            first,
            clients,
            version: self.client_version,
            sylink,
            location: self.location.clone(),
            heartbeat: self.heartbeat.map(|span| span.0),
            in_flight: self.in_flight.get(),
            ramp: self.ramp.map(NonZeroU32::get),
            own_addresses,
            assumptions: Arc::default(),
        })
    }

    fn plan(&self, spec: &FleetSpec, needs: &FleetNeeds, machine: &MachineLimits) -> FleetPlan {
        let seconds = spec.heartbeat.map(|every| every.as_secs_f64());
        FleetPlan {
            clients: spec.clients,
            first: spec.first,
            fleet: self.count,
            heartbeat_seconds: seconds,
            heartbeats_per_second: seconds.map(|seconds| f64::from(spec.clients) / seconds),
            in_flight: spec.in_flight,
            descriptors_needed: needs.descriptors(),
            descriptors: machine.descriptors,
            memory_needed_bytes: needs.memory(),
            memory_bytes: machine.memory,
            own_addresses: spec.own_addresses,
        }
    }

    async fn run(
        &self,
        spec: FleetSpec,
        store: Option<FleetStore>,
        printer: &Arc<Printer>,
    ) -> Result<bool, Failure> {
        let clock = Arc::new(LabClock::of_one_client());
        let parts = spec.clients.div_ceil(MOST_REPORTED as u32);
        let reporter = self.reports.reporter(&format!("{}-{}", spec.name, spec.first), parts, &clock)?;
        let began = clock.now();
        let told = Arc::clone(printer);
        let mut fleet =
            CompactFleet::start(spec, Arc::clone(&clock), store, Box::new(move |change| told.change(change)));
        let reports = reporter.map(|one| {
            let states = fleet.states();
            Reports::begin(one, move |part| states.of_part(part))
        });
        let end = self.length.map_or(Timestamp::NEVER, |length| began + length.0);
        let interrupted = interrupted();
        tokio::pin!(interrupted);
        let mut next = began + self.every.0;
        loop {
            tokio::select! {
                result = &mut interrupted => {
                    result.map_err(|error| Failure::Failed(format!("cannot wait for signals: {error}")))?;
                    break;
                }
                () = clock.sleep_until(end) => break,
                () = fleet.has_failed() => break,
                () = clock.sleep_until(next) => {
                    printer.figures(fleet.take_figures());
                    next = next + self.every.0;
                }
            }
            if !is_heard() {
                break;
            }
        }
        let stopped = fleet.stop(PATIENCE).await;
        if let Some(reports) = reports {
            reports.end().await;
        }
        let figures = fleet.figures();
        let all_served = figures.all_served();
        printer.end(figures);
        stopped.map_err(|error| Failure::Failed(error.to_string()))?;
        Ok(all_served)
    }
}

/// Prints what a fleet reports, to people or to programs.
struct Printer {
    json: bool,
    /// The number of changes of clients that were named.
    named: Mutex<usize>,
}

impl Printer {
    fn line(line: &FleetLine) {
        if let Ok(text) = serde_json::to_string(line) {
            say_whole(&format!("{text}\n"));
        }
    }

    fn plan(&self, plan: &FleetPlan, spec: &FleetSpec) {
        if self.json {
            return Self::line(&FleetLine::Plan(plan.clone()));
        }
        let last = spec.first + spec.clients - 1;
        let clients = counted(spec.clients as usize, "client");
        let rate = match (spec.heartbeat, plan.heartbeats_per_second) {
            (Some(every), Some(rate)) => {
                format!("a heartbeat every {} each, {rate:.0} per second", Span(every))
            }
            _ => "heartbeats as the communications settings say".to_owned(),
        };
        let mib = plan.memory_needed_bytes / 1024 / 1024;
        say(&format!(
            "{clients}, {name}-{first} to {name}-{last}: {rate}; at most {in_flight} at the same time; needs up to {mib} MiB and \
             {files} files\n",
            name = spec.name,
            first = spec.first,
            in_flight = spec.in_flight,
            files = plan.descriptors_needed,
        ));
    }

    fn change(&self, change: ClientChange) {
        if self.json {
            return Self::line(&FleetLine::Client(change));
        }
        let mut named = self.named.lock();
        *named += 1;
        let ClientChange { client, at, served, health, .. } = &change;
        let reason = match health {
            _ if *served => "is served again".to_owned(),
            crate::agent::Health::Orphaned { because, .. } => format!("is orphaned: {because}"),
            crate::agent::Health::Disconnected { because, .. } => format!("is not served: {because}"),
            _ => return,
        };
        match *named {
            1..=NAMED => say(&format!("{at} {client} {reason}\n")),
            number if number == NAMED + 1 => {
                say("Further clients are counted and not named here; --json names each.\n");
            }
            _ => {}
        }
    }

    fn figures(&self, figures: FleetFigures) {
        if self.json {
            return Self::line(&FleetLine::Figures(figures));
        }
        say(&format!("{:>6.0} s: {}\n", figures.seconds, words(&figures)));
    }

    fn end(&self, figures: FleetFigures) {
        if self.json {
            return Self::line(&FleetLine::End(figures));
        }
        say(&format!("{:>6.0} s in all: {}\n", figures.seconds, words(&figures)));
    }
}

/// Figures in one line.
fn words(figures: &FleetFigures) -> String {
    let FleetFigures { clients, started, served, orphaned, disconnected, heartbeats, unserved, .. } = figures;
    let mut text = String::new();
    if started < clients {
        text += &format!("{started} of {clients} started, ");
    }
    text += &format!("{served} served");
    for (count, what) in [(orphaned, "orphaned"), (disconnected, "not served")] {
        if *count > 0 {
            text += &format!(", {count} {what}");
        }
    }
    text += &format!(", coverage {:.1} %", figures.coverage * 100.0);
    text += &format!("; {heartbeats} heartbeats, {:.0} per second", figures.heartbeats_per_second);
    let quantiles = |name: &str, quantiles: &Option<Quantiles>| {
        quantiles.map_or_else(String::new, |Quantiles { p50_ms, p99_ms, .. }| {
            format!(", {name} p50 {p50_ms:.1} ms p99 {p99_ms:.1} ms")
        })
    };
    text += &quantiles("latency", &figures.latency);
    text += &quantiles("late", &figures.late);
    if *unserved > 0 {
        let causes: Vec<String> =
            figures.causes.iter().map(|(cause, count)| format!("{count} {cause}")).collect();
        text += &format!("; errors: {}", causes.join(", "));
    } else {
        text += "; no errors";
    }
    if let Some(bytes) = figures.memory_bytes {
        text += &format!("; {} MiB", bytes / 1024 / 1024);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_one_of_several_and_a_duration_more_than_nothing() {
        assert_eq!("2/4".parse(), Ok(Shard { number: 2, of: 4 }));
        assert_eq!(["0+1/4", "3+1/4"].map(|one| one.parse::<Shard>().unwrap().number), [1, 4]);
        for wrong in
            ["4+1/4", "+1/4", "4294967295+1/4", "0+2/4", "0/4", "5/4", "1/0", "1", "", "a/b", "1/2/3", "-1/2"]
        {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
        assert!(positive("0s").is_err() && positive("x").is_err() && positive("20s").is_ok());
    }
}
