//! `epm-lab fault add|list|remove|clear`: the faults of a running lab.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::answer::{Act, Where, table, words};
use super::control_client::segment;
use crate::cli::io::{Ending, Failure};

/// What is done to the faults of a running lab.
#[derive(Debug, Subcommand)]
pub(crate) enum FaultVerb {
    /// Set a fault: it lives for an hour, unless --for says otherwise
    Add(Box<Add>),
    /// List those that are set
    List,
    /// Take one away
    Remove {
        /// Its name
        name: String,
    },
    /// Take all away
    Clear,
}

/// A fault to be set.
#[derive(Debug, Args)]
pub(crate) struct Add {
    /// Its name; one of this name is replaced
    name: String,
    /// What is done: a kind, as epm-lab fault kinds lists them
    what: String,
    /// A parameter of the kind, as code=503; may be given again
    #[arg(long = "set", value_name = "NAME=VALUE")]
    parameters: Vec<String>,
    /// To which client: an identifier or a computer's name; a * at the end stands for anything
    #[arg(long, value_name = "NAME")]
    agent: Option<String>,
    /// To the clients of this group and of those below it
    #[arg(long, value_name = "PATH")]
    group: Option<String>,
    /// To clients of this version and later ones
    #[arg(long, value_name = "VERSION")]
    version_from: Option<String>,
    /// To clients of versions before this one
    #[arg(long, value_name = "VERSION")]
    version_until: Option<String>,
    /// To so many in a hundred of the fleet
    #[arg(long, value_name = "PERCENT")]
    percent: Option<f64>,
    /// To whoever comes from this address
    #[arg(long, value_name = "ADDRESS")]
    source: Option<String>,
    /// At this manager
    #[arg(long, value_name = "NAME")]
    manager: Option<String>,
    /// Over http or https only
    #[arg(long, value_name = "LISTENER")]
    listener: Option<String>,
    /// When this is asked: hello, register, index, policy, list, package, upload or hold
    #[arg(long, value_name = "ROUTE")]
    route: Option<String>,
    /// Of bytes, those that go this way: to-client, to-manager or both; to-client if it is left out
    #[arg(long, value_name = "DIRECTION")]
    direction: Option<String>,
    /// From this moment of the lab's time, as 2026-01-05T08:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Until this moment
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// The first so many are spared
    #[arg(long, value_name = "COUNT")]
    after: Option<u64>,
    /// Only the first so many
    #[arg(long, value_name = "COUNT")]
    first: Option<u64>,
    /// Each so-manieth
    #[arg(long, value_name = "COUNT")]
    every: Option<u64>,
    /// How often, of the occasions that fit otherwise: 0 never, 1 always
    #[arg(long, default_value_t = 1.0)]
    probability: f64,
    /// For how many seconds
    #[arg(long = "for", value_name = "SECONDS")]
    lives: Option<u64>,
}

impl Add {
    fn rule(&self) -> Result<Value, Failure> {
        let mut what = json!({ "kind": self.what });
        for parameter in &self.parameters {
            let (name, value) = parameter.split_once('=').ok_or_else(|| {
                Failure::BadInput(format!("{parameter:?} is no parameter; expected NAME=VALUE, as code=503"))
            })?;
            what[name] = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
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
                    let known = if known.is_empty() { "none is set".to_owned() } else { known.join(", ") };
                    return Err(Failure::BadInput(format!("there is no fault {name:?}; set: {known}")));
                }
                let found = control.delete(&format!("/v1/faults/{}", segment(&name))).await?;
                at.show(&found, |all| listed(all.as_array()))
            }
        }
    }
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
                .filter(|(_, value)| !value.is_null())
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
    table(&["fault", "what", "to whom", "where", "when", "probability", "until"], lines)
}
