//! `epm-lab compare`: what differs between two runs, such as the last green one of a CI and the red one.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::path::{Path, PathBuf};

use clap::Args;
use epm_client_agent::scenario::{Scenario, Span};
use epm_protocol::plural::counted;
use epm_protocol::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;
use zip::ZipArchive;

use super::io::{Ending, Failure, read, say, say_json};
use super::table::Table;

/// Largest part of an evidence file that is read, in bytes.
const LARGEST: u64 = 256 << 20;
/// Largest number of steps that are lined up with each other.
const MOST_STEPS: usize = 1000;
/// Number of clients that are named.
const NAMED: usize = 8;
/// Findings about clients, by their name in a verdict; of several the first counts.
const FINDINGS: [&str; 7] = ["orphaned", "out_of_touch", "not_secure", "behind", "silent", "unknown", "away"];
/// What a client is of which a verdict has no finding.
const WELL: &str = "well";

/// Say what differs between two runs: clients, causes, what was done, assumptions
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  epm-lab compare green.zip red.zip
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
    /// File of the other run
    second: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// What differs between two runs.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Comparison {
    /// Whether the clients end alike: the same number, of which the same ones are not well, in the same way.
    same: bool,
    first: Side,
    second: Side,
    /// Clients that do not end alike, by name.
    clients: Vec<ClientDiffers>,
    /// Causes of the first run that the second does not have.
    causes_of_first: Vec<Cause>,
    /// Causes of the second run that the first does not have.
    causes_of_second: Vec<Cause>,
    /// What was done, in order; absent if one of the files does not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    steps: Option<Vec<StepPair>>,
    /// Assumptions with different values; absent if one of the files has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    assumptions: Option<Vec<AssumptionDiffers>>,
}

/// A run.
#[derive(Debug, Serialize, JsonSchema)]
struct Side {
    /// Name of the file.
    file: String,
    /// Title of the scenario, or name of the site.
    title: String,
    /// Number of clients.
    clients: u64,
    /// Number of orphaned clients.
    orphaned: usize,
    /// Whether all is well; absent where nothing was judged.
    well: Option<bool>,
}

/// A client that does not end alike.
#[derive(Debug, Serialize, JsonSchema)]
struct ClientDiffers {
    /// Computer name of the client.
    client: String,
    /// How it ended in the first run: `well`, or the name of a finding.
    first: String,
    /// How it ended in the second run.
    second: String,
}

/// Why clients are not well.
#[derive(Debug, Serialize, JsonSchema)]
struct Cause {
    /// The cause, in a sentence.
    sentence: String,
    /// Number of the failure in the catalogue, if it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
    /// Number of clients.
    clients: u64,
}

/// A step of one run, beside the same one of the other.
#[derive(Debug, Serialize, JsonSchema)]
struct StepPair {
    /// What was done.
    title: String,
    /// Lab time until the next step in the first run, in milliseconds; absent if the first run does not have the step.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_ms: Option<u64>,
    /// The same of the second run.
    #[serde(skip_serializing_if = "Option::is_none")]
    second_ms: Option<u64>,
}

/// An assumption with different values.
#[derive(Debug, Serialize, JsonSchema)]
struct AssumptionDiffers {
    /// Name of the assumption.
    name: String,
    /// Value in the first run; absent if it does not have it.
    first: Option<String>,
    /// Value in the second run.
    second: Option<String>,
}

/// What a file has of a run.
#[derive(Debug)]
struct Run {
    file: String,
    verdict: Value,
    steps: Option<Vec<(String, u64)>>,
    assumptions: Option<BTreeMap<String, String>>,
}

