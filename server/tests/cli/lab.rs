//! The commands that act on a running lab, as at a terminal: each as a table and as JSON, on a lab of two managers.

use serde_json::Value;

use crate::harness::{RunningLab, said};

impl RunningLab {
    /// What is said to people; the exit code must be this.
    #[track_caller]
    fn words(&self, arguments: &[&str], code: i32) -> String {
        let (ended, words) = said(&self.run(arguments));
        assert_eq!(ended, Some(code), "{arguments:?}: {words}");
        words
    }
}

#[test]
fn every_verb_of_a_running_lab_has_words_for_people_and_json_for_programs() {
    let lab = RunningLab::frozen(&["--managers", "2", "--agents", "3"]);
    let manager = lab.ready.pointer("/managers/0/http").or(lab.ready.get("http")).unwrap().as_str().unwrap();
    assert!(lab.words(&["health", manager], 0).contains("healthy"));
    assert_eq!(lab.json(&["health", manager], 0)["ready"], true);
    assert_eq!(lab.json(&["health", "--lab", lab.url()], 0)["ready"], true);

    let table = lab.words(&["check"], 0);
    assert!(table.contains("All is well.") && table.contains("sepm-2 presents"), "{table}");
    assert_eq!(lab.json(&["check"], 0)["well"], true);
    assert!(lab.words(&["client", "list"], 0).contains("3 in all"));
    let first = lab.json(&["client", "list"], 0)["clients"][0]["client"].as_str().unwrap().to_owned();
    lab.words(&["client", "freeze", &first], 0);
    assert!(lab.words(&["client", "list"], 0).contains("frozen"));
    assert!(lab.words(&["client", "show", &first], 0).contains("certificates"));
    lab.words(&["client", "thaw", &first], 0);
    assert!(lab.words(&["client", "show", "nobody"], 2).contains("there is no client"));

    let lists = lab.words(&["list", "list"], 0);
    assert!(lists.contains("sepm-1, sepm-2"), "{lists}");
    lab.words(&["list", "copy", "Default Management Server List for My Site", "Mine"], 0);
    assert_eq!(lab.json(&["list", "edit", "Mine", "--protocol", "http"], 0)["protocol"], "http");

    let live = lab.words(&["cert", "live", "sepm-2"], 0);
    assert!(live.starts_with("sepm-2\n  both stores"), "{live}");
    assert!(lab.words(&["cert", "live"], 0).contains("sepm-1\n"));
    assert_eq!(lab.json(&["cert", "live"], 0)[1]["manager"], "sepm-2");
    assert_eq!(lab.json(&["cert", "history", "sepm-2"], 0), Value::Array(Vec::new()));
    let replicates = lab.words(&["manager", "replication", "sepm-2"], 0);
    assert!(replicates.contains("sepm-2 replicates with sepm-1"), "{replicates}");
    let broken = lab.words(&["manager", "replication", "sepm-2", "--break"], 0);
    assert!(broken.contains("its replication is broken"), "{broken}");
    let renewed = lab.json(&["cert", "renew", "sepm-2", "--name", "january"], 0);
    assert!(lab.words(&["cert", "history", "sepm-2"], 0).contains("january"));
    assert_eq!(lab.json(&["cert", "renew", "sepm-2", "--name", "january"], 0), renewed);
    lab.words(&["manager", "replication", "sepm-2", "--restore"], 0);

    let folder = tempfile::tempdir().unwrap();
    let [certificate, key] = ["server.crt", "server.key"].map(|name| folder.path().join(name));
    let [certificate, key] = [&certificate, &key].map(|path| path.to_str().unwrap());
    lab.words(&["cert", "issue", "--name", "127.0.0.1", "--out", certificate, "--key-out", key], 0);
    let import = ["cert", "import", "sepm-1", "--name", "ours", "--certificate", certificate, "--key", key];
    assert_eq!(lab.json(&import, 0)["history"][0]["update"], "ours");
    let [keystore, password] = ["keystore.jks", "password"].map(|name| folder.path().join(name));
    std::fs::write(&password, "secret\n").unwrap();
    let [keystore, password] = [&keystore, &password].map(|path| path.to_str().unwrap());
    let convert = ["cert", "convert", certificate, "--key", key, "--to", "jks", "--out", keystore];
    lab.words(&[&convert[..], &["--out-password-file", password]].concat(), 0);
    let import = ["cert", "import", "sepm-2", "--name", "theirs", "--keystore", keystore, "--password-file"];
    let refused = lab.words(&[&import[..], &[certificate]].concat(), 2);
    assert!(refused.contains("Invalid keystore file") && !refused.contains("BEGIN"), "{refused}");
    let given = lab.json(&[&import[..], &[password]].concat(), 0);
    let ours = lab.json(&["cert", "live", "sepm-1"], 0);
    assert_eq!(given["stores"], ours["stores"]);
    assert_eq!(given["history"][1]["update"], "theirs", "what was refused has no name: {given}");
    assert!(lab.words(&["cert", "renew", "nobody", "--name", "x"], 2).contains("there is no manager"));

    lab.words(&["clock", "heartbeats", "2"], 0);
    assert_eq!(lab.json(&["clock", "show"], 0)["speed"], 0);
    assert_eq!(lab.words(&["fault", "list"], 0), "none\n");
    assert!(
        lab.words(&["fault", "add", "busy", "status", "--set", "code=503"], 0).contains("status code=503")
    );
    assert_eq!(lab.json(&["fault", "list"], 0)[0]["fault"]["name"], "busy");
    lab.words(&["fault", "clear"], 0);
    assert!(lab.words(&["journal", "find", "--kind", "operator-action"], 0).contains("busy"));
    assert!(lab.json(&["journal", "count"], 0)["total"].as_u64().unwrap() > 0);
    lab.words(&["journal", "near-misses"], 0);
    assert!(lab.words(&["journal", "find", "--kind", "nothing"], 2).contains("nothing"));
    lab.words(&["snapshot", "take", "mine"], 0);
    assert!(lab.words(&["snapshot", "list"], 0).contains("mine"));
    assert_eq!(lab.json(&["snapshot", "restore", "mine"], 0)["restored"], "mine");

    let turned = lab.words(&["check", "--expect", "no-client-was-turned-away"], 1);
    assert!(turned.contains("no-client-was-turned-away"), "{turned}");
    assert!(lab.words(&["check", "--expect", "nothing-at-all"], 2).contains("unknown variant"));
}
