//! A lab that runs out of file descriptors: it still answers, says so once, and refuses a fleet that cannot fit.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Running, needs, output, program, refused, stderr, stdout, until, well};

/// `epm-lab` with these limits of open files, in the words of `ulimit`.
fn limited(limits: &str, arguments: &[&str]) -> Command {
    let mut bash = Command::new("bash");
    let script = format!("ulimit {limits}; exec \"$0\" \"$@\"");
    bash.args(["-c", &script]).arg(program().get_program()).args(arguments);
    bash
}

/// A lab without a fleet, and what it printed when it was ready.
fn up(limits: &str, arguments: &[&str]) -> (Running, Value) {
    let up = ["up", "--http-port", "0", "--no-rest", "--seed", "1"];
    let mut running = Running::start(&mut limited(limits, &[&up, arguments].concat()));
    let ready = serde_json::from_str(&running.says("\"ready\":true")).unwrap();
    (running, ready)
}

fn lab(ready: &Value, arguments: &[&str]) -> std::process::Output {
    output(program().env("EPM_LAB_URL", ready["control_api"].as_str().unwrap()).args(arguments))
}

/// Connections to the clients' port that send nothing.
fn silent(ready: &Value, count: usize) -> Vec<TcpStream> {
    let port = ready["managers"][0]["http"].as_str().unwrap().replace("http://", "");
    (0..count).map(|_| TcpStream::connect(&port).unwrap()).collect()
}

#[needs(bash)]
#[test]
fn a_lab_whose_port_is_full_answers_and_says_so_once() {
    let (mut running, ready) = up("-n 256", &["--agents", "0"]);
    let peers = silent(&ready, 200);
    running.says("port is full");
    for _ in 0..3 {
        well(&lab(&ready, &["clock", "show"]));
    }
    drop(peers);
    running.signal("INT");
    let (code, said) = running.ends();
    assert_eq!((code, said.matches("full").count()), (Some(0), 1), "{said}");
}

#[needs(bash)]
#[test]
fn peers_that_send_nothing_give_way_to_a_heartbeat() {
    let (running, ready) = up("-n 256", &["--agents", "0"]);
    let peers = silent(&ready, 150);
    let mut honest = silent(&ready, 1).remove(0);
    // Less than the time that a silent peer has.
    honest.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    honest.write_all(b"GET /secars/secars.dll?hello,secars HTTP/1.1\r\nHost: lab\r\n\r\n").unwrap();
    let mut answer = [0; 12];
    honest.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let is_open = |mut peer: &TcpStream| {
        peer.set_nonblocking(true).unwrap();
        peer.read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    };
    let open: Vec<bool> = peers.iter().map(is_open).collect();
    assert!(!open[0] && open[149], "the first to come are the first to go: {open:?}");
    running.kill();
}

#[needs(bash, prlimit)]
#[test]
fn a_lab_without_descriptors_says_so_once_and_answers_when_there_are_some() {
    let (mut running, ready) = up("-n 256", &["--agents", "0"]);
    let id = running.id().to_string();
    let set = |limit: usize| {
        well(&output(Command::new("prlimit").args(["--pid", &id, &format!("--nofile={limit}:256")])));
    };
    set(fs::read_dir(format!("/proc/{id}/fd")).unwrap().count() + 3);
    let peers = silent(&ready, 20);
    running.says("cannot accept connections");
    // Each of these waits for a descriptor, for as long as none is free.
    let calls: Vec<TcpStream> = peers.into_iter().take(10).collect();
    set(256);
    drop(calls);
    well(&lab(&ready, &["clock", "show"]));
    running.signal("INT");
    let (code, said) = running.ends();
    assert_eq!((code, said.matches("cannot accept").count()), (Some(0), 1), "{said}");
}

#[needs(bash, curl)]
#[test]
fn the_soft_limit_is_raised_so_that_a_push_fleet_is_served() {
    let (running, ready) = up("-Sn 256", &["--agents", "200", "--heartbeat", "5"]);
    let limits = fs::read_to_string(format!("/proc/{}/limits", running.id())).unwrap();
    let files = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let files: Vec<&str> = files.split_whitespace().collect();
    assert_eq!(files[3], files[4], "the soft limit is the hard one: {files:?}");
    let group = format!("{}/v1/groups/My%20Company", ready["control_api"].as_str().unwrap());
    let body = r#"{"communication":{"mode":"push"}}"#;
    let mut curl = Command::new("curl");
    curl.args(["-sSf", "-X", "PUT", "-H", "content-type: application/json", "-d", body, &group]);
    well(&output(&mut curl));
    let open = || fs::read_dir(format!("/proc/{}/fd", running.id())).unwrap().count();
    until("every client holds a connection", || (open() > 390).then_some(()));
    let checked = lab(&ready, &["check"]);
    assert_eq!(checked.status.code(), Some(0), "{}{}", stdout(&checked), stderr(&checked));
    running.kill();
}

