//! The types of a scenario file.

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

/// A scenario: a site, a fleet of clients, and what happens to them step by step.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What the scenario shows, in one line.
    pub title: String,
    /// A longer description of the scenario.
    #[serde(default)]
    pub about: String,
    /// The seed of all random decisions and derived identifiers; defaults to 1.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// The lab's clock, for runs over sockets.
    #[serde(default)]
    pub clock: ClockPlan,
    /// Assumptions about undocumented behaviour of the real product; those that are left out have their defaults.
    #[serde(default)]
    pub assumptions: Assumptions,
    /// The site, with its managers.
    pub site: SitePlan,
    /// The parts of the fleet.
    #[schemars(with = "Vec<PartPlan>")]
    pub fleet: Vec<Spanned<PartPlan>>,
    /// The faults that steps may set, by name. None is set until a step sets it.
    #[serde(default)]
    #[schemars(with = "Vec<FaultRule>")]
    pub fault: Vec<Spanned<FaultRule>>,
    /// The steps, in order.
    #[serde(default)]
    pub step: Vec<StepPlan>,
}

/// The fastest clock over sockets, as a multiple of real time. A client ends an exchange after 30 seconds of the clock,
/// which are a tenth of a second of real time then; a faster clock overtakes clients whose manager answers.
pub const FASTEST: u32 = 300;

/// The lab's clock, for runs over sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ClockPlan {
    /// The time that the clock shows at the start; real time if absent.
    #[schemars(with = "Option<String>")]
    pub start: Option<Timestamp>,
    /// The speed of the clock over sockets, as a multiple of real time, from 1 to 300; defaults to 1.
    pub speed: u32,
}

/// The site: its managers, and its settings at the beginning.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SitePlan {
    /// The name of the site; defaults to `My Site`.
    #[serde(default = "default_site")]
    pub name: String,
    /// The managers of the site, at least one.
    pub managers: Vec<ManagerPlan>,
    /// Commands that are applied before the fleet is installed.
    #[serde(default)]
    #[schemars(with = "Vec<Command>")]
    pub setup: Vec<Spanned<Command>>,
}

/// A manager of the site.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ManagerPlan {
    /// The name of the manager, unique in the site.
    pub name: String,
    /// The address that the manager listens on, which clients are told; defaults to 127.0.0.1.
    #[serde(default = "default_address")]
    pub address: String,
    /// The HTTP port for clients; 0, the default, takes any free port.
    #[serde(default)]
    pub http_port: u16,
    /// The HTTPS port for clients; 0 takes any free port. If absent, the HTTP port takes both protocols.
    #[serde(default)]
    pub https_port: Option<u16>,
}

/// A part of the fleet: clients with the same properties.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartPlan {
    /// The name of the part. Its clients are named after it: `NAME-1`, `NAME-2` and so on.
    pub name: String,
    /// The number of clients, at least 1.
    pub count: u32,
    /// The full path of the clients' group; defaults to `My Company\Default Group`.
    #[serde(default = "default_group")]
    pub group: String,
    /// The location of the clients; the group's default location if absent.
    #[serde(default)]
    pub location: Option<String>,
    /// The version of the clients.
    pub version: ClientVersion,
    /// The name of a hardware id that all clients of the part share, also with other parts that name it, as if deployed
    /// from one image. If absent, each client has its own.
    #[serde(default)]
    pub hardware_id: Option<String>,
    /// Whether the clients stay with the server that last served them; defaults to true.
    #[serde(default = "yes")]
    pub use_last_server: bool,
    /// When the machines of the part are on; always if absent.
    #[serde(default)]
    pub presence: Presence,
    /// Dates on which the machines stay off. For the presences `office` and `laptop`.
    #[serde(default)]
    pub closed: Vec<Day>,
    /// Random holidays of the machines; none if absent. For the presences `office` and `laptop`.
    #[serde(default)]
    pub holidays: Option<Holidays>,
    /// The period in which the clients are installed; before the beginning if absent.
    #[serde(default)]
    pub arrives: Option<Arrives>,
    /// The share of the clients that leave for good, and the period in which they do; none if absent.
    #[serde(default)]
    pub leaves: Option<Fate>,
    /// The share of the machines that are re-imaged, and when; none if absent. Their clients return with the list of
    /// their installation.
    #[serde(default)]
    pub reimaged: Option<Fate>,
}

