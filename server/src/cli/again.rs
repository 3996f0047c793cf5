//! The command that repeats a run: as it was given, with its seed, without what only changes the output.

use std::ffi::OsString;
use std::path::Path;

use epm_client_agent::rehearsal::RunInfo;

/// Flags without a value that change only the output.
const OUTPUT: &[&str] = &["--json", "--client-log", "--verbose", "--quiet", "-v", "-vv", "-vvv", "-q"];
/// Flags with a value that change only the output, or that have a secret as value.
const OUTPUT_WITH_VALUE: &[&str] = &[
    "--report",
    "--pcap",
    // A folder that has a lab would go on with it.
    "--data",
    "--threads",
    "--ready-file",
    "--rest-password",
    "--log",
    "--log-format",
    "--log-file",
    "--color",
];

/// The command that this process was started with, and its seed.
pub(super) fn command(seed: u64) -> String {
    repeat(std::env::args_os().skip(1), seed)
}

/// How to have the outcome of this process again.
pub(super) fn run_info(scenario: &Path, seed: u64) -> RunInfo {
    RunInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        scenario_file: crate::cli::scenario::name(scenario),
        command: command(seed),
    }
}

/// The command that this process was started with, of a command without a seed.
pub(super) fn this_command() -> String {
    shown(std::env::args_os().skip(1)).0
}

fn repeat(arguments: impl Iterator<Item = OsString>, seed: u64) -> String {
    match shown(arguments) {
        (command, true) => command,
        (command, false) => format!("{command} --seed {seed}"),
    }
}

/// The command as given, and whether it has a seed.
fn shown(arguments: impl Iterator<Item = OsString>) -> (String, bool) {
    let mut words = vec!["epm-lab".to_owned()];
    let mut has_seed = false;
    let arguments: Vec<String> = arguments.map(|one| one.to_string_lossy().into_owned()).collect();
    // With a report, `--force` is about its folder, and refused without one.
    let has_report = arguments.iter().any(|one| one == "--report" || one.starts_with("--report="));
    let mut arguments = arguments.into_iter();
    while let Some(argument) = arguments.next() {
        let name = argument.split_once('=').map_or(argument.as_str(), |(name, _)| name);
        if OUTPUT.contains(&name) || (has_report && name == "--force") {
            continue;
        }
        if OUTPUT_WITH_VALUE.contains(&name) {
            if name == argument {
                arguments.next();
            }
            continue;
        }
        has_seed |= name == "--seed";
        words.push(quoted(&argument));
    }
    (words.join(" "), has_seed)
}

/// Quotes a word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |one: char| one.is_ascii_alphanumeric() || "-_./=:,@%+".contains(one);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_repeated_with_every_flag_that_changes_the_outcome() {
        for (given, expected) in [
            (&["rehearse", "a.toml"][..], "epm-lab rehearse a.toml --seed 7"),
            (
                &["rehearse", "a b's.toml", "--agents", "500", "--report", "r", "--json", "--threads=2"],
                r"epm-lab rehearse 'a b'\''s.toml' --agents 500 --seed 7",
            ),
            (&["rehearse", "a.toml", "--report=r", "--force"], "epm-lab rehearse a.toml --seed 7"),
            (&["rotate", "single", "--force"], "epm-lab rotate single --force --seed 7"),
            (
                &["run", "--moved", "a.toml", "--seed=3", "-v", "--log-file", "x", "--client-log"],
                "epm-lab run --moved a.toml --seed=3",
            ),
            (
                &["failure", "reproduce", "F25", "--assume", "x=[1]"],
                "epm-lab failure reproduce F25 --assume 'x=[1]' --seed 7",
            ),
            (&["up", "--rest-password", "hush", "--agents=3"], "epm-lab up --agents=3 --seed 7"),
            (&["up", "--data", "d", "--agents", "3", "--pcap=x"], "epm-lab up --agents 3 --seed 7"),
        ] {
            assert_eq!(repeat(given.iter().map(OsString::from), 7), expected);
        }
    }
}
