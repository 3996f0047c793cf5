//! The failure catalogue, printed for people.

use std::collections::BTreeMap;
use std::fmt::Write;

use epm_client_agent::catalogue::{
    Act, CallResult, Entry, Finding, ManagerNote, Means, ObservedClient, Play, RefusalCheck, Reproduction,
};
use epm_client_agent::scenario::{Reason, StepPlan};
use epm_protocol::plural::{counted, either};
use epm_protocol::time::Timestamp;

use crate::cli::print::{notes, why};
use crate::cli::table::Table;

/// Number of moments of an act that are shown per client, not counting repetitions.
const MOMENTS: usize = 40;

/// What the manager and the client did at one moment.
type Moment = (Vec<String>, Vec<String>);

pub(super) fn list(entries: &[Entry]) -> String {
    let mut table = Table::new(&["failure", "what happens", "where", "how well founded", "in the lab"]);
    for entry in entries {
        table.add_row([
            entry.id.clone(),
            entry.title.clone(),
            entry.layer.to_string(),
            entry.mark.to_string(),
            in_the_lab(&entry.means).to_owned(),
        ]);
    }
    let count = |what: &str| entries.iter().filter(|entry| in_the_lab(&entry.means) == what).count();
    format!(
        "{table}\n{} run as scenarios; in {} the manager refuses a file; {} are REST calls; {} cannot be reproduced.\n",
        count(SCENARIO),
        count(REFUSED),
        count(REST_CALLS),
        count(NOT_REPRODUCIBLE),
    )
}

pub(super) fn entry(entry: &Entry) -> String {
    let mut text = heading(entry);
    let _ = writeln!(text, "\nWhere:    {}", entry.layer);
    let _ = writeln!(text, "Cause:    {} ({}: {})", entry.cause, entry.mark.letter(), entry.mark);
    for one in &entry.rests_on {
        let _ = writeln!(text, "  rests on: {one}");
    }
    let _ = writeln!(text, "Symptom:  {}", entry.symptom);
    let _ = writeln!(text, "Outcome:  {}", entry.ends);
    let _ = writeln!(text, "Repair:   {}", entry.repair);
    for statement in &entry.statements {
        let _ = writeln!(text, "Procedure: {statement}");
    }
    if !entry.log.is_empty() {
        text.push_str("\nThe real product writes:\n");
    }
    for line in &entry.log {
        let event = line.event.as_ref().map(|event| format!("{event} ")).unwrap_or_default();
        let _ = writeln!(text, "  {}: {event}{} [{}]", line.file, line.text, line.mark.letter());
    }
    text.push_str("\nBy client version:\n");
    for (version, what) in &entry.versions {
        let _ = writeln!(text, "  {version}: {what}");
    }
    text.push_str("\nLooks alike:\n");
    for other in &entry.unlike {
        let _ = writeln!(text, "  {}: {}", other.id, other.by);
    }
    let _ = writeln!(text, "\nIn the lab: {}", entry.how);
    match &entry.means {
        Means::Play(_) | Means::Refused(_) | Means::RestCase(_) => {
            let _ = writeln!(text, "  epm-lab failure reproduce {}", entry.id);
        }
        Means::Cannot { why } => {
            let _ = writeln!(text, "  {why}");
        }
    }
    text.push_str("\nMarks: C read in a source, I inferred, R recalled, U unknown.\n");
    text
}

pub(super) fn reproduction(entry: &Entry, play: &Play, seen: &Reproduction, driver: &str) -> String {
    let mut text = heading(entry);
    let _ = writeln!(text, "{}\n\nPhase 1, the failure ({driver}):", entry.cause);
    act(&mut text, &play.failure, &seen.failure);
    judged(&mut text, "The symptom", &seen.symptom);
    let _ = writeln!(text, "\nPhase 2, the repair: {}", entry.repair);
    act(&mut text, &play.repair, &seen.repair);
    judged(&mut text, "The recovery", &seen.recovery);
    text
}

/// How the printed reproduction of a failure ends: why, its number, what to do, and the command that repeats it.
pub(super) fn ending(reason: &Reason, repeat: &str) -> String {
    let why = match reason.clients {
        // Of clients that are well there is a note.
        0 => reason.lines().iter().map(|line| format!("      {line}\n")).collect(),
        _ => why(std::slice::from_ref(reason)),
    };
    format!("\nWhy:\n{why}Repeat: {repeat}\n")
}

pub(super) fn refusals(entry: &Entry, verdicts: &[RefusalCheck], driver: &str) -> String {
    let mut text = heading(entry);
    let _ = writeln!(text, "{}\n\nWhat the manager says ({driver}):", entry.cause);
    for one in verdicts {
        let what = one.mistake.as_deref().unwrap_or("corrected");
        let said = one.refusal.as_deref().unwrap_or("accepted; clients now see another certificate");
        let _ = writeln!(text, "  {what}: {said}");
        if !one.is_as_described {
            let expected = one.expected.as_deref().unwrap_or("acceptance");
            let _ = writeln!(text, "    NOT AS DESCRIBED: expected {expected:?}");
        }
    }
    text
}

