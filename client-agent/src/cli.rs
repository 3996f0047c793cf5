//! The command line of the program `epm-agent`: one emulated client against any lab, on any machine.
//!
//! Exit codes: 0 success; 1 failure; 2 invalid input. The client itself is in `agent`, its sockets and files in `wire`.

mod failure;
mod fleet;
mod report;
mod show;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;

use crate::agent::{Agent, AgentProfile, AgentState, Cache, Input, LogLine, Output};
use crate::doctor::Examination;
use crate::program::{
    self, Describe, Messages, arguments, command_line, completions, foreign, naming_variable, say, say_whole,
    schema_of, schema_text, unwritten,
};
use crate::wire::{
    DiskCache, FleetLine, LabClock, LogFile, LogSink, Reporter, drive, examine, interrupted, log_keys,
    outlive_the_file_limit, read_package,
};
use clap::{Args, Command, Parser, Subcommand};
use epm_protocol::assumption::Assumptions;
use epm_protocol::id::{Guid, HardwareKey};
use epm_protocol::sylink::{ClientServer, ServerUrlError, Sylink};
use epm_protocol::time::{Clock, Timestamp};
use epm_protocol::version::ClientVersion;
use parking_lot::Mutex;

use failure::Failure;
use fleet::Fleet;
use report::{ReportOptions, Reports};

const EXAMPLES: &str = "\
Examples:
  epm-lab up --agents 0 --export lab/
      start a manager, and export a communications file
  epm-agent run --sylink lab/sylink.xml --state state/
      run a client of that manager until Ctrl-C
  epm-agent fleet --count 1000 --sylink lab/sylink.xml
      run a thousand clients
  epm-agent show --state state/
      print the client's cache
  epm-agent doctor --sylink lab/sylink.xml
      find out where and why a heartbeat fails

Exit codes: 0 success; 1 failure; 2 invalid input.
This emulates a client, for tests and labs. It protects nothing.";

/// The exit codes of commands that do not name their own.
const EXIT_CODES: &str = "Exit codes: 0 success; 1 failure; 2 invalid input.";

