//! A capture of the managers' ports, judged by Wireshark: it is decrypted, nothing in it is malformed, and its exchanges are those of
//! the journal, one for one.
//!
//! A few failures of the catalogue here; with `EPM_TESTS_ALL_CAPTURES=1` each that shows on the wire.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use epm_client_agent::catalogue::plays;
use epm_fixtures::{needs, output};
use epm_server::lab::scenario_run::{ProgressEvent, run_scenario_moved, silent};
use epm_server::{Capture, Entry};

/// Failures whose captures are judged each time: plain HTTP, a failed handshake, faults in TLS and in HTTP, a stall.
const FEW: [&str; 5] = ["F01", "F02", "F07", "F15", "F20"];

/// An exchange: method and target of the request, and the status of the response, if one was seen.
type Seen = (String, String, Option<u16>);
/// Exchanges by the address of the client's end, in order.
type Exchanges = BTreeMap<String, Vec<Seen>>;

/// Reads a capture with tshark: the fields of the packets that fit.
#[track_caller]
fn tshark(file: &Path, filter: &str, fields: &[&str]) -> Vec<Vec<String>> {
    let mut tshark = Command::new("tshark");
    // A client's port may be one that is registered for another protocol, such as 48049 for 3gpp-cbsp.
    tshark.arg("-n").arg("-r").arg(file).args(["-o", "tcp.try_heuristic_first:TRUE"]).args([
        "-2",
        "-Y",
        filter,
        "-T",
        "fields",
        "-E",
        "separator=|",
        "-E",
        "aggregator=;",
    ]);
    tshark.args(fields.iter().flat_map(|field| ["-e", field]));
    let read = output(&mut tshark);
    let (text, error) = (String::from_utf8_lossy(&read.stdout), String::from_utf8_lossy(&read.stderr));
    assert!(read.status.success(), "{error}");
    assert!(!error.contains("cut short") && !error.contains("damaged"), "{error}");
    text.lines().map(|line| line.split('|').map(str::to_owned).collect()).collect()
}

/// The exchanges in a capture.
fn exchanges(file: &Path) -> Exchanges {
    let fields = [
        "ip.src",
        "tcp.srcport",
        "ip.dst",
        "tcp.dstport",
        "http.request.method",
        "http.request.uri",
        "http.response.code",
    ];
    let mut seen = Exchanges::new();
    for row in tshark(file, "http.request or http.response", &fields) {
        let [source, source_port, target, target_port, method, uri, status] = row.try_into().unwrap();
        if method.is_empty() {
            let all = seen.entry(format!("{target}:{target_port}")).or_default();
            let open = all.iter_mut().find(|(.., status)| status.is_none());
            let open = open.unwrap_or_else(|| panic!("a response without a request: {status}"));
            open.2 = status.parse().ok();
        } else {
            assert!(!method.contains(';') && !uri.contains(';'), "several requests in one packet: {uri}");
            seen.entry(format!("{source}:{source_port}")).or_default().push((method, uri, None));
        }
    }
    seen
}

/// The exchanges of a journal.
fn journal(entries: &[(u64, Entry)]) -> Exchanges {
    let mut kept = Exchanges::new();
    for (_, entry) in entries {
        let (peer, transfer, status) = match entry {
            Entry::Exchange(record, transfer) => (record.peer, transfer, record.status),
            Entry::Call(call) => (call.peer.unwrap(), &call.transfer, call.status),
            _ => continue,
        };
        let status = transfer.response.as_ref().map(|_| status);
        let seen = (transfer.method.to_string(), transfer.uri.to_string(), status);
        kept.entry(peer.to_string()).or_default().push(seen);
    }
    kept
}

/// Where the exchanges of a capture are not those of the journal. A response that a fault replaced is compared with nothing; a last
/// request without a response was not answered, and only what was is in the journal.
fn differences(wire: &Exchanges, journal: &Exchanges) -> Vec<String> {
    let none = Vec::new();
    let mut different = Vec::new();
    for peer in wire.keys().chain(journal.keys().filter(|peer| !wire.contains_key(*peer))) {
        let [wire, journal] = [wire, journal].map(|one| one.get(peer).unwrap_or(&none));
        let is_same = |(wire, journal): (&Seen, &Seen)| {
            (&wire.0, &wire.1) == (&journal.0, &journal.1) && (journal.2.is_none() || wire.2 == journal.2)
        };
        let unanswered = wire.len() == journal.len() + 1 && wire.last().is_some_and(|one| one.2.is_none());
        let wire = &wire[..wire.len() - usize::from(unanswered)];
        if wire.len() != journal.len() || !wire.iter().zip(journal).all(is_same) {
            different.push(format!("{peer}: wire {wire:?}\n  journal {journal:?}"));
        }
    }
    different
}

#[needs(tshark)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_exchanges_in_a_capture_of_a_failure_are_those_of_the_journal() {
    let is_every = std::env::var_os("EPM_TESTS_ALL_CAPTURES").is_some();
    let folder = tempfile::tempdir().unwrap();
    let mut red = Vec::new();
    let (mut failures, mut compared) = (0, 0);
    for (entry, play) in plays() {
        if !is_every && !FEW.contains(&entry.id.as_str()) {
            continue;
        }
        let file = folder.path().join(format!("{}.pcapng", entry.id));
        let capture = Capture::create(&file).unwrap();
        let mut kept = Vec::new();
        let mut faults = 0;
        let scenario = play.scenario(&entry.title);
        let tell = |event: ProgressEvent<'_>| {
            if let ProgressEvent::Ended { site, .. } = event {
                kept = site.journal().since(1);
                faults = site.journal().faults_applied().len();
            }
        };
        run_scenario_moved(&scenario, &silent(), Some(&capture), tell).await.unwrap();
        let captured = capture.finish().unwrap();
        assert_eq!(captured.dropped, 0);
        let (wire, journal) = (exchanges(&file), journal(&kept));
        failures += 1;
        compared += journal.values().map(Vec::len).sum::<usize>();
        red.extend(differences(&wire, &journal).iter().map(|one| format!("{}: {one}", entry.id)));
        for packet in tshark(&file, "_ws.malformed", &["frame.number", "_ws.col.Info"]) {
            red.push(format!("{}: malformed: {packet:?}", entry.id));
        }
        let touched = tshark(&file, "frame.comment contains \"fault \"", &["frame.comment"]);
        if touched.is_empty() != (faults == 0) {
            red.push(format!("{}: {faults} faults, comments {touched:?}", entry.id));
        }
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    assert!(red.is_empty(), "{}", red.join("\n"));
    assert!(compared > 20 * failures, "{compared} exchanges of {failures} failures");
    println!("{failures} failures, {compared} exchanges");
}
