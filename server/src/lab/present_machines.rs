//! The machines of a running lab that are switched on and off by their presence, and when. The module `presence` switches
//! them.

use std::collections::BTreeMap;
use std::sync::Arc;

use epm_client_agent::scenario::{PartCalendar, PowerSchedule};
use epm_protocol::time::Timestamp;

/// Machines that are switched on and off by their presence, by client name. Where both are locked, locked before the fleet.
#[derive(Clone, Debug, Default)]
pub(super) struct PresentMachines(
    pub(super) BTreeMap<String, (Arc<PartCalendar>, PowerSchedule)>,
    /// Since when each part is switched by its presence.
    pub(super) BTreeMap<String, Timestamp>,
);

impl PresentMachines {
    /// The time of the next transition of any machine.
    pub(super) fn next_transition(&self, now: Timestamp) -> Timestamp {
        let transitions = self.0.values().map(|(_, power)| power.next_transition(now));
        transitions.min().unwrap_or(Timestamp::NEVER)
    }
}
