//! Where a running lab is, and how its answers are shown: what all verbs that act on a lab share.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::control_client::ControlClient;
use crate::cli::io::{Ending, Failure, say, say_json};

/// Where the lab is, and how its answers are shown.
#[derive(Clone, Debug, Args)]
pub(crate) struct Where {
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
    pub(crate) json: bool,
}

impl Where {
    /// The client of the control API.
    pub(crate) fn control(&self) -> Result<ControlClient, Failure> {
        ControlClient::new(&self.lab, self.token_file.as_deref())
    }

    /// Shows an answer: as it is, or in the words that `people` has for it.
    pub(super) fn show(
        &self,
        answer: &Value,
        people: impl FnOnce(&Value) -> String,
    ) -> Result<Ending, Failure> {
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
pub(crate) struct At<V: Subcommand> {
    #[command(flatten)]
    at: Where,
    #[command(subcommand)]
    verb: V,
}

/// What acts on a running lab.
pub(crate) trait Act: Subcommand {
    /// Does it.
    async fn act(self, at: &Where) -> Result<Ending, Failure>;
}

impl<V: Act> At<V> {
    pub(crate) async fn go(self) -> Result<Ending, Failure> {
        self.verb.act(&self.at).await
    }
}

/// A table for people; a word where there is nothing to show.
pub(super) fn table(heading: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_none() {
        return "none\n".to_owned();
    }
    let mut table = crate::cli::print::plain_table();
    table.set_header(heading.to_vec());
    for row in rows {
        table.add_row(row);
    }
    format!("{table}\n")
}

/// What stands at this path of an answer, in words.
pub(super) fn words(answer: &Value, pointer: &str) -> String {
    match answer.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// The rows of an answer.
pub(super) fn rows<'a>(answer: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    answer.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}

/// A fingerprint or another long name, so short that it can still be told from others.
pub(super) fn short(name: &str) -> String {
    name.chars().filter(|c| *c != ':').take(8).collect()
}
