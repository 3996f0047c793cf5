//! Commands through the REST API, as real clients send them, to clients that carry them out.

use std::process::Command as Process;

use epm_client_agent::wire::Fleet;
use epm_fixtures::{needs, output};
use epm_protocol::assumption::Assumptions;
use epm_protocol::id::AgentId;
use epm_protocol::site::{Command, DEFAULT_GROUP, agent_id};
use epm_server::MockSite;
use epm_tests::rest_curl::{Rest, Said};
use epm_tests::{TestSite, profile};

/// A lab with a REST API and these clients.
struct Desk {
    lab: TestSite,
    fleet: Fleet,
    rest: Rest,
}

async fn desk(names: &[&str]) -> Desk {
    desk_of(names, MockSite::builder()).await
}

async fn desk_of(names: &[&str], builder: epm_server::MockSiteBuilder) -> Desk {
    let lab = TestSite::of(builder.rest_api(0)).await;
    let fleet = lab.fleet(names.iter().map(|name| lab.client(name, "14.3")).collect()).await;
    let rest = Rest::log_in(lab.site());
    Desk { lab, fleet, rest }
}

fn agent(name: &str) -> AgentId {
    agent_id(profile(name, "14.3").hardware_key)
}

impl Desk {
    fn quarantined(&self, n: usize) -> bool {
        self.fleet.members()[n].handle.view().quarantined
    }

