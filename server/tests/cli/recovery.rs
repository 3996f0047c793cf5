//! Disaster recovery from the command line, and through the lab's own door: with the right recovery file no client
//! notices; with the secret of another site, or another domain, each is lost in its own way.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

struct Lab {
    child: Child,
    ready: Value,
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Lab {
    fn up(folder: &Path, arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_epm-lab"));
        command.args(["up", "--heartbeat", "1"]).args(arguments).current_dir(folder);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, ready: serde_json::from_str(&line).unwrap() }
    }

    fn run(&self, folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
        let mut lab = Command::new(env!("CARGO_BIN_EXE_epm-lab"));
        lab.args(arguments).current_dir(folder).env("EPM_LAB_URL", self.ready["door"].as_str().unwrap());
        let output = lab.stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        (output.status.code(), said.into_owned())
    }

    /// Asks until `done` says so of the verdict.
    fn until(&self, folder: &Path, done: impl Fn(&Value) -> bool) -> Value {
        loop {
            let verdict: Value = serde_json::from_str(&self.run(folder, &["check", "--json"]).1).unwrap();
            if done(&verdict) {
                return verdict;
            }
        }
    }

    fn heartbeats(&self, folder: &Path) -> u64 {
        let (_, said) = self.run(folder, &["client", "list", "--json"]);
        let all: Value = serde_json::from_str(&said).unwrap();
        let count = |one: &Value| one["view"]["heartbeats-served"].as_u64().unwrap();
        all["clients"].as_array().unwrap().iter().map(count).min().unwrap()
    }
}

/// The only recovery zip in a folder.
fn zip(root: &Path) -> String {
    let found = std::fs::read_dir(root.join("Server Private Key Backup")).unwrap().next().unwrap().unwrap();
    found.path().to_str().unwrap().to_owned()
}

/// A zip as this one, but for one setting.
fn altered(zip: &str, out: &Path, setting: &str, value: &str) -> bool {
    let script = "import sys,zipfile,re\n\
        z=zipfile.ZipFile(sys.argv[1]); o=zipfile.ZipFile(sys.argv[2],'w')\n\
        for n in z.namelist():\n \
        d=z.read(n)\n \
        o.writestr(n, re.sub(sys.argv[3].encode()+b'=.*', (sys.argv[3]+'='+sys.argv[4]).encode(), d) if 'settings' in n else d)\n\
        o.close()";
    let python = Command::new("python3").args(["-c", script, zip]).arg(out).args([setting, value]).status();
    python.is_ok_and(|status| status.success())
}

#[test]
fn through_the_door_the_right_file_is_not_noticed_and_the_wrong_ones_are_each_in_its_own_way() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let lab = Lab::up(at, &["--http-port", "0", "--agents", "3", "--install-root", "sepm"]);
    let right = zip(&at.join("sepm"));
    let (code, said) = lab.run(at, &["recovery", "save", "-o", "saved.zip"]);
    assert!(code == Some(0) && said.contains("encryption password: is there"), "{said}");
    assert_eq!(lab.run(at, &["recovery", "save", "-o", "saved.zip"]).0, Some(2), "it is there already");
    let (code, said) = lab.run(at, &["recovery", "save", "--manager", "sepm-9", "-o", "x.zip"]);
    assert!(code == Some(2) && said.contains("sepm-9"), "{said}");
    let (code, said) = lab.run(at, &["recovery", "restore", "saved.zip", "--database"]);
    assert!(code == Some(0) && said.contains("3 clients are registered"), "{said}");
    let (code, said) = lab.run(at, &["recovery", "restore", &right]);
    assert!(code == Some(0) && said.contains("was installed anew"), "{said}");
    let before = lab.heartbeats(at);
    while lab.heartbeats(at) < before + 2 {}
    let verdict = lab.until(at, |verdict| verdict["well"] == true);
    assert_eq!(verdict["ever-lost"], serde_json::json!([]));

    let torn = at.join("torn.zip");
    let bytes = std::fs::read(&right).unwrap();
    std::fs::write(&torn, &bytes[..bytes.len() / 2]).unwrap();
    let (code, said) = lab.run(at, &["recovery", "restore", "torn.zip"]);
    assert!(code == Some(2) && said.contains("torn.zip is no recovery file"), "{said}");
    let (code, said) = lab.run(at, &["recovery", "restore", &right, "--manager", "sepm-9"]);
    assert!(code == Some(2) && said.contains("sepm-9"), "{said}");

    let wrong = at.join("wrong.zip");
    if !altered(&right, &wrong, "encryption.password", &"AB".repeat(16)) {
        eprintln!("NOTHING WAS PROVED of wrong files: python3 is not installed");
        return;
    }
    assert_eq!(lab.run(at, &["recovery", "restore", "wrong.zip"]).0, Some(0));
    let verdict = lab.until(at, |verdict| verdict["lost"].as_array().unwrap().len() == 3);
    assert!(verdict["lost"].as_array().unwrap().iter().all(|one| one["layer"] == "c (shared secret)"), "F15");
    let log = std::fs::read_to_string(at.join("sepm/data/inbox/log/ersecreg.log")).unwrap();
    assert!(log.contains("4 Bad format.") && log.contains(&"AB".repeat(16)), "{log}");
    // The right one brings everybody back.
    assert_eq!(lab.run(at, &["recovery", "restore", &right]).0, Some(0));
    lab.until(at, |verdict| verdict["well"] == true);

    assert!(altered(&right, &at.join("domain.zip"), "default.domain.id", &"0123456789ABCDEF".repeat(2)));
    assert_eq!(lab.run(at, &["recovery", "restore", "domain.zip"]).0, Some(0));
    let verdict = lab.until(at, |verdict| verdict["out-of-touch"].as_array().unwrap().len() == 3);
    assert_eq!(verdict["lost"], serde_json::json!([]), "F17");
}

