//! `epm-lab check`: the verdict on the fleet of a running lab.

use std::path::PathBuf;

use clap::Args;
use epm_client_agent::program::read_file;
use epm_protocol::plural::{counted, either};
use epm_protocol::trust::Fingerprint;
use serde_json::{Value, json};

use super::answer::{Where, rows, table, words};
use super::control_client::{ControlClient, segment};
use crate::cli::io::{Ending, Failure};
use crate::cli::out::OutFile;
use crate::cli::print::{
    assumed_in_json, failures_in_json, holdings_in_json, not_judged_in_json, notes_in_json, short, shortened,
    why_in_json, with_notes,
};
use crate::lab::{Expectation, START_BASELINE};
use crate::unique_keys;

/// Show the verdict of a running lab: client states, orphaned clients, since when and why.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  epm-lab check
  epm-lab check --json
  epm-lab check --since
  epm-lab check --since before-rotation --rotates sepm-1 --junit report.xml
  epm-lab check --expect no-client-was-orphaned --expect every-client-is-secure
  epm-lab check --expected --junit report.xml
  epm-lab check --if commands.json

Exit codes: 0 all clients are well; 1 some are not; 3 clients are orphaned; 4 the
lab has no client to judge, does not know how one is, since its process no
longer reports it, or cannot try the return of one elsewhere that is off. With
--since, --expect or --expected: 0 all that is expected is met; 1 it is not,
also where clients are orphaned; 4 there is no verdict, because something was
not watched, or the journal has dropped entries that it needs. --junit writes an
error for it.")]
pub(crate) struct Check {
    #[command(flatten)]
    at: Where,
    /// Check this expectation instead of the overall verdict; repeatable
    #[arg(long, value_name = "EXPECTATION", value_parser = expectation)]
    expect: Vec<String>,
    /// Check that every client holds this certificate, by its SHA-256, which `check --json` prints
    #[arg(long, value_name = "FINGERPRINT")]
    holds: Option<Fingerprint>,
    /// Judge a rotation since this baseline: new certificates everywhere, old settings again, no client harmed
    #[arg(long, value_name = "BASELINE", num_args = 0..=1, default_missing_value = START_BASELINE)]
    since: Option<String>,
    /// Managers that rotate; the others must keep their certificates. Defaults to all
    #[arg(long, requires = "since", value_delimiter = ',', value_name = "MANAGERS")]
    rotates: Vec<String>,
    /// Clients that were left behind on purpose, and are not judged
    #[arg(long, requires = "since", value_delimiter = ',', value_name = "CLIENTS")]
    left_behind: Vec<String>,
    /// Fail if secure communications were off at any time
    #[arg(long, requires = "since")]
    never_insecure: bool,
    /// Fail if a client had fewer heartbeats between two steps
    #[arg(long, requires = "since", value_name = "COUNT")]
    least_heartbeats: Option<u64>,
    /// Check the expectations that were registered with the lab
    #[arg(long, conflicts_with_all = ["expect", "holds", "since"])]
    expected: bool,
    /// Write the results into this file as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Overwrite the file of --junit
    #[arg(long, requires = "junit")]
    force: bool,
    /// Report which clients would be orphaned if the commands in this JSON file were applied now; changes nothing
    #[arg(long = "if", value_name = "FILE", conflicts_with_all = ["expect", "holds", "since", "expected", "junit"])]
    commands: Option<PathBuf>,
}

impl Check {
    pub(crate) async fn go(self) -> Result<Ending, Failure> {
        if let Some(file) = &self.commands {
            return self.foresee(file).await;
        }
        let mut expectations: Vec<Value> =
            self.expect.iter().map(|name| serde_json::json!({ "expect": name })).collect();
        if let Some(fingerprint) = &self.holds {
            expectations
                .push(serde_json::json!({ "expect": "every-client-holds", "fingerprint": fingerprint }));
        }
        expectations.extend(self.rotation());
        if !expectations.is_empty() || self.expected {
            return self.expectations(expectations).await;
        }
        let junit = self.junit()?;
        let control = self.at.control()?;
        if let Some(file) = &junit {
            file.write(control.text("/v1/verdict?format=junit").await?.as_bytes())?;
        }
        let verdict = control.get("/v1/verdict").await?;
        self.at.show(&verdict, |verdict| shown(verdict) + &on_the_page(verdict, &control))?;
        let orphaned = verdict["orphaned"].as_array().is_some_and(|all| !all.is_empty());
        Ending::of_verdict(orphaned, verdict["well"].as_bool(), verdict["no_verdict"].as_str())
    }

