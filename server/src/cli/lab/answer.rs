//! Options and output shared by all commands on a running lab.

use clap::{Args, Subcommand};
use epm_protocol::suggest::hint;
use serde_json::Value;

use super::control_client::{ControlClient, PATIENCE};
use super::ready_file::ReadyFile;
use crate::cli::io::{Ending, Failure, say, say_json};
use crate::cli::table::Table;

/// The running lab to act on, and the output format.
#[derive(Clone, Debug, Args)]
pub(crate) struct Where {
    /// URL of the control API
    #[arg(
        long,
        global = true,
        env = "EPM_LAB_URL",
        default_value = "http://127.0.0.1:8015",
        value_name = "URL",
        display_order = 990
    )]
    lab: String,
    /// Ready file of the lab to act on (`epm-lab up --ready-file`), instead of --lab; one of another lab is refused
    #[arg(long, global = true, env = "EPM_LAB_READY_FILE", value_name = "FILE")]
    ready_file: Option<std::path::PathBuf>,
    /// File with the token of the control API, if it requires one
    #[arg(long, global = true, env = "EPM_LAB_TOKEN_FILE", value_name = "FILE", display_order = 991)]
    token_file: Option<std::path::PathBuf>,
    /// Longest wait in seconds for a lab that does not respond; a long call on a lab that responds goes on
    #[arg(
        long,
        global = true,
        default_value_t = PATIENCE,
        value_parser = clap::value_parser!(u32).range(1..=3600),
        value_name = "SECONDS"
    )]
    timeout: u32,
    /// Print JSON; `epm-lab schema COMMAND` describes it
    #[arg(long, global = true, display_order = 992)]
    pub(crate) json: bool,
}

impl Where {
    /// A client of the control API.
    pub(crate) fn control(&self) -> Result<ControlClient, Failure> {
        let control = match &self.ready_file {
            Some(file) => ControlClient::of(ReadyFile::read(file)?, self.token_file.as_deref()),
            None => ControlClient::new(&self.lab, self.token_file.as_deref()),
        };
        Ok(control?.within(self.timeout))
    }

    /// Prints a response, as JSON or formatted by `people`.
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

/// A command and the lab that it acts on.
#[derive(Debug, Args)]
pub(crate) struct At<V: Subcommand> {
    #[command(flatten)]
    at: Where,
    #[command(subcommand)]
    verb: V,
}

/// A command on a running lab.
pub(crate) trait Act: Subcommand {
    /// Runs the command.
    async fn act(self, at: &Where) -> Result<Ending, Failure>;
}

impl<V: Act> At<V> {
    pub(crate) async fn go(self) -> Result<Ending, Failure> {
        self.verb.act(&self.at).await
    }
}

/// A table, or "none" without rows.
pub(super) fn table(heading: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut rows = rows.into_iter().peekable();
    if rows.peek().is_none() {
        return "none\n".to_owned();
    }
    let mut table = Table::new(heading);
    for row in rows {
        table.add_row(row);
    }
    format!("{table}\n")
}

/// The value at this JSON pointer, as text.
pub(super) fn words(answer: &Value, pointer: &str) -> String {
    match answer.pointer(pointer) {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Refuses a name that none of these objects has; `what` says what they are.
pub(super) fn known(all: &Value, what: &str, name: &str) -> Result<(), Failure> {
    let names: Vec<&str> = rows(all, "").filter_map(|one| one["name"].as_str()).collect();
    if names.contains(&name) {
        return Ok(());
    }
    let hint = hint(name, names.iter().copied());
    let names = if names.is_empty() { "there are none".to_owned() } else { names.join(", ") };
    Err(Failure::BadInput(format!("there is no {what} {name:?}{hint} (known: {names})")))
}

/// The rows at this JSON pointer.
pub(super) fn rows<'a>(answer: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    answer.pointer(pointer).and_then(Value::as_array).into_iter().flatten()
}
