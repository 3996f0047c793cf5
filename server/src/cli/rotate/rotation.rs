//! A rotation in progress: its view of the lab, its completed steps, and its end.

use std::path::PathBuf;

use clap::Args;
use epm_client_agent::scenario::Span;
use epm_protocol::plural::{counted, either};
use epm_protocol::site::Command;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use super::rest::Rest;
use super::rotated::{Rotated, Stopped, StoppedBy, stopped_for};
use super::state::{PRECONDITIONS, State, Way};
use crate::cli::again;
use crate::cli::io::{Ending, Failure, is_quiet, notice, read, read_password, say, say_json};
use crate::cli::lab::{ControlClient, Where, segment};
use crate::cli::out::OutFile;
use crate::cli::print::{
    assumed_in_json, failures_in_json, not_judged_in_json, short, shortened, why_in_json,
};
use crate::rest_api::{DEFAULT_PASSWORD, DEFAULT_USER};

/// Maximum number of clients named in a line.
const NAMED: usize = 20;

/// Name of the baseline that a rotation takes before it changes anything.
const BASELINE: &str = "rotate";

/// Options of a rotation.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  epm-lab rotate single --state rotation.json
  epm-lab rotate single --leave-behind laptop-7,laptop-8
  epm-lab rotate multi --heartbeats 5 --max-wait 12h

Exit codes: 0 all clients are well; 1 it failed, or some are not; 2 invalid
input; 3 clients are orphaned or would be, or cannot be waited for; 4 the
rotation cannot be judged, because something was not watched. What stands in
the way is looked for before anything is changed.")]
pub(crate) struct Options {
    #[command(flatten)]
    at: Where,
    /// REST API of a manager; defaults to the first one that the lab reports
    #[arg(long, value_name = "URL")]
    pub(super) rest: Option<String>,
    /// User of the REST API
    #[arg(long, default_value = DEFAULT_USER, value_name = "NAME")]
    rest_user: String,
    /// File with the password of the REST API's user; defaults to the lab's default password
    #[arg(long, value_name = "FILE")]
    rest_password_file: Option<PathBuf>,
    /// Certificates (PEM) that authenticate the REST API; default to those that the lab reports
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Record completed steps in this file, and continue from them
    #[arg(long, value_name = "FILE")]
    pub(super) state: Option<PathBuf>,
    /// Minimum number of heartbeats to wait
    #[arg(long, default_value_t = 3, value_name = "COUNT")]
    pub(super) heartbeats: u64,
    /// Continue without these clients while they are away, or give no sign of life outside the lab's process: names, or
    /// "all"
    #[arg(long, value_delimiter = ',', value_name = "NAMES")]
    pub(super) leave_behind: Vec<String>,
    /// Longest wait for missing clients in lab time; continue without them afterwards
    #[arg(long, value_name = "TIME")]
    pub(super) max_wait: Option<Span>,
    /// Continue even if clients are orphaned or the next step would orphan clients
    #[arg(long)]
    force: bool,
    /// Make a mistake on purpose: do not wait, and do not check which clients would be orphaned
    #[arg(long)]
    pub(super) no_wait: bool,
    /// Make a mistake on purpose: skip groups without inheritance and locations with their own settings, and check
    /// nothing
    #[arg(long)]
    pub(super) skip_inheritance: bool,
    /// Stop after this step
    #[arg(long, hide = true, value_name = "STEP")]
    stop_after: Option<String>,
    /// Stop after this step, before it is recorded
    #[arg(long, hide = true, value_name = "STEP")]
    stop_within: Option<String>,
}

/// Why a rotation ended early.
pub(super) enum Halt {
    Failure(Failure),
    Refused(Vec<Obstacle>),
}

/// A reason not to continue.
#[derive(Debug)]
pub(super) struct Obstacle {
    pub(super) why: String,
    /// What the operator can do, with the option that helps.
    pub(super) help: &'static str,
    /// Whether clients are the obstacle; without any, it is none.
    pub(super) is_of_clients: bool,
    /// Clients with the reason for each.
    pub(super) clients: Vec<(String, String)>,
}

