//! The client and its managers, by hand: one test for each statement of the vendor's procedure, each with the one
//! that shows what happens to whoever ignores it.

mod bench;
mod clones;
mod failures;
mod one_manager;
mod settings;
mod several_managers;
mod total;