/// Emulate one endpoint client: heartbeats, failover, and trust in its manager
#[derive(Debug, Parser)]
#[command(name = "epm-agent", version, after_help = EXAMPLES, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    messages: Messages,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run one client until Ctrl-C
    Run(Run),
    /// Run a fleet of many clients in one process until Ctrl-C
    Fleet(Fleet),
    /// Print the content of a client's cache
    #[command(
        after_help = "Examples:\n  epm-agent show --state state/\n  epm-agent show --state state/ --json"
    )]
    Show {
        /// The folder with the client's cache
        #[arg(long, value_name = "FOLDER")]
        state: PathBuf,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Import a communications file into a client's cache, as `smc -importsylink` does while the client is stopped
    #[command(after_help = "\
Examples:
  epm-agent import sylink.xml --cache state/
  epm-agent import package.zip --cache state/
      a communication update package, made by epm-lab sylink package
  epm-agent import package/ --cache state/
      the same, as a folder

Logs the event 1207021B.
Exit codes: 0 success; 1 the cache cannot be written; 2 invalid input.")]
    Import {
        /// The communications file, or a folder or zip archive with a sylink.xml in it
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The folder with the client's cache
        #[arg(long, alias = "state", value_name = "FOLDER")]
        cache: PathBuf,
        /// Make the cache even in a folder with other files
        #[arg(long)]
        force: bool,
    },
    /// Examine a heartbeat with every server of a communications file, and say where and why it fails
    #[command(after_help = "\
Examples:
  epm-agent doctor --sylink sylink.xml
  epm-agent doctor --sylink sylink.xml --server https://10.0.0.5:443 --json

A manager of this lab keeps nothing of the examination. Another one may keep the
client registered; the result says so.
Exit codes: 0 success; 1 a step fails; 2 invalid input.")]
    Doctor(Doctor),
    /// Print the JSON Schema of what a command prints as JSON; without a command, the commands that have one
    #[command(after_help = "Examples:\n  epm-agent schema\n  epm-agent schema doctor > doctor.schema.json")]
    Schema {
        /// Command, without `epm-agent`
        command: Vec<String>,
    },
    /// Print completions for a shell
    #[command(
        after_help = "Example:\n  epm-agent completions bash > ~/.local/share/bash-completion/completions/epm-agent"
    )]
    Completions {
        /// The shell to print completions for
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  epm-agent run --sylink lab/sylink.xml --state state/
  epm-agent run --state state/ -vv
  epm-agent run --state state/ --computer-name desk-7 --report http://127.0.0.1:8015
      tell the lab what the client holds, for its verdict

The client's log is on standard output and in syslog.log of the folder, that of
the program on standard error.
Exit codes: 0 stopped by Ctrl-C; 1 the cache cannot be written; 2 invalid input.")]
struct Run {
    /// The communications file to start with; ignored once the client has a cache, unless --import is given
    #[arg(long, value_name = "FILE")]
    sylink: Option<PathBuf>,
    /// Import the communications file even if the client has a cache, as `smc -importsylink` does
    #[arg(long, requires = "sylink")]
    import: bool,
    /// The folder for the client's cache and its log
    #[arg(long, value_name = "FOLDER")]
    state: PathBuf,
    /// The computer's name, from which the machine's hardware key is derived
    #[arg(long, default_value = "epm-agent", value_name = "NAME")]
    computer_name: String,
    /// The version of the client to emulate
    #[arg(long, default_value = "14.3.8289", value_name = "VERSION")]
    client_version: ClientVersion,
    /// The location that the client is in; defaults to its group's default location
    #[arg(long, value_name = "LOCATION")]
    location: Option<String>,
    /// Make the cache even in a folder with other files
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    reports: ReportOptions,
}

#[derive(Debug, Args)]
struct Doctor {
    /// The communications file to examine
    #[arg(long, value_name = "FILE")]
    sylink: PathBuf,
    /// Try only this server, http://HOST:PORT or https://HOST:PORT, instead of those of the list
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The computer's name
    #[arg(long, default_value = "epm-doctor", value_name = "NAME")]
    computer: String,
    /// Connect from this loopback address, as a client of a lab does; then faults meant for that client apply
    #[arg(long, value_name = "ADDRESS")]
    source: Option<std::net::Ipv4Addr>,
    /// Judge the dates of certificates at this time, such as a lab's, instead of now
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// The commands that print JSON, and the schema of each.
const SCHEMAS: &[(&str, Describe)] = &[
    ("doctor", schema_of::<Vec<Examination>>),
    ("fleet", FleetLine::schema),
    ("show", schema_of::<show::Shown>),
];

/// The program's commands and options, as its help has them.
pub fn command() -> Command {
    command_line::<Cli>(EXIT_CODES)
}

/// Runs the program.
pub fn main() -> ExitCode {
    let cli: Cli =
        match arguments(command().try_get_matches().map_err(|error| naming_variable(error, command()))) {
            Ok(cli) => cli,
            Err(code) => return code,
        };
    if let Err(why) = cli.messages.start().and_then(|()| log_keys()) {
        program::error("error", &why);
        return ExitCode::from(2);
    }
    let ended = match cli.verb {
        Verb::Run(run) => go(run),
        Verb::Fleet(fleet) => match read_sylink(fleet.sylink()).and_then(|sylink| fleet.go(sylink)) {
            Ok(false) if unwritten().is_none() => return ExitCode::from(1),
            Ok(_) => Ok(()),
            Err(why) => Err(why),
        },
        Verb::Show { state, json } => show::show(&state, json),
        Verb::Import { file, cache, force } => import(&file, &cache, force),
        Verb::Doctor(doctor) => match look_after(doctor) {
            Ok(false) if unwritten().is_none() => return ExitCode::from(1),
            Ok(_) => Ok(()),
            Err(why) => Err(why),
        },
        Verb::Schema { command } => schema_text(&command, SCHEMAS.iter().map(|(name, _)| *name), |name| {
            SCHEMAS.iter().find(|(known, _)| *known == name).map(|(_, schema)| schema())
        })
        .map(|text| say_whole(&text))
        .map_err(Failure::BadInput),
        Verb::Completions { shell } => {
            say_whole(&completions(command_line::<Cli>(EXIT_CODES), shell));
            Ok(())
        }
    };
    let (code, why) = match ended {
        Ok(()) => match unwritten() {
            None => return ExitCode::SUCCESS,
            Some(why) => (1, why),
        },
        Err(Failure::Failed(why)) => (1, why),
        Err(Failure::BadInput(why)) => (2, why),
    };
    program::error("error", &why);
    ExitCode::from(code)
}

fn go(run: Run) -> Result<(), Failure> {
    let bad = |error: &dyn std::fmt::Display| Failure::BadInput(error.to_string());
    // Everything is read before anything is written: a client that cannot be started leaves nothing behind.
    let given = run.sylink.as_deref().map(read_sylink).transpose()?;
    let kept = DiskCache::read(&run.state).map_err(|error| bad(&error))?;
    let (cache, import) = match (kept, given) {
        (Some(kept), given) => (kept, given.filter(|_| run.import)),
        (None, Some(given)) => {
            refuse_foreign(&run.state, run.force)?;
            (Cache { sylink: Arc::clone(&given), state: AgentState::default() }, Some(given))
        }
        (None, None) => {
            return Err(Failure::BadInput(format!(
                "no cache in {}: give the client a communications file with --sylink FILE",
                run.state.display()
            )));
        }
    };
    let clock = Arc::new(LabClock::of_one_client());
    let reporter = run.reports.reporter(&run.computer_name, 1, &clock)?;
    let disk = DiskCache::open(&run.state).map_err(|error| bad(&error))?;
    let profile = profile(run.computer_name, run.client_version);
    let file = LogFile::open(&run.state).map_err(|error| {
        Failure::BadInput(format!("cannot write the log in {}: {error}", run.state.display()))
    })?;
    let agent = Agent::new(profile, cache, Arc::new(Assumptions::default()));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Failed(format!("cannot start the runtime: {error}")))?;
    runtime.block_on(async { outlive_the_file_limit() });
    runtime.block_on(live((agent, clock), disk, import, run.location, (log_to(file), reporter)))
}

/// Refuses to make a cache among files that are not a client's.
fn refuse_foreign(folder: &Path, force: bool) -> Result<(), Failure> {
    match foreign(folder, DiskCache::is_own) {
        Some(why) if !force => Err(Failure::BadInput(format!(
            "{why}; give the client a folder of its own, or use this one all the same with --force"
        ))),
        _ => Ok(()),
    }
}

/// Makes the profile of a client on the computer of this name.
fn profile(computer_name: String, version: ClientVersion) -> AgentProfile {
    let key = Guid::derive(0, "hardware", &computer_name, std::net::Ipv4Addr::LOCALHOST);
    AgentProfile {
        hardware_key: HardwareKey(key),
        seed: key.as_bytes().iter().fold(0, |seed, byte| (seed << 8) ^ u64::from(*byte)),
        computer_name,
        version,
        use_last_server: true,
    }
}

/// Puts a communications file into a client's cache, and notes it in the log.
fn import(file: &Path, folder: &Path, force: bool) -> Result<(), Failure> {
    let bad = |error: &dyn std::fmt::Display| Failure::BadInput(error.to_string());
    let sylink = read_sylink(file)?;
    let kept = DiskCache::read(folder).map_err(|error| bad(&error))?;
    if kept.is_none() {
        refuse_foreign(folder, force)?;
    }
    let mut disk = DiskCache::open(folder).map_err(|error| bad(&error))?;
    let cache = kept.unwrap_or_else(|| Cache { sylink: Arc::clone(&sylink), state: AgentState::default() });
    let log = LogFile::open(folder)
        .map_err(|error| bad(&format!("cannot write the log in {}: {error}", folder.display())))?;
    let log = log_to(log);
    let version = ClientVersion::from_str("14.3.8289").map_err(|error| Failure::Failed(error.to_string()))?;
    let mut agent = Agent::new(profile("epm-agent".to_owned(), version), cache, Arc::default());
    for output in agent.handle(Input::Import(sylink), LabClock::wall().now()) {
        match output {
            Output::Persist(cache) => {
                disk.save(&cache).map_err(|error| Failure::Failed(error.to_string()))?;
            }
            Output::Log(line) => log("epm-agent", &line),
            Output::Send(_) | Output::EndSession | Output::Odd(_) => {}
        }
    }
    Ok(())
}

/// Examines a heartbeat with every server; returns whether all succeeded.
fn look_after(doctor: Doctor) -> Result<bool, Failure> {
    let mut sylink = Sylink::clone(&*read_sylink(&doctor.sylink)?);
    if let Some(url) = &doctor.server {
        let mut conf = sylink.conf();
        let secure = conf.list.servers().any(|server| server.verify_signatures);
        conf.list.priorities = vec![vec![ClientServer { verify_signatures: secure, ..server(url)? }]];
        sylink.adopt(&conf);
    }
    let version = ClientVersion::from_str("14.3.8289").map_err(|error| Failure::Failed(error.to_string()))?;
    let profile = profile(doctor.computer, version);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::Failed(format!("cannot start the runtime: {error}")))?;
    let clock = Arc::new(doctor.at.map_or_else(LabClock::wall, |at| LabClock::starting_at(at, 1)));
    let assumptions = Arc::default();
    let found = runtime.block_on(examine(&sylink, &profile, &assumptions, &clock, doctor.source));
    if doctor.json {
        let text =
            serde_json::to_string_pretty(&found).map_err(|error| Failure::Failed(error.to_string()))?;
        say_whole(&format!("{text}\n"));
    } else {
        for one in &found {
            say(&one.to_string());
        }
    }
    Ok(found.iter().all(|one| one.broken_at().is_none()))
}

