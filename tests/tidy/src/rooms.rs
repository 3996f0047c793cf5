//! Who may import whom: the floors of `protocol`, the rooms that stay pure, the one owner of a site's state, and circles of files.

use std::collections::BTreeSet;

use crate::circles;
use crate::scanner::{code, names, paths, shipped};
use crate::{File, Violation, holds_everywhere, is_rust, is_test, lines_refused, workspace};

/// The modules that each module of `protocol` may import. A new module must be added here.
pub(crate) const FLOORS: &[(&str, &[&str])] = &[
    (
        "manager",
        &["site", "fault", "heartbeat", "policy", "trust", "assumption", "id", "time", "version", "excerpt"],
    ),
    (
        "site",
        &[
            "heartbeat",
            "policy",
            "sylink",
            "trust",
            "assumption",
            "id",
            "time",
            "version",
            "suggest",
            "excerpt",
        ],
    ),
    ("installation", &["trust", "id", "excerpt"]),
    (
        "fault",
        &[
            "heartbeat",
            "policy",
            "sylink",
            "trust",
            "id",
            "time",
            "version",
            "suggest",
            "name",
            "glob",
            "excerpt",
        ],
    ),
    ("heartbeat", &["policy", "sylink", "trust", "id", "time", "version", "excerpt"]),
    ("policy", &["sylink", "id", "time", "suggest", "excerpt"]),
    ("sylink", &["id", "time", "excerpt"]),
    ("assumption", &["assume", "statement", "suggest", "trust", "version", "excerpt"]),
    ("assume", &[]),
    ("statement", &[]),
    ("trust", &["id", "time", "excerpt"]),
    ("id", &["excerpt"]),
    ("time", &["excerpt"]),
    ("version", &["excerpt"]),
    ("suggest", &["excerpt"]),
    ("glob", &[]),
    ("plural", &[]),
    ("excerpt", &[]),
    ("name", &[]),
    ("plain", &[]),
];

/// A folder, the names that its shipped code must not use, and where they belong instead.
pub(crate) const ROOMS: &[(&str, &[&str], &str)] = &[
    (
        "protocol/src/",
        &[
            "tokio",
            "std::fs",
            "std::env",
            "std::net::TcpStream",
            "std::net::TcpListener",
            "std::net::UdpSocket",
        ],
        "protocol decides and never waits: take it as an argument, and let a folder named wire fetch it",
    ),
    (
        "server/src/",
        &["tamper::alter", "tamper::instead", "Site::admit"],
        "what a manager does with a request stands once, for both drivers: call epm_protocol::manager",
    ),
    (
        "client-agent/src/",
        &["tamper::alter", "tamper::instead", "Site::admit"],
        "what a manager does with a request stands once, for both drivers: call epm_protocol::manager",
    ),
    (
        "server/src/rest_api/",
        &["crate::control_api", "crate::cli", "MockSite"],
        "the product's API knows nothing of the lab's own: what both need is in runtime",
    ),
    (
        "server/src/control_api/",
        &["crate::rest_api", "crate::cli"],
        "the lab's own API knows nothing of the product's: what both need is in runtime",
    ),
    (
        "server/src/lab/",
        &["crate::rest_api", "crate::control_api", "crate::cli"],
        "a lab is driven by the APIs and the command line, and knows none of them",
    ),
    (
        "server/src/page/",
        &["crate::lab", "crate::control_api", "crate::runtime", "crate::cli", "MockSite", "tokio"],
        "a view is a function of JSON: take it as an answer, and let control_api/page.rs ask for it",
    ),
    (
        "client-agent/src/agent/",
        PURE,
        "the agent is a value: take it as an argument or an input, and let client-agent/src/wire fetch it",
    ),
    (
        "client-agent/src/rehearsal/",
        PURE,
        "a rehearsal has no clock but its own: take it as an argument, and let the program fetch it",
    ),
    (
        "client-agent/src/catalogue/",
        PURE,
        "the catalogue is compiled in and plays in virtual time: let the program bring sockets, and hand in what was seen",
    ),
    (
        "client-agent/src/cause/",
        PURE,
        "a cause is told from what was recorded: take it as an argument, and let the driver record it",
    ),
    (
        "client-agent/src/scenario/",
        PURE,
        "a scenario is read from text and runs in any time: let the program open the file, and the clock be handed in",
    ),
];

