//! A scenario made of what was done to a lab, so that it can be played again.
//!
//! Each action is a step, and the lab time until the next one is its wait. Commands before there was a client are the site's set-up.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use epm_client_agent::scenario::presence::Presence;
use epm_client_agent::scenario::{
    ClockPlan, FleetAction, ManagerPlan, PartPlan, Scenario, SitePlan, Span, StepPlan, Wait,
};
use epm_protocol::fault::FaultRule;
use epm_protocol::plural::counted;
use epm_protocol::site::{ClientKey, Command, ManagerPorts, Material, NewCertificate, Site};
use epm_protocol::time::{Clock, Timestamp};
use schemars::JsonSchema;
use serde::Serialize;
use toml::Spanned;

use super::written_scenario::written;
use crate::lab::{Lab, lock};
use crate::runtime::action_log::LoggedAction;

/// Longest title of a step, in characters.
const LONGEST_TITLE: usize = 160;

/// A scenario of what was done to a lab.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RecordedScenario {
    /// The scenario file, in TOML.
    pub(crate) scenario: String,
    /// Files that the scenario names, with private keys among them.
    pub(crate) files: Vec<RecordedFile>,
    /// Number of clients.
    pub(crate) clients: u32,
    /// Number of steps.
    pub(crate) steps: usize,
    /// What was done that the scenario does not do, or does otherwise.
    pub(crate) left_out: Vec<String>,
    /// Why the scenario cannot be played as it is; absent if it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<String>,
}

/// A file that a recorded scenario names.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RecordedFile {
    /// Path of the file, relative to the scenario.
    pub(crate) name: String,
    /// Content of the file, in Base64.
    pub(crate) content: String,
}

/// Why no scenario can be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordingError {
    #[error("the recording of this lab is not complete: {0}")]
    Gap(String),
    #[error("the lab has no clients of its own, of which a scenario needs one at least")]
    NoClients,
}

impl Lab {
    /// A scenario of what was done to this lab; its files are in `folder`, beside it.
    ///
    /// # Errors
    ///
    /// When something is missing in the recording, or there are no clients.
    pub(crate) async fn recorded_scenario(&self, folder: &str) -> Result<RecordedScenario, RecordingError> {
        if self.site.keeper().shared_site().is_some() {
            let why = "its site has managers in several processes".to_owned();
            return Err(RecordingError::Gap(why));
        }
        let mut elsewhere = 0_usize;
        self.look_at_everyone(|seen| elsewhere += usize::from(seen.reported_by.is_some())).await;
        let (recorded, now) = self.site.action_log().read(self.clock().now());
        if let Some(gap) = recorded.gap {
            return Err(RecordingError::Gap(gap));
        }
        self.site.look(|site| {
            let mut draft = Draft::of(site, self.seed, folder);
            if elsewhere > 0 {
                draft.leave_out(None, &format!("{} of other processes", counted(elsewhere, "client")));
            }
            for one in recorded.actions {
                draft.add(site, one.at, one.action);
            }
            draft.finish(now)
        })
    }

    /// Records an action on clients that took effect.
    pub(super) fn log_action(&self, action: LoggedAction) {
        self.site.action_log().note(self.clock().now(), action);
    }

    /// Records that a part has this many clients now.
    pub(super) fn log_part(&self, before: Option<&PartPlan>, plan: &PartPlan) {
        match before.filter(|before| before.count > 0) {
            Some(before) if before.count == plan.count => {}
            Some(before) => self.log_action(LoggedAction::Other(format!(
                "the part {:?} got {} instead of {}",
                plan.name,
                counted(plan.count, "client"),
                before.count
            ))),
            None if plan.count == 0 => {}
            None => self.log_action(LoggedAction::Part(plan.clone())),
        }
    }

    /// The name by which an action of a scenario reaches this client alone: its part's, if that has no other.
    pub(super) fn name_in_scenario(&self, client: &str, part: &str) -> (String, bool) {
        let is_alone = lock(&self.parts).get(part).is_some_and(|plan| plan.count == 1);
        (if is_alone { part } else { client }.to_owned(), is_alone)
    }
}

/// A scenario in the making.
struct Draft {
    scenario: Scenario,
    folder: String,
    files: BTreeMap<String, Bytes>,
    left_out: Vec<String>,
    /// Lab time at which the fleet was installed; none before.
    start: Option<Timestamp>,
    /// Lab time of each step.
    times: Vec<Timestamp>,
    /// The faults that are set, by the names that the lab and the scenario have for them.
    faults: BTreeMap<String, String>,
}

