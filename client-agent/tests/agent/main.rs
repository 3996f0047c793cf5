//! The program `epm-agent`, from the outside.

#![cfg(test)]

mod cli;