impl Obstacle {
    pub(super) fn of_site(why: String, help: &'static str) -> Self {
        Self { why, help, is_of_clients: false, clients: Vec::new() }
    }

    pub(super) fn of_clients(why: String, clients: Vec<(String, String)>, help: &'static str) -> Self {
        Self { why, help, is_of_clients: true, clients }
    }

    fn told(&self) -> StoppedBy {
        StoppedBy { why: self.why.clone(), help: self.help, clients: stopped_for(&self.clients) }
    }
}

impl From<Failure> for Halt {
    fn from(failure: Failure) -> Self {
        Self::Failure(failure)
    }
}

/// A rotation in progress.
pub(super) struct Rotation {
    pub(super) options: Options,
    pub(super) control: ControlClient,
    pub(super) rest: Rest,
    pub(super) state: State,
    /// The steps that were completed before it was interrupted, until another one is due.
    resumed: Option<String>,
    /// The file that the state is recorded in.
    kept: Option<OutFile>,
    /// Number of covered clients, on standard error; hidden without a terminal.
    pub(super) bar: ProgressBar,
}

impl Rotation {
    pub(super) async fn begin(way: Way, options: Options) -> Result<Self, Failure> {
        let control = options.at.control()?;
        // A file that is there is a state of this rotation, or is refused when it is read.
        let kept = options.state.as_deref().map(|file| OutFile::new(file, true)).transpose()?;
        let site = control.get("/v1/site").await?;
        let id = site["id"].as_str().unwrap_or_default().to_owned();
        let known = match &options.state {
            Some(file) => State::read(file, way, &id)?,
            None => None,
        };
        let resumed = known.as_ref().map(|state| state.done.join(", "));
        let state = match known {
            Some(state) => state,
            None => {
                let now = control.get("/v1/clock").await?["now_ms"].as_i64().unwrap_or_default();
                State {
                    way,
                    site: id,
                    name: format!("rotation-{now}"),
                    done: Vec::new(),
                    places: Vec::new(),
                    copies: Default::default(),
                    updated: Default::default(),
                    left: Default::default(),
                    baseline: None,
                }
            }
        };
        let first = site["addresses"].as_array().into_iter().flatten().find_map(|one| one["rest"].as_str());
        let url = options.rest.as_deref().or(first).ok_or_else(|| {
            Failure::BadInput(
                "the lab reports no REST API (was it started with `--no-rest`?): give its URL with `--rest`"
                    .into(),
            )
        })?;
        let password = match &options.rest_password_file {
            Some(file) => read_password(file)?,
            None => DEFAULT_PASSWORD.to_owned(),
        };
        let mut rest = Rest::new(url, &options.rest_user, password)?;
        if let Some(file) = &options.ca {
            rest.trust(&read(file)?, &file.display().to_string())?;
        }
        let bar = if options.at.json || is_quiet() { ProgressBar::hidden() } else { bar() };
        let mut rotation = Self { options, control, rest, state, resumed, kept, bar };
        if rotation.state.done.is_empty() {
            let taken = rotation.control.put(&format!("/v1/baselines/{BASELINE}"), &json!({})).await?;
            rotation.state.baseline = Some(mark_of(&taken));
        }
        for manager in rotation.managers().await? {
            // The state file may describe the time before the update.
            if rotation.options.ca.is_none() || !rotation.state.done.is_empty() {
                let found = rotation.control.get(&certificate_of(&manager)).await?;
                rotation.trust_console(&manager, &found)?;
            }
        }
        Ok(rotation)
    }

    /// Reaches the REST API. A service that is down is an obstacle, of which its port says nothing.
    pub(super) async fn reach(&mut self) -> Result<(), Halt> {
        let Err(failure) = self.rest.get("/version").await else { return Ok(()) };
        let down = self.services_down().await?;
        Err(if down.is_empty() { Halt::Failure(failure) } else { Halt::Refused(down) })
    }

    fn trust_console(&mut self, manager: &str, found: &Value) -> Result<(), Failure> {
        let pem = found["stores"]["console"]["pem"].as_str().unwrap_or_default();
        self.rest.trust(pem.as_bytes(), &format!("the certificate of {manager}"))
    }

