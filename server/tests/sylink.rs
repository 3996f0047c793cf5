//! `epm-lab sylink`, run as a user runs it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::process::{Command, Output, Stdio};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/sylink/hand-edited.xml");

fn sylink(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_epm-lab"));
    command.arg("sylink").args(arguments).stdin(Stdio::null()).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_file_is_shown_without_its_secret_and_checked() {
    let text = std::fs::read_to_string(FILE).unwrap();
    let (_, rest) = text.split_once("Kcs=").unwrap();
    let secret = &rest[1..33];
    for arguments in [&["show", FILE][..], &["show", FILE, "--json"], &["check", FILE]] {
        let output = sylink(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(!said(&output).to_uppercase().contains(&secret.to_uppercase()), "{}", said(&output));
    }
    let folder = tempfile::tempdir().unwrap();
    let broken = folder.path().join("broken.xml");
    std::fs::write(&broken, text.replacen("CommConf>", "CommCnf>", 1)).unwrap();
    let output = sylink(&["check", broken.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("broken.xml: line "), "{}", said(&output));
}

#[test]
fn an_edit_changes_what_was_asked_and_nothing_else_and_a_diff_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new.xml");
    let out = out.to_str().unwrap();
    let output = sylink(&["edit", FILE, "--group", "My Company\\Elsewhere", "--out", out]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let diff = sylink(&["diff", FILE, out]);
    assert_eq!(diff.status.code(), Some(1), "{}", said(&diff));
    assert_eq!(said(&diff).lines().count(), 1, "{}", said(&diff));
    assert!(said(&diff).starts_with("preferred group: was "), "{}", said(&diff));
    let (before, after) = (std::fs::read_to_string(FILE).unwrap(), std::fs::read_to_string(out).unwrap());
    let changed = before.lines().zip(after.lines()).filter(|(one, other)| one != other).count();
    assert_eq!((before.lines().count(), changed), (after.lines().count(), 1));
    assert_eq!(sylink(&["diff", FILE, FILE]).status.code(), Some(0));
    assert_eq!(sylink(&["edit", FILE, "--out", out]).status.code(), Some(2), "it is there already");
}
