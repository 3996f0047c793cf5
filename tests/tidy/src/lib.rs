//! Rules for this project's sources, checked by reading them.
//!
//! Each rule is a function from a file to its violations. It has two tests: one applies it to the whole workspace, the
//! other to a made-up file with violations. What the compiler, clippy or `cargo tree` can check is not here.
//!
//! The scanner knows comments, literals, `#[cfg(test)]` and nested `use` groups. It does not know renamed imports,
//! `use x::*` or code made by macros: it finds oversights, not evasions.
//!
//! The crate has only tests and no dependencies, so that it is built in a second.

#![cfg(test)]

mod circles;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A text file of the project: its path from the top, with `/`, and its content.
#[derive(Clone)]
struct File {
    path: String,
    text: String,
}

/// The line, and what to do about it.
type Violation = (usize, String);

// ---------------------------------------------------------------------------------------------------- the tables

/// The modules that each module of `protocol` may import. A new module must be added here.
const FLOORS: &[(&str, &[&str])] = &[
    ("manager", &["site", "fault", "heartbeat", "policy", "trust", "assumption", "id", "time", "version"]),
    ("site", &["heartbeat", "policy", "sylink", "trust", "assumption", "id", "time", "version", "suggest"]),
    ("installation", &["trust", "id"]),
    ("fault", &["heartbeat", "policy", "sylink", "trust", "id", "time", "version", "suggest", "glob"]),
    ("heartbeat", &["policy", "sylink", "trust", "id", "time", "version"]),
    ("policy", &["sylink", "id", "time", "suggest"]),
    ("sylink", &["id", "time"]),
    ("assumption", &["trust", "version"]),
    ("trust", &["id", "time"]),
    ("id", &[]),
    ("time", &[]),
    ("version", &[]),
    ("suggest", &[]),
    ("glob", &[]),
];

/// A folder, the names that its shipped code must not use, and where they belong instead.
const ROOMS: &[(&str, &[&str], &str)] = &[
    (
        "protocol/src/",
        &[
            "tokio",
            "std::fs",
            "std::env",
            "std::net::TcpStream",
            "std::net::TcpListener",
            "std::net::UdpSocket",
        ],
        "protocol decides and never waits: take it as an argument, and let a folder named wire fetch it",
    ),
    (
        "server/src/",
        &["tamper::alter", "tamper::instead", "Site::admit"],
        "what a manager does with a request stands once, for both drivers: call epm_protocol::manager",
    ),
    (
        "client-agent/src/",
        &["tamper::alter", "tamper::instead", "Site::admit"],
        "what a manager does with a request stands once, for both drivers: call epm_protocol::manager",
    ),
    (
        "server/src/rest_api/",
        &["crate::control_api", "crate::cli", "MockSite"],
        "the product's API knows nothing of the lab's own: what both need is in runtime",
    ),
    (
        "server/src/control_api/",
        &["crate::rest_api", "crate::cli"],
        "the lab's own API knows nothing of the product's: what both need is in runtime",
    ),
    (
        "server/src/lab/",
        &["crate::rest_api", "crate::control_api", "crate::cli"],
        "a lab is driven by the APIs and the command line, and knows none of them",
    ),
    (
        "client-agent/src/agent/",
        PURE,
        "the agent is a value: take it as an argument or an input, and let client-agent/src/wire fetch it",
    ),
    (
        "client-agent/src/rehearsal/",
        PURE,
        "a rehearsal has no clock but its own: take it as an argument, and let the program fetch it",
    ),
    (
        "client-agent/src/catalogue/",
        PURE,
        "the catalogue is compiled in and plays in virtual time: let the program bring sockets, and hand in what was seen",
    ),
    (
        "client-agent/src/scenario/",
        PURE,
        "a scenario is read from text and runs in any time: let the program open the file, and the clock be handed in",
    ),
];
/// A folder, the crates that no path in its shipped code may begin with, and where they belong instead.
const CRATES_OF_ROOMS: &[(&str, &[&str], &str)] =
    &[("server/src/lab/", &["axum", "hyper", "http"], "a lab knows no HTTP: let the APIs and wire bring it")];

/// The state of a site, the only folder that may have it, and its only owner.
const STATE: (&str, &str, &str) = ("SiteState", "server/src/runtime/", "server/src/mock_site.rs");

