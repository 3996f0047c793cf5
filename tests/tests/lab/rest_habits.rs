//! What real clients send to the REST API, and what they read in its answers, habit by habit: a script that needs only
//! Python, with TLS verified.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command as Process, Stdio};

use epm_fixtures::needs;
use epm_protocol::assumption::{Assumptions, PolicyReference};
use epm_protocol::site::TOP_GROUP;
use epm_server::MockSite;
use epm_tests::rest_curl::Rest;
use epm_tests::{MANAGER, TestSite};
use serde_json::{Value, json};

const SCRIPT: &str = include_str!("../../clients/habits.py");
/// The number of habits.
const HABITS: usize = 25;

#[needs(curl, python3)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_real_clients_send_is_answered_as_they_read_it() {
    let lab = TestSite::of(MockSite::builder().rest_api(0)).await;
    let fleet = lab.fleet(vec![lab.client("one", "14.3"), lab.client("two", "14.3")]).await;
    let folder = tempfile::tempdir().unwrap();
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, lab.site().certificate(MANAGER).unwrap().to_pem()).unwrap();
    let base = lab.site().addresses()[0].rest.clone().unwrap();
    let mut python = Process::new("python3");
    python.args(["-c", SCRIPT, &base]).arg(&authority).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut python = python.spawn().unwrap();
    let mut outcomes = Vec::new();
    for line in BufReader::new(python.stdout.take().unwrap()).lines() {
        let said: Value = serde_json::from_str(&line.unwrap()).unwrap();
        if said["ready"] == true {
            // A scan is in progress for a heartbeat, and completed at the next.
            lab.heartbeat(&fleet).await;
            lab.heartbeat(&fleet).await;
            python.stdin.take().unwrap().write_all(b"\n").unwrap();
        } else {
            outcomes.push(said);
        }
    }
    assert!(python.wait().unwrap().success());
    let otherwise: Vec<&Value> = outcomes.iter().filter(|one| one["outcome"] != "ok").collect();
    assert!(otherwise.is_empty(), "{otherwise:#?}");
    assert_eq!(outcomes.len(), HABITS);
}

