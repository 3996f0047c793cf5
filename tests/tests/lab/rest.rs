//! The product's REST API over real HTTPS, asked by curl, with real agents behind it.

use std::process::Command as Process;
use std::time::Duration;

use epm_client_agent::scenario::ManagerPlan;
use epm_fixtures::needs;
use epm_protocol::site::{Command, Stores};
use epm_server::MockSite;
use epm_tests::{DEFAULT_LIST, MANAGER, TestSite, eventually, foreign};
use serde_json::{Value, json};

/// The answer to curl.
#[derive(Debug)]
struct Got {
    status: u16,
    content_type: String,
    body: String,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error} in {self:?}"))
    }
}

/// A session of calls with curl.
#[derive(Clone)]
struct Rest {
    base: String,
    token: Option<String>,
}

impl Rest {
    fn of(lab: &TestSite) -> Self {
        Self { base: lab.site().addresses()[0].rest.clone().unwrap(), token: None }
    }

    fn logged_in(lab: &TestSite) -> Self {
        let mut rest = Self::of(lab);
        rest.log_in();
        rest
    }

    fn log_in(&mut self) -> Value {
        self.token = None;
        let got = self.post("/identity/authenticate", &json!({ "username": "admin", "password": "epm-lab" }));
        assert_eq!(got.status, 200, "{got:?}");
        self.token = got.json()["token"].as_str().map(str::to_owned);
        got.json()
    }

    fn call(&self, method: &str, address: &str, body: Option<&str>) -> Got {
        let mut curl = Process::new("curl");
        curl.args(["-sS", "--insecure", "--max-time", "30", "-w", "\n%{http_code} %{content_type}"]);
        if method == "HEAD" {
            curl.arg("--head")
        } else {
            curl.args(["-X", method])
        };
        if let Some(token) = &self.token {
            curl.args(["-H", &format!("Authorization: Bearer {token}")]);
        }
        let folder = tempfile::tempdir().unwrap();
        if let Some(body) = body {
            let file = folder.path().join("body");
            std::fs::write(&file, body).unwrap();
            curl.args([
                "-H",
                "Content-Type: application/json",
                "--data-binary",
                &format!("@{}", file.display()),
            ]);
        }
        let out = curl.arg(format!("{}{address}", self.base)).output().unwrap();
        let text = String::from_utf8(out.stdout).unwrap();
        let (body, last) = text.rsplit_once('\n').unwrap();
        let (status, content_type) = last.split_once(' ').unwrap();
        Got { status: status.parse().unwrap(), content_type: content_type.to_owned(), body: body.to_owned() }
    }

    fn get(&self, path: &str) -> Got {
        self.call("GET", &format!("/sepm/api/v1{path}"), None)
    }

    fn post(&self, path: &str, body: &Value) -> Got {
        self.call("POST", &format!("/sepm/api/v1{path}"), Some(&body.to_string()))
    }

    fn patch(&self, path: &str, body: &Value) -> Got {
        self.call("PATCH", &format!("/sepm/api/v1{path}"), Some(&body.to_string()))
    }

    fn group(&self, path: &str) -> Value {
        let all = self.get("/groups?pageSize=500").json();
        let mut groups = all["content"].as_array().unwrap().iter();
        groups.find(|one| one["fullPathName"] == path).cloned().unwrap()
    }

    fn computer(&self, name: &str) -> Value {
        let page = self.get(&format!("/computers?computerName={name}")).json();
        assert_eq!(page["totalElements"], 1, "{page}");
        page["content"][0].clone()
    }

    /// The path of the settings of a group's default location.
    fn settings(&self, group: &Value) -> String {
        let id = group["id"].as_str().unwrap();
        let locations = self.get(&format!("/groups/{id}/locations?hasName=true")).json();
        let first = locations[0].as_str().unwrap().to_owned();
        assert!(first.starts_with("Default:https://"), "{first}");
        format!("/groups/{id}/locations/{}/settings", first.rsplit('/').next().unwrap())
    }
}

