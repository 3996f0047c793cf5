//! Refuses faults that name a client, a group or a manager that there is not, and faults that cannot tell clients apart.

use epm_protocol::fault::{FaultRule, Moment};
use epm_protocol::site::CommandError;

use crate::lab::{Lab, unknown};

/// Why a lab refuses a fault.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum FaultRefused {
    /// The fault names what there is not.
    #[error(transparent)]
    Unknown(#[from] CommandError),
    /// The clients cannot be told apart before they have sent a request.
    #[error(
        "the fault {fault:?} hits connections of some clients only, and the clients of this lab cannot be told apart by their connections: \
         a manager's address is {address}, not an IPv4 address of loopback, so they all connect from one address; apply it to all \
         clients, choose a fault of exchanges, or run the lab on 127.0.0.1"
    )]
    SharedAddress {
        /// Name of the fault.
        fault: String,
        /// Address of the manager.
        address: String,
    },
}

impl Lab {
    /// Checks that there are the client, the group and the manager that a fault names, and that a fault of connections can
    /// tell the clients apart. A client's name with a `*` may match clients that come later.
    ///
    /// # Errors
    ///
    /// When a name is unknown, with the nearest known one; or when clients share an address.
    pub async fn check_fault(&self, rule: &FaultRule) -> Result<(), FaultRefused> {
        let (whom, place) = (&rule.whom, &rule.place);
        if let Some(manager) = &place.manager {
            self.site.look(|site| {
                let mut known = site.managers().map(|one| one.name.as_str());
                let is_known = known.any(|one| one == manager);
                let refused = || unknown("manager", manager, site.managers().map(|one| one.name.as_str()));
                if is_known { Ok(()) } else { Err(refused()) }
            })?;
        }
        if let Some(group) = &whom.group {
            self.site.look(|site| site.groups().find(group).map(drop))?;
        }
        let fleet: Vec<String> = self.names().await.into_iter().map(|(_, client)| client).collect();
        if let Some(agent) = whom.agent.as_deref().filter(|agent| !agent.contains('*')) {
            let registered = self.site.client_statuses();
            let ids = registered.iter().map(|one| one.client.agent.to_string());
            let names = registered.iter().map(|one| one.client.computer_name.clone());
            let known: Vec<String> = fleet.iter().cloned().chain(names).chain(ids).collect();
            if !known.iter().any(|one| one.eq_ignore_ascii_case(agent)) {
                return Err(unknown("client", agent, known.iter().map(String::as_str)).into());
            }
        }
        let is_of_some =
            whom.agent.is_some() || whom.group.is_some() || whom.version.is_some() || whom.percent.is_some();
        match self.sources.elsewhere() {
            Some(address) if is_of_some && rule.moment() == Moment::Connection && fleet.len() > 1 => {
                Err(FaultRefused::SharedAddress { fault: rule.name.clone(), address: address.to_owned() })
            }
            _ => Ok(()),
        }
    }
}