    /// The file for the results, if one is given.
    fn junit(&self) -> Result<Option<OutFile>, Failure> {
        self.junit.as_deref().map(|file| OutFile::new(file, self.force)).transpose()
    }

    /// The expectation about a rotation, if it is asked for.
    fn rotation(&self) -> Option<Value> {
        let mut rotation = json!({
            "expect": "rotation",
            "since": self.since.as_ref()?,
            "left_behind": self.left_behind,
            "never_insecure": self.never_insecure,
            "least_heartbeats": self.least_heartbeats,
        });
        if !self.rotates.is_empty() {
            rotation["rotates"] = json!(self.rotates);
        }
        Some(rotation)
    }

    async fn foresee(&self, file: &std::path::Path) -> Result<Ending, Failure> {
        let bad = |error: &dyn std::fmt::Display| Failure::BadInput(format!("{}: {error}", file.display()));
        let text = read_file(file).map_err(|error| bad(&error))?;
        let commands: Value = unique_keys::read(&text).map_err(|error| bad(&error))?;
        let found = self.at.control()?.post("/v1/verdict/if-now", &commands).await;
        let found = found.map_err(|failure| match failure {
            // The lab knows the file only as the body of a request.
            Failure::BadInput(why) => {
                why.strip_prefix("the body: ").map_or(Failure::BadInput(why.clone()), |why| bad(&why))
            }
            other => other,
        })?;
        let not_predicted = found["not_predicted"].as_u64().unwrap_or_default();
        self.at.show(&found, |found| match found["would_be_orphaned"].as_u64() {
            Some(0) if found["predicted"] == 0 => String::new(),
            Some(0) if not_predicted > 0 => "Of the lab's own clients none would be orphaned.\n".to_owned(),
            Some(0) => "If these commands were applied now, no client would be orphaned.\n".to_owned(),
            _ => {
                let lines =
                    rows(found, "/clients").map(|one| vec![words(one, "/client"), words(one, "/layer")]);
                format!(
                    "If these commands were applied now, {} would be orphaned:\n{}",
                    counted(&found["would_be_orphaned"], "client"),
                    table(&["client", "layer"], lines)
                )
            }
        })?;
        match (found["would_be_orphaned"] == 0, not_predicted) {
            (true, 0) if found["predicted"] == 0 => {
                Err(Failure::Undecided("the lab has no client to try the commands on".to_owned()))
            }
            (true, 0) => Ok(Ending::Well),
            (true, _) => Err(Failure::Undecided(format!(
                "nothing was predicted for {}: of clients elsewhere a lab has no copy to try the commands on",
                either(not_predicted, "client that runs elsewhere", "clients that run elsewhere")
            ))),
            (false, _) => Ok(Ending::ClientsOrphaned),
        }
    }

    async fn expectations(&self, asked: Vec<Value>) -> Result<Ending, Failure> {
        let junit = self.junit()?;
        let control = self.at.control()?;
        if let Some(file) = &junit {
            let xml = if asked.is_empty() {
                control.text("/v1/expectations?format=junit").await?
            } else {
                control.post_text("/v1/expectations?format=junit", &Value::Array(asked.clone())).await?
            };
            file.write(xml.as_bytes())?;
        }
        let found = if asked.is_empty() {
            control.get("/v1/expectations").await?
        } else {
            control.post("/v1/expectations", &Value::Array(asked)).await?
        };
        self.at.show(&found, findings)?;
        if found["result"] == "unknown" {
            let why = not_judged_in_json(&found).unwrap_or_else(|| {
                "no expectation is registered (`PUT /v1/expectations/NAME` registers one)".to_owned()
            });
            return Err(Failure::Undecided(format!("there is no verdict: {why}")));
        }
        Ok(if found["result"] == "fail" || found["result"] == "pending" {
            Ending::NotWell
        } else {
            Ending::Well
        })
    }
}