/// A folder, the crates that no path in its shipped code may begin with, and where they belong instead.
pub(crate) const CRATES_OF_ROOMS: &[(&str, &[&str], &str)] = &[
    ("server/src/lab/", &["axum", "hyper", "http"], "a lab knows no HTTP: let the APIs and wire bring it"),
    ("server/src/page/", &["axum", "hyper", "http"], "a view knows no HTTP: control_api/page.rs serves it"),
];

/// The state of a site, the only folder that may have it, and how the paths of its only owner begin.
pub(crate) const STATE: (&str, &str, &str) = ("SiteState", "server/src/runtime/", "server/src/mock_site");

/// The folder of the reports, and what it may use of a rehearsal: the outcome and its parts.
pub(crate) const REPORT: &str = "client-agent/src/report/";

const OUTCOME: &[&str] =
    &["Outcome", "StepOutcome", "AtRisk", "Course", "InForce", "RunInfo", "Sweep", "SweepPoint", "Spread"];

/// The sources of each crate, and the allowed circles of files, each with its reason: its files, or a folder that
/// contains them and ends in `/`.
pub(crate) const SOURCES: &[&str] = &["protocol/src/", "client-agent/src/", "server/src/"];

const CIRCLES: &[(&[&str], &str)] = &[(
    &["server/src/wire/clients_port.rs", "server/src/wire/faults/mod.rs", "server/src/wire/faults/tls.rs"],
    "a fault of the connection wraps the conversation, and the conversation asks the faults",
)];

const PURE: &[&str] = &[
    "tokio",
    "std::fs",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "SystemTime",
    "Instant",
    "crate::wire",
];

fn imports_go_down(file: &File) -> Vec<Violation> {
    let Some(place) = file.path.strip_prefix("protocol/src/").filter(|it| it.ends_with(".rs")) else {
        return Vec::new();
    };
    let own = place.split('/').next().unwrap_or(place).trim_end_matches(".rs");
    if own == "lib" {
        return Vec::new();
    }
    let Some((_, below)) = FLOORS.iter().find(|(module, _)| *module == own) else {
        return vec![(1, format!("{own} has no floor: add it to FLOORS in tests/tidy/src/rooms.rs"))];
    };
    // The number of modules from which `super::super::` reaches the root of the crate.
    let depth = place.trim_end_matches("/mod.rs").split('/').count();
    let mut found = Vec::new();
    for (line, path) in paths(&code(&file.text)) {
        let above = path.split("::").take_while(|it| *it == "super").count();
        let target = match path.split("::").collect::<Vec<_>>()[..] {
            ["crate", target, ..] => target,
            _ if above >= depth => path.split("::").nth(above).unwrap_or_default(),
            _ => continue,
        };
        let is_module = FLOORS.iter().any(|(module, _)| *module == target);
        if is_module && target != own && !below.contains(&target) {
            found.push((
                line,
                format!("{own} may not import {target}: move what both need below both, or this up"),
            ));
        }
    }
    found
}

fn rooms_stay_pure(file: &File) -> Vec<Violation> {
    let mut found = Vec::new();
    for (room, never, instead) in ROOMS {
        if !is_rust(file) || is_test(file) || !file.path.starts_with(room) {
            continue;
        }
        for (line, path) in paths(&shipped(&code(&file.text))) {
            if let Some(word) = never.iter().find(|word| names(&path, word)) {
                found.push((line, format!("`{word}` is not for {room}: {instead}")));
            }
        }
    }
    found
}

fn rooms_do_without_crates(file: &File) -> Vec<Violation> {
    let mut found = Vec::new();
    for (room, never, instead) in CRATES_OF_ROOMS {
        if !is_rust(file) || is_test(file) || !file.path.starts_with(room) {
            continue;
        }
        for (line, path) in paths(&shipped(&code(&file.text))) {
            let root = path.split_once("::").map_or("", |(root, _)| root);
            if never.contains(&root) {
                found.push((line, format!("`{root}` is not for {room}: {instead}")));
            }
        }
    }
    found
}

