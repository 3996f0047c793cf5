//! What every manifest of a crate says.

use crate::{File, Violation, holds_everywhere, lines_refused};

/// Crates that only tests may depend on.
const ONLY_FOR_TESTS: &[&str] = &["epm-fixtures", "epm-fuzz", "epm-needs", "epm-tests"];

fn crates_take_the_lints(file: &File) -> Vec<Violation> {
    if !is_manifest_of_a_crate(file) {
        return Vec::new();
    }
    let takes = section_lines(&file.text)
        .any(|(_, section, line)| section == "[lints]" && line == "workspace = true");
    if takes { Vec::new() } else { vec![(1, "add `[lints]` with `workspace = true`".to_owned())] }
}

fn test_crates_are_for_tests(file: &File) -> Vec<Violation> {
    let is_one_itself = ["fixtures/", "tests/"].iter().any(|folder| file.path.starts_with(folder));
    if !is_manifest_of_a_crate(file) || is_one_itself {
        return Vec::new();
    }
    let wrong = |(at, section, line): (usize, &str, &str)| {
        if !section.contains("dependencies") || section.contains("dev-dependencies") {
            return None;
        }
        let name = ONLY_FOR_TESTS.iter().find(|name| line.contains(**name))?;
        Some((at, format!("{name} is only for tests: move it to [dev-dependencies]")))
    };
    section_lines(&file.text).filter_map(wrong).collect()
}

fn is_manifest_of_a_crate(file: &File) -> bool {
    file.path.ends_with("/Cargo.toml")
}

/// The lines of a manifest, with number and section; a heading belongs to its section.
fn section_lines(manifest: &str) -> impl Iterator<Item = (usize, &str, &str)> {
    let mut section = "";
    manifest.lines().enumerate().map(move |(at, line)| {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.starts_with('[') {
            section = line;
        }
        (at + 1, section, line)
    })
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    holds_everywhere(crates_take_the_lints);
}

#[test]
fn a_crate_without_the_lints_is_refused() {
    let refused = |text| lines_refused(crates_take_the_lints, "server/Cargo.toml", text);
    assert_eq!(refused("[package]\nname = \"x\""), [1]);
    assert_eq!(refused("[lints]\n# workspace = true\n[dependencies]"), [1]);
    assert_eq!(refused("[lints]\nworkspace = true\n"), []);
}

#[test]
fn test_crates_are_used_only_by_tests() {
    holds_everywhere(test_crates_are_for_tests);
}

#[test]
fn a_program_that_ships_test_data_is_refused() {
    let bad = "[package]\nname = \"epm-tests\"\n[dependencies]\nepm-fixtures.workspace = true\n[dev-dependencies]\n\
               epm-fixtures.workspace = true\n[build-dependencies.epm-tests]\nx = { package = \"epm-fixtures\" }";
    assert_eq!(lines_refused(test_crates_are_for_tests, "server/Cargo.toml", bad), [4, 7, 8]);
    assert_eq!(lines_refused(test_crates_are_for_tests, "Cargo.toml", bad), []);
    assert_eq!(lines_refused(test_crates_are_for_tests, "fixtures/Cargo.toml", bad), []);
}
