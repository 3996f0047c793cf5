//! The fleet of a lab: clients that come, go, freeze, move, and are re-imaged.

use std::sync::Arc;
use std::time::Duration;

use epm_client_agent::agent::{Agent, AgentView, Input};
use epm_client_agent::scenario::PartPlan;
use epm_client_agent::wire::{Fleet, Member, MemberSpec};
use epm_protocol::site::{Command, CommandError};
use epm_protocol::sylink::Sylink;
use epm_protocol::time::{Clock, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::lab::{Lab, lock, unknown};
use crate::schema::BridgedSchema;

/// How many clients a lab may run in its process.
const MOST: usize = 100_000;

/// What can be done to a client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Deed")]
#[serde(tag = "do", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
pub enum ClientOperation {
    /// Ask it for an update now.
    Poke,
    /// Keep it from waking: its machine is on, and it does nothing.
    Freeze,
    /// Let it wake again.
    Thaw,
    /// Switch its machine off.
    Offline,
    /// Switch its machine on again.
    Online,
    /// Put it into another location; the default one when none.
    Location {
        /// The location.
        #[serde(default)]
        location: Option<String>,
    },
    /// Put the image of its group back: it has forgotten all that it has learnt.
    Reimage,
    /// Import the communications file that its group, or another one, gives now.
    Import {
        /// The group; its own when absent.
        #[serde(default)]
        group: Option<String>,
        /// The location; the group's own settings when absent.
        #[serde(default)]
        location: Option<String>,
    },
    /// Move it to another group, as the console does.
    Move {
        /// The group.
        group: String,
    },
}

/// A client of the fleet as it is now.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ClientView {
    /// Its computer's name.
    pub client: String,
    /// The part of the fleet that it belongs to.
    pub part: String,
    /// Whether its machine is on.
    pub on: bool,
    /// Whether it is kept from waking.
    pub frozen: bool,
    /// What it looks like.
    #[schemars(with = "BridgedSchema<AgentView>")]
    pub view: AgentView,
}

/// Why something cannot be done to the fleet.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The site refuses, or there is no such client.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// Too many clients.
    #[error("a lab runs at most {MOST} clients in its process, and these would make it {0}")]
    TooMany(usize),
    /// The clients did not check in.
    #[error(
        "not all clients were served, within two minutes or, where the clock stands, at this moment of the lab's time"
    )]
    NotHere,
    /// A part with this name is not like that.
    #[error("the part {part:?} has clients of {what}; take another name")]
    Differs {
        /// The part.
        part: String,
        /// What they have.
        what: String,
    },
}

impl Lab {
    /// Makes a part of the fleet as large as `plan` says: clients are added with the communications file that their group
    /// gives now, on machines that have been on for long, or the last ones are taken away.
    ///
    /// # Errors
    ///
    /// When there is no such group or location, or a part of this name has other clients.
    pub async fn set_part(&self, plan: PartPlan) -> Result<(), FleetError> {
        let mut fleet = self.fleet.write().await;
        if let Some(known) = lock(&self.parts).get(&plan.name)
            && (known.version != plan.version || known.group != plan.group || known.location != plan.location)
        {
            let what = format!("version {} in the group {}", known.version, known.group);
            return Err(FleetError::Differs { part: plan.name, what });
        }
        let total = fleet.members().iter().filter(|one| one.part != plan.name).count() + plan.count as usize;
        if total > MOST {
            return Err(FleetError::TooMany(total));
        }
        // The clients that leave are known before any is touched.
        let sylink = Arc::new(self.site.export_sylink(&plan.group, plan.location.as_deref())?);
        let specs: Vec<MemberSpec> = (1..=plan.count)
            .map(|number| member_spec(self.seed, &plan, number, Arc::clone(&sylink)))
            .collect();
        let wanted: std::collections::HashSet<&str> =
            specs.iter().map(|spec| spec.profile.computer_name.as_str()).collect();
        let gone: Vec<String> = fleet
            .members()
            .iter()
            .filter(|one| one.part == plan.name && !wanted.contains(one.name.as_str()))
            .map(|one| one.name.clone())
            .collect();
        drop(wanted);
        let here: std::collections::HashSet<String> =
            fleet.members().iter().map(|one| one.name.clone()).collect();
        fleet.dismiss(|one| gone.contains(&one.name));
        for name in &gone {
            self.history.leave(name);
        }
        let new: Vec<MemberSpec> =
            specs.into_iter().filter(|spec| !here.contains(&spec.profile.computer_name)).collect();
        let first = fleet.members().len();
        for spec in new {
            fleet.add(spec);
        }
        let now = self.clock().now();
        for member in fleet.members().iter().skip(first) {
            member.handle.start_long_after_boot(now).await;
        }
        lock(&self.parts).insert(plan.name.clone(), plan);
        Ok(())
    }

    /// Waits until every client of a part has been served once; where the clock stands, until all clients are idle.
    ///
    /// # Errors
    ///
    /// When that takes more than two minutes, or the clients are idle and were not served.
    pub async fn wait_for_part(&self, part: &str) -> Result<(), FleetError> {
        let is_here = |members: &[Member]| {
            members.iter().filter(|one| one.part == part).all(|one| one.handle.view().health.is_connected())
        };
        let are_here = if self.stands() {
            self.settle().await.is_ok() && is_here(self.fleet.read().await.members())
        } else {
            let limit = self.clock().now() + Duration::from_secs(120) * self.clock().speed();
            self.fleet.read().await.wait_until(limit, is_here).await
        };
        if are_here { Ok(()) } else { Err(FleetError::NotHere) }
    }

