//! Output for people.

use std::fmt::Write;

use epm_client_agent::rehearsal::{Outcome, RunInfo, StepOutcome, Sweep, SweepPoint};
use epm_client_agent::scenario::{
    ClientFinding, Note, PartHolding, Reason, Scenario, Span, StepReport, Verdict, orphaned_since,
};
use epm_protocol::assumption::Assumption;
use epm_protocol::fault::KindInfo;
use epm_protocol::plural::{counted, either};
use serde_json::Value;

use super::table::Table;
use crate::addresses::Addresses;

/// One sentence for each service that is down, of the errors of services by manager and service.
pub(super) fn services_down(errors: &Value) -> Vec<String> {
    let mut down = Vec::new();
    for (manager, errors) in errors.as_object().into_iter().flatten() {
        for (service, why) in errors.as_object().into_iter().flatten() {
            let why = why.as_str().unwrap_or_default();
            down.push(format!("{manager}: {service} is down: {why}"));
        }
    }
    down
}

/// Number of orphaned clients that are listed by name.
const NAMED: usize = 20;

/// What the scenario is: each paragraph in one line, as it is wrapped at the terminal's width.
fn heading(scenario: &Scenario) -> String {
    let whole = |paragraph: &str| paragraph.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    let about: Vec<String> = scenario.about.trim().split("\n\n").map(whole).collect();
    match scenario.about.trim().is_empty() {
        true => format!("{}\n", scenario.title),
        false => format!("{}\n\n{}\n\n", scenario.title, about.join("\n\n")),
    }
}

/// `speed` is the speed of the lab's clock; none if the clock is moved from event to event.
pub(super) fn opening(scenario: &Scenario, speed: Option<u32>) -> String {
    let mut text = heading(scenario);
    let _ = writeln!(
        text,
        "{}, seed {}, {}",
        counted(scenario.fleet.iter().map(|part| part.get_ref().count).sum::<u32>(), "client"),
        scenario.seed,
        match speed {
            Some(1) => "the lab's clock at real time".to_owned(),
            Some(speed) => format!("the lab's clock at {speed} times real time"),
            None => format!("the lab's clock moved from {}", scenario.rehearsal_start()),
        }
    );
    text
}

pub(super) fn rehearsal_opening(scenario: &Scenario) -> String {
    let mut text = heading(scenario);
    let clients: u64 = scenario.fleet.iter().map(|part| u64::from(part.get_ref().count)).sum();
    let start = scenario.rehearsal_start();
    let clients = counted(clients, "client");
    let _ = writeln!(text, "{clients}, seed {}, virtual time from {start}", scenario.seed);
    text
}

pub(super) fn rehearsed_step(step: &StepOutcome, of: usize, seen: &mut Vec<String>) -> String {
    let mut text = self::step(&step.report, of);
    let lasted = Span(step.ended.since(step.report.began));
    let _ = writeln!(
        text,
        "  {} to {} ({lasted}); {} on at the end",
        step.report.began,
        step.ended,
        counted(step.online, "machine")
    );
    text.push_str(&holdings(&step.report.holdings, seen));
    if let Some(risk) = &step.if_next_now {
        if risk.clients == 0 {
            let _ = writeln!(text, "  If the next step were taken now, no client would be orphaned.");
        } else {
            let layers: Vec<String> =
                risk.by_layer.iter().map(|(layer, count)| format!("{layer}: {count}")).collect();
            let _ = writeln!(
                text,
                "  If the next step were taken now, {} would be orphaned ({}), for example {}.",
                counted(risk.clients, "client"),
                layers.join(", "),
                risk.examples.first().map_or("", String::as_str)
            );
        }
    }
    text
}

pub(super) fn rehearsal_verdict(outcome: &Outcome, again: &RunInfo) -> String {
    let mut text = String::new();
    if outcome.is_partial {
        let _ = writeln!(text, "\nPARTIAL: interrupted; what follows is the state at {}.", outcome.ended);
    }
    text.push_str(&verdict_of(&outcome.verdict));
    let set = &outcome.verdict.assumed;
    let _ = writeln!(
        text,
        "{}, {} of them served, in {} of lab time.\n\
         Assumptions: {} in all, {}; see `epm-lab assumptions`.\n\
         Seed {}; repeat with epm-lab {}: {}",
        counted(outcome.heartbeats, "heartbeat"),
        outcome.heartbeats_served,
        Span(outcome.ended.since(outcome.began)),
        outcome.assumptions.len(),
        if set.is_empty() { "each at its default".to_owned() } else { set.join(", ") },
        outcome.verdict.seed,
        again.version,
        again.command,
    );
    text
}

const SWEEP_HEADING: &str = "\n      wait   orphaned: min median    max    saved by one more day\n";

