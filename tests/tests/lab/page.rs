//! The page of a lab keeps up with what leaves no trace in the journal: a client that falls silent, a file that is replaced.

use std::fs;
use std::time::Duration;

use epm_fixtures::needs;
use epm_tests::control_api::Opened;
use epm_tests::{MANAGER, PATIENCE};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longer than three heartbeat intervals.
const SILENCE: Duration = Duration::from_secs(1200);

/// The endless response that tells an open page of changes.
struct Events(BufReader<TcpStream>);

impl Events {
    async fn of(lab: &Opened) -> Self {
        let request = "GET /page/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
        Self(BufReader::new(lab.dial(request).await))
    }

    /// The next message that says whether all is well in this way.
    async fn until_well_is(&mut self, well: bool) -> Value {
        let heard = timeout(PATIENCE, async {
            loop {
                let mut line = String::new();
                assert!(self.0.read_line(&mut line).await.unwrap() > 0, "the response has ended");
                let data = line.strip_prefix("data: ").and_then(|data| serde_json::from_str(data).ok());
                if let Some(message) = data.filter(|message: &Value| message["well"] == well) {
                    return message;
                }
            }
        });
        heard.await.unwrap_or_else(|_| panic!("no message says that well is {well}"))
    }
}

/// A lab with this many clients, all of them idle.
async fn idle(clients: u32) -> Opened {
    let lab = Opened::with_clients(clients).await;
    lab.lab.advance(Duration::from_secs(1)).await.unwrap();
    lab
}

/// A lab whose clients begin no heartbeat: desk-1 is suspended, and desk-2 is off.
async fn sleeping() -> Opened {
    let lab = idle(2).await;
    for (client, act) in [("desk-1", "freeze"), ("desk-2", "offline")] {
        lab.post(&format!("/v1/clients/{client}/operations"), json!({ "do": act })).await;
    }
    lab
}

/// The HTML of a view.
async fn loaded(lab: &Opened, path: &str) -> String {
    lab.get(path).await.as_str().unwrap().to_owned()
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_loaded_shows_a_client_that_has_fallen_silent_and_counts_it_nowhere_as_well() {
    let lab = sleeping().await;
    assert!(loaded(&lab, "/").await.contains("All is well"));
    lab.lab.advance(SILENCE).await.unwrap();
    let page = loaded(&lab, "/").await;
    for expected in [
        ": of 2 clients, 1 silent.",
        "Now: well 1, behind 0, orphaned 0, out of touch 0, not secure 0, silent 1, off 0.",
    ] {
        assert!(page.contains(expected), "{expected}: {page}");
    }
    assert!(loaded(&lab, "/clients/desk-1").await.contains("These clients were suspended"));
    for (standing, expected) in [("well", "desk-2"), ("silent", "desk-1")] {
        let found = lab.get(&format!("/v1/clients?standing={standing}")).await;
        assert_eq!((&found["total"], &found["clients"][0]["client"]), (&json!(1), &json!(expected)));
    }
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn an_open_page_is_told_when_a_client_falls_silent() {
    let lab = sleeping().await;
    let mut events = Events::of(&lab).await;
    events.until_well_is(true).await;
    lab.lab.clock().set_speed(600);
    let told = events.until_well_is(false).await;
    assert_eq!(told["counts"]["silent"], 1, "{told}");
}

#[needs(curl)]
#[tokio::test(flavor = "multi_thread")]
async fn an_open_page_is_told_of_a_replaced_file_and_of_no_look_that_finds_the_same() {
    let lab = idle(1).await;
    let folder = TempDir::new().unwrap();
    lab.lab.site.install(MANAGER, folder.path(), false).unwrap();
    let mut events = Events::of(&lab).await;
    let first = loaded(&lab, "/").await;
    for _ in 0..3 {
        assert_eq!(version(&loaded(&lab, "/").await), version(&first));
    }
    events.until_well_is(true).await;
    fs::write(folder.path().join("apache/conf/ssl/server.key"), "another key").unwrap();
    let told = events.until_well_is(false).await;
    assert_eq!(told["version"], version(&first) + 1);
}

/// The number of the summary that a page shows.
fn version(page: &str) -> u64 {
    let (_, rest) = page.split_once("data-version=\"").unwrap();
    rest.split_once('"').unwrap().0.parse().unwrap()
}
