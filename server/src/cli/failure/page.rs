//! The catalogue as a Markdown page of the documentation, generated from the data.

use std::fmt::Write;

use epm_client_agent::catalogue::{Entry, Means};

use super::print::in_the_lab;

/// Renders the whole page.
pub(super) fn page(entries: &[Entry]) -> String {
    let mut text = String::from(
        "# The failure catalogue\n\n\
         Every known way in which manager and client part. Made by `epm-lab failure page` from the files in\n\
         `client-agent/src/catalogue/failures`; a test holds it equal to them.\n\n\
         Marks: C read in a source, I inferred, R recalled, U unknown.\n\n\
         | failure | what happens | where | mark | in the lab |\n|---|---|---|---|---|\n",
    );
    for entry in entries {
        let _ = writeln!(
            text,
            "| [{id}](#{anchor}) | {} | {} | {} | {} |",
            cell(&entry.title),
            entry.layer,
            entry.mark.letter(),
            in_the_lab(&entry.means),
            id = entry.id,
            anchor = entry.id.to_lowercase(),
        );
    }
    for entry in entries {
        section(&mut text, entry);
    }
    text
}

fn section(text: &mut String, entry: &Entry) {
    let _ = writeln!(text, "\n## {}\n\n**{}**\n", entry.id, entry.title);
    let _ = writeln!(text, "- Where: {}", entry.layer);
    let _ = writeln!(text, "- Cause: {} [{}]", entry.cause, entry.mark.letter());
    for one in &entry.rests_on {
        let (name, mark) = (one.assumption, one.mark.letter());
        let _ = writeln!(text, "- Rests on: `{name} = {}` [{mark}]: {}", one.value, one.what);
    }
    let _ = writeln!(text, "- Symptom: {}", entry.symptom);
    for statement in &entry.statements {
        let _ = writeln!(text, "- Procedure: [{}](procedure.md) {}", statement.number(), statement.title());
    }
    for line in &entry.log {
        let event = line.event.as_ref().map(|event| format!("{event} ")).unwrap_or_default();
        let _ = writeln!(text, "- Logged in {}: `{event}{}` [{}]", line.file, line.text, line.mark.letter());
    }
    for (version, what) in &entry.versions {
        let _ = writeln!(text, "- Version {version}: {what}");
    }
    let _ = writeln!(text, "- Ends: {}", entry.ends);
    for other in &entry.unlike {
        let (id, anchor) = (&other.id, other.id.to_lowercase());
        let _ = writeln!(text, "- Not [{id}](#{anchor}), of which: {}", other.by);
    }
    let _ = writeln!(text, "- Repair: {}", entry.repair);
    let _ = writeln!(text, "- In the lab: {}", entry.how);
    match &entry.means {
        Means::Play(_) | Means::Refused(_) | Means::RestCase(_) => {
            let _ = writeln!(text, "\n```sh\nepm-lab failure reproduce {}\n```", entry.id);
        }
        Means::Cannot { why } => {
            let _ = writeln!(text, "- Never: {why}");
        }
    }
}

/// Escapes a text for a table cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
