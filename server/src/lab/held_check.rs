//! Whether the managers hold exactly the requests that a lab's clients want held: looked at again only for the clients for whom it
//! may have changed.

use std::collections::{HashMap, HashSet};

use epm_client_agent::wire::{Fleet, Member};
use epm_protocol::id::AgentId;

use crate::MockSite;

/// More clients than this are looked up in a set of all connections.
const FEW: usize = 32;

/// What was found when it was last looked.
#[derive(Debug, Default)]
pub(super) struct HeldCheck {
    /// The state of the site at that time.
    site: (u64, u64),
    /// Clients whose requests were held as they should be, by the number of each in the fleet.
    right: HashMap<AgentId, u64>,
    /// Numbers of the clients whose requests were not, or not yet.
    wrong: HashSet<u64>,
    /// Whether requests were stalled by a fault, which are neither.
    were_stalled: bool,
}

impl HeldCheck {
    /// Whether each request that a client wants held is held, over the connection that the client has, and would be held if
    /// it came now. A sent request may not have arrived yet, and the end of a connection may not have been noticed yet, on
    /// either side: a client's earlier request, on the connection that it has closed, is no substitute for the present one.
    pub(super) fn is_right(&mut self, site: &MockSite, fleet: &Fleet) -> bool {
        let held = site.held_requests();
        let stalled = site.faults().stalled();
        let stalled = stalled.borrow();
        // In this order: what changes after it was read is read again.
        let (state, gone, (wanted, acted)) = (site.holding_state(), held.take_ended(), fleet.take_acted());
        let look_at: HashSet<u64> = match gone {
            Some(gone) if state == self.site && stalled.is_empty() && !self.were_stalled => {
                let gone = gone.iter().filter_map(|agent| self.right.remove(agent));
                acted.into_iter().chain(gone).chain(self.wrong.drain()).collect()
            }
            _ => {
                self.right.clear();
                fleet.held()
            }
        };
        (self.site, self.were_stalled) = (state, !stalled.is_empty());
        self.wrong.clear();
        let open = (look_at.len() > FEW).then(|| site.connected_peers());
        let mut never_arrives = 0;
        for number in look_at {
            let Some((member, request)) =
                fleet.member(number).and_then(|member| Some((member, member.handle.held()?)))
            else {
                continue;
            };
            let from = member.handle.connection();
            // Such a request never arrives; the client waits until its limit.
            let is_stalled = from.is_some_and(|from| stalled.contains(&from));
            let is_held = from.is_some_and(|from| {
                open.as_ref().map_or_else(|| site.is_connected(from), |open| open.contains(&from))
                    && held.is_from(request.agent, from)
            });
            if !(is_stalled || is_held) || !site.would_hold(request.agent, request.serial) {
                self.wrong.insert(number);
            } else if is_stalled {
                never_arrives += 1;
            } else {
                self.right.insert(request.agent, number);
            }
        }
        // Requests beyond these are those of clients elsewhere, or earlier ones of these.
        let wanted = wanted.saturating_sub(never_arrives);
        self.wrong.is_empty() && (held.count() == wanted || of_fleet(site, fleet.members()) == wanted)
    }
}

/// Number of held requests of the clients of a fleet.
fn of_fleet(site: &MockSite, members: &[Member]) -> usize {
    let agents: HashSet<_> = members.iter().filter_map(|one| one.handle.agent_id()).collect();
    agents.into_iter().map(|agent| site.held_requests().of(agent)).sum()
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use epm_client_agent::scenario::Scenario;

    use super::*;
    use crate::lab::scenario_run::{ScenarioRun, silent};

    const PUSH: &str = r#"
title = "A client in push mode"
clock = { start = "2026-01-05T08:00:00Z" }
site = { managers = [{ name = "sepm-1" }], setup = [{ set-communication = { group = 'My Company', change = { mode = "push" } } }] }
fleet = [{ name = "laptop", count = 2, version = "14.3.8289" }]
"#;

    #[tokio::test]
    async fn a_request_that_came_before_the_present_one_is_no_substitute_and_one_too_many() {
        let scenario = Scenario::parse(PUSH, "push").unwrap();
        let run = ScenarioRun::start(&scenario, &silent()).await.unwrap();
        let lab = run.lab();
        let fleet = lab.fleet.read().await;
        let mut check = HeldCheck::default();
        assert!(check.is_right(&lab.site, &fleet), "both requests are held when the lab is settled");
        assert_eq!(check.right.len(), 2);
        let agent = fleet.members()[0].handle.agent_id();
        let earlier = lab.site.held_requests().begin(agent, SocketAddr::from(([127, 0, 0, 1], 1)));
        assert!(!check.is_right(&lab.site, &fleet), "of one client two are held");
        drop(earlier);
        // Looked at again, since a request of the client has ended: whichever it was.
        check.right.insert(agent.unwrap(), u64::MAX);
        assert!(check.is_right(&lab.site, &fleet));
        assert_eq!(check.right.get(&agent.unwrap()), None, "its entry led to no client of the fleet");
        drop(fleet);
        lab.stop().await;
    }
}
