//! The identities of a fleet's clients, derived from (seed, part name, client number), so that adding or enlarging a
//! part never changes the others.

use std::hash::Hasher;
use std::net::Ipv4Addr;

use epm_protocol::fault::{FaultKind, FaultRule};
use epm_protocol::id::{Guid, HardwareKey};
use epm_protocol::version::ClientVersion;
use siphasher::sip::SipHasher24;
use toml::Spanned;

use super::plan::{FleetAction, PartPlan, Scenario};
use crate::agent::AgentProfile;

impl Scenario {
    /// Whether clients of this part may affect each other or other clients: they may share a hardware id, from the
    /// beginning or later, or compete for a limit.
    pub fn meets_others(&self, part: &str) -> bool {
        let is_limit = |rule: &FaultRule| matches!(rule.what, FaultKind::PushLimit { .. });
        self.shares_machines(part) || self.fault.iter().map(Spanned::get_ref).any(is_limit)
    }

    fn shares_machines(&self, part: &str) -> bool {
        let plan = self.fleet.iter().map(Spanned::get_ref).find(|plan| plan.name == part);
        let actions = self.step.iter().flat_map(|step| &step.fleet).map(Spanned::get_ref);
        plan.is_some_and(|plan| plan.hardware_id.is_some())
            || actions.into_iter().any(|action| match action {
                FleetAction::Identify { part: one, image_of } => {
                    one == part || image_of.as_deref() == Some(part)
                }
                _ => false,
            })
    }

    /// The hardware id of an image that was made from this part: that of its first client.
    pub fn machine_of(&self, part: &str) -> Option<HardwareKey> {
        let plan = self.fleet.iter().map(Spanned::get_ref).find(|plan| plan.name == part)?;
        Some(plan.machine(self.seed, 1))
    }

    /// Scales the fleet to this number of clients, each part in proportion, with at least one client each.
    pub fn scale_to(&mut self, clients: u32) {
        let before: u64 = self.fleet.iter().map(|part| u64::from(part.get_ref().count)).sum();
        let (mut seen, mut given) = (0_u64, 0_u64);
        for part in &mut self.fleet {
            let part = part.get_mut();
            seen += u64::from(part.count);
            // Cumulative sums are scaled, so that rounding adds up.
            let due = (seen * u64::from(clients)).div_ceil(before.max(1));
            let count = due.saturating_sub(given).max(1);
            given += count;
            part.count = u32::try_from(count).unwrap_or(u32::MAX);
        }
    }
}

/// The hardware id of the machine with this name.
pub(crate) fn hardware_key(run_seed: u64, name: &str) -> HardwareKey {
    HardwareKey(Guid::derive(run_seed, "hardware", name, Ipv4Addr::LOCALHOST))
}

/// The identity of the client with this number, from 1, of a part or fleet with this name.
pub(crate) fn client_profile(run_seed: u64, part: &str, number: u32, version: ClientVersion) -> AgentProfile {
    let computer_name = format!("{part}-{number}");
    AgentProfile {
        hardware_key: hardware_key(run_seed, &computer_name),
        computer_name,
        version,
        seed: client_seed(run_seed, part, number),
        use_last_server: true,
    }
}

/// The seed of the random draws of a client. The generator is SipHash-2-4.
fn client_seed(run_seed: u64, part: &str, number: u32) -> u64 {
    let mut hasher = SipHasher24::new_with_keys(run_seed, u64::from(number));
    hasher.write(part.as_bytes());
    hasher.finish()
}

impl PartPlan {
    /// The name of the client with this number, from 1.
    pub fn client_name(&self, number: u32) -> String {
        format!("{}-{number}", self.name)
    }

    /// The seed of the random draws of the client with this number. The generator is SipHash-2-4.
    pub fn client_seed(&self, run_seed: u64, number: u32) -> u64 {
        client_seed(run_seed, &self.name, number)
    }

    /// The hardware id with which the client with this number is installed.
    pub fn machine(&self, run_seed: u64, number: u32) -> HardwareKey {
        match &self.hardware_id {
            Some(shared) => hardware_key(run_seed, &format!("image {shared}")),
            None => self.own_machine(run_seed, number),
        }
    }

    /// The own hardware id of the client with this number, whatever image it was deployed from.
    pub fn own_machine(&self, run_seed: u64, number: u32) -> HardwareKey {
        hardware_key(run_seed, &self.client_name(number))
    }

    /// The identity of the client with this number.
    pub fn client(&self, run_seed: u64, number: u32) -> AgentProfile {
        AgentProfile {
            hardware_key: self.machine(run_seed, number),
            use_last_server: self.use_last_server,
            ..client_profile(run_seed, &self.name, number, self.version)
        }
    }
}
