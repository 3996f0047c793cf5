//! Logs as people bring them: records over several lines, other encodings, exports, lines of other programs.

use super::played;
use crate::agent::{Event, LogLine};
use crate::catalogue::diagnose::*;
use crate::catalogue::{Means, entries, rehearse_play};
use epm_protocol::time::Timestamp;

const HEADER: &str = "00000000\t00080000\t00000000\t00000003\t00000000\t0000000000000003\t00000010\r\n";

/// A record of the real client's log, as long as its length says.
fn record(event: u32, severity: u8, text: &str, source: &str) -> String {
    let rest =
        format!("\t01D45F6A30F2A02B\t{event:08X}\t{severity:08X}\t00000000\t00000000\t{text}\t{source}\t");
    format!("{:08X}{rest}\r\n", 8 + rest.chars().count())
}

fn first(log: &Log) -> String {
    diagnose(log).candidates.first().map(|one| one.id.clone()).unwrap_or_default()
}

/// A log with a record of three lines, one of which looks like a record, and umlauts, before a failure.
fn over_lines() -> (String, String) {
    let within = "00000010\t01D45F6A30F2A02B\t12070308\tkein Eintrag";
    let text = format!("Inhalt für das Gerät geladen. \r\n\r\nPfad: C:\\Übung\\a.dax\r\n{within}");
    let failed = record(0x1207_0303, 2, "server connection failed", "Smc");
    (format!("{HEADER}{}{failed}", record(0x1207_030C, 0, &text, "CVE")), text)
}

#[test]
fn a_record_is_as_long_as_its_length_says_in_whatever_encoding_the_file_is() {
    let (log, text) = over_lines();
    let ansi = encoding_rs::WINDOWS_1252.encode(&log).0.into_owned();
    let wide = |unit: fn(u16) -> [u8; 2]| log.encode_utf16().flat_map(unit).collect::<Vec<u8>>();
    let marked = [&[0xFF, 0xFE][..], &wide(u16::to_le_bytes)].concat();
    for (bytes, encoding) in [
        (ansi.clone(), "windows-1252"),
        // A tool that converts the file leaves the lengths as they were.
        (log.clone().into_bytes(), "UTF-8"),
        (log.replace("\r\n", "\n").into_bytes(), "UTF-8"),
        (ansi.into_iter().filter(|byte| *byte != b'\r').collect(), "windows-1252"),
        (marked, "UTF-16LE"),
        (wide(u16::to_le_bytes), "UTF-16LE"),
        (wide(u16::to_be_bytes), "UTF-16BE"),
    ] {
        let read = Log::read(&bytes, None).unwrap();
        assert_eq!((read.form, read.encoding, read.lines.len()), (Form::SystemLog, encoding, 2), "{read:#?}");
        let plain = |text: &str| text.replace('\r', "");
        assert!(plain(&read.lines[0].text).starts_with(&plain(&text).replace('\t', " ")), "{read:#?}");
        assert_eq!((read.lines[0].number, read.lines[1].number), (2, 6));
        assert_eq!(read.lines[1].event, Some(Event::ServerConnectionFailed.id()));
        assert!(diagnose(&read).shows_trouble);
    }
    let cyrillic = encoding_rs::WINDOWS_1251.encode("12070303 нет связи").0;
    assert_eq!(Log::read(&cyrillic, Some("windows-1251")).unwrap().lines[0].text, "12070303 нет связи");
    // A byte order mark does not override an encoding that is given; it is the order of UTF-16.
    let marked = Log::read("\u{feff}12070303 x\u{e9}".as_bytes(), Some("windows-1252")).unwrap();
    assert_eq!((marked.encoding, marked.lines[0].text.as_str()), ("windows-1252", "ï»¿12070303 xÃ©"));
    let big: Vec<u8> = "\u{feff}12070303 x".encode_utf16().flat_map(u16::to_be_bytes).collect();
    let marked = Log::read(&big, Some("utf-16")).unwrap();
    assert_eq!((marked.encoding, marked.lines[0].text.as_str()), ("UTF-16BE", "12070303 x"));
    let error = Log::read(b"x", Some("latin-17")).unwrap_err().to_string();
    assert!(error.contains("\"latin-17\"") && error.contains("windows-1251"), "{error}");
}

