//! How texts speak: a doc comment can be read alone, and a thing or an action is the subject.

use crate::{File, Violation, holds_everywhere, is_rust, is_test, lines_refused};

/// Words for a person that no text uses for a client, a manager or a program, split so that this file passes too.
const PERSONS: &[(&str, &str)] = &[("no", "body"), ("who", "ever"), ("some", "body"), ("every", "body")];

/// Words at the beginning of a doc comment that point to something outside it.
const POINTING: &[&str] = &[
    "It", "Its", "They", "Them", "Their", "He", "Him", "His", "Who", "Whom", "Whose", "This", "That",
    "These", "Those", "Same", "Nothing",
];

/// Files that people read from the first word to the last, so that every line of them is text.
fn is_text(file: &File) -> bool {
    let homes = ["client-agent/src/catalogue/failures/", "fixtures/scenarios/"];
    file.path.ends_with(".md") || homes.iter().any(|home| file.path.starts_with(home))
}

fn texts_speak_of_things(file: &File) -> Vec<Violation> {
    let text = is_text(file);
    if !text && !is_rust(file) {
        return Vec::new();
    }
    let in_line = |(at, line): (usize, &str)| {
        if !text && !line.trim_start().starts_with("//") {
            return None;
        }
        let mut words = line.split(|one: char| !one.is_alphabetic()).map(str::to_lowercase);
        let word = words.find(|word| PERSONS.iter().any(|(head, tail)| *word == format!("{head}{tail}")))?;
        Some((at + 1, format!("`{word}`: name the client, manager, program or operator that is meant")))
    };
    file.text.lines().enumerate().filter_map(in_line).collect()
}

fn doc_comments_read_alone(file: &File) -> Vec<Violation> {
    if !is_rust(file) || is_test(file) {
        return Vec::new();
    }
    let (mut found, mut goes_on) = (Vec::new(), false);
    for (at, line) in file.text.lines().enumerate() {
        let doc = line.trim_start().strip_prefix("///").or_else(|| line.trim_start().strip_prefix("//!"));
        if let (Some(doc), false) = (doc, goes_on) {
            let first = doc.trim_start().split(|one: char| !one.is_alphabetic()).next().unwrap_or_default();
            if POINTING.contains(&first) {
                found
                    .push((at + 1, format!("`{first}` points outside the comment: name what is documented")));
            }
        }
        goes_on = doc.is_some();
    }
    found
}

#[test]
fn no_text_speaks_of_a_thing_as_of_a_person() {
    holds_everywhere(texts_speak_of_things);
}

#[test]
fn a_text_about_persons_is_refused() {
    let [first, second] = [PERSONS[0], PERSONS[1]].map(|(head, tail)| format!("{head}{tail}"));
    let bad = format!("// {first} comes\nlet {first} = \"{first}\";\n  /// For {second}.\n// {first}s");
    assert_eq!(lines_refused(texts_speak_of_things, "server/src/main.rs", &bad), [1, 3]);
    assert_eq!(lines_refused(texts_speak_of_things, "docs/faults.md", &bad), [1, 2, 3]);
    assert_eq!(lines_refused(texts_speak_of_things, "Cargo.toml", &bad), []);
}

#[test]
fn every_doc_comment_can_be_read_alone() {
    holds_everywhere(doc_comments_read_alone);
}

#[test]
fn a_doc_comment_that_points_outside_itself_is_refused() {
    let bad = "//! Its rules.\nfn a() {}\n/// The name.\n/// It goes on.\nfn b() {}\n    /// They wait.";
    assert_eq!(lines_refused(doc_comments_read_alone, "server/src/main.rs", bad), [1, 6]);
    assert_eq!(lines_refused(doc_comments_read_alone, "server/tests/cli/main.rs", bad), []);
}
