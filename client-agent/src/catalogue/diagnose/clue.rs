//! The clues in a log, one by one: events, findings, their order, the number of servers that failed.
//!
//! Nothing here knows which failure a clue belongs to.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Serialize, Serializer};

use super::known_text;
use super::line::Line;
use super::read::Log;
use crate::agent::Event;

/// A piece of evidence in a log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clue {
    /// An event is in the log.
    Event(u32),
    /// A finding is in the log, by its stable code.
    Finding(String),
    /// A TLS alert that was received is in the log.
    Alert(&'static str),
    /// A finding about a server with this protocol, `http` or `https`, is in the log.
    FindingOver(String, String),
    /// Two events follow each other, repetitions left out.
    Then(u32, u32),
    /// Two lines follow each other, with the particulars left out.
    Follows(String, String),
    /// The number of servers that failed.
    Servers(Failed),
    /// The client's contact with its managers at the beginning and the end of the log.
    Contact(Contact),
    /// Words of an entry of the catalogue are in the log.
    Words(String),
}

/// The number of servers that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Failed {
    /// One server failed.
    One,
    /// Several servers failed.
    Several,
}

/// A client's contact with its managers, according to the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Contact {
    /// No manager has ever served the client.
    Never,
    /// A manager served the client, and at the end none does.
    Lost,
    /// A manager serves the client at the end, after a problem.
    Kept,
    /// The log has no problem.
    Well,
    /// The client lost contact while it was switched off.
    LostWhileAway,
}

/// The words of a line that reveal a finding, and the stable code of the finding.
const WORDS: &[(&str, &str)] = &[
    ("did not prove that it has the key", "not-possessed"),
    ("which expired at", "expired"),
    ("which is not valid before", "not-yet-valid"),
    ("its certificate is for", "wrong-name"),
    ("an unreadable certificate", "malformed"),
    ("the manager presented", "not-pinned"),
    ("has no signature", "missing"),
    ("the signature was made by another key", "not-by-a-pinned-certificate"),
    ("no signature is valid", "no-pins"),
    ("refused the client's messages with", "kcs"),
    ("does not resolve", "name-not-resolved"),
    ("resolve host", "name-not-resolved"),
    ("was refused", "connection-refused"),
    ("connection refused", "connection-refused"),
    ("is unreachable", "unreachable"),
    ("timeout was reached", "timed-out"),
    ("timed out", "timed-out"),
    ("the connection was lost", "connection-lost"),
    ("connection reset", "connection-lost"),
    ("tls failed", "tls-failed"),
    ("is not http", "not-http"),
    ("is larger than", "too-large"),
    ("is not understood", "malformed"),
    ("communication is disabled", "disabled"),
];
/// TLS alerts that tell failures apart, as the TLS libraries write them: letters only, in lower case.
const ALERTS: &[(&str, &str)] =
    &[("alerthandshakefailure", "handshake_failure"), ("alertprotocolversion", "protocol_version")];
/// Words before a status.
const STATUS: &[&str] = &[
    "answered ",
    "http ",
    "status ",
    "code ",
    "code=",
    "http/1.1\" ",
    "http/1.0\" ",
    "returned error: ",
    "error ",
];
/// The first status of an answer that is a failure.
const LEAST_FAILURE: u16 = 400;
/// The number after the last status.
const PAST_FAILURES: u16 = 600;
/// Words of a client that does not authenticate its downloads.
const UNAUTHENTICATED: &str = "without authenticating";

/// Records that come between those that tell a failure, in no order: definitions and scans, and a heartbeat without news, which a client
/// has or has not by the time that it waited.
const ROUTINE: [Event; 2] = [Event::ContentUpdated, Event::HaveLatestPolicy];

