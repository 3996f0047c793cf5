//! The program `epm-lab`, run as a user runs it, one module for each group of its verbs.
//!
//! The tests run in threads of one process: none changes its environment or its working directory, and each lab has ports and a
//! folder of its own.

#![cfg(test)]

mod action;
mod attacks;
mod broken_store;
mod capture;
mod cert;
mod command_line;
mod compare;
#[cfg(feature = "postgres")]
mod compared_processes;
mod config;
mod control;
mod crash_points;
#[cfg(feature = "postgres")]
mod damaged_tables;
mod data;
mod descriptors;
mod docs;
mod evidence;
mod failure;
mod fault;
mod fleet;
mod foreign_files;
mod harness;
mod held_clock;
mod journal;
mod killed;
mod lab;
mod labs;
#[cfg(feature = "postgres")]
mod lost_answers;
mod messages;
mod metrics;
mod package;
mod pages;
mod program;
mod ready_file;
mod recovery;
mod reference;
mod rehearse;
#[cfg(feature = "postgres")]
mod reported_histories;
#[cfg(feature = "postgres")]
mod reports;
mod rotate;
mod schema_check;
#[cfg(feature = "postgres")]
mod shared_baselines;
#[cfg(feature = "postgres")]
mod site;
mod standard_output;
mod sylink;
mod up_limits;
mod your_tool;