#[test]
fn a_record_with_a_wrong_length_ends_where_the_next_begins_and_the_last_may_be_cut_off() {
    let (log, _) = over_lines();
    let wrong = format!("{HEADER}00FFFFFF{}", &log[HEADER.len() + 8..]);
    let lengths =
        |text: &str| Log::parse(text).unwrap().lines.iter().map(|line| line.number).collect::<Vec<_>>();
    // Without a right length, what looks like a record is one.
    assert_eq!(lengths(&wrong), [2, 5, 6]);
    assert_eq!(lengths(&log[..log.len() - 20]), [2, 6]);
    // What comes between two records is a line of its own.
    assert_eq!(
        lengths(&format!(
            "{}stray\r\n{}",
            record(0x1207_0301, 0, "t", "Smc"),
            record(0x1207_0302, 1, "u", "")
        )),
        [1, 2, 3]
    );
}

#[test]
fn what_is_not_text_is_refused_with_the_line() {
    let error = |bytes: &[u8]| Log::read(bytes, None).unwrap_err().to_string();
    assert!(
        error(b"\x7fELF\x02\nx\0\x01\0\0\x03").contains("line 2: expected text"),
        "{}",
        error(b"\x7fELF\x02\nx\0\x01\0\0\x03")
    );
    assert!(error(b"").contains("the log is empty") && error(b"\n \n").contains("the log is empty"));
    // A file that was allocated in advance.
    assert_eq!(Log::read(b"12070303 x\n\0\0\0\0\0\0\0\0\0\0", None).unwrap().lines.len(), 1);
}

#[test]
fn the_text_of_an_event_counts_as_the_event_in_a_log_in_an_export_and_alone() {
    let lost = "Disconnected from Symantec Endpoint Protection Manager (192.0.2.1)";
    for line in [
        lost.to_owned(),
        format!("desk-1,Category: 0,Smc,{lost}"),
        format!("mgr SymantecServer: desk-1,Category: 0,Smc,{lost}"),
        format!(
            "<54>Oct  3 10:38:14 mgr SymantecServer: desk-1,Category: 0,Smc,\"{lost}, again\",Event time: 2018-10-03 10:38:02"
        ),
        format!("2018-10-03 10:38:02,Warning,desk-1,Category: 0,Smc,{lost},Event time: 2018-10-03 10:38:02"),
        format!("<54>1 2018-10-03T10:38:14Z mgr SymantecServer - - - desk-1,\"CATEGORY: 2,Smc,{lost}\""),
    ] {
        for log in [Log::read(line.as_bytes(), None).unwrap(), Log::line(&line).unwrap()] {
            assert_eq!(log.lines[0].event, Some(Event::ServerDisconnected.id()), "{line}");
            let diagnosis = diagnose(&log);
            assert_eq!(diagnosis.condition, Condition::Failing, "{line}");
            assert!(diagnosis.unknown_lines.is_empty(), "{line}");
            if line != lost && log.form == Form::Exported {
                let text = &log.lines[0].text;
                assert!(text.starts_with(lost) && !text.contains("Event time"), "{text}");
                assert_eq!(log.lines[0].host.as_deref().map(|host| host.ends_with("desk-1")), Some(true));
            }
        }
    }
    for (text, event) in [
        (
            "Received a new policy with serial number 4B78-10/02/2018 08:00:00 001 from x.",
            Event::NewPolicyReceived,
        ),
        (
            "Applied new policy with serial number 4B78-10/02/2018 08:00:00 001 successfully.",
            Event::NewPolicyApplied,
        ),
        ("The client already has the newest policy.", Event::HaveLatestPolicy),
        ("Cannot reach any server of the management server list.", Event::CannotReachServer),
        ("Symantec Management Client has been started.", Event::ServiceStarted),
    ] {
        assert_eq!(Log::parse(text).unwrap().lines[0].event, Some(event.id()), "{text}");
    }
    // The second numbers of events, and a number that the lab does not know, with a known text.
    assert_eq!(Log::line("120B0005").unwrap().lines[0].event, Some(Event::CannotDownloadPolicy.id()));
    let log = record(0x1107_0001, 1, lost, "Smc");
    assert_eq!(Log::parse(&log).unwrap().lines[0].event, Some(Event::ServerDisconnected.id()));
}

