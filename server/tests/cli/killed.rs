//! A lab that is killed while it writes its folder: whenever it happens, what is left starts, with both stores old or both
//! new.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use serde_json::Value;

use crate::harness::{RunningLab, until};

/// How often it is killed.
const TIMES: usize = 8;

fn start(root: &Path) -> RunningLab {
    RunningLab::up(&["--agents", "0", "--install-root", root.to_str().unwrap()])
}

impl RunningLab {
    fn fingerprint(&self) -> &str {
        self.ready["managers"][0]["fingerprint"].as_str().unwrap()
    }

    /// Sends a request to the control API, and does not wait for the answer.
    fn send(&self, method: &str, path: &str) -> TcpStream {
        let host = self.url().trim_start_matches("http://");
        let mut stream = TcpStream::connect(host).unwrap();
        let head = "content-type: application/json\r\ncontent-length: 2\r\nconnection: close";
        write!(stream, "{method} {path} HTTP/1.1\r\nhost: {host}\r\n{head}\r\n\r\n{{}}").unwrap();
        stream
    }

    fn stores(&self) -> Value {
        let mut answer = String::new();
        self.send("GET", "/v1/managers/sepm-1/certificate").read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }
}

#[test]
fn a_lab_that_is_killed_while_it_updates_starts_again_with_both_stores_alike() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("sepm");
    let mut before = start(&root).fingerprint().to_owned();
    let (mut old, mut new) = (0, 0);
    for time in 0..TIMES {
        let lab = start(&root);
        assert_eq!(lab.fingerprint(), before, "it starts from what was there");
        // One update is asked for after another, without waiting for an answer; the lab is killed as soon as so much of an
        // update is seen in the folder.
        let signs = ["data/.update", "tomcat/etc/keystore.jks.pending", "apache/conf/ssl/server.key.pending"];
        let sign = root.join(signs[time % signs.len()]);
        let mut asked = Vec::new();
        until("an update is under way", || {
            if asked.len() < 200 {
                asked.push(
                    lab.send("PUT", &format!("/v1/managers/sepm-1/certificate/{time}-{}", asked.len())),
                );
            }
            (0..200).any(|_| sign.exists()).then_some(())
        });
        lab.kill();
        drop(asked);
        let again = start(&root);
        let stores = again.stores();
        assert_eq!(stores["stopped"], serde_json::json!([]), "{stores}");
        let [console, client] = ["console", "client"].map(|one| stores["stores"][one]["fingerprint"].clone());
        assert_eq!(console, client, "half of each");
        if client == before.as_str() {
            old += 1;
        } else {
            new += 1;
        }
        before = client.as_str().unwrap().to_owned();
        let left: Vec<_> = ["tomcat/etc", "apache/conf/ssl", "data"]
            .iter()
            .flat_map(|one| std::fs::read_dir(root.join(one)).unwrap())
            .map(|one| one.unwrap().file_name().into_string().unwrap())
            .filter(|name| name.contains("pending") || name.contains("unfinished") || name == ".update")
            .collect();
        assert_eq!(left, [""; 0], "nothing is left lying about");
    }
    eprintln!("killed {TIMES} times: {old} times the old certificate, {new} times a new one");
}