#[test]
fn on_an_empty_manager_the_command_line_restores_so_that_a_client_on_its_own_machine_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let arguments = ["--http-port", "0", "--agents", "0", "--install-root", "old", "--export", "lab"];
    let lab = Lab::up(at, &arguments);
    let manager = &lab.ready["managers"][0];
    let https = manager["https"].as_str().unwrap().to_owned();
    let (port, fingerprint) = (https.rsplit(':').next().unwrap().to_owned(), manager["fingerprint"].clone());
    let right = zip(&at.join("old"));
    let check = |lab: &Lab| lab.run(at, &["sylink", "check", "lab/sylink.xml", "--against", &https]);
    assert_eq!(check(&lab).0, Some(0), "{}", check(&lab).1);
    let domain = lab.ready["domain"].clone();
    drop(lab);
    let up = ["--http-port", &port, "--door-port", "0", "--rest-port", "0", "--agents", "0", "--seed", "7"];
    // Without a file all is new (F16).
    let anew = Lab::up(at, &up);
    assert_ne!(anew.ready["domain"], domain);
    let (code, said) = check(&anew);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("What is wrong: the shared secret (Kcs)"), "{said}");
    // Labs draw from the same public keys: two that start in the same second make the same certificate.
    let is_new = anew.ready["managers"][0]["fingerprint"] != fingerprint;
    assert_eq!(said.contains("What is wrong: the certificates (ServerCertList)"), is_new, "{said}");
    drop(anew);
    // With the right one nothing is (S7).
    let restored = Lab::up(at, &[&up[..], &["--recovery", &right]].concat());
    assert_eq!(
        (&restored.ready["domain"], &restored.ready["managers"][0]["fingerprint"]),
        (&domain, &fingerprint)
    );
    assert_eq!(check(&restored).0, Some(0), "{}", check(&restored).1);
    drop(restored);
    // With that of another domain, the domain is what is wrong (F17).
    if altered(&right, &at.join("domain.zip"), "default.domain.id", &"0123456789ABCDEF".repeat(2)) {
        let other = Lab::up(at, &[&up[..], &["--recovery", "domain.zip"]].concat());
        let (code, said) = check(&other);
        assert!(code == Some(1) && said.contains("What is wrong: the domain"), "{said}");
        assert!(!said.contains("What is wrong: the shared secret"), "{said}");
        drop(other);
        // With that of another site, the secret is (F15).
        assert!(altered(&right, &at.join("wrong.zip"), "encryption.password", &"AB".repeat(16)));
        let other = Lab::up(at, &[&up[..], &["--recovery", "wrong.zip"]].concat());
        let (code, said) = check(&other);
        assert!(code == Some(1) && said.contains("What is wrong: the shared secret"), "{said}");
        assert!(!said.contains("What is wrong: the domain"), "{said}");
    }
}
