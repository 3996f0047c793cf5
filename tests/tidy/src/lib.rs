//! Rules for this project's sources, checked by reading them.
//!
//! Each rule is a function from a file to its violations. It has two tests: one applies it to the whole workspace, the
//! other to a made-up file with violations. What the compiler, clippy or `cargo tree` can check is not here.
//!
//! The scanner knows comments, literals, `#[cfg(test)]` and nested `use` groups. It does not know renamed imports,
//! `use x::*` or code made by macros: it finds oversights, not evasions.
//!
//! | file | what |
//! |---|---|
//! | `rooms`, `circles` | which module and which folder may import what; circles of files |
//! | `sources` | what a source looks like |
//! | `marks` | marks and links: what a text refers to is there |
//! | `words` | how texts speak |
//! | `manifests` | what every crate's manifest says |
//! | `scanner` | what is code in a source, and which paths stand in it |
//!
//! The crate has only tests and no dependencies, so that it is built in a second.

#![cfg(test)]

mod circles;
mod manifests;
mod marks;
mod rooms;
mod scanner;
mod sources;
mod words;

use std::fs;
use std::path::Path;

use rooms::{CRATES_OF_ROOMS, FLOORS, REPORT, ROOMS, SOURCES, STATE};

/// A text file of the project: its path from the top, with `/`, and its content.
#[derive(Clone)]
struct File {
    path: String,
    text: String,
}

/// The line, and what to do about it.
type Violation = (usize, String);

/// The only file that may ask for real time.
const CLOCK: &str = "client-agent/src/wire/clock.rs";

fn is_rust(file: &File) -> bool {
    file.path.ends_with(".rs")
}

fn is_test(file: &File) -> bool {
    file.path.starts_with("tests/") || file.path.contains("/tests/") || file.path.ends_with("/tests.rs")
}

/// The folder of the workspace.
fn top() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).expect("the crate is in the workspace")
}

/// All text files of the project, but what `.gitignore` names at the top.
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