#[test]
fn a_known_line_names_the_program_or_library_whose_words_it_has() {
    for (line, program) in [
        ("curl: (60) SSL certificate problem: unable to get local issuer certificate", "curl"),
        ("curl: (35) error:0A000126:SSL routines::unexpected eof while reading", "curl"),
        ("verify error:num=20:unable to get local issuer certificate", "OpenSSL"),
        (
            "ssl.SSLCertVerificationError: certificate verify failed: certificate has expired (_ssl.c:1006)",
            "OpenSSL",
        ),
        ("javax.net.ssl.SSLHandshakeException: Received fatal alert: certificate_unknown", "Java"),
        ("java.net.BindException: Address already in use", "Java"),
        ("OSError: [Errno 98] Address already in use", "operating system"),
        ("(98)Address already in use: AH00072: make_sock: could not bind to address [::]:443", "Apache"),
        ("connect to 192.0.2.1 port 443: No route to host", "operating system"),
    ] {
        let known = diagnose(&Log::line(line).unwrap()).known_lines;
        assert_eq!(known.iter().map(|one| one.program).collect::<Vec<_>>(), [program], "{line}");
    }
}

#[test]
fn lines_of_other_programs_lead_to_the_failures_that_they_report() {
    for (line, code, id) in [
        (
            "[ssl:emerg] [pid 4:tid 5] AH02565: Certificate and private key mgr:443:0 from server.crt and server.key do not match",
            "key-mismatch",
            "F12",
        ),
        (
            "AH02562: Failed to configure certificate mgr:443:0 (with chain), check server.crt",
            "unreadable-certificate",
            "F12",
        ),
        (
            "AH02564: Failed to configure encrypted (?) private key mgr:443:0, check server.key",
            "unreadable-key",
            "F12",
        ),
        (
            "(98)Address already in use: AH00072: make_sock: could not bind to address [::]:443",
            "port-taken",
            "F29",
        ),
        (
            "java.io.IOException: Keystore was tampered with, or password was incorrect",
            "wrong-store-password",
            "F12",
        ),
        ("java.security.UnrecoverableKeyException: Cannot recover key", "wrong-key-password", "F12"),
        (
            "keytool error: java.lang.Exception: Failed to establish chain from reply",
            "incomplete-chain",
            "F12",
        ),
        (
            "curl: (7) Failed to connect to 192.0.2.1 port 8014 after 2 ms: Couldn't connect to server",
            "connection-refused",
            "F19",
        ),
        (
            "curl: (28) Operation timed out after 30031 milliseconds with 0 out of 0 bytes received",
            "timed-out",
            "F20",
        ),
        ("curl: (60) SSL certificate problem: certificate has expired", "expired", "F09"),
        ("* SSL certificate problem: self-signed certificate", "not-pinned", "F42"),
        ("curl: (22) The requested URL returned error: 503", "status-503", "F21"),
        ("error:0A000410:SSL routines::sslv3 alert handshake failure", "tls-failed", "F30"),
        (
            "schannel: next InitializeSecurityContext failed: SEC_E_UNTRUSTED_ROOT (0x80090325)",
            "not-pinned",
            "F42",
        ),
    ] {
        for log in [Log::line(line).unwrap(), Log::read(line.as_bytes(), None).unwrap()] {
            let diagnosis = diagnose(&log);
            assert_eq!(clue::finding(line).as_deref(), Some(code), "{line}");
            assert_eq!(diagnosis.condition, Condition::Failing, "{line}");
            let named: Vec<&str> = diagnosis.candidates.iter().take(4).map(|one| one.id.as_str()).collect();
            assert!(named.contains(&id), "{line}: {named:?}");
        }
    }
    for line in [
        "AH00489: Apache/2.4.66 (Debian) configured -- resuming normal operations",
        "192.0.2.9 - - \"GET /secars/secars.dll?h=1 HTTP/1.1\" 200 12",
    ] {
        assert_eq!(diagnose(&Log::line(line).unwrap()).condition, Condition::Healthy, "{line}");
    }
    for (line, first) in [
        ("TLS failed: received fatal alert: HandshakeFailure", "F30"),
        ("TLS failed: received fatal alert: ProtocolVersion", "F31"),
        ("error:0A000410:SSL routines::sslv3 alert handshake failure", "F30"),
        ("error:0A00042E:SSL routines::tlsv1 alert protocol version", "F31"),
        ("javax.net.ssl.SSLHandshakeException: Received fatal alert: protocol_version", "F31"),
    ] {
        let candidates = diagnose(&Log::line(line).unwrap()).candidates;
        assert_eq!(candidates[0].id, first, "{line}");
        assert!(candidates[0].fit > 1.2 * candidates[1].fit, "{line}: {}", candidates[1].fit);
    }
    // The words of every known text are in lower case, and lead to it.
    for text in known_text::all() {
        assert!(text.code.is_none_or(|code| {
            code.chars().all(|one| one.is_ascii_lowercase() || "-0123456789".contains(one))
        }));
    }
}

