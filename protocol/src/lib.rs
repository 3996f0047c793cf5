//! What manager and client of epm-lab share: words, formats, the layers of trust, and the site itself.
//!
//! Everything here decides; nothing here waits. There is no socket, file, clock or dice in this crate: time and
//! answers come in as arguments, wishes go out as data. Random keys are the one exception, and they are handed in.
//!
//! Start at [`site`] for what a manager publishes, at [`trust`] for what a client believes, and at
//! [`heartbeat`] for what the two say to each other.

pub mod id;
pub mod sylink;
pub mod time;
pub mod trust;
