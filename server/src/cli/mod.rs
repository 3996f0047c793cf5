//! The program `epm-lab`: commands, and exit codes.
//!
//! 0: success. 1: the command failed. 2: invalid input. 3: success, but clients are orphaned. 4: no verdict.

mod again;
mod assume;
mod cert;
mod compare;
mod config;
mod evidence;
mod failure;
mod fault;
mod health;
mod io;
mod lab;
mod labs;
mod out;
mod pcap;
mod print;
mod recovery;
mod rehearse;
mod rotate;
mod run;
mod scenario;
mod schema;
mod site;
mod sylink;
mod table;
mod token_files;
mod up;
mod up_control;
mod up_data;
mod up_files;
mod up_plan;
mod up_ready;

use std::process::ExitCode;

use clap::{Command, FromArgMatches, Parser, Subcommand};
use config::Unreadable;
use epm_client_agent::program::{
    Messages, arguments, command_line, completions, error, naming_variable, unwritten, with_variables,
};
use epm_client_agent::wire::log_keys;
use epm_protocol::assumption::Assumptions;
use io::{Ending, Failure, say, say_json, say_whole, waiting};

use crate::runtime::descriptors::raise_descriptor_limit;

const EXAMPLES: &str = "\
Examples:
  epm-lab up                                   start a manager and a few clients
  epm-lab run fixtures/scenarios/single-manager.toml
                                               run a scenario over real sockets
  epm-lab rehearse fixtures/scenarios/single-manager.toml
                                               run it in virtual time
  epm-lab failure reproduce F07                reproduce a known failure
  epm-lab scenario check my.toml               check a scenario file

Exit codes: 0 success; 1 the command or its check failed; 2 invalid input;
3 clients are orphaned, or would be; 4 there is no verdict.

A mock, for tests and labs. It protects nothing.";

/// The exit codes of commands that do not name their own.
const EXIT_CODES: &str = "Exit codes: 0 success; 1 it failed; 2 invalid input, or refused by the lab.";

/// A mock Endpoint Protection Manager with emulated clients, to rehearse server certificate updates
#[derive(Debug, Parser)]
#[command(name = "epm-lab", version, after_help = EXAMPLES, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    messages: Messages,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start a lab that runs until Ctrl-C: managers and a small fleet of clients
    #[command(after_help = up::HELP)]
    Up(Box<up::Up>),
    /// Show which options of `up` are in force and whence; print the schema of the configuration file
    #[command(subcommand)]
    Config(config::Config),
    /// Run a scenario over real sockets and print a verdict on every client
    Run(run::Run),
    /// Rehearse a scenario in virtual time: months in seconds, with reports and sweeps
    Rehearse(Box<rehearse::Rehearse>),
    /// List, show, reproduce and diagnose the known failures and their repairs
    #[command(subcommand)]
    Failure(failure::Catalogue),
    /// Check a scenario, record one of a running lab, or print the JSON Schema of the scenario file
    #[command(
        subcommand,
        after_help = "Examples:\n  epm-lab scenario check my.toml\n  epm-lab scenario record my.toml\n  epm-lab scenario schema"
    )]
    Scenario(scenario::Scenario),
    /// Print the assumptions about undocumented behaviour of the product
    #[command(after_help = "Example:\n  epm-lab assumptions --json")]
    Assumptions {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    Fault(fault::Fault),
    Check(lab::Check),
    /// Replace the server certificates of a running lab, as an external rotation tool would
    #[command(subcommand, after_help = "Example:\n  epm-lab rotate single --state rotation.json")]
    Rotate(Box<rotate::Rotate>),
    /// List, show, add and act on the clients of a running lab
    #[command(after_help = "Example:\n  epm-lab client list --state orphaned")]
    Client(lab::At<lab::ClientVerb>),
    /// List, copy, edit and assign the management server lists of a running lab
    #[command(after_help = "Example:\n  epm-lab list list")]
    List(lab::At<lab::ListVerb>),
    /// Show and update the certificates of the managers of a running lab, restart them, and break their replication
    #[command(after_help = "Example:\n  epm-lab manager update sepm-1 --name january")]
    Manager(lab::At<lab::ManagerVerb>),
    /// Found a site in a database, and run its managers as processes of their own, on one machine or many
    #[command(subcommand)]
    Site(site::SiteVerb),
    /// Restart a service of a manager in a running lab, so that it reads its files again
    #[command(after_help = "Example:\n  epm-lab service restart semwebsrv")]
    Service(lab::At<lab::ServiceVerb>),
    /// Show, save and restore recovery files (recovery_TIMESTAMP.zip)
    #[command(subcommand)]
    Recovery(recovery::Recovery),
    /// Show, freeze, set and advance the clock of a running lab
    #[command(after_help = "Example:\n  epm-lab clock advance 24h")]
    Clock(lab::At<lab::ClockVerb>),
    /// List, remove, export and import labs that are kept in data folders
    #[command(subcommand)]
    Lab(labs::Labs),
    /// Show what the managers of a running lab recorded: requests, calls, faults
    #[command(after_help = "Example:\n  epm-lab journal find --limit 20")]
    Journal(lab::At<lab::JournalVerb>),
    Evidence(evidence::EvidenceVerb),
    Compare(compare::Compare),
    /// Take, list and restore snapshots of a running lab, or return it to its start
    #[command(after_help = "Example:\n  epm-lab snapshot take before-update")]
    Snapshot(lab::At<lab::SnapshotVerb>),
    /// Take, list and show baselines of a running lab, which `check --since` judges a rotation against
    #[command(after_help = "Example:\n  epm-lab baseline take before-rotation")]
    Baseline(lab::At<lab::BaselineVerb>),
    /// Show, check, make and convert certificates, keys and keystores; update those of a running lab
    #[command(subcommand)]
    Cert(Box<cert::Cert>),
    /// Show, check, compare and edit communications files; serve communication update packages
    #[command(subcommand)]
    Sylink(sylink::Files),
    Schema(schema::Schema),
    /// Check that a manager or a lab responds
    Health(health::Health),
    /// Print shell completions
    #[command(
        after_help = "Example:\n  epm-lab completions bash > ~/.local/share/bash-completion/completions/epm-lab"
    )]
    Completions {
        /// Shell to print completions for
        shell: clap_complete::Shell,
    },
}

