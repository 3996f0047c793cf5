//! What a scenario file says: the types of the file, as they are read.

use epm_protocol::assumption::Assumptions;
use epm_protocol::fault::FaultRule;
use epm_protocol::site::Command;
use epm_protocol::statement::Statement;
use epm_protocol::time::Timestamp;
use epm_protocol::version::ClientVersion;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toml::Spanned;

use super::communications_file::SylinkSource;
use super::presence::plan::{Arrives, Fate, Holidays, Presence};
use super::presence::words::Day;
use super::span::Span;

/// A scenario.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Scenario {
    /// What it shows, in one line.
    pub title: String,
    /// More about it.
    #[serde(default)]
    pub about: String,
    /// The seed of everything that is drawn or derived.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// The lab's clock.
    #[serde(default)]
    pub clock: ClockPlan,
    /// Assumptions about undocumented behaviour of the real product; each that is absent has its default.
    #[serde(default)]
    pub assumptions: Assumptions,
    /// The site.
    pub site: SitePlan,
    /// The clients, part by part.
    #[schemars(with = "Vec<PartPlan>")]
    pub fleet: Vec<Spanned<PartPlan>>,
    /// The faults that steps may set, by name. None is set before a step says so.
    #[serde(default)]
    #[schemars(with = "Vec<FaultRule>")]
    pub fault: Vec<Spanned<FaultRule>>,
    /// What happens, in order.
    #[serde(default)]
    pub step: Vec<StepPlan>,
}

/// The lab's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct ClockPlan {
    /// What it shows at the start; the machine's time when absent.
    #[schemars(with = "Option<String>")]
    pub start: Option<Timestamp>,
    /// How many times faster than the machine's clock it runs over sockets.
    pub speed: u32,
}

/// The site.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct SitePlan {
    /// Its name.
    #[serde(default = "default_site")]
    pub name: String,
    /// Its managers.
    pub managers: Vec<ManagerPlan>,
    /// What is set up before the fleet is installed.
    #[serde(default)]
    #[schemars(with = "Vec<Command>")]
    pub setup: Vec<Spanned<Command>>,
}

/// A manager.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct ManagerPlan {
    /// Its name.
    pub name: String,
    /// The address that it listens on, and that clients are told.
    #[serde(default = "default_address")]
    pub address: String,
    /// The clients' port for HTTP; 0 for any that is free.
    #[serde(default)]
    pub http_port: u16,
    /// The clients' port for HTTPS; 0 for any that is free. When absent, the HTTP port takes both.
    #[serde(default)]
    pub https_port: Option<u16>,
}

/// A part of the fleet: clients that are alike.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct PartPlan {
    /// Its name; its clients are called by it, with a number.
    pub name: String,
    /// How many clients.
    pub count: u32,
    /// Their group.
    #[serde(default = "default_group")]
    pub group: String,
    /// The location that they are in; the group's default one when absent.
    #[serde(default)]
    pub location: Option<String>,
    /// Their version.
    pub version: ClientVersion,
    /// The hardware id that all of them share, and with all parts that name the same one: they were rolled out from one
    /// image. Each has its own when absent.
    #[serde(default)]
    pub hardware_id: Option<String>,
    /// Whether they stay with the server that served them last.
    #[serde(default = "yes")]
    pub use_last_server: bool,
    /// When they are online.
    #[serde(default)]
    pub presence: Presence,
    /// Dates on which the machines stay off.
    #[serde(default)]
    pub closed: Vec<Day>,
    /// Their holidays.
    #[serde(default)]
    pub holidays: Option<Holidays>,
    /// When they are installed; before the beginning when absent.
    #[serde(default)]
    pub arrives: Option<Arrives>,
    /// Which of them go for good, and when.
    #[serde(default)]
    pub leaves: Option<Fate>,
    /// Which of them are re-imaged, and when: they come back with the list that they were installed with.
    #[serde(default)]
    pub reimaged: Option<Fate>,
}

/// A step: first what happens to the fleet, then what the operator does, with the faults that are healed and set at the
/// same moment, then how long he waits.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct StepPlan {
    /// What is done, in one line.
    pub title: String,
    /// The statements of the documented procedure that the step follows or breaks, by number.
    #[serde(default)]
    pub statements: Vec<Statement>,
    /// What happens to the fleet.
    #[serde(default)]
    #[schemars(with = "Vec<FleetAction>")]
    pub fleet: Vec<Spanned<FleetAction>>,
    /// What the operator does.
    #[serde(default)]
    #[schemars(with = "Vec<Command>")]
    pub operator: Vec<Spanned<Command>>,
    /// The faults that are taken away.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub heal: Vec<Spanned<String>>,
    /// The faults that are set.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub faults: Vec<Spanned<String>>,
    /// How long he waits before the next step.
    #[serde(default)]
    pub wait: Option<Wait>,
}

/// A phase of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepPhase {
    /// What happens to the fleet: [`StepPlan::fleet`].
    Fleet,
    /// Faults are taken away, and others are set: [`StepPlan::heal`] and [`StepPlan::faults`].
    Faults,
    /// The operator's commands show, all at once: [`StepPlan::operator`].
    Commands,
    /// The wait: [`StepPlan::wait`].
    Wait,
}

