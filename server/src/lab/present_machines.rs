//! Which machines of a lab that stays are switched on and off by their presence, and when. Who switches them is the module
//! `presence`.

use std::collections::BTreeMap;
use std::sync::Arc;

use epm_client_agent::scenario::{PartCalendar, PowerSchedule};
use epm_protocol::time::Timestamp;

/// The machines that are switched on and off by their presence, by the names of their clients.
///
/// Locked before the fleet where both are.
#[derive(Clone, Debug, Default)]
pub(super) struct PresentMachines(pub(super) BTreeMap<String, (Arc<PartCalendar>, PowerSchedule)>);

impl PresentMachines {
    /// When a machine is switched on or off next.
    pub(super) fn next_transition(&self, now: Timestamp) -> Timestamp {
        let transitions = self.0.values().map(|(part, power)| power.next_transition(part, now));
        transitions.min().unwrap_or(Timestamp::NEVER)
    }
}
