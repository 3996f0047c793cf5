//! The source address of each client: a loopback address of its own, by which connection faults know the client before it has sent
//! a request.
//!
//! Only where the managers are on loopback: elsewhere a client connects from the addresses of its machine.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use epm_client_agent::agent::AgentProfile;
use epm_protocol::site::agent_id;
use parking_lot::Mutex;

use crate::mock_site::MockSite;
use crate::runtime::faults::{ExpectedClient, Faults};

/// The first address of a client.
const FIRST: u32 = u32::from_be_bytes([127, 64, 0, 1]);
/// The last address of a client.
const LAST: u32 = u32::from_be_bytes([127, 127, 255, 254]);

/// The source addresses of a lab's clients.
pub(super) struct Sources {
    faults: Faults,
    /// Address of a manager that is not on loopback, if there is one: then no client has an address of its own.
    elsewhere: Option<String>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    addresses: BTreeMap<String, Ipv4Addr>,
    /// Number of addresses that were given to clients, also to those that this process does not know.
    given: u32,
}

impl Sources {
    pub(super) fn of(site: &MockSite) -> Self {
        let is_loopback =
            |address: &str| address.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback());
        let elsewhere = site.look(|site| {
            let addresses = site.managers().map(|manager| manager.ports.address.clone());
            addresses.into_iter().find(|address| !is_loopback(address))
        });
        Self { faults: site.faults(), elsewhere, known: Mutex::default() }
    }

    /// Address of a manager that is not on loopback; none if each client has an address of its own.
    pub(super) fn elsewhere(&self) -> Option<&str> {
        self.elsewhere.as_deref()
    }

    /// The address of this client, which stays the same.
    pub(super) fn address_of(&self, profile: &AgentProfile) -> Option<Ipv4Addr> {
        if self.elsewhere.is_some() {
            return None;
        }
        let AgentProfile { computer_name, version, hardware_key, .. } = profile;
        let address = {
            let mut known = self.known.lock();
            let Known { addresses, given } = &mut *known;
            *addresses.entry(computer_name.clone()).or_insert_with(|| {
                let next = FIRST.saturating_add(*given);
                *given = given.saturating_add(1);
                Ipv4Addr::from_bits(next.min(LAST))
            })
        };
        let client = ExpectedClient {
            agent: agent_id(*hardware_key),
            computer: computer_name.clone(),
            version: *version,
        };
        self.faults.expect(address.into(), client);
        Some(address)
    }

    /// The address of the client of this name, if it has one.
    pub(super) fn known(&self, client: &str) -> Option<Ipv4Addr> {
        self.known.lock().addresses.get(client).copied()
    }

    /// Number of addresses that clients have had.
    pub(super) fn count(&self) -> u32 {
        self.known.lock().given
    }

    /// Continues after an earlier run whose clients had this many addresses: none of them is another client's.
    pub(super) fn go_on_after(&self, given: u32) {
        self.known.lock().given = given;
    }

    /// Gives a client the address that it had in an earlier run.
    pub(super) fn remember(&self, client: &str, address: Ipv4Addr) {
        self.known.lock().addresses.insert(client.to_owned(), address);
    }
}
