//! What happened to a site and its clients, as far as the cause of a loss of trust can be told from it.

use std::collections::BTreeMap;
use std::sync::Arc;

use epm_protocol::assumption::Assumptions;
use epm_protocol::policy::CommunicationSettings;
use epm_protocol::time::Timestamp;
use epm_protocol::trust::Fingerprint;

use super::change::{Change, RotationSettings};
use crate::scenario::{Held, PartPlan};

/// The changes of a site.
#[derive(Clone, Debug)]
pub struct SiteHistory {
    /// Settings before the first change.
    pub(super) start: Arc<RotationSettings>,
    /// Changes with the number of their step, oldest first; the changes of one step are one.
    pub(super) changes: Vec<(Option<usize>, Change)>,
    /// Whether no change is missing.
    pub(super) is_complete: bool,
    pub(super) assumptions: Arc<Assumptions>,
    /// The group of each part, and whether its machines are re-imaged; none where that is not known.
    parts: Option<BTreeMap<String, (String, bool)>>,
}

impl SiteHistory {
    /// A history that begins with these settings.
    pub fn new(start: Arc<RotationSettings>, assumptions: Arc<Assumptions>) -> Self {
        Self { start, changes: Vec::new(), is_complete: true, assumptions, parts: None }
    }

    /// The history of a scenario, whose parts are known.
    #[must_use]
    pub fn of_parts<'a>(self, parts: impl Iterator<Item = &'a PartPlan>) -> Self {
        let parts = parts.map(|one| (one.name.clone(), (one.group.clone(), one.reimaged.is_some())));
        Self { parts: Some(parts.collect()), ..self }
    }

    /// The group of a client: that of its policy, or else the one that its part was installed for.
    pub(super) fn group_of<'a>(&'a self, part: &str, held: &'a Held) -> Option<&'a str> {
        let installed = || Some(self.parts.as_ref()?.get(part)?.0.as_str());
        held.group.as_deref().or_else(installed)
    }

    /// Whether a client of this part that has never received a policy may have lost one with its state.
    pub(super) fn may_have_lost_its_state(&self, part: &str) -> bool {
        self.parts.as_ref().and_then(|parts| parts.get(part)).is_none_or(|(_, is_reimaged)| *is_reimaged)
    }

    /// A history of which changes are missing: no cause is told from it.
    pub fn incomplete(assumptions: Arc<Assumptions>) -> Self {
        Self { is_complete: false, ..Self::new(Arc::default(), assumptions) }
    }

    /// The settings after the last change.
    pub fn last(&self) -> &Arc<RotationSettings> {
        self.changes.last().map_or(&self.start, |(_, change)| &change.after)
    }

    /// The settings after the last change up to a moment.
    pub(super) fn settings_at(&self, at: Timestamp) -> &Arc<RotationSettings> {
        self.back_from(at).next().map_or(&self.start, |index| &self.change(index).after)
    }

    /// Adds the next change; `step` is the number of the step that made it.
    pub fn push(&mut self, step: Option<usize>, change: Change) {
        match self.changes.last_mut() {
            Some((last, known)) if step.is_some() && *last == step => {
                (known.after, known.facts) = (change.after, change.facts);
            }
            _ => self.changes.push((step, change)),
        }
    }

    /// Forgets what the step of this number and later ones changed.
    pub fn forget_since(&mut self, step: usize) {
        self.changes.retain(|(of, _)| of.is_none_or(|of| of < step));
    }

    /// The last change that switched this setting of clients' communication off in a group and location.
    pub(super) fn switched_off(
        &self,
        group: &str,
        location: Option<&str>,
        setting: impl Fn(&CommunicationSettings) -> bool,
    ) -> Option<usize> {
        let is_on = |settings: &RotationSettings| {
            settings.groups.get(group).is_some_and(|one| setting(one.communication_at(location)))
        };
        let switches =
            |index: &usize| is_on(&self.change(*index).before) && !is_on(&self.change(*index).after);
        (0..self.changes.len()).rev().find(switches)
    }

    /// The indexes of the changes up to a moment, the last one first.
    pub(super) fn back_from(&self, at: Timestamp) -> impl Iterator<Item = usize> {
        (0..self.changes.len()).rev().filter(move |index| self.changes[*index].1.at <= at)
    }

    pub(super) fn change(&self, index: usize) -> &Change {
        &self.changes[index].1
    }

    /// Whether a manager presented this certificate before a change. Another one may have it still: two managers may have one
    /// certificate.
    pub(super) fn was_in_force_before(&self, manager: &str, certificate: &Fingerprint, index: usize) -> bool {
        let had = |(_, change): &(_, Change)| change.before.managers.get(manager).map(|one| one.client);
        self.changes[..=index].iter().any(|change| had(change).as_ref() == Some(certificate))
    }
}
