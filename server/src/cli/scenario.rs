//! `epm-lab scenario`: checks scenario files, and prints their schema.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use epm_client_agent::program::{read_all, read_file};
use epm_client_agent::scenario;
use epm_protocol::plural::counted;
use schemars::JsonSchema;
use serde::Serialize;

use crate::cli::io::{Ending, Failure, say, say_json};
use crate::lab::scenario_run::read_materials;

/// Commands on scenario files.
#[derive(Debug, Subcommand)]
pub(super) enum Scenario {
    /// Check a scenario file without running it; errors name the line
    #[command(
        after_help = "Examples:\n  epm-lab scenario check my.toml\n  epm-lab scenario check - < my.toml"
    )]
    Check {
        /// Scenario file; - reads standard input
        file: PathBuf,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Print the JSON Schema of scenario files
    #[command(after_help = "Example:\n  epm-lab scenario schema > scenario.schema.json")]
    Schema,
}

/// A valid scenario.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Checked {
    /// Name of the file.
    file: String,
    /// Title of the scenario.
    title: String,
    /// Number of clients.
    clients: u32,
    /// Number of steps.
    steps: usize,
}

impl Scenario {
    pub(super) fn go(self) -> Result<Ending, Failure> {
        match self {
            Self::Check { file, json } => {
                let scenario = load(&file)?;
                let clients: u32 = scenario.fleet.iter().map(|part| part.get_ref().count).sum();
                if json {
                    let steps = scenario.step.len();
                    let file = name(&file);
                    say_json(&Checked { file, title: scenario.title, clients, steps })?;
                    return Ok(Ending::Well);
                }
                let (clients, steps) = (counted(clients, "client"), counted(scenario.step.len(), "step"));
                say(&format!("{}: valid: {clients}, {steps}\n", name(&file)));
            }
            Self::Schema => say_json(&scenario::schema())?,
        }
        Ok(Ending::Well)
    }
}

/// Name of a scenario in messages: its file, or standard input.
pub(super) fn name(file: &Path) -> String {
    if file == Path::new("-") { "<stdin>".to_owned() } else { file.display().to_string() }
}

/// Reads a scenario and the files that it names, and checks it. The files of one from standard input are relative to the working
/// directory.
pub(super) fn load(file: &Path) -> Result<scenario::Scenario, Failure> {
    Ok(load_with_text(file)?.0)
}

/// Reads and checks a scenario, and returns it with its text.
pub(super) fn load_with_text(file: &Path) -> Result<(scenario::Scenario, String), Failure> {
    let name = name(file);
    let bytes = if name == "<stdin>" { read_all(std::io::stdin().lock()) } else { read_file(file) };
    let text = bytes.and_then(|text| String::from_utf8(text).map_err(std::io::Error::other));
    let text =
        text.map_err(|error| Failure::BadInput(format!("cannot read the scenario {name}: {error}")))?;
    let mut scenario =
        scenario::Scenario::parse(&text, &name).map_err(|error| Failure::BadInput(error.to_string()))?;
    read_materials(&mut scenario, file.parent().unwrap_or(Path::new("."))).map_err(Failure::BadInput)?;
    scenario.check(&name, &text).map_err(|error| Failure::BadInput(error.to_string()))?;
    Ok((scenario, text))
}
