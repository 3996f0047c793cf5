//! A trial on copies: who would be lost if a site became another one now. Nobody's carrier learns of it.

use epm_protocol::site::{Client, Site};
use epm_protocol::time::Timestamp;
use serde::Serialize;

use super::activation::{ClientSnapshot, Stimulus};
use super::world::World;
use crate::agent::{Agent, Distrust, Input};

/// How many heartbeats a client has to find its way in the other world: as many as foresight gives it.
const HEARTBEATS: usize = 4;

/// A client that would be lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct WouldBeLost {
    /// Its computer's name.
    pub client: String,
    /// The layer of trust that would break.
    pub layer: String,
    /// What would be expected, and what found.
    pub because: Distrust,
}

/// Which of these clients would be lost if the site became `next` now and each of them had its next heartbeats at once;
/// those who are lost already are not counted again. Each comes with how the site knows it.
///
/// What is asked is what each client holds: one whose machine is off is asked as if it came home. Faults that are set
/// are left out of account.
pub fn would_be_lost(
    clients: impl IntoIterator<Item = (Agent, Option<Client>)>,
    next: &Site,
    now: Timestamp,
) -> Vec<WouldBeLost> {
    let world = World::first(next.clone());
    clients.into_iter().filter_map(|(agent, record)| outcome_if(agent, record, &world, now)).collect()
}

fn outcome_if(agent: Agent, record: Option<Client>, world: &World, now: Timestamp) -> Option<WouldBeLost> {
    if agent.view().health.orphaned().is_some() {
        return None;
    }
    // Its connections are its carrier's: the copy begins with what it holds, as after a restart.
    let mut snapshot = ClientSnapshot { agent, record, held: None };
    for stimulus in
        [Input::Stop, Input::Start].into_iter().chain(std::iter::repeat_n(Input::Wake, HEARTBEATS))
    {
        snapshot.activate(Stimulus::Told(stimulus), world, now, None);
    }
    let view = snapshot.agent.view();
    let (_, because) = view.health.orphaned()?;
    Some(WouldBeLost {
        client: view.computer_name.clone(),
        layer: because.layer().to_owned(),
        because: because.clone(),
    })
}
