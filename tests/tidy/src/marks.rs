//! What a text refers to is there: the sources that marks cite, and the files that links lead to.

use std::fs;
use std::path::Path;

use crate::{File, Violation, holds_everywhere, lines_refused, top};

/// The sources that marks like `[C S4, S7]` cite have a row in `docs/sources.md`.
fn marks_resolve(file: &File) -> Vec<Violation> {
    let sources = fs::read_to_string(top().join("docs/sources.md")).unwrap_or_default();
    let is_known = |source: &str| sources.contains(&format!("\n| {source} |"));
    let mut found = Vec::new();
    for (at, line) in file.text.lines().enumerate() {
        for mark in ["[C S", "[I S", "[R S"].iter().flat_map(|mark| line.split(mark).skip(1)) {
            let Some((cited, _)) = mark.split_once([']', ';']) else { continue };
            // Another mark may follow in the same brackets.
            for source in
                cited.split(", ").filter(|one| one.starts_with(|c: char| c.is_ascii_digit() || c == 'S'))
            {
                // Words may follow the number.
                let number = source.trim_start_matches('S').split([':', ' ']).next().unwrap_or_default();
                let source = format!("S{number}");
                if !is_known(&source) {
                    found.push((at + 1, format!("{source} is not in docs/sources.md: add its row")));
                }
            }
        }
    }
    found
}

/// Links to files in Markdown lead somewhere.
fn links_resolve(file: &File) -> Vec<Violation> {
    if !file.path.ends_with(".md") {
        return Vec::new();
    }
    let folder = Path::new(&file.path).parent().unwrap_or(Path::new(""));
    let mut found = Vec::new();
    for (at, line) in file.text.lines().enumerate() {
        for rest in line.split("](").skip(1) {
            let Some((target, _)) = rest.split_once(')') else { continue };
            let target = target.split('#').next().unwrap_or_default();
            let is_file = !target.is_empty() && !target.contains("://") && !target.contains(' ');
            if is_file && !top().join(folder).join(target).exists() {
                found.push((at + 1, format!("{target} is not there: name the file as it is called now")));
            }
        }
    }
    found
}

#[test]
fn every_source_that_a_mark_cites_is_listed() {
    holds_everywhere(marks_resolve);
}

#[test]
fn a_mark_that_cites_no_source_is_refused() {
    // Built here, or this file would not pass.
    let bad = format!("/// Fine {0}4, S7].\n/// Not {0}4, S999].\n/// Nor {1}998, R].", "[C S", "[I S");
    assert_eq!(lines_refused(marks_resolve, "protocol/src/id.rs", &bad), [2, 3]);
}

#[test]
fn links_in_documents_lead_to_files() {
    holds_everywhere(links_resolve);
}

#[test]
fn a_link_to_no_file_is_refused() {
    let bad = "[a](server/src/lib.rs)\n[b](server/src/gone.rs#L1), [c](https://example.org/x)\n[d](#here)";
    assert_eq!(lines_refused(links_resolve, "ARCHITECTURE.md", bad), [2]);
}
