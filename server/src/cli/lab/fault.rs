//! `epm-lab fault add|list|remove|clear`: the faults of a running lab.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;

use clap::{Args, Subcommand};
use epm_protocol::time::Timestamp;
use epm_protocol::version::ClientVersion;
use serde_json::{Value, json};

use super::answer::{Act, Where, table, words};
use super::control_client::segment;
use crate::cli::io::{Ending, Failure};
use crate::unique_keys;

/// Commands on the faults of a running lab.
#[derive(Debug, Subcommand)]
pub(crate) enum FaultVerb {
    /// Add a fault; it lasts one hour unless --for or --until is given
    Add(Box<Add>),
    /// List the active faults
    #[command(after_help = "Example:\n  epm-lab fault list")]
    List,
    /// Remove a fault
    #[command(after_help = "Example:\n  epm-lab fault remove busy")]
    Remove {
        /// Name of the fault
        name: String,
    },
    /// Remove all faults
    #[command(after_help = "Example:\n  epm-lab fault clear")]
    Clear,
}

/// Adds a fault.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  epm-lab fault add busy status --set code=503 --route index --percent 30
  epm-lab fault add flaky reset --agent 'desk-*' --after 2 --every 3 --for 600
  epm-lab fault add throttled status --set code=429 --listener rest --after 50")]
pub(crate) struct Add {
    /// Name of the fault; replaces an active fault of this name
    name: String,
    /// Kind of the fault, as listed by `epm-lab fault kinds`
    what: String,
    /// Parameter of the kind, such as code=503, or 'delay={ distribution = "constant", ms = 2000 }' as `fault kinds` shows it; repeatable
    #[arg(long = "set", value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    /// Apply only to this client: identifier or computer name; a trailing * matches any rest
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// Apply only to clients in this group or below it
    #[arg(long, value_name = "PATH")]
    group: Option<String>,
    /// Apply only to clients of this version or later, such as 14.3
    #[arg(long, value_name = "VERSION")]
    version_from: Option<ClientVersion>,
    /// Apply only to clients of versions before this one
    #[arg(long, value_name = "VERSION")]
    version_until: Option<ClientVersion>,
    /// Apply only to this percentage of the clients
    #[arg(long, value_name = "PERCENT")]
    percent: Option<f64>,
    /// Apply only to connections from this address
    #[arg(long, value_name = "ADDRESS")]
    source: Option<IpAddr>,
    /// Apply only at this manager
    #[arg(long, value_name = "NAME")]
    manager: Option<String>,
    /// Apply only to clients over http or https, or to callers of the REST API: http, https or rest; defaults to all clients
    #[arg(long, value_name = "LISTENER")]
    listener: Option<String>,
    /// Apply only to this route: hello, register, index, policy, list, package, upload or hold
    #[arg(long, value_name = "ROUTE")]
    route: Option<String>,
    /// Direction of the bytes that a byte fault changes: to-client, to-manager or both; defaults to to-client
    #[arg(long, value_name = "DIRECTION")]
    direction: Option<String>,
    /// Start of the fault in lab time, such as 2026-01-05T08:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<Timestamp>,
    /// End of the fault in lab time
    #[arg(long, value_name = "TIME")]
    until: Option<Timestamp>,
    /// Skip the first N occasions
    #[arg(long, value_name = "N")]
    after: Option<u64>,
    /// Apply only to the first N of the occasions left after --after and --every, counted per client
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    first: Option<u64>,
    /// Apply only to every Nth of the occasions left after --after, counted per client
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    every: Option<u64>,
    /// Probability that a matching occasion is hit, from 0 to 1
    #[arg(long, default_value_t = 1.0)]
    probability: f64,
    /// Lifetime of the fault in seconds; 3600 if neither --for nor --until is given
    #[arg(long = "for", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    lives: Option<u64>,
}

/// A value in JSON, or as `fault kinds` and scenarios have it; any other text is itself.
fn value_of(text: &str) -> Result<Value, Failure> {
    let in_toml = || {
        let is_table = text.starts_with(['{', '[']);
        let read = toml::from_str::<BTreeMap<String, Value>>(&format!("value = {text}"));
        read.ok().filter(|_| is_table)?.remove("value")
    };
    if let Ok(value) = serde_json::from_str(text) {
        let duplicate = |error| Failure::BadInput(format!("invalid value {text:?} of a parameter: {error}"));
        return unique_keys::check(text.as_bytes()).map(|()| value).map_err(duplicate);
    }
    Ok(in_toml().unwrap_or_else(|| Value::String(text.to_owned())))
}

