//! A stretch of time during which a machine is online in one place.

use epm_protocol::time::Timestamp;

/// A stretch of time during which a machine is online in one place: from `on` up to, but without, `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// When it comes online; at the start of the run, if it was on before.
    pub on: Timestamp,
    /// When it was booted: at `on`, or earlier if it was on before the start of the run.
    pub booted: Timestamp,
    /// When it goes, later than `on`; [`Timestamp::NEVER`] if it stays.
    pub off: Timestamp,
    /// Where it is.
    pub place: Place,
}

/// Where a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the location of its part.
    Usual,
    /// In the away-location of its part.
    Away,
}

/// A window before anybody has asked whether the machine is there at all; in milliseconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw {
    pub(super) on: i64,
    pub(super) off: i64,
    pub(super) place: Place,
}
