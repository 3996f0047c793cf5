//! The clues in a log, one by one: events, findings, their order, the number of servers that failed.
//!
//! Nothing here knows which failure a clue belongs to.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Serialize, Serializer};

use super::read::{Line, Log};
use crate::agent::Event;

/// A piece of evidence in a log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clue {
    /// An event is in the log.
    Event(u32),
    /// A finding is in the log, by its stable code.
    Finding(String),
    /// A finding about a server with this protocol is in the log.
    FindingOver(String, &'static str),
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
/// Words before a status.
const STATUS: &[&str] = &["answered ", "http ", "status ", "code ", "http/1.1\" ", "error "];
/// Words of a client that does not authenticate its downloads.
const UNAUTHENTICATED: &str = "without authenticating";

/// Finds all clues in a log; `known` are words of the catalogue to look for.
pub(super) fn clues<'a>(log: &Log, known: impl Iterator<Item = &'a str>) -> BTreeSet<Clue> {
    let mut found = BTreeSet::new();
    for line in &log.lines {
        found.extend(line.event.map(Clue::Event));
        if let Some(code) = finding(&line.text) {
            if let Some((scheme, _)) = server(&line.text) {
                found.insert(Clue::FindingOver(code.clone(), scheme));
            }
            found.insert(Clue::Finding(code));
        }
    }
    order(&log.lines, &mut found);
    if log.lines.len() > 1 {
        standing(&log.lines, &mut found);
    }
    let texts: Vec<String> = log.lines.iter().map(|line| line.text.to_lowercase()).collect();
    let stands = |words: &&str| texts.iter().any(|text| text.contains(&words.to_lowercase()));
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
        matches!(self, Self::Finding(_) | Self::FindingOver(..) | Self::Follows(..) | Self::Servers(_))
    }

    /// Whether only a whole log can show this clue, never a single line.
    pub(super) fn needs_a_log(&self) -> bool {
        matches!(self, Self::Then(..) | Self::Follows(..) | Self::Servers(_) | Self::Contact(_))
    }
}

/// The code of the finding in a line.
pub(super) fn finding(text: &str) -> Option<String> {
    let text = text.to_lowercase();
    let status = STATUS.iter().find_map(|before| {
        let (_, rest) = text.split_once(before)?;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        (digits.len() == 3).then(|| format!("status-{digits}"))
    });
    let worded = WORDS.iter().find(|(words, _)| text.contains(words)).map(|(_, code)| (*code).to_owned());
    // A request to the manager's module in the log of a web server or a proxy.
    let fields = || text.split_whitespace().find(|word| word.len() == 3 && word.parse::<u16>().is_ok());
    let logged = || text.contains("secars").then(fields).flatten().map(|status| format!("status-{status}"));
    let code = worded.or(status).or_else(logged)?;
    Some(if code == "status-400" { "kcs".to_owned() } else { code })
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
fn order(lines: &[Line], found: &mut BTreeSet<Clue>) {
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

/// Finds the client's contact with its managers.
fn standing(lines: &[Line], found: &mut BTreeSet<Clue>) {
    let is = |line: &Line, events: &[Event]| events.iter().any(|event| line.event == Some(event.id()));
    let served =
        [Event::ServerConnected, Event::Reconnected, Event::HaveLatestPolicy, Event::NewPolicyApplied];
    let failed = [Event::NoServerResponse, Event::ServerConnectionFailed, Event::CannotReachServer];
    let last = |events: &[Event]| lines.iter().rposition(|line| is(line, events));
    let first = |events: &[Event]| lines.iter().position(|line| is(line, events));
    let contact = match (last(&served), last(&failed)) {
        (_, None) => Contact::Well,
        (None, Some(_)) => Contact::Never,
        (Some(good), Some(bad)) if good > bad => Contact::Kept,
        (Some(good), Some(_)) => {
            let fell =
                lines.iter().skip(good).position(|line| is(line, &failed)).map_or(good, |gap| good + gap);
            let away = lines[good..fell].iter().any(|line| is(line, &[Event::ServiceStopped]));
            if away { Contact::LostWhileAway } else { Contact::Lost }
        }
    };
    found.insert(Clue::Contact(contact));
    let begins = first(&failed).unwrap_or(lines.len());
    let servers: BTreeSet<&str> = lines[begins..]
        .iter()
        .filter(|line| is(line, &failed))
        .filter_map(|line| server(&line.text))
        .map(|(_, one)| one)
        .collect();
    match servers.len() {
        0 => {}
        1 => drop(found.insert(Clue::Servers(Failed::One))),
        _ => drop(found.insert(Clue::Servers(Failed::Several))),
    }
}

/// The number of an event, and its name if it is known.
fn name(id: u32) -> String {
    let known = Event::ALL.iter().find(|event| event.id() == id);
    known.map_or_else(|| format!("{id:08X}"), |event| format!("{id:08X} {}", event.title()))
}

impl fmt::Display for Clue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event(id) => write!(f, "{}", name(*id)),
            Self::Finding(code) => write!(f, "the finding {code}"),
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
