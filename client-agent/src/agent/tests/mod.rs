//! The client and its managers, by hand: one test for each statement of the vendor's procedure, and one
//! that shows what happens if it is ignored.

mod bench;
mod clones;
mod failures;
mod one_manager;
mod settings;
mod several_managers;
mod total;
