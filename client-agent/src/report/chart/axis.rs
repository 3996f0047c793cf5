//! Ticks at round numbers and round times.

use std::time::Duration;

use epm_protocol::time::Timestamp;

use crate::report::words;

/// The distance between ticks so that about `count` of them reach `top`: 1, 2 or 5 times a power of ten.
pub(super) fn step(top: f64, count: f64) -> f64 {
    let rough = top / count;
    let power = 10_f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= rough * 0.999).unwrap_or(10.0);
    factor * power
}

/// A number beside ticks that are `step` apart.
pub(super) fn written(number: f64, step: f64) -> String {
    if step >= 1.0 {
        return words::grouped(number.round() as i64);
    }
    let digits = (-step.log10()).ceil().clamp(0.0, 6.0) as usize;
    format!("{number:.digits$}")
}

/// The ticks of a time axis: the offset in hours, and the label.
pub(super) fn moments(origin: Timestamp, hours: usize, width: f64) -> Vec<(f64, String)> {
    let an_hour = width / hours.max(1) as f64;
    let with_year = hours > A_YEAR;
    let wide = if with_year { 92.0 } else { 58.0 };
    let fits = |step: &i64| *step as f64 * an_hour >= wide;
    let step = STEPS.into_iter().find(fits).unwrap_or(STEPS[STEPS.len() - 1]);
    let since_monday = origin.as_millis().saturating_sub(A_MONDAY).rem_euclid(step * HOUR);
    let mut at = if since_monday == 0 { 0 } else { step * HOUR - since_monday };
    let mut ticks = Vec::new();
    while at <= HOUR * hours as i64 {
        let moment = origin + Duration::from_millis(u64::try_from(at).unwrap_or(0));
        ticks.push((at as f64 / HOUR as f64, label(moment, step, with_year)));
        at += step * HOUR;
    }
    ticks
}

fn label(moment: Timestamp, step: i64, with_year: bool) -> String {
    let t = moment.civil();
    let month = MONTHS[usize::from(t.month().unsigned_abs()).clamp(1, 12) - 1];
    if step < 24 && (t.hour(), t.minute()) != (0, 0) {
        format!("{:02}:{:02}", t.hour(), t.minute())
    } else if !with_year {
        format!("{} {month}", t.day())
    } else {
        format!("{} {month} {}", t.day(), t.year())
    }
}

const HOUR: i64 = 3_600_000;
/// Nearly a year in hours. Longer axes have years at their ticks.
const A_YEAR: usize = 350 * 24;
/// 1970-01-05, in milliseconds since the epoch.
const A_MONDAY: i64 = 4 * 24 * HOUR;
/// The distances between ticks in hours; weeks begin on Mondays.
const STEPS: [i64; 15] =
    [1, 2, 3, 6, 12, 24, 2 * 24, 168, 2 * 168, 4 * 168, 8 * 168, 13 * 168, 26 * 168, 52 * 168, 520 * 168];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!([100_000.0, 7.0, 1.0, 0.017].map(|top| step(top, 4.0)), [50_000.0, 2.0, 0.5, 0.005]);
        assert_eq!(written(25_000.0, 5_000.0), "25,000");
        assert_eq!(written(0.015, 0.005), "0.015");
        assert_eq!(written(0.5, 0.5), "0.5");
    }

    fn labels(origin: &str, hours: usize, width: f64) -> Vec<String> {
        moments(origin.parse().unwrap(), hours, width).into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn ticks_are_hours_days_or_mondays_as_the_course_is_long() {
        assert_eq!(labels("2026-01-05T22:00:00Z", 3, 240.0), ["22:00", "23:00", "6 Jan", "01:00"]);
        assert_eq!(labels("2026-01-05T08:00:00Z", 48, 200.0), ["6 Jan", "7 Jan"]);
        let mondays = labels("2026-01-05T00:00:00Z", 90 * 24, 840.0);
        assert_eq!(mondays[..3], ["5 Jan", "12 Jan", "19 Jan"]);
        assert_eq!(labels("2026-01-05T00:00:00Z", 400 * 24, 300.0).last().unwrap(), "26 Oct 2026");
        assert_eq!(labels("2026-01-05T00:00:00Z", 0, 300.0), ["5 Jan"]);
    }
}
