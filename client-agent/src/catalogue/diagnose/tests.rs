//! Logs of affected clients are attributed to their failures; texts that are not logs are refused.

mod logs;
mod played;

use super::*;
use crate::agent::{Distrust, Event, LogLine, Trouble};
use crate::catalogue::{Entry, Means, ObservedClient, Play, entries, rehearse_play};
use epm_protocol::heartbeat::{ExchangeFailure, Stage};
use epm_protocol::time::Timestamp;
use epm_protocol::trust::{Fingerprint, Rejection, SignatureError};
use played::{is_hit, log_of};

/// The logs of the clients that a failure affects, from another site and other clients than those of the signatures.
fn logs_of(entry: &Entry, seed: u64) -> Vec<(String, Vec<LogLine>)> {
    let Means::Play(play) = &entry.means else { return Vec::new() };
    let play = Play { seed, ..Play::clone(play) };
    let observed = rehearse_play(&play, &entry.title).unwrap();
    let clients =
        observed.failure.clients.into_iter().filter(|one: &ObservedClient| is_hit(&play, &one.part));
    clients.map(|one| (one.client, one.log)).collect()
}

/// The place of an entry among the candidates; none if the log is that of a healthy client, and not of one with this failure.
fn place_of(entry: &Entry, log: &Log) -> Option<usize> {
    let diagnosis = diagnose(log);
    let place = diagnosis
        .candidates
        .iter()
        .chain(&diagnosis.without_trace)
        .position(|one| one.id == entry.id)
        .map(|place| place + 1);
    (diagnosis.condition != Condition::Healthy).then_some(place.unwrap_or(usize::MAX)).or(place)
}

/// The number of logs whose true cause comes first, the number of logs, and those whose cause comes later than `most`.
fn contest(most: usize, form: impl Fn(Vec<LogLine>) -> Log) -> (usize, usize, Vec<String>) {
    let (mut red, mut first, mut all) = (Vec::new(), 0, 0);
    for entry in entries() {
        for (client, lines) in logs_of(entry, 4711) {
            let place = place_of(entry, &form(lines));
            all += 1;
            first += usize::from(place == Some(1));
            if place.is_none_or(|place| place > most) {
                red.push(format!("{} {client}: {place:?}", entry.id));
            }
        }
    }
    (first, all, red)
}

fn system_log(lines: &[LogLine]) -> String {
    lines.iter().map(LogLine::to_entry).collect()
}

#[test]
fn the_true_cause_is_among_the_first_three_on_the_log_of_every_client_that_is_hit() {
    let (first, all, red) = contest(3, |lines| Log::read(system_log(&lines).as_bytes(), None).unwrap());
    println!("the true cause is the first on {first} of {all} logs");
    assert!(red.is_empty(), "{}", red.join("\n"));
    assert!(first * 5 >= all * 4, "the true cause is the first on {first} of {all} logs alone");
}

#[test]
fn what_one_host_has_says_nothing_of_another_and_a_lost_client_is_not_called_well() {
    let read = |lines: &[&str]| diagnose(&Log::read(lines.join("\n").as_bytes(), None).unwrap());
    let connected = "Connected to Symantec Endpoint Protection Manager (192.0.2.10)";
    let disconnected = "Disconnected from Symantec Endpoint Protection Manager (192.0.2.10)";
    let of = |host: &str, text: &str| format!("{host},Category: 0,Smc,{text}");
    let lines = [
        of("pc1", connected),
        of("pc2", connected),
        of("pc2", disconnected),
        of("pc2", "Cannot reach any server of the list."),
        of("pc1", "The client already has the newest policy."),
    ];
    let two = read(&lines.each_ref().map(String::as_str));
    assert_eq!((two.condition, two.hosts.len()), (Condition::Failing, 2), "{two:#?}");
    let is_well = |one: &Diagnosis| one.clues.contains(&Clue::Contact(Contact::Well));
    assert!(!is_well(&read(&[connected, disconnected])));
    assert!(!is_well(&read(&[
        "nginx: connect() failed (111: Connection refused) while connecting",
        "foo bar"
    ])));
    let healthy = read(&[connected, "The client already has the newest policy."]);
    assert!(is_well(&healthy));
    let claimed: Vec<&str> = healthy.without_trace.iter().map(|one| one.id.as_str()).collect();
    assert!(!claimed.contains(&"F01") && !claimed.contains(&"F08"), "{claimed:?}");
}

#[test]
fn a_log_whose_first_half_is_gone_still_leads_close() {
    let (first, all, mut red) = contest(5, |mut lines| {
        let half = lines.len() / 2;
        log_of(&lines.split_off(half))
    });
    // Of F26 the trouble was in the first half: what is left is the log of a healthy client.
    red.retain(|one| !(one.starts_with("F26") && one.ends_with("None")));
    println!("the true cause is the first on {first} of {all} half logs");
    assert!(red.is_empty(), "{}", red.join("\n"));
    assert!(first * 3 >= all * 2, "the true cause is the first on {first} of {all} half logs alone");
}

#[test]
fn numbers_alone_lead_as_far_as_numbers_can() {
    // The real client's words for its failures are not known; its event numbers are.
    let (first, all, _) = contest(5, |mut lines| {
        lines.iter_mut().for_each(|line| line.text.clear());
        log_of(&lines)
    });
    println!("the true cause is the first on {first} of {all} logs without words");
    assert!(first * 2 >= all, "the true cause is the first on {first} of {all} logs without words alone");
}