impl Draft {
    fn of(site: &Site, seed: u64, folder: &str) -> Self {
        let managers = site.managers().map(|manager| manager_plan(&manager.name, &manager.ports)).collect();
        let scenario = Scenario {
            title: format!("What was done to {}", site.name()),
            about: String::new(),
            seed,
            clock: ClockPlan::default(),
            assumptions: site.assumptions().as_ref().clone(),
            site: SitePlan { name: site.name().to_owned(), managers, setup: Vec::new() },
            fleet: Vec::new(),
            fault: Vec::new(),
            step: Vec::new(),
        };
        let mut draft = Self {
            scenario,
            folder: folder.to_owned(),
            files: BTreeMap::new(),
            left_out: Vec::new(),
            start: None,
            times: Vec::new(),
            faults: BTreeMap::new(),
        };
        for manager in site.managers().filter(|one| one.ports.http.is_none()) {
            draft.leave_out(None, &format!("{} has no HTTP port", manager.name));
        }
        draft
    }

    fn leave_out(&mut self, at: Option<Timestamp>, what: &str) {
        let at = at.map(|at| format!("{at}: ")).unwrap_or_default();
        self.left_out.push(format!("{at}{what}"));
    }

    fn add(&mut self, site: &Site, at: Timestamp, action: LoggedAction) {
        match action {
            LoggedAction::Other(what) => self.leave_out(Some(at), &what),
            LoggedAction::Part(plan) => self.add_part(at, plan),
            LoggedAction::Fleet(action) => match self.same_moment(at) {
                Some(step) => step.fleet.push(spanned(action)),
                None => self.step(at, |step| step.fleet.push(spanned(action))),
            },
            LoggedAction::Commands(commands) => {
                let commands: Vec<Command> =
                    commands.into_iter().filter_map(|one| self.command(site, at, one)).collect();
                if commands.is_empty() {
                } else if self.start.is_some() {
                    self.step(at, |step| step.operator = commands.into_iter().map(spanned).collect());
                } else {
                    self.scenario.site.setup.extend(commands.into_iter().map(spanned));
                }
            }
            LoggedAction::SetFault(rule) => {
                let mut rule = FaultRule::clone(&rule);
                let given = rule.name.clone();
                let healed = self.faults.get(&given).cloned();
                let known = |name: &str, draft: &Self| {
                    draft.scenario.fault.iter().any(|one| one.get_ref().name == name)
                };
                let is_again = self.scenario.fault.iter().any(|one| *one.get_ref() == rule);
                if !is_again && known(&given, self) {
                    // Names are unique in a scenario.
                    let free = (2..).map(|number| format!("{given} {number}")).find(|one| !known(one, self));
                    rule.name = free.unwrap_or_default();
                    let what =
                        format!("the fault {given:?} is called {:?}: its random draws differ", rule.name);
                    self.leave_out(Some(at), &what);
                }
                let name = rule.name.clone();
                if !is_again {
                    self.scenario.fault.push(spanned(rule));
                }
                self.faults.insert(given, name.clone());
                self.step(at, |step| {
                    step.heal.extend(healed.map(spanned));
                    step.faults.push(spanned(name));
                });
            }
            LoggedAction::RemoveFault(name) => {
                let healed: Vec<String> = match name {
                    Some(name) => self.faults.remove(&name).into_iter().collect(),
                    None => std::mem::take(&mut self.faults).into_values().collect(),
                };
                if !healed.is_empty() {
                    self.step(at, |step| step.heal = healed.into_iter().map(spanned).collect());
                }
            }
        }
    }

    fn add_part(&mut self, at: Timestamp, plan: PartPlan) {
        if !self.scenario.step.is_empty() {
            let what =
                format!("the part {:?} was added; in the scenario it is there from the beginning", plan.name);
            self.leave_out(Some(at), &what);
        }
        if self.scenario.fleet.iter().any(|part| part.get_ref().name == plan.name) {
            self.leave_out(Some(at), &format!("the part {:?} was removed and added again", plan.name));
            return;
        }
        if plan.presence != Presence::Always {
            let what = "is switched by its presence from the beginning; in the lab it was off at first";
            self.leave_out(None, &format!("the part {:?} {what}", plan.name));
        }
        self.start.get_or_insert(at);
        self.scenario.fleet.push(spanned(plan));
    }

