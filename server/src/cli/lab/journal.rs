//! `epm-lab journal`: what the managers of a running lab remember of their visitors.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::answer::{Act, Where, rows, table, words};
use super::control_client::segment;
use crate::cli::io::{Ending, Failure, say};

/// What is asked of the journal of a running lab.
#[derive(Debug, Subcommand)]
pub(crate) enum JournalVerb {
    /// Show the last entries that fit
    Find(Fits),
    /// Count the entries that fit
    Count(Fits),
    /// Follow it, until Ctrl-C
    Tail(Fits),
    /// Print it as NDJSON, or as an HTTP archive
    Export {
        #[command(flatten)]
        fits: Fits,
        /// As an HTTP archive (HAR)
        #[arg(long)]
        har: bool,
    },
    /// Who nearly asked for something, and what was wrong with it
    NearMisses(Fits),
}

/// What fits; what is left out does not matter.
#[derive(Debug, Args)]
pub(crate) struct Fits {
    /// exchange, connection-closed, fault-applied, fault-skipped, call or operator-action
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// A manager
    #[arg(long, value_name = "NAME")]
    manager: Option<String>,
    /// A client, by its computer's name
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// What was asked: hello, register, index, policy, list, package, upload, hold, refused, unknown-path
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// The status of the answer
    #[arg(long, value_name = "STATUS")]
    status: Option<u16>,
    /// From this entry on
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    since: u64,
    /// How many to show, the last ones
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    /// Count, or look for near misses, even if entries that could fit are no longer remembered
    #[arg(long)]
    partial: bool,
}

impl Fits {
    fn query(&self) -> String {
        let mut query = format!("since={}", self.since);
        let named = [
            ("kind", self.kind.clone()),
            ("manager", self.manager.clone()),
            ("client", self.client.clone()),
            ("action", self.action.clone()),
            ("status", self.status.map(|status| status.to_string())),
            ("limit", self.limit.map(|limit| limit.to_string())),
            ("partial", self.partial.then(|| "true".to_owned())),
        ];
        for (name, value) in named {
            if let Some(value) = value {
                query.push_str(&format!("&{name}={}", segment(&value)));
            }
        }
        query
    }
}

impl Act for JournalVerb {
    async fn act(self, at: &Where) -> Result<Ending, Failure> {
        let control = at.control()?;
        match self {
            Self::Find(fits) => {
                let found = control.get(&format!("/v1/journal?{}", fits.query())).await?;
                at.show(&found, |found| {
                    let lines = rows(found, "/entries").map(row);
                    let text = table(&["", "at", "what", "manager", "client", "peer", "outcome"], lines);
                    format!("{text}{} fit; {} are no longer remembered\n", found["total"], found["forgotten"])
                })
            }
            Self::Count(fits) => {
                let found = control.get(&format!("/v1/journal/count?{}", fits.query())).await?;
                at.show(&found, |found| {
                    let by = found["by"].as_object().into_iter().flatten();
                    table(
                        &["what", "how many"],
                        by.map(|(name, count)| vec![name.clone(), count.to_string()]),
                    )
                })
            }
            Self::NearMisses(fits) => {
                let found = control.get(&format!("/v1/journal/near-misses?{}", fits.query())).await?;
                at.show(&found, |found| {
                    let lines = rows(found, "").map(|one| {
                        let mut line = row(&one["entry"]);
                        line.push(words(one, "/why"));
                        line
                    });
                    table(
                        &["", "at", "what", "manager", "client", "peer", "outcome", "what was wrong"],
                        lines,
                    )
                })
            }
            Self::Export { fits, har } => {
                let form = if har { "har" } else { "ndjson" };
                say(&control
                    .text(&format!("/v1/journal?{}&format={form}&limit=10000", fits.query()))
                    .await?);
                Ok(Ending::Well)
            }
            Self::Tail(fits) => {
                let mut rest = String::new();
                control
                    .follow(&format!("/v1/journal/tail?{}", fits.query()), |piece| {
                        rest.push_str(piece);
                        while let Some((line, more)) = rest.split_once('\n') {
                            if let Some(data) = line.strip_prefix("data: ") {
                                let entry: Value = serde_json::from_str(data).unwrap_or_default();
                                let text = if at.json { data.to_owned() } else { row(&entry).join("  ") };
                                say(&format!("{text}\n"));
                            }
                            rest = more.to_owned();
                        }
                    })
                    .await?;
                Ok(Ending::Well)
            }
        }
    }
}

fn row(one: &Value) -> Vec<String> {
    let what = match (words(one, "/kind"), words(one, "/action"), words(one, "/fault")) {
        (kind, action, _) if !action.is_empty() => format!("{kind} {action}"),
        (kind, _, fault) if !fault.is_empty() => format!("{kind} {fault}"),
        (kind, _, _) if kind == "call" => format!("{} {}", words(one, "/method"), words(one, "/path")),
        (kind, _, _) => kind,
    };
    let outcome = [words(one, "/status"), words(one, "/reason"), words(one, "/what"), words(one, "/text")];
    let outcome: Vec<String> = outcome.into_iter().filter(|word| !word.is_empty()).collect();
    vec![
        words(one, "/number"),
        words(one, "/at"),
        what,
        words(one, "/manager"),
        words(one, "/client"),
        words(one, "/peer"),
        outcome.join(": "),
    ]
}
