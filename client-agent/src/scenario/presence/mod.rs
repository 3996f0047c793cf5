//! When each machine of a part of the fleet is on, and where.
//!
//! | presence | on | drawn for each machine |
//! |---|---|---|
//! | `always` | from the start on | the time of its boot, uniform over the 30 days before the start |
//! | `office` | on working days, `from` to `to` by the clocks of `zone` | each day: the beginning, `from` ± `spread`, and the end, `to` ± `spread`, both uniform |
//! | `laptop` | as `office`, on `day_share` of the working days; `away_share` of those in `away_location` | as `office`; each day whether and where: Bernoulli |
//! | `mostly-off` | for `on`, once in `every` | its phase, uniform from 0 to `every` |
//!
//! | key of the part | effect | drawn for each machine |
//! |---|---|---|
//! | `closed` | off on these dates (`office`, `laptop`) | nothing |
//! | `holidays` | consecutive days off, weekends included (`office`, `laptop`) | each year of 365 days since the start: whether, Bernoulli; its first day, uniform in the year; its length in days, uniform |
//! | `arrives` | installed during the run | the time, uniform |
//! | `leaves` | leaves for good; a machine that would leave before it is installed never comes | whether, Bernoulli; the time, uniform |
//! | `reimaged` | returns with the list of its installation | whether, Bernoulli; the time, uniform |
//!
//! A holiday may reach into the next year of the run, and one from the year before into the first. Everything is drawn
//! by SipHash-2-4, keyed with the machine's seed and the name of what is drawn; the question is a day since 1970, a
//! year of the run, or nothing. So a machine's windows are a pure function of its seed, the part and the run: any of
//! them can be computed in any order, nothing is stored for a machine, and another part changes nothing.
//!
//! Time zones and their changes come from the bundled IANA database. Times that clocks skip are moved forward.
//!
//! A machine that is on when the run starts was booted before, so heartbeats are spread over the interval: for `always` at
//! the time that is drawn, otherwise at the beginning of the current window.
//!
//! Nothing here knows what a client does while it is online.

pub(super) mod calendar;
mod draw;
pub(super) mod error;
mod life;
mod limits;
pub(super) mod plan;
mod range;
mod time_of_day;
pub(super) mod window;
pub(super) mod words;
mod working_days;

#[cfg(test)]
mod tests;

pub use calendar::{Calendar, booted_before};
pub use error::PresenceError;
pub use limits::{LONGEST_HOLIDAY, LONGEST_RUN_DAYS};
pub use plan::{Arrives, Fate, Holidays, Laptop, MostlyOff, Office, Presence};
pub use range::{Between, HolidayDays, Share};
pub use time_of_day::TimeOfDay;
pub use window::{Place, Window};
pub use words::{Day, Weekdays, Zone};