impl Add {
    fn rule(&self) -> Result<Value, Failure> {
        let mut what = json!({ "kind": self.what });
        for parameter in &self.parameters {
            let (name, value) = parameter.split_once('=').ok_or_else(|| {
                Failure::BadInput(format!(
                    "invalid parameter {parameter:?}: expected NAME=VALUE, such as code=503"
                ))
            })?;
            if !what[name].is_null() {
                return Err(Failure::BadInput(format!(
                    "duplicate parameter {name:?}: set each once, and none named kind"
                )));
            }
            what[name] = value_of(value)?;
        }
        let what = if self.parameters.is_empty() { Value::String(self.what.clone()) } else { what };
        let mut version = json!({ "from": self.version_from, "until": self.version_until });
        if let Some(range) = version.as_object_mut() {
            range.retain(|_, value| !value.is_null());
        }
        let version = if version == json!({}) { Value::Null } else { version };
        let mut rule = json!({
            "what": what,
            "whom": {
                "agent": self.agent, "group": self.group, "version": version, "percent": self.percent,
                "source": self.source,
            },
            "where": {
                "manager": self.manager, "listener": self.listener, "route": self.route,
                "direction": self.direction,
            },
            "when": {
                "from": self.from, "until": self.until,
                "after": self.after, "first": self.first, "every": self.every, "time_to_live_seconds": self.lives,
            },
            "probability": self.probability,
        });
        for table in ["whom", "where", "when"] {
            if let Some(table) = rule[table].as_object_mut() {
                table.retain(|_, value| !value.is_null());
            }
        }
        Ok(rule)
    }
}

impl Act for FaultVerb {
    async fn act(self, at: &Where) -> Result<Ending, Failure> {
        let control = at.control()?;
        match self {
            Self::Add(add) => {
                let found = control.put(&format!("/v1/faults/{}", segment(&add.name)), &add.rule()?).await?;
                at.show(&found, |one| listed(Some(&vec![one.clone()])))
            }
            Self::List => at.show(&control.get("/v1/faults").await?, |all| listed(all.as_array())),
            Self::Clear => at.show(&control.delete("/v1/faults").await?, |all| listed(all.as_array())),
            Self::Remove { name } => {
                let before = control.get("/v1/faults").await?;
                let known: Vec<String> =
                    before.as_array().into_iter().flatten().map(|one| words(one, "/fault/name")).collect();
                if !known.contains(&name) {
                    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                    return Err(Failure::BadInput(format!(
                        "there is no fault {name:?}; active faults: {known}"
                    )));
                }
                let found = control.delete(&format!("/v1/faults/{}", segment(&name))).await?;
                at.show(&found, |all| listed(all.as_array()))
            }
        }
    }
}

/// Whether a condition goes without saying: the default of every fault, or what the column "until" says.
fn is_usual(name: &str, value: &Value) -> bool {
    name == "time_to_live_seconds" || (name == "listener" && value == "both")
}

fn listed(all: Option<&Vec<Value>>) -> String {
    let lines = all.into_iter().flatten().map(|one| {
        let what = match one.pointer("/fault/what") {
            Some(Value::Object(table)) => {
                let others = table.iter().filter(|(name, _)| *name != "kind");
                let others =
                    others.map(|(name, value)| format!(" {name}={}", value.to_string().trim_matches('"')));
                words(one, "/fault/what/kind") + &others.collect::<String>()
            }
            _ => words(one, "/fault/what"),
        };
        let plain = |name: &str| match one.pointer(&format!("/fault/{name}")).and_then(Value::as_object) {
            Some(table) => table
                .iter()
                .filter(|(name, value)| !value.is_null() && !is_usual(name, value))
                .map(|(name, value)| format!("{name}={}", value.to_string().trim_matches('"')))
                .collect::<Vec<_>>()
                .join(" "),
            None => String::new(),
        };
        vec![
            words(one, "/fault/name"),
            what,
            plain("whom"),
            plain("where"),
            plain("when"),
            words(one, "/fault/probability"),
            words(one, "/ends_at"),
        ]
    });
    let mut text = table(&["fault", "what", "clients", "where", "when", "probability", "until"], lines);
    for one in all.into_iter().flatten() {
        for idle in one["without_effect"].as_array().into_iter().flatten() {
            let _ = writeln!(
                text,
                "note: {} has no effect at {} yet: it needs {}, and nothing was replaced there",
                words(one, "/fault/name"),
                words(idle, "/manager"),
                words(idle, "/lacks"),
            );
        }
    }
    text
}
