//! The fleet of a lab: clients that are added, removed, frozen, moved and re-imaged.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use epm_client_agent::agent::{Agent, AgentView, Health, Input};
use epm_client_agent::scenario::{FleetAction, PartPlan};
use epm_client_agent::wire::{AgentCopy, Fleet, Glance, Member, MemberSpec};
use epm_protocol::name::{InvalidName, check_name};
use epm_protocol::site::{Command, CommandError};
use epm_protocol::sylink::{CommunicationMode, Sylink};
use epm_protocol::time::{Clock, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Service;
use crate::lab::first_behind::FirstBehind;
use crate::lab::{Lab, lock, unknown};
use crate::runtime::action_log::LoggedAction;
use crate::runtime::descriptors::DESCRIPTORS;
use crate::schema::BridgedSchema;

/// Maximum number of clients in a lab's process.
const MOST: usize = 100_000;

/// Number of clients that are asked for the present path of their part's group.
const NAMED_BY: usize = 100;

/// Longest real time in which no further client is served, while clients are waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// An action on a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "do", rename_all = "kebab-case", deny_unknown_fields)]
pub enum ClientOperation {
    /// Makes the client send its next heartbeat now.
    Poke,
    /// Suspends the client: its machine stays on, but it sends nothing until it is thawed.
    Freeze,
    /// Resumes a frozen client.
    Thaw,
    /// Switches the client's machine off.
    Offline,
    /// Switches the client's machine on.
    Online,
    /// Puts the client into another location; its group's default location when absent.
    Location {
        /// Name of the location.
        #[serde(default)]
        location: Option<String>,
    },
    /// Re-images the client: it loses its state and starts from the installation package that its group exports now.
    Reimage,
    /// Makes the client import the communications file that its group, or another group, exports now, or a given one.
    Import {
        /// Full path of the group; the client's own group when absent.
        #[serde(default)]
        group: Option<String>,
        /// Location of the group; the group's own settings when absent.
        #[serde(default)]
        location: Option<String>,
        /// The file itself, as text, such as an old one or that of another site; without group and location.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sylink: Option<String>,
    },
    /// Moves the client to another group, as the console does.
    Move {
        /// Full path of the group.
        group: String,
    },
}

/// A client of the fleet and its current state.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ClientView {
    /// Computer name of the client.
    pub client: String,
    /// Part of the fleet that the client belongs to.
    pub part: String,
    /// Whether the client's machine is on.
    pub on: bool,
    /// Whether the client is frozen.
    pub frozen: bool,
    /// Whether the client is on, and has begun no heartbeat for three intervals.
    pub silent: bool,
    /// Source that reports the client, which runs outside of the lab's process; absent for a client of the lab.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reported_by: Option<String>,
    /// State of the client: what it holds, and how its heartbeats go.
    #[schemars(with = "BridgedSchema<AgentView>")]
    pub view: AgentView,
}

/// A client as it is seen: one in the lab's process, or one that another process reports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen<'a> {
    pub(crate) name: &'a str,
    pub(crate) part: &'a str,
    pub(crate) glance: &'a Glance,
    /// Source that reports the client; none for a client in the lab's process.
    pub(crate) reported_by: Option<&'a str>,
    /// The client, if it is in the lab's process.
    pub(crate) member: Option<&'a Member>,
}

impl<'a> Seen<'a> {
    pub(crate) fn of(member: &'a Member, glance: &'a Glance) -> Self {
        Self { name: &member.name, part: &member.part, glance, reported_by: None, member: Some(member) }
    }
}

impl ClientView {
    /// The state of a client as it was seen.
    pub(crate) fn of(seen: &Seen<'_>) -> Self {
        let Seen { name, part, glance, reported_by, .. } = *seen;
        Self {
            client: name.to_owned(),
            part: part.to_owned(),
            on: glance.is_on,
            frozen: glance.is_frozen,
            silent: glance.is_silent,
            reported_by: reported_by.map(str::to_owned),
            view: glance.view(name),
        }
    }
}

/// Why the fleet cannot be changed.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The site refuses a command, or the client is unknown.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// The lab would have too many clients.
    #[error("too many clients: a lab runs at most {MOST} in its process, this would make {0}")]
    TooMany(usize),
    /// The clients were not served in time.
    #[error(
        "not all clients were served, and none within the last two minutes or, with the clock stopped, at the current lab time"
    )]
    NotHere,
    /// The name of the part is blank or too long, or has a control character.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A part of this name exists with other clients.
    #[error("the part {part:?} exists with clients of {what}; choose another name")]
    Differs {
        /// Name of the part.
        part: String,
        /// Version and group of its clients.
        what: String,
    },
}