fn sweep_point(point: &SweepPoint) -> String {
    let [least, median, most] = spread(&point.orphaned);
    let [_, later, _] = spread(&point.a_day_more);
    let saved = i64::try_from(median).unwrap_or(0) - i64::try_from(later).unwrap_or(0);
    format!("{:>10} {least:>15} {median:>6} {most:>6} {saved:>24}\n", point.wait.to_string())
}

pub(super) fn sweep_verdict(sweep: &Sweep, is_partial: bool) -> String {
    let again =
        sweep.run.as_ref().map(|run| format!("Repeat with epm-lab {}: {}\n", run.version, run.command));
    let points: String = sweep.points.iter().map(sweep_point).collect();
    format!("{SWEEP_HEADING}{points}{}{}", found_by(sweep, is_partial), again.unwrap_or_default())
}

fn found_by(sweep: &Sweep, is_partial: bool) -> String {
    let partial = if is_partial { "PARTIAL: interrupted. " } else { "" };
    let seeds = sweep.seeds.len();
    match sweep.shortest_without_orphans() {
        Some(wait) => {
            let left = match sweep.on_return() {
                0 => String::new(),
                clients => format!(
                    "With that wait up to {} off at the end, and would be orphaned on being switched on.\n",
                    either(clients, "client is", "clients are")
                ),
            };
            format!(
                "\n{partial}Shortest wait tried that orphans no client: {wait} (seeds tried: {seeds}).\n{left}"
            )
        }
        None => format!("\n{partial}Every wait tried orphans clients (seeds tried: {seeds}).\n"),
    }
}

/// Minimum, median and maximum.
fn spread(counts: &[usize]) -> [usize; 3] {
    let mut counts = counts.to_vec();
    counts.sort_unstable();
    let at = |place: usize| counts.get(place).copied().unwrap_or(0);
    [at(0), at(counts.len() / 2), at(counts.len().saturating_sub(1))]
}

pub(super) fn places(places: &[Addresses]) -> String {
    places.iter().fold(String::new(), |mut text, place| {
        let _ = writeln!(text, "manager {}: {} and {}", place.manager, place.http, place.https);
        text
    })
}

pub(super) fn step(step: &StepReport, of: usize) -> String {
    let statements: String = step.statements.iter().map(|one| format!("  {one}\n")).collect();
    format!("\n{}\n{statements}", step_heading(step, of))
}

/// The heading of a step, also beside the progress.
pub(super) fn step_heading(step: &StepReport, of: usize) -> String {
    format!("Step {} of {of}: {}", step.number, step.title)
}

/// A table of what each part's clients hold. Certificates are numbered in the order in which they are first seen.
pub(super) fn holdings(parts: &[PartHolding], seen: &mut Vec<String>) -> String {
    let parts: Vec<Value> = parts.iter().map(|part| serde_json::to_value(part).unwrap_or_default()).collect();
    holdings_in_json(&parts, seen)
}

/// As [`holdings`], of parts as the control API returns them.
pub(super) fn holdings_in_json(parts: &[Value], seen: &mut Vec<String>) -> String {
    let counts = ["clients", "connected", "disconnected", "orphaned", "secure", "https"];
    let mut table = Table::new(&[
        "part",
        "clients",
        "served",
        "out of touch",
        "orphaned",
        "secure",
        "HTTPS",
        "trust certificate",
        "hold list",
    ]);
    for part in parts {
        let mut certificates: Vec<(usize, String)> = held(part, "certificates")
            .map(|(certificate, count)| {
                let number = seen.iter().position(|one| one == certificate).unwrap_or_else(|| {
                    seen.push(certificate.clone());
                    seen.len() - 1
                });
                (number, format!("#{} {} by {count}", number + 1, short(certificate)))
            })
            .collect();
        certificates.sort();
        let certificates: Vec<String> = certificates.into_iter().map(|(_, text)| text).collect();
        let lists: Vec<String> =
            held(part, "lists").map(|(name, count)| format!("{} by {count}", short_list(name))).collect();
        let name = part["part"].as_str().unwrap_or_default().to_owned();
        let counts = counts.map(|count| part[count].to_string());
        table.add_row(std::iter::once(name).chain(counts).chain([certificates.join("\n"), lists.join("\n")]));
    }
    format!("{table}\n")
}

/// What clients of a part hold, and how many of them.
fn held<'a>(part: &'a Value, what: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    part[what].as_object().into_iter().flatten()
}

/// A shortened fingerprint, still distinguishable.
pub(super) fn short(fingerprint: &str) -> String {
    fingerprint.chars().filter(|c| *c != ':').take(8).collect()
}

