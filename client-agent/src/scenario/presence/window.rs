//! A period in which a machine is on at one place.

use epm_protocol::time::Timestamp;

/// A period in which a machine is on at one place: from `on` up to `off`, exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// The time at which it is switched on; the start of the run if it was on before.
    pub on: Timestamp,
    /// The time at which it was booted: `on`, or earlier if it was on before the start of the run.
    pub booted: Timestamp,
    /// The time at which it is switched off, later than `on`; [`Timestamp::NEVER`] if it stays on.
    pub off: Timestamp,
    /// The place of the machine.
    pub place: Place,
}

/// The place of a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The location of the part.
    Usual,
    /// The away_location of the part.
    Away,
}

/// A window before the life of the machine is considered; in milliseconds since the epoch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw {
    pub(super) on: i64,
    pub(super) off: i64,
    pub(super) place: Place,
}
