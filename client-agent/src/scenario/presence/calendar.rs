//! The calendar of a part: each window in which one of its machines is on.

use epm_protocol::time::Timestamp;

use super::draw::{BOOT, Draw, PHASE};
use super::error::PresenceError;
use super::life::Life;
use super::limits::{LONGEST_RUN_DAYS, LONGEST_UPTIME_DAYS};
use super::plan::{Office, Presence};
use super::range::millis;
use super::window::{Place, Raw, Window};
use super::working_days::WorkingDays;
use crate::scenario::plan::PartPlan;

/// The times at which the machines of a part are on. Its machines share it; the seed distinguishes them.
#[derive(Clone, Debug)]
pub struct Calendar {
    pattern: Pattern,
    life: Life,
    start: i64,
    end: i64,
    away_location: Option<String>,
}

#[derive(Clone, Debug)]
enum Pattern {
    Always,
    Days(WorkingDays),
    MostlyOff { on: i64, every: i64 },
}

impl Calendar {
    /// Makes the calendar of this part for a run from `start` to `end`, at most ten years later.
    ///
    /// # Errors
    ///
    /// When the presence of the part contradicts itself, or the run is too long.
    pub fn new(part: &PartPlan, start: Timestamp, end: Timestamp) -> Result<Self, PresenceError> {
        let run = [start.as_millis(), end.as_millis()];
        if end < start || run[1].saturating_sub(run[0]) > LONGEST_RUN_DAYS * 86_400_000 {
            return Err(PresenceError::Run { start, end });
        }
        let days = |hours: &Office| {
            hours.check().map(|()| WorkingDays::new(hours, &part.closed, part.holidays, run))
        };
        let pattern = match &part.presence {
            Presence::Office(office) => Pattern::Days(days(office)?),
            Presence::Laptop(laptop) => {
                laptop.check()?;
                Pattern::Days(days(&laptop.hours())?.opened(laptop))
            }
            without @ (Presence::Always | Presence::MostlyOff(_)) => {
                refuse_days_off(part)?;
                match without {
                    Presence::MostlyOff(drawer) => {
                        drawer.check()?;
                        Pattern::MostlyOff { on: millis(drawer.on), every: millis(drawer.every) }
                    }
                    _ => Pattern::Always,
                }
            }
        };
        let away_location = part.presence.away_location().map(str::to_owned);
        Ok(Self { pattern, life: Life::new(part, start), start: run[0], end: run[1], away_location })
    }

    /// The first window of the machine with this seed that ends after `after`.
    ///
    /// Windows are disjoint and in order, and begin in the run, `end` excluded.
    pub fn window(&self, seed: u64, after: Timestamp) -> Option<Window> {
        let (from, until) = (self.life.from(seed), self.life.until(seed));
        let after = after.as_millis().max(from);
        let raw = match &self.pattern {
            Pattern::Always => {
                let booted = booted_before(seed, Timestamp::from_millis(self.start));
                Raw { on: booted.as_millis(), off: i64::MAX, place: Place::Usual }
            }
            Pattern::Days(days) => days.window(seed, after)?,
            Pattern::MostlyOff { on, every } => self.taken_out(seed, *on, *every, after),
        };
        let (on, off) = (raw.on.max(from), raw.off.min(until));
        let booted = if self.life.arrives() { on } else { raw.on };
        (off > after && on < until.min(self.end)).then(|| Window {
            on: Timestamp::from_millis(on),
            booted: Timestamp::from_millis(booted),
            off: Timestamp::from_millis(off),
            place: raw.place,
        })
    }

    /// The location of machines that are [`Place::Away`].
    pub fn away_location(&self) -> Option<&str> {
        self.away_location.as_deref()
    }

    /// The time at which the machine with this seed is re-imaged, if it is, and is there at that moment.
    pub fn reimaged(&self, seed: u64) -> Option<Timestamp> {
        self.life.reimaged(seed).filter(|at| *at < self.end).map(Timestamp::from_millis)
    }

    /// The first time that a mostly-off machine is on until after `after`, which is not before the start.
    fn taken_out(&self, seed: u64, on: i64, every: i64, after: i64) -> Raw {
        // Starts with the window before the first whole one, which may reach over the start.
        let first = self.start.saturating_sub(Draw::new(seed, PHASE, 0).up_to(every - 1));
        let passed = after.saturating_sub(first) / every;
        let began = first.saturating_add(passed.saturating_mul(every));
        let on_at = if began.saturating_add(on) > after { began } else { began.saturating_add(every) };
        Raw { on: on_at, off: on_at.saturating_add(on), place: Place::Usual }
    }
}

/// The boot of the machine with this seed, which has been on since before `start`: uniform over the 30 days before.
pub fn booted_before(seed: u64, start: Timestamp) -> Timestamp {
    let ago = 1 + Draw::new(seed, BOOT, 0).up_to(LONGEST_UPTIME_DAYS * 86_400_000);
    Timestamp::from_millis(start.as_millis().saturating_sub(ago))
}

fn refuse_days_off(part: &PartPlan) -> Result<(), PresenceError> {
    let found = part.presence.name();
    match (&part.holidays, part.closed.is_empty()) {
        (Some(_), _) => Err(PresenceError::NoWorkingDays { key: "holidays", found }),
        (None, false) => Err(PresenceError::NoWorkingDays { key: "closed", found }),
        (None, true) => Ok(()),
    }
}
