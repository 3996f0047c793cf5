//! The limits of the control API: slow peers, too many of them, huge numbers of groups, and concurrent changes of one
//! group.

use std::sync::Arc;
use std::time::Duration;

use epm_fixtures::needs;
use epm_tests::control_api::{Opened, heard};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use tokio::time::{interval, timeout};

const HEALTH: &str = "GET /v1/health HTTP/1.1\r\nHost: 127.0.0.1\r\n";

#[tokio::test(start_paused = true)]
async fn whoever_stalls_is_left_after_half_a_minute() {
    let lab = Opened::with(None).await;
    let body = "PUT /v1/groups/My%20Company/policies/p HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
                Content-Length: 10\r\n\r\n{\"c";
    let answered = format!("{HEALTH}\r\n");
    for (what, said, expected) in [
        ("says nothing", "", ""),
        ("stalls in a header", HEALTH, ""),
        ("asks nothing more", &answered, "HTTP/1.1 200"),
        ("stalls in a body", body, "HTTP/1.1 408"),
    ] {
        let mut connection = lab.dial(said).await;
        let found = timeout(Duration::from_secs(80), heard(&mut connection)).await;
        let found = found.unwrap_or_else(|_| panic!("a peer that {what} is still connected"));
        assert!(found.starts_with(expected), "a peer that {what} received {found}");
    }
    let mut connection = lab.dial(HEALTH).await;
    let mut drip = interval(Duration::from_secs(5));
    let dripped = timeout(Duration::from_secs(120), async {
        while connection.write_all(b"X").await.is_ok() {
            drip.tick().await;
        }
    });
    dripped.await.expect("a peer that drips a header is disconnected as well");
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_too_long_is_refused() {
    let lab = Opened::with(None).await;
    let mut connection = lab.dial(&format!("{HEALTH}X: {}", "x".repeat(80_000))).await;
    let said = heard(&mut connection).await;
    assert!(said.starts_with("HTTP/1.1 431"), "{said}");
    lab.get("/v1/health").await;
}

#[tokio::test]
async fn whoever_is_refused_while_sending_can_send_to_the_end_and_reads_why() {
    let lab = Opened::with(None).await;
    let half = "x".repeat(2 * 1024 * 1024);
    for (path, status) in [("/v1/groups/My%20Company/policies/p", "413"), ("/v1/nothing", "404")] {
        let length = 2 * half.len();
        let head = format!(
            "PUT {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n{half}"
        );
        let mut connection = lab.dial(&head).await;
        let said = heard(&mut connection).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{path}: {said}");
        // The lab has ended its side, and has not reset the connection.
        for piece in half.as_bytes().chunks(half.len() / 8) {
            timeout(Duration::from_secs(20), connection.write_all(piece))
                .await
                .expect("it is read")
                .unwrap_or_else(|error| panic!("{path}: {error}"));
        }
    }
}

fn add_group(group: &str) -> Value {
    json!({ "add-group": { "group": group } })
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_groups_wide_are_taken_and_changed_together() {
    let lab = Opened::with(None).await;
    for batch in 0..10 {
        let groups = (0..1000).map(|number| add_group(&format!(r"My Company\Group {batch} {number}")));
        lab.post("/v1/commands", groups.collect()).await;
    }
    lab.put(r"/v1/groups/My%20Company%5COne%20More", json!({})).await;
    lab.put("/v1/groups/My%20Company", json!({ "secure_communications": false })).await;
    let groups = lab.get("/v1/groups").await;
    let groups = groups.as_array().unwrap();
    assert_eq!(groups.len(), 10_003);
    assert!(groups.iter().all(|group| group["secure_communications"] == false));
    let (status, _, text) = lab.ask("GET", r"/v1/groups/My%20Company%5CGroup%203%20x", None).await;
    assert_eq!(status, 404, "{text}");
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_groups_deep_are_refused_and_none_of_them_is_there() {
    let lab = Opened::with(None).await;
    let before = lab.get("/v1/groups").await;
    let mut path = "My Company".to_owned();
    let mut chain = Vec::new();
    for _ in 0..10_000 {
        path.push_str(r"\x");
        chain.push(add_group(&path));
    }
    // As many levels as fit into a path; then some more at once, and the last of ten thousand alone.
    for levels in chain[..2000].chunks(100) {
        lab.post("/v1/commands", Value::Array(levels.to_vec())).await;
    }
    let kept = lab.get("/v1/groups").await;
    let asked = Value::Array(chain[2000..2100].to_vec()).to_string();
    let (status, kind, text) = lab.ask("POST", "/v1/commands", Some(&asked)).await;
    assert_eq!((status, kind.as_str()), (422, "application/problem+json"), "{text}");
    let encoded = path.replace('\\', "%5C").replace(' ', "%20");
    let (status, _, text) = lab.ask("PUT", &format!("/v1/groups/{encoded}"), Some("{}")).await;
    assert_eq!(status, 422, "{text}");
    let nested = "[".repeat(10_000) + &"]".repeat(10_000);
    let (status, _, text) = lab.ask("POST", "/v1/commands", Some(&nested)).await;
    assert!((400..500).contains(&status), "{status}: {text}");
    assert_eq!(lab.get("/v1/groups").await, kept);
    assert_eq!(before.as_array().unwrap().len() + 2000, kept.as_array().unwrap().len());
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn of_many_changes_to_one_group_none_is_lost_and_its_serial_strictly_advances() {
    const CLIENTS: usize = 8;
    const EACH: usize = 10;
    let lab = Arc::new(Opened::with(None).await);
    let group = r"/v1/groups/My%20Company%5CSales";
    let generation = |lab: &Opened| lab.lab.site.look(|site| site.publication("sepm-1").unwrap().generation);
    let before = generation(&lab);
    let tasks: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let lab = Arc::clone(&lab);
            tokio::spawn(async move {
                // All of them add it, but it is added once.
                lab.put(group, json!({ "inherits": false })).await;
                let mut serials = Vec::new();
                for number in 0..EACH {
                    let path = format!("{group}/policies/policy-{client}-{number}");
                    let answer = lab.put(&path, json!({ "content": "strict" })).await;
                    serials.push(answer["serial"].as_str().unwrap().to_owned());
                }
                serials
            })
        })
        .collect();
    for task in tasks {
        let serials = task.await.unwrap();
        assert!(serials.is_sorted_by(|one, next| one < next), "{serials:?}");
    }
    let found = lab.get(group).await;
    assert_eq!(found["policies"].as_array().unwrap().len(), CLIENTS * EACH, "{found}");
    // The clock stands still: each change has advanced the serial by a millisecond.
    assert_eq!(generation(&lab) - before, 1 + (CLIENTS * EACH) as u64, "publications");
    let serial = found["serial"].as_str().unwrap();
    assert!(serial.ends_with(" 080"), "{serial}: founded at 0 ms, changed eighty times");
}

/// Makes a PUT call over a kept connection, and returns the status.
async fn put(stream: &mut TcpStream, path: &str, body: &str) -> String {
    let head = format!(
        "PUT {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    let (mut heard, mut bytes) = (String::new(), vec![0; 16 * 1024]);
    loop {
        let count = stream.read(&mut bytes).await.unwrap();
        assert!(count > 0, "{heard}");
        heard.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
        let Some((head, body)) = heard.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        if body.len() >= length.parse().unwrap() {
            return head[9..12].to_owned();
        }
    }
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn of_many_who_found_one_group_at_the_same_moment_nobody_is_refused() {
    const CLIENTS: usize = 8;
    const ROUNDS: usize = 30;
    let lab = Arc::new(Opened::with(None).await);
    let together = Arc::new(Barrier::new(CLIENTS));
    let tasks: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (lab, together) = (Arc::clone(&lab), Arc::clone(&together));
            tokio::spawn(async move {
                let mut stream = lab.dial("").await;
                let mut refused = Vec::new();
                for round in 0..ROUNDS {
                    together.wait().await;
                    let group = format!("/v1/groups/My%20Company%5CGroup%20{round}");
                    let status = put(&mut stream, &group, r#"{"inherits":false}"#).await;
                    if status != "200" {
                        refused.push((group, status));
                    }
                }
                refused
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), []);
    }
    assert_eq!(lab.get("/v1/groups").await.as_array().unwrap().len(), ROUNDS + 2);
}