/// Finds all clues in a log; `known` are words of the catalogue to look for. Lines of several clients are taken apart before
/// their order is.
pub(super) fn clues<'a>(log: &Log, known: impl Iterator<Item = &'a str>) -> BTreeSet<Clue> {
    let mut found = BTreeSet::new();
    let mut of_hosts: BTreeMap<Option<&str>, Vec<&Line>> = BTreeMap::new();
    for line in &log.lines {
        found.extend(line.event.map(Clue::Event));
        found.extend(alert(&line.text).map(Clue::Alert));
        if let Some(code) = finding(&line.text) {
            if let Some((scheme, _)) = server(&line.text) {
                found.insert(Clue::FindingOver(code.clone(), scheme.to_owned()));
            }
            found.insert(Clue::Finding(code));
        }
        if line.known_event().is_some_and(|event| !ROUTINE.contains(&event)) {
            of_hosts.entry(line.host.as_deref()).or_default().push(line);
        }
    }
    for lines in of_hosts.values() {
        order(lines, &mut found);
    }
    if let Some(contact) = contact(log) {
        found.insert(Clue::Contact(contact));
    }
    servers(&log.lines, &mut found);
    let texts: Vec<String> = log.lines.iter().map(|line| line.text.to_lowercase()).collect();
    let stands = |words: &&str| {
        let words = words.to_lowercase();
        texts.iter().any(|text| text.contains(&words))
    };
    found.extend(known.filter(stands).map(|words| Clue::Words(words.to_owned())));
    found
}

/// Whether the log states findings in words, not only event numbers.
pub(super) fn is_worded(clues: &BTreeSet<Clue>) -> bool {
    let is_failure =
        |clue: &Clue| matches!(clue, Clue::Event(id) if *id == Event::ServerConnectionFailed.id());
    !clues.iter().any(is_failure) || clues.iter().any(|clue| matches!(clue, Clue::Finding(_)))
}

impl Clue {
    /// Whether only a log in words can show this clue.
    pub(super) fn needs_words(&self) -> bool {
        matches!(
            self,
            Self::Finding(_) | Self::Alert(_) | Self::FindingOver(..) | Self::Follows(..) | Self::Servers(_)
        )
    }

    /// Whether only a log with several events can show this clue, never a single line.
    pub(super) fn needs_a_log(&self) -> bool {
        matches!(self, Self::Then(..) | Self::Follows(..) | Self::Servers(_) | Self::Contact(_))
    }
}

/// The code of the finding in a line.
pub(super) fn finding(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let is_failure = |digits: &str| {
        digits.parse().is_ok_and(|status: u16| (LEAST_FAILURE..PAST_FAILURES).contains(&status))
    };
    let status = STATUS.iter().find_map(|before| {
        let (_, rest) = lower.split_once(before)?;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        is_failure(&digits).then(|| format!("status-{digits}"))
    });
    let worded = || WORDS.iter().find(|(words, _)| lower.contains(words)).map(|(_, code)| (*code).to_owned());
    let foreign = || known_text::find(text).and_then(|known| known.code).map(str::to_owned);
    let logged = || logged_status(&lower).filter(|status| is_failure(status));
    let code =
        worded().or_else(foreign).or(status).or_else(|| logged().map(|one| format!("status-{one}")))?;
    Some(if code == "status-400" { "kcs".to_owned() } else { code })
}

/// The TLS alert that a line names, whatever library has written it.
fn alert(text: &str) -> Option<&'static str> {
    let letters: String = text.chars().filter(char::is_ascii_alphabetic).collect();
    let letters = letters.to_ascii_lowercase();
    ALERTS.iter().find(|(words, _)| letters.contains(words)).map(|(_, alert)| *alert)
}

/// The status of a request to the manager's module in the log of a web server or a proxy.
pub(super) fn logged_status(line: &str) -> Option<&str> {
    let is_status = |word: &&str| word.len() == 3 && word.parse::<u16>().is_ok();
    line.to_lowercase().contains("secars").then(|| line.split_whitespace().find(is_status)).flatten()
}

/// The server that a line is about: its protocol, and its URL.
pub(super) fn server(text: &str) -> Option<(&'static str, &str)> {
    let (scheme, start) = ["https", "http"].into_iter().find_map(|scheme| {
        let start = text.find(&format!("{scheme}://"))?;
        Some((scheme, start))
    })?;
    let rest = &text[start..];
    let end = rest.find(|one: char| one.is_whitespace() || one == ',').unwrap_or(rest.len());
    Some((scheme, rest[..end].trim_end_matches(['.', ':'])))
}

