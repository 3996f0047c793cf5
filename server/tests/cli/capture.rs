//! `--pcap` and `SSLKEYLOGFILE`, judged by Wireshark's and curl's own reading.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::harness::{RunningLab, agent, needs, output, program, refused, run, stderr, until, well};

/// Reads a capture with tshark; it must find nothing malformed, and may find that the end is missing.
#[track_caller]
fn tshark(file: &Path, arguments: &[&str]) -> String {
    // A client's port may be one that is registered for another protocol, such as 48049 for 3gpp-cbsp.
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-o", "tcp.try_heuristic_first:TRUE", "-r"]).arg(file);
    let read = output(tshark.args(arguments));
    assert!(read.status.success() || stderr(&read).contains("cut short"), "{}", stderr(&read));
    String::from_utf8_lossy(&read.stdout).into_owned()
}

#[needs(curl, openssl, tshark)]
#[test]
fn a_capture_of_each_protocol_is_decrypted_also_after_the_lab_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("lab.pcapng");
    let lab = RunningLab::up(&["--heartbeat", "1", "--pcap", file.to_str().unwrap()]);
    let (http, https) = (lab.http(), lab.ready["managers"][0]["https"].as_str().unwrap());
    let curl = |arguments: &[&str]| {
        well(&output(Command::new("curl").args(["--silent", "--insecure"]).args(arguments)))
    };
    curl(&[&format!("{http}/plain")]);
    curl(&["--tls-max", "1.2", &format!("{https}/tls-1.2")]);
    curl(&["--tlsv1.3", &format!("{https}/tls-1.3")]);
    let rest = lab.ready["managers"][0]["rest"].as_str().unwrap();
    curl(&[&format!("{rest}/sepm/api/v1/version")]);
    // A session, and the same one again, in TLS 1.2.
    let session = folder.path().join("session");
    for how in ["-sess_out", "-sess_in"] {
        let place = https.trim_start_matches("https://");
        let mut openssl = Command::new("openssl");
        openssl.args(["s_client", "-quiet", "-no_ign_eof", "-tls1_2", "-connect", place, how]).arg(&session);
        let request = format!("GET /resumed{how} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n\r\n");
        let answered = epm_fixtures::output_of(openssl.arg("-ign_eof"), request.as_bytes());
        assert!(String::from_utf8_lossy(&answered.stdout).contains("404"), "{answered:?}");
    }
    lab.run(&["fault", "add", "busy", "status", "--set", "code=503"]);
    let uri = ["-Y", "http.request", "-T", "fields", "-e", "http.request.uri"];
    let wanted =
        ["/plain", "/tls-1.2", "/tls-1.3", "/sepm/api/v1/version", "/resumed-sess_out", "/resumed-sess_in"];
    // The thread that writes may be a moment behind, and the fault waits for a heartbeat.
    until("the packets", || {
        let seen = tshark(&file, &uri);
        let faults = tshark(
            &file,
            &["-Y", "frame.comment contains \"fault busy (status\" and http.response.code == 503"],
        );
        (wanted.iter().all(|one| seen.lines().any(|line| line == *one)) && !faults.is_empty()).then_some(())
    });
    // Its last minutes are whole connections.
    let last = folder.path().join("last.pcapng");
    curl(&[
        "--output",
        last.to_str().unwrap(),
        &format!("{}/v1/capture?minutes=9", lab.ready["control_api"].as_str().unwrap()),
    ]);
    let seen = tshark(&last, &uri);
    assert!(wanted.iter().all(|one| seen.lines().any(|line| line == *one)), "{seen}");
    assert_eq!(tshark(&last, &["-Y", "_ws.malformed"]), "");
    curl(&[
        "--output",
        last.to_str().unwrap(),
        &format!("{}/v1/capture?minutes=0", lab.ready["control_api"].as_str().unwrap()),
    ]);
    assert!(!tshark(&last, &uri).contains("/plain"));
    lab.kill();
    assert_eq!(tshark(&file, &["-Y", "_ws.malformed"]), "");
    let resumed = ["-Y", "http.request.uri contains \"resumed-sess_in\"", "-T", "fields", "-e", "tcp.stream"];
    let stream = tshark(&file, &resumed);
    let certificates = format!("tcp.stream == {} and tls.handshake.type == 11", stream.trim());
    assert_eq!(tshark(&file, &["-Y", &certificates]), "", "a resumed session has no certificate");
    let greeted =
        tshark(&file, &["-Y", "frame.comment == \"client desk-1 to manager sepm-1, clients' port\""]);
    assert!(greeted.contains("[SYN]"), "{greeted}");
    let names = tshark(&file, &["-q", "-z", "hosts"]);
    assert!(names.lines().any(|line| line.starts_with("127.64.") && line.ends_with("desk-1")), "{names}");
    assert!(names.lines().any(|line| line.contains("127.0.0.1") && line.contains("sepm-1")), "{names}");
    let about = well(&output(Command::new("capinfos").arg(&file)));
    assert!(about.contains("TCP and IP are reconstructed"), "{about}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

/// The lines of a key log.
fn keys(file: &Path) -> BTreeSet<String> {
    fs::read_to_string(file).unwrap().lines().map(str::to_lowercase).collect()
}

#[needs(curl)]
#[test]
fn both_programs_log_the_secrets_that_the_other_side_logs() {
    let folder = tempfile::tempdir().unwrap();
    let [of_lab, of_curl, of_agent] = ["lab", "curl", "agent"].map(|name| folder.path().join(name));
    let export = folder.path().join("export");
    let mut up = program();
    up.args(["up", "--http-port", "0", "--agents", "0", "--export"])
        .arg(&export)
        .env("SSLKEYLOGFILE", &of_lab);
    let lab = RunningLab::of(&mut up);
    let https = lab.ready["managers"][0]["https"].as_str().unwrap();
    for version in ["1.2", "1.3"] {
        let arguments = ["--silent", "--insecure", "--tls-max", version, https];
        output(Command::new("curl").args(arguments).env("SSLKEYLOGFILE", &of_curl));
    }
    well(&output(
        agent().args(["doctor", "--sylink"]).arg(export.join("sylink.xml")).env("SSLKEYLOGFILE", &of_agent),
    ));
    for other in [&of_curl, &of_agent] {
        let secrets: Vec<String> =
            keys(other).into_iter().filter(|line| line.starts_with("client_")).collect();
        let known = keys(&of_lab);
        assert!(secrets.iter().any(|line| line.starts_with("client_traffic_secret_0")), "{secrets:?}");
        secrets.iter().for_each(|line| assert!(known.contains(line), "{line} is not among {known:#?}"));
    }
    assert!(keys(&of_curl).iter().any(|line| line.starts_with("client_random")));
    for file in [&of_lab, &of_agent] {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let nowhere = folder.path().join("missing/keys");
    let told = output(program().args(["up", "--http-port", "0"]).env("SSLKEYLOGFILE", &nowhere));
    refused(&told, &["SSLKEYLOGFILE: cannot write", "missing/keys"]);
}

#[test]
fn a_capture_is_refused_where_there_is_no_wire_and_where_another_file_is() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("f07.pcapng");
    let pcap = ["--pcap", file.to_str().unwrap()];
    let reproduce = |arguments: &[&str]| run(&[&["failure", "reproduce"], arguments, &pcap[..]].concat());
    refused(&reproduce(&["F07"]), &["a rehearsal in virtual time has no wire", "add `--sockets`"]);
    assert!(!file.exists());
    let made = reproduce(&["F07", "--sockets"]);
    well(&made);
    assert!(stderr(&made).contains("packets, with the secrets that decrypt them"), "{}", stderr(&made));
    well(&reproduce(&["F07", "--sockets"])); // a capture is replaced
    fs::write(&file, "my notes").unwrap();
    refused(&reproduce(&["F07", "--sockets"]), &["f07.pcapng exists and is no capture"]);
    assert_eq!(fs::read_to_string(&file).unwrap(), "my notes");
}