/// The folder of the reports, and what it may use of a rehearsal: the outcome and its parts.
const REPORT: &str = "client-agent/src/report/";
const OUTCOME: &[&str] =
    &["Outcome", "StepOutcome", "AtRisk", "Course", "InForce", "Sweep", "SweepPoint", "Spread"];

/// The sources of each crate, and the allowed circles of files, each with its reason: its files, or a folder that
/// contains them and ends in `/`.
const SOURCES: &[&str] = &["protocol/src/", "client-agent/src/", "server/src/"];
const CIRCLES: &[(&[&str], &str)] = &[(
    &["server/src/wire/clients_port.rs", "server/src/wire/faults/mod.rs", "server/src/wire/faults/tls.rs"],
    "a fault of the connection wraps the conversation, and the conversation asks the faults",
)];

const PURE: &[&str] = &[
    "tokio",
    "std::fs",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "SystemTime",
    "Instant",
    "crate::wire",
];

/// Calls that read real time, and the only file that may make them.
const REAL_TIME: &[&str] = &["SystemTime::now", "Instant::now", "thread::sleep", "tokio::time::sleep"];
const CLOCK: &str = "client-agent/src/wire/clock.rs";

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

/// Crates that only tests may depend on.
const ONLY_FOR_TESTS: &[&str] = &["epm-fixtures", "epm-needs", "epm-tests"];

// ----------------------------------------------------------------------------------------------------- the rules

fn imports_go_down(file: &File) -> Vec<Violation> {
    let Some(place) = file.path.strip_prefix("protocol/src/").filter(|it| it.ends_with(".rs")) else {
        return Vec::new();
    };
    let own = place.split('/').next().unwrap_or(place).trim_end_matches(".rs");
    if own == "lib" {
        return Vec::new();
    }
    let Some((_, below)) = FLOORS.iter().find(|(module, _)| *module == own) else {
        return vec![(1, format!("{own} has no floor: add it to FLOORS in tests/tidy/src/lib.rs"))];
    };
    // The number of modules from which `super::super::` reaches the root of the crate.
    let depth = place.trim_end_matches("/mod.rs").split('/').count();
    let mut found = Vec::new();
    for (line, path) in paths(&code(&file.text)) {
        let above = path.split("::").take_while(|it| *it == "super").count();
        let target = match path.split("::").collect::<Vec<_>>()[..] {
            ["crate", target, ..] => target,
            _ if above >= depth => path.split("::").nth(above).unwrap_or_default(),
            _ => continue,
        };
        let is_module = FLOORS.iter().any(|(module, _)| *module == target);
        if is_module && target != own && !below.contains(&target) {
            found.push((
                line,
                format!("{own} may not import {target}: move what both need below both, or this up"),
            ));
        }
    }
    found
}

fn rooms_stay_pure(file: &File) -> Vec<Violation> {
    let mut found = Vec::new();
    for (room, never, instead) in ROOMS {
        if !is_rust(file) || is_test(file) || !file.path.starts_with(room) {
            continue;
        }
        for (line, path) in paths(&shipped(&code(&file.text))) {
            if let Some(word) = never.iter().find(|word| names(&path, word)) {
                found.push((line, format!("`{word}` is not for {room}: {instead}")));
            }
        }
    }
    found
}

fn rooms_do_without_crates(file: &File) -> Vec<Violation> {
    let mut found = Vec::new();
    for (room, never, instead) in CRATES_OF_ROOMS {
        if !is_rust(file) || is_test(file) || !file.path.starts_with(room) {
            continue;
        }
        for (line, path) in paths(&shipped(&code(&file.text))) {
            let root = path.split_once("::").map_or("", |(root, _)| root);
            if never.contains(&root) {
                found.push((line, format!("`{root}` is not for {room}: {instead}")));
            }
        }
    }
    found
}

fn only_the_runtime_has_the_state(file: &File) -> Vec<Violation> {
    let (state, home, owner) = STATE;
    let is_allowed = file.path.starts_with(home) || file.path == owner;
    if !is_rust(file) || !file.path.starts_with("server/src/") || is_allowed {
        return Vec::new();
    }
    let say = |(line, _)| (line, format!("`{state}` stays in {home}: hand over what is used of it"));
    paths(&code(&file.text)).into_iter().filter(|(_, path)| names(path, state)).map(say).collect()
}

