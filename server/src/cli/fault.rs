//! `epm-lab fault`: lists the kinds of fault, predicts hits, and manages the faults of a running lab.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use epm_protocol::fault::{
    ExchangeFacts, FaultKind, FaultRule, FaultSet, Moment, Party, Past, Prediction, Route,
};
use epm_protocol::id::AgentId;
use epm_protocol::plain::plain;
use epm_protocol::policy::Protocol;
use epm_protocol::time::Timestamp;
use epm_protocol::version::ClientVersion;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lab::{self, Act, Where};
use super::print;
use crate::cli::io::{Ending, Failure, read_text, say, say_json};
use crate::schema::BridgedSchema;

/// List the kinds of fault, predict hits, and add and remove the faults of a running lab
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  epm-lab fault kinds
  epm-lab fault add busy status --set code=503 --route index --percent 30
  epm-lab fault list
  epm-lab fault clear")]
pub(super) struct Fault {
    #[command(flatten)]
    at: Where,
    #[command(subcommand)]
    verb: FaultVerb,
}

#[derive(Debug, Subcommand)]
enum FaultVerb {
    /// List every kind of fault: layer, parameters, names in other tools
    #[command(after_help = "Example:\n  epm-lab fault kinds --json")]
    Kinds,
    /// Predict which of a client's next exchanges the faults in a file will hit
    Explain(Box<Explain>),
    #[command(flatten)]
    Lab(lab::FaultVerb),
}

/// Predicts which of a client's next exchanges the faults in a file will hit.
#[derive(Debug, Args)]
#[command(after_help = "\
The file is TOML:
  [[fault]]
  name = \"flaky\"
  what = { kind = \"status\", code = 503 }
  where = { route = \"index\" }
  probability = 0.3

Examples:
  epm-lab fault explain faults.toml --client desktop-1 --next 20
  epm-lab fault explain faults.toml --route policy --seed 7 --json
  epm-lab fault explain faults.toml --rest --next 100")]
pub(super) struct Explain {
    /// File with the faults, in TOML
    file: PathBuf,
    /// Computer name of the client
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// Identifier of the client
    #[arg(long, value_name = "ID")]
    agent: Option<AgentId>,
    /// Full path of the client's group
    #[arg(long, value_name = "PATH")]
    group: Option<String>,
    /// Version of the client
    #[arg(long, value_name = "VERSION")]
    client_version: Option<ClientVersion>,
    /// Address that the client connects from
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    source: IpAddr,
    /// Name of the manager
    #[arg(long, value_name = "NAME", default_value = "sepm-1")]
    manager: String,
    /// Route of the exchanges: hello, register, index, policy, list, package, upload or hold
    #[arg(long, default_value = "index", value_parser = route)]
    route: Route,
    /// Predict for plain HTTP instead of HTTPS
    #[arg(long)]
    http: bool,
    /// Predict for connections and calls of the REST API from the address --source, instead of a client's exchanges
    #[arg(long, conflicts_with_all = ["client", "agent", "group", "client_version", "route", "http"])]
    rest: bool,
    /// Ordinal of the first exchange on this route, from 1
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    first: u64,
    /// Number of exchanges to predict
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    next: u64,
    /// Seed of the lab
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Lab time at which the faults are added and the exchanges happen
    #[arg(long, default_value = "2026-01-05T08:00:00Z")]
    at: Timestamp,
}

/// A file with faults.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Faults {
    fault: Vec<FaultRule>,
}

/// The exchanges or calls that faults will hit.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Explained {
    /// Ordinal of the first exchange or call that was asked about.
    first: u64,
    /// Number of exchanges or calls that were asked about.
    asked: u64,
    /// Connections to the REST API that will be hit; absent without `--rest`.
    #[serde(skip_serializing_if = "Option::is_none")]
    connections: Option<Vec<Struck>>,
    /// Exchanges or calls that will be hit.
    hits: Vec<Struck>,
}

