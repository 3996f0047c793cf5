//! The control API: a PUT of a known name replaces, changes nothing because it is the same, or is refused. It never
//! answers 200 and ignores what it was given.

use epm_fixtures::needs;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::{CertificateRequest, Salts, ServerIdentity, SigningKey, Validity, issue};
use epm_tests::control_api::Opened;
use serde_json::{Value, json};

const UPDATE: &str = "/v1/managers/sepm-1/certificate/january";

/// A certificate and its key, in PEM, as an update of the control API.
fn brought(bits: u32) -> Value {
    let key = SigningKey::generate(bits).unwrap();
    let request = CertificateRequest {
        common_name: "127.0.0.1".to_owned(),
        names: vec!["127.0.0.1".to_owned()],
        validity: Validity {
            not_before: Timestamp::from_seconds(1_700_000_000),
            not_after: Timestamp::from_seconds(2_000_000_000),
        },
        serial: 77,
    };
    let certificate = issue(&key, &request).unwrap();
    let identity = ServerIdentity::new(key, certificate).unwrap();
    let key = identity.key_pem(None, &mut Salts::from_seed([0; 32])).unwrap();
    json!({ "certificate": identity.certificates_pem(), "key": *key })
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn the_baseline_of_the_start_stays_and_long_names_and_control_characters_are_refused() {
    let lab = Opened::with_clients(1).await;
    let start = lab.get("/v1/baselines/start").await;
    lab.put("/v1/managers/sepm-1/certificate/careless", json!({})).await;
    for method in ["PUT", "DELETE"] {
        let (status, _, text) = lab.ask(method, "/v1/baselines/start", None).await;
        assert!(
            status == 409 && text.contains("name-taken") && text.contains("choose another name"),
            "{text}"
        );
    }
    assert_eq!(lab.get("/v1/baselines/start").await, start);
    for kind in ["baseline", "snapshot"] {
        let known = lab.get(&format!("/v1/{kind}s")).await;
        for (name, found) in
            [("x".repeat(129), "found 129 characters"), ("a%0Ab".to_owned(), "control character")]
        {
            let (status, _, text) = lab.ask("PUT", &format!("/v1/{kind}s/{name}"), None).await;
            assert_eq!(status, 422, "{text}");
            assert!(text.contains(&format!("of a {kind}")) && text.contains(found), "{text}");
        }
        assert_eq!(lab.get(&format!("/v1/{kind}s")).await, known);
        lab.well("PUT", &format!("/v1/{kind}s/{}", "x".repeat(128)), None).await;
    }
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn parts_faults_expectations_and_updates_have_names_of_at_most_128_characters_without_control_characters()
 {
    let lab = Opened::with(None).await;
    for (kind, place, body) in [
        ("a part", "/v1/fleet", json!({ "count": 1, "at_once": true })),
        ("a fault", "/v1/faults", json!({ "what": "reset" })),
        ("an expectation", "/v1/expectations", json!({ "expect": "every-client-is-secure" })),
        ("an update", "/v1/managers/sepm-1/certificate", json!({})),
    ] {
        for (name, found) in
            [("x".repeat(129), "found 129 characters"), ("a%1Bb".to_owned(), "found the control character")]
        {
            let (status, _, text) = lab.ask("PUT", &format!("{place}/{name}"), Some(&body.to_string())).await;
            assert_eq!(status, 422, "{kind}: {text}");
            assert!(text.contains(&format!("invalid name of {kind}")) && text.contains(found), "{text}");
        }
        lab.put(&format!("{place}/{}", "x".repeat(128)), body).await;
    }
}

async fn refused(lab: &Opened, path: &str, body: &Value) -> Value {
    let (status, kind, text) = lab.ask("PUT", path, Some(&body.to_string())).await;
    assert_eq!((status, kind.as_str()), (409, "application/problem+json"), "{body}: {text}");
    serde_json::from_str(&text).unwrap()
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn a_known_update_with_another_certificate_is_refused_and_repeated_it_changes_nothing() {
    let lab = Opened::with(None).await;
    let (one, other) = (brought(2048), brought(2048));
    let first = lab.put(UPDATE, one.clone()).await;
    assert_eq!(lab.put(UPDATE, one.clone()).await, first, "the same request again");
    let mut half = one.clone();
    half["stores"] = json!("console");
    for another in [other.clone(), half, json!({}), json!({ "valid_days": 30 })] {
        let problem = refused(&lab, UPDATE, &another).await;
        assert_eq!(problem["code"], "differs", "{problem}");
        let said = problem["detail"].as_str().unwrap();
        assert!(said.contains("january") && said.contains("choose another name"), "{said}");
        assert!(!said.contains("PRIVATE"), "{said}");
    }
    assert_eq!(lab.get("/v1/managers/sepm-1/certificate").await, first, "nothing has changed");
    let next = lab.put("/v1/managers/sepm-1/certificate/february", other).await;
    assert_ne!(next["stores"], first["stores"]);
    lab.put(UPDATE, one).await;
    assert_eq!(lab.get("/v1/managers/sepm-1/certificate").await["stores"], next["stores"]);
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn a_known_list_becomes_the_copy_that_was_asked_for() {
    let lab = Opened::with(None).await;
    lab.put("/v1/lists/http", json!({ "protocol": "http" })).await;
    let copy = lab.put("/v1/lists/copy", json!({ "verify_ca": true })).await;
    assert_eq!((&copy["protocol"], &copy["verify_ca"]), (&json!("https"), &json!(true)));
    let asked = json!({ "copy_of": "http" });
    let copy = lab.put("/v1/lists/copy", asked.clone()).await;
    assert_eq!((&copy["protocol"], &copy["verify_ca"]), (&json!("http"), &json!(false)), "{copy}");
    assert_eq!(lab.put("/v1/lists/copy", asked).await, copy);
    let (status, _, text) = lab.ask("PUT", "/v1/lists/copy", Some(r#"{ "copy_of": "htp" }"#)).await;
    assert!(status == 404 && text.contains("http"), "{status} {text}");
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn a_location_that_has_no_settings_of_its_own_is_not_told_to_use_them() {
    let lab = Opened::with(None).await;
    let home = "/v1/groups/My%20Company/locations/Home";
    lab.put(home, json!({})).await;
    let own = json!({ "use_group_communication": false });
    let (status, _, text) = lab.ask("PUT", home, Some(&own.to_string())).await;
    assert!(status == 422 && text.contains("use_group_communication"), "{status} {text}");
    let list = "Default Management Server List for My Site";
    lab.put(home, json!({ "use_group_communication": false, "list": list })).await;
    lab.put(home, own).await;
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_keeps_administrators_out_is_said_by_the_answer_the_verdict_and_the_journal() {
    let lab = Opened::with(None).await;
    let trouble = "F14: the console fails to connect to the server: its key has 3072 bits";
    let long = lab.put(UPDATE, brought(3072)).await;
    assert!(long["console_trouble"].as_str().unwrap().starts_with(trouble), "{long}");
    let verdict = lab.get("/v1/verdict").await;
    assert!(verdict["console_troubles"]["sepm-1"].as_str().unwrap().starts_with(trouble), "{verdict}");
    let journal = lab.get("/v1/journal?kind=operator-action").await.to_string();
    assert_eq!(journal.matches(trouble).count(), 1, "{journal}");
    // The clients' port is no console.
    let mut client = brought(2048);
    let short = lab.put("/v1/managers/sepm-1/certificate/short", client.clone()).await;
    assert!(short.get("console_trouble").is_none(), "{short}");
    assert!(lab.get("/v1/verdict").await.get("console_troubles").is_none());
    client = brought(3072);
    client["stores"] = json!("client");
    let half = lab.put("/v1/managers/sepm-1/certificate/half", client).await;
    assert!(half.get("console_trouble").is_none(), "{half}");
}
