//! The verbs that act on a running lab: each asks the control API, and shows what it answers.

mod cert;
mod check;
mod client;
mod clock;
mod control_client;
mod fault;
mod journal;
mod list;
mod manager;
mod snapshot;

use crate::cli::ending::{Ending, Failure};
use crate::cli::io::{say, say_json};
use clap::{Args, Subcommand};
use serde_json::Value;

pub(super) use cert::LiveCert;
pub(super) use check::Check;
pub(super) use client::ClientVerb;
pub(super) use clock::ClockVerb;
pub(super) use control_client::{ControlClient, segment};
pub(super) use fault::FaultVerb;
pub(super) use journal::JournalVerb;
pub(super) use list::ListVerb;
pub(super) use manager::{ManagerVerb, ServiceVerb};
pub(super) use snapshot::SnapshotVerb;

/// Where the lab is, and how its answers are shown.
#[derive(Clone, Debug, Args)]
pub(super) struct Where {
    /// The control API
    #[arg(
        long,
        global = true,
        env = "EPM_LAB_URL",
        default_value = "http://127.0.0.1:8015",
        value_name = "URL"
    )]
    lab: String,
    /// The file with the token of that API, if it asks for one
    #[arg(long, global = true, env = "EPM_LAB_TOKEN_FILE", value_name = "FILE")]
    token_file: Option<std::path::PathBuf>,
    /// As JSON, as the control API answers it
    #[arg(long, global = true)]
    pub(super) json: bool,
}

impl Where {
    /// The client of the control API.
    pub(super) fn control(&self) -> Result<ControlClient, Failure> {
        ControlClient::new(&self.lab, self.token_file.as_deref())
    }

    /// Shows an answer: as it is, or in the words that `people` has for it.
    fn show(&self, answer: &Value, people: impl FnOnce(&Value) -> String) -> Result<Ending, Failure> {
        if self.json {
            say_json(answer)?;
        } else {
            say(&people(answer));
        }
        Ok(Ending::Well)
    }
}

/// A verb with where its lab is.
#[derive(Debug, Args)]
pub(super) struct At<V: Subcommand> {
    #[command(flatten)]
    at: Where,
    #[command(subcommand)]
    verb: V,
}

/// What acts on a running lab.
pub(super) trait Act: Subcommand {
    /// Does it.
    async fn act(self, at: &Where) -> Result<Ending, Failure>;
}

impl<V: Act> At<V> {
    pub(super) async fn go(self) -> Result<Ending, Failure> {
        self.verb.act(&self.at).await
    }
}

/// A table for people; a word where there is nothing to show.
fn table(heading: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_none() {
        return "none\n".to_owned();
    }
    let mut table = super::print::plain_table();
    table.set_header(heading.to_vec());
    for row in rows {
        table.add_row(row);
    }
    format!("{table}\n")
}

/// What stands at this path of an answer, in words.
fn words(answer: &Value, pointer: &str) -> String {
    match answer.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The rows of an answer.
fn rows<'a>(answer: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    answer.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// A fingerprint or another long name, so short that it can still be told from others.
fn short(name: &str) -> String {
    name.chars().filter(|c| *c != ':').take(8).collect()
}