#[test]
fn what_is_not_known_is_said_to_be_not_known() {
    let unknown = |text: &str| {
        let diagnosis = diagnose(&Log::parse(text).unwrap());
        (diagnosis.condition, diagnosis.unknown_lines.iter().map(|one| one.line).collect::<Vec<_>>())
    };
    assert_eq!(unknown("what is this"), (Condition::Unknown, vec![1]));
    let well = "The client already has the newest policy.";
    assert_eq!(
        unknown(&format!("{well}\n\nAH09999: something broke\n{well}")),
        (Condition::Unknown, vec![3])
    );
    assert_eq!(
        unknown(&format!("{well}\n2026 12070302 x\nCannot reach any server\n")),
        (Condition::Failing, vec![2])
    );
    // A record of another part of the client, which its log calls information, is no reason for doubt; a warning is one.
    let log = |severity| record(0x1207_0301, 0, "t", "Smc") + &record(0x1113_0000, severity, "scan", "AV");
    let sent = |priority: u8| {
        let head = format!("<{priority}>Oct  3 10:38:14 mgr SymantecServer: a");
        format!("{head},Category: 0,Smc,{well}\n{head},Category: 0,LiveUpdate,Something new")
    };
    assert_eq!(unknown(&sent(54)), (Condition::Healthy, vec![2]));
    assert_eq!(unknown(&sent(51)), (Condition::Unknown, vec![2]));
    assert_eq!(unknown(&log(0)), (Condition::Healthy, vec![2]));
    assert_eq!(unknown(&log(1)), (Condition::Unknown, vec![2]));
}

#[test]
fn a_healthy_log_ranks_no_failure() {
    let line =
        |event: Event, text: &str| LogLine { at: Timestamp::EPOCH, event, text: text.into() }.to_entry();
    let (start, well) = (
        line(Event::ServiceStarted, "Symantec Management Client has been started."),
        "The client already has the newest policy.",
    );
    let served =
        line(Event::ServerConnected, "Connected to Symantec Endpoint Protection Manager (192.0.2.1)")
            + &line(Event::HaveLatestPolicy, well);
    let (lost, stop) = (
        line(Event::ServerDisconnected, "Disconnected from Symantec Endpoint Protection Manager (192.0.2.1)"),
        line(Event::ServiceStopped, "x"),
    );
    let failed = line(
        Event::NoServerResponse,
        "No service from https://192.0.2.1:443: the connection to 192.0.2.1:443 was refused.",
    );
    for (log, condition) in [
        (format!("{HEADER}{start}{served}"), Condition::Healthy),
        // The machine is switched off, or changes its network.
        (format!("{start}{served}{lost}{stop}{start}{served}{lost}{served}{stop}{lost}"), Condition::Healthy),
        (format!("{start}{served}{lost}"), Condition::Failing),
        (format!("{start}{failed}{served}"), Condition::Recovered),
    ] {
        let diagnosis = diagnose(&Log::parse(&log).unwrap());
        assert_eq!(diagnosis.condition, condition, "{log}");
        assert_eq!(diagnosis.candidates.is_empty(), condition == Condition::Healthy, "{log}");
    }
    // So are the logs of clients to which a failure does not come.
    for entry in entries().iter().take(12) {
        let Means::Play(play) = &entry.means else { continue };
        for client in rehearse_play(&play.without_cause(), &entry.title).unwrap().failure.clients {
            let log = Log { lines: played::log_of(&client.log).lines, ..Log::parse("x").unwrap() };
            assert_eq!(diagnose(&log).condition, Condition::Healthy, "{} {}", entry.id, client.client);
        }
    }
}

#[test]
fn the_lines_of_several_clients_are_taken_apart() {
    let line = |host: &str, text: &str| format!("{host},Category: 0,Smc,{text}\n");
    let (well, lost) = ("The client already has the newest policy.", "Cannot reach any server of the list");
    let mixed = line("a", well) + &line("b", lost) + &line("a", well);
    let diagnosis = diagnose(&Log::parse(&mixed).unwrap());
    assert_eq!(diagnosis.hosts, ["a", "b"]);
    assert!(!diagnosis.clues.iter().any(|clue| matches!(clue, Clue::Then(..))), "{:?}", diagnosis.clues);
    assert!(!first(&Log::parse(&mixed).unwrap()).is_empty());
}
