//! The program `epm-lab`, run as a user runs it: what it prints, what it refuses, and its exit codes.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

use crate::harness::{Running, RunningLab, needs, output, program, refused, root, run, stderr, stdout, well};

/// Runs openssl in a folder.
#[track_caller]
fn openssl(folder: &Path, arguments: &str) -> String {
    well(&output(Command::new("openssl").args(arguments.split(' ')).current_dir(folder)))
}

#[test]
fn two_labs_share_nothing_and_with_the_seed_that_one_prints_it_is_the_same_lab_again() {
    let up = |more: &[&str]| {
        RunningLab::as_it_is(program().args(["up", "--http-port", "0", "--agents", "0"]).args(more))
    };
    let (one, other) = (up(&[]), up(&[]));
    for name in ["seed", "domain"] {
        assert_ne!(one.ready[name], other.ready[name], "{name}");
    }
    assert_ne!(one.secret(), other.secret());
    let seed = one.ready["seed"].as_u64().unwrap();
    assert!(seed < 1 << 53, "{seed}: any reader of JSON has it as it is");
    let again = up(&["--seed", &seed.to_string()]);
    for name in ["seed", "domain"] {
        assert_eq!(one.ready[name], again.ready[name], "{name}");
    }
    assert_eq!(one.secret(), again.secret());
}

#[needs(curl)]
#[test]
fn up_takes_assumptions_from_options_and_from_a_file_and_refuses_what_it_does_not_know() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("assumed.toml");
    fs::write(
        &file,
        "hello_answer = \"from the file\"\nrest_throttle_calls = 1\nmodule_14_2_until = \"14.2\"\n",
    )
    .unwrap();
    let file = file.to_str().unwrap();
    let up = ["up", "--http-port", "0", "--agents", "0", "--assumptions", file, "--assume"];
    let lab = RunningLab::as_it_is(program().args(up).args([
        "rest_throttle_calls=2",
        "--assume",
        "rest_license_serial=7",
    ]));
    let manager = &lab.ready["managers"][0];
    let call = |url: &str| stdout(&output(Command::new("curl").args(["-sk", "-w", " %{http_code}", url])));
    assert_eq!(call(manager["hello"].as_str().unwrap()), "from the file 200");
    let version = format!("{}/sepm/api/v1/version", manager["rest"].as_str().unwrap());
    let statuses = [(); 3].map(|()| call(&version).rsplit(' ').next().unwrap().to_owned());
    assert_eq!(statuses, ["200", "200", "429"]);
    let listed = call(&format!("{}/v1/assumptions", lab.ready["control_api"].as_str().unwrap()));
    assert!(listed.contains(r#""name":"rest_license_serial","mark":"U","value":"7""#), "{listed}");
    let judged = stdout(&lab.run(&["check"]));
    let assumed = "Assumed, other than by default: ";
    let assumed = judged.lines().find_map(|line| line.strip_prefix(assumed)).unwrap_or_default();
    for one in [
        "hello_answer = from the file",
        "rest_throttle_calls = 2",
        "rest_license_serial = 7",
        "module_14_2_until = 14.2.0.0000",
    ] {
        assert!(assumed.split(", ").any(|found| found == one), "{one}: {judged}");
    }
    for (more, expected) in [
        (["--assume", "rest_throttle_call=1"], &["--assume", "did you mean \"rest_throttle_calls\""][..]),
        (
            ["--assume", "rest_throttle_calls=many"],
            &["expected a whole number from 0 to 4294967295", "\"many\""],
        ),
        (["--assume", "load_balance=none"], &["expected one of drawn, in-order"]),
        (["--assume", "x"], &["expected NAME=VALUE"]),
        (["--assumptions", "missing.toml"], &["missing.toml"]),
    ] {
        refused(&run(&[&["up", "--http-port", "0"][..], &more].concat()), expected);
    }
    fs::write(file, "hello_answr = \"x\"\n").unwrap();
    refused(&run(&["up", "--http-port", "0", "--assumptions", file]), &["assumed.toml", "hello_answer"]);
    fs::write(file, "hello_answer = \n").unwrap();
    refused(&run(&["up", "--http-port", "0", "--assumptions", file]), &["assumed.toml", "line 1"]);
}

#[test]
fn up_is_stopped_cleanly_while_it_still_waits_for_its_clients() {
    for signal in ["INT", "TERM"] {
        // Its clients look for it where it does not listen.
        let arguments = ["up", "--http-port", "0", "--address", "127.0.0.2", "--agents", "1", "--client-log"];
        let mut up = Running::start(program().args(arguments));
        up.says("has been started");
        up.signal(signal);
        let (code, said) = up.ends();
        assert_eq!(code, Some(0), "{said}");
        assert!(said.lines().any(|line| line == "Stopping."), "{said}");
    }
}

#[test]
fn up_says_when_it_is_ready_and_where_and_ctrl_c_stops_it_cleanly() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ready.json");
    let up = RunningLab::up(&["--https-port", "0", "--agents", "3", "--ready-file", file.to_str().unwrap()]);
    let manager = &up.ready["managers"][0];
    assert_ne!(manager["http"], manager["https"]);
    assert_eq!(manager["fingerprint"].as_str().unwrap().len(), 95);
    assert_eq!(up.ready["clients"].as_array().unwrap().len(), 3);
    let address = up.http().replace("http://", "");
    assert!(TcpStream::connect(&address).is_ok());
    well(&run(&["health", up.http()]));
    let written: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!(written["pid"], up.ready["pid"]);
    assert_eq!(up.interrupt(), Some(0));
    assert!(TcpStream::connect(&address).is_err(), "the port is still open");
    assert_eq!(run(&["health", &format!("http://{address}")]).status.code(), Some(1));
}

