//! Disaster recovery from the command line, and through the control API: with the right recovery file no client
//! notices; with the secret of another site, or another domain, each is lost in its own way.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::harness::{RunningLab, needs, output, program, said, until, well};

/// A lab in this folder, whose clients beat every second.
fn up(folder: &Path, arguments: &[&str]) -> RunningLab {
    RunningLab::of(program().args(["up", "--heartbeat", "1"]).args(arguments).current_dir(folder))
}

/// Runs a verb against a lab, in this folder.
fn run(lab: &RunningLab, folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    said(&output(lab.program().args(arguments).current_dir(folder)))
}

/// How many heartbeats every client has been served at least.
fn heartbeats(lab: &RunningLab) -> u64 {
    let all = lab.json(&["client", "list"], 0);
    let count = |one: &Value| one["view"]["heartbeats_served"].as_u64().unwrap();
    all["clients"].as_array().unwrap().iter().map(count).min().unwrap()
}

/// The only recovery zip in a folder.
fn zip(root: &Path) -> String {
    let found = std::fs::read_dir(root.join("Server Private Key Backup")).unwrap().next().unwrap().unwrap();
    found.path().to_str().unwrap().to_owned()
}

/// Writes a zip as this one, but for one setting.
fn alter(zip: &str, out: &Path, setting: &str, value: &str) {
    let script = "import sys,zipfile,re\n\
        z=zipfile.ZipFile(sys.argv[1]); o=zipfile.ZipFile(sys.argv[2],'w')\n\
        for n in z.namelist():\n \
        d=z.read(n)\n \
        o.writestr(n, re.sub(sys.argv[3].encode()+b'=.*', (sys.argv[3]+'='+sys.argv[4]).encode(), d) if 'settings' in n else d)\n\
        o.close()";
    well(&output(Command::new("python3").args(["-c", script, zip]).arg(out).args([setting, value])));
}

#[needs(python3)]
#[test]
fn through_the_door_the_right_file_is_not_noticed_and_the_wrong_ones_are_each_in_its_own_way() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let lab = up(at, &["--http-port", "0", "--agents", "3", "--install-root", "sepm"]);
    let right = zip(&at.join("sepm"));
    let (code, said) = run(&lab, at, &["recovery", "save", "-o", "saved.zip"]);
    assert!(code == Some(0) && said.contains("encryption password: present"), "{said}");
    assert_eq!(run(&lab, at, &["recovery", "save", "-o", "saved.zip"]).0, Some(2), "it is there already");
    let (code, said) = run(&lab, at, &["recovery", "save", "--manager", "sepm-9", "-o", "x.zip"]);
    assert!(code == Some(2) && said.contains("sepm-9"), "{said}");
    let (code, said) = run(&lab, at, &["recovery", "restore", "saved.zip", "--database"]);
    assert!(code == Some(0) && said.contains("3 clients are registered"), "{said}");
    let (code, said) = run(&lab, at, &["recovery", "restore", &right]);
    assert!(code == Some(0) && said.contains("was reinstalled"), "{said}");
    let before = heartbeats(&lab);
    until("two heartbeats more", || (heartbeats(&lab) >= before + 2).then_some(()));
    let verdict = lab.until("all is well", |verdict| verdict["well"] == true);
    assert_eq!(verdict["ever_orphaned"], serde_json::json!([]));

    let torn = at.join("torn.zip");
    let bytes = std::fs::read(&right).unwrap();
    std::fs::write(&torn, &bytes[..bytes.len() / 2]).unwrap();
    let (code, said) = run(&lab, at, &["recovery", "restore", "torn.zip"]);
    assert!(code == Some(2) && said.contains("invalid recovery file torn.zip"), "{said}");
    let (code, said) = run(&lab, at, &["recovery", "restore", &right, "--manager", "sepm-9"]);
    assert!(code == Some(2) && said.contains("sepm-9"), "{said}");

    let wrong = at.join("wrong.zip");
    alter(&right, &wrong, "encryption.password", &"AB".repeat(16));
    assert_eq!(run(&lab, at, &["recovery", "restore", "wrong.zip"]).0, Some(0));
    let verdict = lab.until("all are lost", |verdict| verdict["orphaned"].as_array().unwrap().len() == 3);
    assert!(verdict["orphaned"].as_array().unwrap().iter().all(|one| one["layer"] == "shared-secret"), "F15");
    let log = std::fs::read_to_string(at.join("sepm/data/inbox/log/ersecreg.log")).unwrap();
    assert!(log.contains("4 Bad format.") && log.contains(&"AB".repeat(16)), "{log}");
    // The right file brings every client back.
    assert_eq!(run(&lab, at, &["recovery", "restore", &right]).0, Some(0));
    lab.until("all is well", |verdict| verdict["well"] == true);

    alter(&right, &at.join("domain.zip"), "default.domain.id", &"0123456789ABCDEF".repeat(2));
    assert_eq!(run(&lab, at, &["recovery", "restore", "domain.zip"]).0, Some(0));
    let verdict =
        lab.until("all are out of touch", |verdict| verdict["out_of_touch"].as_array().unwrap().len() == 3);
    assert_eq!(verdict["orphaned"], serde_json::json!([]), "F17");
}