/// Parses the URL of a server.
fn server(url: &str) -> Result<ClientServer, Failure> {
    url.parse().map_err(|error: ServerUrlError| Failure::BadInput(error.to_string()))
}

/// Runs the client until it is interrupted, or can no longer write its cache.
async fn live(
    (agent, clock): (Agent, Arc<LabClock>),
    disk: DiskCache,
    import: Option<Arc<Sylink>>,
    location: Option<String>,
    (log, reporter): (LogSink, Option<Arc<Reporter>>),
) -> Result<(), Failure> {
    let (booted, was_registered) = (clock.now(), agent.cache().state.agent.is_some());
    let (handle, life) = drive(agent, Arc::clone(&clock), log, Some(disk));
    let mut life = tokio::spawn(life);
    let look = handle.reported();
    let start = async move {
        if let Some(sylink) = import {
            handle.tell(Input::Import(sylink)).await;
        }
        if location.is_some() {
            handle.tell(Input::MoveTo(location)).await;
        }
        if was_registered {
            handle.tell(Input::Start { booted }).await;
        } else {
            // A new client stands for one in operation: many that are started together have different phases.
            handle.start_long_after_boot(booted).await;
        }
        handle
    };
    // A client that ends at once takes no input: it is awaited beside its start.
    let (ended, handle) = tokio::select! {
        ended = &mut life => (Some(ended), None),
        handle = start => (None, Some(handle)),
    };
    let reports = reporter.map(|one| Reports::begin(one, move |_| look(clock.now())));
    let ended = match ended {
        Some(ended) => ended,
        None => tokio::select! {
            ended = &mut life => ended,
            interrupted = interrupted() => {
                interrupted.map_err(|error| Failure::Failed(format!("cannot wait for signals: {error}")))?;
                drop(handle);
                life.await
            }
        },
    };
    if let Some(reports) = reports {
        reports.end().await;
    }
    match ended {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(Failure::Failed(error.to_string())),
        Err(error) => Err(Failure::Failed(error.to_string())),
    }
}

/// Writes lines for people to standard output, and entries for tools to the log file.
fn log_to(file: LogFile) -> LogSink {
    let file = Mutex::new(file);
    Arc::new(move |_: &str, line: &LogLine| {
        say_whole(&format!("{line}\n"));
        if let Err(error) = file.lock().write(line) {
            program::error("error", &format!("cannot write the log: {error}"));
        }
    })
}

fn read_sylink(path: &Path) -> Result<Arc<Sylink>, Failure> {
    read_package(path).map(Arc::new).map_err(|error| Failure::BadInput(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_of_every_command_ends_with_examples_that_the_command_line_takes() {
        let program = command_line::<Cli>(EXIT_CODES);
        epm_fixtures::check_examples(&program, |words| program.clone().try_get_matches_from(words).map(drop));
    }
}
