//! `epm-lab failure`: lists, shows and reproduces the failures in the catalogue.

mod diagnose;
mod live;
mod page;
mod print;

use std::sync::Arc;

use clap::{Args, Subcommand};
use epm_client_agent::catalogue::{
    self, CallResult, Entry, Means, Observed, Play, RefusalCheck, Refused, Reproduction, RestCase, State,
    rehearse_play,
};
use epm_client_agent::cause::reproduced;
use epm_client_agent::scenario::Reason;
use epm_protocol::assumption::Mark;
use schemars::JsonSchema;
use serde::Serialize;

use crate::cli::again;
use crate::cli::assume::{assumption, override_with};
use crate::cli::io::{Ending, Failure, say, say_json, say_whole};
use crate::cli::out::OutFolder;
use crate::cli::pcap::Pcap;
use crate::lab;
use crate::rest_case::rest_case;
use crate::runtime::capture::Capture;
use crate::schema::BridgedSchema;

/// Commands on the failure catalogue.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  epm-lab failure list
  epm-lab failure show F07
  epm-lab failure reproduce F07
  epm-lab failure diagnose syslog.log")]
pub(super) enum Catalogue {
    /// List every known failure, and whether the lab can reproduce it
    #[command(after_help = "\
Examples:
  epm-lab failure list
  epm-lab failure list --json")]
    List {
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Show cause, symptom, log lines, similar failures and repair of a failure, with the source of each statement
    #[command(after_help = "\
Examples:
  epm-lab failure show F15
  epm-lab failure show F15 --json")]
    Show {
        /// Failure, such as F07
        id: String,
        /// Print one JSON document
        #[arg(long)]
        json: bool,
    },
    /// Reproduce a failure, repair it, and compare both with the catalogue
    Reproduce(Reproduce),
    /// Rank the failures that a client's log, or a line of one, may come from
    Diagnose(diagnose::Diagnose),
    /// Print the catalogue as Markdown, as in docs/failures.md
    #[command(after_help = "Example:\n  epm-lab failure page > docs/failures.md")]
    Page,
}

/// Reproduces a failure, and repairs it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  epm-lab failure reproduce F07            in virtual time
  epm-lab failure reproduce F15 --sockets  over real sockets
  epm-lab failure reproduce F02 --json
  epm-lab failure reproduce F07 --sockets --pcap f07.pcapng
  epm-lab failure reproduce F01 --live     keep it, for curl or openssl

Exit codes: 0 symptom and recovery are as described; 1 they are not; 2 there is no
such failure, or the lab cannot reproduce it.")]
pub(super) struct Reproduce {
    /// Failure, such as F07
    id: String,
    /// Use real sockets, with the clock moved, instead of virtual time
    #[arg(long)]
    sockets: bool,
    /// Write what the managers' sockets received and sent into this file, decrypted in Wireshark; with --sockets or --live
    #[arg(long, value_name = "FILE")]
    pcap: Option<std::path::PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Override an assumption of the entry (see `epm-lab assumptions`); the symptom may then not occur
    #[arg(long, value_name = "NAME=VALUE", value_parser = assumption)]
    assume: Vec<(String, String)>,
    /// Keep the failure over real sockets, without its repair, until Ctrl-C
    #[arg(long, conflicts_with_all = ["sockets", "json"])]
    live: bool,
    /// Folder for sylink.xml, the managers' certificates, and the cache and log of each client, 16 at most, with --live
    #[arg(long, requires = "live", default_value = "live", value_name = "FOLDER")]
    export: std::path::PathBuf,
    /// Write into the folder of --export even if it has other files
    #[arg(long, requires = "live")]
    force: bool,
}

/// A failure that was reproduced.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Reproduced<'a> {
    /// Number of the failure, such as F07.
    id: &'a str,
    /// Title of the failure.
    title: &'a str,
    /// What it was reproduced with: `virtual-time` or `sockets`.
    driver: &'static str,
    /// Whether symptom and recovery are as the catalogue describes them.
    is_as_described: bool,
    /// Why, and what to do.
    #[schemars(with = "BridgedSchema<Reason>")]
    reason: Reason,
    /// The command that repeats it.
    repeat: String,
    #[serde(flatten)]
    seen: Seen,
}