fn reports_know_the_outcome(file: &File) -> Vec<Violation> {
    if !is_rust(file) || is_test(file) || !file.path.starts_with(REPORT) {
        return Vec::new();
    }
    let wrong = |(line, path): (usize, String)| {
        let mut segments = path.split("::").skip_while(|segment| *segment != "rehearsal").skip(1);
        let name =
            if names(&path, "rehearsal") { segments.next().unwrap_or("rehearsal") } else { return None };
        let say = format!(
            "a report knows of a rehearsal only the outcome, and not `{name}`: put it into the outcome"
        );
        (!OUTCOME.contains(&name)).then_some((line, say))
    };
    paths(&shipped(&code(&file.text))).into_iter().filter_map(wrong).collect()
}

/// Checks that the sources of marks like `[C S4, S7]` have a row in `docs/sources.md`.
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

fn sources_say_what_they_are(file: &File) -> Vec<Violation> {
    let homes = ["protocol/src/", "client-agent/src/", "server/src/"];
    if !is_rust(file) || !homes.iter().any(|home| file.path.starts_with(home)) || file.text.starts_with("//!")
    {
        return Vec::new();
    }
    vec![(1, "begin with `//!`: what is here, what it must never know, where to go next".to_owned())]
}

fn is_rust(file: &File) -> bool {
    file.path.ends_with(".rs")
}

fn is_test(file: &File) -> bool {
    file.path.starts_with("tests/") || file.path.contains("/tests/") || file.path.ends_with("/tests.rs")
}

fn is_manifest_of_a_crate(file: &File) -> bool {
    file.path.ends_with("/Cargo.toml")
}

// --------------------------------------------------------------------------------------------------- the scanner

/// Blanks comments and literals in a source; every line keeps its number.
fn code(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let dead = length_of_comment_or_literal(rest);
        let end = if dead == 0 { first.len_utf8() } else { dead };
        if dead == 0 {
            code.push(first);
        } else {
            code.push_str(&blank(&rest[..end]));
        }
        rest = &rest[end..];
    }
    code
}

/// The length of the comment or literal that `rest` begins with; 0 if it begins with code.
fn length_of_comment_or_literal(rest: &str) -> usize {
    let until =
        |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    let hashes = rest[1.min(rest.len())..].bytes().take_while(|byte| *byte == b'#').count();
    match rest.as_bytes() {
        [b'/', b'/', ..] => rest.find('\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => length_of_block_comment(rest),
        [b'r', tail @ ..] if tail.get(hashes) == Some(&b'"') => {
            until(&format!("\"{}", "#".repeat(hashes)), hashes + 2)
        }
        [b'"', tail @ ..] => {
            let mut escaped = false;
            let closes = |byte: &u8| {
                let closes = *byte == b'"' && !escaped;
                escaped = *byte == b'\\' && !escaped;
                closes
            };
            tail.iter().position(closes).map_or(rest.len(), |at| at + 2)
        }
        [b'\'', b'\\', _, ..] => until("'", 3),
        // A character, not a lifetime: the quote closes right after it.
        [b'\'', ..] => match rest.char_indices().nth(2) {
            Some((at, '\'')) => at + 1,
            _ => 0,
        },
        _ => 0,
    }
}

fn length_of_block_comment(rest: &str) -> usize {
    let (mut at, mut depth) = (0, 0);
    loop {
        match rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (at, depth) = (at + 2, depth + 1),
            [b'*', b'/', ..] => (at, depth) = (at + 2, depth - 1),
            [_, ..] => at += 1,
            [] => return at,
        }
        if depth == 0 {
            return at;
        }
    }
}

fn blank(text: &str) -> String {
    text.chars().map(|char| if char == '\n' { '\n' } else { ' ' }).collect()
}

/// `code` without the items that are marked `#[cfg(test)]`.
fn shipped(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let Some(start) = code.find(MARK) else { return code.to_owned() };
    let after = start + MARK.len();
    let mut depth = 0;
    let ends = |char: char| {
        depth += i32::from("{([".contains(char)) - i32::from("})]".contains(char));
        depth == 0 && "};".contains(char)
    };
    let end = code[after..].find(ends).map_or(code.len(), |at| after + at + 1);
    format!("{}{}{}", &code[..start], blank(&code[start..end]), shipped(&code[end..]))
}