impl Lab {
    /// Number of clients in the fleet.
    pub async fn size(&self) -> usize {
        self.fleet.read().await.members().len()
    }

    /// Adds a part, or resizes it as `plan` says: new clients start with the communications file that their group
    /// exports now, on machines that were booted up to 30 days before; surplus clients are removed from the end.
    ///
    /// # Errors
    ///
    /// When the name is invalid, the group or location is unknown, or a part of this name has other clients.
    pub async fn set_part(&self, plan: PartPlan) -> Result<(), FleetError> {
        self.change_part(&plan.name.clone(), |_| plan).await
    }

    /// Adds or resizes a part as [`Lab::set_part`], by a plan that is made of the part's own, if there is one.
    ///
    /// # Errors
    ///
    /// As [`Lab::set_part`].
    pub async fn change_part(
        &self,
        name: &str,
        plan: impl FnOnce(Option<&PartPlan>) -> PartPlan,
    ) -> Result<(), FleetError> {
        let mut fleet = self.fleet.write().await;
        let mut known = lock(&self.parts).get(name).filter(|known| known.count > 0).cloned();
        if let Some(known) = &mut known {
            let members = fleet.members().iter().filter(|one| one.part == known.name).take(NAMED_BY).cloned();
            self.with_present_group(known, &members.collect::<Vec<_>>());
        }
        let plan = plan(known.as_ref());
        if known.is_none() {
            check_name("a part", &plan.name)?;
        }
        if let Some(known) = &known
            && (known.version != plan.version || known.group != plan.group || known.location != plan.location)
        {
            let what = format!("version {} in the group {}", known.version, known.group);
            return Err(FleetError::Differs { part: plan.name, what });
        }
        let mut parts: Vec<PartPlan> = lock(&self.parts).values().cloned().collect();
        parts.retain(|one| one.name != plan.name);
        self.check_size(parts.iter().chain([&plan]))?;
        // The leaving clients are determined before any is touched.
        let sylink = Arc::new(self.site.export_sylink(&plan.group, plan.location.as_deref())?);
        let specs: Vec<MemberSpec> = (1..=plan.count)
            .map(|number| self.member_spec(self.seed, &plan, number, Arc::clone(&sylink)))
            .collect();
        let wanted: HashSet<&str> = specs.iter().map(|spec| spec.profile.computer_name.as_str()).collect();
        let gone: HashSet<String> = fleet
            .members()
            .iter()
            .filter(|one| one.part == plan.name && !wanted.contains(one.name.as_str()))
            .map(|one| one.name.clone())
            .collect();
        drop(wanted);
        let here: HashSet<String> = fleet.members().iter().map(|one| one.name.clone()).collect();
        fleet.dismiss(|one| gone.contains(&one.name));
        let now = self.clock().now();
        for name in &gone {
            self.history.leave(name, now);
        }
        lock(&self.dismissed).extend(gone.iter().map(|name| (name.clone(), now)));
        let new: Vec<MemberSpec> =
            specs.into_iter().filter(|spec| !here.contains(&spec.profile.computer_name)).collect();
        let first = fleet.members().len();
        for spec in new {
            fleet.add(spec);
        }
        for member in fleet.members().iter().skip(first) {
            member.handle.start_long_after_boot(now).await;
        }
        self.log_part(known.as_ref(), &plan);
        lock(&self.parts).insert(plan.name.clone(), plan);
        Ok(())
    }

