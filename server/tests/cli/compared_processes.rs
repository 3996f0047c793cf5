//! The same steps in one process and in several: the log of each client has the same sequence of events.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use crate::control::Control;
use crate::harness::{Running, RunningLab, agent, needs, run, until, well};
use crate::site::Site;

const DEFAULT: &str = "Default Management Server List for My Site";
const LIST: &str = "In order";
/// A heartbeat at which nothing is new.
const NOTHING_NEW: &str = "1207030A";
const POLICY_APPLIED: &str = "12070307";
const CANNOT_CONNECT: &str = "12070303";
const NO_SERVER: &str = "120B0001";

/// What the operator does, and the event of each client's log after which the next step follows.
type Step = (Value, &'static str);

/// A list whose managers are asked in one order: of two equal ones, a client asks either.
fn in_order() -> Value {
    json!([
        { "copy-list": { "from": DEFAULT, "to": LIST } },
        { "edit-list": { "list": LIST, "priorities": [[{ "manager": "sepm-1" }], [{ "manager": "sepm-2" }]] } },
        { "assign-list": { "list": LIST, "group": "My Company" } },
    ])
}

fn update(managers: &[&str], then: &'static str) -> Step {
    let one =
        |manager| json!({ "update-certificate": { "manager": manager, "certificate": { "generate": {} } } });
    (managers.iter().map(one).collect(), then)
}

/// The switch, and the protocol in which a client can adopt a certificate without it.
fn secure_communications(on: bool) -> Step {
    let protocol = if on { "https" } else { "http" };
    let commands = json!([
        { "set-secure-communications": { "group": "My Company", "on": on } },
        { "edit-list": { "list": LIST, "protocol": protocol } },
    ]);
    (commands, POLICY_APPLIED)
}

/// The events of each client's log, without what each site has of its own. Between two policies, one that comes again counts
/// once: how often a client asks is a matter of time.
fn played(steps: &[Step], controls: &[&Control], managers: &Value, folder: &Path) -> Vec<Vec<String>> {
    controls[0].does("POST", "/v1/commands", &in_order());
    let package = folder.join("package");
    well(&run(&["sylink", "package", "-o", package.to_str().unwrap(), "--lab", &controls[0].0]));
    let mut clients = ["desk-1", "desk-2", "desk-3"].map(|name| {
        let mut client = agent();
        client.args(["run", "--computer-name", name, "--sylink"]).arg(package.join("sylink.xml"));
        Running::start(client.arg("--state").arg(folder.join(name)))
    });
    for client in &mut clients {
        client.says(NOTHING_NEW);
    }
    for (commands, then) in steps {
        // Stopped between two heartbeats: no client asks while one process has followed and another has not.
        for client in &mut clients {
            client.says_anew(NOTHING_NEW);
            client.signal("STOP");
        }
        controls[0].does("POST", "/v1/commands", commands);
        let known = |control: &&Control| {
            ["/v1/groups", "/v1/lists", "/v1/managers/sepm-1/certificate", "/v1/managers/sepm-2/certificate"]
                .map(|path| control.get(path))
        };
        until("each process to know the change", || {
            let first = known(&controls[0]);
            controls.iter().all(|control| known(control) == first).then_some(())
        });
        clients.iter().for_each(|client| client.signal("CONT"));
        for client in &mut clients {
            client.says(then);
        }
    }
    let places =
        managers.as_array().unwrap().iter().map(|one| {
            (one["https"].as_str().unwrap().to_owned(), one["manager"].as_str().unwrap().to_owned())
        });
    let places: Vec<_> = places.collect();
    let fails = steps.iter().any(|(_, then)| *then == NO_SERVER);
    let events = |mut client: Running| {
        client.says_anew(if fails { CANNOT_CONNECT } else { NOTHING_NEW });
        client.signal("INT");
        let (code, said) = client.ends();
        assert_eq!(code, Some(0), "{said}");
        let mut since_policy = BTreeSet::new();
        let of_all = said.lines().filter_map(|line| {
            let (_, event) = line.split_once(' ')?;
            let event = places.iter().fold(event.to_owned(), |event, (url, name)| event.replace(url, name));
            // Without fingerprints and serial numbers, which are a date, a time and milliseconds.
            let mut follows_own = false;
            let words = event.split(' ').filter(|word| {
                let is_own = word.contains([':', '/', '-'])
                    && word.chars().any(|one| one.is_ascii_digit())
                    && !word.starts_with("sepm-");
                let is_rest = std::mem::replace(&mut follows_own, is_own) && word.len() == 3;
                !is_own && !is_rest
            });
            let event = words.collect::<Vec<_>>().join(" ");
            if event.contains("Received a new policy") {
                since_policy.clear();
            }
            since_policy.insert(event.clone()).then_some(event)
        });
        of_all.collect()
    };
    clients.map(events).into()
}

#[needs(postgres)]
#[test]
fn each_client_has_the_same_events_whether_the_managers_are_one_process_or_two() {
    let careful = [update(&["sepm-1"], POLICY_APPLIED), update(&["sepm-2"], POLICY_APPLIED)];
    let careless = [update(&["sepm-1", "sepm-2"], NO_SERVER)];
    let switched = [
        secure_communications(false),
        update(&["sepm-1", "sepm-2"], POLICY_APPLIED),
        secure_communications(true),
    ];
    let compare = |steps: &[Step], is_lost: bool| {
        let folders = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let (alone, several) = std::thread::scope(|scope| {
            let alone = scope.spawn(|| {
                let lab =
                    RunningLab::up(&["--managers", "2", "--agents", "0", "--heartbeat", "1", "--no-rest"]);
                played(steps, &[&Control(lab.url().to_owned())], &lab.ready["managers"], folders[0].path())
            });
            let several = scope.spawn(|| {
                let site = Site::found(2);
                let [first, second] = [1, 2].map(|number| site.start(number));
                let managers = json!([first.ready["managers"][0], second.ready["managers"][0]]);
                played(steps, &[&first, &second], &managers, folders[1].path())
            });
            (alone.join().unwrap(), several.join().unwrap())
        });
        assert_eq!(alone, several, "{steps:?}");
        for events in alone {
            let loses_all = events.iter().any(|event| event.starts_with(NO_SERVER));
            assert!(events.len() > 10 && loses_all == is_lost, "{events:#?}");
        }
    };
    // All wait for heartbeats most of the time.
    std::thread::scope(|scope| {
        scope.spawn(|| compare(&careful, false));
        scope.spawn(|| compare(&careless, true));
        scope.spawn(|| compare(&switched, false));
    });
}
