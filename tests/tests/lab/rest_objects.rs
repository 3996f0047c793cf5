//! Policies, fingerprint lists, administrators and the console's data on the installation, called with curl.

use epm_fixtures::needs;
use epm_protocol::site::{Command, DEFAULT_GROUP, TOP_GROUP};
use epm_tests::TestSite;
use epm_tests::rest_curl::{Said, lab};
use serde_json::Value;

fn content(said: &Said) -> Vec<Value> {
    assert_eq!(said.status, 200, "{said:?}");
    said.json["content"].as_array().unwrap().clone()
}

fn refused(said: &Said, status: u16) {
    assert_eq!((said.status, &said.json["errorCode"]), (status, &status.to_string().into()), "{said:?}");
    assert!(said.json["errorMessage"].is_string() && said.content_type.contains("json"), "{said:?}");
}

fn group(lab: &TestSite, path: &str) -> String {
    lab.site().look(|site| site.groups().find(path).unwrap().id.to_string())
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fresh_installation_has_fifteen_policies_and_management_server_lists_are_refused() {
    let (lab, rest) = lab().await;
    let all = rest.get("policies/summary?domainId=&columns=x");
    assert_eq!(content(&all).len(), 15);
    assert_eq!(
        (&all.json["size"], &all.json["sort"], &all.json["lastPage"]),
        (&15.into(), &Value::Null, &true.into())
    );
    let page = rest.get("policies/summary?pageIndex=2&pageSize=10");
    assert_eq!((content(&page).len(), &page.json["number"]), (5, &1.into()));
    for (kind, count) in
        [("av", 3), ("fw", 2), ("mem", 1), ("ntr", 1), ("hid", 1), ("upgrade", 1), ("lucontent", 1)]
    {
        let some = content(&rest.get(&format!("policies/summary/{kind}")));
        assert_eq!(some.len(), count, "{kind}");
        assert!(some.iter().all(|one| one["policytype"] == kind && one["subtype"].is_null()));
    }
    let msl = rest.get("policies/summary/msl");
    refused(&msl, 400);
    assert_eq!(
        msl.text,
        r#"{"errorCode":"400","appErrorCode":"","errorMessage":"The policy type argument is invalid."}"#
    );
    let firewall = &content(&rest.get("policies/summary/fw"))[0];
    let assigned = firewall["assignedtolocations"].as_array().unwrap();
    assert!(assigned.iter().any(|one| one["groupId"] == group(&lab, TOP_GROUP).as_str()), "{firewall}");
    let id = firewall["id"].as_str().unwrap();
    let raw = rest.get(&format!("policies/raw/fw/{id}"));
    let start = r#"{"policy_xml":"<?xml version=\"1.0\" encoding=\"UTF-8\"?><SchemaContainer "#;
    assert!(raw.status == 200 && raw.text.starts_with(start), "{raw:?}");
    assert_eq!(rest.get(&format!("policies/firewall/{}", id.to_lowercase())).json["name"], "Firewall policy");
    refused(&rest.get(&format!("policies/raw/av/{id}")), 404);
    refused(&rest.get(&format!("policies/firewall/{}", "0".repeat(32))), 400);
    refused(&rest.get("policies/firewall/7"), 400);
    assert!(content(&rest.get("policies/policy-objects/hostgroups/summary?pageSize=500")).is_empty());
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_assigned_policy_shows_where_it_is_and_reaches_the_clients_as_a_new_serial() {
    let (lab, rest) = lab().await;
    let fleet = lab.fleet(vec![lab.client("one", "14.3")]).await;
    let serial = || fleet.members()[0].handle.view().serial.unwrap();
    let before = serial();
    let top = group(&lab, TOP_GROUP);
    let quarantine = content(&rest.get("policies/summary/fw"))[1]["id"].as_str().unwrap().to_owned();
    let at = format!("groups/{top}/locations/default/policies");
    let list = rest.get(&at);
    assert!(
        list.json.as_array().unwrap().iter().all(|one| one.as_str().unwrap().contains("/policies/")),
        "{list:?}"
    );
    assert_ne!(rest.get(&format!("{at}/fw")).json, quarantine.as_str());
    let put = rest.with("PUT", &format!("{at}/fw"), &format!(r#"{{"id":"{quarantine}"}}"#));
    assert_eq!((put.status, put.text.as_str()), (200, "\"\""));
    assert_eq!(rest.get(&format!("{at}/fw")).json, quarantine.as_str());
    let rows = content(&rest.get("policies/summary/fw"));
    assert_eq!(rows[1]["assignedtolocations"][0]["groupId"], top.as_str(), "{rows:?}");
    lab.heartbeat(&fleet).await;
    assert!(serial() > before, "the client has the new policy");
    let below = format!("groups/{}/locations/default/policies/fw", group(&lab, DEFAULT_GROUP));
    assert_eq!(rest.get(&below).json, quarantine.as_str(), "a group that inherits shows what is inherited");
    refused(&rest.with("PUT", &below, &format!(r#"{{"id":"{quarantine}"}}"#)), 400);
    refused(&rest.with("PUT", &format!("{at}/av"), &format!(r#"{{"id":"{quarantine}"}}"#)), 400);
    refused(&rest.with("PUT", &format!("{at}/fw"), &format!(r#"{{"id":"{}"}}"#, "0".repeat(32))), 400);
    refused(&rest.with("PUT", &format!("{at}/fw"), "[]"), 400);
    refused(&rest.get(&format!("groups/{}/locations/default/policies", "0".repeat(32))), 410);
    refused(&rest.get(&format!("groups/{top}/locations/{}/policies/fw", "0".repeat(32))), 410);
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fingerprint_list_is_made_read_changed_locked_down_to_and_removed() {
    let (lab, rest) = lab().await;
    let at = "policy-objects/fingerprints";
    let (one, two) = ("582f9b6a".repeat(4), "0A041471".repeat(4));
    let body = format!(
        r#"{{"name":"bad","description":"d","domainId":null,"hashType":"MD5","data":["{one}","{one}"]}}"#
    );
    let made = rest.with("POST", at, &body);
    let id = made.json["id"].as_str().unwrap_or_else(|| panic!("{made:?}")).to_owned();
    refused(&rest.with("POST", at, &body), 409);
    let expected = format!(
        r#"{{"id":"{id}","name":"bad","description":"d","hashType":"MD5","source":"WEBSERVICE","groupIds":[],"data":["{}"]}}"#,
        one.to_uppercase()
    );
    assert_eq!(rest.get(&format!("{at}?name=bad&domainId=")).text, expected);
    assert_eq!(rest.get(&format!("{at}/{}", id.to_lowercase())).text, expected);
    let v2 = |method: &str, body: &str| {
        rest.send(method, &format!("/sepm/api/v2/{at}/{id}"), &["--data", body]).json
    };
    assert_eq!(v2("GET", "")["data"][0]["MD5"], one.to_uppercase());
    let update = rest.with(
        "POST",
        &format!("{at}/{id}"),
        &format!(r#"{{"name":"bad","hashType":"MD5","data":["{two}"]}}"#),
    );
    assert_eq!((update.status, update.text.as_str()), (200, "\"\""));
    let sum = "AB".repeat(32);
    assert_eq!(v2("POST", &format!(r#"{{"name":"bad","data":[{{"MD5":"{two}","SHA256":"{sum}"}}]}}"#)), "");
    assert_eq!(v2("GET", "")["data"][0]["SHA256"], sum.as_str());
    let top = group(&lab, TOP_GROUP);
    let lockdown =
        |list: &str| rest.with("PUT", &format!("groups/{top}/system-lockdown/fingerprints/{list}"), "{}");
    assert_eq!(lockdown(&id).status, 200);
    assert_eq!(rest.get(&format!("{at}/{id}")).json["groupIds"][0], top.as_str());
    let nobody = "0".repeat(32);
    refused(&lockdown(&nobody), 410);
    let removed = rest.send("DELETE", &format!("/sepm/api/v1/{at}/{id}"), &["--data", "{}"]);
    assert_eq!((removed.status, removed.text.as_str()), (200, "\"\""));
    for gone in [
        rest.get(&format!("{at}/{id}")),
        rest.get(&format!("{at}?name=bad")),
        rest.with("DELETE", &format!("{at}/{id}"), "{}"),
        rest.with("POST", &format!("{at}/{id}"), r#"{"data":[]}"#),
    ] {
        refused(&gone, 410);
        assert!(gone.text.contains("do not exist"), "{gone:?}");
    }
    for body in
        ["", "{}", r#"{"name":" "}"#, r#"{"name":"x","hashType":"CRC"}"#, r#"{"name":"x","data":["zz"]}"#]
    {
        refused(&rest.with("POST", at, body), 400);
    }
    refused(&rest.get(at), 400);
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_is_added_may_log_in_and_his_password_is_never_shown() {
    let (lab, rest) = lab().await;
    assert_eq!(rest.get("admin-users?domain=").json[0]["loginName"], "admin");
    let body = r#"{"loginName":"kim","password":"s3cret-word","adminType":1,"authenticationMethod":0,
        "emailAddress":"kim@example.org","fullName":"Kim","lockTimeThreshold":15,"loginAttemptThreshold":3}"#;
    let added = rest.with("POST", "admin-users", body);
    assert_eq!((added.status, &added.json["attemptThreshold"]), (200, &"3".into()), "{added:?}");
    refused(&rest.with("POST", "admin-users", body), 400);
    let id = added.json["id"].as_str().unwrap();
    let changed = rest.with("PUT", &format!("admin-users/{id}"), r#"{"fullName":"Kim N."}"#);
    assert_eq!(
        (&changed.json["fullName"], &changed.json["emailAddress"]),
        (&"Kim N.".into(), &"kim@example.org".into())
    );
    let one = rest.get(&format!("admin-users/{id}"));
    assert_eq!((&one.json["fullName"], &one.json["lockAccount"]), (&"Kim N.".into(), &true.into()));
    let credential = r#"{"username":"kim","password":"s3cret-word","domain":""}"#;
    assert_eq!(rest.with("POST", "identity/authenticate", credential).status, 200);
    let all = rest.get("admin-users");
    assert!([&added, &one, &all].iter().all(|said| !said.text.contains("s3cret-word")));
    refused(&rest.get(&format!("admin-users/{}", "0".repeat(32))), 404);
    refused(&rest.with("PUT", &format!("admin-users/{}", "0".repeat(32)), "{}"), 404);
    let directory = r#"{"loginName":"lee","password":"s3cret-word","adminType":2,"authenticationMethod":2}"#;
    let lee = rest.with("POST", "admin-users", directory);
    assert_eq!(
        (&lee.json["adminType"], &lee.json["authenticationMethod"]),
        (&2.into(), &2.into()),
        "{lee:?}"
    );
    let lee = rest.get(&format!("admin-users/{}", lee.json["id"].as_str().unwrap()));
    assert_eq!((&lee.json["adminType"], &lee.json["authenticationMethod"]), (&2.into(), &2.into()));
    for wrong in [
        r#"{"loginName":"x","password":"12345678","adminType":9}"#,
        r#"{"loginName":"x","password":"12345678","authenticationMethod":3}"#,
        r#"{"loginName":"x","password":"1234567","adminType":1}"#,
        r#"{"loginName":"x y","password":"12345678"}"#,
        r#"{"loginName":"x","password":"12345678","fullName":"<x>"}"#,
        r#"{"loginName":"x","password":"12345678","lockTimeThreshold":61}"#,
        r#"{"loginName":"x","password":"12345678","loginAttemptThreshold":0}"#,
    ] {
        refused(&rest.with("POST", "admin-users", wrong), 400);
    }
    assert_eq!(rest.get("admin-users").json.as_array().unwrap().len(), 3);
    drop(lab);
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn external_communication_is_amended_and_replaced_and_belongs_to_who_does_not_inherit() {
    let (lab, rest) = lab().await;
    let at = format!("groups/{}/external-communication", group(&lab, TOP_GROUP));
    assert_eq!(rest.get(&at).json["configuration"]["proxy"], Value::Null);
    let sent = |method: &str, body: &str| rest.with(method, &at, body);
    let proxy = r#"{"configuration":{"proxy":{"http_host":"p","http_port":8080}}}"#;
    assert_eq!(sent("PUT", proxy).text, "\"\"");
    assert_eq!(sent("PATCH", r#"{"configuration":{"proxy":{"http_port":81},"insight":true}}"#).status, 200);
    let now = rest.get(&at).json["configuration"].clone();
    assert_eq!(
        (&now["proxy"]["http_host"], &now["proxy"]["http_port"], &now["insight"]),
        (&"p".into(), &81.into(), &true.into())
    );
    let inherits = format!("groups/{}/external-communication", group(&lab, DEFAULT_GROUP));
    assert_eq!(rest.get(&inherits).json["configuration"], now);
    refused(&rest.with("PATCH", &inherits, r#"{"configuration":{"insight":false}}"#), 400);
    sent("PUT", r#"{"configuration":{"insight":false}}"#);
    assert_eq!(rest.get(&at).json["configuration"]["proxy"], Value::Null);
    for wrong in [
        r#"{"configuration":{"prxy":{}}}"#,
        r#"{"configuration":{"proxy":7}}"#,
        r#"{"configuration":[]}"#,
        "7",
    ] {
        refused(&sent("PATCH", wrong), 400);
    }
    let location = format!("groups/{}/locations/default/external-communication", group(&lab, TOP_GROUP));
    assert_eq!(rest.with("PATCH", &location, r#"{"configuration":{"insight":true}}"#).status, 200);
    assert_eq!(rest.get(&location).json["configuration"]["insight"], true);
    assert_eq!(rest.get(&at).json["configuration"]["insight"], false);
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_installation_is_shown_as_recorded_servers_show_it() {
    let (lab, rest) = lab().await;
    let fleet = lab.fleet(vec![lab.client("one", "14.3"), lab.client("two", "14.3")]).await;
    let servers = rest.get("admin/servers").json;
    assert_eq!(
        (servers.as_array().unwrap().len(), servers[0].as_object().unwrap().len()),
        (1, 2),
        "{servers}"
    );
    assert_eq!(rest.get("admin/database").json["database"], "sem5");
    assert_eq!(rest.get("replication/is_replicated").text, "false");
    let status = rest.get("replication/status").json;
    assert_eq!(
        (&status["replicationStatus"][0]["siteName"], &status["replicationStatus"][0]["siteLocation"]),
        (&"My Site".into(), &"N/A".into())
    );
    refused(&rest.post("replication/replicatenow?partnerSiteName=x"), 400);
    assert!(rest.get("licenses").json[0]["associatedLicenses"].is_null());
    assert_eq!(rest.get("licenses/summary").json["license_type"], "TRIAL");
    assert_eq!(rest.get("gup/status").text, "[]");
    let latest = r#"{"contentName":"AV_DEFS","publishedBySymantec":"1/5/2026 rev. 2","publishedBySEPM":"1/5/2026 rev. 2"}"#;
    assert_eq!(rest.get("content/avdef/latest").text, latest);
    assert_eq!(rest.get("stats/threat").json["Stats"]["infectedClients"], 0);
    let one = epm_protocol::site::agent_id(epm_tests::profile("one", "14.3").hardware_key);
    rest.post(&format!("command-queue/updatecontent?computer_ids={one}"));
    lab.heartbeat(&fleet).await;
    let content = rest.get("stats/client/content").text;
    let list = r#"[{"version":"2023-09-04 rev. 002","clientsCount":1},{"version":"2026-01-05 rev. 002","clientsCount":1}]"#;
    assert!(content.contains(list), "{content}");
    let events = rest.get("events/critical");
    let event = &events.json["criticalEventsInfoList"][0];
    assert_eq!(
        (&event["acknowledged"], &event["eventDateTime"]),
        (&0.into(), &"2026-01-05 08:00:00.0".into()),
        "{events:?}"
    );
    let unknown = rest.post(&format!("events/acknowledge/{}", "0".repeat(32)));
    refused(&unknown, 400);
    assert_eq!(unknown.json["appErrorCode"], "4104");
    assert_eq!(rest.post(&format!("events/acknowledge/{}", event["eventId"].as_str().unwrap())).text, "\"\"");
    assert_eq!(rest.get("events/critical").json["totalUnacknowledgedMessages"], 0);
    let all = rest.get("events/critical?includeAcknowledged=true&pageSize=25");
    assert_eq!(all.json["criticalEventsInfoList"][0]["acknowledged"], 1);
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_changes_at_once_none_is_lost() {
    let (lab, rest) = lab().await;
    lab.apply(&Command::AddGroup { group: r"My Company\Own".into(), inherits: false });
    let at = format!("groups/{}/external-communication", group(&lab, r"My Company\Own"));
    let before = lab.site().look(|site| site.groups().find(r"My Company\Own").unwrap().changed);
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (rest, at) = (rest.clone(), at.clone());
            scope.spawn(move || {
                let body = format!(r#"{{"configuration":{{"telemetry":{{"f{n}":true}}}}}}"#);
                assert_eq!(rest.with("PATCH", &at, &body).status, 200);
            });
        }
    });
    let set = rest.get(&at).json["configuration"]["telemetry"].as_object().unwrap().len();
    let after = lab.site().look(|site| site.groups().find(r"My Company\Own").unwrap().changed);
    assert_eq!(
        (set, after.since(before).as_millis()),
        (8, 8),
        "eight changes, each with a serial of its own"
    );
}
