//! A real browser on the lab's machine shows a page of another site: what the page can do to the lab.

use std::collections::BTreeMap;
use std::process::Command;

use epm_fixtures::{needs, output};
use epm_server::MockSite;
use epm_tests::control_api::Opened;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

const PAGE: &str = include_str!("../../clients/page.html");
const NAME: &str = "evil.example";

/// Serves the page at `/page`, and passes every other connection to the lab, byte for byte: the name of the page has been
/// made to resolve to the lab. Returns the port.
async fn rebound(lab: &Opened) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (page, lab) = (PAGE.replace("@LAB@", &lab.url), lab.url.replace("http://", ""));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (page, lab) = (page.clone(), lab.clone());
            tokio::spawn(async move {
                let mut head = vec![0; 64 * 1024];
                let count = stream.read(&mut head).await.unwrap_or(0);
                if head.starts_with(b"GET /page ") {
                    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n";
                    let _ = stream.write_all((head.to_owned() + &page).as_bytes()).await;
                    return;
                }
                let Ok(mut to_lab) = TcpStream::connect(lab).await else { return };
                let _ = to_lab.write_all(&head[..count]).await;
                let _ = copy_bidirectional(&mut stream, &mut to_lab).await;
            });
        }
    });
    port
}

/// What each call of the page came to in Chromium.
async fn shown(lab: &Opened) -> BTreeMap<String, Value> {
    let profile = tempfile::tempdir().unwrap();
    let mut chromium = Command::new("chromium");
    // Root has no sandbox, and the browser goes nowhere but to this test.
    chromium.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]);
    chromium.args(["--no-first-run", "--disable-background-networking"]);
    chromium.arg(format!("--user-data-dir={}", profile.path().display()));
    chromium.arg(format!("--host-resolver-rules=MAP {NAME} 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"));
    chromium.args(["--virtual-time-budget=20000", "--dump-dom"]);
    chromium.arg(format!("http://{NAME}:{}/page", rebound(lab).await));
    let shown = tokio::task::spawn_blocking(move || output(&mut chromium)).await.unwrap();
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    let results = text.split_once("RESULTS ").and_then(|(_, rest)| rest.split_once(" END"));
    let results = results.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&shown.stderr))).0;
    serde_json::from_str(results).unwrap()
}

#[needs(chromium)]
#[tokio::test(flavor = "multi_thread")]
async fn a_page_whose_name_is_rebound_to_the_lab_and_one_of_another_origin_can_do_nothing() {
    let lab = Opened::with(None).await;
    let found = shown(&lab).await;
    assert_eq!(found.len(), 9, "{found:?}");
    for (call, came_to) in &found {
        let is_refused = came_to == 403 || came_to == "refused";
        // The browser hides the answer; that the lab did nothing is asserted below.
        let is_hidden = came_to == "opaque" && call.contains("another origin");
        assert!(is_refused || is_hidden, "a page {call}: {came_to}; {found:?}");
    }
    assert_eq!(lab.lab.clock().speed(), 0);
    // Nothing here would have been refused if the name were the lab's: the page's calls are good ones.
    let own = Opened::at(MockSite::builder(), None, &[NAME]).await;
    let found = shown(&own).await;
    for call in [
        "reads as its own",
        "reads with a token that it made up",
        "takes the private keys",
        "changes the clock",
    ] {
        assert_eq!(found[call], 200, "{call}: {found:?}");
    }
    assert_eq!(own.lab.clock().speed(), 7);
}