    fn rows(&self, said: &Said, key: &str) -> Vec<serde_json::Value> {
        assert_eq!(said.status, 200, "{said:?}");
        let id = said.json[key].as_str().unwrap_or_else(|| panic!("{said:?}"));
        let page = self.rest.get(&format!("command-queue/{id}"));
        assert_eq!((page.status, &page.json["lastPage"]), (200, &true.into()), "{page:?}");
        page.json["content"].as_array().unwrap().clone()
    }
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_computer_is_quarantined_at_its_next_heartbeat_and_its_row_goes_from_0_to_3() {
    let desk = desk(&["one", "two"]).await;
    let said = desk.rest.post(&format!("command-queue/quarantine?computer_ids={}", agent("one")));
    let row = &desk.rows(&said, "commandID_computer")[0];
    assert_eq!(
        (&row["stateId"], &row["beginTime"], &row["lastUpdateTime"]),
        (&0.into(), &().into(), &().into())
    );
    assert_eq!((&row["subStateId"], &row["computerName"]), (&0.into(), &"one".into()));
    assert!(said.text.contains(r#""commandID_computer":""#) && !said.text.contains("commandID_group"));
    desk.lab.heartbeat(&desk.fleet).await;
    assert!(desk.quarantined(0) && !desk.quarantined(1));
    let desc = |name: &str| {
        desk.rest.get(&format!("computers?computerName={name}")).json["content"][0]["quarantineDesc"]
            .to_string()
    };
    assert!(desc("one").contains("quarantined") && desc("two").contains("disabled"));
    let computer = desk.rest.get("computers?computerName=one").json["content"][0].clone();
    assert_eq!(
        (&computer["uniqueId"], &computer["ipAddresses"][0]),
        (&row["computerId"], &row["computerIp"])
    );
    let row = &desk.rows(&said, "commandID_computer")[0];
    assert_eq!((&row["stateId"], &row["subStateId"]), (&3.into(), &0.into()));
    let begun = row["beginTime"].as_str().unwrap();
    assert!(begun.starts_with("2026-01-05T08:") && begun.ends_with('Z') && begun.len() == 20, "{begun}");
    let undo = desk.rest.post(&format!(
        "command-queue/quarantine?undo=True&hardware_ids={}",
        profile("one", "14.3").hardware_key
    ));
    desk.lab.heartbeat(&desk.fleet).await;
    assert!(!desk.quarantined(0));
    assert_eq!(desk.rows(&undo, "commandID_computer")[0]["stateId"], 3);
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_form_in_which_real_clients_name_computers_is_understood() {
    let desk = desk(&["one", "two"]).await;
    let (one, two) = (agent("one").to_string(), agent("two").to_string().to_lowercase());
    let at = "/sepm/api/v1/command-queue/updatecontent";
    let form = format!("computer_ids={one}&computer_ids={two}");
    let json = format!(r#"{{"computer_ids":["{one}","{two}"]}}"#);
    for (query, arguments) in [
        (format!("?computer_ids={one}&computer_ids={two}"), vec![]),
        (format!("?computer_ids={one},{two}&group_ids="), vec![]),
        (format!("?group_ids=&computer_ids={one}%20{two}"), vec![]),
        (format!("?computer_ids={one}+{two}&columns=x&domain_id="), vec![]),
        (format!("?computer_ids=%22{one}%22,%22{two}%22"), vec!["--data", "{}"]),
        (String::new(), vec!["--data", &form]),
        (String::new(), vec!["-H", "Content-Type: application/json; charset=utf-8", "--data", &json]),
    ] {
        let said = desk.rest.send("POST", &format!("{at}{query}"), &arguments);
        assert_eq!(desk.rows(&said, "commandID_computer").len(), 2, "{query} {arguments:?}");
    }
    desk.lab.heartbeat(&desk.fleet).await;
    assert!(desk.lab.site().client_status(agent("one")).unwrap().state.unwrap().content.is_some());
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_to_a_group_reaches_those_below_it_if_that_is_assumed() {
    for below in [true, false] {
        let assumptions = Assumptions { group_commands_reach_subgroups: below, ..Assumptions::default() };
        let desk = desk_of(&["one"], MockSite::builder().assumptions(assumptions)).await;
        let group = |path: &str| desk.lab.site().look(|site| site.groups().find(path).unwrap().id);
        desk.lab.apply(&Command::AddGroup { group: r"My Company\Empty".into(), inherits: true });
        let post = |id| desk.rest.post(&format!("command-queue/fullscan?group_ids={id}"));
        let count = |said: &Said| desk.rows(said, "commandID_group").len();
        assert_eq!(count(&post(group("My Company"))), usize::from(below));
        assert_eq!(count(&post(group(DEFAULT_GROUP))), 1);
        assert_eq!(count(&post(group(r"My Company\Empty"))), 0);
    }
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_command_does_not_arrive_and_a_scan_is_in_progress_for_a_heartbeat() {
    let desk = desk(&["one"]).await;
    let one = agent("one");
    let said = desk.rest.post(&format!("command-queue/quarantine?computer_ids={one}"));
    let id = said.json["commandID_computer"].as_str().unwrap();
    let cancelled = desk.rest.post(&format!("command-queue/{id}/cancel"));
    assert_eq!((cancelled.status, &cancelled.json["commandID"]), (200, &id.into()));
    let xml = "<?xml version=\"1.0\"?><EOC creator=\"x\"><Activity/></EOC>";
    let eoc = desk.rest.with("POST", &format!("command-queue/eoc?computer_ids={one}&group_ids="), xml);
    desk.lab.heartbeat(&desk.fleet).await;
    assert!(!desk.quarantined(0));
    assert_eq!(desk.rows(&said, "commandID_computer")[0]["stateId"], 5);
    assert_eq!(desk.rows(&eoc, "commandID_computer")[0]["stateId"], 2);
    desk.lab.heartbeat(&desk.fleet).await;
    assert_eq!(desk.rows(&eoc, "commandID_computer")[0]["stateId"], 3);
}

/// Downloads a file, restores it with the key in its archive, and prints it.
const UNPACKED: &str = r#"
import io, ssl, sys, urllib.request, xml.etree.ElementTree as tree, zipfile
request = urllib.request.Request(sys.argv[1], headers={"Authorization": "Bearer " + sys.argv[2]})
answer = urllib.request.urlopen(request, timeout=20, context=ssl._create_unverified_context())
archive = zipfile.ZipFile(io.BytesIO(answer.read()))
key = int(tree.fromstring(archive.read("metadata.xml")).find("File").attrib["Key"])
name = next(one for one in archive.namelist() if one != "metadata.xml")
content = bytes(one ^ key for one in archive.read(name))
print(answer.headers["Content-Type"], name, len(content), content.decode())
"#;

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_machine_is_named_by_its_mac_address_too_and_forgets_the_reputation_of_files() {
    let desk = desk(&["one", "two"]).await;
    let one = desk.rest.get("computers?computerName=one").json["content"][0].clone();
    let mac = one["macAddresses"][0].as_str().unwrap().to_owned();
    for mac in [mac.clone(), mac.to_lowercase().replace('-', ":"), mac.replace('-', "")] {
        let said = desk.rest.post(&format!("command-queue/quarantine?hardware_ids={mac}"));
        assert_eq!(desk.rows(&said, "commandID_computer")[0]["computerName"], "one", "{mac}");
    }
    // The stored answer of a public client for an address of another network.
    let said = desk.rest.post("command-queue/quarantine?hardware_ids=00-50-56-8B-A6-C3&undo=False");
    assert_eq!((said.status, said.text.as_str()), (200, "{}"));
    assert_eq!(desk.rest.post("command-queue/quarantine?hardware_ids=00-50-56-8B-A6").status, 400);
    let forget = |hashes: &str| {
        desk.rest.with("POST", &format!("command-queue/ironcache?computer_ids={}", agent("two")), hashes)
    };
    let said = forget(&format!(r#"{{"hashType":"sha256","data":["{}"]}}"#, "e3".repeat(32)));
    for body in [r#"{"hashType":"sha256","data":["e3"]}"#, r#"{"hashType":"crc"}"#, "[]"] {
        assert_eq!(forget(body).status, 400, "{body}");
    }
    assert_eq!(forget("").status, 200);
    desk.lab.heartbeat(&desk.fleet).await;
    assert!(desk.quarantined(0) && !desk.quarantined(1));
    assert_eq!(desk.rows(&said, "commandID_computer")[0]["stateId"], 3);
}

#[needs(curl, python3)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_was_asked_for_has_an_identifier_details_and_content_when_it_has_come() {
    let desk = desk(&["one"]).await;
    let sum = "AB".repeat(32);
    let path = format!(
        "command-queue/files?file_path=c%3A%5Ctemp%5Cx.exe&computer_ids={}&sha256={sum}",
        agent("one")
    );
    let said = desk.rest.post(&path);
    assert!(desk.rows(&said, "commandID")[0]["binaryFileId"].is_null());
    desk.lab.heartbeat(&desk.fleet).await;
    let file = desk.rows(&said, "commandID")[0]["binaryFileId"].as_str().unwrap().to_owned();
    let details = desk.rest.get(&format!("command-queue/file/{file}/details"));
    assert_eq!(
        (details.status, &details.json["checksum"], &details.json["id"]),
        (200, &sum.as_str().into(), &file.as_str().into())
    );
    let size = details.json["fileSize"].as_u64().unwrap();
    assert!(size > 0);
    // An archive with the file and the key that restores it, as a public client reads it.
    let at = format!("{}/sepm/api/v1/command-queue/file/{}/content", desk.rest.base, file.as_str());
    let out = output(Process::new("python3").args(["-c", UNPACKED, &at, desk.rest.token()]));
    let said = String::from_utf8_lossy(&out.stdout);
    let whole = r"epm-lab: the file c:\temp\x.exe of an emulated machine";
    assert_eq!(said.trim(), format!("application/octet-stream {sum} {size} {whole}"), "{out:?}");
    // Without the assumption it is the file itself.
    let plain = Assumptions { rest_file_is_zipped: false, ..Assumptions::default() };
    let other = desk_of(&["one"], MockSite::builder().assumptions(plain)).await;
    let said = other.rest.post(&path);
    other.lab.heartbeat(&other.fleet).await;
    let file = other.rows(&said, "commandID")[0]["binaryFileId"].as_str().unwrap().to_owned();
    let content = other.rest.get(&format!("command-queue/file/{file}/content"));
    assert_eq!((content.status, content.text.trim_end()), (200, whole));
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_commanded_is_refused_in_the_products_shape_and_nothing_happens() {
    let desk = desk(&["one"]).await;
    let unknown_id = "0".repeat(32);
    let unknown = desk.rest.post(&format!("command-queue/quarantine?computer_ids={unknown_id}"));
    assert_eq!((unknown.status, unknown.text.as_str()), (200, "{}"));
    let one = agent("one");
    for (status, said) in [
        (400, desk.rest.post("command-queue/quarantine?computer_ids=7")),
        (400, desk.rest.post("command-queue/quarantine?computer_ids=&group_ids=")),
        (400, desk.rest.post("command-queue/activescan")),
        (400, desk.rest.post(&format!("command-queue/quarantine?computer_ids={one}&undo=perhaps"))),
        (400, desk.rest.with("POST", &format!("command-queue/eoc?computer_ids={one}"), "{}")),
        (400, desk.rest.post(&format!("command-queue/files?computer_ids={one}"))),
        (400, desk.rest.get("command-queue/7")),
        (404, desk.rest.get(&format!("command-queue/{unknown_id}"))),
        (404, desk.rest.post(&format!("command-queue/{unknown_id}/cancel"))),
        (410, desk.rest.get(&format!("command-queue/file/{unknown_id}/details"))),
    ] {
        assert_eq!((said.status, &said.json["errorCode"]), (status, &status.to_string().into()), "{said:?}");
        assert!(said.content_type.contains("json") && said.json["errorMessage"].is_string(), "{said:?}");
    }
    desk.lab.heartbeat(&desk.fleet).await;
    assert!(!desk.quarantined(0));
}