    pub(super) async fn managers(&self) -> Result<Vec<String>, Failure> {
        let site = self.control.get("/v1/site").await?;
        let names = site["managers"].as_array().into_iter().flatten();
        Ok(names.filter_map(|one| one["name"].as_str().map(str::to_owned)).collect())
    }

    /// Whether it continues whatever is in the way.
    pub(super) const fn is_forced(&self) -> bool {
        self.options.force
    }

    /// Whether it acts like a careless tool.
    pub(super) fn is_careless(&self) -> bool {
        self.options.no_wait || self.options.skip_inheritance
    }

    /// Prints what is being done on standard error.
    pub(super) fn tell(&self, text: &str) {
        self.bar.suspend(|| notice(text));
    }

    pub(super) fn is_due(&mut self, step: &str) -> bool {
        let is_due = !self.state.done.iter().any(|done| done == step);
        if is_due {
            if let Some(done) = self.resumed.take() {
                self.tell(&format!("{} continues after: {done}\n", self.state.name));
            }
            self.tell(&format!("{step}\n"));
        }
        is_due
    }

    /// Says so if no step was due.
    pub(super) fn tell_if_complete(&self) {
        if let (Some(_), Some(file)) = (&self.resumed, &self.options.state) {
            let (file, name) = (file.display(), &self.state.name);
            self.tell(&format!(
                "Nothing was done: {file} says that {name} is complete; remove it, or give another `--state`, to begin a new rotation\n"
            ));
        }
    }

    /// Records that a step is completed.
    pub(super) fn did(&mut self, step: &str) -> Result<(), Failure> {
        let broken_off = || Err(Failure::Failed(format!("stopped at {step:?} as requested")));
        if self.options.stop_within.as_deref() == Some(step) {
            return broken_off();
        }
        self.state.done.push(step.to_owned());
        self.state.keep(self.kept.as_ref())?;
        if self.options.stop_after.as_deref() == Some(step) { broken_off() } else { Ok(()) }
    }

    /// Gives a manager its new certificate; repeating it changes nothing.
    pub(super) async fn update(&mut self, manager: &str) -> Result<(), Failure> {
        let path = format!("{}/{}", certificate_of(manager), segment(&self.state.name));
        let found = self.control.put(&path, &json!({})).await?;
        let fingerprint = found["stores"]["client"]["fingerprint"].as_str().unwrap_or_default().to_owned();
        self.tell(&format!("  {manager} has {}\n", short(&fingerprint)));
        self.trust_console(manager, &found)?;
        self.state.updated.insert(manager.to_owned(), fingerprint);
        Ok(())
    }

    /// Refuses to continue if these commands, applied now, would orphan clients.
    pub(super) async fn nobody_would_be_lost(
        &mut self,
        step: &str,
        commands: &[Command],
    ) -> Result<(), Halt> {
        if self.is_careless() {
            return Ok(());
        }
        self.certificates_stay().await?;
        let (would, elsewhere) = self.would_be_orphaned(commands).await?;
        self.tell_not_predicted(elsewhere);
        let why = format!("{step} would orphan {}", counted(would.len(), "client"));
        self.refuse(vec![Obstacle::of_clients(why, would, "`--force` continues regardless")])
    }

    /// Clients that would be orphaned if these commands were applied now, except those that are left behind; and the number of
    /// clients elsewhere, of which this is not known.
    pub(super) async fn would_be_orphaned(
        &self,
        commands: &[Command],
    ) -> Result<(Vec<(String, String)>, u64), Failure> {
        let commands = serde_json::to_value(commands).map_err(|error| Failure::Failed(error.to_string()))?;
        let found = self.control.post("/v1/verdict/if-now", &commands).await?;
        let elsewhere = found["not_predicted"].as_u64().unwrap_or_default();
        let would = found["clients"].as_array().into_iter().flatten();
        let would = would.map(|one| (text(&one["client"]), format!("layer {}", text(&one["layer"]))));
        Ok((would.filter(|(client, _)| !self.state.left.contains(client)).collect(), elsewhere))
    }