pub(super) fn rest_case(entry: &Entry, visits: &[CallResult], driver: &str) -> String {
    let mut text = heading(entry);
    let _ = writeln!(text, "{}", entry.cause);
    for (act, is_repair) in [("Phase 1, the failure", false), ("Phase 2, the repair", true)] {
        let _ = writeln!(text, "\n{act} ({driver}):");
        for one in visits.iter().filter(|one| one.is_repair == is_repair) {
            let _ = writeln!(text, "  {}: {}", one.title, one.found.join(", then "));
            if !one.is_as_described {
                let _ = writeln!(text, "    NOT AS DESCRIBED: expected {}", one.expected.join(", then "));
            }
        }
    }
    text
}

fn heading(entry: &Entry) -> String {
    format!("{}: {}\n", entry.id, entry.title)
}

/// Prints the steps of an act, both sides for the first client of each part, and the client's final state.
fn act(text: &mut String, steps: &[StepPlan], act: &Act) {
    let mut last: Option<&str> = None;
    for client in &act.clients {
        if last.replace(&client.part) == Some(&client.part) {
            continue;
        }
        let _ = writeln!(text, "\n{}\n{}", side_by_side(steps, act, client), standing(client));
    }
    text.push_str(&notes(&act.notes));
    if !act.manager_log.is_empty() {
        let _ = writeln!(
            text,
            "The manager's log: {}, including {:?}",
            counted(act.manager_log.len(), "line"),
            act.manager_log[0]
        );
    }
}

fn standing(client: &ObservedClient) -> String {
    let because = client.because.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
    format!("{} is {}{because}", client.client, client.state)
}

fn side_by_side(steps: &[StepPlan], act: &Act, client: &ObservedClient) -> String {
    let mut moments: BTreeMap<Timestamp, Moment> = BTreeMap::new();
    for line in &client.log {
        moments.entry(line.at).or_default().1.push(format!("{:08X} {}", line.event.id(), line.text));
    }
    for note in &act.managers {
        // The manager's notes on unknown clients are matched by time: no two clients send at the same moment.
        let is_meant = match &note.client {
            Some(name) => *name == client.client,
            None => moments.contains_key(&note.at),
        };
        if is_meant {
            moments.entry(note.at).or_default().0.push(did(note));
        }
    }
    let mut table = Table::new(&["when", "the manager", &client.client]);
    let mut moments = moments.into_iter().peekable();
    // What happens to the fleet comes before the heartbeats of that moment, what the operator does after them.
    let with_fleet = steps.iter().zip(&act.began).filter(|(step, _)| !step.fleet.is_empty());
    let for_the_fleet: Vec<Timestamp> = with_fleet.map(|(_, began)| *began).collect();
    let begins =
        |began: Timestamp, at: Timestamp| began < at || (began == at && for_the_fleet.contains(&began));
    let mut steps = steps.iter().zip(&act.began).peekable();
    let mut shown = 0;
    while let Some((at, moment)) = moments.next() {
        while let Some((step, began)) = steps.next_if(|(_, began)| begins(**began, at)) {
            table.add_row([began.to_string(), format!("-- {}", step.title), String::new()]);
        }
        shown += 1;
        if shown > MOMENTS {
            table.add_row(["...", "", ""].map(str::to_owned));
            break;
        }
        let next_step = steps.peek().map_or(Timestamp::NEVER, |(_, began)| **began);
        let (mut again, mut until) = (0, at);
        while let Some((next, _)) = moments.next_if(|(at, next)| *next == moment && *at < next_step) {
            again += 1;
            until = next;
        }
        table.add_row([at.to_string(), moment.0.join("\n"), moment.1.join("\n")]);
        if again > 0 {
            table.add_row([
                format!("until {until}"),
                either(again, "more time", "more times"),
                String::new(),
            ]);
        }
    }
    for (step, began) in steps {
        table.add_row([began.to_string(), format!("-- {}", step.title), String::new()]);
    }
    table.to_string()
}

/// What a manager did, for people.
fn did(note: &ManagerNote) -> String {
    match note.status {
        None => format!("{} presents its certificate; the client closes the connection", note.manager),
        Some(status) if note.action == "refused" => {
            format!("{} answers {status}: it cannot decode the request", note.manager)
        }
        Some(status) => format!("{} answers {status} to {}", note.manager, note.action),
    }
}

fn judged(text: &mut String, what: &str, findings: &[Finding]) {
    let wrong: Vec<&Finding> = findings.iter().filter(|one| !one.is_as_described()).collect();
    if wrong.is_empty() {
        let all = if findings.len() == 1 { "" } else { "all " };
        let passed = counted(findings.len(), "check");
        let _ = writeln!(text, "\n{what} is as described: {all}{passed} passed.");
        return;
    }
    let _ = writeln!(text, "\n{what} is NOT AS DESCRIBED:");
    for one in wrong {
        let who = one.client.as_deref().unwrap_or("the managers");
        let _ = writeln!(text, "  {who}, {}: expected {:?}, found {:?}", one.what, one.expected, one.found);
    }
}

const SCENARIO: &str = "scenario";
const REFUSED: &str = "refused by the manager";
const REST_CALLS: &str = "REST calls";
const NOT_REPRODUCIBLE: &str = "not reproducible";

/// How the lab reproduces an entry, in a few words.
pub(super) fn in_the_lab(means: &Means) -> &'static str {
    match means {
        Means::Play(_) => SCENARIO,
        Means::Refused(_) => REFUSED,
        Means::RestCase(_) => REST_CALLS,
        Means::Cannot { .. } => NOT_REPRODUCIBLE,
    }
}
