//! Limits of the lengths of a run and of a holiday.

/// The longest run that a calendar is made for, in days: ten years.
pub const LONGEST_RUN_DAYS: i64 = 3660;

/// The longest uptime, in days, of a machine that is always on when a run starts.
pub(super) const LONGEST_UPTIME_DAYS: i64 = 30;

/// The longest holiday, in days: a year, since there is one in each.
pub const LONGEST_HOLIDAY: u32 = 365;