/// An exchange, call or connection that a fault will hit.
#[derive(Debug, Serialize, JsonSchema)]
struct Struck {
    /// Ordinal of the exchange, call or connection, from 1.
    ordinal: u64,
    /// Name of the fault.
    fault: Option<String>,
    /// Kind of the fault, with its parameters.
    #[schemars(with = "Option<BridgedSchema<FaultKind>>")]
    what: Option<FaultKind>,
}

impl Fault {
    pub(super) async fn go(self) -> Result<Ending, Failure> {
        let Self { at, verb } = self;
        match verb {
            FaultVerb::Lab(verb) => return verb.act(&at).await,
            FaultVerb::Kinds if at.json => say_json(FaultKind::kinds())?,
            FaultVerb::Kinds => say(&print::fault_kinds(FaultKind::kinds())),
            FaultVerb::Explain(explain) => explain.go(at.json)?,
        }
        Ok(Ending::Well)
    }
}

impl Explain {
    fn go(&self, json: bool) -> Result<(), Failure> {
        let mut faults = FaultSet::new(self.seed);
        for rule in read(&self.file)? {
            let added = faults.add(rule, self.at);
            added.map_err(|error| Failure::BadInput(format!("{}: {error}", self.file.display())))?;
        }
        if self.rest {
            return self.rest(&faults, json);
        }
        let party = Party {
            agent: self.agent,
            computer: self.client.as_deref(),
            group: self.group.as_deref(),
            version: self.client_version,
            source: self.source,
        };
        let next = ExchangeFacts {
            party,
            manager: &self.manager,
            protocol: if self.http { Protocol::Http } else { Protocol::Https },
            route: self.route,
            ordinal: self.first,
            held: 0,
            past: Past::REPLACED,
        };
        let mut foretold = faults.explain(&next, self.next, self.at);
        foretold.retain(|one| !one.verdict.is_pass());
        if json {
            let hits = foretold.iter().map(struck).collect();
            say_json(&Explained { first: self.first, asked: self.next, connections: None, hits })?;
        } else {
            say(&self.told(&foretold));
        }
        Ok(())
    }

    /// Predicts for the REST API.
    fn rest(&self, faults: &FaultSet, json: bool) -> Result<(), Failure> {
        let [connections, calls] = [Moment::Connection, Moment::Exchange].map(|moment| {
            let mut foretold =
                faults.explain_rest(moment, self.source, &self.manager, self.first, self.next, self.at);
            foretold.retain(|one| !one.verdict.is_pass());
            foretold
        });
        if json {
            let [connections, hits] = [&connections, &calls].map(|found| found.iter().map(struck).collect());
            say_json(&Explained {
                first: self.first,
                asked: self.next,
                connections: Some(connections),
                hits,
            })?;
        } else {
            say(&self.list("Connections", "to the REST API", &connections));
            say(&self.list("Calls", "of the REST API", &calls));
        }
        Ok(())
    }

    fn told(&self, foretold: &[Prediction]) -> String {
        self.list("Exchanges", &format!("on the route {}", self.route), foretold)
    }

    fn list(&self, what: &str, place: &str, foretold: &[Prediction]) -> String {
        let (first, last) = (self.first, self.first.saturating_add(self.next - 1));
        let mut text = format!("{what} {first} to {last} {place}: {} will be hit\n", foretold.len());
        for one in foretold {
            let what = one.verdict.what().map(ToString::to_string).unwrap_or_default();
            let by = one.verdict.hit().map_or("", |hit| hit.rule.name.as_str());
            let _ = writeln!(text, "  {:>6}  {what}, by {by:?}", one.ordinal);
        }
        text
    }
}

fn struck(one: &Prediction) -> Struck {
    Struck {
        ordinal: one.ordinal,
        fault: one.verdict.hit().map(|hit| hit.rule.name.clone()),
        what: one.verdict.what().cloned(),
    }
}

fn read(file: &Path) -> Result<Vec<FaultRule>, Failure> {
    let faults: Faults = toml::from_str(&read_text(file)?)
        .map_err(|error| Failure::BadInput(format!("{}: {}", file.display(), plain(&error.to_string()))))?;
    Ok(faults.fault)
}

fn route(text: &str) -> Result<Route, String> {
    serde_json::from_value(serde_json::Value::from(text)).map_err(|error| error.to_string())
}
