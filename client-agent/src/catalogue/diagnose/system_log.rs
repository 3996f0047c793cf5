//! The records of the real client's `syslog.log` [C S31], each as long as its first field says; and the lines that the
//! manager exports from it.
//!
//! The text of a record may span lines. Tools that save the file in another encoding, or with other line ends, leave the
//! lengths as they were: a length that does not lead to the end of a record is measured in other units, and as a last
//! resort the next line that looks like a record ends it.

use encoding_rs::Encoding;
use epm_protocol::time::Timestamp;

use super::decode::width;
use super::line::{Line, event};
use crate::agent::Event;

/// Milliseconds from 1601, the epoch of the system log, to 1970.
const FILETIME_EPOCH_MS: i64 = 11_644_473_600_000;
/// The highest severity of a record; greater numbers in its place mean something else.
const MOST_SEVERE: u32 = 15;

/// Whether a line begins a record: a length, a FILETIME and an event in hexadecimal digits, with tabs between.
pub(super) fn begins_record(text: &str) -> bool {
    let mut fields = text.split('\n').next().unwrap_or_default().splitn(4, '\t');
    let (length, filetime, id) = (fields.next(), fields.next(), fields.next());
    length.is_some_and(|length| length.len() == 8 && is_hex(length))
        && filetime.is_some_and(|filetime| filetime.len() == 16 && is_hex(filetime))
        && id.is_some_and(|id| event(id.trim_end()).is_some())
}

/// The records of a system log, and the lines between them that belong to none.
pub(super) fn records(text: &str, encoding: &'static Encoding) -> Vec<Line> {
    let (mut lines, mut number, mut rest) = (Vec::new(), 1, text);
    while !rest.is_empty() {
        let is_record = begins_record(rest);
        let length = if is_record { length_of(rest, encoding) } else { end_of_line(rest) };
        let (one, more) = rest.split_at(length);
        if is_record {
            lines.extend(record(one, number));
        } else if !(one.trim().is_empty() || lines.is_empty() && is_header(one)) {
            lines.push(Line::new(number, one));
        }
        number += one.matches('\n').count();
        rest = more;
    }
    lines
}

/// The number of bytes of the record at the beginning of a text.
fn length_of(text: &str, encoding: &'static Encoding) -> usize {
    let stated = text.get(..8).and_then(|digits| usize::from_str_radix(digits, 16).ok()).unwrap_or_default();
    let own = |_: char, one: char| width(encoding, one);
    let single = |_: char, _: char| 1;
    let with_return = |before: char, one: char| usize::from(one == '\n' && before != '\r');
    let own_with_returns = |before, one| own(before, one) + with_return(before, one);
    let single_with_returns = |before, one| 1 + with_return(before, one);
    let units: [&dyn Fn(char, char) -> usize; 4] = [&own, &single, &own_with_returns, &single_with_returns];
    let ends = units.iter().filter_map(|unit| reach(text, stated, unit));
    let next = |end: &usize| {
        let after = text[*end..].trim_start_matches(['\r', '\n']);
        ends_line(text, *end) && (after.is_empty() || begins_record(after))
    };
    if let Some(end) = ends.clone().find(next) {
        return end;
    }
    if let Some(end) = reach(text, stated, &own).filter(|end| ends_line(text, *end)) {
        return end;
    }
    let breaks = text.match_indices('\n').map(|(place, _)| place + 1);
    breaks.into_iter().find(|place| begins_record(&text[*place..])).unwrap_or(text.len())
}

/// The place that is this many units behind the beginning of a text.
fn reach(text: &str, units: usize, of: &dyn Fn(char, char) -> usize) -> Option<usize> {
    let (mut passed, mut before) = (0, '\0');
    for (place, one) in text.char_indices() {
        if passed >= units {
            return (passed == units && place > 0).then_some(place);
        }
        passed += of(before, one);
        before = one;
    }
    (passed == units).then_some(text.len())
}

fn ends_line(text: &str, place: usize) -> bool {
    let after = &text[place..];
    after.is_empty() || after.starts_with(['\r', '\n']) || text[..place].ends_with('\n')
}