impl Compare {
    pub(super) fn go(&self) -> Result<Ending, Failure> {
        let compared = Comparison::of(&Run::read(&self.first)?, &Run::read(&self.second)?);
        if self.json {
            say_json(&compared)?;
        } else {
            say(&compared.words());
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

impl Run {
    fn read(file: &Path) -> Result<Self, Failure> {
        let name = file.display().to_string();
        let bad = |why: &dyn std::fmt::Display| Failure::BadInput(format!("{name}: {why}"));
        let mut opened = File::open(file).map_err(|error| bad(&error))?;
        let mut head = [0; 2];
        let is_zip = opened.read_exact(&mut head).is_ok() && head == *b"PK";
        if is_zip {
            opened.rewind().map_err(|error| bad(&error))?;
            let mut zip = ZipArchive::new(opened).map_err(|error| bad(&error))?;
            let mut part = |name: &str| -> Option<Vec<u8>> {
                let mut bytes = Vec::new();
                zip.by_name(name).ok()?.take(LARGEST).read_to_end(&mut bytes).ok()?;
                Some(bytes)
            };
            let json =
                |bytes: Option<Vec<u8>>| bytes.and_then(|one| serde_json::from_slice::<Value>(&one).ok());
            let verdict = json(part("verdict.json"))
                .ok_or_else(|| bad(&"it is no evidence: it has no verdict.json"))?;
            let assumptions = json(part("assumptions.json"));
            let scenario = part("scenario.toml").and_then(|bytes| String::from_utf8(bytes).ok());
            let steps = scenario.and_then(|text| Scenario::parse(&text, "scenario.toml").ok()).map(steps_of);
            return Self::of(name, verdict, steps, assumptions.as_ref());
        }
        let json: Value = serde_json::from_slice(&read(file)?).map_err(|error| {
            bad(&format!("it is neither evidence nor JSON of `rehearse`, `run` or `check`: {error}"))
        })?;
        let verdict = if json["verdict"].is_object() { &json["verdict"] } else { &json };
        let steps = steps_in(verdict);
        Self::of(name.clone(), verdict.clone(), steps, json.get("assumptions"))
    }

    fn of(
        file: String,
        verdict: Value,
        steps: Option<Vec<(String, u64)>>,
        assumptions: Option<&Value>,
    ) -> Result<Self, Failure> {
        if !verdict["orphaned"].is_array() || !verdict["clients"].is_u64() {
            return Err(Failure::BadInput(format!(
                "{file}: it has no verdict: expected evidence, or what `rehearse`, `run` or `check` prints with --json"
            )));
        }
        let assumption =
            |one: &Value| Some((one["name"].as_str()?.to_owned(), one["value"].as_str()?.to_owned()));
        let assumptions =
            assumptions.and_then(Value::as_array).map(|all| all.iter().filter_map(assumption).collect());
        Ok(Self { file, verdict, steps, assumptions })
    }

    fn side(&self) -> Side {
        let text = |name: &str| self.verdict[name].as_str().map(str::to_owned);
        Side {
            file: self.file.clone(),
            title: text("scenario").or_else(|| text("site")).unwrap_or_default(),
            clients: self.verdict["clients"].as_u64().unwrap_or_default(),
            orphaned: self.verdict["orphaned"].as_array().map_or(0, Vec::len),
            well: self.verdict["well"].as_bool(),
        }
    }

    /// The clients that are not well, each with the first finding.
    fn findings(&self) -> BTreeMap<&str, &'static str> {
        let mut found = BTreeMap::new();
        for finding in FINDINGS {
            for one in self.verdict[finding].as_array().into_iter().flatten() {
                if let Some(client) = one["client"].as_str().or_else(|| one.as_str()) {
                    found.entry(client).or_insert(finding);
                }
            }
        }
        found
    }

    /// The causes, by what makes them alike.
    fn causes(&self) -> BTreeMap<[&str; 3], Cause> {
        let text = |one: &Value, name: &str| one[name].as_str().map(str::to_owned);
        let mut causes = BTreeMap::<_, Cause>::new();
        for one in self.verdict["reasons"].as_array().into_iter().flatten() {
            let key = ["finding", "code", "layer"].map(|name| one[name].as_str().unwrap_or_default());
            let clients = one["clients"].as_u64().unwrap_or_default();
            let (sentence, failure) = (text(one, "sentence").unwrap_or_default(), text(one, "failure"));
            let known = causes.entry(key);
            let cause =
                known.or_insert_with(|| Cause { sentence, failure, remedy: text(one, "remedy"), clients: 0 });
            cause.clients = cause.clients.saturating_add(clients);
        }
        causes
    }
}

/// The steps of a verdict, each with the milliseconds until the next one; none if it has none.
fn steps_in(verdict: &Value) -> Option<Vec<(String, u64)>> {
    let time = |value: &Value| value.as_str()?.parse::<Timestamp>().ok();
    let steps = verdict["steps"].as_array().filter(|all| !all.is_empty())?;
    let ends = steps.iter().skip(1).map(|one| &one["began"]).chain([&verdict["now"]]);
    let step = |(one, end): (&Value, &Value)| {
        let lasted = time(end)?.since(time(&one["began"])?);
        Some((one["title"].as_str()?.to_owned(), u64::try_from(lasted.as_millis()).ok()?))
    };
    steps.iter().zip(ends).map(step).collect()
}

/// The steps of a recorded scenario.
fn steps_of(scenario: Scenario) -> Vec<(String, u64)> {
    let millis = |span: Span| u64::try_from(span.0.as_millis()).unwrap_or(u64::MAX);
    let steps = scenario.step.into_iter();
    steps.map(|step| (step.title, step.wait.and_then(|wait| wait.time).map_or(0, millis))).collect()
}

impl Comparison {
    fn of(first: &Run, second: &Run) -> Self {
        let (one, other) = (first.findings(), second.findings());
        let mut clients = Vec::new();
        for client in one.keys().chain(other.keys().filter(|name| !one.contains_key(*name))) {
            let of = |all: &BTreeMap<&str, &'static str>| all.get(client).copied().unwrap_or(WELL).to_owned();
            let (first, second) = (of(&one), of(&other));
            if first != second {
                clients.push(ClientDiffers { client: (*client).to_owned(), first, second });
            }
        }
        clients.sort_by(|a, b| (&a.first, &a.second).cmp(&(&b.first, &b.second)));
        let (sides, known) = ([first.side(), second.side()], [first.causes(), second.causes()]);
        let [mine, theirs] = known;
        let keys: Vec<_> = theirs.keys().copied().collect();
        let causes_of_second = theirs.into_iter().filter(|(key, _)| !mine.contains_key(key));
        let causes_of_second = causes_of_second.map(|(_, cause)| cause).collect();
        let causes_of_first = mine.into_iter().filter(|(key, _)| !keys.contains(key));
        let causes_of_first = causes_of_first.map(|(_, cause)| cause).collect();
        let steps = first.steps.as_ref().zip(second.steps.as_ref());
        let assumptions = first.assumptions.as_ref().zip(second.assumptions.as_ref());
        let [one, other] = sides;
        Self {
            same: clients.is_empty()
                && one.clients == other.clients
                && one.well.is_some()
                && one.well == other.well,
            first: one,
            second: other,
            clients,
            causes_of_first,
            causes_of_second,
            steps: steps.map(|(one, other)| lined_up(one, other)),
            assumptions: assumptions.map(|(one, other)| differing(one, other)),
        }
    }

    fn words(&self) -> String {
        let mut text = String::new();
        for side in [&self.first, &self.second] {
            let lost = match side.orphaned {
                0 => "none orphaned".to_owned(),
                some => format!("{some} ORPHANED"),
            };
            text += &format!("{}: {}, {lost} ({})\n", side.file, counted_clients(side.clients), side.title);
        }
        if self.same {
            text += "\nThe clients end alike.\n";
        }
        for alike in self.clients.chunk_by(|a, b| (&a.first, &a.second) == (&b.first, &b.second)) {
            let of = |finding: &str| finding.replace('_', " ");
            let names: Vec<&str> = alike.iter().take(NAMED).map(|one| one.client.as_str()).collect();
            let more = if alike.len() > NAMED { ", ..." } else { "" };
            let (first, second) = (of(&alike[0].first), of(&alike[0].second));
            text += &format!(
                "\n{}: {first} in {}, {second} in {}\n  {}{more}\n",
                counted(alike.len(), "client"),
                self.first.file,
                self.second.file,
                names.join(", ")
            );
        }
        for (side, causes) in [(&self.first, &self.causes_of_first), (&self.second, &self.causes_of_second)] {
            for cause in causes {
                text += &format!(
                    "\nOnly in {}, {}: {}\n",
                    side.file,
                    counted_clients(cause.clients),
                    cause.sentence
                );
                if let Some(failure) = &cause.failure {
                    text += &format!("  Failure: {failure}\n");
                }
                if let Some(remedy) = &cause.remedy {
                    text += &format!("  To do: {remedy}\n");
                }
            }
        }
        text += &self.done();
        match self.assumptions.as_deref() {
            None => text += "\nThe assumptions are not compared: they are not in both files.\n",
            Some([]) => {}
            Some(differ) => {
                let mut table = Table::new(&["assumption", &self.first.file, &self.second.file]);
                for one in differ {
                    let shown = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
                    table.add_row([one.name.clone(), shown(&one.first), shown(&one.second)]);
                }
                text += &format!("\n{table}\n");
            }
        }
        text
    }

    /// What was done in both runs, in words.
    fn done(&self) -> String {
        let Some(steps) = &self.steps else {
            return "\nWhat was done is not compared: it is not in both files.\n".to_owned();
        };
        let shown = |millis: Option<u64>| {
            millis
                .map_or_else(|| "-".to_owned(), |one| Span(std::time::Duration::from_millis(one)).to_string())
        };
        let mut table = Table::new(&["what was done", &self.first.file, &self.second.file]);
        for step in steps {
            table.add_row([step.title.clone(), shown(step.first_ms), shown(step.second_ms)]);
        }
        format!("\nWhat was done, with the lab time until the next step:\n{table}\n")
    }
}

fn counted_clients(number: u64) -> String {
    counted(usize::try_from(number).unwrap_or(usize::MAX), "client")
}

fn differing(first: &BTreeMap<String, String>, second: &BTreeMap<String, String>) -> Vec<AssumptionDiffers> {
    let names = first.keys().chain(second.keys().filter(|name| !first.contains_key(*name)));
    let pair = |name: &String| AssumptionDiffers {
        name: name.clone(),
        first: first.get(name).cloned(),
        second: second.get(name).cloned(),
    };
    names.map(pair).filter(|one| one.first != one.second).collect()
}

/// Lines up the steps of two runs by their titles: the longest common sequence, others where they belong.
fn lined_up(first: &[(String, u64)], second: &[(String, u64)]) -> Vec<StepPair> {
    let (rest, other_rest) = (&first[first.len().min(MOST_STEPS)..], &second[second.len().min(MOST_STEPS)..]);
    let (first, second) = (&first[..first.len() - rest.len()], &second[..second.len() - other_rest.len()]);
    // The length of the longest common sequence of what follows.
    let mut longest = vec![vec![0_u16; second.len() + 1]; first.len() + 1];
    for at in (0..first.len()).rev() {
        for other in (0..second.len()).rev() {
            longest[at][other] = if first[at].0 == second[other].0 {
                longest[at + 1][other + 1] + 1
            } else {
                longest[at + 1][other].max(longest[at][other + 1])
            };
        }
    }
    let (mut at, mut other, mut pairs) = (0, 0, Vec::new());
    let pair = |title: &String, first_ms, second_ms| StepPair { title: title.clone(), first_ms, second_ms };
    while at < first.len() || other < second.len() {
        let (here, there) = (first.get(at), second.get(other));
        match (here, there) {
            (Some((title, one)), Some((same, two))) if title == same => {
                pairs.push(pair(title, Some(*one), Some(*two)));
                (at, other) = (at + 1, other + 1);
            }
            (Some((title, one)), _)
                if there.is_none() || longest[at + 1][other] >= longest[at][other + 1] =>
            {
                pairs.push(pair(title, Some(*one), None));
                at += 1;
            }
            (_, Some((title, two))) => {
                pairs.push(pair(title, None, Some(*two)));
                other += 1;
            }
            _ => break,
        }
    }
    pairs.extend(rest.iter().map(|(title, one)| pair(title, Some(*one), None)));
    pairs.extend(other_rest.iter().map(|(title, two)| pair(title, None, Some(*two))));
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_lined_up_by_what_is_common_to_both() {
        let run = |titles: &str| -> Vec<(String, u64)> {
            titles.chars().zip(1..).map(|(title, number)| (title.to_string(), number)).collect()
        };
        for (first, second, expected) in [
            ("abcd", "abcd", "a11 b22 c33 d44"),
            ("abcd", "acd", "a11 b2- c32 d43"),
            ("acd", "abcd", "a11 b-2 c23 d34"),
            ("ab", "", "a1- b2-"),
            ("", "ab", "a-1 b-2"),
            ("ab", "ba", "a1- b21 a-2"),
            ("aa", "a", "a11 a2-"),
        ] {
            let shown = |one: Option<u64>| one.map_or_else(|| "-".to_owned(), |one| one.to_string());
            let pairs = lined_up(&run(first), &run(second));
            let pairs = pairs
                .iter()
                .map(|one| format!("{}{}{}", one.title, shown(one.first_ms), shown(one.second_ms)));
            assert_eq!(pairs.collect::<Vec<_>>().join(" "), expected, "{first} {second}");
        }
        let long = run(&"a".repeat(MOST_STEPS + 2));
        assert_eq!(
            lined_up(&long, &long).len(),
            MOST_STEPS + 4,
            "what is not lined up is shown all the same"
        );
    }
}
