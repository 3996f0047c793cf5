//! A lab that is killed while it writes its folder: whenever it happens, what is left starts, with both stores old or both
//! new.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// How often it is killed.
const TIMES: u64 = 8;

struct Lab {
    child: Child,
    door: String,
    fingerprint: String,
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.child.kill(); // SIGKILL
        let _ = self.child.wait();
    }
}

impl Lab {
    fn start(root: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_epm-lab"));
        command.args(["up", "--http-port", "0", "--agents", "0", "--install-root"]).arg(root);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.is_empty() {
            let mut said = String::new();
            child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
            panic!("it does not start: {said}");
        }
        let ready: Value = serde_json::from_str(&line).unwrap();
        let door = ready["door"].as_str().unwrap().trim_start_matches("http://").to_owned();
        let fingerprint = ready["managers"][0]["fingerprint"].as_str().unwrap().to_owned();
        Self { child, door, fingerprint }
    }

    fn ask(&self, method: &str, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.door).unwrap();
        let host = &self.door;
        let head = "content-type: application/json\r\ncontent-length: 2\r\nconnection: close";
        write!(stream, "{method} {path} HTTP/1.1\r\nhost: {host}\r\n{head}\r\n\r\n{{}}").unwrap();
        stream
    }

    fn stores(&self) -> Value {
        let mut answer = String::new();
        self.ask("GET", "/v1/managers/sepm-1/certificate").read_to_string(&mut answer).unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }
}

#[test]
fn a_lab_that_is_killed_while_it_updates_starts_again_with_both_stores_alike() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("sepm");
    let mut before = Lab::start(&root).fingerprint.clone();
    let (mut old, mut new) = (0, 0);
    for time in 0..TIMES {
        let mut lab = Lab::start(&root);
        assert_eq!(lab.fingerprint, before, "it starts from what was there");
        // One update is asked for after another, and nobody waits for an answer; it is killed as soon as so much of an
        // update is seen in the folder.
        let signs = ["data/.update", "tomcat/etc/keystore.jks.pending", "apache/conf/ssl/server.key.pending"];
        let sign = root.join(signs[usize::try_from(time).unwrap() % signs.len()]);
        let mut asked = Vec::new();
        for number in 0..10_000 {
            if number < 200 {
                asked.push(lab.ask("PUT", &format!("/v1/managers/sepm-1/certificate/{time}-{number}")));
            }
            if (0..200).any(|_| sign.exists()) {
                break;
            }
        }
        lab.child.kill().unwrap();
        lab.child.wait().unwrap();
        drop(asked);
        let again = Lab::start(&root);
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
