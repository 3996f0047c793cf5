//! Presence as a scenario writes it.
//!
//! What a key alone can get wrong is refused when it is read; what two keys do to each other, when the calendar is made.

use schemars::JsonSchema;
use serde::Deserialize;

use super::error::PresenceError;
use super::range::{Between, HolidayDays, Share};
use super::time_of_day::TimeOfDay;
use super::words::{Weekdays, Zone};
use crate::scenario::span::Span;

/// When the machines of a part are online, and where.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Presence {
    /// Day and night.
    #[default]
    Always,
    /// In working hours.
    Office(Office),
    /// On some of the working days, in working hours, sometimes elsewhere.
    Laptop(Laptop),
    /// Now and then, for a while.
    Drawer(Drawer),
}

/// Machines that are switched on when somebody comes to work, and off when he goes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Office {
    /// Where the clocks show these hours.
    pub zone: Zone,
    /// When people come.
    pub from: TimeOfDay,
    /// When they go, on the same day.
    pub to: TimeOfDay,
    /// The working days.
    #[serde(default)]
    pub days: Weekdays,
    /// How much earlier or later than `from` and `to` each comes and goes, drawn anew each day. Defaults to 30 minutes, or
    /// to half of what the hours allow if that is less.
    #[serde(default)]
    pub spread: Option<Span>,
}

/// Machines that are opened on some working days, and sleep otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Laptop {
    /// Where the clocks show these hours.
    pub zone: Zone,
    /// When they are opened.
    pub from: TimeOfDay,
    /// When they are closed, on the same day.
    pub to: TimeOfDay,
    /// The working days.
    #[serde(default)]
    pub days: Weekdays,
    /// How much earlier or later than `from` and `to` each is opened and closed, drawn anew each day. Defaults to 30 minutes,
    /// or to half of what the hours allow if that is less.
    #[serde(default)]
    pub spread: Option<Span>,
    /// The share of the working days on which each is opened.
    pub day_share: Share,
    /// The share of those days on which it is elsewhere.
    #[serde(default)]
    pub away_share: Share,
    /// The location of the group that it then is in.
    #[serde(default)]
    pub away_location: Option<String>,
}

/// Machines that lie in a drawer, and are taken out now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Drawer {
    /// For how long.
    pub on: Span,
    /// How often; when, is each machine's own.
    pub every: Span,
}

/// Holidays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Holidays {
    /// The share of the machines that have one in a year; which, is drawn anew for each year of the run.
    pub share: Share,
    /// How many days it takes, weekends included.
    pub days: HolidayDays,
}

/// Machines that are installed during the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Arrives {
    /// How long after the beginning of the run.
    pub between: Between,
}

/// Something that happens once to a share of the machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Fate {
    /// The share of the machines.
    pub share: Share,
    /// How long after the beginning of the run.
    pub between: Between,
}

impl Presence {
    /// The location of machines that are elsewhere.
    pub fn away_location(&self) -> Option<&str> {
        match self {
            Self::Laptop(laptop) => laptop.away_location.as_deref(),
            Self::Always | Self::Office(_) | Self::Drawer(_) => None,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::Office(_) => "office",
            Self::Laptop(_) => "laptop",
            Self::Drawer(_) => "drawer",
        }
    }
}

impl Office {
    /// Refuses hours that end before they begin, and a spread that could turn a day or a night around.
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

    /// How much earlier or later than their hours machines come and go.
    pub(super) fn spread(&self) -> Span {
        self.spread.unwrap_or_else(|| USUAL_SPREAD.min(Span(self.spread_limit().0 / 2)))
    }

    /// A spread of this or more could turn a day or a night around.
    fn spread_limit(&self) -> Span {
        let day = self.to.duration().saturating_sub(self.from.duration());
        let night = TimeOfDay::WHOLE_DAY.saturating_sub(day);
        Span(day.min(night) / 2)
    }
}

impl Laptop {
    /// Its hours, when it is opened at all.
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

impl Drawer {
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

/// The spread of working hours where none is given.
const USUAL_SPREAD: Span = Span(std::time::Duration::from_secs(30 * 60));

const fn none() -> Span {
    Span(std::time::Duration::ZERO)
}
