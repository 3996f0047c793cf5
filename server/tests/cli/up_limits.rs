//! What `epm-lab` refuses of its input before it begins, and what it never prints as it is.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use epm_fixtures::output;

use crate::harness::{RunningLab, program, refused, root, run, stdout};

#[test]
fn a_file_that_is_too_large_is_refused_before_it_is_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("large");
    // A file without blocks: it takes no room on the disk.
    fs::File::create(&file).unwrap().set_len(3 << 30).unwrap();
    let name = file.to_str().unwrap();
    for arguments in [
        &["recovery", "show", name][..],
        &["failure", "diagnose", name],
        &["rehearse", name],
        &["cert", "show", name],
        &["sylink", "show", name],
        &["up", "--http-port", "0", "--recovery", name],
    ] {
        refused(&run(arguments), &["large", "64 MiB"]);
    }
}

#[test]
fn a_fleet_of_billions_is_refused_at_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let text = fs::read_to_string(root().join("fixtures/scenarios/single-manager.toml")).unwrap();
    let (before, after) = text.split_once("count = ").unwrap();
    let rest = after.split_once('\n').unwrap().1;
    let file = folder.path().join("many.toml");
    fs::write(&file, format!("{before}count = 4000000000\n{rest}")).unwrap();
    refused(
        &run(&["rehearse", file.to_str().unwrap()]),
        &["many.toml:", "expected at most 1000000 in all parts"],
    );
}

#[test]
fn a_token_that_others_can_write_is_refused_and_one_that_others_can_read_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    fs::write(&file, "0123456789abcdef0123\n").unwrap();
    let arguments = ["up", "--http-port", "0", "--agents", "0", "--token-file", file.to_str().unwrap()];
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    refused(&run(&arguments), &["others can write the token", "mode 666"]);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o444)).unwrap();
    let mut up = program();
    up.args(arguments).args(["--ready-file", folder.path().join("ready.json").to_str().unwrap()]);
    assert_eq!(RunningLab::of(&mut up).interrupt(), Some(0));
}

#[test]
fn text_from_outside_reaches_the_terminal_without_control_characters() {
    let line = "Everything is \u{1b}[2Kwell\u{9b}1m\u{202e}";
    let out = output(program().args(["failure", "diagnose", "--line", line]));
    let said = stdout(&out);
    assert!(said.contains(r"Everything is \u001b[2Kwell\u009b1m\u202e"), "{said}");
}
