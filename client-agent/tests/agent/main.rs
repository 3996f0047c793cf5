//! The program `epm-agent`, from the outside.

mod cli;
