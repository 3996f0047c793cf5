//! The whole lab over real sockets, tested with foreign tools and with its own clients.
//!
//! The tests run in threads of one process: none changes its environment, its working directory or its panic hook, and
//! each site has ports of its own.

#![cfg(test)]

mod both_drivers;
mod browser;
mod calendar;
mod capture;
mod catalogue;
mod commands;
mod compared;
mod control_api;
mod control_api_actions;
mod control_api_described;
mod control_api_limits;
mod control_api_names;
mod disk_cache;
mod doctor;
mod faults;
mod faults_of_answers;
mod faults_with_a_chain;
mod foreign_servers;
mod foreign_stores;
mod forms;
mod golden;
mod hard_certificates;
mod held_by_faults;
mod held_clock;
mod installation;
mod keys;
mod keystores;
mod mock_site;
mod outside_eyes;
mod page;
mod phases;
mod procedure;
mod recorded;
mod recovery;
mod rest;
mod rest_clients;
mod rest_commands;
mod rest_faults;
mod rest_habits;
mod rest_hostile;
mod rest_objects;
mod rest_policies;
mod rest_truths;
mod rotations;
mod several_managers;
mod tls_truths;