    /// Fails if the fleet cannot have these parts, and reserves what they need.
    pub(super) fn check_size<'a>(
        &self,
        parts: impl Iterator<Item = &'a PartPlan> + Clone,
    ) -> Result<(), FleetError> {
        let total = parts.clone().map(|plan| plan.count as usize).sum();
        let held = held(parts, |group, location| self.site.export_sylink(group, location));
        fits(total, held)?;
        Ok(self.reserved.grow_to(held)?)
    }

    /// Waits until every client of a part has been served once, or, with the clock stopped, until all clients are
    /// idle.
    ///
    /// # Errors
    ///
    /// When no further client is served for two minutes, or the clients become idle without having been served.
    pub async fn wait_for_part(&self, part: &str) -> Result<(), FleetError> {
        let is_awaited = |one: &Member| one.part == part && !one.handle.is_connected();
        if !self.stands() {
            return self.wait_while_some_come(part, is_awaited, |_, _| ()).await;
        }
        let are_here =
            self.settle().await.is_ok() && !self.fleet.read().await.members().iter().any(is_awaited);
        if are_here { Ok(()) } else { Err(FleetError::NotHere) }
    }

    /// Waits until every client of a part has been served once, or will not be by itself: it is orphaned, or a manager's web
    /// server is down. Returns the clients that are not served, each with the reason. `tell` is told every second how many of
    /// how many are no longer awaited.
    ///
    /// # Errors
    ///
    /// When no further client is served for two minutes.
    pub async fn wait_for_contact(
        &self,
        part: &str,
        tell: impl FnMut(usize, usize),
    ) -> Result<Vec<(String, String)>, FleetError> {
        let is_down = self.is_web_server_down();
        let is_awaited = |one: &Member| {
            one.part == part
                && match one.handle.glance(Timestamp::EPOCH).common.health {
                    Health::Connected { .. } | Health::Orphaned { .. } => false,
                    Health::Disconnected { .. } => !is_down,
                    Health::New => true,
                }
        };
        self.wait_while_some_come(part, is_awaited, tell).await?;
        let fleet = self.fleet.read().await;
        let members = fleet.members().iter().filter(|one| one.part == part);
        Ok(members.filter_map(|one| Some((one.name.clone(), why_unserved(one)?))).collect())
    }

    /// Waits until no client of a part is awaited, for as long as their number falls within two minutes.
    async fn wait_while_some_come(
        &self,
        part: &str,
        is_awaited: impl Fn(&Member) -> bool,
        mut tell: impl FnMut(usize, usize),
    ) -> Result<(), FleetError> {
        let clock = self.clock();
        let total = self.fleet.read().await.members().iter().filter(|one| one.part == part).count();
        let (mut first, mut fewest) = (FirstBehind::default(), usize::MAX);
        let mut limit = clock.now();
        loop {
            let second = clock.now() + Duration::from_secs(1) * clock.speed();
            if self.wait_until(second, |fleet| !first.is_any(fleet.members(), &is_awaited)).await {
                return Ok(());
            }
            let awaited = self.fleet.read().await.members().iter().filter(|one| is_awaited(one)).count();
            tell(total.saturating_sub(awaited), total);
            if awaited < fewest {
                fewest = awaited;
                limit = clock.now() + PATIENCE * clock.speed();
            } else if clock.now() >= limit {
                return Err(FleetError::NotHere);
            }
        }
    }

    /// The clients whose last heartbeat failed, each with the reason.
    pub async fn unserved(&self) -> Vec<(String, String)> {
        let fleet = self.fleet.read().await;
        fleet.members().iter().filter_map(|one| Some((one.name.clone(), why_unserved(one)?))).collect()
    }

    /// Whether the web server of any manager is down.
    fn is_web_server_down(&self) -> bool {
        let managers: Vec<String> =
            self.site.look(|site| site.managers().map(|one| one.name.clone()).collect());
        managers.iter().any(|one| self.site.stopped_services(one).contains(&Service::Semwebsrv))
    }

    /// Names of the clients in fleet order, each with its part.
    pub async fn names(&self) -> Vec<(String, String)> {
        let fleet = self.fleet.read().await;
        fleet.members().iter().map(|one| (one.part.clone(), one.name.clone())).collect()
    }

    /// Current state of every client: of those in the lab's process, and of those that other processes report.
    pub async fn views(&self) -> Vec<ClientView> {
        let mut views = Vec::new();
        self.look_at_everyone(|seen| views.push(ClientView::of(&seen))).await;
        views
    }

    /// Current state of every client in the lab's process.
    pub(crate) async fn own_views(&self) -> Vec<ClientView> {
        let mut views = Vec::new();
        self.look_at_clients(|member, glance| views.push(ClientView::of(&Seen::of(member, glance)))).await;
        views
    }

    /// Calls `see` with every client in the lab's process, in fleet order, and what is seen of it now.
    pub(crate) async fn look_at_clients(&self, mut see: impl FnMut(&Member, &Glance)) {
        let fleet = self.fleet.read().await;
        let now = self.clock().now();
        fleet.members().iter().for_each(|one| see(one, &one.handle.glance(now)));
    }

    /// A client of this lab by name.
    ///
    /// # Errors
    ///
    /// When there is no such client.
    pub async fn member(&self, name: &str) -> Result<Member, CommandError> {
        let fleet = self.fleet.read().await;
        find(&fleet, name).cloned()
    }

    /// Every client's agent.
    pub(super) async fn agents(&self) -> Vec<(String, Agent, bool)> {
        let copies = self.copies().await.into_iter();
        copies.map(|(part, copy, is_frozen)| (part, copy.agent(), is_frozen)).collect()
    }

    /// A copy of every client: its part, its agent, and whether it is frozen.
    pub(super) async fn copies(&self) -> Vec<(String, AgentCopy, bool)> {
        let fleet = self.fleet.read().await;
        let copy = |one: &Member| (one.part.clone(), one.handle.copy(), one.handle.is_frozen());
        fleet.members().iter().map(copy).collect()
    }

    /// Sends an input to the client at this index of the fleet.
    pub(super) async fn tell(&self, place: usize, input: Input) {
        let fleet = self.fleet.read().await;
        if let Some(member) = fleet.members().get(place) {
            member.handle.tell(input).await;
        }
    }

    /// Performs an action on a client, and returns once the client has acted on it.
    ///
    /// # Errors
    ///
    /// When the client, group or location is unknown.
    pub async fn do_to(&self, name: &str, action: &ClientOperation) -> Result<(), CommandError> {
        let member = self.member(name).await?;
        let tell = |input: Input| {
            let member = member.clone();
            async move {
                member.handle.tell(input).await;
            }
        };
        match action {
            ClientOperation::Poke => tell(Input::UpdateNow).await,
            ClientOperation::Freeze => member.handle.freeze(true),
            ClientOperation::Thaw => member.handle.freeze(false),
            ClientOperation::Offline if member.handle.is_stopped() => return Ok(()),
            ClientOperation::Offline => tell(Input::Stop).await,
            ClientOperation::Online if !member.handle.is_stopped() => return Ok(()),
            ClientOperation::Online => tell(Input::Start { booted: self.clock().now() }).await,
            ClientOperation::Location { location } => tell(Input::MoveTo(location.clone())).await,
            ClientOperation::Import { group, location, sylink: None } => {
                let sylink = self.package(&member, group.as_deref(), location.as_deref())?;
                tell(Input::Import(sylink)).await;
            }
            ClientOperation::Import { group, location, sylink: Some(file) } => {
                let invalid = |found: String, expected: &str| CommandError::Invalid {
                    field: "sylink",
                    found,
                    expected: expected.to_owned(),
                };
                if let Some(place) = group.as_ref().or(location.as_ref()) {
                    return Err(invalid(
                        place.clone(),
                        "a file without a group and location, which it has itself",
                    ));
                }
                let file = Sylink::parse(file)
                    .map_err(|error| invalid(error.to_string(), "a communications file"))?;
                tell(Input::Import(Arc::new(file))).await;
            }
            ClientOperation::Reimage => self.reimage(&member).await?,
            ClientOperation::Move { group } => {
                let agent = member.handle.agent_id();
                let agent = agent.ok_or_else(|| unknown("registered client", name, []))?;
                self.site.apply(&Command::MoveClient { client: agent.into(), group: group.clone() })?;
            }
        }
        self.log_operation(&member, action);
        // A client that was re-imaged has another handle, and one that was removed meanwhile hears no more.
        let has_heard = |fleet: &Fleet| fleet.named(name).is_none_or(|member| member.handle.has_heard());
        self.wait_until(Timestamp::NEVER, has_heard).await;
        Ok(())
    }

    fn log_operation(&self, member: &Member, action: &ClientOperation) {
        let (name, is_alone) = self.name_in_scenario(&member.name, &member.part);
        let action = match action {
            // Recorded with the commands.
            ClientOperation::Move { .. } => return,
            ClientOperation::Offline => LoggedAction::Fleet(FleetAction::SwitchOff(name)),
            ClientOperation::Online => LoggedAction::Fleet(FleetAction::SwitchOn(name)),
            ClientOperation::Import { sylink: Some(_), .. } => {
                LoggedAction::Other(format!("{name} imported a communications file that it was given"))
            }
            ClientOperation::Import { group, location, sylink: None } => {
                let (group, location) = (group.clone(), location.clone());
                LoggedAction::Fleet(FleetAction::UpdatePackage { part: name, group, location })
            }
            ClientOperation::Location { location } if is_alone => {
                LoggedAction::Fleet(FleetAction::Move { part: name, location: location.clone() })
            }
            ClientOperation::Location { .. } => {
                LoggedAction::Other(format!("{name} was put into another location"))
            }
            ClientOperation::Poke => LoggedAction::Other(format!("{name} was made to send a heartbeat")),
            ClientOperation::Freeze => LoggedAction::Other(format!("{name} was frozen")),
            ClientOperation::Thaw => LoggedAction::Other(format!("{name} was thawed")),
            ClientOperation::Reimage => LoggedAction::Other(format!("{name} was re-imaged")),
        };
        self.log_action(action);
    }

    fn package(
        &self,
        member: &Member,
        group: Option<&str>,
        location: Option<&str>,
    ) -> Result<Arc<Sylink>, CommandError> {
        let mut own = lock(&self.parts).get(&member.part).cloned();
        if let Some(part) = &mut own {
            self.with_present_group(part, std::slice::from_ref(member));
        }
        let (own_group, own_location) = own.map(|part| (part.group, part.location)).unwrap_or_default();
        let location = if group.is_some() { location } else { location.or(own_location.as_deref()) };
        self.site.export_sylink(group.unwrap_or(&own_group), location).map(Arc::new)
    }

    /// Gives the plan of a part whose group was renamed, or moved, the path that the group has now: that of most of these clients.
    fn with_present_group(&self, part: &mut PartPlan, clients: &[Member]) {
        self.site.look(|site| {
            if site.groups().get(&part.group).is_some() {
                return;
            }
            let mut known: BTreeMap<&str, usize> = BTreeMap::new();
            for agent in clients.iter().filter_map(|one| one.handle.agent_id()) {
                let Some(client) = site.client(agent) else { continue };
                let path = site.groups().iter().find(|(_, group)| group.id == client.group);
                if let Some((path, _)) = path {
                    *known.entry(path).or_default() += 1;
                }
            }
            if let Some((path, _)) = known.into_iter().max_by_key(|(_, clients)| *clients) {
                path.clone_into(&mut part.group);
            }
        });
    }

    /// Replaces the agent by a new one with the communications file that its group exports now.
    async fn reimage(&self, member: &Member) -> Result<(), CommandError> {
        let sylink = self.package(member, None, None)?;
        let mut fleet = self.fleet.write().await;
        let place = fleet.place_of(&member.name);
        let place = place.ok_or_else(|| unknown("client", &member.name, []))?;
        let profile = member.handle.agent().profile().clone();
        let spec = MemberSpec {
            part: member.part.clone(),
            sylink,
            location: lock(&self.parts).get(&member.part).and_then(|part| part.location.clone()),
            disk: None,
            source: self.sources.address_of(&profile),
            profile,
        };
        fleet.replace(place, spec);
        if let Some(member) = fleet.members().get(place) {
            member.handle.tell(Input::Start { booted: self.clock().now() }).await;
        }
        Ok(())
    }

    /// The client with this number in its part, not yet started.
    pub(super) fn member_spec(
        &self,
        seed: u64,
        plan: &PartPlan,
        number: u32,
        sylink: Arc<Sylink>,
    ) -> MemberSpec {
        let profile = plan.client(seed, number);
        MemberSpec {
            part: plan.name.clone(),
            sylink,
            location: plan.location.clone(),
            disk: None,
            source: self.sources.address_of(&profile),
            profile,
        }
    }

    /// Remembers the parts of a fleet that the control API did not add.
    pub(super) fn remember_part(&self, plan: PartPlan) {
        self.site.action_log().lose("the lab plays a scenario, whose file has its steps");
        lock(&self.parts).insert(plan.name.clone(), plan);
    }

    /// The source address of a client's connections; none where clients have no address of their own.
    pub fn source_of(&self, client: &str) -> Option<std::net::Ipv4Addr> {
        self.sources.known(client)
    }
}

