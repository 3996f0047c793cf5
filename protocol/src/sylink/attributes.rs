//! Typed attributes: read leniently where the meaning is clear, and written only where they change.

use crate::id::Guid;

use super::error::SylinkError;
use super::xml::Element;

/// Attributes to set, by name; `None` removes one.
pub(super) type Values = Vec<(&'static str, Option<String>)>;

const IDENTIFIER: &str = "32 hexadecimal digits";

/// Writes those attributes whose meaning changes, so that a default that was not written stays unwritten, and `true`
/// stays `true` where the product would write `1`.
pub(super) fn write(element: &mut Element, old: Option<&Values>, new: Values) {
    for (name, value) in new {
        let before = old.and_then(|old| old.iter().find(|(known, _)| *known == name));
        match value {
            value if before.is_some_and(|(_, before)| *before == value) => {}
            Some(value) => element.set_attribute(name, &value),
            None => element.remove_attribute(name),
        }
    }
}

/// Reads a required text.
pub(super) fn required<'a>(
    element: &'a Element,
    name: &'static str,
    expected: &'static str,
) -> Result<&'a str, SylinkError> {
    element.attribute(name).ok_or_else(|| SylinkError::missing_attribute(element, name, expected))
}

/// Reads a required identifier.
pub(super) fn identifier(element: &Element, name: &'static str) -> Result<Guid, SylinkError> {
    let text = required(element, name, IDENTIFIER)?;
    text.parse().map_err(|_| SylinkError::bad_attribute(element, name, IDENTIFIER, text))
}

/// Reads a required secret of 32 hexadecimal digits. An error tells only their number.
pub(super) fn secret(element: &Element, name: &'static str) -> Result<String, SylinkError> {
    let text = required(element, name, IDENTIFIER)?;
    if text.parse::<crate::id::Guid>().is_ok() {
        return Ok(text.to_owned());
    }
    let found = match text.chars().count() {
        32 => "32 characters, not all of them hexadecimal digits".to_owned(),
        length => format!("{length} characters"),
    };
    Err(SylinkError::bad_attribute(element, name, IDENTIFIER, &found))
}

/// Reads `0` or `1`; hand-written files have words, too.
pub(super) fn flag(element: &Element, name: &'static str, default: bool) -> Result<bool, SylinkError> {
    let Some(text) = element.attribute(name) else { return Ok(default) };
    match text.trim().to_ascii_lowercase().as_str() {
        "0" | "false" => Ok(false),
        "1" | "true" => Ok(true),
        _ => Err(SylinkError::bad_attribute(element, name, "0 or 1", text)),
    }
}

/// Reads a number of seconds.
pub(super) fn seconds(element: &Element, name: &'static str, default: u32) -> Result<u32, SylinkError> {
    let Some(text) = element.attribute(name) else { return Ok(default) };
    text.trim()
        .parse()
        .map_err(|_| SylinkError::bad_attribute(element, name, "a whole number of seconds, at least 0", text))
}

/// Reads a heartbeat interval in seconds; 0 would mean heartbeats without end.
pub(super) fn interval(element: &Element, name: &'static str, default: u32) -> Result<u32, SylinkError> {
    const EXPECTED: &str = "a whole number of seconds, at least 1";
    let Some(text) = element.attribute(name) else { return Ok(default) };
    let number = text.trim().parse().ok().filter(|&seconds| seconds > 0);
    number.ok_or_else(|| SylinkError::bad_attribute(element, name, EXPECTED, text))
}

/// Reads an optional port.
pub(super) fn port(element: &Element, name: &'static str) -> Result<Option<u16>, SylinkError> {
    let Some(text) = element.attribute(name) else { return Ok(None) };
    match text.trim().parse().ok().filter(|&port| port > 0) {
        Some(port) => Ok(Some(port)),
        None => Err(SylinkError::bad_attribute(element, name, "a port from 1 to 65535", text)),
    }
}

/// Writes `1` or `0`, as the product does. [C S17]
pub(super) fn written_flag(on: bool) -> Option<String> {
    Some(u8::from(on).to_string())
}