/// Runs the program.
pub fn main() -> ExitCode {
    let arguments_given: Vec<_> = std::env::args_os().collect();
    let (matches, options) = match config::given(command(), &arguments_given) {
        Ok(given) => (Ok(given.matches), given.options),
        Err(Unreadable::Arguments(shown)) => (Err(naming_variable(shown, command())), Vec::new()),
        Err(Unreadable::File(failure)) => return ended(Err(failure)),
    };
    let cli: Cli = match arguments(matches) {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    if let Err(why) = cli.messages.start().and_then(|()| log_keys()) {
        return ended(Err(Failure::BadInput(why)));
    }
    raise_descriptor_limit();
    let result = match cli.verb {
        Verb::Up(up) => waiting(up.go(&options)),
        Verb::Config(config) => config.go(&options, &command()),
        Verb::Run(run) => waiting(run.go()),
        Verb::Rehearse(rehearse) => waiting(rehearse.go()),
        Verb::Failure(catalogue) => waiting(catalogue.go()),
        Verb::Scenario(scenario) => waiting(scenario.go()),
        Verb::Fault(fault) => waiting(fault.go()),
        Verb::Check(check) => waiting(check.go()),
        Verb::Rotate(rotate) => waiting(rotate.go()),
        Verb::Client(verb) => waiting(verb.go()),
        Verb::List(verb) => waiting(verb.go()),
        Verb::Manager(verb) => waiting(verb.go()),
        Verb::Site(verb) => waiting(verb.go()),
        Verb::Service(verb) => waiting(verb.go()),
        Verb::Recovery(recovery) => waiting(recovery.go()),
        Verb::Clock(verb) => waiting(verb.go()),
        Verb::Lab(verb) => verb.go(),
        Verb::Journal(verb) => waiting(verb.go()),
        Verb::Evidence(mut verb) => match verb.opened() {
            Ok(None) => waiting(verb.go()),
            Ok(Some(up)) => up_with(&up),
            Err(failure) => Err(failure),
        },
        Verb::Compare(compare) => waiting(compare.go()),
        Verb::Snapshot(verb) => waiting(verb.go()),
        Verb::Baseline(verb) => waiting(verb.go()),
        Verb::Sylink(files) => waiting(files.go()),
        Verb::Assumptions { json } => assumptions(json),
        Verb::Cert(cert) => cert.go(),
        Verb::Schema(schema) => schema.go(),
        Verb::Health(health) => waiting(health.go()),
        Verb::Completions { shell } => {
            say_whole(&completions(command(), shell));
            Ok(Ending::Well)
        }
    };
    // What could not be printed has not been done.
    ended(match (result, unwritten()) {
        (Ok(_) | Err(Failure::Undecided(_)), Some(why)) => Err(Failure::Failed(why)),
        (result, _) => result,
    })
}

/// Runs `epm-lab up` with these arguments.
fn up_with(given: &[String]) -> Result<Ending, Failure> {
    let given: Vec<_> = given.iter().map(std::ffi::OsString::from).collect();
    let given = config::given(command(), &given).map_err(|unreadable| match unreadable {
        Unreadable::Arguments(shown) => Failure::BadInput(shown.render().to_string().trim().to_owned()),
        Unreadable::File(failure) => failure,
    })?;
    match Cli::from_arg_matches(&given.matches).map(|cli: Cli| cli.verb) {
        Ok(Verb::Up(up)) => waiting(up.go(&given.options)),
        _ => Err(Failure::BadInput("expected options of `epm-lab up` after --".to_owned())),
    }
}

/// The program's commands and options, as its help has them. Each option of `up` can be set by an environment variable.
pub fn command() -> Command {
    let program = command_line::<Cli>(EXIT_CODES);
    [&["up"][..], &["config", "show"]].into_iter().fold(program, with_variables)
}

/// Prints why a command failed, and returns the exit code.
fn ended(result: Result<Ending, Failure>) -> ExitCode {
    let (label, why, code) = match result {
        Ok(Ending::Well) => return ExitCode::SUCCESS,
        Ok(Ending::NotWell) => return ExitCode::from(1),
        Ok(Ending::ClientsOrphaned) => return ExitCode::from(3),
        Err(Failure::Failed(why)) => ("error", why, 1),
        Err(Failure::BadInput(why)) => ("error", why, 2),
        Err(Failure::Undecided(why)) => ("undecided", why, 4),
    };
    error(label, &why);
    ExitCode::from(code)
}

fn assumptions(json: bool) -> Result<Ending, Failure> {
    let list = Assumptions::default().list();
    if json {
        say_json(&list)?;
    } else {
        say(&print::assumptions(&list));
    }
    Ok(Ending::Well)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_of_every_command_ends_with_examples_that_the_command_line_takes() {
        let program = command();
        epm_fixtures::check_examples(&program, |words| program.clone().try_get_matches_from(words).map(drop));
    }
}