/// Each path in `code` with its line: `use a::{b, c::d}` is `a::b` and `a::c::d`, and a name alone is a path too.
fn paths(code: &str) -> Vec<(usize, String)> {
    let tokens = tokens(code);
    let (mut at, mut found) = (0, Vec::new());
    while at < tokens.len() {
        at = path(&tokens, at, "", &mut found);
    }
    found
}

/// Reads one path after `head`, and returns where to continue.
fn path(tokens: &[(usize, &str)], mut at: usize, head: &str, found: &mut Vec<(usize, String)>) -> usize {
    let mut path = head.to_owned();
    while let Some((line, token)) = tokens.get(at).copied() {
        if token == "{" && !path.is_empty() {
            at += 1;
            while at < tokens.len() && tokens[at].1 != "}" {
                at = self::path(tokens, at, &path, found);
            }
            return at + 1;
        }
        at += 1;
        if !token.starts_with(is_of_name) && token != "*" {
            return at;
        }
        path.push_str(token);
        if tokens.get(at).is_none_or(|(_, next)| *next != "::") {
            found.push((line, path));
            return at;
        }
        path.push_str("::");
        at += 1;
    }
    at
}

/// The names, `::` and single other characters of `code`, each with its line.
fn tokens(code: &str) -> Vec<(usize, &str)> {
    let mut tokens = Vec::new();
    for (at, line) in code.lines().enumerate() {
        let mut rest = line.trim_start();
        while let Some(first) = rest.chars().next() {
            let end = match rest.find(|char| !is_of_name(char)).unwrap_or(rest.len()) {
                0 if rest.starts_with("::") => 2,
                0 => first.len_utf8(),
                name => name,
            };
            tokens.push((at + 1, &rest[..end]));
            rest = rest[end..].trim_start();
        }
    }
    tokens
}

fn is_of_name(char: char) -> bool {
    char.is_alphanumeric() || char == '_'
}

/// Whether the segments of `word` follow each other in `path`.
fn names(path: &str, word: &str) -> bool {
    format!("::{path}::").contains(&format!("::{word}::"))
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

// ------------------------------------------------------------------------------------------------- the workspace

/// The folder of the workspace.
fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate is in the workspace")
}