    /// The names of its clients in order of the fleet, with the part that each belongs to.
    pub async fn names(&self) -> Vec<(String, String)> {
        let fleet = self.fleet.read().await;
        fleet.members().iter().map(|one| (one.part.clone(), one.name.clone())).collect()
    }

    /// Every client as it is now.
    pub async fn views(&self) -> Vec<ClientView> {
        let fleet = self.fleet.read().await;
        let look = |one: &Member| {
            let agent = one.handle.agent();
            ClientView {
                client: one.name.clone(),
                part: one.part.clone(),
                on: !agent.is_stopped(),
                frozen: one.handle.is_frozen(),
                view: agent.view(),
            }
        };
        fleet.members().iter().map(look).collect()
    }

    /// A client of this lab.
    ///
    /// # Errors
    ///
    /// When there is none of that name.
    pub async fn member(&self, name: &str) -> Result<Member, CommandError> {
        let fleet = self.fleet.read().await;
        find(&fleet, name).cloned()
    }

    /// Every client as a value of its own.
    pub(super) async fn agents(&self) -> Vec<(String, Agent, bool)> {
        let fleet = self.fleet.read().await;
        let frozen = |one: &Member| (one.part.clone(), one.handle.agent(), one.handle.is_frozen());
        fleet.members().iter().map(frozen).collect()
    }

    /// Tells the client at this place of the fleet something.
    pub(super) async fn tell(&self, place: usize, input: Input) {
        let fleet = self.fleet.read().await;
        if let Some(member) = fleet.members().get(place) {
            member.handle.tell(input).await;
        }
    }

    /// Does something to a client, and returns when it has acted on it.
    ///
    /// # Errors
    ///
    /// When there is no such client, group or location.
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
            ClientOperation::Offline if member.handle.agent().is_stopped() => {}
            ClientOperation::Offline => tell(Input::Stop).await,
            ClientOperation::Online if !member.handle.agent().is_stopped() => {}
            ClientOperation::Online => tell(Input::Start { booted: self.clock().now() }).await,
            ClientOperation::Location { location } => tell(Input::MoveTo(location.clone())).await,
            ClientOperation::Import { group, location } => {
                let sylink = self.package(&member, group.as_deref(), location.as_deref())?;
                tell(Input::Import(sylink)).await;
            }
            ClientOperation::Reimage => self.reimage(&member).await?,
            ClientOperation::Move { group } => {
                let agent = member.handle.agent().cache().state.agent;
                let agent = agent.ok_or_else(|| unknown("registered client", name, []))?;
                self.site.apply(&Command::MoveClient { agent, group: group.clone() })?;
            }
        }
        let fleet = self.fleet.read().await;
        let heard = |members: &[Member]| {
            members.iter().filter(|one| one.name == name).all(|one| one.handle.has_heard())
        };
        fleet.wait_until(Timestamp::NEVER, heard).await;
        Ok(())
    }

    fn package(
        &self,
        member: &Member,
        group: Option<&str>,
        location: Option<&str>,
    ) -> Result<Arc<Sylink>, CommandError> {
        let own = lock(&self.parts).get(&member.part).map(|part| (part.group.clone(), part.location.clone()));
        let (own_group, own_location) = own.unwrap_or_default();
        let location = if group.is_some() { location } else { location.or(own_location.as_deref()) };
        self.site.export_sylink(group.unwrap_or(&own_group), location).map(Arc::new)
    }

    /// Another agent takes its place, with the file that it was installed with and nothing else.
    async fn reimage(&self, member: &Member) -> Result<(), CommandError> {
        let sylink = self.package(member, None, None)?;
        let mut fleet = self.fleet.write().await;
        let place = fleet.members().iter().position(|one| one.name == member.name);
        let place = place.ok_or_else(|| unknown("client", &member.name, []))?;
        let spec = MemberSpec {
            part: member.part.clone(),
            profile: member.handle.agent().profile().clone(),
            sylink,
            location: lock(&self.parts).get(&member.part).and_then(|part| part.location.clone()),
            disk: None,
            source: None,
        };
        fleet.replace(place, spec);
        if let Some(member) = fleet.members().get(place) {
            member.handle.tell(Input::Start { booted: self.clock().now() }).await;
        }
        Ok(())
    }
}

/// The client with this number in its part, not started yet.
pub(super) fn member_spec(seed: u64, plan: &PartPlan, number: u32, sylink: Arc<Sylink>) -> MemberSpec {
    MemberSpec {
        part: plan.name.clone(),
        profile: plan.client(seed, number),
        sylink,
        location: plan.location.clone(),
        disk: None,
        source: None,
    }
}

fn find<'a>(fleet: &'a Fleet, name: &str) -> Result<&'a Member, CommandError> {
    let found = fleet.members().iter().find(|one| one.name == name);
    found.ok_or_else(|| unknown("client", name, fleet.members().iter().map(|one| one.name.as_str())))
}