/// What was seen of a failure, by the way in which the lab reproduces it.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
enum Seen {
    /// Clients and managers, in the failure and in the repair.
    Played(#[schemars(with = "BridgedSchema<Reproduction>")] Box<Reproduction>),
    /// What a manager refuses.
    Refused {
        /// The manager's answer to each command.
        #[schemars(with = "BridgedSchema<Vec<RefusalCheck>>")]
        commands: Vec<RefusalCheck>,
    },
    /// What the REST API answers.
    RestCase {
        /// The result of each call.
        #[schemars(with = "BridgedSchema<Vec<CallResult>>")]
        visits: Vec<CallResult>,
    },
}

/// A failure of the catalogue.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Listed<'a> {
    /// Number of the failure, such as F07.
    id: &'a str,
    /// Title of the failure.
    title: &'a str,
    /// Location of the failure: a layer of trust, or something else between manager and client.
    #[schemars(with = "BridgedSchema<catalogue::Area>")]
    layer: catalogue::Area,
    /// How well it is founded that the cause has this effect.
    #[schemars(with = "BridgedSchema<Mark>")]
    mark: Mark,
    /// How the lab reproduces the failure.
    lab: &'static str,
}

impl Catalogue {
    pub(super) async fn go(self) -> Result<Ending, Failure> {
        match self {
            Self::List { json: false } => say(&print::list(catalogue::entries())),
            Self::List { json: true } => {
                let lines = catalogue::entries().iter().map(|entry| Listed {
                    id: &entry.id,
                    title: &entry.title,
                    layer: entry.layer,
                    mark: entry.mark,
                    lab: print::in_the_lab(&entry.means),
                });
                say_json(&lines.collect::<Vec<_>>())?;
            }
            Self::Show { id, json: false } => say(&print::entry(find(&id)?)),
            Self::Show { id, json: true } => say_json(find(&id)?.to_json())?,
            Self::Diagnose(diagnose) => return diagnose.go(),
            Self::Page => say_whole(&page::page(catalogue::entries())),
            Self::Reproduce(reproduce) => return reproduce.go().await,
        }
        Ok(Ending::Well)
    }
}

impl Reproduce {
    async fn go(self) -> Result<Ending, Failure> {
        let entry = find(&self.id)?;
        let mut means = entry.means.clone();
        match &mut means {
            Means::Play(play) => override_with(&mut play.assumptions, &self.assume)?,
            Means::RestCase(rest_case) => override_with(&mut rest_case.assumptions, &self.assume)?,
            Means::Refused(_) | Means::Cannot { .. } if !self.assume.is_empty() => {
                let why = format!(
                    "{} is not run as a scenario and rests on no assumption: leave out `--assume`",
                    entry.id
                );
                return Err(Failure::BadInput(why));
            }
            Means::Refused(_) | Means::Cannot { .. } => {}
        }
        if self.pcap.is_some() && !self.sockets && !self.live {
            let why =
                "`--pcap`: a rehearsal in virtual time has no wire to capture; add `--sockets` or `--live`";
            return Err(Failure::BadInput(why.to_owned()));
        }
        if self.pcap.is_some() && matches!(means, Means::Refused(_) | Means::Cannot { .. }) {
            let why = format!("`--pcap` does not apply to {}: nothing of it shows on the wire", entry.id);
            return Err(Failure::BadInput(why));
        }
        let capture = Pcap::begin(self.pcap.as_deref())?;
        let ending = self.reproduce(entry, &means, capture.capture()).await?;
        capture.finish()?;
        Ok(ending)
    }

    async fn reproduce(
        &self,
        entry: &Entry,
        means: &Means,
        capture: Option<&Arc<Capture>>,
    ) -> Result<Ending, Failure> {
        let folder = || OutFolder::again(&self.export, self.force, "epm-lab failure reproduce --live", &[]);
        let is_as_described = match means {
            Means::Play(play) if self.live => return live::stand(entry, play, &folder()?, capture).await,
            Means::RestCase(plan) if self.live => {
                return live::stand_for_tools(entry, plan, &folder()?, capture).await;
            }
            Means::Refused(_) if self.live => {
                let why = format!("`--live` does not apply to {}: the manager refuses its cause", entry.id);
                return Err(Failure::BadInput(why));
            }
            Means::Play(play) => self.play(entry, play, capture).await?,
            Means::Refused(refused) => self.refuse(entry, refused).await?,
            Means::RestCase(plan) => self.run_rest_case(entry, plan, capture).await?,
            Means::Cannot { why } => {
                let why = format!("{} cannot be reproduced by this lab: {why}", entry.id);
                return Err(Failure::BadInput(why));
            }
        };
        Ok(if is_as_described { Ending::Well } else { Ending::NotWell })
    }