/// All text files of the project, except what `.gitignore` names at the top.
fn workspace() -> Vec<File> {
    let top = top();
    let ignored = fs::read_to_string(top.join(".gitignore")).expect("the workspace has a .gitignore");
    let skipped: Vec<_> = ignored
        .lines()
        .filter_map(|line| line.strip_prefix('/'))
        .chain([".git"])
        .map(|it| top.join(it))
        .collect();
    let (mut folders, mut files) = (vec![top.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("the folder can be read") {
            let path = entry.expect("the entry can be read").path();
            if skipped.contains(&path) || path.is_symlink() {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if let Ok(text) = fs::read_to_string(&path) {
                let path = path.strip_prefix(top).expect("it is below the top");
                files.push(File { path: path.to_string_lossy().replace('\\', "/"), text });
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

#[track_caller]
fn holds_everywhere(rule: fn(&File) -> Vec<Violation>) {
    let say = |file: &File| -> Vec<String> {
        rule(file).into_iter().map(|(line, what)| format!("{}:{line}: {what}", file.path)).collect()
    };
    let found: Vec<_> = workspace().iter().flat_map(say).collect();
    assert!(found.is_empty(), "{} to put in order:\n{}", found.len(), found.join("\n"));
}

/// The lines of a made-up file in which `rule` finds something.
fn lines_refused(rule: fn(&File) -> Vec<Violation>, path: &str, text: &str) -> Vec<usize> {
    rule(&File { path: path.to_owned(), text: text.to_owned() }).into_iter().map(|(line, _)| line).collect()
}

// ----------------------------------------------------------------------------------------------------- the tests

#[test]
fn the_whole_workspace_is_read_and_every_room_has_somebody_in_it() {
    let files = workspace();
    let lives = |room: &str| files.iter().any(|file| file.path.starts_with(room));
    for room in
        ["Cargo.toml", "clippy.toml", CLOCK, "server/src/", "fixtures/sylink/", "tests/tidy/src/lib.rs"]
    {
        assert!(lives(room), "{room} is not there; what did it become?");
    }
    for (module, _) in FLOORS {
        let path = format!("protocol/src/{module}");
        assert!(lives(&path), "{path} is in FLOORS and not there: what did it become?");
    }
    let rooms = ROOMS.iter().chain(CRATES_OF_ROOMS).map(|(room, _, _)| *room);
    for room in rooms.chain(SOURCES.iter().copied()).chain([STATE.1, REPORT]) {
        assert!(lives(room), "{room} has a rule and is not there: what did it become?");
    }
    assert!(!lives("target/") && !lives(".git/"));
}

#[test]
fn imports_between_modules_of_protocol_go_down() {
    holds_everywhere(imports_go_down);
}

#[test]
fn an_import_that_goes_up_is_refused() {
    let refused = |path, text| lines_refused(imports_go_down, path, text);
    assert_eq!(refused("protocol/src/trust/judge.rs", "use crate::id::SiteId;\nuse crate::site::Site;"), [2]);
    let nested = "use crate::{\n  time::{Timestamp, Span},\n  policy::{\n    Policy,\n    settings::Heartbeat,\n  },\n};";
    assert_eq!(refused("protocol/src/sylink/mod.rs", nested), [4, 5]);
    assert_eq!(
        refused("protocol/src/id.rs", "fn f() -> crate::time::Timestamp { super::trust::now() }"),
        [1, 1]
    );
    assert_eq!(refused("protocol/src/trust/pool/mod.rs", "use super::super::site::Site;"), [1]);
    assert_eq!(
        refused("protocol/src/trust/judge.rs", "//! [`crate::site`]\nuse super::certificate::Pins;"),
        []
    );
    assert_eq!(
        refused("protocol/src/site/mod.rs", "use crate::policy::Policy;\nuse crate::site::group;"),
        []
    );
    assert_eq!(refused("protocol/src/cellar.rs", "//! New here."), [1]);
}

#[test]
fn rooms_that_decide_do_not_wait() {
    holds_everywhere(rooms_stay_pure);
}

#[test]
fn a_room_that_waits_is_refused() {
    let refused = |path, text| lines_refused(rooms_stay_pure, path, text);
    let bad = "use std::net::IpAddr;\nuse std::{fmt, fs::File, net::{TcpStream, Ipv4Addr}};\nuse std::env;";
    assert_eq!(refused("protocol/src/id.rs", bad), [2, 2, 3]);
    let bad = "fn now() -> Instant {\n  tokio::spawn(f);\n  crate::wire::clock::now()\n}";
    assert_eq!(refused("client-agent/src/agent/mod.rs", bad), [1, 2, 3]);
    assert_eq!(refused("client-agent/src/scenario/read.rs", bad), [1, 2, 3]);
    assert_eq!(refused("client-agent/src/wire/clock.rs", bad), []);
    let tested = "#[cfg(test)]\nuse std::fs;\nuse std::fs;\n#[cfg(test)]\nmod tests {\n  use std::fs;\n}\nuse std::fs;";
    assert_eq!(refused("protocol/src/id.rs", tested), [3, 8]);
    assert_eq!(refused("protocol/src/sylink/tests.rs", tested), []);
}

#[test]
fn rooms_without_http_have_none() {
    holds_everywhere(rooms_do_without_crates);
}

#[test]
fn a_driver_that_does_what_a_manager_does_is_refused() {
    let bad = "use epm_protocol::fault::tamper::{self, Tampered, alter};\nuse epm_protocol::fault::tamper::Tampered;\ntamper::instead(hit);";
    for path in ["server/src/wire/faults/exchange.rs", "client-agent/src/rehearsal/faulted.rs"] {
        assert_eq!(lines_refused(rooms_stay_pure, path, bad), [1, 3]);
    }
}

#[test]
fn http_in_a_room_without_it_is_refused() {
    let bad = "use axum::{Json, extract::State};\nfn f(http: u16) -> hyper::Method {}\nuse epm_protocol::heartbeat::http;";
    assert_eq!(lines_refused(rooms_do_without_crates, "server/src/lab/clock.rs", bad), [1, 1, 2]);
    assert_eq!(lines_refused(rooms_do_without_crates, "server/src/control_api/clock.rs", bad), []);
    let apis = "use crate::control_api::Problem;\nuse crate::{lab, rest_api::http};";
    assert_eq!(lines_refused(rooms_stay_pure, "server/src/rest_api/mod.rs", apis), [1]);
    assert_eq!(lines_refused(rooms_stay_pure, "server/src/control_api/mod.rs", apis), [2]);
    assert_eq!(lines_refused(rooms_stay_pure, "server/src/lab/mod.rs", apis), [1, 2]);
}

#[test]
fn the_whole_state_of_a_site_is_in_the_runtime_alone() {
    holds_everywhere(only_the_runtime_has_the_state);
}

#[test]
fn whoever_else_has_the_state_is_refused() {
    let bad = "use crate::runtime::state::{Clients, SiteState};\n// SiteState\nfn f(state: &SiteState) {}";
    assert_eq!(lines_refused(only_the_runtime_has_the_state, "server/src/lab/mod.rs", bad), [1, 3]);
    assert_eq!(lines_refused(only_the_runtime_has_the_state, "server/src/runtime/manager.rs", bad), []);
}

#[test]
fn a_report_knows_only_the_outcome() {
    holds_everywhere(reports_know_the_outcome);
}

#[test]
fn a_report_that_knows_more_is_refused() {
    let bad = "use crate::rehearsal::{Outcome, world::World};\nuse super::words;\nlet a = crate::rehearsal::AtRisk::new();\n\
               use crate::rehearsal::Casting;\nuse crate::rehearsal;";
    assert_eq!(lines_refused(reports_know_the_outcome, "client-agent/src/report/csv.rs", bad), [1, 4, 5]);
    assert_eq!(lines_refused(reports_know_the_outcome, "client-agent/src/rehearsal/run.rs", bad), []);
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

/// Whether all files of a circle are named, each by itself or by a folder.
fn is_named(circle: &BTreeSet<&str>, named: &[&str]) -> bool {
    let is_there =
        |path: &str| named.iter().any(|one| path == *one || one.ends_with('/') && path.starts_with(one));
    circle.iter().all(|path| is_there(path))
}

#[test]
fn there_is_no_circle_of_files_but_those_that_must_be() {
    let files = workspace();
    let found: Vec<_> = SOURCES.iter().flat_map(|sources| circles::circles(&files, sources)).collect();
    let wrong: Vec<_> =
        found.iter().filter(|circle| !CIRCLES.iter().any(|(named, _)| is_named(circle, named))).collect();
    assert!(wrong.is_empty(), "move what both need below both, or name the circle in CIRCLES: {wrong:#?}");
    for (named, _) in CIRCLES {
        let is_there = found.iter().any(|circle| is_named(circle, named));
        assert!(is_there, "{named:?} is in CIRCLES, and is no circle any more");
    }
}

#[test]
fn a_circle_is_named_by_its_files_or_by_their_folder() {
    let circle = BTreeSet::from(["server/src/cli/mod.rs", "server/src/cli/up.rs"]);
    assert!(is_named(&circle, &["server/src/cli/"]));
    assert!(is_named(&circle, &["server/src/cli/up.rs", "server/src/cli/mod.rs", "server/src/main.rs"]));
    assert!(!is_named(&circle, &["server/src/cli/up.rs"]) && !is_named(&circle, &["server/src/cl"]));
}

#[test]
fn every_source_that_a_mark_cites_is_listed() {
    holds_everywhere(marks_resolve);
}

#[test]
fn a_mark_that_cites_no_source_is_refused() {
    // Built at run time, or this file would not pass.
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

#[test]
fn comments_and_literals_are_not_code() {
    for dead in
        ["// x", "/* x /* y */ x */", "\"x \\\" \\\\\"", "r#\"x \" y\"#", "'x'", "'\\''", "'\\u{78}'", "'ü'"]
    {
        let text = format!("before {dead}\nafter");
        assert_eq!(code(&text).split_whitespace().collect::<Vec<_>>(), ["before", "after"], "{dead}");
        assert_eq!(code(&text).lines().count(), 2, "{dead}");
    }
    assert_eq!(code("fn f<'a>(x: &'a str, r#type: T)"), "fn f<'a>(x: &'a str, r#type: T)");
}
