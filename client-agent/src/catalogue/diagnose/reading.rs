//! Which lines of a log are known, and which of them report a problem.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::clue;
use super::known_text;
use super::line::Line;
use super::read::Log;
use crate::agent::Event;

/// Events of the real client that the lab's clients do not write, and that report no problem [C S31].
const OTHER_EVENTS: &[u32] = &[0x1207_0201, 0x1207_021A, 0x1207_0900];

/// A line of another program that is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct KnownLine {
    /// The number of the line, from 1.
    pub line: usize,
    /// The program that the line names, or the program or library whose words it has.
    pub program: &'static str,
    /// What the line says.
    pub meaning: &'static str,
    /// The stable code of the finding; none if the line reports no failure.
    pub code: Option<&'static str>,
}

/// A line that is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UnknownLine {
    /// The number of the line, from 1.
    pub line: usize,
    /// The event of a client that the lab does not know, in hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The severity according to the log, if it has one: 0 is information.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<u32>,
    /// The text of the line.
    pub text: String,
}

/// What is known of the lines of a log.
#[derive(Clone, Debug, Default)]
pub(super) struct Reading {
    pub(super) shows_trouble: bool,
    pub(super) known_lines: Vec<KnownLine>,
    pub(super) unknown_lines: Vec<UnknownLine>,
    /// The number of lines that are known.
    known: usize,
}

impl Reading {
    /// Looks at every line; `words` are the words of the catalogue.
    pub(super) fn of(log: &Log, words: &BTreeSet<&str>) -> Self {
        let words: Vec<String> = words.iter().map(|words| words.to_lowercase()).collect();
        let mut this = Self::default();
        for (place, line) in log.lines.iter().enumerate() {
            if let Some(event) = line.known_event() {
                this.known += 1;
                this.shows_trouble |= event.severity() > 0 && !is_interruption(&log.lines, place, event);
                continue;
            }
            let known = known_text::find(&line.text);
            if let Some(known) = known {
                let known_text::KnownText { meaning, code, .. } = *known;
                let program = known_text::program_of(&line.text, known);
                this.known_lines.push(KnownLine { line: line.number, program, meaning, code });
            }
            let lower = line.text.to_lowercase();
            let reports =
                clue::finding(&line.text).is_some() || words.iter().any(|words| lower.contains(words));
            let is_other = line.event.is_some_and(|event| OTHER_EVENTS.contains(&event));
            this.shows_trouble |= reports;
            if reports || known.is_some() || is_other || clue::logged_status(&lower).is_some() {
                this.known += 1;
            } else {
                this.unknown_lines.push(UnknownLine {
                    line: line.number,
                    event: line.event.map(|event| format!("{event:08X}")),
                    severity: line.severity,
                    text: line.text.clone(),
                });
            }
        }
        this.unknown_lines.sort_by_key(|one| (!one.may_be_trouble(), one.line));
        this
    }

    /// Whether the log is known well enough to say that it is healthy.
    pub(super) fn is_known(&self) -> bool {
        self.known > 0 && !self.unknown_lines.iter().any(UnknownLine::may_be_trouble)
    }
}

impl UnknownLine {
    /// Whether the line may report a problem: its log does not call it information.
    pub fn may_be_trouble(&self) -> bool {
        self.severity != Some(0)
    }
}

/// Whether a loss of contact is no problem: the client stops, or is served again without a failure in between.
fn is_interruption(lines: &[Line], place: usize, event: Event) -> bool {
    let (before, after) = (&lines[..place], &lines[place + 1..]);
    let own = |line: &&Line| line.host == lines[place].host;
    let last = before.iter().rev().filter(own).find_map(Line::known_event);
    let next = after.iter().filter(own).find_map(Line::known_event);
    event == Event::ServerDisconnected
        && (last == Some(Event::ServiceStopped) || next.is_some_and(|next| next.severity() == 0))
}