    /// Says of how many clients elsewhere it is not known whether a step would orphan them.
    pub(super) fn tell_not_predicted(&self, elsewhere: u64) {
        if elsewhere > 0 {
            let run = either(elsewhere, "client runs", "clients run");
            self.tell(&format!(
                "  {run} elsewhere: whether the next step would orphan them cannot be tried in advance\n"
            ));
        }
    }

    /// Stops because of these obstacles, or continues without their clients if `--force` is given.
    pub(super) fn refuse(&mut self, mut obstacles: Vec<Obstacle>) -> Result<(), Halt> {
        obstacles.retain(|one| !one.is_of_clients || !one.clients.is_empty());
        if !obstacles.is_empty() && !self.options.force {
            return Err(Halt::Refused(obstacles));
        }
        for Obstacle { why, clients, .. } in obstacles {
            let names = some(clients.iter().map(|(name, _)| name.as_str()));
            self.tell(&format!("  forced: {why}{}{names}\n", if names.is_empty() { "" } else { ": " }));
            self.state.left.extend(clients.into_iter().map(|(client, _)| client));
        }
        Ok(())
    }

    /// The lab's judgement of this rotation. If there is none, this is an error, unless the result is bad anyway.
    async fn judgement(&self, is_bad: bool) -> Result<Value, Failure> {
        if let Some(mark) = &self.state.baseline {
            let baselines = self.control.get("/v1/baselines").await?;
            let mut known = baselines.as_array().into_iter().flatten();
            if !known.any(|one| one["name"] == BASELINE && mark_of(one) == *mark) {
                if is_bad {
                    return Ok(Value::Null);
                }
                return Err(Failure::Undecided(
                    "every step of the rotation is done, and it cannot be judged: the process that had its baseline has ended, or \
                     another rotation has put its own in the place; `epm-lab check` has the verdict"
                        .to_owned(),
                ));
            }
        }
        let expected = json!([{ "expect": "rotation", "since": BASELINE, "left_behind": self.state.left }]);
        let mut judged = self.control.post("/v1/expectations", &expected).await?;
        match not_judged_in_json(&judged).filter(|_| !is_bad) {
            Some(why) => Err(Failure::Undecided(format!("there is no verdict: {why}"))),
            None => Ok(judged["expectations"][0].take()),
        }
    }

