//! `epm-lab cert`, run as a user runs it: what it makes, says and refuses, and who else reads it.

use std::process::{Command, Output};

use tempfile::TempDir;

use crate::harness::{RunningLab, needs, output, program, root, said, stderr, stdout};

const PASSWORD: &str = "open-sesame-4711";

/// A folder with `server.crt`, `server.key` and the password in `p.txt`.
fn made(more: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("p.txt"), format!("{PASSWORD}\n")).unwrap();
    let issue = ["issue", "--name", "sepm.example", "--out", "server.crt", "--key-out", "server.key"];
    well(&folder, &[&issue[..], more].concat());
    folder
}

fn cert(folder: &TempDir, arguments: &[&str]) -> Output {
    let out = output(program().arg("cert").args(arguments).current_dir(folder.path()).env("STORE", PASSWORD));
    let said = said(&out).1;
    assert!(!said.contains(PASSWORD) && !said.contains("panicked"), "{said}");
    out
}

#[track_caller]
fn well(folder: &TempDir, arguments: &[&str]) -> String {
    crate::harness::well(&cert(folder, arguments))
}

#[track_caller]
fn refused(folder: &TempDir, arguments: &[&str], words: &str) {
    let out = cert(folder, arguments);
    assert_eq!(out.status.code(), Some(2), "{arguments:?}");
    assert!(stderr(&out).contains(words), "{}", stderr(&out));
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn bytes(folder: &TempDir, file: &str) -> Vec<u8> {
    std::fs::read(folder.path().join(file)).unwrap()
}

#[test]
fn what_is_issued_is_shown_and_its_key_is_its_owners_alone_and_not_written_over() {
    let folder = made(&["--also", "10.0.0.5"]);
    let shown = well(&folder, &["show", "server.crt", "--key", "server.key"]);
    for part in ["PEM", "sepm.example, 10.0.0.5", "RSA with 2048 bits", "matches", "accepts it"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let json = well(&folder, &["show", "server.crt", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["certificates"][0]["common_name"], "sepm.example");
    assert_eq!(json["key_fits"], serde_json::Value::Null);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(folder.path().join("server.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let before = (bytes(&folder, "server.crt"), bytes(&folder, "server.key"));
    let again = ["issue", "--name", "x", "--out", "new.crt", "--key-out", "server.key"];
    refused(&folder, &again, "server.key already exists");
    assert!(!folder.path().join("new.crt").exists(), "half of it was written");
    assert_eq!((bytes(&folder, "server.crt"), bytes(&folder, "server.key")), before);
    well(&folder, &[&again[..], &["--force"]].concat());
    assert_ne!(bytes(&folder, "server.key"), before.1);
}

#[test]
fn every_form_leads_to_every_other_and_back_to_the_same_key() {
    let folder = made(&["--authority", "Lab CA"]);
    let key = bytes(&folder, "server.key");
    let (mut file, mut more) = ("server.crt", vec!["--key", "server.key"]);
    for form in ["jks", "pkcs12", "pkcs12-pbmac1", "pkcs12-old"] {
        let to = ["--to", form, "--out", form, "--out-password-file", "p.txt"];
        well(&folder, &[&["convert", file], &more[..], &to].concat());
        (file, more) = (form, vec!["--password-env", "STORE"]);
        let shown = well(&folder, &["show", form, "--password-file", "p.txt"]);
        assert!(shown.contains("alias \"tomcat\"") && shown.contains("Issuer"), "{shown}");
        refused(&folder, &["show", form], "Invalid keystore file");
    }
    let back = ["--to", "pem", "--out", "back.crt", "--key-out", "back.key"];
    well(&folder, &[&["convert", file], &more[..], &back].concat());
    assert_eq!(bytes(&folder, "back.key"), key);
    assert_eq!(bytes(&folder, "back.crt"), bytes(&folder, "server.crt"));
    let closed = ["--to", "pem", "--out", "c.crt", "--key-out", "c.key", "--out-password-file", "p.txt"];
    well(&folder, &[&["convert", file], &more[..], &closed].concat());
    assert!(text(&bytes(&folder, "c.key")).contains("BEGIN ENCRYPTED PRIVATE KEY"));
    well(&folder, &["check", "c.crt", "--key", "c.key", "--password-env", "STORE"]);
    let shown = well(&folder, &["show", "c.crt", "--key", "c.key"]);
    assert!(shown.contains("the key is encrypted"), "{shown}");
}

/// A client's file whose list has this certificate, and two that cannot be read.
fn sylink(folder: &TempDir, file: &str, pem: &str) {
    let sample = std::fs::read_to_string(root().join("fixtures/sylink/exported.xml")).unwrap();
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let own = format!("<Certificate Name=\"own\">{body}</Certificate><Certificate ");
    std::fs::write(folder.path().join(file), sample.replacen("<Certificate ", &own, 1)).unwrap();
}

#[test]
fn a_check_says_what_the_wizard_and_the_clients_of_a_list_would_say() {
    let folder = made(&["--from", "2026-01-01T00:00:00Z"]);
    let other = made(&[]);
    std::fs::copy(other.path().join("server.key"), folder.path().join("other.key")).unwrap();
    let swapped = cert(&folder, &["check", "server.crt", "--key", "other.key"]);
    assert_eq!(swapped.status.code(), Some(1));
    assert!(stdout(&swapped).contains("Invalid private key file"), "{}", stdout(&swapped));

    sylink(&folder, "theirs.xml", &text(&bytes(&other, "server.crt")));
    sylink(&folder, "mine.xml", &text(&bytes(&folder, "server.crt")));
    let check = ["check", "server.crt", "--key", "server.key", "--at", "2027-01-01T00:00:00Z", "--sylink"];
    let strange = cert(&folder, &[&check[..], &["theirs.xml"]].concat());
    assert_eq!(strange.status.code(), Some(1), "{}", stderr(&strange));
    assert!(stdout(&strange).contains("; the client trusts "), "{}", stdout(&strange));

    let known = well(&folder, &[&check[..], &["mine.xml"]].concat());
    assert!(known.contains("would trust it"), "{known}");
    let as_another = [&check[..], &["mine.xml", "--server", "192.0.2.21"]].concat();
    assert_eq!(cert(&folder, &as_another).status.code(), Some(1), "it has another name, and that list minds");
    refused(&folder, &[&check[..], &["mine.xml", "--server", "nobody"]].concat(), "no such server");
    let late = ["check", "server.crt", "--key", "server.key", "--at", "2099-01-01T00:00:00Z"];
    let late = cert(&folder, &[&late[..], &["--sylink", "mine.xml", "--json"]].concat());
    assert_eq!(late.status.code(), Some(1));
    let late: serde_json::Value = serde_json::from_slice(&late.stdout).unwrap();
    assert_eq!((late["in_time"].as_bool(), late["well"].as_bool()), (Some(false), Some(false)));
    assert!(late["clients"][0]["rejection"].as_str().unwrap().contains("expired"), "{late}");
}

#[test]
fn a_difference_is_named_and_is_no_failure() {
    let (folder, other) = (made(&[]), made(&[]));
    std::fs::copy(other.path().join("server.crt"), folder.path().join("other.crt")).unwrap();
    assert!(well(&folder, &["diff", "server.crt", "server.crt"]).contains("The same"));
    let differ = cert(&folder, &["diff", "server.crt", "other.crt"]);
    assert_eq!(differ.status.code(), Some(1));
    assert!(stdout(&differ).contains("public key"), "{}", stdout(&differ));
}

#[test]
fn slips_are_bad_input() {
    let folder = made(&[]);
    let to = ["convert", "server.crt", "--key", "server.key", "--out", "o", "--to"];
    refused(&folder, &[&to[..], &["jks"]].concat(), "a keystore needs a password");
    refused(&folder, &["show", "missing.crt"], "cannot read missing.crt");
    refused(&folder, &["show", "server.key"], "found a private key");
    refused(&folder, &["show", "server.crt", "--from", "jsk"], "unknown keystore type");
    refused(&folder, &["convert", "server.crt", "--to", "der", "--out", "o"], "has no private key");
    refused(&folder, &["issue", "--name", "a b", "--out", "o", "--key-out", "k"], "invalid name");
}

#[needs(openssl)]
#[test]
fn openssl_verifies_a_chain_that_was_issued() {
    let folder = made(&["--authority", "Lab CA"]);
    let pem = text(&bytes(&folder, "server.crt"));
    let second = pem.rfind("-----BEGIN").unwrap();
    std::fs::write(folder.path().join("ca.crt"), &pem[second..]).unwrap();
    let verify = ["verify", "-x509_strict", "-CAfile", "ca.crt", "server.crt"];
    crate::harness::well(&output(Command::new("openssl").args(verify).current_dir(folder.path())));
}

/// The program takes a keystore for its server certificate, and refuses a wrong one in the product's words.
#[test]
fn a_manager_starts_with_the_certificate_in_a_keystore() {
    let folder = made(&[]);
    let to = ["--to", "jks", "--out", "k.jks", "--out-password-file", "p.txt"];
    well(&folder, &[&["convert", "server.crt", "--key", "server.key"], &to[..]].concat());
    let up = |more: &[&str]| {
        let mut command = program();
        command.args(["up", "--http-port", "0", "--agents", "0", "--keystore", "k.jks"]).args(more);
        command.current_dir(folder.path());
        command
    };
    let ready = RunningLab::of(&mut up(&["--password-file", "p.txt", "--alias", "tomcat"])).ready.take();
    let shown = well(&folder, &["show", "server.crt", "--json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(ready["managers"][0]["fingerprint"], shown["certificates"][0]["sha256"]);
    for (more, words) in
        [(&[][..], "password is wrong"), (&["--password-file", "p.txt", "--alias", "x"], "no entry")]
    {
        crate::harness::refused(&output(&mut up(more)), &["Invalid keystore file", words]);
    }
}

/// Types the password at a terminal, when the program no longer shows what is typed; prints all that the terminal showed.
const TYPIST: &str = r"
import os, pty, sys, termios
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
shown, typed = b'', False
while True:
    if not typed and b'Password of' in shown:
        while termios.tcgetattr(fd)[3] & termios.ECHO:
            pass
        os.write(fd, sys.argv[1].encode() + b'\n')
        typed = True
    try:
        data = os.read(fd, 4096)
    except OSError:
        break
    if not data:
        break
    shown += data
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
";

#[needs(python3)]
#[test]
fn at_a_terminal_a_password_is_asked_for_and_not_shown() {
    let folder = made(&[]);
    let to = ["--to", "jks", "--out", "k.jks", "--out-password-file", "p.txt"];
    well(&folder, &[&["convert", "server.crt", "--key", "server.key"], &to[..]].concat());
    for (password, code) in [(PASSWORD, Some(0)), ("another", Some(2))] {
        let show = ["-c", TYPIST, password, env!("CARGO_BIN_EXE_epm-lab"), "cert", "show", "k.jks"];
        let typed = output(Command::new("python3").args(show).current_dir(folder.path()));
        let shown = stdout(&typed);
        assert_eq!(typed.status.code(), code, "{shown}{}", stderr(&typed));
        assert!(shown.contains("Password of k.jks: ") && !shown.contains(password), "{shown}");
        let words = if code == Some(0) { "alias \"tomcat\"" } else { "password is wrong" };
        assert!(shown.contains(words), "{shown}");
    }
    // Without a terminal the program does not ask, and does not hang.
    refused(&folder, &["show", "k.jks"], "Invalid keystore file");
}

#[test]
fn jceks_is_read_and_is_not_written_and_that_is_said_by_name() {
    let folder = made(&[]);
    let to = [
        "convert",
        "server.crt",
        "--key",
        "server.key",
        "--out",
        "o",
        "--out-password-file",
        "p.txt",
        "--to",
    ];
    refused(&folder, &[&to[..], &["jceks"]].concat(), "jceks");
    assert!(!folder.path().join("o").exists());
}
