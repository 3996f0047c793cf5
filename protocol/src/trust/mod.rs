//! The three independent layers of trust, a file each.
