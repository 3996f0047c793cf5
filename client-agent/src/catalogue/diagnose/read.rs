//! Reads a client's log: the printed log of the lab, and the tab-separated system log of the real client.
//!
//! Encodings and the form of lines are handled here; the meaning of the lines is not.

use epm_protocol::time::Timestamp;
use serde::Serialize;

/// Milliseconds from 1601, the epoch of the system log, to 1970.
const FILETIME_EPOCH_MS: i64 = 11_644_473_600_000;
/// The number of characters of a line that a message shows.
const SHOWN: usize = 60;

/// The form of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Form {
    /// As the lab's programs print it: time, event, text.
    Printed,
    /// The client's `syslog.log`: fields with tabs between [C S31].
    SystemLog,
    /// A single line, or an event number.
    Line,
}

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// The number of the line in the file, from 1.
    pub number: usize,
    /// The time of the event; none for a single line.
    pub at: Option<Timestamp>,
    /// The number of the event.
    pub event: Option<u32>,
    /// The text of the line.
    pub text: String,
}

/// A log that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The form of the log.
    pub form: Form,
    /// The lines of the log, in order.
    pub lines: Vec<Line>,
}

/// The reason why a text is not a log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// The text is empty.
    #[error("the log is empty; expected lines of a client's log, or an event's number with --line")]
    Empty,
    /// The bytes are not text.
    #[error("line {line}: expected text in UTF-8 or UTF-16, found the byte 0x{byte:02X}")]
    NotText {
        /// The line, from 1.
        line: usize,
        /// The first invalid byte.
        byte: u8,
    },
    /// A line has no known form.
    #[error(
        "line {line}: expected {expected}, found {found:?}; a log is what `epm-agent run` prints, or a client's \
         syslog.log; for a line of another log use --line"
    )]
    Line {
        /// The line, from 1.
        line: usize,
        /// A description of what was expected.
        expected: String,
        /// The text that was found.
        found: String,
    },
}

impl Log {
    /// Reads the bytes of a log.
    ///
    /// # Errors
    ///
    /// When it is empty, not text, or a line has neither form.
    pub fn read(bytes: &[u8]) -> Result<Self, LogError> {
        Self::parse(&decode(bytes)?)
    }

    /// Reads the text of a log.
    ///
    /// # Errors
    ///
    /// When it is empty, or a line has neither form.
    pub fn parse(text: &str) -> Result<Self, LogError> {
        let written = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        let is_system =
            text.lines().find(|line| !line.trim().is_empty()).is_some_and(|line| line.contains('\t'));
        let form = if is_system { Form::SystemLog } else { Form::Printed };
        let mut lines = Vec::new();
        let mut is_first = true;
        for (place, line) in written {
            let number = place + 1;
            let read = match form {
                Form::SystemLog => system_line(line, number),
                Form::Printed | Form::Line => printed_line(line, number),
            };
            match read {
                Ok(line) => lines.push(line),
                // The system log begins with a line of counts [C S31b].
                Err(_) if is_first && form == Form::SystemLog && is_header(line) => {}
                Err(error) => return Err(error),
            }
            is_first = false;
        }
        if lines.is_empty() {
            return Err(LogError::Empty);
        }
        Ok(Self { form, lines })
    }

    /// Reads a single line, the number of an event, or words.
    ///
    /// # Errors
    ///
    /// When it is empty.
    pub fn line(text: &str) -> Result<Self, LogError> {
        if text.trim().is_empty() {
            return Err(LogError::Empty);
        }
        if let Ok(log) = Self::parse(text) {
            return Ok(Self { form: Form::Line, ..log });
        }
        // Every event of the client begins with 12 [C S31]; eight other digits may be a date.
        let words = text.split(|one: char| !one.is_ascii_alphanumeric());
        let event = words.filter_map(event).find(|event| event >> 24 == 0x12);
        let line = Line { number: 1, at: None, event, text: text.trim().to_owned() };
        Ok(Self { form: Form::Line, lines: vec![line] })
    }
}