async fn lab() -> TestSite {
    TestSite::of(MockSite::builder().rest_api(0)).await
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_registers_is_a_computer_and_goes_with_its_group() {
    let lab = lab().await;
    let rest = Rest::logged_in(&lab);
    assert_eq!(rest.get("/computers").json()["totalElements"], 0);
    let fleet = lab.fleet(vec![lab.client("pc-1", "14.3"), lab.client("pc-2", "14.2")]).await;
    let one = rest.computer("pc-1");
    assert_eq!(one["group"]["name"], r"My Company\Default Group");
    assert_eq!((&one["onlineStatus"], &one["agentVersion"]), (&json!(1), &json!("14.3.0.0000")));
    assert_eq!(one["lastServerName"], MANAGER);
    assert_eq!(one["profileSerialNo"], rest.group(r"My Company\Default Group")["policySerialNumber"]);
    assert!(one["publicKey"].as_str().unwrap().starts_with("BgIAAACkAABSU0ExAAgAAAEAAQ"));

    let top = rest.group("My Company");
    let below = format!("/groups/{}", top["id"].as_str().unwrap());
    let halls = rest.post(&below, &json!({ "name": "Halls", "description": "d", "inherits": false }));
    assert_eq!(halls.status, 201, "{halls:?}");
    let moved = json!([
        { "group": { "id": halls.json()["id"] }, "hardwareKey": one["hardwareKey"] },
        { "group": { "id": halls.json()["id"] }, "hardwareKey": "00000000000000000000000000000000" },
    ]);
    let moved = rest.patch("/computers", &moved);
    assert_eq!(moved.status, 207);
    assert_eq!(moved.json()[0], json!({ "responseCode": "200", "responseMessage": "OK" }));
    assert_eq!(moved.json()[1]["responseCode"], "410");
    lab.heartbeat(&fleet).await;
    let (one, halls) = (rest.computer("pc-1"), rest.group(r"My Company\Halls"));
    assert_eq!(one["group"]["name"], r"My Company\Halls");
    assert_eq!(one["profileSerialNo"], halls["policySerialNumber"]);
    let id = halls["id"].as_str().unwrap();
    assert_eq!(rest.get(&format!("/groups/{id}/computers")).json()["content"][0]["computerName"], "pc-1");
    // All heartbeats have stopped.
    fleet.stop().await.unwrap();
    lab.clock().advance(Duration::from_secs(3600));
    let counts = rest.get("/stats/client/onlinestatus").json();
    assert_eq!(counts["clientCountStatsList"][1], json!({ "status": "OFFLINE", "clientsCount": 2 }));
    let deleted = rest.call(
        "DELETE",
        &format!("/sepm/api/v1/computers/{}", one["uniqueId"].as_str().unwrap()),
        Some("{}"),
    );
    assert_eq!((deleted.status, deleted.body.as_str(), deleted.content_type.as_str()), (204, "", ""));
    assert_eq!(rest.get("/computers").json()["totalElements"], 1);
    let removed = rest.call("DELETE", &format!("/sepm/api/v1/groups/{id}"), None);
    assert_eq!(removed.status, 204, "{removed:?}");
    assert_eq!(rest.get(&format!("/groups/{id}")).status, 410);
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_settings_reaches_the_agents_and_the_two_serials_say_when() {
    let lab = lab().await;
    let rest = Rest::logged_in(&lab);
    let fleet = lab.fleet(vec![lab.client("pc-1", "14.3")]).await;
    lab.apply(&Command::CopyList { from: DEFAULT_LIST.to_owned(), to: "HTTP".to_owned() });
    lab.apply(&epm_tests::edit_list("HTTP"));
    let top = rest.group("My Company");
    let place = rest.settings(&top);
    let before = rest.get(&place).json();
    assert_eq!(before["configuration"]["communication_settings"]["sem_server"]["name"], DEFAULT_LIST);

    for nothing in [
        json!({}),
        json!({ "configuration": null }),
        json!({ "configuration": { "client_log": {} } }),
        before.clone(),
    ] {
        assert_eq!(
            (rest.patch(&place, &nothing).status, rest.patch(&place, &nothing).body.as_str()),
            (200, "\"\"")
        );
        assert_eq!(rest.group("My Company"), top, "after {nothing}");
    }
    let change = json!({ "configuration": {
        "communication_settings": { "sem_server": { "name": "HTTP" }, "app_upload": true },
        "general_settings": { "security_settings": { "secure_communications": false } },
    }});
    assert_eq!(rest.patch(&place, &change).status, 200);
    let serial = rest.group(r"My Company\Default Group")["policySerialNumber"].clone();
    assert_ne!(rest.computer("pc-1")["profileSerialNo"], serial);
    lab.heartbeat(&fleet).await;
    assert_eq!(rest.computer("pc-1")["profileSerialNo"], serial);
    let state = lab
        .site()
        .client_status(lab.site().look(|site| site.clients().next().unwrap().agent))
        .unwrap()
        .state
        .unwrap();
    assert!(!state.secure_communications);
    assert_eq!(
        fleet.members()[0].handle.view().list,
        "HTTP",
        "a client without a location is in the default one"
    );
    let after = rest.get(&place).json();
    let communication = &after["configuration"]["communication_settings"];
    assert_eq!(
        (&communication["sem_server"]["name"], &communication["app_upload"]),
        (&json!("HTTP"), &json!(true))
    );
    // The same certificate changes twice without an effect on clients, by the documented procedure.
    lab.update(Stores::Client);
    lab.heartbeat(&fleet).await;
    assert_eq!(rest.computer("pc-1")["onlineStatus"], 1);

    let inherits = rest.settings(&rest.group(r"My Company\Default Group"));
    let refused = [
        (&inherits, change),
        (
            &place,
            json!({ "configuration": { "communication_settings": { "sem_server": { "name": "None" } } } }),
        ),
    ];
    for (place, change) in refused {
        let got = rest.patch(place, &change);
        assert_eq!((got.status, &got.json()["errorCode"]), (400, &json!("400")), "{got:?}");
    }
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_many_changes_at_once_none_is_lost_and_each_moves_the_serial() {
    const THREADS: usize = 8;
    const CHANGES: usize = 6;
    let lab = lab().await;
    let rest = Rest::logged_in(&lab);
    let place = rest.settings(&rest.group("My Company"));
    let date = |rest: &Rest| rest.group("My Company")["policyDate"].as_i64().unwrap();
    let before = date(&rest);
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let (rest, place) = (rest.clone(), place.clone());
            std::thread::spawn(move || {
                for number in 0..CHANGES {
                    let mine = json!({ format!("field {thread}"): number });
                    let change = json!({ "configuration": { "live_update_content_settings": mine } });
                    let (earlier, got) = (date(&rest), rest.patch(&place, &change));
                    assert_eq!(got.status, 200, "{got:?}");
                    assert!(date(&rest) > earlier);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let kept = &rest.get(&place).json()["configuration"]["live_update_content_settings"];
    for thread in 0..THREADS {
        assert_eq!(kept[format!("field {thread}")], CHANGES - 1, "{kept}");
    }
    // The lab's clock stands still, so every change is dated one millisecond after the one before.
    let changes = i64::try_from(THREADS * CHANGES).unwrap();
    assert!(date(&rest) - before >= changes, "{} of {changes}", date(&rest) - before);
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_refreshed_and_end_by_the_clock_by_a_logout_and_by_a_restart() {
    let lab = lab().await;
    let mut rest = Rest::of(&lab);
    let nobody = rest.get("/groups");
    assert_eq!((nobody.status, &nobody.json()["error"]), (401, &json!("unauthorized")));
    for body in [
        json!({ "username": "admin", "password": "wrong" }),
        json!({ "username": "Nobody", "password": "epm-lab" }),
        json!({ "username": "admin", "password": "epm-lab", "domain": "Other" }),
    ] {
        let got = rest.post("/identity/authenticate", &body);
        assert_eq!(
            (got.status, &got.json()["errorCode"], &got.json()["appErrorCode"]),
            (400, &json!("400"), &json!(""))
        );
    }
    for domain in [json!(null), json!(""), json!("Default"), json!("default")] {
        let body = json!({ "username": "admin", "password": "epm%2Dlab", "domain": domain, "appName": "x" });
        assert_eq!(rest.post("/identity/authenticate?appName=y", &body).status, 200, "{body}");
    }
    let granted = rest.log_in();
    assert_eq!(rest.get("/sessions/currentuser").json(), granted);
    lab.clock().advance(Duration::from_secs(43_199));
    let late = rest.get("/groups");
    let words = format!("Invalid access token: {}", granted["token"].as_str().unwrap());
    assert_eq!(
        (late.status, late.json()),
        (401, json!({ "error": "invalid_token", "error_description": words }))
    );
    let refresh = |token: &str| {
        format!("/sepm/oauth/token?grant_type=refresh_token&client_id=epm-lab-rest&refresh_token={token}")
    };
    let fresh = rest.call("POST", &refresh(granted["refreshToken"].as_str().unwrap()), None).json();
    assert_eq!(fresh["expires_in"], fresh["tokenExpiration"]);
    rest.token = fresh["access_token"].as_str().map(str::to_owned);
    assert_eq!(rest.get("/groups").status, 200);
    assert_eq!(rest.call("POST", &refresh("nonsense"), None).json()["error"], "invalid_grant");
    assert_eq!(rest.post("/identity/logout", &json!({})).status, 204);
    assert_eq!(rest.get("/groups").status, 401);

    for (stores, status) in [(Stores::Client, 200), (Stores::Console, 401), (Stores::Both, 401)] {
        rest.log_in();
        lab.update(stores);
        assert_eq!(rest.get("/groups").status, status, "{stores:?}");
    }
    rest.log_in();
    let nothing_kept = Command::Reinstall { keystore: None, secret: None, domain: None, database: true };
    lab.apply(&nothing_kept);
    assert_eq!(rest.get("/groups").status, 401);
    rest.log_in();
    lab.site().end_rest_tokens();
    assert_eq!(rest.get("/groups").status, 401);
}

#[needs(curl, python3)]
#[tokio::test(flavor = "multi_thread")]
async fn the_console_shows_the_certificate_of_its_own_store() {
    let lab = lab().await;
    let rest = Rest::of(&lab);
    let shown = || {
        let address = rest.base.trim_start_matches("https://").parse().unwrap();
        foreign::python("certificate", address, "127.0.0.1").words
    };
    let first = shown();
    lab.update(Stores::Client);
    assert_eq!(shown(), first);
    // A kept connection ends with the restart of the services.
    let asked = lab.site().journal().calls().len();
    let mut idle = Process::new("python3")
        .args(["-c", KEPT_ALIVE, rest.base.trim_start_matches("https://")])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    eventually("the call", || lab.site().journal().calls().len() > asked).await;
    lab.update(Stores::Console);
    assert_ne!(shown(), first);
    let said = std::io::read_to_string(idle.stdout.take().unwrap()).unwrap();
    idle.wait().unwrap();
    assert_eq!(said.trim(), "200 ended");
}

#[needs(curl, python3)]
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_nobody_wants_does_not_cost_the_connection() {
    let lab = lab().await;
    let rest = Rest::logged_in(&lab);
    let out = Process::new("python3")
        .args(["-c", UNWANTED, rest.base.trim_start_matches("https://"), rest.token.as_ref().unwrap()])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stdout);
    assert_eq!(said.trim(), "204 410 400 404 405 401 200 one connection", "{out:?}");
}

/// Sends large bodies that are not read, all over one connection.
const UNWANTED: &str = r#"
import http.client, ssl, sys
context = ssl._create_unverified_context()
connection = http.client.HTTPSConnection(sys.argv[1], context=context, timeout=30)
said, sockets, body, token = [], set(), b"x" * 1000000, "Bearer " + sys.argv[2]
none = "0" * 32
for method, path, token in [
    ("DELETE", "/computers/" + none, token),
    ("GET", "/groups/" + none, token),
    ("PATCH", "/groups/" + none, token),
    ("POST", "/nothing", token),
    ("PUT", "/computers", token),
    ("GET", "/computers", ""),
    ("GET", "/computers", token),
]:
    connection.request(method, "/sepm/api/v1" + path, body, {"Authorization": token})
    answer = connection.getresponse()
    answer.read()
    sockets.add(connection.sock and connection.sock.getsockname())
    said.append(str(answer.status))
print(*said, "one connection" if len(sockets) == 1 else sockets)
"#;

/// Makes one call, and reports what becomes of the connection after that.
const KEPT_ALIVE: &str = r#"
import http.client, ssl, sys
context = ssl._create_unverified_context()
connection = http.client.HTTPSConnection(sys.argv[1], context=context, timeout=30)
connection.request("GET", "/sepm/api/v1/version")
answer = connection.getresponse()
answer.read()
try:
    left = connection.sock.recv(1)
except OSError:
    left = b""
print(answer.status, "ended" if left == b"" else left)
"#;

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_refused_in_the_right_shape_and_never_breaks_the_manager() {
    let lab = lab().await;
    let rest = Rest::logged_in(&lab);
    let group = rest.group("My Company")["id"].as_str().unwrap().to_owned();
    let settings = rest.settings(&rest.group("My Company"));
    let none = "0123456789ABCDEF0123456789ABCDEF";
    let api = |path: &str| format!("/sepm/api/v1{path}");
    let huge = format!("\"{}\"", "x".repeat(5 << 20));
    let deep = "[".repeat(100_000);
    let of_group = |rest: &str| api(&format!("/groups/{group}{rest}"));
    let table: Vec<(&str, String, Option<&str>, u16)> = vec![
        ("GET", api("/groups/xyz"), None, 400),
        ("GET", api(&format!("/groups/{none}")), None, 410),
        ("GET", api("/groups?pageIndex=0"), None, 400),
        ("GET", api("/groups?pageSize=many"), None, 400),
        ("GET", api("/groups?order=sideways"), None, 400),
        ("GET", api("/computers?pageIndex=-1"), None, 400),
        ("GET", api("/computers?pageSize=99999999999999999999"), None, 400),
        ("GET", api("/computers?os=BeOS"), None, 400),
        ("GET", api("/computers?computer_id=1"), None, 400),
        ("GET", api("/computers?lastUpdate=soon"), None, 400),
        ("GET", api(&format!("/groups/{none}/computers")), None, 400),
        ("GET", api(&format!("/groups/{none}/locations")), None, 410),
        ("GET", of_group("/locations?hasName=perhaps"), None, 400),
        ("GET", of_group(&format!("/locations/{none}/xml")), None, 404),
        ("GET", of_group("/locations/x/settings"), None, 400),
        ("GET", of_group("/%FF"), None, 404),
        ("GET", api("/groups/%FF"), None, 400),
        ("GET", api("/domains/xyz"), None, 400),
        ("GET", api(&format!("/domains/{none}")), None, 400),
        ("POST", of_group(""), Some("{}"), 400),
        ("POST", of_group(""), Some(r#"["name", null, null]"#), 400),
        ("POST", of_group(""), Some(r#"{"name":""}"#), 400),
        ("POST", of_group(""), Some(r#"{"name":7}"#), 400),
        ("POST", of_group(""), Some(r#"{"name":"a\\b"}"#), 400),
        ("POST", of_group(""), Some(r#"{"name":"a\u0000b"}"#), 400),
        ("POST", of_group(""), Some(r#"{"name":"Default Group"}"#), 400),
        ("PATCH", of_group(""), Some(r#"{"name":"Ours"}"#), 400),
        ("PATCH", of_group(""), Some(r#"{"inherits":true}"#), 400),
        ("DELETE", of_group(""), None, 400),
        (
            "PATCH",
            api(&settings),
            Some(r#"{"configuration":{"communication_settings":{"mode":"SHOUT"}}}"#),
            400,
        ),
        (
            "PATCH",
            api(&settings),
            Some(r#"{"configuration":{"communication_settings":{"pull_mode_heartbeat_freq_in_seconds":0}}}"#),
            400,
        ),
        (
            "PATCH",
            api(&settings),
            Some(
                r#"{"configuration":{"communication_settings":{"pull_mode_heartbeat_freq_in_seconds":-5}}}"#,
            ),
            400,
        ),
        ("PATCH", api(&settings), Some(r#"{"configuration":{"client_log":{"max_upload":501}}}"#), 400),
        (
            "PATCH",
            api(&settings),
            Some(r#"{"configuration":{"general_settings":{"restart":{"force":1}}}}"#),
            400,
        ),
        (
            "PATCH",
            of_group("/external-communication"),
            Some(r#"{"configuration":{"proxy":{"http_host":0}}}"#),
            400,
        ),
        (
            "PUT",
            of_group("/external-communication"),
            Some(r#"{"configuration":{"privatecloud":{"groups":[{"servers":[1]}]}}}"#),
            400,
        ),
        ("PATCH", api("/computers"), Some("{}"), 400),
        ("PATCH", api("/computers"), Some(r#"[{"hardwareKey":"x"}]"#), 400),
        ("POST", api("/computers/delete"), Some(r#"[{"hardwareKey":"x"}]"#), 400),
        ("DELETE", api("/computers/x"), None, 400),
        ("POST", api("/identity/authenticate"), Some("[1"), 400),
        ("POST", api("/identity/authenticate"), None, 400),
        ("PUT", api("/computers"), Some("{}"), 405),
        ("DELETE", api("/version"), None, 405),
        ("POST", api("/groups"), Some("{}"), 405),
        ("GET", api("/tdad"), None, 501),
        ("POST", api("/computers/enroll"), Some("{}"), 501),
        ("PATCH", of_group(""), Some(&huge), 413),
        ("PATCH", api("/computers"), Some(&huge), 413),
        ("POST", api("/identity/authenticate"), Some(&huge), 413),
        ("PATCH", api(&settings), Some(&deep), 400),
    ];
    for (method, address, body, status) in table {
        let got = rest.call(method, &address, body);
        assert_eq!(got.status, status, "{method} {address}: {got:?}");
        if status == 404 {
            continue;
        }
        let error = got.json();
        assert_eq!(error["errorCode"], status.to_string(), "{method} {address}: {error}");
        assert_eq!(error["appErrorCode"], "");
        assert!(!error["errorMessage"].as_str().unwrap().is_empty());
        assert!(got.content_type.contains("json"));
    }
    for address in ["/", "/sepm", "/sepm/api/v1/nothing", "/sepm/ws/v1/ClientService"] {
        let got = rest.call("GET", address, None);
        assert!(got.status == 404 && got.content_type.contains("html"), "{got:?}");
        assert!(got.body.contains("HTTP Status 404 – Not Found"));
    }
    let calls = lab.site().journal().calls();
    assert!(calls.iter().any(|call| call.status == 501 && call.path == "/sepm/api/v1/tdad"));
    assert!(calls.iter().all(|call| call.status != 500));
    let head = rest.call("HEAD", "/sepm/api/v1/computers", None);
    assert_eq!(head.status, 200);
    // The site has not changed.
    assert_eq!(rest.get("/groups").json()["totalElements"], 2);
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn every_manager_has_a_console_of_its_own_and_all_show_one_site() {
    let plan = |name: &str| ManagerPlan {
        name: name.to_owned(),
        address: "127.0.0.1".to_owned(),
        http_port: 0,
        https_port: None,
    };
    let builder = MockSite::builder().manager(plan("sepm-1")).manager(plan("sepm-2")).rest_api(0);
    let lab = TestSite::of(builder.administrator("root", "s3cret")).await;
    let ask = |at: usize| Rest { base: lab.site().addresses()[at].rest.clone().unwrap(), token: None };
    let (mut one, mut two) = (ask(0), ask(1));
    assert_ne!(one.base, two.base);
    let credential = json!({ "username": "root", "password": "s3cret" });
    one.token = one.post("/identity/authenticate", &credential).json()["token"].as_str().map(str::to_owned);
    two.token.clone_from(&one.token);
    assert_eq!((one.get("/groups").status, two.get("/groups").status), (200, 401));
    two.token = None;
    two.token = two.post("/identity/authenticate", &credential).json()["token"].as_str().map(str::to_owned);
    let top = one.group("My Company");
    let made = one.post(&format!("/groups/{}", top["id"].as_str().unwrap()), &json!({ "name": "Halls" }));
    assert_eq!(two.group(r"My Company\Halls"), made.json());
    // A manager's certificate does not affect the other manager.
    lab.update(Stores::Both);
    assert_eq!((one.get("/groups").status, two.get("/groups").status), (401, 200));
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn calls_are_throttled_if_somebody_wants_it_and_the_clock_lets_them_in_again() {
    let lab = lab().await;
    let rest = Rest::of(&lab);
    lab.site().throttle_rest(Some((3, Duration::from_secs(60))));
    let statuses: Vec<u16> = (0..5).map(|_| rest.get("/version").status).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    lab.clock().advance(Duration::from_secs(61));
    assert_eq!(rest.get("/version").status, 200);
    lab.site().throttle_rest(None);
    assert!((0..5).all(|_| rest.get("/version").status == 200));
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn pages_are_walked_until_the_last_and_hold_everybody_once() {
    let lab = lab().await;
    let rest = Rest::logged_in(&lab);
    (0..45).for_each(|number| {
        lab.register(&format!("pc-{number:02}"));
    });
    for (order, first) in [("ASC", "pc-00"), ("desc", "pc-44")] {
        let (mut names, mut page) = (Vec::new(), 1);
        loop {
            let got =
                rest.get(&format!("/computers?pageIndex={page}&pageSize=20&order={order}&columns=x")).json();
            assert_eq!((got["number"].as_i64().unwrap(), &got["totalPages"]), (page - 1, &json!(3)));
            let rows = got["content"].as_array().unwrap();
            names.extend(rows.iter().map(|row| row["computerName"].as_str().unwrap().to_owned()));
            if got["lastPage"] == true {
                break;
            }
            page += 1;
        }
        assert_eq!((names.len(), names[0].as_str()), (45, first));
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 45);
    }
    assert_eq!(rest.get("/computers").json()["size"], 20);
    assert_eq!(rest.get("/computers?computerName=PC-1*").json()["totalElements"], 10);
    assert_eq!(rest.get("/computers?os=Win7&os=Win8").json()["totalElements"], 0);
    let tree = rest.get("/groups?mode=tree").json();
    assert_eq!(tree["content"][0]["childGroups"][0]["fullPathName"], r"My Company\Default Group");
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_served_is_described_to_anybody() {
    let lab = lab().await;
    let got = Rest::of(&lab).get("/openapi.json");
    let document = got.json();
    assert_eq!((got.status, &document["openapi"]), (200, &json!("3.1.0")));
    let settings = &document["paths"]["/sepm/api/v1/groups/{groupId}/locations/{locationId}/settings"];
    assert!(
        settings["patch"]["requestBody"]["content"]["application/json"]["schema"].is_object(),
        "{settings}"
    );
    assert_eq!(settings["get"]["parameters"].as_array().unwrap().len(), 2);
    let computer = &document["components"]["schemas"]["Computer"]["properties"];
    assert!(computer.as_object().unwrap().len() > 140);
}