impl StepPhase {
    /// The order in which every driver goes through a step. Faults are set before the commands show, so that a client
    /// which these wake meets the faults.
    pub const IN_ORDER: [Self; 4] = [Self::Fleet, Self::Faults, Self::Commands, Self::Wait];
}

/// What happens to a part of the fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum FleetAction {
    /// Its machines are switched off.
    SwitchOff(String),
    /// They are switched on again.
    SwitchOn(String),
    /// They go to another location; to the default one when absent.
    Move {
        /// The part.
        part: String,
        /// The location.
        #[serde(default)]
        location: Option<String>,
    },
    /// Import a communications file on the machines that are on. Of several in one step the last one counts.
    ImportSylink {
        /// The part.
        part: String,
        /// Where the file comes from.
        from: SylinkSource,
    },
    /// Its machines that are on are rolled out with the hardware id of an image; each has its own again when absent. Of
    /// several in one step the last one counts.
    Identify {
        /// The part.
        part: String,
        /// The part that the image was made from: of its first client.
        #[serde(default)]
        image_of: Option<String>,
    },
    /// The console's communication update package reaches those that are on: the communications file that the manager
    /// exports at that moment, which is imported. Of several files in one step the last one counts.
    UpdatePackage {
        /// The part.
        part: String,
        /// The group that it is made for; the part's own when absent.
        #[serde(default)]
        group: Option<String>,
        /// The location of that group; the part's own when neither is named.
        #[serde(default)]
        location: Option<String>,
    },
}

/// A wait: for events, with a limit, or for time to pass; for both when both are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Wait {
    /// How many heartbeats every client must have ended since the step began, whose machine was on then and is still.
    #[serde(default)]
    pub heartbeats: u32,
    /// How much time must have passed since the step began.
    #[serde(default)]
    pub time: Option<Span>,
    /// When to give up waiting for heartbeats, in the lab's time since the step began.
    #[serde(default = "default_limit")]
    pub limit: Span,
}

impl Default for ClockPlan {
    fn default() -> Self {
        Self { start: None, speed: 1 }
    }
}

impl Scenario {
    /// The faults that a step sets.
    pub fn faults_set_by<'a>(&'a self, step: &'a StepPlan) -> impl Iterator<Item = &'a FaultRule> {
        let rule = |name: &String| self.fault.iter().map(Spanned::get_ref).find(|rule| rule.name == *name);
        step.faults.iter().filter_map(move |name| rule(name.get_ref()))
    }
}

impl PartPlan {
    /// Clients with the defaults of everything else.
    pub fn new(name: impl Into<String>, count: u32, version: ClientVersion) -> Self {
        Self {
            name: name.into(),
            count,
            group: default_group(),
            location: None,
            version,
            hardware_id: None,
            use_last_server: true,
            presence: Presence::Always,
            closed: Vec::new(),
            holidays: None,
            arrives: None,
            leaves: None,
            reimaged: None,
        }
    }
}

impl StepPlan {
    /// What comes before the first step: the fleet is installed, and every client whose machine is on checks in.
    pub fn installation() -> Self {
        Self {
            title: "The fleet is installed, and checks in".to_owned(),
            statements: Vec::new(),
            fleet: Vec::new(),
            operator: Vec::new(),
            heal: Vec::new(),
            faults: Vec::new(),
            wait: Some(Wait { heartbeats: 1, time: None, limit: default_limit() }),
        }
    }
}

impl FleetAction {
    /// The part that it happens to.
    pub fn part(&self) -> &str {
        match self {
            Self::SwitchOff(part)
            | Self::SwitchOn(part)
            | Self::Move { part, .. }
            | Self::ImportSylink { part, .. }
            | Self::Identify { part, .. }
            | Self::UpdatePackage { part, .. } => part,
        }
    }

    /// The communications file that it brings to this part, if it does.
    pub fn brings(&self, plan: &PartPlan) -> Option<SylinkSource> {
        match self {
            Self::SwitchOff(_) | Self::SwitchOn(_) | Self::Move { .. } | Self::Identify { .. } => None,
            Self::ImportSylink { from, .. } => Some(from.clone()),
            Self::UpdatePackage { group, location, .. } => {
                let own = group.is_none() && location.is_none();
                Some(SylinkSource {
                    group: Some(group.as_ref().unwrap_or(&plan.group).clone()),
                    location: if own { plan.location.clone() } else { location.clone() },
                    edited: None,
                })
            }
        }
    }
}

const fn default_seed() -> u64 {
    1
}

fn default_site() -> String {
    "My Site".to_owned() // [C S17]
}

fn default_address() -> String {
    "127.0.0.1".to_owned()
}

fn default_group() -> String {
    epm_protocol::site::DEFAULT_GROUP.to_owned()
}

fn default_limit() -> Span {
    Span(std::time::Duration::from_secs(3600))
}

const fn yes() -> bool {
    true
}
