//! How long a run and a holiday may be.

/// The longest run that a calendar is made for, in days: ten years.
pub const LONGEST_RUN_DAYS: i64 = 3660;

/// The longest time, in days, for which a machine that is always on has been on when a run starts.
pub(super) const LONGEST_UPTIME_DAYS: i64 = 30;

/// The longest holiday, in days: no longer than the year of which it is the only one.
pub const LONGEST_HOLIDAY: u32 = 365;