/// A step: first the changes of the fleet, then the operator's commands, with the faults that are healed and set at the
/// same moment, then a wait.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StepPlan {
    /// What is done in the step, in one line.
    pub title: String,
    /// The statements of the documented procedure that the step follows or breaks, by number.
    #[serde(default)]
    pub statements: Vec<Statement>,
    /// The changes of the fleet.
    #[serde(default)]
    #[schemars(with = "Vec<FleetAction>")]
    pub fleet: Vec<Spanned<FleetAction>>,
    /// The operator's commands, applied together.
    #[serde(default)]
    #[schemars(with = "Vec<Command>")]
    pub operator: Vec<Spanned<Command>>,
    /// The names of the faults that are removed.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub heal: Vec<Spanned<String>>,
    /// The names of the faults that are set.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub faults: Vec<Spanned<String>>,
    /// The wait before the next step; none if absent.
    #[serde(default)]
    pub wait: Option<Wait>,
}

/// A phase of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StepPhase {
    /// The changes of the fleet: [`StepPlan::fleet`].
    Fleet,
    /// Faults are removed, and others are set: [`StepPlan::heal`] and [`StepPlan::faults`].
    Faults,
    /// The operator's commands take effect, all at once: [`StepPlan::operator`].
    Commands,
    /// The wait before the next step: [`StepPlan::wait`].
    Wait,
}

impl StepPhase {
    /// The order in which every driver goes through a step. Faults are set before the commands take effect, so that a
    /// client that a command wakes meets the faults.
    pub const IN_ORDER: [Self; 4] = [Self::Fleet, Self::Faults, Self::Commands, Self::Wait];
}

/// A change of a part of the fleet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum FleetAction {
    /// Switch off the machines of a part, by its name, or one machine, by the name of its client (`desktop-3`).
    SwitchOff(String),
    /// Switch the machines of a part, or one machine, on again, by name.
    SwitchOn(String),
    /// Move the machines of a part to another location; to the group's default location if absent.
    Move {
        /// The name of the part.
        part: String,
        /// The name of the location.
        #[serde(default)]
        location: Option<String>,
    },
    /// Import a communications file on the machines that are on. Of several imports in one step the last one counts.
    ImportSylink {
        /// The name of the part, or of one client.
        part: String,
        /// The source of the file.
        from: SylinkSource,
    },
    /// Deploy the machines that are on from an image, with its hardware id; without an image, each gets its own again.
    /// Of several deployments in one step the last one counts.
    Identify {
        /// The name of the part.
        part: String,
        /// The part from whose first client the image was made; none if absent.
        #[serde(default)]
        image_of: Option<String>,
    },
    /// Apply the console's communication update package to the machines that are on: it imports the communications file
    /// that the manager exports at that moment. Of several imports in one step the last one counts.
    UpdatePackage {
        /// The name of the part, or of one client.
        part: String,
        /// The group that the package is made for; the part's own if absent.
        #[serde(default)]
        group: Option<String>,
        /// The location of that group; the part's own if neither is given.
        #[serde(default)]
        location: Option<String>,
    },
}

/// A wait: for heartbeats, with a limit, for time to pass, or for both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// The number of heartbeats that every client must end in this step if its machine is on from the beginning of the
    /// step; defaults to 0.
    #[serde(default)]
    pub heartbeats: u32,
    /// The time that must pass since the beginning of the step, like `90d` or `1h30m`; none if absent.
    #[serde(default)]
    pub time: Option<Span>,
    /// The limit of the wait for heartbeats, in lab time since the beginning of the step; defaults to `1h`.
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
    /// Makes a part of this many clients, with defaults for everything else.
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
    /// The step before the first: the fleet is installed, and every client whose machine is on checks in.
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

/// The machines of a part that an action changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangedMachines {
    /// All of them.
    All,
    /// The one with this number.
    One(u32),
}

impl FleetAction {
    /// The machines of this part that change; none if the action is about others.
    pub fn changed(&self, plan: &PartPlan) -> Option<ChangedMachines> {
        if self.name() == plan.name {
            return Some(ChangedMachines::All);
        }
        self.client_of(plan).map(ChangedMachines::One)
    }

    /// The number in this part of the client that the action names; none if it names no client of it.
    pub(super) fn client_of(&self, plan: &PartPlan) -> Option<u32> {
        let number = self.name().strip_prefix(plan.name.as_str())?.strip_prefix('-')?;
        // As a client is named: no leading zero, no sign.
        let number: u32 = number.parse().ok().filter(|one: &u32| one.to_string() == number)?;
        (1..=plan.count).contains(&number).then_some(number)
    }

    /// Whether the action can change one machine of a part.
    pub(super) const fn may_name_a_client(&self) -> bool {
        !matches!(self, Self::Move { .. } | Self::Identify { .. })
    }

    /// The name of the part, or of the client, that changes.
    pub fn name(&self) -> &str {
        match self {
            Self::SwitchOff(part)
            | Self::SwitchOn(part)
            | Self::Move { part, .. }
            | Self::ImportSylink { part, .. }
            | Self::Identify { part, .. }
            | Self::UpdatePackage { part, .. } => part,
        }
    }

    /// The communications file that this change imports on a part, if it does.
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
