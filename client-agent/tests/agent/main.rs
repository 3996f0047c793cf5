//! The program `epm-agent`, tested as a process.

#![cfg(test)]

mod cli;
