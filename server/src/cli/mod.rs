//! The program `epm-lab`: what it takes, and what its exit codes mean.
//!
//! 0: well. 1: the run failed. 2: bad input. 3: the run went well, and found clients that were lost.
//! 4: there is no verdict.

mod cert;
mod failure;
mod fault;
mod health;
mod http;
mod io;
mod lab;
mod print;
mod recovery;
mod rehearse;
mod rotate;
mod run;
mod scenario;
mod sylink;
mod up;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use epm_protocol::assumption::Assumptions;
use io::{Ending, Failure, complain, say, say_json, waiting};
use tracing_subscriber::EnvFilter;

const EXAMPLES: &str = "\
Examples:
  epm-lab up                                              a manager on 127.0.0.1:8014 and a few clients, until Ctrl-C
  epm-lab up --http-port 0 --agents 0 --ready-file r.json a manager alone, on any free port
  epm-lab run fixtures/scenarios/single-manager.toml      play the documented procedure for one manager
  epm-lab rehearse fixtures/scenarios/single-manager.toml the same in virtual time
  epm-lab failure reproduce F07                           bring a known failure about, and repair it
  epm-lab scenario check my.toml                          is this scenario sound?

Exit codes: 0 well; 1 the run failed; 2 bad input; 3 the run went well, and clients were lost; 4 there is no verdict.
This is a mock, for tests and labs. It protects nothing.";

/// A mock Endpoint Protection Manager and its emulated clients: rehearse the replacement of the server certificate.
#[derive(Debug, Parser)]
#[command(name = "epm-lab", version, after_help = EXAMPLES, propagate_version = true)]
struct Cli {
    /// What to log on standard error: error, warn, info, debug, trace, or a filter by module
    #[arg(long, global = true, env = "EPM_LAB_LOG", default_value = "warn", value_name = "FILTER")]
    log: EnvFilter,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start a lab that stays: managers, and a small fleet with short heartbeats
    Up(Box<up::Up>),
    /// Play a scenario over real sockets, and say what became of every client
    Run(run::Run),
    /// Rehearse a scenario in virtual time: months in seconds, with reports, sweeps and foresight
    Rehearse(Box<rehearse::Rehearse>),
    /// List, show and reproduce the known failures, and their repairs
    #[command(subcommand)]
    Failure(failure::Catalogue),
    /// Check a scenario, or print the JSON Schema of the scenario file
    #[command(subcommand)]
    Scenario(scenario::Scenario),
    /// Print what the lab assumes where nobody documents the real product
    Assumptions {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    Fault(fault::Fault),
    Check(lab::Check),
    /// Replace the server certificates of a running lab, as a rotation tool does: through its two doors only
    #[command(subcommand)]
    Rotate(Box<rotate::Rotate>),
    /// The clients of a running lab: list, show, add, poke, freeze, take offline, bring home, re-image
    Client(lab::At<lab::ClientVerb>),
    /// The management server lists of a running lab: list, copy, edit, assign
    List(lab::At<lab::ListVerb>),
    /// The managers of a running lab: their certificates, an update, a restart, their replication
    Manager(lab::At<lab::ManagerVerb>),
    /// A service of a running lab's manager: restart it, so that it reads its files again
    Service(lab::At<lab::ServiceVerb>),
    /// Recovery files, recovery_TIMESTAMP.zip: show, save, restore
    #[command(subcommand)]
    Recovery(recovery::Recovery),
    /// The clock of a running lab: show, freeze, set, advance
    Clock(lab::At<lab::ClockVerb>),
    /// What the managers of a running lab remember of their visitors
    Journal(lab::At<lab::JournalVerb>),
    /// Snapshots of a running lab, and back to the start
    Snapshot(lab::At<lab::SnapshotVerb>),
    /// Show, check, make and convert server certificates, keys and keystores; show and update those of a running lab
    #[command(subcommand)]
    Cert(Box<cert::Cert>),
    /// Show, check, compare and edit communications files; hand out a communication update package
    #[command(subcommand)]
    Sylink(sylink::Files),
    /// Ask a manager whether it is there; exit code 0 if it is
    Health(health::Health),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt().with_env_filter(cli.log).with_writer(std::io::stderr).init();
    let ended = match cli.verb {
        Verb::Up(up) => waiting(up.go()),
        Verb::Run(run) => waiting(run.go()),
        Verb::Rehearse(rehearse) => waiting(rehearse.go()),
        Verb::Failure(catalogue) => waiting(catalogue.go()),
        Verb::Scenario(scenario) => scenario.go(),
        Verb::Fault(fault) => waiting(fault.go()),
        Verb::Check(check) => waiting(check.go()),
        Verb::Rotate(rotate) => waiting(rotate.go()),
        Verb::Client(verb) => waiting(verb.go()),
        Verb::List(verb) => waiting(verb.go()),
        Verb::Manager(verb) => waiting(verb.go()),
        Verb::Service(verb) => waiting(verb.go()),
        Verb::Recovery(recovery) => waiting(recovery.go()),
        Verb::Clock(verb) => waiting(verb.go()),
        Verb::Journal(verb) => waiting(verb.go()),
        Verb::Snapshot(verb) => waiting(verb.go()),
        Verb::Sylink(files) => waiting(files.go()),
        Verb::Assumptions { json } => assumptions(json),
        Verb::Cert(cert) => cert.go(),
        Verb::Health(health) => waiting(health.go()),
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "epm-lab", &mut script);
            say(&String::from_utf8_lossy(&script));
            Ok(Ending::Well)
        }
    };
    match ended {
        Ok(Ending::Well) => ExitCode::SUCCESS,
        Ok(Ending::NotWell) => ExitCode::from(1),
        Ok(Ending::ClientsOrphaned) => ExitCode::from(3),
        Err(Failure::Failed(why)) => {
            complain(&format!("error: {why}\n"));
            ExitCode::from(1)
        }
        Err(Failure::BadInput(why)) => {
            complain(&format!("error: {why}\n"));
            ExitCode::from(2)
        }
        Err(Failure::Undecided(why)) => {
            complain(&format!("undecided: {why}\n"));
            ExitCode::from(4)
        }
    }
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
