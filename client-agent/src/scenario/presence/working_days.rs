//! The working days of a part: their moments are computed once, and each machine draws its own hours, days and
//! holidays around them.

use jiff::civil::Date;

use super::draw::{Draw, HOLIDAY, HOURS, OPENED};
use super::plan::{Holidays, Laptop, Office};
use super::range::Share;
use super::window::{Place, Raw};
use super::words::Day;

/// The working days of a run.
#[derive(Clone, Debug)]
pub(super) struct WorkingDays {
    days: Vec<WorkingDay>,
    /// Where a search for a moment begins: for each period of 24 hours since `base`, the first day with windows that
    /// end after the beginning of that period.
    after: Vec<u32>,
    base: i64,
    /// For each date since the day before the start: the first working day from it on.
    on_date: Vec<u32>,
    first_date: i32,
    holidays: Option<Holidays>,
    opened: Option<Opened>,
}

/// The working days on which a laptop is opened.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opened {
    day_share: Share,
    away_share: Share,
}

/// A working day. Windows begin within `spread` of `open` and end within `spread` of `close`, in milliseconds; those of
/// two days, and both ends of one, cannot meet.
#[derive(Clone, Copy, Debug)]
struct WorkingDay {
    open: i64,
    close: i64,
    spread: i64,
    /// The number of days since 1970-01-01.
    date: i32,
}

impl WorkingDays {
    /// Makes the working days from the day before the start to the day after the end.
    pub(super) fn new(hours: &Office, closed: &[Day], holidays: Option<Holidays>, run: [i64; 2]) -> Self {
        let [first, last] = run.map(|moment| hours.zone.date(moment));
        let first = first.yesterday().unwrap_or(first);
        let last = last.tomorrow().unwrap_or(last);
        let days = working_days(hours, closed, first, last);
        let base = days.first().map_or(0, |day| day.close + day.spread);
        Self {
            after: starts(&days, |day| ((day.close + day.spread - base) / DAY_MS) as usize),
            on_date: starts(&days, |day| (day.date - number(first)) as usize),
            first_date: number(first),
            days,
            base,
            holidays,
            opened: None,
        }
    }

    /// Restricts the days to those on which laptops are opened.
    pub(super) fn opened(mut self, laptop: &Laptop) -> Self {
        self.opened = Some(Opened { day_share: laptop.day_share, away_share: laptop.away_share });
        self
    }

    /// The first window that ends after `after`.
    pub(super) fn window(&self, seed: u64, after: i64) -> Option<Raw> {
        let span = (after.saturating_sub(self.base).max(0) / DAY_MS) as usize;
        let mut at = *self.after.get(span)? as usize;
        loop {
            let day = self.days.get(at)?;
            at += 1;
            if day.close + day.spread <= after {
                continue;
            }
            let Some(place) = self.place(seed, day.date) else { continue };
            let (on, off) = day.hours(seed);
            if off <= after {
                continue;
            }
            if let Some(back) = self.on_holiday(seed, day.date) {
                at = *self.on_date.get((back - self.first_date) as usize)? as usize;
                continue;
            }
            return Some(Raw { on, off, place });
        }
    }

    /// The place of the machine on this day; none if it is off.
    fn place(&self, seed: u64, date: i32) -> Option<Place> {
        let Some(opened) = self.opened else { return Some(Place::Usual) };
        let mut draw = Draw::new(seed, OPENED, question(date));
        if !opened.day_share.takes(&mut draw) {
            return None;
        }
        Some(if opened.away_share.takes(&mut draw) { Place::Away } else { Place::Usual })
    }

    /// The first day after the holiday that this day is in.
    fn on_holiday(&self, seed: u64, date: i32) -> Option<i32> {
        let holidays = self.holidays?;
        let start = self.first_date + 1;
        let day = date - start;
        let year = day.div_euclid(YEAR_DAYS);
        let in_holiday_of = |year: i32| {
            let mut draw = Draw::new(seed, HOLIDAY, question(year));
            if !holidays.share.takes(&mut draw) {
                return None;
            }
            let first = year * YEAR_DAYS + draw.below(YEAR_DAYS as u64) as i32;
            let back = first + holidays.days.draw(&mut draw);
            (first <= day && day < back).then_some(start + back)
        };
        let reaches_over = day - year * YEAR_DAYS < holidays.days.most();
        in_holiday_of(year).or_else(|| if reaches_over { in_holiday_of(year - 1) } else { None })
    }
}

impl WorkingDay {
    /// The beginning and the end of this machine's hours on this day.
    fn hours(&self, seed: u64) -> (i64, i64) {
        if self.spread == 0 {
            return (self.open, self.close);
        }
        let mut draw = Draw::new(seed, HOURS, question(self.date));
        let on = self.open - self.spread + draw.up_to(2 * self.spread);
        (on, self.close - self.spread + draw.up_to(2 * self.spread))
    }
}

fn working_days(hours: &Office, closed: &[Day], first: Date, last: Date) -> Vec<WorkingDay> {
    let spread = i64::try_from(hours.spread().0.as_millis()).unwrap_or(i64::MAX);
    let mut days: Vec<WorkingDay> = Vec::new();
    let dates = first.series(jiff::Span::new().days(1)).take_while(|date| *date <= last);
    for date in dates.filter(|date| hours.days.contains(*date)) {
        if closed.iter().any(|day| day.date() == date) {
            continue;
        }
        let moments = hours.zone.moment(date, hours.from).zip(hours.zone.moment(date, hours.to));
        let Some((open, close)) = moments else { continue };
        // Where clocks change, a day or a night may be shorter than on paper, and a zone may leave out a date.
        if close <= open || days.last().is_some_and(|before| open <= before.close) {
            continue;
        }
        let mut day =
            WorkingDay { open, close, spread: spread.min((close - open - 1) / 2), date: number(date) };
        if let Some(before) = days.last_mut() {
            let room = (open - before.close - 1) / 2;
            before.spread = before.spread.min(room);
            day.spread = day.spread.min(room);
        }
        days.push(day);
    }
    days
}

/// For each index from 0 on, the first of `days`, which are in order, whose own index is not before it.
fn starts(days: &[WorkingDay], place: impl Fn(&WorkingDay) -> usize) -> Vec<u32> {
    let mut starts = Vec::new();
    for (at, day) in (0..).zip(days) {
        starts.resize(starts.len().max(place(day) + 1), at);
    }
    starts
}

/// The number of days since 1970-01-01.
fn number(date: Date) -> i32 {
    let epoch = jiff::civil::date(1970, 1, 1);
    date.since(epoch).map_or(0, |span| span.get_days())
}

/// A day or a year as the question of a draw; both may be negative.
fn question(number: i32) -> u64 {
    i64::from(number).cast_unsigned()
}

const DAY_MS: i64 = 86_400_000;
/// The length of a year of the run in days, whatever the calendar says.
const YEAR_DAYS: i32 = 365;
