//! A site whose managers are processes of their own: they follow each other through a database.

use std::net::TcpListener;
use std::ops::Deref;
use std::path::Path;
use std::process::Command;

use epm_fixtures::{HeldPort, Postgres, python_packages};
use serde_json::{Value, json};

use crate::control::Control;
use crate::harness::{
    Running, agent, json as json_of, needs, output, program, refused, root, run, said, until, well,
};
use crate::pages::blocks;

/// A site of several managers, and the ports that they were founded with.
pub(crate) struct Site {
    pub(crate) database: Postgres,
    managers: Vec<String>,
    _held: Vec<HeldPort>,
}

/// One manager of it.
pub(crate) struct Manager {
    pub(crate) running: Running,
    pub(crate) ready: Value,
    pub(crate) control: Control,
}

impl Deref for Manager {
    type Target = Control;

    fn deref(&self) -> &Control {
        &self.control
    }
}

impl Site {
    /// Founds a site with this many managers.
    #[track_caller]
    pub(crate) fn found(managers: usize) -> Self {
        let database = Postgres::start();
        let held: Vec<HeldPort> = (0..2 * managers).map(|_| HeldPort::any().unwrap()).collect();
        let port = |place: usize| held[place].number();
        let managers = (0..managers)
            .map(|one| format!("sepm-{}=127.0.0.1:{}:{}", one + 1, port(2 * one), port(2 * one + 1)))
            .collect();
        let this = Self { database, managers, _held: held };
        well(&output(&mut this.founding(&["--heartbeat", "1", "--seed", "7"])));
        this
    }

    fn founding(&self, options: &[&str]) -> Command {
        let mut command = program();
        command.args(["site", "found", "--site", &self.database.url()]);
        command.args(self.managers.iter().flat_map(|one| ["--manager", one])).args(options);
        command
    }

    pub(crate) fn manager(&self, number: usize) -> Command {
        self.manager_at(number, &self.database.url())
    }

    /// The manager of this number, with the database at this URL.
    pub(crate) fn manager_at(&self, number: usize, database: &str) -> Command {
        let mut command = program();
        let name = format!("sepm-{number}");
        command.args(["site", "manager", "--site", database, "--name", &name, "--control-port", "0"]);
        command
    }

    #[track_caller]
    pub(crate) fn start(&self, number: usize) -> Manager {
        Manager::of(&mut self.manager(number))
    }
}

impl Manager {
    #[track_caller]
    pub(crate) fn of(command: &mut Command) -> Self {
        let mut running = Running::start(command);
        let ready: Value = serde_json::from_str(&running.says("\"ready\":true")).unwrap();
        let control = Control(ready["control_api"].as_str().unwrap().to_owned());
        Self { running, ready, control }
    }

    /// The certificate that its clients' port presents.
    pub(crate) fn presents(&self) -> String {
        let place = self.ready["managers"][0]["https"].as_str().unwrap().trim_start_matches("https://");
        let script = format!(
            "openssl s_client -connect {place} </dev/null 2>/dev/null | openssl x509 -noout -fingerprint -sha256"
        );
        // An update ends connections, also one in its handshake.
        until("a certificate", || {
            let (_, shown) = said(&output(Command::new("sh").args(["-c", &script])));
            Some(shown.lines().find(|line| line.contains("ingerprint="))?.split_once('=')?.1.to_owned())
        })
    }
}