/// The content of a line without its particulars.
fn mark(line: &Line) -> String {
    let event = line.event.map(name).unwrap_or_default();
    let mut mark = event;
    if let Some(code) = finding(&line.text) {
        mark = format!("{mark} ({code})");
    } else if line.text.contains(UNAUTHENTICATED) {
        mark.push_str(" (not authenticated)");
    }
    if line.text.contains("management server list") && line.event == Some(Event::NewPolicyReceived.id()) {
        mark.push_str(" (list)");
    }
    mark
}

/// Finds which lines follow which; repeated lines count once.
fn order(lines: &[&Line], found: &mut BTreeSet<Clue>) {
    let mut marks: Vec<(Option<u32>, String)> = lines.iter().map(|line| (line.event, mark(line))).collect();
    marks.dedup();
    for pair in marks.windows(2) {
        let [(before, what), (after, then)] = pair else { continue };
        found.insert(Clue::Follows(what.clone(), then.clone()));
        if let (Some(before), Some(after)) = (before, after)
            && before != after
        {
            found.insert(Clue::Then(*before, *after));
        }
    }
}

/// The events of a client that a manager serves.
const SERVED: &[Event] = &[
    Event::ServerConnected,
    Event::Reconnected,
    Event::HaveLatestPolicy,
    Event::NewPolicyApplied,
    Event::ContentUpdated,
];
/// The events of a client whose manager does not serve it.
const FAILED: &[Event] = &[Event::NoServerResponse, Event::ServerConnectionFailed, Event::CannotReachServer];

fn is(line: &Line, events: &[Event]) -> bool {
    line.known_event().is_some_and(|event| events.contains(&event))
}

/// The contact of the log's clients with their managers, the worst where there are several; none if the log has fewer than two lines,
/// or none that tells it.
pub(super) fn contact(log: &Log) -> Option<Contact> {
    if log.lines.len() < 2 {
        return None;
    }
    let mut of_hosts: BTreeMap<Option<&str>, Vec<&Line>> = BTreeMap::new();
    for line in &log.lines {
        of_hosts.entry(line.host.as_deref()).or_default().push(line);
    }
    of_hosts.values().filter_map(|lines| contact_of(lines)).max_by_key(|contact| match contact {
        Contact::Well => 0,
        Contact::Kept => 1,
        Contact::LostWhileAway => 2,
        Contact::Lost => 3,
        Contact::Never => 4,
    })
}

/// The contact of one client.
fn contact_of(lines: &[&Line]) -> Option<Contact> {
    let last = |events: &[Event]| lines.iter().rposition(|line| is(line, events));
    match (last(SERVED), last(FAILED)) {
        (None, None) => None,
        (Some(good), None) => {
            let is_trouble =
                |line: &&&Line| is(line, &[Event::ServerDisconnected]) || finding(&line.text).is_some();
            let left = lines[good..].iter().any(|line| is_trouble(&line));
            (!left).then_some(Contact::Well)
        }
        (None, Some(_)) => Some(Contact::Never),
        (Some(good), Some(bad)) if good > bad => Some(Contact::Kept),
        (Some(good), Some(_)) => {
            let fell =
                lines.iter().skip(good).position(|line| is(line, FAILED)).map_or(good, |gap| good + gap);
            let away = lines[good..fell].iter().any(|line| is(line, &[Event::ServiceStopped]));
            Some(if away { Contact::LostWhileAway } else { Contact::Lost })
        }
    }
}

/// Finds how many servers failed.
fn servers(lines: &[Line], found: &mut BTreeSet<Clue>) {
    let failed = lines.iter().filter(|line| is(line, FAILED));
    let servers: BTreeSet<&str> =
        failed.filter_map(|line| server(&line.text)).map(|(_, server)| server).collect();
    match servers.len() {
        _ if lines.len() < 2 => {}
        0 => {}
        1 => drop(found.insert(Clue::Servers(Failed::One))),
        _ => drop(found.insert(Clue::Servers(Failed::Several))),
    }
}