/// The name of an expectation without parameters.
fn expectation(name: &str) -> Result<String, String> {
    match name {
        "every-client-holds" => return Err("give the certificate with `--holds FINGERPRINT`".to_owned()),
        "rotation" => return Err("give the baseline with `--since BASELINE`".to_owned()),
        _ => {}
    }
    let read = serde_json::from_value::<Expectation>(json!({ "expect": name }));
    read.map(|_| name.to_owned()).map_err(|error| error.to_string())
}

/// Number of orphaned clients that are shown.
const NAMED: usize = 20;
/// Number of counter-examples that are shown for each finding.
const SHOWN: usize = 3;

/// Each expectation and, of a rotation, each of its findings. Where one does not hold, those that hold are only counted.
fn findings(found: &Value) -> String {
    let lines: Vec<(&Value, String)> = rows(found, "/expectations")
        .flat_map(|one| {
            let of_rotation: Vec<_> = rows(one, "/findings")
                .map(|finding| {
                    (finding, format!("{} ({})", words(finding, "/title"), words(finding, "/code")))
                })
                .collect();
            if of_rotation.is_empty() { vec![(one, words(one, "/expectation/expect"))] } else { of_rotation }
        })
        .collect();
    let holds = |one: &Value| one["result"] == "pass";
    let holding = lines.iter().filter(|(one, _)| holds(one)).count();
    let is_long = holding > SHOWN && holding < lines.len();
    let mut text = String::new();
    for (one, title) in lines.iter().filter(|(one, _)| !(is_long && holds(one))) {
        text.push_str(&format!("{}  {title}\n", words(one, "/result")));
        let examples: Vec<&str> = rows(one, "/counter_examples").filter_map(Value::as_str).collect();
        for example in examples.iter().take(SHOWN) {
            text.push_str(&format!("      {}\n", shortened(example)));
        }
        let against = one["against"].as_u64().and_then(|all| usize::try_from(all).ok()).unwrap_or_default();
        if let more @ 1.. = against.max(examples.len()).saturating_sub(SHOWN) {
            text.push_str(&format!("      and {more} more: `--json` has all\n"));
        }
    }
    if is_long {
        text.push_str(&format!("pass  {holding} other findings\n"));
    }
    for one in rows(found, "/expectations") {
        text.push_str(&failures_in_json(one));
        for note in rows(one, "/notes").filter_map(Value::as_str) {
            text.push_str(&format!("{note}\n"));
        }
    }
    if let (true, Some(again)) = (found["result"] != "pass", found["repeat"].as_str()) {
        text.push_str(&format!("The same lab again: {again}\n"));
    }
    text
}

/// Where the page of the lab has more: the first orphaned client, else the verdict; nothing if all is well.
fn on_the_page(verdict: &Value, control: &ControlClient) -> String {
    let path = match verdict["orphaned"][0]["client"].as_str() {
        _ if verdict["well"] == true => return String::new(),
        Some(client) => format!("/clients/{}", segment(client)),
        None => "/".to_owned(),
    };
    format!("On the page of the lab: {}\n", control.page(&path))
}

