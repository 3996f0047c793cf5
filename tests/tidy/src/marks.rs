//! What a text refers to is there: the sources that marks cite, the statements of the procedure, and the files that links lead to.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::{File, Violation, holds_everywhere, is_rust, lines_refused, top, workspace};

/// Pages that speak of sources without a mark; all other texts cite a source in a mark, `[C S..]`.
const ABOUT_SOURCES: &[&str] = &["docs/sources.md", "docs/procedure.md", "fixtures/golden/README.md"];

/// A number of a source has a row in `docs/sources.md`, and stands in a mark. So a statement of the procedure cannot be called S
/// by mistake: neither in a text nor in the name of a test.
fn sources_resolve(file: &File) -> Vec<Violation> {
    let sources = read("docs/sources.md");
    let mut found = Vec::new();
    for (at, source) in numbers(&file.text, 'S') {
        let line = line_of(&file.text, at);
        if !sources.contains(&format!("\n| {source} |")) {
            found.push((line, format!("{source} is not in docs/sources.md: add its row")));
        } else if !ABOUT_SOURCES.contains(&file.path.as_str()) && !is_in_mark(&file.text[..at]) {
            let say = "cite a source in a mark, as in `[C S..]`; a statement of the procedure is called P";
            found.push((line, format!("{source} stands alone: {say}")));
        }
    }
    found.extend(tests_named_by(&file.text, 's').map(|(line, name)| {
        (
            line,
            format!("`{name}`: a test of a statement of the procedure begins with its number, like `p13_`"),
        )
    }));
    found
}

/// A number of a statement of the procedure has a section in `docs/procedure.md`: in documents, scenarios, entries of the
/// catalogue, comments and names of tests.
fn statements_resolve(file: &File) -> Vec<Violation> {
    let procedure = read("docs/procedure.md");
    let say = |(line, statement): (usize, String)| {
        let is_there = procedure.contains(&format!("\n## {statement}. "));
        (!is_there)
            .then(|| (line, format!("{statement} is not in docs/procedure.md: use a statement that is")))
    };
    let is_text = [".md", ".toml"].iter().any(|end| file.path.ends_with(end));
    let is_meant = |line: &str| is_text || is_rust(file) && line.trim_start().starts_with("//");
    let in_lines = file.text.lines().enumerate().filter(|(_, line)| is_meant(line));
    let in_text = in_lines.flat_map(|(at, line)| numbers(line, 'P').map(move |(_, one)| (at + 1, one)));
    let in_names = tests_named_by(&file.text, 'p').map(|(line, name)| (line, name.to_uppercase()));
    in_text.map(|(line, one)| (line, one.to_owned())).chain(in_names).filter_map(say).collect()
}

/// The words in `text` that are `letter` with one or two digits, and perhaps a `b` behind them, each with the place where it begins.
fn numbers(text: &str, letter: char) -> impl Iterator<Item = (usize, &str)> {
    // Neither part of a name nor of base64.
    let is_of_word = |char: char| char.is_alphanumeric() || "_+/=".contains(char);
    text.match_indices(letter).filter_map(move |(at, _)| {
        let rest = &text[at..];
        let word = &rest[..rest.find(|char| !is_of_word(char)).unwrap_or(rest.len())];
        let digits = word[1..].trim_end_matches('b');
        let is_number = matches!(digits.len(), 1..=2) && digits.bytes().all(|byte| byte.is_ascii_digit());
        (is_number && !text[..at].ends_with(is_of_word)).then_some((at, word))
    })
}

/// The tests that are named by a number, like `p13_every_client_...`: each with its line and `p13`.
fn tests_named_by(text: &str, letter: char) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().filter_map(move |(at, line)| {
        let (_, name) = line.split_once("fn ")?;
        let (number, _) = name.split_once('_')?;
        let digits = number.strip_prefix(letter)?;
        let is_number = matches!(digits.len(), 1..=2) && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then_some((at + 1, number))
    })
}

/// Whether a text ends within a mark: brackets that begin with its letter.
fn is_in_mark(before: &str) -> bool {
    let inside = before.rfind('[').map(|open| &before[open + 1..]).filter(|inside| !inside.contains(']'));
    inside.is_some_and(|inside| {
        inside.starts_with(['C', 'I', 'R', 'U', 'A']) && inside[1..].starts_with([' ', ','])
    })
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

fn read(path: &str) -> String {
    fs::read_to_string(top().join(path)).expect("the page is there")
}

/// Checks that links to files in Markdown have a target.
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
fn every_source_that_is_cited_is_listed_and_cited_in_a_mark() {
    holds_everywhere(sources_resolve);
}

#[test]
fn a_source_that_is_not_listed_or_stands_without_a_mark_is_refused() {
    // Built at run time, or this file would not pass.
    let s = |rest: &str| format!("S{rest}");
    let bad = format!(
        "/// Fine [C {}, {}; the rest A].\n/// Not [C {}].\n/// Nor [I, {}],\n/// but [I, {}: two\n/// lines of {}].\n\
         /// As documented ({}).\nfn s{}_fails() {{}}\n/// [see] {} [R].\nlet base64 = \"x/{}/y\";",
        s("4"),
        s("7"),
        s("99"),
        s("98"),
        s("31b"),
        s("4"),
        s("4"),
        "13",
        s("4"),
        s("99"),
    );
    assert_eq!(lines_refused(sources_resolve, "protocol/src/id.rs", &bad), [2, 3, 6, 8, 7]);
    assert_eq!(lines_refused(sources_resolve, "docs/procedure.md", &format!("{}, {}", s("1"), s("99"))), [1]);
}

#[test]
fn every_statement_that_is_named_is_one_of_the_procedure() {
    holds_everywhere(statements_resolve);
}

#[test]
fn a_statement_that_the_procedure_does_not_have_is_refused() {
    let p = |rest: &str| format!("P{rest}");
    let bad = format!(
        "/// {} to {}.\n/// {}\nlet code = {};\nfn p{}_fails() {{}}\nfn p{}_holds() {{}}",
        p("1"),
        p("20"),
        p("21"),
        p("99"),
        "22",
        "3",
    );
    assert_eq!(lines_refused(statements_resolve, "protocol/src/id.rs", &bad), [2, 4]);
    assert_eq!(lines_refused(statements_resolve, "fixtures/scenarios/a.toml", &p("0")), [1]);
}

/// The entries of the catalogue that a section of the procedure names are those that name the statement.
#[test]
fn the_procedure_and_the_catalogue_name_each_other() {
    let procedure = read("docs/procedure.md");
    let sections = procedure.split("\n## ").skip(1);
    let by_procedure: BTreeSet<(&str, &str)> = sections
        .flat_map(|section| {
            let statement = section.split('.').next().unwrap_or_default();
            numbers(section, 'F').map(move |(_, entry)| (statement, entry))
        })
        .collect();
    let files = workspace();
    let entries = files.iter().filter(|file| file.path.starts_with("client-agent/src/catalogue/failures/F"));
    let by_catalogue: BTreeSet<(&str, &str)> = entries
        .flat_map(|file| {
            let entry = file.path.rsplit('/').next().unwrap_or_default().trim_end_matches(".toml");
            let line = file.text.lines().find(|line| line.starts_with("statements = "));
            line.into_iter().flat_map(move |line| numbers(line, 'P').map(move |(_, one)| (one, entry)))
        })
        .collect();
    let apart: Vec<_> = by_procedure.symmetric_difference(&by_catalogue).collect();
    assert!(apart.is_empty(), "name them in docs/procedure.md and in the entry, or in neither: {apart:?}");
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
