//! The commands that act on a running lab, as at a terminal: each as a table and as JSON, on a lab of two managers.

use serde_json::{Value, json};

use crate::attacks::ask;
use crate::harness::{RunningLab, run, said, until};

impl RunningLab {
    /// What is said to people; the exit code must be this.
    #[track_caller]
    pub(crate) fn words(&self, arguments: &[&str], code: i32) -> String {
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
    let delay = "delay={ distribution = \"constant\", ms = 2000 }";
    lab.words(&["fault", "add", "slow", "latency", "--set", delay], 0);
    let refused = lab.words(&["fault", "add", "slow", "latency", "--set", "delay=2000"], 2);
    assert!(refused.contains("expected a delay such as { distribution = \"constant\""), "{refused}");
    lab.words(&["fault", "clear"], 0);
    assert!(lab.words(&["journal", "find", "--kind", "operator-action"], 0).contains("busy"));
    assert!(lab.json(&["journal", "count"], 0)["total"].as_u64().unwrap() > 0);
    lab.words(&["journal", "near-misses"], 0);
    assert!(lab.words(&["journal", "find", "--kind", "nothing"], 2).contains("possible values"));
    lab.words(&["snapshot", "take", "mine"], 0);
    assert!(lab.words(&["snapshot", "list"], 0).contains("mine"));
    assert_eq!(lab.json(&["snapshot", "restore", "mine"], 0)["restored"], "mine");

    let turned = lab.words(&["check", "--expect", "no-client-was-turned-away"], 1);
    assert!(turned.contains("no-client-was-turned-away"), "{turned}");
    assert!(lab.words(&["check", "--expect", "nothing-at-all"], 2).contains("unknown variant"));

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("commands.json");
    std::fs::write(&file, r#"[{ "update-certificat": {} }]"#).unwrap();
    let words = lab.words(&["check", "--if", file.to_str().unwrap()], 2);
    assert!(words.contains("commands.json: [0]: unknown variant") && !words.contains("the body"), "{words}");
}

#[test]
fn a_client_imports_a_given_file_and_the_secret_in_it_is_shown_nowhere() {
    let lab = RunningLab::frozen(&["--agents", "3"]);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let secret = "0123456789ABCDEF0123456789ABCDEF";
    std::fs::write(path("kcs"), secret).unwrap();
    lab.words(&["sylink", "package", "--out", &path("package")], 0);
    let own = path("package/sylink.xml");
    let (edited, kcs) = (path("edited.xml"), path("kcs"));
    lab.words(&["sylink", "edit", &own, "--kcs-file", &kcs, "--out", &edited], 0);
    lab.words(&["client", "import", "desk-1", "--file", &edited], 0);
    lab.words(&["clock", "heartbeats", "2"], 0);
    let lost = lab.words(&["check"], 3);
    assert!(lost.contains("1 client is orphaned") && lost.contains("F18"), "{lost}");
    let journal = lab.words(&["journal", "find", "--kind", "operator-action", "--json"], 0);
    assert!(journal.contains("sylink=") && !journal.contains(secret), "{journal}");
    lab.words(&["client", "import", "desk-1", "--file", &own], 0);
    lab.words(&["clock", "heartbeats", "2"], 0);
    assert!(lab.words(&["check"], 0).contains("All is well"));
    let refused = lab.words(&["client", "import", "desk-1", "--file", &kcs], 2);
    assert!(refused.contains("kcs: ") && !refused.contains(secret), "{refused}");
}

#[test]
fn a_verdict_that_is_well_says_what_is_to_be_noted_of_clients() {
    let lab = RunningLab::frozen(&["--agents", "30"]);
    let change = json!({ "group": "My Company", "change": { "download_profile": false } });
    ask(&lab, "POST", "/v1/commands", &json!([{ "set-communication": change }]));
    lab.words(&["clock", "heartbeats", "2"], 0);
    assert!(lab.words(&["check"], 0).contains("All is well.\n"));
    let policy = json!({ "group": "My Company", "policy": "Firewall", "content": "allow nothing" });
    ask(&lab, "POST", "/v1/commands", &json!([{ "set-policy": policy }]));
    assert!(lab.words(&["check"], 0).contains("All is well.\n"), "clients have not heard of it yet");
    lab.words(&["clock", "heartbeats", "1"], 0);
    let verdict = lab.json(&["check"], 0);
    let [note] = verdict["notes"].as_array().unwrap().as_slice() else { panic!("{verdict}") };
    assert_eq!(
        (&verdict["well"], &note["code"], &note["failure"]),
        (&json!(true), &json!("downloads-off"), &json!("F37"))
    );
    assert_eq!(note["examples"].as_array().unwrap().len(), 20);
    let clients = note["clients"].as_u64().unwrap();
    let words = lab.words(&["check"], 0);
    assert!(words.ends_with("All is well, with 1 note.\n"), "{words}");
    let named = format!("Notes:\n  {clients} clients, noted: ");
    let more = format!(" and {} more\n", clients - 20);
    assert!(
        words.contains(&named) && words.contains(&more) && words.contains("To do: Switch it on again"),
        "{words}"
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("junit.xml");
    lab.words(&["check", "--junit", file.to_str().unwrap()], 0);
    let junit = std::fs::read_to_string(file).unwrap();
    assert!(
        junit.contains("<system-out>") && junit.contains("F37 (") && !junit.contains("<failure"),
        "{junit}"
    );
}

#[test]
fn clients_that_are_not_named_are_counted() {
    let lab = RunningLab::frozen(&["--agents", "30"]);
    let stopped = lab.words(&["rotate", "multi"], 3);
    let named = stopped.lines().filter(|line| line.contains(": its list is ")).count();
    assert_eq!(named, 20, "{stopped}");
    assert!(stopped.contains("  and 10 more: `--json` has all\n"), "{stopped}");
    lab.words(&["manager", "update", "sepm-1"], 0);
    lab.words(&["clock", "advance", "10m"], 0);
    let orphaned = lab.json(&["check"], 3)["orphaned"].as_array().unwrap().len();
    assert!(orphaned > 20, "{orphaned}");
    let words = lab.words(&["check"], 3);
    assert!(words.contains(&format!("\nand {} more: `--json` has all\n", orphaned - 20)), "{words}");
}

#[test]
fn a_part_of_the_fleet_goes_with_its_group_when_that_is_renamed() {
    let lab = RunningLab::frozen(&["--agents", "5"]);
    let rename = json!([{ "rename-group": { "group": "My Company\\Servers", "name": "Racks" } }]);
    ask(&lab, "POST", "/v1/commands", &rename);
    lab.words(&["client", "reimage", "server-1"], 0);
    assert_eq!(lab.words(&["client", "add", "server", "1"], 0), "server: 1 client added, 2 clients now\n");
    lab.words(&["clock", "heartbeats", "2"], 0);
    assert!(lab.words(&["check"], 0).contains("All is well"));
}

#[test]
fn client_add_adds_resize_resizes_and_a_wrong_name_or_number_is_refused_with_the_nearest_one() {
    let lab = RunningLab::frozen(&["--agents", "5"]);
    assert_eq!(lab.words(&["client", "add", "old", "1"], 0), "old: 1 client added, 2 clients now\n");
    let old = lab.json(&["client", "list", "--part", "old"], 0);
    assert_eq!((&old["total"], &old["clients"][1]["view"]["version"]), (&2.into(), &"14.2.0.0000".into()));
    assert_eq!(lab.words(&["client", "add", "desk", "2"], 0), "desk: 2 clients added, 3 clients now\n");
    assert_eq!(lab.words(&["client", "add", "new", "1"], 0), "new: 1 client added, 1 client now\n");
    assert_eq!(lab.words(&["client", "resize", "desk", "1"], 0), "desk: 1 client\n");
    assert_eq!(lab.words(&["client", "resize", "new", "0"], 0), "new: 0 clients\n");
    let names = lab.json(&["client", "list"], 0);
    let names: Vec<&str> =
        names["clients"].as_array().unwrap().iter().map(|one| one["client"].as_str().unwrap()).collect();
    assert_eq!(names, ["desk-1", "old-1", "server-1", "branch-1", "mostly-off-1", "old-2"]);
    for (arguments, expected) in [
        (&["client", "add", "desk", "0"][..], "0 is not in 1..=100000"),
        (&["client", "add", "desk", "many"], "invalid value 'many'"),
        (
            &["client", "add", "x", "1", "--group", "My Company\\Serers"],
            "did you mean \"My Company\\Servers\"?",
        ),
        (
            &["client", "add", "x", "1", "--client-version", "new"],
            "'--client-version <VERSION>': invalid version",
        ),
        (
            &["client", "add", "old", "1", "--client-version", "14.3"],
            "the part \"old\" exists with clients of version",
        ),
        (&["client", "resize", "dekt", "1"], "did you mean \"desk\"?"),
        (&["client", "list", "--part", "dekt"], "did you mean \"desk\"?"),
        (&["client", "list", "--state", "lost"], "possible values: new, connected"),
        (&["client", "move", "desk-1", "My Company\\Serers"], "did you mean"),
        (&["snapshot", "remove", "starf"], "did you mean \"start\"?"),
        (&["snapshot", "restore", "starf"], "did you mean \"start\"?"),
        (&["snapshot", "remove", "start"], "the snapshot \"start\" is that of the lab's start"),
        (&["snapshot", "take", "start"], "the snapshot \"start\" is that of the lab's start"),
        (&["baseline", "remove", "starf"], "did you mean \"start\"?"),
        (&["list", "show", "Default Management Server List for My Sit"], "did you mean \"Default"),
        (&["list", "remove", "x"], "(known: Default Management Server List for My Site)"),
        (&["clock", "advance", "2x"], "'<BY>': invalid duration"),
        (&["clock", "set", "yesterday"], "'<MOMENT>': invalid time"),
        (&["service", "restart", "apache"], "possible values: semsrv, semwebsrv"),
    ] {
        let said = lab.words(arguments, 2);
        assert!(said.contains(expected), "{arguments:?}: {said}");
    }
}

#[test]
fn no_column_calls_an_orphan_secure_and_one_client_is_in_the_singular() {
    let lab = RunningLab::frozen(&["--agents", "1"]);
    let table = lab.words(&["check"], 0);
    assert!(table.contains(": 1 client\n") && table.contains("\ndesk"), "{table}");
    lab.words(&["manager", "update"], 0);
    lab.words(&["clock", "heartbeats", "1"], 0);
    let table = lab.words(&["check"], 3);
    assert!(table.contains("1 client is orphaned:\n"), "{table}");
    let counts: Vec<&str> =
        table.lines().find(|line| line.starts_with("desk")).unwrap().split_whitespace().collect();
    // Clients, served, out of touch, orphaned, secure.
    assert_eq!(counts[1..6], ["1", "0", "0", "1", "0"], "{table}");
    let listed = lab.words(&["client", "list"], 0);
    assert!(listed.contains("orphaned") && !listed.contains("yes"), "{listed}");
    let shown = lab.words(&["client", "show", "desk-1"], 0);
    assert!(shown.contains("secure communications  on\n") && shown.contains("1 time\n"), "{shown}");
}

#[test]
fn of_a_lab_without_clients_there_is_no_verdict_and_none_that_all_is_well() {
    let lab = RunningLab::up(&["--agents", "0"]);
    let words = lab.words(&["check"], 4);
    assert!(words.contains("No verdict: the lab has no client, so that nothing was judged."), "{words}");
    assert!(!words.contains("ll is well"), "{words}");
    let verdict = lab.json(&["check"], 4);
    assert_eq!((&verdict["well"], &verdict["clients"]), (&Value::Null, &serde_json::json!(0)), "{verdict}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("junit.xml");
    lab.words(&["check", "--junit", file.to_str().unwrap()], 4);
    assert!(
        std::fs::read_to_string(&file).unwrap().contains("the lab has no client, so that nothing was judged")
    );
    let expected = lab.words(&["check", "--expect", "every-client-is-secure"], 4);
    assert!(expected.contains("it has no client of its own to judge"), "{expected}");
    let turned_away = lab.words(&["check", "--expect", "no-client-was-turned-away"], 4);
    assert!(turned_away.contains("it has no client of its own to judge"), "{turned_away}");
    let next = folder.path().join("next.json");
    std::fs::write(&next, r#"[{"update-certificate":{"manager":"sepm-1","certificate":{"generate":{}}}}]"#)
        .unwrap();
    let predicted = lab.words(&["check", "--if", next.to_str().unwrap()], 4);
    assert!(predicted.contains("the lab has no client to try the commands on"), "{predicted}");
    lab.words(&["client", "add", "desk", "1"], 0);
    assert!(lab.words(&["check"], 0).contains("All is well."));
    // The port of a manager is no control API, nor the other way round.
    let (code, words) = said(&run(&["check", "--lab", lab.http()]));
    assert_eq!(code, Some(1), "{words}");
    assert!(words.contains(&format!("no lab answers at {}: what is there", lab.http())), "{words}");
    let (code, words) = said(&run(&["health", lab.url()]));
    assert!(code == Some(1) && words.contains(&format!("no manager answers at {}", lab.url())), "{words}");
}

#[test]
fn a_lab_answers_while_one_call_waits_for_clients_and_another_waits_to_change_them() {
    let lab = RunningLab::up(&["--agents", "0", "--heartbeat", "1"]);
    lab.words(&["fault", "add", "busy", "status", "--set", "code=503"], 0);
    let mut waits = lab.program().args(["client", "add", "desk", "1"]).spawn().unwrap();
    until("the client", || {
        (ask(&lab, "GET", "/v1/clients", &json!({}))["clients"][0].is_object()).then_some(())
    });
    let mut changes = lab.program().args(["client", "add", "shop", "1"]).spawn().unwrap();
    for _ in 0..5 {
        lab.words(&["check"], 1);
    }
    assert!(waits.try_wait().unwrap().is_none(), "no manager has served the client, so it is awaited still");
    for mut one in [waits.kill().map(|()| waits), changes.kill().map(|()| changes)].into_iter().flatten() {
        one.wait().unwrap();
    }
}

#[test]
fn a_client_that_is_suspended_is_silent_and_the_verdict_says_why_and_what_to_do() {
    let lab = RunningLab::frozen(&["--agents", "2"]);
    lab.words(&["client", "freeze", "desk-1"], 0);
    lab.words(&["clock", "advance", "10m"], 0);
    let reason = &lab.json(&["check"], 1)["reasons"][0];
    let found = ["finding", "code", "clients"].map(|key| &reason[key]);
    assert_eq!(found, [&Value::from("silent"), &Value::from("suspended"), &Value::from(1)], "{reason}");
    let words = lab.words(&["check"], 1);
    for expected in [
        "1 client, silent: desk-1",
        "These clients were suspended (`epm-lab client freeze`)",
        "To do: Resume each of them: epm-lab client thaw desk-1",
        "The same lab again: epm-lab up",
    ] {
        assert!(words.contains(expected), "{expected}: {words}");
    }
    lab.words(&["client", "thaw", "desk-1"], 0);
    lab.words(&["client", "poke", "desk-1"], 0);
    lab.until("all is well again", |verdict| verdict["well"] == true);
}