/// A text with every fingerprint in it as short as in tables.
pub(super) fn shortened(text: &str) -> String {
    const LENGTH: usize = 32 * 3 - 1;
    let is_fingerprint = |at: usize| {
        text.as_bytes().get(at..at + LENGTH).is_some_and(|bytes| {
            let mut places = bytes.iter().enumerate();
            places.all(|(place, byte)| if place % 3 == 2 { *byte == b':' } else { byte.is_ascii_hexdigit() })
        })
    };
    let (mut out, mut rest) = (String::new(), 0);
    for (at, _) in text.char_indices() {
        if at >= rest && is_fingerprint(at) {
            out.push_str(&text[rest..at]);
            out.push_str(&short(&text[at..at + LENGTH]));
            rest = at + LENGTH;
        }
    }
    out + &text[rest..]
}

pub(super) fn verdict(verdict: &Verdict, again: &RunInfo) -> String {
    let mut text = verdict_of(verdict);
    text.push_str(&assumed(&verdict.assumed));
    let RunInfo { version, command, .. } = again;
    let _ = writeln!(text, "Seed {}; repeat with epm-lab {version}: {command}", verdict.seed);
    text
}

fn verdict_of(verdict: &Verdict) -> String {
    let mut text = String::from("\nVerdict: ");
    if verdict.well == Some(true) {
        let noted = with_notes(verdict.notes.len());
        let _ = match verdict.clients - verdict.away.len() {
            1 => {
                writeln!(
                    text,
                    "the client is secure and holds the certificate in force; it is not orphaned{noted}."
                )
            }
            clients => writeln!(
                text,
                "all {clients} clients are secure and hold the certificate in force; none is orphaned{noted}."
            ),
        };
    } else if let Some(why) = &verdict.no_verdict {
        let _ = writeln!(text, "there is none: {why}.");
    } else if verdict.orphaned.is_empty() {
        let _ = writeln!(text, "no client is orphaned, but not all is well.");
    } else {
        let are = if verdict.orphaned.len() == 1 { "is" } else { "are" };
        let _ = writeln!(
            text,
            "{} of {} {are} ORPHANED.",
            verdict.orphaned.len(),
            counted(verdict.clients, "client")
        );
    }
    if verdict.not_installed > 0 && verdict.clients > 0 {
        let more = either(verdict.not_installed, "more client has", "more clients have");
        let _ = writeln!(text, "  {more} not been installed yet, and not been judged");
    }
    for (manager, trouble) in &verdict.console_troubles {
        let _ = writeln!(text, "  {manager}: {trouble}");
    }
    text.push_str(&why(&verdict.reasons));
    let back = verdict.brought_back.len();
    if back > 0 {
        let were = either(back, "was", "were");
        let _ = writeln!(text, "  {were} orphaned, and brought back by an imported communications file");
    }
    for (clients, what) in [
        (&verdict.out_of_touch, "out of touch for reasons other than trust"),
        (&verdict.not_secure, "served, but without authenticating the manager"),
        (&verdict.behind, "secure, but not yet holding the certificate in force"),
        (&verdict.silent, "on, but without a heartbeat for three intervals"),
        (&verdict.away, "away (switched off), not orphaned, with changes still to receive"),
        (&verdict.orphaned_on_return, "of these would be orphaned on being switched on"),
    ] {
        if !clients.is_empty() {
            let _ = writeln!(text, "  {} {what}: {}", clients.len(), some(clients));
        }
    }
    for (names, what) in verdict.manager_troubles() {
        if !names.is_empty() {
            let _ = writeln!(text, "  {what}: {}", some(&names));
        }
    }
    text.push_str(&notes(&verdict.notes));
    text
}

/// The assumptions that a verdict rests on and that differ from their defaults; nothing where none does.
pub(super) fn assumed(differing: &[String]) -> String {
    match differing {
        [] => String::new(),
        some => format!("Assumed, other than by default: {}\n", some.join(", ")),
    }
}

/// As [`assumed`], of a verdict as the control API returns it.
pub(super) fn assumed_in_json(verdict: &Value) -> String {
    let all = verdict["assumed"].as_array().into_iter().flatten();
    assumed(&all.filter_map(|one| one.as_str().map(str::to_owned)).collect::<Vec<_>>())
}

/// The end of a headline that says that all is well: `, with 2 notes`, or nothing without any.
pub(super) fn with_notes(number: usize) -> String {
    if number == 0 { String::new() } else { format!(", with {}", counted(number, "note")) }
}

/// What is to be noted of clients, beside whether they are well: each note with its number and what to do; nothing without any.
pub(super) fn notes(notes: &[Note]) -> String {
    let mut text = String::new();
    for one in notes {
        let _ = writeln!(text, "  {}, noted: {}", counted(one.clients, "client"), one.names());
        for line in one.lines() {
            let _ = writeln!(text, "      {line}");
        }
    }
    text
}