#[test]
fn the_words_of_every_finding_betray_its_code() {
    let now = Timestamp::EPOCH;
    let found = Fingerprint::of(b"x");
    let host = || "h".to_owned();
    let rejections = [
        Rejection::NotPinned { expected: vec![found], found },
        Rejection::Expired { not_after: now, found },
        Rejection::NotYetValid { not_before: now, found },
        Rejection::WrongName { expected: host(), found: vec![] },
        Rejection::Malformed { detail: host() },
        Rejection::NotPossessed { found },
    ];
    for rejection in rejections {
        let code = serde_json::to_value(&rejection).unwrap()["code"].as_str().unwrap().to_owned();
        assert_eq!(clue::finding(&rejection.to_string()), Some(code));
    }
    let errors = [
        SignatureError::Missing,
        SignatureError::NotByAPinnedCertificate { expected: vec![found], body_sha256: host() },
        SignatureError::NoPins,
    ];
    for error in errors {
        let code = serde_json::to_value(&error).unwrap()["code"].as_str().unwrap().to_owned();
        assert_eq!(clue::finding(&error.to_string()), Some(code));
    }
    let failures = [
        ExchangeFailure::NameNotResolved { host: host() },
        ExchangeFailure::ConnectionRefused { address: host() },
        ExchangeFailure::Unreachable { address: host(), detail: host() },
        ExchangeFailure::TimedOut { stage: Stage::Answer, after_ms: 30_000 },
        ExchangeFailure::ConnectionLost { stage: Stage::Answer, detail: host() },
        ExchangeFailure::TlsFailed { detail: host() },
        ExchangeFailure::NotHttp { detail: host() },
        ExchangeFailure::TooLarge { limit: 1 },
    ];
    for failure in failures {
        assert_eq!(clue::finding(&failure.to_string()).as_deref(), Some(failure.code()));
    }
    assert_eq!(clue::finding(&Distrust::SharedSecret { status: 400 }.to_string()).as_deref(), Some("kcs"));
    let trouble = Trouble::Status { status: 503, request: "the registration".to_owned() };
    assert_eq!(clue::finding(&trouble.to_string()).as_deref(), Some("status-503"));
    assert_eq!(clue::finding(&Trouble::Disabled.to_string()).as_deref(), Some("disabled"));
}

#[test]
fn a_single_line_or_number_leads_to_the_failures_that_show_it() {
    let first = |line: &str| {
        let diagnosis = diagnose(&Log::line(line).unwrap());
        diagnosis.candidates.iter().take(3).map(|one| one.id.clone()).collect::<Vec<_>>()
    };
    assert!(first("4 Bad format.").contains(&"F15".to_owned()), "{:?}", first("4 Bad format."));
    assert_eq!(first("console: invalid private key file")[0], "F12");
    let gone = first("10.0.0.9 GET /secars/secars.dll?h=AB12 400 12");
    assert!(gone.contains(&"F18".to_owned()) || gone.contains(&"F15".to_owned()), "{gone:?}");
    let refused = diagnose(&Log::line("12070308").unwrap());
    assert!(refused.candidates.iter().take(3).any(|one| one.id == "F02"), "{:?}", refused.candidates);
    assert!(diagnose(&Log::line("nothing that anybody knows").unwrap()).candidates.is_empty());
}

#[test]
fn a_diagnosis_says_what_tells_its_candidates_apart_and_how_to_see_it() {
    let entry = crate::catalogue::find("F02").unwrap();
    let (_, lines) = logs_of(entry, 7).remove(0);
    let diagnosis = diagnose(&log_of(&lines));
    let one = &diagnosis.candidates[0];
    assert_eq!(one.id, "F02");
    assert!(diagnosis.shows_trouble && !one.because.is_empty());
    assert!(one.commands.iter().any(|command| command.contains("127.0.0.1:8014")), "{:?}", one.commands);
    assert!(diagnosis.candidates.iter().take(5).any(|one| !one.differences.is_empty()));
}

#[test]
fn a_log_of_the_real_form_is_read_with_its_header_its_mark_and_either_end_of_line() {
    let line = LogLine {
        at: Timestamp::from_seconds(1_767_600_000),
        event: Event::NoServerResponse,
        text: "t".into(),
    };
    let entry = line.to_entry();
    let short = entry.replacen("\t00000000\t", "\t", 2);
    let fields = short.trim_end().to_owned() + "\tfield\tfield";
    let text = format!("00000001\t00000400\t00000000\r\n{entry}{fields}\n");
    let mut wide = vec![0xFF, 0xFE];
    wide.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    for bytes in [text.clone().into_bytes(), format!("\u{FEFF}{text}").into_bytes(), wide] {
        let log = Log::read(&bytes, None).unwrap();
        assert_eq!((log.form, log.lines.len(), log.lines[0].number), (Form::SystemLog, 2, 2));
        assert_eq!(log.lines[0].at, Some(line.at));
        assert_eq!(log.lines[0].event, Some(0x1207_0302));
        assert_eq!(log.lines[0].text, "t Smc");
        assert_eq!(log.lines[1].text, "t Smc field field");
    }
    let printed = Log::parse(&format!("  desktop-1: {line}\n\n{line}\n")).unwrap();
    assert_eq!((printed.form, printed.lines.len()), (Form::Printed, 2));
}