    async fn play(
        &self,
        entry: &Entry,
        plan: &Play,
        capture: Option<&Arc<Capture>>,
    ) -> Result<bool, Failure> {
        let failed = |error: String| Failure::Failed(error);
        let observed: Observed = match self.sockets {
            true => Box::pin(lab::reproduced(plan, &entry.title, capture))
                .await
                .map_err(|error| failed(error.to_string())),
            false => rehearse_play(plan, &entry.title).map_err(|error| failed(error.to_string())),
        }?;
        let seen = observed.check_against(plan);
        let is_as_described = seen.shows_the_symptom() && seen.heals();
        let hit = seen.failure.clients.iter().filter(|one| one.state != State::Connected);
        let layer =
            hit.clone().find_map(|one| one.view.health.orphaned()).map(|(_, because)| because.layer());
        let hit: Vec<String> = hit.map(|one| one.client.clone()).collect();
        let reason = reproduced(entry, layer, &hit);
        if self.json {
            self.report(entry, is_as_described, reason, Seen::Played(Box::new(seen)))?;
        } else {
            let ending = print::ending(&reason, &again::this_command());
            say(&(print::reproduction(entry, plan, &seen, self.driver()) + &ending));
        }
        Ok(is_as_described)
    }

    async fn refuse(&self, entry: &Entry, refused: &Refused) -> Result<bool, Failure> {
        let failed = |error: String| Failure::Failed(error);
        let commands = match self.sockets {
            true => lab::refused(refused).await.map_err(|error| failed(error.to_string())),
            false => catalogue::rehearse_refused(refused).map_err(|error| failed(error.to_string())),
        }?;
        let is_as_described = commands.iter().all(|one| one.is_as_described);
        if self.json {
            self.report(entry, is_as_described, reproduced(entry, None, &[]), Seen::Refused { commands })?;
        } else {
            let ending = print::ending(&reproduced(entry, None, &[]), &again::this_command());
            say(&(print::refusals(entry, &commands, self.driver()) + &ending));
        }
        Ok(is_as_described)
    }

    async fn run_rest_case(
        &self,
        entry: &Entry,
        plan: &RestCase,
        capture: Option<&Arc<Capture>>,
    ) -> Result<bool, Failure> {
        let failed = |error: String| Failure::Failed(error);
        let visits = match self.sockets {
            true => rest_case(plan, capture).await.map_err(|error| failed(error.to_string())),
            false => catalogue::rehearse_rest_case(plan).map_err(|error| failed(error.to_string())),
        }?;
        let is_as_described = visits.iter().all(|one| one.is_as_described);
        if self.json {
            self.report(entry, is_as_described, reproduced(entry, None, &[]), Seen::RestCase { visits })?;
        } else {
            let ending = print::ending(&reproduced(entry, None, &[]), &again::this_command());
            say(&(print::rest_case(entry, &visits, self.driver()) + &ending));
        }
        Ok(is_as_described)
    }

    fn report(
        &self,
        entry: &Entry,
        is_as_described: bool,
        reason: Reason,
        seen: Seen,
    ) -> Result<(), Failure> {
        let (id, title, driver) = (entry.id.as_str(), entry.title.as_str(), self.driver());
        say_json(&Reproduced {
            id,
            title,
            driver,
            is_as_described,
            reason,
            repeat: again::this_command(),
            seen,
        })
    }

    fn driver(&self) -> &'static str {
        if self.sockets { "sockets" } else { "virtual-time" }
    }
}

fn find(id: &str) -> Result<&'static Entry, Failure> {
    catalogue::find(id).map_err(|error| Failure::BadInput(error.to_string()))
}
