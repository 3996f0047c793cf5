//! Numbers, times and counted things, as people write them.

use std::fmt::Display;
use std::time::Duration;

use epm_protocol::time::Timestamp;

/// A whole number in groups of three digits: `100,000`.
pub fn grouped(number: impl Display) -> String {
    let written = number.to_string();
    let (sign, digits) = written.strip_prefix('-').map_or(("", written.as_str()), |digits| ("-", digits));
    let mut text = sign.to_owned();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of clients: `1 client`, `2,000 clients`.
pub(super) fn clients(number: usize) -> String {
    let noun = if number == 1 { "client" } else { "clients" };
    format!("{} {noun}", grouped(number))
}

/// A moment to the minute, in UTC: `2026-01-05 08:00`.
pub(super) fn moment(at: Timestamp) -> String {
    if at == Timestamp::NEVER {
        return "never".to_owned();
    }
    let t = at.civil();
    format!("{:04}-{:02}-{:02} {:02}:{:02}", t.year(), t.month(), t.day(), t.hour(), t.minute())
}

/// A moment to the millisecond where it has any, in UTC: `2026-01-05 08:00:07.123`.
pub(super) fn instant(at: Timestamp) -> String {
    if at == Timestamp::NEVER {
        return "never".to_owned();
    }
    at.to_string().replace('T', " ").trim_end_matches('Z').to_owned()
}

/// A duration in its two largest units: `12 d 4 h`, `35 min`, `250 ms`.
pub(super) fn stretch(lasted: Duration) -> String {
    let millis = lasted.as_millis();
    let mut parts = UNITS.iter().skip_while(|(size, _)| millis < *size).peekable();
    let Some((size, unit)) = parts.next() else { return "0 s".to_owned() };
    let first = format!("{} {unit}", grouped(millis / size));
    let second = parts.next().map(|(smaller, unit)| (millis % size / smaller, unit));
    match second {
        Some((number, unit)) if number > 0 && *size > 1000 => format!("{first} {number} {unit}"),
        _ => first,
    }
}

/// The first `most` of `names`, and the number of the others: `PC-1, PC-2 and 40 more`.
pub(super) fn first(names: &[impl AsRef<str>], total: usize, most: usize) -> String {
    let shown: Vec<&str> = names.iter().take(most).map(AsRef::as_ref).collect();
    let more = total.saturating_sub(shown.len());
    match (shown.is_empty(), more) {
        (_, 0) => shown.join(", "),
        (true, more) => format!("{} not named here", grouped(more)),
        (false, more) => format!("{} and {} more", shown.join(", "), grouped(more)),
    }
}

/// The units of durations, the largest first, in milliseconds.
const UNITS: [(u128, &str); 5] =
    [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s"), (1, "ms")];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups_of_three() {
        let numbers = [0, 7, 999, 1000, 100_000, 2_600_000_000_u64];
        assert_eq!(numbers.map(grouped), ["0", "7", "999", "1,000", "100,000", "2,600,000,000"]);
        assert_eq!(grouped(-1000), "-1,000");
        assert_eq!((clients(1), clients(0)), ("1 client".to_owned(), "0 clients".to_owned()));
    }

    #[test]
    fn a_stretch_of_time_is_said_in_its_two_largest_units() {
        let said = |seconds| stretch(Duration::from_secs(seconds));
        assert_eq!(
            [0, 59, 60, 3661, 90 * 86_400, 90_000].map(said),
            ["0 s", "59 s", "1 min", "1 h 1 min", "90 d", "1 d 1 h"]
        );
        assert_eq!(stretch(Duration::from_millis(250)), "250 ms");
        assert_eq!(stretch(Duration::from_millis(1250)), "1 s");
    }

    #[test]
    fn what_is_left_out_of_a_list_is_counted() {
        assert_eq!(first(&["a", "b"], 2, 5), "a, b");
        assert_eq!(first(&["a", "b", "c"], 9, 2), "a, b and 7 more");
        assert_eq!(first(&[] as &[&str], 3, 2), "3 not named here");
    }
}
