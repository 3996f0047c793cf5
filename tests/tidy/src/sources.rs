//! What a source looks like: its length, its first line, what is finished, and what it never asks or names.

use crate::scanner::{code, names, paths, shipped};
use crate::{CLOCK, File, Violation, holds_everywhere, is_rust, is_test, lines_refused};

/// Calls that read real time, and the only file that may make them.
const REAL_TIME: &[&str] = &["SystemTime::now", "Instant::now", "thread::sleep", "tokio::time::sleep"];

const UNFINISHED: &[(&str, &str)] = &[
    ("todo!(", "write it, or return an error that says what is missing"),
    ("unimplemented!(", "write it, or return an error that says what is missing"),
    ("dbg!(", "remove it, or make it a tracing event"),
    ("#[ignore", "make the test run everywhere, or name the tool that it needs with #[needs(..)]"),
    ("allow(dead_code", "remove unused code"),
];

const MOST_LINES: usize = 600;
const MOST_LINES_OF_TESTS: usize = 900;

/// Files that may be longer, each with its reason.
const LONG_FOR_A_REASON: &[(&str, &str)] =
    &[("protocol/src/trust/certificate.rs", "a third of it is its tests, which read the same certificates")];

/// Names of the place where the project was worked on. They are split here so that this file passes too.
const WORKPLACE: &[(&str, &str)] =
    &[("/wo", "rk/"), ("/tmp", "/wt"), ("cla", "ude"), ("anth", "ropic"), ("sub", "agent")];

fn fixtures_are_not_compiled_in(file: &File) -> Vec<Violation> {
    if !is_rust(file) || is_test(file) || file.path.starts_with("fixtures/") {
        return Vec::new();
    }
    let code = shipped(&code(&file.text));
    let includes = |line: &str| line.contains("include_str!") || line.contains("include_bytes!");
    let say = "what is compiled in is no fixture: keep it beside the source that includes it";
    // The name may be in the line below.
    let found = code.lines().enumerate().filter(|(at, line)| {
        includes(line) && file.text.lines().skip(*at).take(2).any(|line| line.contains("fixtures/"))
    });
    found.map(|(at, _)| (at + 1, say.to_owned())).collect()
}

fn nobody_asks_real_time(file: &File) -> Vec<Violation> {
    if !is_rust(file) || file.path == CLOCK || file.path.contains("/benches/") {
        return Vec::new();
    }
    let asked = |path: &str| REAL_TIME.iter().find(|word| names(path, word));
    let say =
        |word| format!("`{word}` is only for {CLOCK}: wait for an event, or ask the clock that can be moved");
    paths(&code(&file.text)).iter().filter_map(|(line, path)| Some((*line, say(asked(path)?)))).collect()
}

fn nothing_is_unfinished(file: &File) -> Vec<Violation> {
    if !is_rust(file) {
        return Vec::new();
    }
    let in_line = |(at, line): (usize, &str)| {
        let (word, instead) = UNFINISHED.iter().find(|(word, _)| line.contains(word))?;
        Some((at + 1, format!("`{word}`: {instead}")))
    };
    code(&file.text).lines().enumerate().filter_map(in_line).collect()
}

fn files_stay_short(file: &File) -> Vec<Violation> {
    let most = if is_test(file) { MOST_LINES_OF_TESTS } else { MOST_LINES };
    let lines = file.text.lines().count();
    if !is_rust(file) || lines <= most || LONG_FOR_A_REASON.iter().any(|(path, _)| *path == file.path) {
        return Vec::new();
    }
    vec![(
        lines,
        format!("{lines} lines, {most} are enough: one idea, one file; or move the tests to tests.rs"),
    )]
}

fn nobody_names_the_workplace(file: &File) -> Vec<Violation> {
    let in_line = |(at, line): (usize, &str)| {
        let line = line.to_lowercase();
        let word =
            WORKPLACE.iter().map(|(head, tail)| format!("{head}{tail}")).find(|word| line.contains(word))?;
        Some((at + 1, format!("`{word}` names a workplace: the project speaks of itself alone")))
    };
    file.text.lines().enumerate().filter_map(in_line).collect()
}