#[needs(python3)]
#[test]
fn on_an_empty_manager_the_command_line_restores_so_that_a_client_on_its_own_machine_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let arguments = ["--http-port", "0", "--agents", "0", "--install-root", "old", "--export", "lab"];
    let lab = up(at, &arguments);
    let manager = &lab.ready["managers"][0];
    let https = manager["https"].as_str().unwrap().to_owned();
    let (port, fingerprint) = (https.rsplit(':').next().unwrap().to_owned(), manager["fingerprint"].clone());
    let right = zip(&at.join("old"));
    let check = |lab: &RunningLab| run(lab, at, &["sylink", "check", "lab/sylink.xml", "--against", &https]);
    assert_eq!(check(&lab).0, Some(0), "{}", check(&lab).1);
    let domain = lab.ready["domain"].clone();
    drop(lab);
    let again =
        ["--http-port", &port, "--control-port", "0", "--rest-port", "0", "--agents", "0", "--seed", "7"];
    // Without a file all is new (F16).
    let anew = up(at, &again);
    assert_ne!(anew.ready["domain"], domain);
    let (code, said) = check(&anew);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("Wrong: the shared secret (Kcs)"), "{said}");
    // Labs draw from the same public keys: two that start in the same second make the same certificate.
    let is_new = anew.ready["managers"][0]["fingerprint"] != fingerprint;
    assert_eq!(said.contains("Wrong: the certificates (ServerCertList)"), is_new, "{said}");
    drop(anew);
    // With the right one nothing is (P7).
    let restored = up(at, &[&again[..], &["--recovery", &right]].concat());
    assert_eq!(
        (&restored.ready["domain"], &restored.ready["managers"][0]["fingerprint"]),
        (&domain, &fingerprint)
    );
    assert_eq!(check(&restored).0, Some(0), "{}", check(&restored).1);
    drop(restored);
    // With that of another domain, the domain is what is wrong (F17).
    alter(&right, &at.join("domain.zip"), "default.domain.id", &"0123456789ABCDEF".repeat(2));
    let other = up(at, &[&again[..], &["--recovery", "domain.zip"]].concat());
    let (code, said) = check(&other);
    assert!(code == Some(1) && said.contains("Wrong: the domain"), "{said}");
    assert!(!said.contains("Wrong: the shared secret"), "{said}");
    drop(other);
    // With that of another site, the secret is (F15).
    alter(&right, &at.join("wrong.zip"), "encryption.password", &"AB".repeat(16));
    let other = up(at, &[&again[..], &["--recovery", "wrong.zip"]].concat());
    let (code, said) = check(&other);
    assert!(code == Some(1) && said.contains("Wrong: the shared secret"), "{said}");
    assert!(!said.contains("Wrong: the domain"), "{said}");
}
