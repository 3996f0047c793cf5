//! When each machine of a part of the fleet is online, and where.
//!
//! | presence | online | drawn for each machine |
//! |---|---|---|
//! | `always` | from the start on | the moment at which it was booted, uniform over the 30 days before the start |
//! | `office` | on working days, `from` to `to` on the clocks of `zone` | each day: coming, `from` ± `spread`, and going, `to` ± `spread`, both uniform |
//! | `laptop` | as `office`, on `day-share` of the working days; `away-share` of those in `away-location` | as `office`; each day whether and where: Bernoulli |
//! | `drawer` | for `on`, once in `every` | its phase, uniform from 0 to `every` |
//!
//! | key of the part | what it does | drawn for each machine |
//! |---|---|---|
//! | `closed` | nobody comes on these dates (`office`, `laptop`) | nothing |
//! | `holidays` | a row of days off, weekends included (`office`, `laptop`) | each year of 365 days since the start: whether, Bernoulli; its first day, uniform in the year; its length in days, uniform |
//! | `arrives` | it is installed during the run | the moment, uniform |
//! | `leaves` | it goes for good; one that would go before it is installed never comes | whether, Bernoulli; the moment, uniform |
//! | `reimaged` | it comes back with the list that it was installed with | whether, Bernoulli; the moment, uniform |
//!
//! A holiday may reach into the next year of the run, and one from the year before into the first. Everything is drawn
//! by SipHash-2-4, keyed with the machine's seed and the name of what is asked; the question is a day since 1970, a
//! year of the run, or nothing. So a machine's windows are a pure function of its seed, the part and the run: any of
//! them can be asked for in any order, nothing is stored for a machine, and another part changes nothing.
//!
//! Time zones and their changes come from the bundled IANA database. Hours that clocks skip are as much later.
//!
//! A machine that is on when the run starts was booted before, so no two of them have their heartbeats together: the one
//! of `always` as drawn, the others at the beginning of that window.
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
pub use plan::{Arrives, Drawer, Fate, Holidays, Laptop, Office, Presence};
pub use range::{Between, HolidayDays, Share};
pub use time_of_day::TimeOfDay;
pub use window::{Place, Window};
pub use words::{Day, Weekdays, Zone};