fn sources_say_what_they_are(file: &File) -> Vec<Violation> {
    let homes = ["protocol/src/", "client-agent/src/", "server/src/"];
    if !is_rust(file) || !homes.iter().any(|home| file.path.starts_with(home)) || file.text.starts_with("//!")
    {
        return Vec::new();
    }
    vec![(1, "begin with `//!`: what is here, what it must never know, where to go next".to_owned())]
}

#[test]
fn no_fixture_is_compiled_into_a_program() {
    holds_everywhere(fixtures_are_not_compiled_in);
}

#[test]
fn a_fixture_that_is_compiled_in_is_refused() {
    let bad = "const A: &str = include_str!(\"../../fixtures/a.toml\");\nconst B: &[u8] =\n  include_bytes!(\n    \"../fixtures/b\");\n\
               const C: &str = include_str!(\"c.toml\");\n#[cfg(test)]\nconst D: &str = include_str!(\"../fixtures/d\");";
    assert_eq!(
        lines_refused(fixtures_are_not_compiled_in, "client-agent/src/catalogue/files.rs", bad),
        [1, 3]
    );
    assert_eq!(lines_refused(fixtures_are_not_compiled_in, "client-agent/src/catalogue/tests.rs", bad), []);
}

#[test]
fn only_the_clock_asks_the_time_and_nobody_sleeps() {
    holds_everywhere(nobody_asks_real_time);
}

#[test]
fn asking_the_time_is_refused() {
    let bad = "let a = std::time::Instant::now();\nlet b = SystemTime::now();\nuse tokio::{net, time::{self, sleep}};\n\
               std::thread::sleep(x);\nfn take(now: Instant) {}\n// Instant::now()\nlet text = \"Instant::now\";";
    assert_eq!(lines_refused(nobody_asks_real_time, "server/src/main.rs", bad), [1, 2, 3, 4]);
    assert_eq!(lines_refused(nobody_asks_real_time, "tests/tests/it.rs", bad), [1, 2, 3, 4]);
    assert_eq!(lines_refused(nobody_asks_real_time, CLOCK, bad), []);
    assert_eq!(lines_refused(nobody_asks_real_time, "server/benches/heartbeat.rs", bad), []);
}

#[test]
fn everything_is_finished() {
    holds_everywhere(nothing_is_unfinished);
}

#[test]
fn what_is_unfinished_is_refused() {
    let bad = "fn f() { todo!() }\n// todo!()\n#[ignore = \"slow\"]\ndbg!(x);\n#![allow(dead_code)]\nunimplemented!(\"x\")";
    assert_eq!(lines_refused(nothing_is_unfinished, "server/src/main.rs", bad), [1, 3, 4, 5, 6]);
}

#[test]
fn files_are_short() {
    holds_everywhere(files_stay_short);
}

#[test]
fn a_long_file_is_refused() {
    let long = |lines| "\n".repeat(lines);
    assert_eq!(lines_refused(files_stay_short, "server/src/main.rs", &long(600)), []);
    assert_eq!(lines_refused(files_stay_short, "server/src/main.rs", &long(601)), [601]);
    assert_eq!(lines_refused(files_stay_short, "protocol/src/sylink/tests.rs", &long(900)), []);
    assert_eq!(lines_refused(files_stay_short, "tests/tests/it.rs", &long(901)), [901]);
}

#[test]
fn the_project_speaks_of_itself_alone() {
    holds_everywhere(nobody_names_the_workplace);
}

#[test]
fn the_name_of_a_workplace_is_refused() {
    for (head, tail) in WORKPLACE {
        let bad =
            format!("a network is fine\nsee {head}{tail}x\nand {}", format!("{head}{tail}").to_uppercase());
        assert_eq!(lines_refused(nobody_names_the_workplace, "docker/notes.md", &bad), [2, 3]);
    }
}

#[test]
fn every_source_says_what_it_is() {
    holds_everywhere(sources_say_what_they_are);
}

#[test]
fn a_source_without_a_first_word_is_refused() {
    assert_eq!(
        lines_refused(sources_say_what_they_are, "server/src/main.rs", "fn main() {}\n//! Late."),
        [1]
    );
    assert_eq!(lines_refused(sources_say_what_they_are, "server/src/main.rs", "//! Program.\n"), []);
}