    /// Prints the result, with the lab's verdict and its judgement of the rotation.
    pub(super) async fn report(self, stopped: Option<Vec<Obstacle>>) -> Result<Ending, Failure> {
        self.bar.finish_and_clear();
        let verdict = self.control.get("/v1/verdict").await?;
        let lost = verdict["orphaned"].as_array().map_or(0, Vec::len);
        let judgement = if stopped.is_some() { Value::Null } else { self.judgement(lost > 0).await? };
        let is_passed = judgement["result"] == "pass";
        // What is left behind on purpose is not well, and fails nothing.
        let is_left = |one: &Value| one.as_str().is_some_and(|client| self.state.left.contains(client));
        let names = |list: &str| verdict[list].as_array().into_iter().flatten();
        let lists = ["out_of_touch", "not_secure", "behind", "silent", "orphaned_on_return"];
        let others_are_well =
            verdict["console_troubles"].is_null() && lists.iter().all(|list| names(list).all(is_left));
        let ending = match verdict["well"].as_bool() {
            _ if stopped.is_some() || lost > 0 => Ending::ClientsOrphaned,
            Some(true) if is_passed => Ending::Well,
            None if is_passed && ["unknown", "untried"].iter().all(|list| names(list).all(is_left)) => {
                Ending::Well
            }
            Some(false) if is_passed && others_are_well => Ending::Well,
            _ => Ending::NotWell,
        };
        let has_begun = self.state.done.iter().any(|step| step == PRECONDITIONS);
        if self.options.at.json {
            let stopped = stopped.map(|obstacles| {
                let why: Vec<&str> = obstacles.iter().map(|one| one.why.as_str()).collect();
                Stopped {
                    why: why.join("; "),
                    before_any_change: !has_begun,
                    obstacles: obstacles.iter().map(Obstacle::told).collect(),
                    clients: obstacles.iter().flat_map(|one| stopped_for(&one.clients)).collect(),
                }
            });
            say_json(&Rotated {
                rotation: self.state.name,
                done: self.state.done,
                certificates: self.state.updated,
                left_behind: self.state.left,
                stopped,
                verdict,
                judgement,
                repeat: again::this_command(),
            })?;
            return Ok(ending);
        }
        let was_stopped = stopped.is_some();
        if let Some(obstacles) = stopped {
            for Obstacle { why, help, clients, .. } in &obstacles {
                say(&format!("Stopped: {why}; {help}.\n"));
                for (client, why) in clients.iter().take(NAMED) {
                    say(&format!("  {client}: {why}\n"));
                }
                say(&more_than_named(clients.len()));
            }
            let again = match (has_begun, self.options.state.is_some()) {
                (false, _) => "Nothing of the site was changed.\n",
                (true, true) => "Nothing was changed after that; the same command continues from here.\n",
                (true, false) => "Nothing was changed after that.\n",
            };
            say(again);
        }
        if !self.state.left.is_empty() {
            say(&format!("Left behind: {}\n", some(self.state.left.iter().map(String::as_str))));
        }
        for one in verdict["orphaned"].as_array().into_iter().flatten().take(NAMED) {
            say(&format!("ORPHANED {}: {}\n", text(&one["client"]), shortened(&text(&one["why"]))));
        }
        say(&more_than_named(lost));
        let why = why_in_json(&verdict);
        if !why.is_empty() {
            say(&format!("Why:\n{why}"));
        }
        for finding in judgement["findings"].as_array().into_iter().flatten() {
            for example in finding["counter_examples"].as_array().into_iter().flatten().take(NAMED) {
                say(&format!("{}: {}\n", text(&finding["code"]), shortened(&text(example))));
            }
        }
        say(&failures_in_json(&judgement));
        if ending != Ending::Well {
            let lab = verdict["repeat"].as_str().map(|lab| format!("{lab}, then ")).unwrap_or_default();
            say(&format!("Repeat: {lab}{}\n", again::this_command()));
        }
        say(&assumed_in_json(&verdict));
        say(&match (ending, verdict["no_verdict"].as_str()) {
            // Of the lab as it is, since of a rotation that did not go to its end there is nothing to judge.
            _ if was_stopped && verdict["well"] == true => {
                "The rotation was stopped; otherwise all is well.\n".to_owned()
            }
            (_, Some(why)) if was_stopped => format!("The rotation was stopped. No verdict: {why}.\n"),
            (Ending::Well, Some(why)) => format!("The rotation is done. No verdict: {why}.\n"),
            (Ending::Well, None) if verdict["well"] == true => "All is well.\n".to_owned(),
            (Ending::Well, None) => {
                "The rotation is done. Only what was left behind is not well.\n".to_owned()
            }
            _ => "Not all is well; see `epm-lab check` and `epm-lab check --since`.\n".to_owned(),
        });
        Ok(ending)
    }
}

pub(super) fn certificate_of(manager: &str) -> String {
    format!("/v1/managers/{}/certificate", segment(manager))
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

pub(super) fn some<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<&str> = names.collect();
    let shown = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    if names.len() > NAMED { format!("{shown} and {} more", names.len() - NAMED) } else { shown }
}

/// How many clients are not named in lines of their own.
fn more_than_named(clients: usize) -> String {
    match clients.saturating_sub(NAMED) {
        0 => String::new(),
        more => format!("  and {more} more: `--json` has all\n"),
    }
}

/// A progress bar on standard error, hidden without a terminal: of the time, until covered clients are counted.
fn bar() -> ProgressBar {
    ProgressBar::no_length().with_style(style(UNCOUNTED))
}

/// How the progress bar looks before clients are counted, and while they are.
pub(super) const UNCOUNTED: &str = "{spinner} ({elapsed})";
pub(super) const COUNTED: &str = "{spinner} {wide_bar} {pos} of {len} clients ({elapsed})";

pub(super) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// What tells a baseline from a later one of its name.
fn mark_of(baseline: &Value) -> String {
    format!("{} {}", text(&baseline["at"]), baseline["journal"])
}
