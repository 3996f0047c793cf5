//! `epm-lab scenario`: checks scenario files, makes them of what was done to a running lab, and prints their schema.

use std::path::{Component, Path, PathBuf};

use clap::Subcommand;
use epm_client_agent::program::{notice, read_all, read_file};
use epm_client_agent::scenario;
use epm_protocol::plural::counted;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::lab::{Where, segment};
use super::out::OutFile;
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
    /// Make a scenario of what was done to a running lab, by whichever way
    #[command(after_help = "\
Examples:
  epm-lab scenario record my.toml
  epm-lab scenario record my.toml && epm-lab rehearse my.toml --agents 100000

The scenario has the site and its fleet as they were set up, and each command,
fault and change of a client since then as a step, with the lab time until the
next one as its wait. Files that were imported are put into a folder beside it,
my-files, with private keys among them. What a scenario cannot do, such as a
restart of a service, is named, and stands in the file as a remark.

Exit codes: 0 success; 1 it failed, or the scenario cannot be played as it is;
2 invalid input.")]
    Record {
        #[command(flatten)]
        at: Where,
        /// Scenario file to create
        file: PathBuf,
        /// Overwrite existing files
        #[arg(long)]
        force: bool,
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

/// A scenario that was made of what was done to a lab.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Recorded {
    /// Names of the written files, the scenario first.
    written: Vec<String>,
    /// Number of clients.
    clients: u32,
    /// Number of steps.
    steps: usize,
    /// What was done that the scenario does not do, or does otherwise.
    left_out: Vec<String>,
    /// Why the scenario cannot be played as it is; absent if it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

/// What the control API returns.
#[derive(Deserialize)]
struct RecordedAnswer {
    scenario: String,
    files: Vec<RecordedFile>,
    clients: u32,
    steps: usize,
    left_out: Vec<String>,
    refused: Option<String>,
}

#[derive(Deserialize)]
struct RecordedFile {
    name: String,
    content: String,
}

impl Scenario {
    pub(super) async fn go(self) -> Result<Ending, Failure> {
        match self {
            Self::Record { at, file, force } => return record(&at, &file, force).await,
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

/// Writes a scenario of what was done to a running lab.
async fn record(at: &Where, file: &Path, force: bool) -> Result<Ending, Failure> {
    let out = OutFile::new(file, force)?;
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let path = format!("/v1/scenario?folder={}", segment(&format!("{stem}-files")));
    let answer: RecordedAnswer = serde_json::from_value(at.control()?.get(&path).await?)
        .map_err(|error| Failure::Failed(format!("unexpected answer of the lab: {error}")))?;
    let mut outs = Vec::new();
    for RecordedFile { name, content } in &answer.files {
        // A lab that is not trusted either writes nowhere else.
        let mut parts = Path::new(name).components();
        let is_beside = matches!(
            (parts.next(), parts.next(), parts.next()),
            (Some(Component::Normal(_)), Some(Component::Normal(_)), None)
        );
        let content = data_encoding::BASE64.decode(content.as_bytes()).ok().filter(|_| is_beside);
        let content =
            content.ok_or_else(|| Failure::Failed(format!("unexpected answer of the lab: file {name:?}")))?;
        let path = file.with_file_name(name);
        if let Some(folder) = path.parent() {
            let made = std::fs::create_dir_all(folder);
            made.map_err(|error| Failure::BadInput(format!("cannot create {}: {error}", folder.display())))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            outs.push((OutFile::inside(folder, &name, 0o600, force)?, content, path.clone()));
        }
    }
    let mut written = vec![name(file)];
    for (out, content, path) in outs {
        out.write(&content)?;
        written.push(path.display().to_string());
    }
    out.write(answer.scenario.as_bytes())?;
    let RecordedAnswer { clients, steps, left_out, refused, .. } = answer;
    let why = refused.as_ref().map(|why| format!("the scenario cannot be played as it is: {why}"));
    if at.json {
        say_json(&Recorded { written, clients, steps, left_out, refused })?;
    } else {
        say(&format!("{}: {}, {}\n", name(file), counted(clients, "client"), counted(steps, "step")));
        for one in &left_out {
            notice(&format!("Not as in the lab: {one}\n"));
        }
    }
    why.map_or(Ok(Ending::Well), |why| Err(Failure::Failed(why)))
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