#[needs(bash)]
#[test]
fn a_fleet_that_cannot_fit_is_refused_with_the_number_that_would() {
    let folder = tempfile::tempdir().unwrap();
    let export = folder.path().join("lab");
    let scenario = |clients: &str| {
        let file = folder.path().join(format!("push-{clients}.toml"));
        let text = format!(
            "title = \"Clients in push mode\"\n\
             site = {{ managers = [{{ name = \"sepm-1\" }}], setup = [{{ set-communication = {{ group = 'My Company', change = {{ mode = \"push\" }} }} }}] }}\n\
             fleet = [{{ name = \"laptop\", count = {clients}, version = \"14.3.8289\" }}]\n"
        );
        fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let many = scenario("300");
    let too_many = ["up", &many, "--http-port", "0", "--export", export.to_str().unwrap()];
    let output_of_up = output(&mut limited("-n 256", &too_many));
    refused(&output_of_up, &["300 clients do not fit", "would fit", "ulimit -Hn"]);
    assert!(!export.exists(), "nothing is half done");
    let said = stderr(&output_of_up);
    let fits = said.split(" would fit").next().unwrap().rsplit(' ').next().unwrap();
    let (running, _) = up("-n 256", &[&scenario(fits)]);
    running.kill();
    let run = output(&mut limited("-n 256", &["run", &many]));
    refused(&run, &["clients do not fit", "would fit"]);

    // As refused as at the start is what would put them into push mode later; nothing has changed then.
    let (running, ready) = up("-n 256", &["--agents", "300"]);
    let group = format!("{}/v1/groups/My%20Company", ready["control_api"].as_str().unwrap());
    let put = |mode: &str| {
        let body = format!(r#"{{"communication":{{"mode":"{mode}"}}}}"#);
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-X", "PUT", "-H", "content-type: application/json", "-d", &body, &group]);
        well(&output(&mut curl))
    };
    let said = put("push");
    assert!(said.contains("clients do not fit") && said.contains("would fit"), "{said}");
    assert!(put("pull").contains(r#""mode":"pull""#));
    running.kill();
}

#[needs(bash, curl)]
#[test]
fn a_lab_without_clients_in_push_mode_has_their_descriptors_for_others_until_it_gets_some() {
    let (running, ready) = up("-n 256", &["--agents", "0"]);
    let put = |path: &str, body: &str| {
        let url = format!("{}{path}", ready["control_api"].as_str().unwrap());
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-X", "PUT", "-H", "content-type: application/json", "-d", body, &url]);
        well(&output(&mut curl))
    };
    put("/v1/groups/My%20Company", r#"{"communication":{"mode":"push"}}"#);
    // More than half of the files.
    let peers = silent(&ready, 120);
    let open = || fs::read_dir(format!("/proc/{}/fd", running.id())).unwrap().count();
    until("every peer is received", || (open() > 120).then_some(()));
    let said = put("/v1/fleet/desk", r#"{"count":40}"#);
    let fits = said.split(" would fit").next().unwrap().rsplit(' ').next().unwrap();
    assert!((1..30).contains(&fits.parse::<u32>().unwrap()), "{said}");
    drop(peers);
    until("a fleet that fits", || {
        (!put("/v1/fleet/desk", r#"{"count":40}"#).contains("would fit")).then_some(())
    });
    well(&lab(&ready, &["check"]));
    running.signal("INT");
    let (code, said) = running.ends();
    assert_eq!((code, said.contains("full")), (Some(0), false), "{said}");
}

#[needs(bash)]
#[test]
fn clients_in_pull_mode_need_no_descriptors_between_two_heartbeats() {
    let (running, ready) = up("-n 256", &["--agents", "300"]);
    let checked = lab(&ready, &["check"]);
    assert_eq!(checked.status.code(), Some(0), "{}{}", stdout(&checked), stderr(&checked));
    running.kill();
}