/// Fails if a lab cannot have this many clients in its process, of which so many keep a connection open.
pub(crate) fn fits(total: usize, held: usize) -> Result<(), FleetError> {
    if total > MOST {
        return Err(FleetError::TooMany(total));
    }
    Ok(DESCRIPTORS.division.check(held)?)
}

/// Number of clients of these parts that keep a connection open on a site that exports so: those in push mode.
pub(crate) fn held<'a>(
    parts: impl Iterator<Item = &'a PartPlan>,
    export: impl Fn(&str, Option<&str>) -> Result<Sylink, CommandError>,
) -> usize {
    let is_push = |plan: &&PartPlan| {
        export(&plan.group, plan.location.as_deref())
            .is_ok_and(|sylink| sylink.conf().settings.mode == CommunicationMode::Push)
    };
    parts.filter(is_push).map(|plan| plan.count as usize).sum()
}

fn why_unserved(client: &Member) -> Option<String> {
    match &client.handle.glance(Timestamp::EPOCH).common.health {
        Health::Orphaned { because, .. } => Some(because.to_string()),
        Health::Disconnected { because, .. } => Some(because.to_string()),
        Health::New | Health::Connected { .. } => None,
    }
}

fn find<'a>(fleet: &'a Fleet, name: &str) -> Result<&'a Member, CommandError> {
    fleet
        .named(name)
        .ok_or_else(|| unknown("client", name, fleet.members().iter().map(|one| one.name.as_str())))
}