    /// The command of the scenario for one of the lab; none if there is none.
    fn command(&mut self, site: &Site, at: Timestamp, mut command: Command) -> Option<Command> {
        match &mut command {
            Command::TakeOver { manager, identity, stores } => {
                let certificate = identity.certificates_pem().into();
                let key = Bytes::copy_from_slice(identity.key().pkcs8_der());
                let of = |file: &str, content| Material { file: file.to_owned(), content };
                let certificate = NewCertificate::Import {
                    certificate: of("server.crt", certificate),
                    key: of("server.key", key),
                    key_password: None,
                };
                command =
                    Command::UpdateCertificate { manager: manager.clone(), certificate, stores: *stores };
            }
            Command::KeepRecovery { recovery, .. } => {
                self.leave_out(Some(at), &format!("the recovery file {recovery:?} was kept"));
                return None;
            }
            Command::RemoveClient { .. } => {
                self.leave_out(Some(at), "a client was removed in the console");
                return None;
            }
            Command::MoveClient { client: client @ ClientKey::Id(_), .. } => {
                let ClientKey::Id(agent) = *client else { return None };
                if let Some(known) = site.client(agent) {
                    *client = ClientKey::Name(known.computer_name.clone());
                }
            }
            _ => {}
        }
        for material in command.materials_mut() {
            let base = material.file.rsplit(['/', '\\']).next().unwrap_or_default();
            let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
            let base: String = base.chars().take(60).map(plain).collect();
            let name = format!("{}/{}-{base}", self.folder, self.files.len() + 1);
            self.files.insert(name.clone(), material.content.clone());
            material.file = name;
        }
        Some(command)
    }

    /// The last step, if it is of this moment and switches machines, and does nothing else.
    fn same_moment(&mut self, at: Timestamp) -> Option<&mut StepPlan> {
        let is_switch = |one: &Spanned<FleetAction>| {
            matches!(one.get_ref(), FleetAction::SwitchOff(_) | FleetAction::SwitchOn(_))
        };
        let is_now = self.times.last() == Some(&at);
        let last = self.scenario.step.last_mut().filter(|_| is_now)?;
        let is_alone = last.operator.is_empty() && last.faults.is_empty() && last.heal.is_empty();
        (is_alone && last.fleet.iter().all(is_switch)).then_some(last)
    }

    fn step(&mut self, at: Timestamp, with: impl FnOnce(&mut StepPlan)) {
        let mut step = StepPlan { wait: None, title: String::new(), ..StepPlan::installation() };
        with(&mut step);
        self.scenario.step.push(step);
        self.times.push(at);
    }

    fn finish(mut self, now: Timestamp) -> Result<RecordedScenario, RecordingError> {
        let start = self.start.ok_or(RecordingError::NoClients)?;
        self.scenario.clock.start = Some(start);
        for step in &mut self.scenario.step {
            let actions = step.actions();
            let more = actions.len().saturating_sub(3);
            step.title = actions[..actions.len() - more].join("; ");
            if more > 0 {
                step.title = format!("{}; and {more} more", step.title);
            }
            if step.title.chars().count() > LONGEST_TITLE {
                let kept: String = step.title.chars().take(LONGEST_TITLE).collect();
                step.title = format!("{kept}...");
            }
        }
        // Faults may have been set before there was a client.
        self.times.iter_mut().for_each(|at| *at = start.max(*at));
        let first = *self.times.first().unwrap_or(&now);
        if first > start {
            let step =
                StepPlan { title: "Nothing is done".to_owned(), wait: None, ..StepPlan::installation() };
            self.scenario.step.insert(0, step);
            self.times.insert(0, start);
        }
        let ends = self.times.iter().skip(1).chain([&now]);
        for ((step, began), end) in self.scenario.step.iter_mut().zip(&self.times).zip(ends) {
            let time = end.since(*began);
            step.wait = (time > Duration::ZERO).then(|| Wait {
                heartbeats: 0,
                time: Some(Span(time)),
                limit: Span(Duration::from_secs(3600)),
            });
        }
        self.scenario.about = format!("From {start} to {now}, in lab time.");
        let clients = self.scenario.fleet.iter().map(|part| part.get_ref().count).sum();
        let text = written(&self.scenario, &self.left_out);
        let refused = check(&text, &self.files).err();
        let encoded = |(name, content): (String, Bytes)| RecordedFile {
            name,
            content: data_encoding::BASE64.encode(&content),
        };
        Ok(RecordedScenario {
            scenario: text,
            files: self.files.into_iter().map(encoded).collect(),
            clients,
            steps: self.scenario.step.len(),
            left_out: self.left_out,
            refused,
        })
    }
}

/// Reads the scenario back, and gives its commands to a site.
fn check(text: &str, files: &BTreeMap<String, Bytes>) -> Result<(), String> {
    let name = "recorded.toml";
    let mut scenario = Scenario::parse(text, name).map_err(|error| error.to_string())?;
    let steps = scenario.step.iter_mut().flat_map(|step| &mut step.operator);
    for command in scenario.site.setup.iter_mut().chain(steps) {
        for material in command.get_mut().materials_mut() {
            material.content = files.get(&material.file).cloned().unwrap_or_default();
        }
    }
    scenario.check(name, text).map_err(|error| error.to_string())
}

fn manager_plan(name: &str, ports: &ManagerPorts) -> ManagerPlan {
    ManagerPlan {
        name: name.to_owned(),
        address: ports.address.clone(),
        http_port: 0,
        https_port: (ports.https != ports.http).then_some(0),
    }
}

fn spanned<T>(value: T) -> Spanned<T> {
    Spanned::new(0..0, value)
}