fn end_of_line(text: &str) -> usize {
    text.find('\n').map_or(text.len(), |place| place + 1)
}

/// Reads length, FILETIME, event, numbers and summary with tabs between. The severity is one number of three [C S31],
/// or the only one, as others pass such lines on; the text after the summary is kept as it is.
fn record(text: &str, number: usize) -> Option<Line> {
    let fields: Vec<&str> = text.trim_end_matches(['\r', '\n']).split('\t').collect();
    let [_, filetime, id, ref rest @ ..] = fields[..] else { return None };
    let steps = u64::from_str_radix(filetime, 16).ok()?;
    let ms = i64::try_from(steps / 10_000).unwrap_or(i64::MAX).saturating_sub(FILETIME_EPOCH_MS);
    let numbers: Vec<u32> = rest.iter().take(3).map_while(|field| number_of(field)).collect();
    let severity = match numbers[..] {
        [_, severity @ 1..=MOST_SEVERE, _] | [severity, ..] => severity,
        [] => 0,
    };
    let texts = if numbers.len() == 3 { &rest[3..] } else { &rest[numbers.len().min(1)..] };
    let line = Line::new(number, &texts.join(" "));
    let own = event(id.trim_end());
    // An event that the lab does not know counts as that of its text.
    let is_known = own.and_then(Event::from_id).is_some() || line.event.is_none();
    Some(Line {
        at: Some(Timestamp::from_millis(ms)),
        event: if is_known { own } else { line.event },
        severity: Some(if severity > MOST_SEVERE { 0 } else { severity }),
        ..line
    })
}

/// Reads `HOST,Category: 0,Smc,TEXT`, as a manager exports a client's system log, with or without the head of a syslog
/// message; behind the text there may be more fields, such as `Event time`.
pub(super) fn exported(line: &str, number: usize) -> Option<Line> {
    let lower = line.to_ascii_lowercase();
    let place = lower.find("category: ")?;
    let head = line[..place].trim_end_matches('"');
    let head = head.strip_suffix(',').or_else(|| head.is_empty().then_some(head))?;
    let (category, rest) = line[place + "category: ".len()..].split_once(',')?;
    if category.is_empty() || !category.trim_matches('"').bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let (_, text) = rest.split_once(',')?;
    let text = match text.strip_prefix('"').and_then(|quoted| quoted.split_once('"')) {
        Some((quoted, _)) => quoted,
        None => {
            let lower = text.to_ascii_lowercase();
            let ends = [",event time:", ",group name:", ",event description:"];
            let end = ends.iter().filter_map(|end| lower.find(end)).min().unwrap_or(text.len());
            &text[..end]
        }
    };
    let fields = || head.split(',').map(str::trim);
    let severity = fields().find_map(|field| match field {
        "Info" => Some(0),
        "Warning" => Some(1),
        "Error" | "Fatal" => Some(2),
        _ => None,
    });
    let severity = severity.or_else(|| of_priority(line));
    let host = fields().next_back().and_then(|field| field.rsplit(": ").next()).unwrap_or_default();
    let host = host.trim_matches(['"', ' ']);
    Some(Line {
        host: (!host.is_empty()).then(|| host.to_owned()),
        severity,
        ..Line::new(number, text.trim_end_matches('"'))
    })
}

/// The severity in the priority of a syslog message, `<54>`: its last three bits, of which 6 and 7 are information.
fn of_priority(line: &str) -> Option<u32> {
    let (digits, _) = line.trim_start().strip_prefix('<')?.split_once('>')?;
    match digits.parse::<u8>().ok()? & 7 {
        0..=3 => Some(2),
        4..=5 => Some(1),
        _ => Some(0),
    }
}

/// Whether a line is the header of a system log: numbers only [C S31b].
fn is_header(line: &str) -> bool {
    let line = line.lines().next().unwrap_or_default();
    line.trim().split('\t').all(|field| field.trim().bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn number_of(field: &str) -> Option<u32> {
    (field.len() == 8 && is_hex(field)).then(|| u32::from_str_radix(field, 16).ok()).flatten()
}

fn is_hex(field: &str) -> bool {
    !field.is_empty() && field.bytes().all(|byte| byte.is_ascii_hexdigit())
}
