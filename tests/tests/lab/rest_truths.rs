//! What public records say of the REST API: credentials are decoded, frequencies are apart, a doubled slash is 500, and
//! messages are sentences. And the assumptions of a running lab.

use std::process::Command as Process;
use std::time::Duration;

use epm_client_agent::wire::Stopwatch;
use epm_fixtures::{needs, output};
use epm_protocol::time::Clock;
use epm_server::MockSite;
use epm_tests::TestSite;
use epm_tests::control_api::Opened;
use epm_tests::rest_curl::{Rest, Said};
use serde_json::{Value, json};

fn log_in(rest: &Rest, user: &str, password: &str) -> Said {
    let body = json!({ "username": user, "password": password, "domain": "" }).to_string();
    rest.with("POST", "identity/authenticate", &body)
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_percent_sign_in_credentials_is_decoded_and_plus_is_not() {
    let lab = TestSite::of(MockSite::builder().rest_api(0)).await;
    let rest = Rest::log_in(lab.site());
    for (name, password) in [("square", "Passwo]+"), ("percent", "Passwo%5d"), ("a%b", "12345678")] {
        let body = json!({ "loginName": name, "password": password, "adminType": 1 }).to_string();
        assert_eq!(rest.with("POST", "admin-users", &body).status, 200, "{name}");
    }
    let words = |said: Said| (said.status, said.json["errorMessage"].as_str().unwrap_or_default().to_owned());
    let illegal = "URLDecoder: Illegal hex characters in escape (%) pattern - Error at index 0 in: \"rd\"";
    let incomplete = "URLDecoder: Incomplete trailing escape (%) pattern";
    assert_eq!(words(log_in(&rest, "admin", "Passw0%rd")), (400, illegal.to_owned()));
    assert_eq!(words(log_in(&rest, "admin", "Passw0rd%")), (400, incomplete.to_owned()));
    assert_eq!(words(log_in(&rest, "%", "epm-lab")), (400, incomplete.to_owned()));
    for (user, password, status) in [
        ("square", "Passwo%5d+", 200),
        ("square", "Passwo]%2B", 200),
        ("square", " Passwo]+ ", 200),
        ("square", "Passwo] ", 400),
        ("percent", "Passwo%5d", 400),
        ("percent", "Passwo%255d", 200),
        ("a%25b", "12345678", 200),
        ("%61dmin", "epm%2Dlab", 200),
    ] {
        assert_eq!(log_in(&rest, user, password).status, status, "{user} {password}");
    }
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_frequency_of_a_location_is_changed_alone() {
    let lab = TestSite::of(MockSite::builder().rest_api(0)).await;
    let rest = Rest::log_in(lab.site());
    let groups = rest.get("groups").json["content"].clone();
    let top = groups.as_array().unwrap().iter().find(|one| one["name"] == "My Company").unwrap();
    let at = format!("groups/{}/locations/default/settings", top["id"].as_str().unwrap());
    let names = [
        "pull_mode_heartbeat_freq_in_seconds",
        "upload_op_state_heartbeat_freq_in_seconds",
        "upload_log_heartbeat_freq_in_seconds",
        "upload_cmd_state_heartbeat_freq_in_seconds",
        "randomization_range",
        "randomization_frequency",
    ];
    let shown = || {
        let settings = rest.get(&at).json["configuration"]["communication_settings"].clone();
        names.map(|name| settings[name].as_u64().unwrap())
    };
    let mut expected = shown();
    for (place, name) in names.into_iter().enumerate() {
        let seconds = 1000 + u64::try_from(place).unwrap();
        expected[place] = seconds;
        let body = json!({ "configuration": { "communication_settings": { name: seconds } } });
        assert_eq!(rest.with("PATCH", &at, &body.to_string()).status, 200);
        assert_eq!(shown(), expected, "{name}");
    }
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_site_without_clients_answers_null_and_a_doubled_slash_is_500() {
    let lab = TestSite::of(MockSite::builder().rest_api(0)).await;
    let rest = Rest::log_in(lab.site());
    for (path, list) in [("version", "clientVersionList"), ("content", "clientDefStatusList")] {
        let said = rest.get(&format!("stats/client/{path}"));
        assert!(said.text.contains(&format!("\"{list}\":null")), "{said:?}");
    }
    let refused = rest.send("GET", "/sepm//api/v1/version", &[]);
    assert!(refused.status == 500 && refused.content_type.contains("html"), "{refused:?}");
    let said = |path: &str| rest.get(&format!("stats/{path}"));
    let day = 86_400_000;
    let infected = said(&format!("client/infection/Day/0/to/{day}")).json;
    assert_eq!(
        infected["infectedClientStats"],
        json!([{ "epochTime": 0, "clientsCount": 0 }, { "epochTime": day, "clientsCount": 0 }])
    );
    assert_eq!(said("client/malware/Hour/0/to/1").json["malwareClientStats"][0]["clientsCount"], 0);
    assert_eq!(said("client/risk/0/to/1").json["riskDistributionStats"][0]["riskCount"], 0);
    let resolved = said("autoresolved/Week/0/to/1").json;
    assert_eq!(resolved["getautoResolvedAttacks"], resolved["autoResolvedAttacks"]);
    assert_eq!(said("client/content/sources").json["downloadSources"][0]["clientCount"], 0);
    for wrong in ["client/infection/Year/0/to/1", "client/malware/Day/1/to/0", "client/risk/x/to/1"] {
        assert_eq!(said(wrong).status, 400, "{wrong}");
    }
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_are_sentences_without_the_words_and_quotes_of_rust() {
    let lab = TestSite::of(MockSite::builder().rest_api(0)).await;
    let rest = Rest::log_in(lab.site());
    let group = |name: &str| lab.site().look(|site| site.groups().find(name).unwrap().id.to_string());
    let (top, default) = (group(r"My Company"), group(r"My Company\Default Group"));
    let settings = format!("groups/{top}/locations/default/settings");
    let location = |body: &str| rest.with("PATCH", &settings, &format!(r#"{{"configuration":{body}}}"#));
    for (said, expected) in [
        (
            rest.with("DELETE", &format!("groups/{top}"), ""),
            "The group My Company cannot be renamed or removed.",
        ),
        (
            rest.with("PATCH", &format!("groups/{top}"), r#"{"inherits":true}"#),
            "The group My Company has no parent group to inherit from.",
        ),
        (
            rest.with("POST", &format!("groups/{top}"), r#"{"name":"Default Group"}"#),
            r"A group My Company\Default Group already exists.",
        ),
        (
            rest.with(
                "PATCH",
                &format!("groups/{default}/locations/default/settings"),
                r#"{"configuration":{"communication_settings":{"mode":"PUSH"}}}"#,
            ),
            r"The group My Company\Default Group inherits its settings from My Company. Change them there.",
        ),
        (
            location(r#"{"communication_settings":{"sem_server":{"name":"a\\b \"c\""}}}"#),
            r#"The management server list a\b "c" does not exist."#,
        ),
        (
            location(r#"{"communication_settings":{"mode":"X"}}"#),
            "The field configuration.communication_settings.mode is invalid: X. Expected one of PULL, PUSH.",
        ),
        (
            location(r#"{"communication_settings":{"upload_log_heartbeat_freq_in_seconds":-1}}"#),
            "The field configuration.communication_settings.upload_log_heartbeat_freq_in_seconds is invalid: -1. Expected a whole number that is not negative.",
        ),
        (location("7"), "The field configuration is invalid: a number. Expected an object."),
        (rest.with("PATCH", &settings, "{"), "The body is not valid JSON at line 1, column 1."),
        (
            rest.with("POST", "policy-objects/fingerprints", r#"{"name":"x","data":["z\\z"]}"#),
            r"The hash Z\Z is not a valid MD5 hash.",
        ),
        (rest.get("groups?pageSize=many"), "The parameter pageSize is invalid: many. Expected a number."),
        (rest.get("groups/x%5Cy"), r"The id x\y is invalid; expected 32 hexadecimal digits."),
    ] {
        assert_eq!(said.json["errorMessage"], expected, "{said:?}");
    }
}

/// What the lab assumes: its value, and its value from the next reset on.
async fn assumed(lab: &Opened, name: &str) -> (String, Option<String>) {
    let all = lab.get("/v1/assumptions").await;
    let one = all.as_array().unwrap().iter().find(|one| one["name"] == name).unwrap().clone();
    (one["value"].as_str().unwrap().to_owned(), one["next"].as_str().map(ToOwned::to_owned))
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_lab_limits_calls_ends_tokens_and_locks_accounts_at_once() {
    let lab = Opened::of(MockSite::builder().rest_api(0), None).await.and_clients(1).await;
    let rest = Rest::log_in(&lab.lab.site);
    let set = async |body: Value| lab.put("/v1/assumptions", body).await;
    // F41 on a running lab: more calls than the product allows.
    set(json!({ "rest_throttle_calls": 50 })).await;
    let statuses: Vec<u16> = (0..51).map(|_| rest.get("version").status).collect();
    assert_eq!((&statuses[..50], statuses[50]), (&[200; 50][..], 429), "{statuses:?}");
    lab.lab.clock().set(lab.lab.clock().now() + Duration::from_secs(61));
    assert_eq!(rest.get("version").status, 200);
    set(json!({ "rest_throttle_calls": null })).await;
    lab.lab.clock().set(lab.lab.clock().now() + Duration::from_secs(120));
    assert_eq!(rest.get("domains").status, 200);
    set(json!({ "rest_token_seconds": 100 })).await;
    assert_eq!(rest.get("domains").status, 401, "the token was issued longer ago");
    let rest = Rest::log_in(&lab.lab.site);
    set(json!({ "rest_locks_accounts": true })).await;
    assert!((0..5).all(|_| log_in(&rest, "admin", "wrong").status == 400));
    let locked = log_in(&rest, "admin", "epm-lab");
    assert!(locked.status == 400 && locked.text.contains("locked"), "{locked:?}");
    let shown = rest.get("admin-users").json[0].clone();
    assert_eq!((&shown["lockStatus"], &shown["failedLoginCount"]), (&true.into(), &5.into()), "{shown}");
    lab.lab.clock().set(lab.lab.clock().now() + Duration::from_secs(15 * 60));
    assert_eq!(log_in(&rest, "admin", "epm-lab").status, 200);
    let journal = lab.get("/v1/journal?kind=operator-action").await;
    assert!(journal.to_string().contains("assumptions set: rest_locks_accounts = true"), "{journal}");
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_five_failed_log_ins_each_waits_unless_it_is_assumed_otherwise() {
    let lab = Opened::of(MockSite::builder().rest_api(0), None).await.and_clients(1).await;
    let rest = Rest::log_in(&lab.lab.site);
    assert!((0..5).all(|_| log_in(&rest, "admin", "wrong").status == 400));
    let (slow, least) = (Stopwatch::start(), Duration::from_millis(250 + 500 + 1000));
    assert!((0..3).all(|_| log_in(&rest, "admin", "wrong").status == 400));
    assert!(slow.elapsed() >= least, "{:?}", slow.elapsed());
    lab.put("/v1/assumptions", json!({ "rest_slows_log_ins": false })).await;
    let quick = Stopwatch::start();
    assert!((0..3).all(|_| log_in(&rest, "admin", "wrong").status == 400));
    assert!(quick.elapsed() < Duration::from_secs(8), "they would have waited for 10 s");
    assert_eq!(log_in(&rest, "admin", "epm-lab").status, 200);
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_other_assumption_of_a_running_lab_takes_effect_at_the_next_reset() {
    let lab = Opened::of(MockSite::builder().rest_api(0), None).await.and_clients(1).await;
    let address = lab.lab.site.addresses()[0].hello.clone();
    let hello = || {
        let out = output(Process::new("curl").args(["-sS", "--max-time", "20", &address]));
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    lab.put("/v1/assumptions", json!({ "hello_answer": "hi", "heartbeat_jitter_percent": 0 })).await;
    assert_eq!(assumed(&lab, "hello_answer").await, ("OK".to_owned(), Some("hi".to_owned())));
    assert_eq!(hello(), "OK");
    lab.post("/v1/reset", json!({})).await;
    assert_eq!(assumed(&lab, "hello_answer").await, ("hi".to_owned(), None));
    assert_eq!(hello(), "hi");
    let (status, _, text) = lab.ask("PUT", "/v1/assumptions", Some(r#"{"hello_answr":"x"}"#)).await;
    assert!(status == 404 && text.contains("hello_answer"), "{text}");
    let (status, _, text) =
        lab.ask("PUT", "/v1/assumptions", Some(r#"{"hello_answer":"x","unchanged_status":7}"#)).await;
    assert!(status == 422 && text.contains("an HTTP status from 200 to 599"), "{text}");
    assert_eq!(assumed(&lab, "hello_answer").await, ("hi".to_owned(), None), "all of them or none");
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_that_is_sent_in_the_wrong_place_is_not_kept_and_the_name_of_an_administrator_is() {
    let lab = Opened::of(MockSite::builder().rest_api(0), None).await;
    let rest = Rest::log_in(&lab.lab.site);
    let authenticate = "identity/authenticate";
    assert_eq!(log_in(&rest, "hush-1", "x").status, 400);
    assert_eq!(log_in(&rest, "admi%6E", "wrong").status, 400);
    assert_eq!(rest.with("POST", authenticate, r#"{"username":"hush-2"#).status, 400);
    assert_eq!(rest.send("POST", "/sepm/oauth/token", &["--data", "username=hush-3"]).status, 400);
    for path in ["version?token=hush-4&x=1", "version?pass%77ord=hush-5", "version?x=1;password=hush-6"] {
        assert_eq!(rest.get(path).status, 200, "{path}");
    }
    assert_eq!(rest.get("token=hush-7").status, 404);
    let referer = ["-H", "Referer: https://127.0.0.1/page?token=hush-8"];
    assert_eq!(rest.send("GET", "/sepm/api/v1/version", &referer).status, 200);
    for form in ["journal", "journal?format=har"] {
        let kept = lab.get(&format!("/v1/{form}")).await.to_string();
        let found = kept.match_indices("hush").map(|(at, _)| &kept[at.saturating_sub(80)..at + 6]);
        assert_eq!(found.collect::<Vec<_>>(), Vec::<&str>::new(), "{form}");
        assert!(kept.contains("admi%6E") && kept.contains("redacted"), "{form}: {kept}");
    }
}
