//! Who the clients of a fleet are: drawn from the run's seed, the name of their part and their number in it, so that
//! another part, or a larger one, changes nobody.

use std::hash::Hasher;
use std::net::Ipv4Addr;

use epm_protocol::id::{Guid, HardwareKey};
use siphasher::sip::SipHasher24;

use super::{PartPlan, Scenario};
use crate::agent::AgentProfile;

impl Scenario {
    /// Gives the fleet so many clients in all, each part as large in proportion as it was, and one at the least.
    pub fn scale_to(&mut self, clients: u32) {
        let before: u64 = self.fleet.iter().map(|part| u64::from(part.get_ref().count)).sum();
        let (mut seen, mut given) = (0_u64, 0_u64);
        for part in &mut self.fleet {
            let part = part.get_mut();
            seen += u64::from(part.count);
            // What has been given grows as what has been seen, so that rounding adds up.
            let due = (seen * u64::from(clients)).div_ceil(before.max(1));
            let count = due.saturating_sub(given).max(1);
            given += count;
            part.count = u32::try_from(count).unwrap_or(u32::MAX);
        }
    }
}

impl PartPlan {
    /// The name of the client with this number, from 1.
    pub fn client_name(&self, number: u32) -> String {
        format!("{}-{number}", self.name)
    }

    /// Where the draws of the client with this number come from. The generator is SipHash-2-4.
    pub fn client_seed(&self, run_seed: u64, number: u32) -> u64 {
        let mut hasher = SipHasher24::new_with_keys(run_seed, u64::from(number));
        hasher.write(self.name.as_bytes());
        hasher.finish()
    }

    /// Who the client with this number is.
    pub fn client(&self, run_seed: u64, number: u32) -> AgentProfile {
        let computer_name = self.client_name(number);
        AgentProfile {
            hardware_key: HardwareKey(Guid::derive(
                run_seed,
                "hardware",
                &computer_name,
                Ipv4Addr::LOCALHOST,
            )),
            computer_name,
            version: self.version,
            seed: self.client_seed(run_seed, number),
            use_last_server: self.use_last_server,
        }
    }
}