/// The number of an event, and its name if it is known.
fn name(id: u32) -> String {
    let known = Event::from_id(id);
    known.map_or_else(|| format!("{id:08X}"), |event| format!("{id:08X} {}", event.title()))
}

impl Clue {
    /// Whether a client that has it in its log was not served at some time.
    pub(super) fn is_trouble(&self) -> bool {
        let is_failed = |id: u32| FAILED.iter().any(|event| event.id() == id);
        match self {
            Self::Event(id) => is_failed(*id),
            Self::Then(one, other) => is_failed(*one) || is_failed(*other),
            Self::Contact(contact) => *contact != Contact::Well,
            Self::Finding(_) | Self::FindingOver(..) | Self::Alert(_) | Self::Servers(_) => true,
            Self::Follows(..) | Self::Words(_) => false,
        }
    }

    /// The clue as the file of signatures has it.
    #[cfg(test)]
    pub(super) fn to_key(&self) -> String {
        match self {
            Self::Event(id) => format!("event {id:08X}"),
            Self::Finding(code) => format!("finding {code}"),
            Self::Alert(alert) => format!("alert {alert}"),
            Self::FindingOver(code, scheme) => format!("finding-over {scheme} {code}"),
            Self::Then(before, after) => format!("then {before:08X} {after:08X}"),
            Self::Follows(before, after) => format!("follows {before} | {after}"),
            Self::Servers(failed) => format!("servers {failed:?}"),
            Self::Contact(contact) => format!("contact {contact:?}"),
            Self::Words(words) => format!("words {words}"),
        }
    }

    /// Reads a clue as the file of signatures has it.
    pub(super) fn from_key(key: &str) -> Option<Self> {
        let (kind, rest) = key.split_once(' ')?;
        let number = |digits: &str| u32::from_str_radix(digits, 16).ok();
        Some(match kind {
            "event" => Self::Event(number(rest)?),
            "finding" => Self::Finding(rest.to_owned()),
            "alert" => Self::Alert(ALERTS.iter().find(|(_, alert)| *alert == rest)?.1),
            "finding-over" => {
                let (scheme, code) = rest.split_once(' ')?;
                Self::FindingOver(code.to_owned(), scheme.to_owned())
            }
            "then" => {
                let (before, after) = rest.split_once(' ')?;
                Self::Then(number(before)?, number(after)?)
            }
            "follows" => {
                let (before, after) = rest.split_once(" | ")?;
                Self::Follows(before.to_owned(), after.to_owned())
            }
            "servers" => {
                let all = [Failed::One, Failed::Several];
                Self::Servers(all.into_iter().find(|one| format!("{one:?}") == rest)?)
            }
            "contact" => Self::Contact(Contact::ALL.into_iter().find(|one| format!("{one:?}") == rest)?),
            "words" => Self::Words(rest.to_owned()),
            _ => return None,
        })
    }
}

impl Contact {
    const ALL: [Self; 5] = [Self::Never, Self::Lost, Self::Kept, Self::Well, Self::LostWhileAway];
}

impl fmt::Display for Clue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(id) => write!(f, "{}", name(*id)),
            Self::Finding(code) => write!(f, "the finding {code}"),
            Self::Alert(alert) => write!(f, "the TLS alert {alert}"),
            Self::FindingOver(code, scheme) => write!(f, "the finding {code} over {scheme}"),
            Self::Then(before, after) => write!(f, "{}, then {}", name(*before), name(*after)),
            Self::Follows(before, after) => write!(f, "{before}, then {after}"),
            Self::Servers(Failed::One) => f.write_str("one server failed"),
            Self::Servers(Failed::Several) => f.write_str("several servers failed"),
            Self::Contact(contact) => f.write_str(match contact {
                Contact::Never => "no manager has served the client in this log",
                Contact::Lost => "a manager served the client, and at the end none does",
                Contact::Kept => "a manager serves the client at the end, after something went wrong",
                Contact::Well => "no connection failed",
                Contact::LostWhileAway => "no manager has served the client since it was switched on again",
            }),
            Self::Words(words) => write!(f, "the words {words:?}"),
        }
    }
}

impl Serialize for Clue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
