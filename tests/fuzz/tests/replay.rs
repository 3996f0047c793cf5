//! Every input that is kept, and every one that was a find, goes through its target.

#![allow(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{Cursor, Read};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use epm_fuzz::{TARGETS, Target};
use zip::ZipArchive;

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The inputs of a target, each with its name.
fn inputs(target: &Target) -> Vec<(String, Vec<u8>)> {
    let mut inputs = Vec::new();
    let path = folder("corpus").join(format!("{}.zip", target.name));
    let archive = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    // An archive in an archive: `run.sh` compresses the inputs together.
    let mut inner = Vec::new();
    ZipArchive::new(Cursor::new(archive)).unwrap().by_index(0).unwrap().read_to_end(&mut inner).unwrap();
    let mut archive = ZipArchive::new(Cursor::new(inner)).unwrap();
    for place in 0..archive.len() {
        let mut file = archive.by_index(place).unwrap();
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).unwrap();
        inputs.push((format!("corpus/{}.zip: {}", target.name, file.name().unwrap()), bytes));
    }
    for entry in fs::read_dir(folder("finds").join(target.name)).into_iter().flatten() {
        let path = entry.unwrap().path();
        inputs.push((path.display().to_string(), fs::read(&path).unwrap()));
    }
    inputs
}

#[test]
fn no_kept_input_makes_a_target_panic() {
    let mut wrong = Vec::new();
    for target in TARGETS {
        let inputs = inputs(target);
        assert!(!inputs.is_empty(), "{} has no inputs", target.name);
        for (name, input) in inputs {
            if catch_unwind(AssertUnwindSafe(|| (target.run)(&input))).is_err() {
                wrong.push(name);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn finds_are_kept_under_the_names_of_targets() {
    let known: BTreeSet<&str> = TARGETS.iter().map(|target| target.name).collect();
    for entry in fs::read_dir(folder("finds")).into_iter().flatten() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(known.contains(name.as_str()) || name == "README.md", "{name}");
    }
}