#[test]
fn a_port_in_use_is_refused_with_the_port() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    refused(&run(&["up", "--http-port", &port]), &[&port, "in use", "another port"]);
    refused(&run(&["up", "--managers", "17"]), &["17", "1..=16"]);
    for name in ["http://manager", "manager:8015"] {
        refused(
            &run(&["up", "--http-port", "0", "--allow-host", name]),
            &["--allow-host", name, "such as manager"],
        );
    }
}

#[test]
fn an_address_that_others_can_reach_is_refused_without_lab() {
    refused(&run(&["up", "--http-port", "0", "--bind", "0.0.0.0"]), &["0.0.0.0", "--lab"]);
    let open = ["up", "--http-port", "0", "--bind", "0.0.0.0", "--lab"];
    refused(&run(&open), &["0.0.0.0", "default password", "--rest-password-file", "--no-rest"]);
    let known = [&open[..], &["--rest-password", "epm-lab"]].concat();
    refused(&run(&known), &["default password"]);
}

#[needs(curl)]
#[test]
fn the_rest_api_takes_the_password_that_it_was_given_and_prints_it_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let (at, file) = (folder.path(), folder.path().join("password"));
    fs::write(&file, "correct horse\n").unwrap();
    let export = at.to_str().unwrap();
    let up = RunningLab::up(&[
        "--agents",
        "0",
        "--export",
        export,
        "--rest-password-file",
        file.to_str().unwrap(),
    ]);
    assert!(!up.ready.to_string().contains("horse"));
    let rest = up.ready["managers"][0]["rest"].as_str().unwrap().to_owned();
    for (password, status) in [("correct horse", "200"), ("epm-lab", "400")] {
        let body = format!(r#"{{"username":"admin","password":"{password}"}}"#);
        let address = format!("{rest}/sepm/api/v1/identity/authenticate");
        // It believes the certificate that was exported, and looks at its name and its dates.
        let arguments =
            ["-sS", "--cacert", "sepm-1.pem", "-o", "/dev/null", "-w", "%{http_code}", "-d", &body, &address];
        let asked = output(Command::new("curl").args(arguments).current_dir(at));
        assert_eq!(stdout(&asked), status, "{}", stderr(&asked));
    }
    let alone = RunningLab::up(&["--agents", "0", "--no-rest"]);
    assert!(alone.ready["managers"][0].get("rest").is_none());
}

