//! Computers, their statistics, and commands to them.

pub(super) mod attacks;
pub(super) mod client_index;
pub(super) mod command_queue;
pub(super) mod computer;
pub(super) mod computers;
pub(super) mod files;
pub(super) mod statistics;