fn only_the_runtime_has_the_state(file: &File) -> Vec<Violation> {
    let (state, home, owner) = STATE;
    let is_allowed = file.path.starts_with(home) || file.path.starts_with(owner);
    if !is_rust(file) || !file.path.starts_with("server/src/") || is_allowed {
        return Vec::new();
    }
    let say = |(line, _)| (line, format!("`{state}` stays in {home}: hand over what is used of it"));
    paths(&code(&file.text)).into_iter().filter(|(_, path)| names(path, state)).map(say).collect()
}

fn reports_know_the_outcome(file: &File) -> Vec<Violation> {
    if !is_rust(file) || is_test(file) || !file.path.starts_with(REPORT) {
        return Vec::new();
    }
    let wrong = |(line, path): (usize, String)| {
        let mut segments = path.split("::").skip_while(|segment| *segment != "rehearsal").skip(1);
        let name =
            if names(&path, "rehearsal") { segments.next().unwrap_or("rehearsal") } else { return None };
        let say = format!(
            "a report knows of a rehearsal only the outcome, and not `{name}`: put it into the outcome"
        );
        (!OUTCOME.contains(&name)).then_some((line, say))
    };
    paths(&shipped(&code(&file.text))).into_iter().filter_map(wrong).collect()
}

/// Whether all files of a circle are named, each by itself or by a folder.
fn is_named(circle: &BTreeSet<&str>, named: &[&str]) -> bool {
    let is_there =
        |path: &str| named.iter().any(|one| path == *one || one.ends_with('/') && path.starts_with(one));
    circle.iter().all(|path| is_there(path))
}

#[test]
fn imports_between_modules_of_protocol_go_down() {
    holds_everywhere(imports_go_down);
}

#[test]
fn an_import_that_goes_up_is_refused() {
    let refused = |path, text| lines_refused(imports_go_down, path, text);
    assert_eq!(refused("protocol/src/trust/judge.rs", "use crate::id::SiteId;\nuse crate::site::Site;"), [2]);
    let nested = "use crate::{\n  time::{Timestamp, Span},\n  policy::{\n    Policy,\n    settings::Heartbeat,\n  },\n};";
    assert_eq!(refused("protocol/src/sylink/mod.rs", nested), [4, 5]);
    assert_eq!(
        refused("protocol/src/id.rs", "fn f() -> crate::time::Timestamp { super::trust::now() }"),
        [1, 1]
    );
    assert_eq!(refused("protocol/src/trust/pool/mod.rs", "use super::super::site::Site;"), [1]);
    assert_eq!(
        refused("protocol/src/trust/judge.rs", "//! [`crate::site`]\nuse super::certificate::Pins;"),
        []
    );
    assert_eq!(
        refused("protocol/src/site/mod.rs", "use crate::policy::Policy;\nuse crate::site::group;"),
        []
    );
    assert_eq!(refused("protocol/src/cellar.rs", "//! New here."), [1]);
}

#[test]
fn rooms_that_decide_do_not_wait() {
    holds_everywhere(rooms_stay_pure);
}

#[test]
fn a_room_that_waits_is_refused() {
    let refused = |path, text| lines_refused(rooms_stay_pure, path, text);
    let bad = "use std::net::IpAddr;\nuse std::{fmt, fs::File, net::{TcpStream, Ipv4Addr}};\nuse std::env;";
    assert_eq!(refused("protocol/src/id.rs", bad), [2, 2, 3]);
    let bad = "fn now() -> Instant {\n  tokio::spawn(f);\n  crate::wire::clock::now()\n}";
    assert_eq!(refused("client-agent/src/agent/mod.rs", bad), [1, 2, 3]);
    assert_eq!(refused("client-agent/src/scenario/read.rs", bad), [1, 2, 3]);
    assert_eq!(refused("client-agent/src/wire/clock.rs", bad), []);
    let tested = "#[cfg(test)]\nuse std::fs;\nuse std::fs;\n#[cfg(test)]\nmod tests {\n  use std::fs;\n}\nuse std::fs;";
    assert_eq!(refused("protocol/src/id.rs", tested), [3, 8]);
    assert_eq!(refused("protocol/src/sylink/tests.rs", tested), []);
}

