//! What people read.

use std::fmt::Write;
use std::path::Path;

use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{ContentArrangement, Table};
use epm_client_agent::scenario::{Lost, PartHolding, Scenario, StepReport, Verdict};
use epm_protocol::assumption::{Assumption, Mark};
use epm_protocol::trust::Fingerprint;

use crate::mock::Addresses;

/// How wide a table is where no terminal says so.
const WIDTH_ELSEWHERE: u16 = 120;
/// How many of the lost are named one by one.
const NAMED: usize = 20;

pub(super) fn opening(scenario: &Scenario, speed: u32) -> String {
    let mut text = format!("{}\n", scenario.title);
    if !scenario.about.trim().is_empty() {
        let _ = writeln!(text, "\n{}\n", scenario.about.trim());
    }
    let _ = writeln!(
        text,
        "{} clients, seed {}, the lab's clock at {speed} times real time",
        scenario.fleet.iter().map(|part| part.get_ref().count).sum::<u32>(),
        scenario.seed
    );
    text
}

pub(super) fn places(places: &[Addresses]) -> String {
    places.iter().fold(String::new(), |mut text, place| {
        let _ = writeln!(text, "manager {}: {} and {}", place.manager, place.http, place.https);
        text
    })
}

pub(super) fn step(step: &StepReport, of: usize) -> String {
    let statements =
        if step.statements.is_empty() { String::new() } else { format!(" [{}]", step.statements.join(" ")) };
    format!("\nStep {} of {of}: {}{statements}\n", step.number, step.title)
}

/// Who holds what; certificates are numbered in the order in which they are first seen.
pub(super) fn holdings(parts: &[PartHolding], seen: &mut Vec<Fingerprint>) -> String {
    let mut table = plain_table();
    table.set_header([
        "part",
        "clients",
        "served",
        "out of touch",
        "orphaned",
        "secure",
        "on HTTPS",
        "believe certificate",
    ]);
    for part in parts {
        let counted = part.certificates.iter().map(|(certificate, count)| {
            let number = seen.iter().position(|one| one == certificate).unwrap_or_else(|| {
                seen.push(*certificate);
                seen.len() - 1
            });
            (number, format!("#{} {} by {count}", number + 1, certificate.short()))
        });
        let mut certificates: Vec<(usize, String)> = counted.collect();
        certificates.sort();
        let certificates: Vec<String> = certificates.into_iter().map(|(_, text)| text).collect();
        table.add_row([
            part.part.clone(),
            part.clients.to_string(),
            part.connected.to_string(),
            part.disconnected.to_string(),
            part.orphaned.to_string(),
            part.secure.to_string(),
            part.https.to_string(),
            certificates.join("\n"),
        ]);
    }
    format!("{table}\n")
}

pub(super) fn verdict(verdict: &Verdict, scenario: &Path) -> String {
    let mut text = String::from("\nVerdict: ");
    if verdict.is_well() {
        let _ = writeln!(
            text,
            "all {} clients are secure, with the certificate in force; none is orphaned.",
            verdict.clients
        );
    } else if verdict.lost.is_empty() {
        let _ = writeln!(text, "no client is orphaned, but not all is well.");
    } else {
        let _ = writeln!(text, "{} of {} clients are ORPHANED.", verdict.lost.len(), verdict.clients);
    }
    for (what, clients) in alike(&verdict.lost) {
        let _ = writeln!(text, "  {}\n      {what}", some(&clients));
    }
    for (clients, what) in [
        (&verdict.out_of_touch, "out of touch, for reasons other than trust"),
        (&verdict.not_secure, "served, but without authenticating the manager"),
        (&verdict.behind, "secure, but without the certificate in force"),
    ] {
        if !clients.is_empty() {
            let _ = writeln!(text, "  {} {what}: {}", clients.len(), some(clients));
        }
    }
    let _ =
        writeln!(text, "Seed {}; again with: epm-lab run {} --seed {0}", verdict.seed, scenario.display());
    text
}

pub(super) fn assumptions(list: &[Assumption]) -> String {
    let mut table = plain_table();
    table.set_header(["assumption", "mark", "value", "why"]);
    for one in list {
        let mark = match one.mark {
            Mark::I => "inferred",
            Mark::R => "recalled",
            Mark::U => "unknown",
        };
        table.add_row([one.name, mark, one.value.as_str(), one.about]);
    }
    format!("{table}\nEach can be set in a scenario, under [assumptions].\n")
}

/// The lost, put together where step, layer and reason are the same.
fn alike(lost: &[Lost]) -> Vec<(String, Vec<String>)> {
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for one in lost {
        let what = format!(
            "since step {} ({})\n      layer {}: {}",
            one.step, one.step_title, one.layer, one.because
        );
        match groups.iter_mut().find(|(known, _)| *known == what) {
            Some((_, clients)) => clients.push(one.client.clone()),
            None => groups.push((what, vec![one.client.clone()])),
        }
    }
    groups
}

fn some(clients: &[String]) -> String {
    let shown = clients.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if clients.len() > NAMED { format!("{shown} and {} more", clients.len() - NAMED) } else { shown }
}

fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    if table.width().is_none() {
        table.set_width(WIDTH_ELSEWHERE);
    }
    table
}
