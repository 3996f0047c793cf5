//! A line of a log, in whichever form the log is.

use epm_protocol::time::Timestamp;

use crate::agent::Event;

/// A line of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// The number of the line in the file, from 1.
    pub number: usize,
    /// The time of the event; none where the log has none.
    pub at: Option<Timestamp>,
    /// The number of the event; without one in the log, that of a known text.
    pub event: Option<u32>,
    /// The severity, if the log has one: 0 for information, 1 for a warning, 2 and more for an error.
    pub severity: Option<u32>,
    /// The name of the client, in a log of several.
    pub host: Option<String>,
    /// The text of the line; a record of a system log may have several lines.
    pub text: String,
}

impl Line {
    /// A line whose event is known by its text, if it is.
    pub(super) fn new(number: usize, text: &str) -> Self {
        let text = text.trim().to_owned();
        Self { number, event: Event::in_text(&text).map(Event::id), text, ..Self::default() }
    }

    /// The client's event on this line, if the lab knows it.
    pub(super) fn known_event(&self) -> Option<Event> {
        self.event.and_then(Event::from_id)
    }
}

/// Reads the number of an event: eight hexadecimal digits, with or without `0x`. The second number of an event [C S31]
/// counts as the first.
pub(super) fn event(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let is_number = digits.len() == 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = u32::from_str_radix(digits, 16).ok().filter(|_| is_number)?;
    Some(Event::from_id(id).map_or(id, Event::id))
}
