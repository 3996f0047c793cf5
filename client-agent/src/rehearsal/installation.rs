//! A client as it is installed: with the communications file of its group and location.

use epm_protocol::id::{Guid, HardwareKey};
use epm_protocol::site::CommandError;

use super::activation::ClientSnapshot;
use super::world::World;
use crate::agent::{Agent, AgentProfile, AgentState, Cache};
use crate::scenario::PartPlan;

/// The state of a client of this part as it is installed now: with the communications file of its group and location.
pub(super) fn installed(world: &World, plan: &PartPlan) -> Result<ClientSnapshot, CommandError> {
    let sylink = world.site.export_sylink(&plan.group, plan.location.as_deref())?;
    let profile = AgentProfile {
        // The same for all: no client's behaviour depends on it.
        hardware_key: HardwareKey(Guid::from_bytes([0; 16])),
        computer_name: plan.name.clone(),
        version: plan.version,
        seed: 0,
        use_last_server: plan.use_last_server,
    };
    let state = AgentState { location: plan.location.clone(), ..AgentState::default() };
    let cache = Cache { sylink: sylink.into(), state };
    Ok(ClientSnapshot {
        agent: Agent::new(profile, cache, world.site.assumptions().clone()),
        record: None,
        held: None,
    })
}