#[test]
fn rooms_without_http_have_none() {
    holds_everywhere(rooms_do_without_crates);
}

#[test]
fn a_driver_that_does_what_a_manager_does_is_refused() {
    let bad = "use epm_protocol::fault::tamper::{self, Tampered, alter};\nuse epm_protocol::fault::tamper::Tampered;\ntamper::instead(hit);";
    for path in ["server/src/wire/faults/exchange.rs", "client-agent/src/rehearsal/faulted.rs"] {
        assert_eq!(lines_refused(rooms_stay_pure, path, bad), [1, 3]);
    }
}

#[test]
fn http_in_a_room_without_it_is_refused() {
    let bad = "use axum::{Json, extract::State};\nfn f(http: u16) -> hyper::Method {}\nuse epm_protocol::heartbeat::http;";
    assert_eq!(lines_refused(rooms_do_without_crates, "server/src/lab/clock.rs", bad), [1, 1, 2]);
    assert_eq!(lines_refused(rooms_do_without_crates, "server/src/control_api/clock.rs", bad), []);
    let apis = "use crate::control_api::Problem;\nuse crate::{lab, rest_api::http};";
    assert_eq!(lines_refused(rooms_stay_pure, "server/src/rest_api/mod.rs", apis), [1]);
    assert_eq!(lines_refused(rooms_stay_pure, "server/src/control_api/mod.rs", apis), [2]);
    assert_eq!(lines_refused(rooms_stay_pure, "server/src/lab/mod.rs", apis), [1, 2]);
}

#[test]
fn the_whole_state_of_a_site_is_in_the_runtime_alone() {
    holds_everywhere(only_the_runtime_has_the_state);
}

#[test]
fn whoever_else_has_the_state_is_refused() {
    let bad = "use crate::runtime::state::{Clients, SiteState};\n// SiteState\nfn f(state: &SiteState) {}";
    assert_eq!(lines_refused(only_the_runtime_has_the_state, "server/src/lab/mod.rs", bad), [1, 3]);
    assert_eq!(lines_refused(only_the_runtime_has_the_state, "server/src/runtime/manager.rs", bad), []);
}

#[test]
fn a_report_knows_only_the_outcome() {
    holds_everywhere(reports_know_the_outcome);
}

#[test]
fn a_report_that_knows_more_is_refused() {
    let bad = "use crate::rehearsal::{Outcome, world::World};\nuse super::words;\nlet a = crate::rehearsal::AtRisk::new();\n\
               use crate::rehearsal::Casting;\nuse crate::rehearsal;";
    assert_eq!(lines_refused(reports_know_the_outcome, "client-agent/src/report/csv.rs", bad), [1, 4, 5]);
    assert_eq!(lines_refused(reports_know_the_outcome, "client-agent/src/rehearsal/run.rs", bad), []);
}

#[test]
fn there_is_no_circle_of_files_but_those_that_must_be() {
    let files = workspace();
    let found: Vec<_> = SOURCES.iter().flat_map(|sources| circles::circles(&files, sources)).collect();
    let wrong: Vec<_> =
        found.iter().filter(|circle| !CIRCLES.iter().any(|(named, _)| is_named(circle, named))).collect();
    assert!(wrong.is_empty(), "move what both need below both, or name the circle in CIRCLES: {wrong:#?}");
    for (named, _) in CIRCLES {
        let is_there = found.iter().any(|circle| is_named(circle, named));
        assert!(is_there, "{named:?} is in CIRCLES, and is no circle any more");
    }
}

#[test]
fn a_circle_is_named_by_its_files_or_by_their_folder() {
    let circle = BTreeSet::from(["server/src/cli/mod.rs", "server/src/cli/up.rs"]);
    assert!(is_named(&circle, &["server/src/cli/"]));
    assert!(is_named(&circle, &["server/src/cli/up.rs", "server/src/cli/mod.rs", "server/src/main.rs"]));
    assert!(!is_named(&circle, &["server/src/cli/up.rs"]) && !is_named(&circle, &["server/src/cl"]));
}
