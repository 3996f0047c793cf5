//! How long a run and a holiday may be.

/// The longest run that a calendar is made for, in days: ten years.
pub const LONGEST_RUN_DAYS: i64 = 3660;

/// The longest holiday, in days: no longer than the year of which it is the only one.
pub const LONGEST_HOLIDAY: u32 = 365;