#[needs(openssl)]
#[test]
fn a_certificate_and_a_key_that_do_not_belong_together_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    openssl(at, "req -x509 -newkey rsa:2048 -nodes -keyout a.key -out a.crt -subj /CN=a -days 2");
    openssl(at, "genrsa -out b.key 2048");
    let with = |certificate: &str, key: &str| {
        let (certificate, key) = (at.join(certificate), at.join(key));
        run(&[
            "up",
            "--http-port",
            "0",
            "--certificate",
            certificate.to_str().unwrap(),
            "--key",
            key.to_str().unwrap(),
        ])
    };
    refused(&with("a.crt", "b.key"), &["Invalid private key file", "b.key", "a.crt"]);
    openssl(at, "ecparam -name prime256v1 -genkey -noout -out ec.key");
    refused(&with("a.crt", "ec.key"), &["Invalid private key file", "ec.key", "elliptic curve"]);
    openssl(at, "rsa -in a.key -aes256 -passout pass:secret -out locked.key");
    refused(&with("a.crt", "locked.key"), &["Invalid private key file", "locked.key", "encrypted"]);
    let pem = fs::read_to_string(at.join("a.crt")).unwrap();
    fs::write(at.join("cut.crt"), &pem[..pem.len() / 2]).unwrap();
    refused(&with("cut.crt", "a.key"), &["cut.crt", "END"]);
    refused(&with("nothing.crt", "a.key"), &["nothing.crt", "No such file"]);
    openssl(
        at,
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout e.key -out e.crt -subj /CN=e",
    );
    // Without extensions, what openssl signs is of version 1, which no TLS library of today would serve.
    openssl(at, "req -new -key a.key -subj /CN=a -out a.csr");
    openssl(at, "x509 -req -in a.csr -signkey a.key -days 2 -out v1.crt");
    refused(&with("v1.crt", "a.key"), &["v1.crt", "expected an X.509 v3 certificate, found X.509 v1"]);
    refused(
        &with("e.crt", "e.key"),
        &["Invalid certificate type, or invalid certificate signature algorithm", "e.crt"],
    );
}

#[needs(openssl)]
#[test]
fn a_certificate_of_ones_own_is_served() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    openssl(at, "req -x509 -newkey rsa:2048 -nodes -keyout a.key -out a.crt -subj /CN=mine -days 2");
    let (certificate, key) = (at.join("a.crt"), at.join("a.key"));
    let up =
        RunningLab::up(&["--certificate", certificate.to_str().unwrap(), "--key", key.to_str().unwrap()]);
    let shown = openssl(at, "x509 -noout -fingerprint -sha256 -in a.crt");
    let fingerprint = up.ready["managers"][0]["fingerprint"].as_str().unwrap();
    assert!(shown.contains(fingerprint), "{shown} is not {fingerprint}");
}

/// A copy of the good scenario with one thing changed.
fn changed(from: &str, to: &str) -> (tempfile::TempDir, String) {
    let good = fs::read_to_string(root().join("fixtures/scenarios/single-manager.toml")).unwrap();
    assert!(good.contains(from), "{from:?}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("changed.toml");
    fs::write(&file, good.replacen(from, to, 1)).unwrap();
    (folder, file.to_str().unwrap().to_owned())
}

#[test]
fn an_unsound_scenario_is_refused_with_its_line_before_anything_is_played() {
    let seventeen: String = (1..=17).map(|number| format!("{{ name = \"sepm-{number}\" }}, ")).collect();
    let seventeen = format!("managers = [{seventeen}]");
    for (from, to, expected) in [
        ("managers = [{ name = \"sepm-1\" }]", seventeen.as_str(), ["17 managers", "at most 16"]),
        (
            "wait = { heartbeats = 3 }",
            "wait = { hartbeats = 3 }",
            ["hartbeats", "did you mean \"heartbeats\"?"],
        ),
        (
            "group = 'My Company\\Desktops'\nversion",
            "group = 'My Company\\Desktop'\nversion",
            ["My Company\\Desktop", "did you mean"],
        ),
        (
            "edit-list = { list = \"HTTP\"",
            "edit-list = { list = \"Default Management Server List for My Site\"",
            ["is the default list", "copy it"],
        ),
        ("count = 3", "count = 0", ["count of 0", "at least 1"]),
        ("manager = \"sepm-1\"", "manager = \"sepm-2\"", ["sepm-2", "did you mean \"sepm-1\"?"]),
        ("heartbeat_seconds = 5", "heartbeat_seconds = 0", ["heartbeat_seconds", "at least one second"]),
        ("version = \"12.1.7004\"", "version = \"twelve\"", ["twelve", "14.3.8289"]),
        ("seed = 7", "seed = 7\nseed = 8", ["seed", "duplicate"]),
    ] {
        let (_folder, file) = changed(from, to);
        for verb in [&["scenario", "check"][..], &["run"][..]] {
            let output = run(&[verb, &[file.as_str()]].concat());
            refused(&output, &expected);
            refused(&output, &["changed.toml:"]);
            assert!(stdout(&output).is_empty(), "something was played: {}", stdout(&output));
        }
    }
}

#[test]
fn a_scenario_that_is_not_there_is_refused() {
    refused(&run(&["run", "nowhere.toml"]), &["nowhere.toml", "No such file"]);
}

#[test]
fn a_careless_scenario_ends_with_exit_code_3_and_names_who_was_lost_since_when_and_why() {
    let output = run(&["run", "fixtures/scenarios/single-manager-left-on-https.toml"]);
    let text = stdout(&output);
    assert_eq!(output.status.code(), Some(3), "{text}");
    for part in ["9 of 11 clients are ORPHANED", "desktop-1", "since step 2", "layer TLS certificate", "seed"]
    {
        assert!(text.to_lowercase().contains(&part.to_lowercase()), "expected {part:?} in: {text}");
    }
}

#[test]
fn the_schema_knows_the_keys_of_the_scenarios_and_the_assumptions_are_printed() {
    let schema: serde_json::Value = serde_json::from_str(&stdout(&run(&["scenario", "schema"]))).unwrap();
    for key in ["title", "site", "fleet", "step", "assumptions", "clock"] {
        assert!(schema["properties"][key].is_object(), "{key}");
    }
    let list: serde_json::Value = serde_json::from_str(&stdout(&run(&["assumptions", "--json"]))).unwrap();
    assert!(list.as_array().unwrap().iter().any(|one| one["name"] == "hello_answer" && one["mark"] == "R"));
    let module = list.as_array().unwrap().iter().find(|one| one["name"] == "module_14_2").unwrap();
    assert_eq!(module["statements"][0]["number"], "P17");
    let text = stdout(&run(&["assumptions"]));
    for expected in ["hello_answer", "P17 Clients of 14.2"] {
        assert!(text.contains(expected), "expected {expected:?} in: {text}");
    }
}

#[test]
fn completions_are_printed_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(stdout(&run(&["completions", shell])).contains("epm-lab"), "{shell}");
    }
}

