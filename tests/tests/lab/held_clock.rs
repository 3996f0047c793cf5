//! A held clock: what holds it and what does not, and what ends a hold.

use std::fs;
use std::time::Duration;

use epm_client_agent::scenario::PartPlan;
use epm_fixtures::needs;
use epm_protocol::site::DEFAULT_GROUP;
use epm_protocol::time::Clock;
use epm_server::MockSite;
use epm_tests::control_api::{Opened, two_managers};
use epm_tests::rest_curl::Rest;
use serde_json::{Value, json};
use tempfile::TempDir;

const HOUR: Duration = Duration::from_secs(3600);

impl Held {
    /// Two managers with a folder each and two clients; the clock stands, and has a long hold.
    async fn lab() -> Self {
        let opened =
            Opened::of(two_managers(MockSite::builder()).rest_api(0), None).await.and_clients(2).await;
        let folders = TempDir::new().unwrap();
        for manager in ["sepm-1", "sepm-2"] {
            opened.lab.site.install(manager, &folders.path().join(manager), false).unwrap();
        }
        opened.lab.clock().set_hold(HOUR);
        Self { opened, folders }
    }

    /// Whether this holds the clock.
    async fn is_held_by<R>(&self, act: impl AsyncFnOnce(&Self) -> R) -> bool {
        let clock = self.opened.lab.clock();
        clock.set_speed(0);
        assert!(clock.held_for().is_zero());
        act(self).await;
        !clock.held_for().is_zero()
    }
}

