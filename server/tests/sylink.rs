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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn against_a_manager_the_value_that_is_wrong_is_named() {
    use epm_protocol::site::DEFAULT_GROUP;
    use epm_protocol::sylink::Sylink;
    let site = epm_server::MockSite::start().await.unwrap();
    let url = site.addresses()[0].https.clone();
    let good = site.export_sylink(DEFAULT_GROUP, None).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file.xml");
    let ask = |sylink: &Sylink| {
        std::fs::write(&file, sylink.to_xml()).unwrap();
        sylink_output(&["check", file.to_str().unwrap(), "--against", &url])
    };
    assert_eq!(ask(&good).0, Some(0), "{}", ask(&good).1);
    let mut secret = good.clone();
    let mut conf = secret.conf();
    conf.settings.kcs_hex = "0".repeat(32);
    secret.adopt(&conf);
    let (code, text) = ask(&secret);
    assert!(code == Some(1) && text.contains("What is wrong: the shared secret"), "{text}");
    let xml = good.to_xml().replace(&good.domain_id().to_string(), &"A".repeat(32));
    let (code, text) = ask(&Sylink::parse(&xml).unwrap());
    assert!(code == Some(1) && text.contains("What is wrong: the domain"), "{text}");
    let mut pins = good;
    let mut conf = pins.conf();
    conf.certificates.clear();
    pins.adopt(&conf);
    let (code, text) = ask(&pins);
    assert!(code == Some(1) && text.contains("What is wrong: the certificates"), "{text}");
}

fn sylink_output(arguments: &[&str]) -> (Option<i32>, String) {
    let output = sylink(arguments);
    (output.status.code(), said(&output))
}