#[test]
fn help_shows_examples_and_exit_codes() {
    let help = stdout(&run(&["--help"]));
    assert!(help.contains("Examples:") && help.contains("Exit codes:"), "{help}");
}

// ------------------------------------------------------------------------------------------------- a lab that is up

#[test]
fn the_verbs_act_on_a_lab_that_is_up_and_check_says_who_is_lost() {
    let up = RunningLab::up(&["--agents", "3", "--heartbeat", "300"]);
    assert_eq!(up.json(&["check"], 0)["clients"], 3);
    up.json(&["clock", "freeze"], 0);
    up.json(&["list", "copy", "Default Management Server List for My Site", "mine"], 0);
    assert_eq!(
        up.json(&["list", "edit", "mine", "--protocol", "http", "--priority", "sepm-1"], 0)["protocol"],
        "http"
    );
    up.json(&["list", "assign", "mine", r"My Company"], 0);
    up.json(&["snapshot", "take", "before"], 0);
    up.json(&["fault", "add", "busy", "status", "--set", "code=503", "--agent", "desk-*"], 0);
    up.json(&["clock", "heartbeats", "1"], 0);
    assert_eq!(up.json(&["client", "list", "--state", "disconnected"], 0)["total"], 2, "the two desks");
    assert_eq!(up.json(&["journal", "find", "--kind", "fault-applied"], 0)["entries"][0]["fault"], "busy");
    // Whom, where and when may all be said; and whatever is closed to clients, the control API is not.
    let whole = ["fault", "add", "slow", "bandwidth", "--version-until", "14.3", "--direction", "both"];
    let when = ["--from", "2026-01-05T08:00:00Z", "--until", "2090-01-05T08:00:00Z"];
    let slow = up.json(&[&whole[..], &when].concat(), 0);
    assert_eq!(slow["fault"]["where"]["direction"], "both", "{slow}");
    assert_eq!(slow["fault"]["whom"]["version"]["until"], "14.3.0.0000", "{slow}");
    up.json(&["fault", "clear"], 0);
    up.json(&["fault", "add", "gone", "refuse"], 0);
    let closed = || TcpStream::connect(up.http().replace("http://", "")).is_err();
    assert!((0..200).any(|_| closed() || up.json(&["fault", "list"], 0).is_null()), "the port is not closed");
    assert_eq!(up.json(&["fault", "list"], 0).as_array().map(Vec::len), Some(1));
    up.json(&["fault", "clear"], 0);
    up.json(&["clock", "heartbeats", "2"], 0);
    up.json(&["client", "freeze", "old-1"], 0);
    let update = up.json(&["manager", "update", "--name", "first"], 0);
    let new = update["stores"]["client"]["fingerprint"].as_str().unwrap();
    up.json(&["check", "--holds", new], 1);
    up.json(&["clock", "advance", "10m"], 0);
    let lost = up.json(&["check"], 3);
    assert_eq!(lost["orphaned"].as_array().unwrap().len(), 2, "the frozen one does not know yet: {lost}");
    let people = stdout(&up.run(&["check"]));
    assert!(people.contains("2 clients are orphaned") && people.contains("signature"), "{people}");
    up.json(&["snapshot", "restore", "before"], 0);
    up.json(&["clock", "heartbeats", "1"], 0);
    up.json(&["check", "--expect", "no-client-is-orphaned", "--expect", "every-client-is-served"], 0);
    refused(&up.run(&["fault", "add", "x", "stauts"]), &["stauts", "status"]);
    refused(&up.run(&["fault", "remove", "x"]), &["x", "active faults: none"]);
    refused(&up.run(&["client", "show", "desk-l"]), &["desk-l", "desk-1"]);
    assert_eq!(up.interrupt(), Some(0));
}

