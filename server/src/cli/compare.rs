//! `epm-lab compare`: what differs between two runs, such as the last green one of a CI and the red one.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use epm_client_agent::scenario::Span;
use epm_protocol::plural::counted;

use super::io::{Ending, Failure, say, say_json};
use super::lab::Where;
use super::table::Table;
use crate::comparison::{Cause, Comparison, LabNow, NOTE, NoRun, Run, Side};

/// Largest file or part of evidence that is read, in bytes.
const LARGEST: u64 = 256 << 20;
/// Number of clients that are named.
const NAMED: usize = 8;

/// Say what differs between two runs: clients, causes, what was done, assumptions
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  epm-lab compare green.zip red.zip
  epm-lab compare green.zip --lab http://127.0.0.1:8015
  epm-lab rehearse my.toml --json > red.json
  epm-lab compare green.json red.json --json

Each file is evidence, or what `rehearse`, `run` and `check` print with --json.
What a file does not have is not compared: the verdict of `check` has no steps,
and only evidence and `rehearse` have assumptions.

Exit codes: 0 the clients end alike; 1 they do not, or it failed; 2 invalid input;
4 one of the runs has no verdict.")]
pub(super) struct Compare {
    /// File of the one run, such as the last green one
    first: PathBuf,
    /// File of the other run; defaults to the lab of --lab as it is now
    second: Option<PathBuf>,
    #[command(flatten)]
    at: Where,
}

impl Compare {
    pub(super) async fn go(self) -> Result<Ending, Failure> {
        let first = read(&self.first)?;
        let second = match &self.second {
            Some(file) => read(file)?,
            None => lab_now(&self.at).await?,
        };
        let compared = Comparison::of(&first, &second);
        if self.at.json {
            say_json(&compared)?;
        } else {
            say(&words(&compared));
        }
        let unjudged = [&compared.first, &compared.second].into_iter().find(|side| side.well.is_none());
        match unjudged {
            Some(side) if compared.clients.is_empty() => Err(Failure::Undecided(format!(
                "{} has no verdict: no client was judged, or some are not known",
                side.file
            ))),
            _ if compared.same => Ok(Ending::Well),
            _ => Ok(Ending::NotWell),
        }
    }
}

fn read(file: &Path) -> Result<Run, Failure> {
    let name = file.display().to_string();
    let opened = File::open(file).map_err(|why| bad(&NoRun::Unreadable { name: name.clone(), why }))?;
    Run::read(&name, opened, LARGEST).map_err(|error| bad(&error))
}

/// The lab as it is now; what was done to it only where it can tell that.
async fn lab_now(at: &Where) -> Result<Run, Failure> {
    let control = at.control()?;
    let about = control.get("/v1").await?;
    let verdict = control.get("/v1/verdict").await?;
    let assumptions = control.get("/v1/assumptions").await?;
    let recorded = match control.get("/v1/scenario").await {
        Ok(recorded) => Ok(recorded),
        Err(Failure::BadInput(why)) => Err(why),
        Err(failure) => return Err(failure),
    };
    let lab = LabNow {
        name: control.page(""),
        site: about["site"].as_str().unwrap_or_default().to_owned(),
        verdict: &verdict,
        assumptions: &assumptions,
        scenario: recorded
            .as_ref()
            .map(|one| one["scenario"].as_str().unwrap_or_default())
            .map_err(String::clone),
    };
    Run::of_lab(lab).map_err(|error| Failure::Failed(error.to_string()))
}

fn bad(error: &NoRun) -> Failure {
    Failure::BadInput(error.to_string())
}

/// The comparison, for people.
fn words(compared: &Comparison) -> String {
    let Comparison { first, second, .. } = compared;
    let mut text: String = [first, second].map(side).concat();
    if compared.same {
        text += "\nThe clients end alike.\n";
    }
    for alike in compared.clients.chunk_by(|a, b| (&a.first, &a.second) == (&b.first, &b.second)) {
        let of = |finding: &str| finding.replace('_', " ");
        let names: Vec<&str> = alike.iter().take(NAMED).map(|one| one.client.as_str()).collect();
        let more = if alike.len() > NAMED { ", ..." } else { "" };
        text += &format!(
            "\n{}: {} in {}, {} in {}\n  {}{more}\n",
            counted(alike.len(), "client"),
            of(&alike[0].first),
            first.file,
            of(&alike[0].second),
            second.file,
            names.join(", ")
        );
    }
    let parts = compared.parts.iter().flatten();
    let parts = parts
        .map(|one| (&one.part, one.first.map(|all| all.to_string()), one.second.map(|all| all.to_string())));
    text += &differences(compared, "part of the fleet, clients", parts);
    for (side, causes) in [(first, &compared.causes_of_first), (second, &compared.causes_of_second)] {
        text += &causes.iter().map(|cause| only(side, cause)).collect::<String>();
    }
    text += &done(compared);
    let assumptions = compared.assumptions.iter().flatten();
    let assumptions = assumptions.map(|one| (&one.name, one.first.clone(), one.second.clone()));
    text += &differences(compared, "assumption", assumptions);
    for missing in &compared.not_compared {
        text += &format!("\n{missing}\n");
    }
    text
}

/// What both runs have with different values, as a table; nothing if there is none.
fn differences<'a>(
    compared: &Comparison,
    heading: &str,
    rows: impl Iterator<Item = (&'a String, Option<String>, Option<String>)>,
) -> String {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return String::new();
    }
    let mut table = Table::new(&[heading, &compared.first.file, &compared.second.file]);
    for (name, first, second) in rows {
        let shown = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        table.add_row([name.clone(), shown(first), shown(second)]);
    }
    format!("\n{table}\n")
}

fn side(side: &Side) -> String {
    let orphaned = match side.orphaned {
        0 => "none orphaned".to_owned(),
        some => format!("{some} ORPHANED"),
    };
    let title = if side.title.is_empty() { String::new() } else { format!(" ({})", side.title) };
    format!("{}: {}, {orphaned}{title}\n", side.file, counted_clients(side.clients))
}

/// A cause that only one of the runs has.
fn only(side: &Side, cause: &Cause) -> String {
    let noted = if cause.finding == NOTE { "noted of " } else { "" };
    let clients = counted_clients(cause.clients);
    let layer = cause.layer.as_ref().map(|layer| format!(", layer {layer}")).unwrap_or_default();
    let mut text = format!("\nOnly in {}, {noted}{clients}{layer}: {}\n", side.file, cause.sentence);
    for step in &cause.steps {
        text += &format!("  Step {}: {}\n", step.number, step.title);
    }
    for (name, of) in [("Failure", &cause.failure), ("To do", &cause.remedy)] {
        text += &of.as_ref().map(|of| format!("  {name}: {of}\n")).unwrap_or_default();
    }
    text
}

/// What was done in both runs.
fn done(compared: &Comparison) -> String {
    let Some(steps) = &compared.steps else { return String::new() };
    let shown = |millis: Option<u64>| {
        millis.map_or_else(|| "-".to_owned(), |one| Span(Duration::from_millis(one)).to_string())
    };
    let mut table = Table::new(&["what was done", &compared.first.file, &compared.second.file]);
    for step in steps {
        table.add_row([step.title.clone(), shown(step.first_ms), shown(step.second_ms)]);
    }
    format!("\nWhat was done, with the lab time until the next step:\n{table}\n")
}

fn counted_clients(number: u64) -> String {
    counted(usize::try_from(number).unwrap_or(usize::MAX), "client")
}