/// As [`notes`], of a verdict as the control API returns it.
pub(super) fn notes_in_json(verdict: &Value) -> String {
    let all = verdict["notes"].as_array().cloned().unwrap_or_default();
    let all: Vec<Note> = all.into_iter().filter_map(|one| serde_json::from_value(one).ok()).collect();
    notes(&all)
}

pub(super) fn assumptions(list: &[Assumption]) -> String {
    let mut table = Table::new(&["assumption", "mark", "value", "why"]);
    for one in list {
        let statements: String = one.statements.iter().map(|one| format!("\n{one}")).collect();
        let about = format!("{}{statements}", one.about);
        table.add_row([one.name.to_owned(), one.mark.to_string(), one.value.clone(), about]);
    }
    format!("{table}\nEach can be set in a scenario, under [assumptions].\n")
}

pub(super) fn fault_kinds(kinds: &[KindInfo]) -> String {
    let mut table = Table::new(&["layer", "kind", "what it does", "parameters", "also called"]);
    for kind in kinds {
        let parameters = kind.parameters.iter().map(|one| {
            let default = if one.default.is_empty() { String::new() } else { format!(" = {}", one.default) };
            format!("{}{default}", one.name)
        });
        table.add_row([
            serde_json::to_value(kind.layer)
                .ok()
                .and_then(|layer| Some(layer.as_str()?.to_owned()))
                .unwrap_or_default(),
            kind.name.to_owned(),
            kind.about.to_owned(),
            parameters.collect::<Vec<_>>().join("\n"),
            kind.aliases.join("\n"),
        ]);
    }
    format!("{table}\n")
}

/// The name of a list, shortened if it is the default one, whose name would make every row several lines high.
fn short_list(name: &str) -> &str {
    if name.starts_with("Default Management Server List for ") { "default" } else { name }
}

/// Why clients are orphaned or out of touch: so many by layer and step, each with the cause, its number and what to do.
pub(super) fn why(reasons: &[Reason]) -> String {
    let mut text = String::new();
    for one in reasons {
        let more = one.clients - one.examples.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let _ = writeln!(
            text,
            "  {}, {}: {}{more}",
            counted(one.clients, "client"),
            since(one),
            one.examples.join(", ")
        );
        let of_layer = one.layer_title.iter().zip(&one.observed);
        of_layer.for_each(|(layer, observed)| text.push_str(&format!("      layer {layer}: {observed}\n")));
        for line in one.lines() {
            let _ = writeln!(text, "      {line}");
        }
    }
    text
}

/// Since when the clients of a reason are orphaned: `orphaned since step 2 or 3`.
fn since(one: &Reason) -> String {
    match one.layer {
        None => one.place(),
        Some(_) if one.finding != ClientFinding::Orphaned => one.finding.to_string(),
        Some(_) => orphaned_since(&one.since_steps),
    }
}

/// The failures of the catalogue that the failed findings of a rotation are cases of, and what to do, as the control API returns
/// them.
pub(super) fn failures_in_json(judged: &Value) -> String {
    let mut text = String::new();
    for one in judged["findings"].as_array().into_iter().flatten().filter(|one| one["result"] == "fail") {
        let failures = one["failures"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let failures: Vec<&str> = failures.collect();
        let code = one["code"].as_str().unwrap_or_default();
        if let Some(remedy) = one["remedy"].as_str() {
            let _ = writeln!(text, "{code} is {}; to do: {remedy}", failures.join(" and "));
        }
    }
    text
}

/// Which expectations cannot be judged, and why, as the control API returns them; none if all are judged.
pub(super) fn not_judged_in_json(found: &Value) -> Option<String> {
    let all = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let unknown = all(&found["expectations"]).into_iter().filter(|one| one["result"] == "unknown");
    let why = |one: Value| {
        let reasons = all(&one["not_judged"]);
        let reasons: Vec<&str> = reasons.iter().filter_map(Value::as_str).collect();
        format!("{}: {}", one["expectation"]["expect"].as_str().unwrap_or_default(), reasons.join(", "))
    };
    let unknown: Vec<String> = unknown.map(why).collect();
    (!unknown.is_empty()).then(|| unknown.join("; "))
}

/// As [`why`], of a verdict as the control API returns it.
pub(super) fn why_in_json(verdict: &Value) -> String {
    let reasons = verdict["reasons"].as_array().cloned().unwrap_or_default();
    let reasons: Vec<Reason> =
        reasons.into_iter().filter_map(|one| serde_json::from_value(one).ok()).collect();
    why(&reasons)
}

fn some(clients: &[String]) -> String {
    let shown = clients.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if clients.len() > NAMED { format!("{shown} and {} more", clients.len() - NAMED) } else { shown }
}
