//! The clients that the next step would orphan if it were taken now: tried on memoised states, so nothing is changed.

use std::collections::BTreeMap;

use epm_protocol::time::Timestamp;

use super::hourly::HourlyCounts;
use super::memo::NodeId;
use super::outcome::AtRisk;
use super::shard::Shard;
use super::stimulus::EventKind;
use super::virtual_client::{Context, MemoizedClient, VirtualClient};
use super::what_if::outcome_if;
use super::world::World;
use crate::agent::TrustLayer;

/// The largest number of clients that are named.
pub(super) const NAMED: usize = 20;

impl<C: VirtualClient> Shard<C> {
    /// Finds the clients of this shard that would be orphaned if the site became `next` now and each client had its
    /// next heartbeats at once; clients that are orphaned already are left out. Also returns the parts and numbers of
    /// some of them.
    pub(super) fn at_risk(
        &mut self,
        world: &World,
        next: &World,
        now: Timestamp,
        part_names: &[&str],
    ) -> (AtRisk, Vec<(u32, u32)>) {
        let (mut risk, mut examples) = (AtRisk::default(), Vec::new());
        let mut known: BTreeMap<(NodeId, EventKind), Option<TrustLayer>> = BTreeMap::new();
        let mut hourly = HourlyCounts::new(now, 0);
        let Self { machines, memo, .. } = self;
        for machine in machines.iter().filter(|machine| machine.is_installed()) {
            let mut context = Context { world, memo, hourly: &mut hourly, log: None };
            let node = machine.client.node(&mut context);
            let change = next.change_for(machine.part, machine.number);
            let lost = *known.entry((node, change)).or_insert_with(|| {
                let mut context = Context {
                    world: next,
                    memo: &mut *context.memo,
                    hourly: &mut *context.hourly,
                    log: None,
                };
                let mut client = MemoizedClient::at(node, &context);
                outcome_if(&mut client, change, machine.is_on(), now, &mut context)
                    .map(|because| because.layer())
            });
            let Some(layer) = lost else { continue };
            risk.clients += 1;
            *risk.by_layer.entry(layer).or_default() += 1;
            *risk.by_part.entry(part_names[machine.part as usize].to_owned()).or_default() += 1;
            examples.push((machine.part, machine.number));
        }
        // The machines are not all in the order of the fleet.
        examples.sort_unstable();
        examples.truncate(NAMED);
        (risk, examples)
    }
}

impl AtRisk {
    /// Adds the counts of another shard.
    pub(super) fn merge(&mut self, other: Self) {
        self.clients += other.clients;
        for (layer, count) in other.by_layer {
            *self.by_layer.entry(layer).or_default() += count;
        }
        for (part, count) in other.by_part {
            *self.by_part.entry(part).or_default() += count;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{Progress, RehearsalOptions, rehearse};
    use crate::scenario::{Scenario, Span, Wait};

    const PLAN: &str = include_str!("../../../fixtures/scenarios/single-manager-no-wait.toml");
    const SEVERAL: &str = include_str!("../../../fixtures/scenarios/several-managers-142.toml");

    /// The clients in the preview after a step, and those orphaned if the next step is taken then and nothing else is
    /// done.
    fn previewed_and_found(text: &str, step: usize) -> (BTreeSet<String>, BTreeSet<String>) {
        let mut scenario = Scenario::parse(text, "x.toml").unwrap();
        scenario.step.truncate(step + 1);
        let heartbeats =
            Wait { heartbeats: 4, time: None, limit: Span(std::time::Duration::from_secs(3600)) };
        let mut found = scenario.clone();
        if let Some(next) = found.step.last_mut() {
            next.fleet.clear();
            next.wait = Some(heartbeats);
        }
        let before = {
            let mut before = found.clone();
            before.step.truncate(step);
            lost(&before)
        };
        let outcome =
            rehearse(&scenario, &RehearsalOptions::default(), &Progress::default(), |_| ()).unwrap().outcome;
        let previewed = outcome.steps[step].if_next_now.clone().unwrap();
        assert_eq!(previewed.clients, previewed.examples.len(), "few enough to be named");
        (previewed.examples.into_iter().collect(), &lost(&found) - &before)
    }

    fn lost(scenario: &Scenario) -> BTreeSet<String> {
        let outcome =
            rehearse(scenario, &RehearsalOptions::default(), &Progress::default(), |_| ()).unwrap().outcome;
        outcome.verdict.orphaned.into_iter().map(|one| one.client).collect()
    }

    #[test]
    fn who_is_previewed_to_be_lost_is_lost_if_the_step_is_taken_and_nobody_else() {
        for step in 0..3 {
            let (previewed, found) = previewed_and_found(SEVERAL, step);
            assert_eq!(previewed, found, "after step {step}");
            assert_eq!(previewed.is_empty(), step < 2, "only the last trusted manager matters");
        }
    }

    #[test]
    fn whose_machine_is_off_is_previewed_too() {
        // Step 3 updates the certificate while the desktops of 14.2 are off.
        let (previewed, found) = previewed_and_found(PLAN, 2);
        assert!(found.is_subset(&previewed), "{found:?} of {previewed:?}");
        let off: BTreeSet<String> = &previewed - &found;
        assert_eq!(off.len(), 2, "{off:?}");
        assert!(off.iter().all(|client| client.starts_with("desktop-142")), "{off:?}");
        // Step 4 only switches them on.
        assert_eq!(previewed_and_found(PLAN, 3).0, off);
    }
}