impl Control {
    /// Calls the control API, which must do what it is told.
    #[track_caller]
    pub(crate) fn does(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = self.call(method, path, body);
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    /// The certificate of a manager, as this process knows it.
    pub(crate) fn knows(&self, manager: &str) -> String {
        let shown = self.get(&format!("/v1/managers/{manager}/certificate"));
        shown["stores"]["client"]["fingerprint"].as_str().unwrap_or_else(|| panic!("{shown:#}")).to_owned()
    }
}

#[needs(postgres, openssl)]
#[test]
fn three_managers_follow_each_other_and_one_that_was_away_catches_up_before_it_serves() {
    let site = Site::found(3);
    let [first, second, third] = [1, 2, 3].map(|number| site.start(number));
    // Each announces itself alone, and knows the others.
    assert_eq!(first.ready["managers"].as_array().unwrap().len(), 1);
    assert_eq!(first.get("/v1/site")["managers"].as_array().unwrap().len(), 3);
    let before = second.presents();
    // Through another process, and the same update through a third one is the same.
    first.does("PUT", "/v1/managers/sepm-2/certificate/january", &json!({}));
    until("the second manager to present its new certificate", || {
        (second.presents() != before).then_some(())
    });
    let new = second.presents();
    assert_eq!((first.knows("sepm-2"), second.knows("sepm-2")), (new.clone(), new.clone()));
    third.does("PUT", "/v1/managers/sepm-2/certificate/january", &json!({}));
    assert_eq!((third.knows("sepm-2"), second.presents()), (new.clone(), new));
    // A restart and a fault reach the process that they are about.
    third.does("POST", "/v1/managers/sepm-1/restart", &json!({}));
    third.does("PUT", "/v1/faults/busy", &json!({ "what": "database-down" }));
    until("the fault in the first process", || {
        first.get("/v1/faults").to_string().contains("busy").then_some(())
    });
    // Away, and back.
    third.running.kill();
    first.does("PUT", "/v1/managers/sepm-3/certificate/january", &json!({}));
    second.does("PUT", "/v1/groups/My%20Company%5CBranch", &json!({}));
    let third = site.start(3);
    assert_eq!(
        third.presents(),
        first.knows("sepm-3"),
        "it serves what it has missed from the first moment on"
    );
    // It has been set since one and the same moment in every process.
    let since = |one: &Manager| one.get("/v1/faults")[0]["set_at"].as_str().unwrap().to_owned();
    assert_eq!((since(&first), since(&second)), (since(&third), since(&third)));
    assert_eq!(third.get("/v1/groups"), second.get("/v1/groups"));
    assert_eq!(third.get("/v1/lists"), second.get("/v1/lists"));
    for one in [first, second, third] {
        assert_eq!(one.running.interrupt(), Some(0));
    }
}

#[needs(postgres)]
#[test]
fn a_manager_that_is_asked_for_a_change_before_it_has_caught_up_misses_nothing() {
    // More than are read at once.
    const MISSED: usize = 520;
    let site = Site::found(2);
    let [first, second] = [1, 2].map(|number| site.start(number));
    second.running.signal("STOP");
    let groups: Vec<Value> = (0..MISSED)
        .map(|number| json!({ "add-group": { "group": format!("My Company\\{number}"), "inherits": true } }))
        .collect();
    for group in &groups {
        first.does("POST", "/v1/commands", &json!([group]));
    }
    std::thread::scope(|scope| {
        let control = &second.control;
        let late = scope.spawn(|| control.does("PUT", "/v1/groups/My%20Company%5Clate", &json!({})));
        second.running.signal("CONT");
        late.join().unwrap();
    });
    let all = |one: &Manager| one.get("/v1/groups").as_array().map(Vec::len);
    until("both to know everything", || (all(&first) == all(&second)).then_some(()));
    assert!(all(&second) > Some(MISSED), "{:?}", all(&second));
    // A database that is put back to an earlier state is not followed as if nothing had happened.
    site.database.sql("DELETE FROM epm_lab.log_file; DELETE FROM epm_lab.log WHERE sequence > 100; UPDATE epm_lab.site SET last_sequence = 100");
    let (status, refused) = first.call("PUT", "/v1/groups/My%20Company%5Cagain", &json!({}));
    assert!(
        status == 503 && refused.to_string().contains("put back to an earlier state"),
        "{status} {refused}"
    );
}

#[needs(postgres)]
#[test]
fn a_manager_whose_process_has_ended_is_not_well() {
    let site = Site::found(2);
    let [first, second] = [1, 2].map(|number| site.start(number));
    let verdict = || first.get("/v1/verdict");
    until("no trouble", || (verdict()["well"] != false).then_some(()));
    second.running.kill();
    until("the process to be missed", || (verdict()["processes_down"] == json!(["sepm-2"])).then_some(()));
    assert_eq!(verdict()["well"], false);
}

#[needs(postgres)]
#[test]
fn what_two_managers_change_at_once_is_ordered_and_nothing_is_lost() {
    const EACH: usize = 25;
    let site = Site::found(2);
    let managers = [1, 2].map(|number| site.start(number));
    // Both add the same groups: of each two, one adds it and the other finds it.
    std::thread::scope(|scope| {
        for one in managers.each_ref().map(|one| &one.control) {
            scope.spawn(move || {
                for number in 0..EACH {
                    one.does("PUT", &format!("/v1/groups/My%20Company%5C{number}"), &json!({ "inherits": false }));
                    let own = json!([{ "set-policy": { "group": format!("My Company\\{number}"), "policy": one.0, "content": "x" } }]);
                    one.does("POST", "/v1/commands", &own);
                }
            });
        }
    });
    let groups = |one: &Manager| one.get("/v1/groups");
    until("both to know everything", || (groups(&managers[0]) == groups(&managers[1])).then_some(()));
    let names = groups(&managers[0]).to_string();
    for number in 0..EACH {
        let name = json!(format!("My Company\\{number}")).to_string();
        assert!(names.contains(&name), "{name}: {names}");
    }
    // The founding, a group once, and a policy of each.
    assert_eq!(
        site.database.sql("SELECT count(*), max(sequence) FROM epm_lab.log"),
        format!("{0}|{0}", 1 + 3 * EACH)
    );
}

#[needs(postgres)]
#[test]
fn without_its_database_a_manager_serves_clients_and_refuses_changes_until_it_is_back() {
    let mut site = Site::found(2);
    let folder = tempfile::tempdir().unwrap();
    let export = folder.path().join("lab");
    let mut first = Manager::of(site.manager(1).args(["--export", export.to_str().unwrap()]));
    let second = site.start(2);
    let mut client = Running::start(&mut client(&export, &folder.path().join("state")));
    client.says("12070307");
    site.database.stop();
    first.running.says("the database is not available");
    for one in [&first, &second] {
        let (status, problem) = one.call("PUT", "/v1/groups/My%20Company%5CLate", &json!({}));
        assert_eq!((status, &problem["code"]), (503, &json!("no-database")), "{problem}");
    }
    // Which processes run, and what they hear, is not known now.
    let verdict = first.get("/v1/verdict");
    assert_eq!((&verdict["well"], &verdict["processes_down"]), (&Value::Null, &Value::Null), "{verdict}");
    assert!(verdict["no_verdict"].as_str().unwrap().starts_with("the database that the managers share"));
    // The client is served all the same.
    let beats = |one: &Manager| one.get("/v1/journal/count?kind=exchange")["total"].as_u64().unwrap();
    let before = beats(&first) + beats(&second);
    until("two more heartbeats", || (beats(&first) + beats(&second) > before + 2).then_some(()));
    site.database.start_again();
    first.running.says("the database is available again");
    until("a change", || {
        (first.call("PUT", "/v1/groups/My%20Company%5CLate", &json!({})).0 == 200).then_some(())
    });
    until("the other process to follow", || {
        second.get("/v1/groups").to_string().contains("Late").then_some(())
    });
    // What clients do is known to each process, also to one that starts.
    until("the client in the database", || {
        (site.database.sql("SELECT count(*) FROM epm_lab.client") == "1").then_some(())
    });
    second.running.kill();
    let second = site.start(2);
    assert_eq!(second.ready["clients"].as_array().unwrap().len(), 1, "{}", second.ready);
}

#[needs(postgres, openssl)]
#[test]
fn what_cannot_be_founded_or_joined_is_refused_with_the_reason() {
    let site = Site::found(1);
    let url = site.database.url();
    let manager = |url: &str, name: &str| {
        run(&["site", "manager", "--site", url, "--name", name, "--control-port", "0"])
    };
    // Founded already: the same again is well, another is not.
    let again = output(&mut site.founding(&["--heartbeat", "1", "--seed", "7"]));
    assert!(said(&again).1.contains("nothing has changed"), "{again:?}");
    refused(
        &output(&mut site.founding(&["--heartbeat", "2"])),
        &["the database has a site already", "heartbeat \"1\", found \"2\""],
    );
    refused(&run(&["site", "found", "--site", &url]), &["from 1 to 16 managers, found 0"]);
    refused(&manager(&url, "sepm-7"), &["no manager \"sepm-7\"", "founded with: sepm-1"]);
    refused(&manager("postgres://lab:hush@127.0.0.1/x", "sepm-1"), &["`--site`: it has a password"]);
    refused(
        &manager("postgres://lab@db.example/x", "sepm-1"),
        &["db.example is another machine: expected sslrootcert"],
    );
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let other = format!("postgres://lab@{}/x", silent.local_addr().unwrap());
    refused(
        &manager(&format!("{url}?sslmode=require"), "sepm-1"),
        &["does not support TLS", "`?sslmode=disable`"],
    );
    refused(&manager(&other, "sepm-1"), &["no answer in 4 s; make sure", "of a PostgreSQL server"]);
    refused(
        &manager(&format!("postgres://lab@{closed}/x"), "sepm-1"),
        &[&format!("postgres://lab@{closed}/x"), "refused", "start PostgreSQL there"],
    );
    refused(
        &manager(&url.replace("/postgres", "/other"), "sepm-1"),
        &["database \"other\" does not exist", "createdb"],
    );
    refused(
        &manager(&url.replace("/postgres", "/template1"), "sepm-1"),
        &["has no site yet", "epm-lab site found"],
    );
    refused(&output(site.manager(1).args(["--bind", "0.0.0.0"])), &["add `--lab`"]);
    // One process is one manager.
    let first = site.start(1);
    let process = first.running.id().to_string();
    refused(&manager(&url, "sepm-1"), &["the manager \"sepm-1\" runs already, as process", &process]);
    for (method, path, body) in [
        ("PUT", "/v1/clock", json!({ "speed": 0 })),
        ("POST", "/v1/clock/advance", json!({ "by": "1h" })),
        ("PUT", "/v1/snapshots/a", json!({})),
        ("POST", "/v1/reset", json!({})),
    ] {
        let (status, problem) = first.call(method, path, &body);
        assert_eq!((status, &problem["code"]), (409, &json!("several-processes")), "{path}: {problem}");
    }
    assert_eq!(first.running.interrupt(), Some(0));
    // Tables of another version.
    site.database.sql("UPDATE epm_lab.site SET version = 9");
    refused(&manager(&url, "sepm-1"), &["have version 9, and this program", "has version 3"]);
}

#[needs(postgres, openssl)]
#[test]
fn a_database_behind_tls_is_trusted_by_its_authority_and_its_name_and_asks_for_the_password() {
    let folder = tempfile::tempdir().unwrap();
    let script = "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority 2>/dev/null
openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=database 2>/dev/null
printf 'subjectAltName=IP:127.0.0.1\\nbasicConstraints=CA:FALSE' > extensions
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -out server.crt -days 2 -extfile extensions 2>/dev/null
openssl req -x509 -newkey rsa:2048 -nodes -keyout other.key -out other.pem -days 2 -subj /CN=other 2>/dev/null";
    well(&output(Command::new("sh").args(["-ec", script]).current_dir(folder.path())));
    let file = |name: &str| std::fs::read(folder.path().join(name)).unwrap();
    let mut database = Postgres::start();
    database.sql("ALTER ROLE lab PASSWORD 'se cret'");
    database.stop();
    let (certificate, key) =
        (database.give("server.crt", &file("server.crt")), database.give("server.key", &file("server.key")));
    let hba = database.give("hba", b"hostssl all all all scram-sha-256\n");
    database.start_with(&[
        "ssl=on",
        &format!("ssl_cert_file={}", certificate.display()),
        &format!("ssl_key_file={}", key.display()),
        &format!("hba_file={}", hba.display()),
    ]);
    let ask = |options: &str, password: &str| {
        let mut command = program();
        command.args(["site", "manager", "--name", "a", "--site", &format!("{}?{options}", database.url())]);
        output(command.env("PGPASSWORD", password))
    };
    let root = |name: &str| format!("sslrootcert={}", folder.path().join(name).display());
    // It gets as far as the site that is not there.
    refused(&ask(&root("ca.pem"), "se cret"), &["has no site yet"]);
    refused(&ask("sslmode=require", "se cret"), &["has no site yet"]);
    refused(&ask(&root("other.pem"), "se cret"), &["UnknownIssuer"]);
    refused(&ask("sslmode=disable", "se cret"), &["no pg_hba.conf entry", "say who may connect"]);
    let mut without_password = program();
    without_password.args(["site", "status", "--site", &format!("{}?sslmode=require", database.url())]);
    let (code, words) = said(&output(without_password.env_remove("PGPASSWORD")));
    assert_eq!(code, Some(1), "{words}");
    // A status of a database without a site is refused as a manager of it is.
    refused(&output(without_password.env("PGPASSWORD", "se cret")), &["has no site yet"]);
    assert!(words.contains("password missing; give the password with `--password-file FILE`"), "{words}");
    let wrong = ask(&root("ca.pem"), "wrong");
    refused(&wrong, &["password authentication failed", "--password-file"]);
    let passwords = folder.path().join("pgpass");
    std::fs::write(&passwords, "127.0.0.1:*:*:lab:se cret\n").unwrap();
    let mut command = program();
    command.args([
        "site",
        "manager",
        "--name",
        "a",
        "--site",
        &format!("{}?{}", database.url(), root("ca.pem")),
    ]);
    refused(&output(command.env("PGPASSFILE", &passwords)), &["has no site yet"]);
}

#[needs(postgres)]
#[test]
fn no_client_is_lost_in_a_rotation_while_processes_are_killed_and_every_one_without_the_waits() {
    const CLIENTS: usize = 20;
    let site = Site::found(3);
    let folder = tempfile::tempdir().unwrap();
    let export = folder.path().join("lab");
    let first = Manager::of(site.manager(1).args(["--export", export.to_str().unwrap()]));
    let mut managers = vec![first, site.start(2), site.start(3)];
    let clients = |folder: &Path| {
        let mut clients = agent();
        clients
            .args(["fleet", "--count", &CLIENTS.to_string(), "--json", "--sylink"])
            .arg(folder.join("sylink.xml"));
        clients
    };
    let fleet = Running::start(&mut clients(&export));
    let everyone_has_the_list = |managers: &[Manager]| {
        until("every client to hold the newest policy", || {
            let groups = managers[0].get("/v1/groups");
            let group =
                groups.as_array().unwrap().iter().find(|one| one["group"] == r"My Company\Default Group");
            let serial = group.unwrap()["serial"].as_str().unwrap();
            let holding =
                format!("SELECT count(*) FROM epm_lab.client WHERE visit::json ->> 'serial' = '{serial}'");
            (site.database.sql(&holding) == CLIENTS.to_string()).then_some(())
        });
    };
    everyone_has_the_list(&managers);
    // Each manager through another process, while the third one is killed.
    for one in 0..3 {
        let (asked, killed) = ((one + 1) % 3, (one + 2) % 3);
        let update = format!("/v1/managers/sepm-{}/certificate/january", one + 1);
        managers[asked].does("PUT", &update, &json!({}));
        managers.remove(killed).running.kill();
        managers.insert(killed, site.start(killed + 1));
        everyone_has_the_list(&managers);
    }
    let beats = |managers: &[Manager]| -> u64 {
        let of = |one: &Manager| one.get("/v1/journal/count?kind=exchange")["total"].as_u64().unwrap();
        managers.iter().map(of).sum()
    };
    let before = beats(&managers);
    until("more heartbeats", || (beats(&managers) >= before + 2 * CLIENTS as u64).then_some(()));
    fleet.signal("INT");
    let (code, heard) = fleet.ends();
    assert_eq!(code, Some(0), "every client was served in its last heartbeat: {heard}");
    // At once, without a wait. New clients need the communications file of now.
    let package = folder.path().join("package");
    well(&run(&["sylink", "package", "-o", package.to_str().unwrap(), "--lab", &managers[0].0]));
    let mut fleet = Running::start(&mut clients(&package));
    everyone_has_the_list(&managers);
    let update = |one: u32| json!({ "update-certificate": { "manager": format!("sepm-{one}"), "certificate": { "generate": {} } } });
    managers[0].does("POST", "/v1/commands", &json!([update(1), update(2), update(3)]));
    fleet.says("\"served\":false");
    fleet.signal("INT");
    assert_eq!(fleet.ends().0, Some(1));
    // The site knows it as well: clients that it no longer hears of, or that hold an older policy.
    let status = || json_of(&run(&["site", "status", "--site", &site.database.url(), "--json"]));
    let all = until("every client to be silent or behind", || {
        let status = status();
        let count = |list: &str| status[list].as_array().unwrap().len();
        (count("silent").max(count("behind")) == CLIENTS).then_some(status)
    });
    assert_eq!(
        (&all["settled"], all["managers"][2]["runs"].as_bool()),
        (&json!(false), Some(true)),
        "{all:#}"
    );
    managers.remove(2).running.kill();
    until("a manager that is gone", || (status()["managers"][2]["runs"] == false).then_some(()));
}

#[needs(python_packages)]
#[test]
fn the_manifests_for_kubernetes_are_valid() {
    let mut validate = Command::new(python_packages().join("kubernetes-validate"));
    let folder = root().join("docker/kubernetes");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let files: Vec<_> = files.filter(|file| !file.ends_with("kustomization.yaml")).collect();
    assert!(files.len() >= 5, "{files:?}");
    let shown = well(&output(validate.arg("--strict").args(&files)));
    assert!(shown.matches(" passed ").count() >= 9, "{shown}");
    // What the containers are told, the programs understand.
    let told = std::fs::read_to_string(root().join("docker/kubernetes/managers.yaml")).unwrap();
    for verb in ["found", "manager"] {
        let help = well(&run(&["site", verb, "--help"]));
        let options = told.split(&format!("- {verb}\n")).nth(1).unwrap().lines();
        let options: Vec<&str> = options.map_while(|line| line.trim().strip_prefix("- --")).collect();
        assert!(options.len() >= 5, "{verb}: {options:?}");
        for option in options {
            let name = option.split('=').next().unwrap();
            assert!(help.contains(&format!("--{name}")), "site {verb} has no --{name}");
        }
    }
}

#[needs(postgres, bash, timeout)]
#[test]
fn the_commands_of_the_page_do_what_it_says() {
    let database = Postgres::start();
    let text = std::fs::read_to_string(root().join("docs/many-machines.md")).unwrap();
    let [.., high, low] = std::process::id().to_be_bytes();
    let address = format!("127.{}.{low}.250", high | 0x80);
    let script = blocks(&text, "sh\n").concat().replace("postgres://lab@127.0.0.1:5432/lab", "$DATABASE");
    let script = script.replace("127.0.0.1", &address);
    let folder = tempfile::tempdir().unwrap();
    let mut bash = Command::new("timeout");
    let script =
        format!("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\n{script}");
    bash.args(["110", "bash", "-c", &script]).current_dir(folder.path()).env("DATABASE", database.url());
    let bin = [program(), agent()].map(|one| Path::new(one.get_program()).parent().unwrap().to_owned());
    let path = std::env::var_os("PATH").unwrap();
    bash.env("PATH", std::env::join_paths(bin.into_iter().chain(std::env::split_paths(&path))).unwrap());
    let (code, out) = said(&output(&mut bash));
    assert_eq!(code, Some(0), "{script}\n--- output\n{out}");
    for expected in blocks(&text, "text\n").iter().flat_map(|block| block.lines()) {
        assert!(out.contains(expected), "{expected:?} in:\n{out}");
    }
}

/// A client of the site, with its state in a folder.
fn client(export: &Path, state: &Path) -> Command {
    let mut command = agent();
    command
        .args(["run", "--computer-name", "desk-1"])
        .arg("--sylink")
        .arg(export.join("sylink.xml"))
        .arg("--state")
        .arg(state);
    command
}
