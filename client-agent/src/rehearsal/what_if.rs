//! What-if: which clients would be orphaned if the site changed now. Only copies of the clients are played.

use epm_protocol::site::{RegisteredClient, Site};
use epm_protocol::time::Timestamp;
use serde::Serialize;

use super::hourly::HourlyCounts;
use super::memo::MemoTable;
use super::stimulus::EventKind;
use super::virtual_client::{Context, FullClient, VirtualClient};
use super::world::World;
use crate::agent::{Agent, Distrust, TrustLayer};

/// The number of heartbeats that a client has to find a manager that it trusts.
const HEARTBEATS: usize = 4;

/// A client that would be orphaned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, schemars::JsonSchema)]
pub struct WouldBeOrphaned {
    /// The name of the client's computer.
    pub client: String,
    /// The code of the layer of trust that would fail.
    pub layer: TrustLayer,
    /// The title of that layer, for people.
    pub layer_title: &'static str,
    /// What would be expected, and what found.
    pub because: Distrust,
}

/// Returns the clients that would be orphaned if the site became `next` now and each client had its next heartbeats at
/// once; clients that are orphaned already are left out. Each client comes with its registration.
///
/// A client whose machine is off is played as if the machine were switched on now. Faults are ignored.
pub fn would_be_orphaned(
    clients: impl IntoIterator<Item = (Agent, Option<RegisteredClient>)>,
    next: &Site,
    now: Timestamp,
) -> Vec<WouldBeOrphaned> {
    let world = World::first(next.clone());
    let (mut memo, mut hourly) = (MemoTable::default(), HourlyCounts::new(now, 0));
    let mut context = Context { world: &world, memo: &mut memo, hourly: &mut hourly, log: None };
    let lost = clients.into_iter().filter_map(|(agent, record)| {
        let is_on = !agent.is_stopped();
        let mut client = FullClient::copy_of(agent, record);
        if is_on {
            // Connections belong to the driver: the copy starts with its cache, as after a restart.
            client.handle(EventKind::Stop, now, &mut context);
        }
        let change = if world.forgot_clients { EventKind::Forgotten } else { EventKind::Changed };
        let because = outcome_if(&mut client, change, false, now, &mut context)?;
        Some(WouldBeOrphaned {
            client: client.view(context.memo).computer_name,
            layer: because.layer(),
            layer_title: because.layer().title(),
            because,
        })
    });
    lost.collect()
}

/// The reason why this client is orphaned after its next heartbeats in the context's world, if it is, and was not
/// before. `change` is the event of that world's beginning. A client whose machine is off is switched on first.
pub(super) fn outcome_if(
    client: &mut impl VirtualClient,
    change: EventKind,
    is_on: bool,
    now: Timestamp,
    context: &mut Context<'_>,
) -> Option<Distrust> {
    let orphaned = |client: &_, context: &Context<'_>| {
        VirtualClient::view(client, context.memo).health.orphaned().map(|(_, because)| because.clone())
    };
    if orphaned(client, context).is_some() {
        return None;
    }
    client.handle(change, now, context);
    if !is_on {
        client.handle(EventKind::Start, now, context);
    }
    for _ in 0..HEARTBEATS {
        client.handle(EventKind::Wake, now, context);
    }
    orphaned(client, context)
}
