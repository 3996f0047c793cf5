//! Presence as a scenario writes it.
//!
//! Errors in one key are found when it is read, contradictions between keys when the calendar is made.

use schemars::JsonSchema;
use serde::Deserialize;

use super::error::PresenceError;
use super::range::{Between, HolidayDays, Share};
use super::time_of_day::TimeOfDay;
use super::words::{Weekdays, Zone};
use crate::scenario::span::Span;

/// When the machines of a part are on, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// The machines are always on.
    #[default]
    Always,
    /// The machines are on in working hours.
    Office(Office),
    /// The machines are on in the working hours of some working days, sometimes at another location.
    Laptop(Laptop),
    /// The machines are mostly off, and on once in each period.
    MostlyOff(MostlyOff),
}

/// Machines that are on in working hours.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Office {
    /// The time zone of the hours, by its IANA name.
    pub zone: Zone,
    /// The beginning of the hours.
    pub from: TimeOfDay,
    /// The end of the hours, on the same day.
    pub to: TimeOfDay,
    /// The working days; Monday to Friday if absent.
    #[serde(default)]
    pub days: Weekdays,
    /// The largest deviation of a machine from `from` and `to`, drawn anew each day; if absent, 30 minutes, or half of what
    /// the hours allow if that is less.
    #[serde(default)]
    pub spread: Option<Span>,
}

/// Machines that are on in the working hours of some working days, and off otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Laptop {
    /// The time zone of the hours, by its IANA name.
    pub zone: Zone,
    /// The beginning of the hours.
    pub from: TimeOfDay,
    /// The end of the hours, on the same day.
    pub to: TimeOfDay,
    /// The working days; Monday to Friday if absent.
    #[serde(default)]
    pub days: Weekdays,
    /// The largest deviation of a machine from `from` and `to`, drawn anew each day; if absent, 30 minutes, or half of what
    /// the hours allow if that is less.
    #[serde(default)]
    pub spread: Option<Span>,
    /// The share of the working days on which a machine is on, in per cent.
    pub day_share: Share,
    /// The share of those days on which a machine is at `away_location`, in per cent; 0 if absent.
    #[serde(default)]
    pub away_share: Share,
    /// The location of the group that machines are in when they are away.
    #[serde(default)]
    pub away_location: Option<String>,
}

/// Machines that are mostly off, and on once in each period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MostlyOff {
    /// The duration for which a machine is on.
    pub on: Span,
    /// The period; its phase is drawn for each machine.
    pub every: Span,
}

/// The holidays of machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Holidays {
    /// The share of the machines with a holiday in a year, in per cent, drawn anew for each year of the run.
    pub share: Share,
    /// The range of the holiday's length in days, weekends included.
    pub days: HolidayDays,
}

/// The installation of machines during the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Arrives {
    /// The range of the time of installation, from the beginning of the run.
    pub between: Between,
}

/// An event that happens once to a share of the machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fate {
    /// The share of the machines, in per cent.
    pub share: Share,
    /// The range of the time of the event, from the beginning of the run.
    pub between: Between,
}

impl Presence {
    /// The location of machines that are away.
    pub fn away_location(&self) -> Option<&str> {
        match self {
            Self::Laptop(laptop) => laptop.away_location.as_deref(),
            Self::Always | Self::Office(_) | Self::MostlyOff(_) => None,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Office(_) => "office",
            Self::Laptop(_) => "laptop",
            Self::MostlyOff(_) => "mostly-off",
        }
    }
}

impl Office {
    /// Checks that hours do not end before they begin, and that the spread cannot reverse a day or a night.
    pub(super) fn check(&self) -> Result<(), PresenceError> {
        let (from, to) = (self.from, self.to);
        if from >= to {
            return Err(PresenceError::Hours { from, to });
        }
        let (found, limit) = (self.spread(), self.spread_limit());
        if found >= limit {
            return Err(PresenceError::Spread { found, from, to, limit });
        }
        Ok(())
    }

    /// The largest deviation of a machine from `from` and `to`, as given or by default.
    pub(super) fn spread(&self) -> Span {
        self.spread.unwrap_or_else(|| USUAL_SPREAD.min(Span(self.spread_limit().0 / 2)))
    }

    /// The smallest spread with which a day or a night could end before it begins.
    fn spread_limit(&self) -> Span {
        let day = self.to.duration().saturating_sub(self.from.duration());
        let night = TimeOfDay::WHOLE_DAY.saturating_sub(day);
        Span(day.min(night) / 2)
    }
}

impl Laptop {
    /// The hours of the machine on days on which it is on.
    pub(super) fn hours(&self) -> Office {
        let Self { zone, from, to, days, spread, .. } = self.clone();
        Office { zone, from, to, days, spread }
    }

    pub(super) fn check(&self) -> Result<(), PresenceError> {
        match &self.away_location {
            _ if self.day_share.is_zero() => Err(PresenceError::NoDayShare),
            None if !self.away_share.is_zero() => Err(PresenceError::NoAwayLocation),
            Some(found) if self.away_share.is_zero() => {
                Err(PresenceError::NoAwayShare { found: found.clone() })
            }
            _ => Ok(()),
        }
    }
}

impl MostlyOff {
    pub(super) fn check(&self) -> Result<(), PresenceError> {
        let Self { on, every } = *self;
        let zero = [("every", every), ("on", on)].into_iter().find(|(_, span)| *span == none());
        match zero {
            Some((key, _)) => Err(PresenceError::Zero { key }),
            None if on >= every => Err(PresenceError::OnTooLong { on, every }),
            None => Ok(()),
        }
    }
}

/// The default spread of working hours.
const USUAL_SPREAD: Span = Span(std::time::Duration::from_secs(30 * 60));

const fn none() -> Span {
    Span(std::time::Duration::ZERO)
}