#[test]
fn without_a_lab_the_verbs_say_how_to_start_one() {
    let output = run(&["check", "--lab", "http://127.0.0.1:1"]);
    let error = stderr(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("127.0.0.1:1") && error.contains("epm-lab up"), "{error}");
    refused(&run(&["check", "--lab", "ftp://x"]), &["ftp://x", "http://127.0.0.1:8015"]);
}

#[test]
fn a_lab_that_others_can_reach_has_a_token_and_makes_one_that_only_its_owner_reads() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let arguments = ["--bind", "0.0.0.0", "--lab", "--no-rest", "--agents", "0"];
    refused(
        &run(&[&["up", "--http-port", "0"], arguments.as_slice()].concat()),
        &["0.0.0.0", "--token-file"],
    );
    let up = RunningLab::up(&[arguments.as_slice(), &["--token-file", file.to_str().unwrap()]].concat());
    let mode = std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&file).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    let output = up.run(&["clock", "show"]);
    assert!(stderr(&output).contains("Bearer"));
    let output = up.run(&["clock", "show", "--token-file", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_service_whose_files_are_no_good_is_said_to_be_down_and_each_manager_has_a_folder_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    let up = RunningLab::up(&["--managers", "2", "--agents", "0", "--install-root", root]);
    let certificate = |manager: &str| folder.path().join(manager).join("apache/conf/ssl/server.crt");
    assert_ne!(fs::read(certificate("sepm-1")).unwrap(), fs::read(certificate("sepm-2")).unwrap());
    let key = folder.path().join("sepm-2/apache/conf/ssl/server.key");
    let good = fs::read(&key).unwrap();
    fs::write(&key, "junk").unwrap();
    let restart = ["service", "restart", "semwebsrv", "--manager", "sepm-2"];
    assert_eq!(up.json(&restart, 1)["stopped"], serde_json::json!(["semwebsrv"]));
    let people = up.run(&restart);
    assert!(stdout(&people).contains("STOPPED: semwebsrv"), "{}", stdout(&people));
    fs::write(&key, good).unwrap();
    assert_eq!(up.json(&restart, 0)["stopped"], serde_json::json!([]));
}

#[needs(openssl)]
#[test]
fn a_key_that_keeps_administrators_out_is_said_when_it_is_brought_and_whenever_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    openssl(at, "req -x509 -newkey rsa:3072 -nodes -keyout long.key -out long.crt -subj /CN=long -days 2");
    let (certificate, key) = (at.join("long.crt"), at.join("long.key"));
    let files = ["--certificate", certificate.to_str().unwrap(), "--key", key.to_str().unwrap()];
    let trouble = "F14: the console fails to connect to the server: its key has 3072 bits";
    let mut up = Running::start(program().args(["up", "--http-port", "0", "--agents", "1"]).args(files));
    assert!(up.says("warning").contains(trouble));
    let ready: serde_json::Value = serde_json::from_str(&up.says("\"ready\":true")).unwrap();
    let run = |arguments: &[&str]| {
        let lab = ready["control_api"].as_str().unwrap();
        well(&output(program().env("EPM_LAB_URL", lab).args(arguments)))
    };
    let lab = ready["control_api"].as_str().unwrap();
    let checked = output(program().env("EPM_LAB_URL", lab).arg("check"));
    assert_eq!(checked.status.code(), Some(1), "a manager to which the console cannot log in is not well");
    assert!(String::from_utf8_lossy(&checked.stdout).contains(trouble), "{checked:?}");
    assert!(run(&["cert", "live"]).contains(trouble));
    assert!(run(&["journal", "find", "--kind", "operator-action"]).contains("F14"));
    assert!(run(&[&["cert", "import", "--name", "again"], &files[..]].concat()).contains(trouble));
    let show = ["cert", "show", files[1], "--key", files[3]];
    assert!(run(&show).contains(trouble));
    up.kill();
}
