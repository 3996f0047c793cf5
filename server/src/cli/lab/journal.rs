//! `epm-lab journal`: what the managers of a running lab recorded.

use std::collections::BTreeSet;

use clap::{Args, Subcommand};
use epm_protocol::plural::either;
use serde_json::Value;

use super::answer::{Act, Where, rows, table, words};
use super::control_client::segment;
use crate::cli::io::{Ending, Failure, is_heard, say_whole};

/// Commands on the journal of a running lab.
#[derive(Debug, Subcommand)]
pub(crate) enum JournalVerb {
    /// Show the last matching entries
    #[command(
        after_help = "Example:\n  epm-lab journal find --client desk-1 --limit 20\n\nExit codes: 0 success; 1 it failed; 2 invalid input; 4 entries that could match\nwere dropped from the journal (see --partial)."
    )]
    Find(Fits),
    /// Count the matching entries, by kind and outcome
    #[command(
        after_help = "Example:\n  epm-lab journal count --kind exchange --status 503\n\nExit codes: 0 success; 1 it failed; 2 invalid input; 4 entries that could match\nwere dropped from the journal (see --partial)."
    )]
    Count(Fits),
    /// Follow the journal until Ctrl-C
    #[command(after_help = "Example:\n  epm-lab journal tail --manager sepm-1")]
    Tail(Fits),
    /// Export the matching entries as NDJSON or as an HTTP archive
    #[command(after_help = "\
Examples:
  epm-lab journal export --har > lab.har
  epm-lab journal export --har --kind call --limit 20

Exit codes: 0 success; 1 it failed; 2 invalid input; 4 entries that could match
were dropped from the journal (see --partial).")]
    Export {
        #[command(flatten)]
        fits: Fits,
        /// Export exchanges and calls as an HTTP archive (HAR 1.2), with headers, sizes, durations, and at most 8 KiB of
        /// each body; passwords and tokens are left out
        #[arg(long)]
        har: bool,
    },
    /// Show requests that came close to a known one, and what was wrong with each
    #[command(
        after_help = "Example:\n  epm-lab journal near-misses\n\nExit codes: 0 success; 1 it failed; 2 invalid input; 4 entries that could match\nwere dropped from the journal (see --partial)."
    )]
    NearMisses(Fits),
}

/// Heading of a table of entries.
const HEADING: [&str; 7] = ["", "at", "what", "manager", "client", "peer", "outcome"];
/// Number of near misses that are shown for each thing that was wrong.
const SHOWN: usize = 5;
/// Number of entries that are exported without a limit: more than the journal keeps.
const ALL: usize = 100_000;

/// Kinds of journal entries.
const KINDS: [&str; 6] =
    ["exchange", "connection-closed", "fault-applied", "fault-skipped", "call", "operator-action"];

/// Filters for journal entries; absent ones match everything.
#[derive(Debug, Args)]
pub(crate) struct Fits {
    /// Only entries of this kind
    #[arg(long, value_name = "KIND", value_parser = KINDS)]
    kind: Option<String>,
    /// Only entries of this manager
    #[arg(long, value_name = "NAME")]
    manager: Option<String>,
    /// Only entries about this client, by computer name
    #[arg(long, value_name = "NAME")]
    client: Option<String>,
    /// Only exchanges with this action: hello, register, index, policy, list, package, upload, hold, refused,
    /// unknown-path
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Only responses with this status
    #[arg(long, value_name = "STATUS")]
    status: Option<u16>,
    /// Only exchanges and calls whose request had this header `traceparent`, or one with this trace identifier
    #[arg(long, value_name = "TRACE")]
    traceparent: Option<String>,
    /// Only entries from this number on
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    since: u64,
    /// Show at most this many entries, the latest ones
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    /// Return a result even if matching entries may have been dropped from the journal
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
            ("traceparent", self.traceparent.clone()),
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
                    let text = table(&HEADING, lines);
                    let matches = either(&found["total"], "matches", "match");
                    let dropped = either(&found["forgotten"], "was", "were");
                    format!("{text}{matches}; {dropped} dropped\n")
                })
            }
            Self::Count(fits) => {
                let found = control.get(&format!("/v1/journal/count?{}", fits.query())).await?;
                at.show(&found, |found| {
                    let by = found["by"].as_object().into_iter().flatten();
                    table(&["what", "count"], by.map(|(name, count)| vec![name.clone(), count.to_string()]))
                })
            }
            Self::NearMisses(fits) => {
                let found = control.get(&format!("/v1/journal/near-misses?{}", fits.query())).await?;
                at.show(&found, near_misses)
            }
            Self::Export { fits, har } => {
                let form = if har { "har" } else { "ndjson" };
                let fits = Fits { limit: fits.limit.or(Some(ALL)), ..fits };
                say_whole(&control.text(&format!("/v1/journal?{}&format={form}", fits.query())).await?);
                Ok(Ending::Well)
            }
            Self::Tail(fits) => {
                let tell = |line: &str| {
                    if let Some(data) = line.strip_prefix("data: ") {
                        let entry: Value = serde_json::from_str(data).unwrap_or_default();
                        let text = if at.json { data.to_owned() } else { row(&entry).join("  ") };
                        say_whole(&format!("{text}\n"));
                    }
                    is_heard()
                };
                control.follow(&format!("/v1/journal/tail?{}", fits.query()), tell).await?;
                Ok(Ending::Well)
            }
        }
    }
}

/// What the identifiers in a call stand for, each name once.
fn named(one: &Value) -> String {
    let all = one["names"].as_object().into_iter().flatten();
    let names: BTreeSet<&str> = all.filter_map(|(_, name)| name.as_str()).collect();
    match names.is_empty() {
        true => String::new(),
        false => format!(" ({})", names.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

/// What was wrong with requests, each thing with the number of requests and the latest of them.
fn near_misses(found: &Value) -> String {
    let mut by_reason: Vec<(&str, Vec<&Value>)> = Vec::new();
    for one in rows(found, "") {
        let why = one["why"].as_str().unwrap_or_default();
        match by_reason.iter_mut().find(|(known, _)| *known == why) {
            Some((_, entries)) => entries.push(&one["entry"]),
            None => by_reason.push((why, vec![&one["entry"]])),
        }
    }
    let text = by_reason.into_iter().map(|(why, entries)| {
        let latest = entries.len().saturating_sub(SHOWN);
        let shown = table(&HEADING, entries[latest..].iter().map(|entry| row(entry)));
        let earlier =
            if latest > 0 { format!("and {latest} earlier: `--json` has all\n") } else { String::new() };
        format!("{}: {why}\n{shown}{earlier}", either(entries.len(), "entry", "entries"))
    });
    let text = text.collect::<Vec<_>>().join("\n");
    if text.is_empty() { "none\n".to_owned() } else { text }
}

fn row(one: &Value) -> Vec<String> {
    let what = match (words(one, "/kind"), words(one, "/action"), words(one, "/fault")) {
        (kind, action, _) if !action.is_empty() => format!("{kind} {action}"),
        (kind, _, fault) if !fault.is_empty() => format!("{kind} {fault}"),
        (kind, _, _) if kind == "call" => {
            format!("{} {}{}", words(one, "/method"), words(one, "/path"), named(one))
        }
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