struct Held {
    opened: Opened,
    folders: TempDir,
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_the_site_holds_the_clock() {
    let lab = Held::lab().await;
    let group = "/v1/groups/My%20Company%5CSales";
    let generate =
        json!({ "update-certificate": { "manager": "sepm-1", "certificate": { "generate": {} } } });
    for (method, path, body) in [
        ("PUT", "/v1/lists/copy", json!({ "protocol": "http" })),
        ("PUT", "/v1/lists/copy", json!({ "protocol": "https" })),
        ("PUT", group, json!({ "inherits": false })),
        ("PUT", group, json!({ "secure_communications": false })),
        ("PUT", "/v1/lists/copy/assignments", json!({ "group": r"My Company\Sales" })),
        ("PUT", "/v1/groups/My%20Company%5CSales/locations/Home", json!({})),
        ("PUT", "/v1/groups/My%20Company%5CSales/policies/firewall", json!({ "content": "closed" })),
        ("POST", "/v1/commands", json!([generate])),
        ("PUT", "/v1/managers/sepm-1/certificate/one", json!({})),
        ("POST", "/v1/managers/sepm-1/restart", json!({})),
        ("PUT", "/v1/managers/sepm-2/replication", json!({ "replicates": false })),
        ("POST", "/v1/clients/desk-1/operations", json!({ "do": "move", "group": r"My Company\Sales" })),
        ("PUT", "/v1/snapshots/here", json!({})),
        ("POST", "/v1/snapshots/here/restore", json!({})),
        ("POST", "/v1/reset", json!({})),
    ] {
        let is_held =
            lab.is_held_by(async |lab| lab.opened.well(method, path, Some(body.clone())).await).await;
        assert_eq!(is_held, path != "/v1/snapshots/here", "{method} {path} {body}");
    }
    // The same through the REST API, and by files.
    let rest = Rest::log_in(&lab.opened.lab.site);
    let groups = rest.get("groups").json;
    let top = groups["content"].as_array().unwrap().iter().find(|one| one["name"] == "My Company").unwrap();
    let (id, location) = (top["id"].as_str().unwrap(), top["defaultLocationId"].as_str().unwrap());
    let switch = json!({ "configuration": { "general_settings": {
        "security_settings": { "secure_communications": false } } } });
    let settings = format!("groups/{id}/locations/{location}/settings");
    let new = json!({ "name": "New", "description": "", "inherits": true }).to_string();
    for (method, path, body, holds) in [
        ("PATCH", settings.as_str(), switch.to_string(), true),
        ("PATCH", settings.as_str(), switch.to_string(), false), // it is so already
        ("POST", &format!("groups/{id}"), new.clone(), true),
        ("POST", &format!("groups/{id}"), new, false), // refused
    ] {
        let is_held = lab.is_held_by(async |_| rest.with(method, path, &body)).await;
        assert_eq!(is_held, holds, "{method} {path} {body}");
    }
    let key = lab.folders.path().join("sepm-2/apache/conf/ssl/server.key");
    let is_held = lab.is_held_by(async |_| fs::write(&key, "no key").unwrap()).await;
    assert!(!is_held, "no service has read it");
    let restart = json!({ "service": "semwebsrv" });
    assert!(lab.is_held_by(async |lab| lab.opened.post("/v1/managers/sepm-2/restart", restart).await).await);
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_or_refused_and_what_clients_do_hold_nothing() {
    let lab = Held::lab().await;
    lab.opened.put("/v1/managers/sepm-1/certificate/one", json!({})).await;
    let rotation = json!([{ "expect": "rotation" }]);
    let fault = json!({ "what": { "kind": "status", "code": 503 } });
    for (method, path, body, status) in [
        ("GET", "/v1/site", Value::Null, 200),
        ("GET", "/v1/verdict", Value::Null, 200),
        ("GET", "/v1/groups/My%20Company%5CDefault%20Group/sylink", Value::Null, 200),
        (
            "POST",
            "/v1/verdict/if-now",
            json!([{ "add-group": { "group": r"My Company\New", "inherits": true } }]),
            200,
        ),
        ("POST", "/v1/expectations", rotation, 200),
        ("PUT", "/v1/managers/sepm-1/certificate/one", json!({}), 200),
        ("PUT", "/v1/managers/sepm-1/certificate/one", json!({ "valid_days": 3 }), 409),
        ("PUT", "/v1/groups/My%20Company", json!({ "list": "none" }), 404),
        ("PUT", "/v1/groups/My%20Company", json!({ "secure_communications": true }), 200),
        ("PUT", "/v1/baselines/here", json!({}), 200),
        ("PUT", "/v1/snapshots/here", json!({}), 200),
        ("PUT", "/v1/faults/busy", fault, 200),
        ("DELETE", "/v1/faults", Value::Null, 200),
        ("PUT", "/v1/fleet/more", json!({ "count": 2 }), 200),
        ("POST", "/v1/clients/desk-1/operations", json!({ "do": "offline" }), 200),
        ("POST", "/v1/clients/desk-1/operations", json!({ "do": "online" }), 200),
        ("POST", "/v1/clients/desk-1/operations", json!({ "do": "import" }), 200),
        ("PUT", "/v1/clock", json!({ "now": "2030-01-01T00:00:00Z" }), 200),
        ("POST", "/v1/clock/advance", json!({ "by": "1h" }), 200),
        ("POST", "/v1/clock/heartbeats", json!({ "heartbeats": 2 }), 200),
    ] {
        let body = (!body.is_null()).then(|| body.to_string());
        let is_held = lab
            .is_held_by(async |lab| {
                let (found, _, text) = lab.opened.ask(method, path, body.as_deref()).await;
                assert_eq!(found, status, "{method} {path}: {text}");
            })
            .await;
        assert!(!is_held, "{method} {path}");
    }
    let rest = Rest::log_in(&lab.opened.lab.site); // the clock was moved, and its tokens are over
    for path in ["groups", "computers", "admin/servers"] {
        assert!(!lab.is_held_by(async |_| assert_eq!(rest.get(path).status, 200)).await, "{path}");
    }
    assert!(!lab.is_held_by(async |lab| Rest::log_in(&lab.opened.lab.site)).await);
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn a_speed_ends_a_hold_and_advancing_or_setting_the_clock_does_not() {
    let lab = Opened::with_clients(2).await;
    let change =
        || lab.put("/v1/groups/My%20Company%5CSales/policies/firewall", json!({ "content": "closed" }));
    lab.put("/v1/groups/My%20Company%5CSales", json!({ "inherits": false })).await;
    let clock = lab.put("/v1/clock", json!({ "hold": "1h", "speed": 200 })).await;
    assert_eq!((&clock["hold"], &clock["held_ms"], &clock["speed"]), (&json!("1h"), &json!(0), &json!(200)));
    change().await;
    let clock = lab.get("/v1/clock").await;
    assert!(clock["held_ms"].as_u64().unwrap() > 3_500_000, "{clock}");
    let now = lab.lab.clock().now();
    // Lab time passes only where it is moved; then the clock stands again.
    lab.post("/v1/clock/advance", json!({ "by": "2h" })).await;
    assert_eq!(lab.lab.clock().now(), now + 2 * HOUR);
    lab.put("/v1/clock", json!({ "now": "2030-01-01T00:00:00Z" })).await;
    assert_eq!(lab.get("/v1/clock").await["now"], "2030-01-01T00:00:00.000Z");
    // Heartbeats need time: a hold that does not end in time is no success.
    let limited = json!({ "heartbeats": 1, "limit_seconds": 1 }).to_string();
    assert_eq!(lab.ask("POST", "/v1/clock/heartbeats", Some(&limited)).await.0, 504);
    // A speed that is set holds at once, and after the next change again.
    let clock = lab.put("/v1/clock", json!({ "speed": 300 })).await;
    assert_eq!(clock["held_ms"], 0);
    lab.post("/v1/clock/heartbeats", json!({ "heartbeats": 1 })).await;
    change().await;
    let (status, _, text) = lab.ask("PUT", "/v1/clock", Some(r#"{"speed":301}"#)).await;
    assert!(status == 422 && text.contains("expected at most 300"), "{status} {text}");
    // Stopped by its user, it stays stopped after a change, and is moved from heartbeat to heartbeat.
    lab.put("/v1/clock", json!({ "speed": 0 })).await;
    lab.put("/v1/groups/My%20Company%5CSales/policies/firewall", json!({ "content": "open" })).await;
    assert_eq!(lab.get("/v1/clock").await["speed"], 0);
    lab.post("/v1/clock/heartbeats", json!({ "heartbeats": 1 })).await;
    let clock = lab.put("/v1/clock", json!({ "hold": "0s" })).await;
    assert_eq!((&clock["hold"], &clock["held_ms"]), (&Value::Null, &json!(0)));
    let (status, _, text) = lab.ask("PUT", "/v1/clock", Some(r#"{"hold":"2h"}"#)).await;
    assert!(status == 422 && text.contains("hold: expected at most 1h"), "{status} {text}");
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn a_presence_that_is_held_makes_no_heartbeat_and_is_no_silence() {
    let lab = Opened::with_clients(1).await;
    lab.lab.clock().set_hold(HOUR);
    lab.lab.clock().set_speed(1_000_000);
    lab.put("/v1/managers/sepm-1/certificate/one", json!({})).await;
    let before = lab.lab.clock().now();
    let mut plan = PartPlan::new("late", 1, "14.3".parse().unwrap());
    plan.group = DEFAULT_GROUP.to_owned();
    lab.lab.set_part(plan).await.unwrap();
    lab.lab.wait_for_part("late").await.unwrap();
    assert_eq!(lab.lab.clock().now(), before, "no time has passed");
    assert_eq!(lab.get("/v1/verdict").await["silent"], json!([]));
}
