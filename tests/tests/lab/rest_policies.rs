//! Exceptions policies, intrusion prevention and host groups over the REST API, as public clients use them.

use epm_fixtures::needs;
use epm_protocol::site::TOP_GROUP;
use epm_tests::rest_curl::{Rest, Said, lab};
use serde_json::{Value, json};

/// A call to version 2 of the API.
fn v2(rest: &Rest, method: &str, path: &str, body: &Value) -> Said {
    let body = body.to_string();
    rest.send(
        method,
        &format!("/sepm/api/v2/{path}"),
        &["-H", "Content-Type: application/json", "--data", &body],
    )
}

fn row(rest: &Rest, kind: &str) -> Value {
    rest.get(&format!("policies/summary/{kind}")).json["content"][0].clone()
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exceptions_are_added_replaced_and_removed_in_both_versions_and_reach_the_clients() {
    let (lab, rest) = lab().await;
    let fleet = lab.fleet(vec![lab.client("one", "14.3")]).await;
    let serial = || fleet.members()[0].handle.view().serial.unwrap();
    let before = serial();
    let id = row(&rest, "exceptions")["id"].as_str().unwrap().to_owned();
    let at = format!("policies/exceptions/{id}");
    let patch = |body: Value| {
        let said = v2(&rest, "PATCH", &at, &body);
        assert_eq!((said.status, said.text.as_str()), (200, "\"\""), "{said:?}");
    };
    let configuration = || rest.send("GET", &format!("/sepm/api/v2/{at}"), &[]).json["configuration"].clone();
    // The values are those that the product was seen to answer with.
    let file = json!({
        "path": r"C:\Temp\x.exe", "pathvariable": "[NONE]", "scancategory": "AllScans", "sonar": true,
        "deleted": false, "rulestate": { "enabled": true, "source": "tool" },
    });
    patch(json!({ "name": "Exceptions policy", "configuration": { "files": [file] } }));
    assert_eq!(configuration()["files"], json!([file]));
    lab.heartbeat(&fleet).await;
    let first = serial();
    assert!(first > before, "the clients have the new policy");
    let mut changed = file.clone();
    changed["sonar"] = false.into();
    patch(
        json!({ "configuration": { "files": [changed], "mac": { "files": [{ "path": "/x", "pathvariable": "HOME" }] } } }),
    );
    assert_eq!(
        (&configuration()["files"], &configuration()["mac"]["files"][0]["path"]),
        (&json!([changed]), &"/x".into())
    );
    patch(
        json!({ "configuration": { "extension_list": { "extensions": [".a"], "scancategory": "AllScans" } } }),
    );
    patch(json!({ "configuration": { "extension_list": { "extensions": [".b"] } } }));
    assert_eq!(
        configuration()["extension_list"],
        json!({ "extensions": [".b"], "scancategory": "AllScans" })
    );
    let gone = json!({ "path": r"c:\temp\X.EXE", "pathvariable": "NONE", "deleted": true });
    patch(json!({ "enabled": false, "desc": "d", "configuration": { "files": [gone] } }));
    assert_eq!(configuration()["files"], json!([]));
    let shown = row(&rest, "exceptions");
    assert_eq!((&shown["enabled"], &shown["desc"]), (&false.into(), &"d".into()), "{shown}");
    // Version 1 has other names for two lists.
    let denied = json!({ "action": "BLOCK", "processfile": { "sha2": "AB".repeat(32) } });
    let said =
        rest.with("PATCH", &at, &json!({ "configuration": { "blacklistrules": [denied] } }).to_string());
    assert_eq!(said.status, 200);
    assert_eq!(configuration()["denylistrules"], json!([denied]));
    assert_eq!(rest.get(&at).json["configuration"]["blacklistrules"], json!([denied]));
    let whole = v2(
        &rest,
        "PUT",
        &at,
        &json!({ "name": "Ours", "configuration": { "webdomains": [{ "domain": "x.example" }] } }),
    );
    assert_eq!(whole.status, 200);
    assert_eq!(
        (&configuration()["denylistrules"], &configuration()["webdomains"][0]["domain"]),
        (&json!([]), &"x.example".into())
    );
    assert_eq!(row(&rest, "exceptions")["name"], "Ours");
    assert!(rest.get(&format!("policies/raw/exceptions/{id}")).text.contains("Ours"));
    lab.heartbeat(&fleet).await;
    assert!(serial() > first);
    for body in [
        r#"{"name":"a/b"}"#,
        r#"{"configuration":{"files":{}}}"#,
        r#"{"configuration":{"files":[1]}}"#,
        r#"{"configuration":{"mac":[]}}"#,
        "[]",
        r#"{"lockedoptions":{"file":1}}"#,
    ] {
        assert_eq!(rest.with("PATCH", &at, body).status, 400, "{body}");
    }
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_policy_and_a_new_host_group_are_found_in_their_lists() {
    let (lab, rest) = lab().await;
    let new = r#"{"name":"New","desc":"d","enabled":true}"#;
    let made = rest.with("POST", "policies/exceptions", new);
    assert_eq!(made.status, 201, "{made:?}");
    let all = rest.get("policies/summary/exceptions").json["content"].clone();
    let found = all.as_array().unwrap().iter().find(|one| one["name"] == "New").unwrap();
    assert_eq!((&found["id"], &found["desc"]), (&made.json["id"], &"d".into()));
    for (path, body) in [
        ("policies/exceptions", new),
        ("policies/exceptions", r#"{"desc":"no name"}"#),
        ("policies/policy-objects/hostgroups", "{}"),
    ] {
        assert_eq!(rest.with("POST", path, body).status, 400, "{path} {body}");
    }
    let top = lab.site().look(|site| site.groups().find(TOP_GROUP).unwrap().id.to_string());
    let at = format!("groups/{top}/locations/default/policies/exceptions");
    assert_eq!(rest.with("PUT", &at, &json!({ "id": found["id"] }).to_string()).status, 200);
    assert_eq!(rest.get(&at).json, found["id"]);
    let hosts = json!([{ "type": "ip", "value": "192.0.2.1" }]);
    let group = rest.with(
        "POST",
        "policies/policy-objects/hostgroups",
        &json!({ "name": "HG", "hosts": hosts }).to_string(),
    );
    assert_eq!(group.status, 201, "{group:?}");
    let rows = rest.get("policies/policy-objects/hostgroups/summary").json["content"].clone();
    assert_eq!((&rows[0]["name"], &rows[0]["id"]), (&"HG".into(), &group.json["id"]));
    let id = rows[0]["id"].as_str().unwrap();
    assert_eq!(
        rest.get(&format!("policies/policy-objects/hostgroups/{id}")).json,
        json!({ "name": "HG", "hosts": hosts })
    );
    let prevention = row(&rest, "ips");
    let whole = rest.get(&format!("policies/ips/{}", prevention["id"].as_str().unwrap())).json;
    assert_eq!(
        (&whole["name"], &whole["configuration"]["enabled"]),
        (&prevention["name"], &true.into()),
        "{whole}"
    );
    // The type exists, and a fresh installation has no policy of it.
    assert_eq!(rest.get("policies/summary/tdad").json["content"], json!([]));
}