/// Decodes UTF-8, or UTF-16 with a byte order mark, as Windows tools save it.
fn decode(bytes: &[u8]) -> Result<String, LogError> {
    let utf_16 = |rest: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = rest.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        String::from_utf16_lossy(&units)
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => Ok(utf_16(rest, u16::from_le_bytes)),
        [0xFE, 0xFF, rest @ ..] => Ok(utf_16(rest, u16::from_be_bytes)),
        _ => match std::str::from_utf8(bytes) {
            Ok(text) => Ok(text.trim_start_matches('\u{FEFF}').to_owned()),
            Err(error) => {
                let (good, bad) = bytes.split_at(error.valid_up_to());
                let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
                Err(LogError::NotText { line, byte: bad.first().copied().unwrap_or_default() })
            }
        },
    }
}

/// Reads `2026-01-05T08:00:00.000Z 12070303 text`, after a client's name and a colon where several are printed.
fn printed_line(line: &str, number: usize) -> Result<Line, LogError> {
    let wrong = |expected: &str, found: &str| LogError::Line {
        line: number,
        expected: expected.to_owned(),
        found: shorten(found),
    };
    let words: Vec<&str> = line.split_whitespace().collect();
    let named = words.first().is_some_and(|first| first.ends_with(':'));
    let [time, id, ..] = words[usize::from(named)..] else {
        return Err(wrong("a time, an event and a text", line));
    };
    let at: Timestamp = time.parse().map_err(|_| wrong("a time like 2026-01-05T08:00:00.000Z", time))?;
    let event = event(id).ok_or_else(|| wrong("the number of an event, 8 hexadecimal digits", id))?;
    let text = line.split_once(id).map_or("", |(_, text)| text).trim().to_owned();
    Ok(Line { number, at: Some(at), event: Some(event), text })
}

/// Reads length, FILETIME, event, numbers and summary with tabs between. The severity is one number of three [C S31],
/// or the only one, as others pass such lines on; the text after the summary is kept as it is.
fn system_line(line: &str, number: usize) -> Result<Line, LogError> {
    let wrong = |expected: &str, found: &str| LogError::Line {
        line: number,
        expected: expected.to_owned(),
        found: shorten(found),
    };
    let fields: Vec<&str> = line.trim_end_matches('\r').split('\t').collect();
    let [length, filetime, id, severity, ref rest @ ..] = fields[..] else {
        return Err(wrong("length, time, event, severity and text with tabs between", line));
    };
    let is_hex = |field: &str| !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_hex(length) || !is_hex(severity) {
        return Err(wrong("a length and a severity in hexadecimal digits", line));
    }
    let steps = u64::from_str_radix(filetime, 16)
        .map_err(|_| wrong("a FILETIME of 16 hexadecimal digits", filetime))?;
    let event = event(id).ok_or_else(|| wrong("the number of an event, 8 hexadecimal digits", id))?;
    let ms = i64::try_from(steps / 10_000).unwrap_or(i64::MAX).saturating_sub(FILETIME_EPOCH_MS);
    let is_number = |field: &&str| field.len() == 8 && is_hex(field);
    let texts =
        if rest.iter().take(2).filter(|field| is_number(field)).count() == 2 { &rest[2..] } else { rest };
    Ok(Line {
        number,
        at: Some(Timestamp::from_millis(ms)),
        event: Some(event),
        text: texts.join(" ").trim().to_owned(),
    })
}

fn is_header(line: &str) -> bool {
    line.trim().split('\t').all(|field| field.trim().bytes().all(|byte| byte.is_ascii_hexdigit()))
}

/// Reads the number of an event: eight hexadecimal digits, with or without `0x`.
fn event(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let is_number = digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u32::from_str_radix(digits, 16).ok().filter(|_| is_number)
}

fn shorten(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}