fn shown(verdict: &Value) -> String {
    let mut text = format!("{}: {}\n", words(verdict, "/now"), counted(&verdict["clients"], "client"));
    let mut seen = Vec::new();
    for (manager, fingerprint) in verdict["certificates"].as_object().into_iter().flatten() {
        let fingerprint = fingerprint.as_str().unwrap_or_default();
        text.push_str(&format!("  {manager} presents {}\n", short(fingerprint)));
        if !seen.iter().any(|one| one == fingerprint) {
            seen.push(fingerprint.to_owned());
        }
    }
    for (manager, trouble) in verdict["console_troubles"].as_object().into_iter().flatten() {
        text.push_str(&format!("  {manager}: {}\n", trouble.as_str().unwrap_or_default()));
    }
    for one in rows(verdict, "/sources") {
        let clients = one["clients"].as_u64().unwrap_or_default();
        let seconds = one["heard_ms_ago"].as_u64().unwrap_or_default() / 1000;
        let how = match (one["silent"] == true, one["ended"] == true) {
            (true, _) => "silent since",
            (false, true) => "ended at",
            (false, false) => "heard at",
        };
        text.push_str(&format!(
            "  {} reports {}, {how} {}, {seconds} s ago\n",
            words(one, "/source"),
            counted(clients, "client"),
            words(one, "/heard")
        ));
    }
    let parts: Vec<Value> = rows(verdict, "/parts").cloned().collect();
    text.push_str(&if parts.is_empty() { "none\n".to_owned() } else { holdings_in_json(&parts, &mut seen) });
    let lost: Vec<Vec<String>> = rows(verdict, "/orphaned")
        .take(NAMED)
        .map(|one| {
            ["client", "since", "layer", "failure", "why"]
                .iter()
                .map(|name| shortened(&words(one, &format!("/{name}"))))
                .collect()
        })
        .collect();
    if !lost.is_empty() {
        let orphaned = verdict["orphaned"].as_array().map_or(0, Vec::len);
        text.push_str(&format!("{} orphaned:\n", either(orphaned, "client is", "clients are")));
        text.push_str(&table(&["client", "since", "layer", "failure", "why"], lost));
        if let more @ 1.. = orphaned.saturating_sub(NAMED) {
            text.push_str(&format!("and {more} more: `--json` has all\n"));
        }
    }
    let why = why_in_json(verdict);
    if !why.is_empty() {
        text.push_str(&format!("Why:\n{why}"));
    }
    let back = rows(verdict, "/brought_back").count();
    if back > 0 {
        let were = either(back, "was", "were");
        text.push_str(&format!("{were} orphaned, and brought back by a communications file.\n"));
    }
    for (name, what) in [
        ("out_of_touch", "not served"),
        ("not_secure", "served without authenticating the manager"),
        ("behind", "not yet holding every certificate in force"),
        ("silent", "without a heartbeat for three intervals"),
        ("away", "switched off, with changes still to receive"),
        ("orphaned_on_return", "of these orphaned on being switched on"),
        ("ever_orphaned", "orphaned at some time"),
        ("unknown", "unknown: no process reports what they hold"),
        ("reported_twice", "reported by several processes, of which the latest report counts"),
    ] {
        let names: Vec<&str> = rows(verdict, &format!("/{name}")).filter_map(Value::as_str).collect();
        if let Some(first) = names.first() {
            text.push_str(&format!(
                "{} {what}: {first}{}\n",
                names.len(),
                if names.len() > 1 { ", ..." } else { "" }
            ));
        }
    }
    for one in rows(verdict, "/processes_down").filter_map(Value::as_str) {
        text.push_str(&format!("the process of {one} does not run\n"));
    }
    if let (Some(false), Some(why)) = (verdict["well"].as_bool(), verdict["database_error"].as_str()) {
        text.push_str(&format!("the database that the managers share cannot be used: {why}\n"));
    }
    for (name, what) in [("services_down", "is down"), ("files_unread", "waits unread")] {
        for (manager, names) in verdict[name].as_object().into_iter().flatten() {
            for one in rows(names, "").filter_map(Value::as_str) {
                text.push_str(&format!("{one} of {manager} {what}\n"));
            }
        }
    }
    if let (Some(false), Some(again)) = (verdict["well"].as_bool(), verdict["repeat"].as_str()) {
        text.push_str(&format!("The same lab again: {again}\n"));
    }
    let notes = notes_in_json(verdict);
    if !notes.is_empty() {
        text.push_str(&format!("Notes:\n{notes}"));
    }
    text.push_str(&assumed_in_json(verdict));
    match verdict["well"].as_bool() {
        Some(true) => {
            text.push_str(&format!("All is well{}.\n", with_notes(rows(verdict, "/notes").count())));
        }
        Some(false) => text.push_str("Not all is well.\n"),
        None => text.push_str(&format!("No verdict: {}.\n", words(verdict, "/no_verdict"))),
    }
    text
}