/// A lab with other assumptions.
async fn lab_that_assumes(assumed: Value) -> (TestSite, Rest) {
    let assumptions: Assumptions = serde_json::from_value(assumed).unwrap();
    let lab = TestSite::of(MockSite::builder().assumptions(assumptions).rest_api(0)).await;
    let rest = Rest::log_in(lab.site());
    (lab, rest)
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_recorded_of_the_rest_api_is_as_it_is_assumed() {
    let (lab, rest) = lab_that_assumes(json!({
        "rest_group_name_taken_status": 409,
        "rest_administrator_taken_status": 409,
        "rest_policy_name_taken_status": 409,
        "rest_inheriting_group_status": 423,
        "rest_unknown_list_status": 410,
        "rest_group_in_use_status": 409,
        "rest_unknown_objects": "gone",
        "rest_wrong_method_status": 501,
        "rest_lockdown_again_status": 400,
        "rest_move_status": 200,
        "rest_slashes_do_not_count": false,
        "rest_largest_page": 1,
        "rest_page_zero_is_refused": false,
        "rest_groups_in_order_of_paths": false,
        "rest_assigned_policies": PolicyReference::Name,
        "rest_assigned_policy": PolicyReference::Address,
        "rest_double_slash_is_refused": false,
        "rest_empty_lists_are_null": false,
        "rest_password_plus_is_space": true,
        "rest_license_seats": 5,
        "rest_license_serial": "L",
        "rest_trial_days": 1,
        "rest_event_subject": "S",
        "rest_database_instance": "I",
        "rest_database_port": 1433,
        "rest_old_clients_days": 3,
        "rest_location_rules": "<R/>",
        "rest_settings": { "configuration": { "general_settings": { "security_settings": { "stopped_mode": "BLOCK" } } } },
    }))
    .await;
    let top = lab.site().look(|site| site.groups().find(TOP_GROUP).unwrap().id.to_string());
    let unknown_id = "0".repeat(32);
    let body = r#"{"name":"Halls","inherits":true}"#;
    let halls = rest.with("POST", &format!("groups/{top}"), body).json["id"].as_str().unwrap().to_owned();
    let list = r#"{"configuration":{"communication_settings":{"sem_server":{"name":"None"}}}}"#;
    let off =
        r#"{"configuration":{"general_settings":{"security_settings":{"secure_communications":false}}}}"#;
    let made = rest.with("POST", "policy-objects/fingerprints", r#"{"name":"x","data":[]}"#).json["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let lockdown = format!("groups/{top}/system-lockdown/fingerprints/{made}");
    assert_eq!(rest.with("PUT", &lockdown, "").status, 200);
    let kim = r#"{"loginName":"admin","password":"12345678","adminType":1}"#;
    for (status, said) in [
        (409, rest.with("POST", &format!("groups/{top}"), body)),
        (409, rest.with("PATCH", &format!("groups/{halls}"), r#"{"name":"Default Group"}"#)),
        (409, rest.with("POST", "admin-users", kim)),
        (409, rest.with("POST", "policies/exceptions", r#"{"name":"Exceptions policy"}"#)),
        (423, rest.with("PATCH", &format!("groups/{halls}/locations/default/settings"), off)),
        (423, rest.with("PUT", &format!("groups/{halls}/external-communication"), "{}")),
        (410, rest.with("PATCH", &format!("groups/{top}/locations/default/settings"), list)),
        (409, rest.with("DELETE", &format!("groups/{top}"), "")),
        (410, rest.get(&format!("command-queue/{unknown_id}"))),
        (410, rest.post(&format!("command-queue/{unknown_id}/cancel"))),
        (410, rest.get(&format!("command-queue/file/{unknown_id}/details"))),
        (410, rest.get(&format!("groups/{top}/locations/{unknown_id}/settings"))),
        (410, rest.get(&format!("domains/{unknown_id}"))),
        (501, rest.with("PUT", "computers", "")),
        (400, rest.with("PUT", &lockdown, "")),
    ] {
        assert_eq!((said.status, &said.json["errorCode"]), (status, &status.to_string().into()), "{said:?}");
    }
    assert_eq!((rest.with("PATCH", "computers", "[]").status, rest.get("groups/").status), (200, 404));
    let page = rest.get("groups?pageIndex=0&pageSize=9").json;
    assert_eq!((&page["content"][0]["name"], &page["size"]), (&"Default Group".into(), &1.into()));
    let at = format!("groups/{top}/locations/default/policies");
    assert_eq!(rest.get(&at).json[0], "Memory Exploit Mitigation policy");
    assert!(rest.get(&format!("{at}/fw")).json.as_str().unwrap().ends_with("/policies/fw"));
    assert_eq!(rest.get("stats/client/version").json["clientVersionList"], json!([]));
    let with_space = r#"{"loginName":"kim","password":"two words","adminType":3}"#;
    assert_eq!(rest.with("POST", "admin-users", with_space).json["adminType"], 3);
    let plus = r#"{"username":"kim","password":"two+words"}"#;
    assert_eq!(rest.with("POST", "identity/authenticate", plus).status, 200);
    let license = rest.get("licenses").json[0].clone();
    assert_eq!((&license["seats"], &license["serialNumber"]), (&5.into(), &"L".into()));
    let lasts = license["expireDate"].as_i64().unwrap() - license["startDate"].as_i64().unwrap();
    assert_eq!(lasts, 86_400_000);
    let settings = rest.get(&format!("groups/{top}/locations/default/settings")).json;
    let security = &settings["configuration"]["general_settings"]["security_settings"];
    assert_eq!(
        (&security["stopped_mode"], &security["secure_communications"]),
        (&"BLOCK".into(), &true.into())
    );
    assert_eq!(rest.get("events/critical").json["criticalEventsInfoList"][0]["subject"], "S");
    let database = rest.get("admin/database").json;
    assert_eq!((&database["instanceName"], &database["port"]), (&"I".into(), &1433.into()));
    let domain = rest.get("domains").json[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(rest.get(&format!("domains/{domain}")).json["deleteOldClientsDays"], 3);
    let location = lab.site().look(|site| site.groups().find(TOP_GROUP).unwrap().own.locations["Default"].id);
    let rules = rest.get(&format!("groups/{top}/locations/{location}/xml"));
    assert_eq!(rules.json["location_rules_xml"], "<R/>", "{rules:?}");
}

/// A kept connection: a POST, then another request.
const KEPT: &str = r#"
import http.client, json, ssl, sys
host = sys.argv[1].removeprefix("https://")
connection = http.client.HTTPSConnection(host, context=ssl._create_unverified_context(), timeout=30)
body = json.dumps({"username": "admin", "password": "epm-lab"})
connection.request("POST", "/sepm/api/v1/identity/authenticate", body, {"Content-Type": "application/json"})
token = json.loads(connection.getresponse().read())["token"]
held = connection.sock
try:
    connection.request("GET", "/sepm/api/v1/groups", headers={"Authorization": "Bearer " + token})
    print(connection.getresponse().status, connection.sock is held)
except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
    print("dropped")
"#;

#[needs(curl, python3)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_has_carried_a_post_is_dropped_if_that_is_assumed() {
    for (drops, expected) in [(false, "200 True"), (true, "dropped")] {
        let (lab, rest) = lab_that_assumes(json!({ "rest_drops_connection_after_post": drops })).await;
        let out = Process::new("python3").args(["-c", KEPT, &rest.base]).output().unwrap();
        let said = String::from_utf8_lossy(&out.stdout);
        assert_eq!(said.trim(), expected, "{}", String::from_utf8_lossy(&out.stderr));
        drop(lab);
    }
}
