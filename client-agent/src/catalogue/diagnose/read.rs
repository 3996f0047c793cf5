//! Reads a log: the client's system log, its export by the manager, the printed log of the lab, or lines of anything else.
//!
//! The form of lines is handled here; the meaning of the lines is not.

use encoding_rs::{Encoding, UTF_8};
use epm_protocol::time::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use super::decode::{Decoded, decode, named};
use super::error::LogError;
use super::line::{Line, event};
use super::system_log::{begins_record, exported, records};

/// The form of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// As the lab's programs print it: time, event, text.
    Printed,
    /// The client's `syslog.log`: records with tabs between their fields [C S31].
    SystemLog,
    /// The client's system log as a manager exports it: client, category, source, text.
    Exported,
    /// Lines of other programs.
    Other,
    /// A single line, or an event number.
    Line,
}

/// A log that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The form of the log.
    pub form: Form,
    /// The name of the encoding that it was in.
    pub encoding: &'static str,
    /// The lines of the log, in order.
    pub lines: Vec<Line>,
}

impl Log {
    /// Reads the bytes of a log, in the encoding with this name, or, without one, in UTF-8, UTF-16 or windows-1252 as they
    /// suggest.
    ///
    /// # Errors
    ///
    /// When it is empty or not text, or there is no such encoding.
    pub fn read(bytes: &[u8], encoding: Option<&str>) -> Result<Self, LogError> {
        let Decoded { text, encoding } = decode(bytes, encoding.map(named).transpose()?)?;
        Self::of_text(&text, encoding)
    }

    /// Reads the text of a log.
    ///
    /// # Errors
    ///
    /// When it is empty.
    pub fn parse(text: &str) -> Result<Self, LogError> {
        Self::of_text(text, UTF_8)
    }

    fn of_text(text: &str, encoding: &'static Encoding) -> Result<Self, LogError> {
        let (form, lines) = if text.lines().any(begins_record) {
            (Form::SystemLog, records(text, encoding))
        } else {
            let written = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
            let read: Vec<(Form, Line)> = written.map(|(number, line)| any_line(line, number)).collect();
            let has = |form: Form| read.iter().any(|(one, _)| *one == form);
            let form = [Form::Printed, Form::Exported].into_iter().find(|form| has(*form));
            (form.unwrap_or(Form::Other), read.into_iter().map(|(_, line)| line).collect())
        };
        if lines.is_empty() {
            Err(LogError::Empty)
        } else {
            Ok(Self { form, encoding: encoding.name(), lines })
        }
    }

    /// Reads a single line, the number of an event, or words.
    ///
    /// # Errors
    ///
    /// When it is empty.
    pub fn line(text: &str) -> Result<Self, LogError> {
        let mut log = Self::parse(text)?;
        for line in log.lines.iter_mut().filter(|line| line.event.is_none()) {
            // Every event of the client begins with 12 [C S31]; eight other digits may be a date.
            let mut words = line.text.split(|one: char| !one.is_ascii_alphanumeric());
            line.event = words.find_map(|word| event(word).filter(|event| event >> 24 == 0x12));
        }
        Ok(Self { form: Form::Line, ..log })
    }
}

/// Reads a line of any form.
fn any_line(line: &str, number: usize) -> (Form, Line) {
    let printed = || printed_line(line, number).map(|line| (Form::Printed, line));
    let exported = || exported(line, number).map(|line| (Form::Exported, line));
    printed().or_else(exported).unwrap_or_else(|| (Form::Other, Line::new(number, line)))
}

/// Reads `2026-01-05T08:00:00.000Z 12070303 text`, after a client's name and a colon where several are printed.
fn printed_line(line: &str, number: usize) -> Option<Line> {
    let mut words = line.split_whitespace().peekable();
    let host = words.next_if(|first| first.ends_with(':')).map(|name| name.trim_end_matches(':').to_owned());
    let at: Timestamp = words.next()?.parse().ok()?;
    let id = words.next()?;
    let text = line.split_once(id).map_or("", |(_, text)| text).trim().to_owned();
    Some(Line { number, at: Some(at), event: Some(event(id)?), severity: None, host, text })
}
