//! Files that a browser sends to the lab to be compared, and what is refused.

use epm_fixtures::needs;
use epm_tests::control_api::{Opened, heard};
use serde_json::{Value, json};

/// The verdict of the lab before and after every client has lost its manager.
async fn green_and_red(lab: &Opened) -> (String, String) {
    let green = lab.get("/v1/verdict").await.to_string();
    let update =
        json!([{ "update-certificate": { "manager": "sepm-1", "certificate": { "generate": {} } } }]);
    lab.post("/v1/commands", update).await;
    lab.post("/v1/clock/advance", json!({ "by": "1h" })).await;
    (green, lab.get("/v1/verdict").await.to_string())
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_compared_with_the_lab_as_it_is_now_or_with_the_file_after_it() {
    let lab = Opened::with_clients(2).await;
    let (green, red) = green_and_red(&lab).await;
    // Larger than other bodies may be.
    let green = " ".repeat(2 << 20) + &green;
    let path = format!("/page/compare?first=%3Cgreen%3E.json&size={}", green.len());
    let (status, kind, page) = lab.ask("POST", &path, Some(&green)).await;
    assert_eq!((status, kind.as_str()), (200, "text/html; charset=utf-8"), "{page}");
    for expected in [
        "2 clients do not end alike.",
        r#"<a href="/clients/desk-1">"#,
        "Causes only in this lab",
        "/failures/F01",
        "What was done: not compared, since &lt;green&gt;.json does not have it.",
    ] {
        assert!(page.contains(expected), "{expected}: {page}");
    }
    let (status, _, page) = lab.ask("POST", &format!("{path}&second=red.json"), Some(&(green + &red))).await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("Causes only in red.json") && !page.contains("this lab</th>"), "{page}");
    assert!(!page.contains(r#"href="/clients/desk-1""#), "clients of a file are none of this lab: {page}");
    assert_eq!(lab.get("/v1/verdict").await, serde_json::from_str::<Value>(&red).unwrap());
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_compared_is_refused_with_why() {
    let lab = Opened::with_clients(1).await;
    let large = " ".repeat((64 << 20) + 1);
    for (query, body, status, expected) in [
        ("first=a.txt&size=4", "text", 422, "a.txt: it is neither evidence nor JSON of `rehearse`"),
        ("first=a.json&size=2", "{}", 422, "a.json: it has no verdict: expected evidence"),
        ("first=a.zip&size=4", "PK\u{3}\u{4}", 422, "a.zip: the ZIP archive cannot be read"),
        ("first=a.json&size=3", "{}", 422, "`size` is 3, and the body has 2 bytes"),
        ("size=2", "{}", 400, "missing field `first`"),
        ("first=a.json&size=2", &large, 413, "limit"),
    ] {
        let (found, kind, text) = lab.ask("POST", &format!("/page/compare?{query}"), Some(body)).await;
        assert_eq!((found, kind.as_str()), (status, "application/problem+json"), "{query}: {text}");
        assert!(text.contains(expected), "{query}: {text}");
    }
    let send = async |headers: &str| {
        let host = lab.url.trim_start_matches("http://");
        let head = format!(
            "POST /page/compare?first=a&size=2 HTTP/1.1\r\nHost: {host}\r\n{headers}Content-Length: 2\r\nConnection: close\r\n\r\n{{}}"
        );
        heard(&mut lab.dial(&head).await).await
    };
    let form = "Content-Type: multipart/form-data; boundary=x\r\n";
    for (headers, status) in [
        ("Content-Type: application/octet-stream\r\nSec-Fetch-Site: same-origin\r\n", "422"),
        ("Content-Type: application/octet-stream\r\nSec-Fetch-Site: cross-site\r\n", "403"),
        ("Content-Type: application/octet-stream\r\nOrigin: http://evil.example\r\n", "403"),
        (form, "415"),
    ] {
        let answer = send(headers).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{headers}: {answer}");
    }
}
