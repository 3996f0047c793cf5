//! Clients that the operator moves to another group: in a rehearsal each client carries its registration, which the site has
//! over sockets.

use epm_protocol::site::{ClientKey, Command, CommandError};

use super::machine::Machine;
use super::memo::MemoTable;
use super::shard::Shard;
use super::virtual_client::VirtualClient;
use super::world::World;
use crate::scenario::{Scenario, StepPlan};

/// The commands of a step that change the site, not the registration of a client.
pub(super) fn of_the_site(step: &StepPlan) -> impl Iterator<Item = &Command> {
    let commands = step.operator.iter().map(|command| command.get_ref());
    commands.filter(|command| !matches!(command, Command::MoveClient { .. }))
}

/// Notes in the world after a step which clients the step moves.
///
/// # Errors
///
/// When there is no such client or group.
pub(super) fn note(scenario: &Scenario, step: &StepPlan, world: &mut World) -> Result<(), CommandError> {
    for (client, group) in moves(step) {
        let group = world.site.groups().find(group)?.id;
        world
            .moved
            .insert(scenario.place_of(client)?, u32::try_from(world.moved_to.len()).unwrap_or(u32::MAX));
        world.moved_to.push(group);
    }
    Ok(())
}

/// Checks that the clients that a step moves are registered, as the site does over sockets.
///
/// # Errors
///
/// When a client is not.
pub(super) fn check<C: VirtualClient>(
    scenario: &Scenario,
    shards: &[Shard<C>],
    step: &StepPlan,
) -> Result<(), CommandError> {
    for (client, _) in moves(step) {
        let place = scenario.place_of(client)?;
        let mut machines =
            shards.iter().flat_map(|shard| shard.machines.iter().map(|one| (one, &shard.memo)));
        let is_registered = |(machine, memo): (&Machine<C>, &MemoTable)| {
            (machine.part, machine.number) == place && machine.client.is_registered(memo)
        };
        if !machines.any(is_registered) {
            return Err(CommandError::unknown("registered client", &client.to_string(), []));
        }
    }
    Ok(())
}

fn moves(step: &StepPlan) -> impl Iterator<Item = (&ClientKey, &str)> {
    step.operator.iter().filter_map(|command| match command.get_ref() {
        Command::MoveClient { client, group } => Some((client, group.as_str())),
        _ => None,
    })
}
